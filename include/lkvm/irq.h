/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts as devices see them: wired lines (SPIs), and GSIs, which an eventfd raises without lkvm and which the
 * routing table turns into an MSI or a line. Machine-neutral; the interrupt controller implements the class.
 */
#ifndef LKVM_IRQ_H
#define LKVM_IRQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum irq_route_type { IRQ_ROUTE_NONE, IRQ_ROUTE_LINE, IRQ_ROUTE_MSI };

/* Where a GSI leads. */
struct irq_route {
	enum irq_route_type type;
	uint32_t line;    /* IRQ_ROUTE_LINE: the SPI, 0 for INTID 32 */
	uint64_t address; /* IRQ_ROUTE_MSI: as the guest wrote it: guest-physical doorbell, ... */
	uint32_t data;    /* ... its event ID, ... */
	uint32_t devid;   /* ... and the function's requester ID, as msi-map tells the guest */
};

struct irq_controller;

/* Each returns 0 or -errno and reports nothing but set_routes' and attach's failures. */
struct irq_controller_class {
	int (*set_level)(struct irq_controller *controller, uint32_t line, bool level);
	/* Replaces the whole table: routes[gsi], count of them, IRQ_ROUTE_NONE where there is none. */
	int (*set_routes)(struct irq_controller *controller, const struct irq_route *routes,
			  size_t count);
	/* From now on a count on trigger_fd raises gsi. resample_fd >= 0: level-triggered, signalled at the guest's EOI. */
	int (*attach)(struct irq_controller *controller, uint32_t gsi, int trigger_fd,
		      int resample_fd);
	int (*detach)(struct irq_controller *controller, uint32_t gsi, int trigger_fd);
};

struct irq_controller {
	const struct irq_controller_class *class;
	bool msi; /* can deliver MSIs: ITS or GICv2m */
};

/* Sets a wired line's level (line 0 is INTID 32). From any thread. */
int irq_set_level(struct irq_controller *controller, uint32_t line, bool level);

/*
 * GSI numbers. As in KVM, GSIs 0..lines-1 lead to the wired lines; MSIs are numbered from IRQ_GSI_MSI_BASE up. The
 * table holds IRQ_GSI_LIMIT entries, KVM's own limit (KVM_MAX_IRQ_ROUTES).
 */
#define IRQ_GSI_MSI_BASE 1024
#define IRQ_GSI_LIMIT    4096

/* The routing table: gathers changes, hands them to the controller together, never changes a live GSI's route. */
struct irq_routes {
	pthread_mutex_t lock; /* guards all below; taken after a device's lock */
	struct irq_controller *controller;
	struct irq_route *table; /* [IRQ_GSI_LIMIT] */
	uint8_t *state;          /* [IRQ_GSI_LIMIT]: allocated, attached */
	uint32_t end;            /* no GSI from here on was ever allocated */
	bool dirty;              /* table differs from what the controller has */
	unsigned long updates;   /* how often the controller was given a table */
};

/* lines: how many wired lines exist; each gets its own GSI. The controller outlives the routes. Reported. */
int irq_routes_create(struct irq_routes *routes, struct irq_controller *controller, uint32_t lines);
void irq_routes_destroy(struct irq_routes *routes);

/* Reserves `count` consecutive MSI GSIs, the first in *gsi. -ENOSPC when the table is full (the caller names whose). */
int irq_routes_alloc(struct irq_routes *routes, unsigned count, uint32_t *gsi);
/* Gives them back; they must be detached. */
void irq_routes_free(struct irq_routes *routes, uint32_t gsi, unsigned count);

/*
 * Sets where an MSI GSI leads. Nothing reaches the controller before the next irq_routes_attach() of any GSI whose
 * route is not in force yet. -EBUSY: the GSI is attached and the route would change: detach it first.
 */
int irq_routes_set_msi(struct irq_routes *routes, uint32_t gsi, uint64_t address, uint32_t data,
		       uint32_t devid);

/* Puts pending routes into force (one table update for all of them), then attaches. Reported by the controller. */
int irq_routes_attach(struct irq_routes *routes, uint32_t gsi, int trigger_fd, int resample_fd);
/* Detaches; a GSI that is not attached is ignored. */
void irq_routes_detach(struct irq_routes *routes, uint32_t gsi, int trigger_fd);

/* A non-blocking eventfd for an irqfd; makes room in the process's fd table where it is full. -errno, unreported. */
int irq_eventfd(void);
/* Takes what the eventfd has counted; -1 is ignored. */
void irq_eventfd_drain(int fd);
/* Bit n: fds[n] has counted something; -1 never has. count: up to 64. */
uint64_t irq_eventfds_counted(const int *fds, unsigned count);

#endif

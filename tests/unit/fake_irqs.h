/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An interrupt controller that behaves as KVM with an ITS does: irqfds take what their eventfds count, inject what is
 * there when they are put on, and empty the eventfd when they are taken off. It keeps what it was told, in order.
 */
#ifndef FAKE_IRQS_H
#define FAKE_IRQS_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/irq.h>

#define FAKE_IRQS_LOG 16384

enum fake_irqs_call { FAKE_SET_ROUTES, FAKE_ATTACH, FAKE_DETACH };

struct fake_irqs {
	struct irq_controller base;
	struct irq_route routes[IRQ_GSI_LIMIT]; /* in force */
	int trigger[IRQ_GSI_LIMIT];             /* of the irqfd, -1: none */
	int resample[IRQ_GSI_LIMIT];
	unsigned injected[IRQ_GSI_LIMIT];
	bool level[64]; /* of the first wired lines */
	unsigned updates, attaches, detaches;
	bool route_changed_live;      /* a bug: never do that */
	int fail_routes, fail_attach; /* > 0: this errno, from now on */
	unsigned failures;
	/* What order things came in: calls of ours, and how many SET_IRQS the device had had then. */
	struct {
		enum fake_irqs_call call;
		uint32_t gsi;
		unsigned set_irqs;
	} log[FAKE_IRQS_LOG];
	unsigned log_count;
	const unsigned *set_irqs_count; /* NULL: none */
};

void fake_irqs_init(struct fake_irqs *irqs);

/* Lets every irqfd take what its eventfd has counted. */
void fake_irqs_run(struct fake_irqs *irqs);

/* How many GSIs have an irqfd. */
unsigned fake_irqs_attached(const struct fake_irqs *irqs);

#endif

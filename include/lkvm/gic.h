/* SPDX-License-Identifier: GPL-2.0-only */
/* The in-kernel interrupt controller and where its frames lie. */
#ifndef LKVM_GIC_H
#define LKVM_GIC_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/irq.h>
#include <lkvm/mmio.h>
#include <lkvm/vm.h>

enum irqchip { IRQCHIP_AUTO, IRQCHIP_GICV2, IRQCHIP_GICV2M, IRQCHIP_GICV3, IRQCHIP_GICV3_ITS };

struct gic {
	struct irq_controller base;
	struct vm *vm;
	enum irqchip kind;
	int fd, its_fd;
	unsigned vcpus, spis; /* spis: a multiple of 32 */
	uint64_t redist_base; /* GICv3: first redistributor, or GICv2: CPU interface */
	uint64_t redist_size;
	uint64_t msi_base, msi_size;   /* ITS or GICv2m frame; size 0: no MSIs */
	unsigned v2m_first, v2m_count; /* SPIs the GICv2m frame hands out */
	struct mmio_region v2m;
	struct mmio_bus *mmio; /* v2m is on it */
};

/*
 * What `wanted` comes to on this host: AUTO tries GICv3+ITS, GICv3, GICv2m, GICv2. -ENOTSUP, reported with what the host
 * does offer. Needs only the VM, so that it can be asked before anything is loaded.
 */
int gic_choose(const struct vm *vm, enum irqchip wanted, unsigned vcpus, enum irqchip *chosen);

/* Creates it once all vCPUs exist and initialises it; spis wired lines. Reported. destroy accepts a zeroed object. */
int gic_create(struct gic *gic, struct vm *vm, struct mmio_bus *mmio, enum irqchip kind,
	       unsigned vcpus, unsigned spis);
void gic_destroy(struct gic *gic);

/* "gicv3-its" and so on; NULL-safe both ways: -EINVAL for a name that is none. */
const char *irqchip_name(enum irqchip kind);
int irqchip_parse(const char *name, enum irqchip *kind);

/* The guest-physical page a device's MSIs are written to (GITS_TRANSLATER's, or the GICv2m frame); 0: no MSIs. */
uint64_t gic_msi_doorbell(const struct gic *gic);
/* The same for a GIC to be, before there is a VM for it: its frames are chosen by kind and number of vCPUs alone. */
uint64_t gic_msi_doorbell_of(enum irqchip kind, unsigned vcpus);

#endif

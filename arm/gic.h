/* SPDX-License-Identifier: GPL-2.0-only */
/* Between gic.c (frames), gic_irqs.c (lines and routes) and gicv2m.c (the MSI frame of GICv2m). */
#ifndef ARM_GIC_PRIVATE_H
#define ARM_GIC_PRIVATE_H

#include <lkvm/gic.h>

extern const struct irq_controller_class gic_class;

/* Puts the frame's registers on the bus; destroy takes them off, if they are there. */
int gicv2m_create(struct gic *gic, struct mmio_bus *mmio);
void gicv2m_destroy(struct gic *gic);
/* The SPI that an MSI with this address and data raises, or -EINVAL: no doorbell, or none of the frame's SPIs. */
int gicv2m_line(const struct gic *gic, uint64_t address, uint32_t data);

#endif

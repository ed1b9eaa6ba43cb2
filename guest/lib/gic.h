/* SPDX-License-Identifier: GPL-2.0-only */
/* A GICv3 with ITS, enough of it for one vCPU to take SPIs and LPIs (Arm IHI 0069). */
#ifndef GUEST_GIC_H
#define GUEST_GIC_H

#include "lib.h"

#define GIC_SPI_BASE 32
#define GIC_LPI_BASE 8192
#define GIC_LPIS     4096

/* Interrupts taken, by what they were; those beyond the tables count as `other`. */
extern volatile unsigned gic_spis_taken[64], gic_lpis_taken[GIC_LPIS], gic_others_taken;

/* Called for each SPI before its EOI, if set: makes the device let go of the line. */
extern void (*gic_spi_hook)(unsigned spi);

void gic_init(void);
void gic_enable_spi(unsigned spi); /* level-triggered, to this vCPU */

/* The ITS, after gic_init(): the doorbell's address, and event `event` of `device` leading to LPI GIC_LPI_BASE + lpi. */
uint64_t its_init(void);
void its_map_device(uint32_t device, unsigned events);
void its_map_event(uint32_t device, uint32_t event, unsigned lpi);

void gic_take_irq(void);

static inline void irqs_on(void)
{
	asm volatile("msr daifclr, #2" : : : "memory");
}

static inline void irqs_off(void)
{
	asm volatile("msr daifset, #2" : : : "memory");
}

#endif

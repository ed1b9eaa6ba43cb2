/* SPDX-License-Identifier: GPL-2.0-only */
/* pvpanic-mmio: one byte by which the guest's kernel says that it has panicked. */
#ifndef LKVM_PVPANIC_H
#define LKVM_PVPANIC_H

#include <lkvm/loop.h>
#include <lkvm/mmio.h>

struct pvpanic {
	struct mmio_bus *mmio;
	struct mmio_region region;
	struct loop *loop;
};

/* Reads tell the events it knows: panicked (bit 0), crash kernel loaded (bit 1, which goes on). Bit 0: RUN_PANIC. Reported. */
int pvpanic_create(struct pvpanic *pvpanic, struct mmio_bus *mmio, struct loop *loop);
void pvpanic_destroy(struct pvpanic *pvpanic);

#endif

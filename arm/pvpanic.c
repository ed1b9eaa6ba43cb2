// SPDX-License-Identifier: GPL-2.0-only
#include <lkvm/memory_map.h>
#include <lkvm/pvpanic.h>
#include <lkvm/report.h>

#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02

static uint64_t pvpanic_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)size;
	return offset ? 0 : PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

/* A crash kernel that is loaded takes over and ends the run in its own way. */
static void pvpanic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pvpanic *pvpanic = device;

	(void)size;
	if (offset)
		return;
	if (value & PVPANIC_PANICKED)
		loop_end(pvpanic->loop, RUN_PANIC);
	else if (value & PVPANIC_CRASH_LOADED)
		report_info("the guest panicked and starts its crash kernel");
}

static const struct mmio_ops pvpanic_ops = { pvpanic_read, pvpanic_write };

int pvpanic_create(struct pvpanic *pvpanic, struct mmio_bus *mmio, struct loop *loop)
{
	int err;

	*pvpanic = (struct pvpanic){
		.mmio = mmio,
		.region = { "pvpanic", MAP_PVPANIC_BASE, MAP_PVPANIC_SIZE, &pvpanic_ops, pvpanic },
		.loop = loop,
	};
	err = mmio_bus_add(mmio, &pvpanic->region);
	if (err)
		pvpanic->mmio = NULL;
	return err ? report(err, "cannot put pvpanic on the bus") : 0;
}

void pvpanic_destroy(struct pvpanic *pvpanic)
{
	if (pvpanic->mmio)
		mmio_bus_remove(pvpanic->mmio, &pvpanic->region);
	pvpanic->mmio = NULL;
}

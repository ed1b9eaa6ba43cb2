// SPDX-License-Identifier: GPL-2.0-only
/* The GICv2m MSI frame (Arm Server Base System Architecture, DEN0029, appendix E). */
#include <errno.h>
#include <stddef.h>
#include <lkvm/report.h>
#include "gic.h"

#define MSI_TYPER     0x008 /* base SPI in 25:16, number in 9:0 */
#define MSI_SETSPI_NS 0x040
#define MSI_IIDR      0xfcc
#define MSI_IIDR_V2M  0x0000043b

static uint64_t frame_read(void *device, uint64_t offset, unsigned size)
{
	const struct gic *gic = device;

	if (size != 4)
		return 0;
	if (offset == MSI_TYPER)
		return gic->v2m_first << 16 | gic->v2m_count;
	return offset == MSI_IIDR ? MSI_IIDR_V2M : 0;
}

/* A vCPU may raise an MSI as a device does: a write of the SPI's INTID. */
static void frame_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct gic *gic = device;
	int line;

	if (offset != MSI_SETSPI_NS || size != 4)
		return;
	line = gicv2m_line(gic, gic->msi_base + MSI_SETSPI_NS, (uint32_t)value);
	if (line < 0)
		return;
	irq_set_level(&gic->base, (uint32_t)line, true);
	irq_set_level(&gic->base, (uint32_t)line, false);
}

static const struct mmio_ops frame_ops = { .read = frame_read, .write = frame_write };

int gicv2m_create(struct gic *gic, struct mmio_bus *mmio)
{
	int err;

	gic->v2m = (struct mmio_region){ "GICv2m", gic->msi_base, gic->msi_size, &frame_ops, gic };
	err = mmio_bus_add(mmio, &gic->v2m);
	if (err)
		return report(err, "cannot place the GICv2m frame");
	gic->mmio = mmio;
	return 0;
}

void gicv2m_destroy(struct gic *gic)
{
	if (gic->mmio)
		mmio_bus_remove(gic->mmio, &gic->v2m);
	gic->mmio = NULL;
}

int gicv2m_line(const struct gic *gic, uint64_t address, uint32_t data)
{
	if (address != gic->msi_base + MSI_SETSPI_NS || data - gic->v2m_first >= gic->v2m_count)
		return -EINVAL;
	return (int)(data - 32);
}

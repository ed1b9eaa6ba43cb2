// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's accesses to the virtual configuration space of a passed-through function.
 *
 * Each bit is virtual (in function.config[], changed under function.writable[]) or live: read from the device, and where
 * through[] says so written to it, by way of VFIO, which filters once more. config_build.c decides which is which.
 */
#include <string.h>
#include "irq.h"

/* --- the device's registers --- */

uint32_t vfio_hw_config_read(const struct vfio_device *dev, unsigned offset, unsigned size)
{
	uint64_t at = dev->regions[VFIO_PCI_CONFIG_REGION_INDEX].offset + offset;
	uint8_t bytes[4];

	if (vfio_pread(dev->fd, bytes, size, at) != (int64_t)size)
		memset(bytes, 0xff, sizeof(bytes));
	return pci_get(bytes, 0, size);
}

static void hw_write(const struct vfio_device *dev, unsigned offset, unsigned size, uint32_t value)
{
	uint64_t at = dev->regions[VFIO_PCI_CONFIG_REGION_INDEX].offset + offset;
	uint8_t bytes[4];

	pci_put(bytes, 0, size, value);
	(void)vfio_pwrite(dev->fd, bytes, size, at);
}

bool vfio_config_powered(const struct vfio_device *dev)
{
	return !dev->pm_cap ||
	       !(vfio_hw_config_read(dev, dev->pm_cap + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK);
}

/*
 * The device decodes its BARs all the time: what the guest decodes is what is mapped for it, and VFIO withdraws mappings
 * from a device that does not decode.
 */
static uint16_t command_for(const struct vfio_device *dev)
{
	uint32_t guest = pci_get(dev->function.config, PCI_COMMAND, 2);

	return (uint16_t)((guest & (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)) |
			  dev->decode_bits);
}

void vfio_config_sync(struct vfio_device *dev)
{
	dev->hw_command = command_for(dev);
	hw_write(dev, PCI_COMMAND, 2, dev->hw_command);
}

/* --- the guest's accesses --- */

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned length)
{
	return offset < start + length && start < offset + size;
}

static void refresh_pending(struct vfio_device *dev, unsigned offset, unsigned size)
{
	uint8_t *config = dev->function.config;
	unsigned cap = dev->irq.msi_cap, mask;

	if (!cap)
		return;
	mask = vfio_msi_mask_offset((uint16_t)pci_get(config, cap + PCI_MSI_FLAGS, 2));
	if (mask && touches(offset, size, cap + mask + 4, 4))
		pci_put(config, cap + mask + 4, 4, vfio_msi_pending(dev));
}

uint32_t vfio_config_read(struct pci_function *function, unsigned offset, unsigned size)
{
	struct vfio_device *dev = (struct vfio_device *)function;
	uint32_t live = pci_get(dev->live, offset, size);

	refresh_pending(dev, offset, size);
	if (!live)
		return pci_get(function->config, offset, size);
	return (pci_get(function->config, offset, size) & ~live) |
	       (vfio_hw_config_read(dev, offset, size) & live);
}

static bool all_through(const struct vfio_device *dev, unsigned offset, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (!dev->through[offset + i])
			return false;
	return true;
}

static void write_piece(struct vfio_device *dev, unsigned offset, unsigned size, uint32_t value)
{
	uint32_t mask = pci_get(dev->through, offset, size);
	uint32_t all = ~0U >> (32 - 8 * size);

	if (mask != all)
		value = (value & mask) | (vfio_hw_config_read(dev, offset, size) & ~mask);
	hw_write(dev, offset, size, value);
}

/* In the largest pieces that lie in live registers altogether: some act on being written, and act once. */
static void write_through(struct vfio_device *dev, unsigned offset, unsigned size, uint64_t value)
{
	unsigned end = offset + size, piece;

	for (; offset < end; offset += piece, value >>= 8 * piece) {
		piece = 4;
		while (piece > 1 &&
		       (offset % piece || offset + piece > end || !all_through(dev, offset, piece)))
			piece /= 2;
		if (all_through(dev, offset, piece))
			write_piece(dev, offset, piece, (uint32_t)value);
	}
}

/* The guest moves the device between power states: below D0 its BARs do not answer, and must be trapped before. */
static void write_power_state(struct vfio_device *dev, unsigned offset, unsigned size,
			      uint32_t value)
{
	uint32_t state = value >> 8 * (dev->pm_cap + PCI_PM_CTRL - offset) & PCI_PM_CTRL_STATE_MASK;

	if (state)
		vfio_regions_suspend(dev);
	write_through(dev, offset, size, value);
	if (vfio_config_powered(dev))
		vfio_regions_resume(dev);
}

void vfio_config_written(struct pci_function *function, unsigned offset, unsigned size,
			 uint32_t value)
{
	struct vfio_device *dev = (struct vfio_device *)function;

	if (touches(offset, size, PCI_COMMAND, 2) && dev->hw_command != command_for(dev))
		vfio_config_sync(dev);
	if (dev->pm_cap && touches(offset, size, dev->pm_cap + PCI_PM_CTRL, 1))
		write_power_state(dev, offset, size, value);
	else
		write_through(dev, offset, size, value);
	vfio_irq_config_written(dev, offset, size);
}

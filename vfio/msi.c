// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI (PCIe 5.0, 6.1.4, 7.7.1). Address, data and mask lie in the virtual configuration space, so that an update reads
 * them all anew. All vectors are connected when the guest enables MSI; masking works as for MSI-X.
 */
#include <assert.h>
#include <errno.h>
#include <lkvm/report.h>
#include "irq.h"

#define MSI_VECTORS_MAX 32

unsigned vfio_msi_mask_offset(uint16_t control)
{
	if (!(control & PCI_MSI_FLAGS_MASKBIT))
		return 0;
	return control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32;
}

unsigned vfio_msi_size(uint16_t control)
{
	unsigned mask = vfio_msi_mask_offset(control);

	if (mask)
		return mask + 8;
	return (control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32) + 2;
}

static uint32_t reg(const struct vfio_device *dev, unsigned offset, unsigned size)
{
	return pci_get(dev->function.config, dev->irq.msi_cap + offset, size);
}

static uint16_t control_of(const struct vfio_device *dev)
{
	return (uint16_t)reg(dev, PCI_MSI_FLAGS, 2);
}

static bool masked(const struct vfio_device *dev, unsigned vector)
{
	unsigned offset = vfio_msi_mask_offset(control_of(dev));

	return offset && (reg(dev, offset, 4) >> vector & 1);
}

uint32_t vfio_msi_pending(const struct vfio_device *dev)
{
	if (dev->irq.mode != VFIO_IRQ_MSI)
		return 0;
	return (uint32_t)vfio_vectors_pending(dev, 0, dev->irq.in_force);
}

/* The device replaces the low bits of the data by the vector's number (PCIe 5.0, 6.1.4.2). */
void vfio_msi_message(const struct vfio_device *dev, unsigned vector, uint64_t *address,
		      uint32_t *data)
{
	bool is64 = control_of(dev) & PCI_MSI_FLAGS_64BIT;
	uint64_t high = is64 ? reg(dev, PCI_MSI_ADDRESS_HI, 4) : 0;
	uint32_t low = (1U << dev->irq.msi_enable) - 1;

	*address = high << 32 | reg(dev, PCI_MSI_ADDRESS_LO, 4);
	*data = (reg(dev, is64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32, 2) & ~low) | vector;
}

static void set_routes(struct vfio_device *dev)
{
	for (unsigned i = 0; i < dev->irq.in_force; i++) {
		uint32_t gsi = dev->irq.vectors[i].gsi, message;
		uint64_t address;

		vfio_msi_message(dev, i, &address, &message);
		if (irq_routes_set_msi(dev->routes, gsi, address, message, dev->function.devfn) !=
		    -EBUSY)
			continue;
		/* Live, and the message is another: KVM must not see a route change under an irqfd. */
		vfio_vector_detach(dev, i);
		irq_routes_set_msi(dev->routes, gsi, address, message, dev->function.devfn);
	}
}

/* The number of enabled vectors may not change while MSI is enabled (7.7.1.2); one above what is offered is clamped. */
static void hold_enable(struct vfio_device *dev)
{
	unsigned control = control_of(dev) & ~(unsigned)PCI_MSI_FLAGS_QSIZE;

	pci_put(dev->function.config, dev->irq.msi_cap + PCI_MSI_FLAGS, 2,
		control | (unsigned)dev->irq.msi_enable << 4);
}

void vfio_msi_update(struct vfio_device *dev)
{
	hold_enable(dev);
	if (!dev->irq.in_force)
		return;
	set_routes(dev);
	for (unsigned i = 0; i < dev->irq.in_force; i++) {
		if (masked(dev, i))
			vfio_vector_detach(dev, i);
		else if (!dev->irq.refused)
			vfio_vector_attach(dev, i);
	}
}

static int enable_on_host(struct vfio_device *dev, unsigned count)
{
	int32_t fds[MSI_VECTORS_MAX];

	for (unsigned i = 0; i < count; i++)
		fds[i] = dev->irq.vectors[i].eventfd;
	return vfio_irq_set_eventfds(dev, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 0,
				     count, fds);
}

/* With fewer vectors than the guest enabled, the device sends the others' messages on those it has. */
static void arm(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;
	unsigned count = irq->in_force, fewer = 1;
	int ret = enable_on_host(dev, count);

	if (ret > 0 && (unsigned)ret < count) {
		vfio_vectors_complain(dev, ret, count);
		while (fewer * 2 <= (unsigned)ret)
			fewer *= 2;
		for (unsigned i = fewer; i < count; i++)
			vfio_vector_detach(dev, i);
		count = irq->in_force = fewer;
		ret = enable_on_host(dev, count);
	}
	for (unsigned i = 0; ret == 0 && i < count; i++)
		irq->vectors[i].armed = true;
	if (ret == 0)
		return;
	for (unsigned i = 0; i < count; i++)
		vfio_vector_detach(dev, i);
	irq->in_force = 0;
	vfio_vectors_complain(dev, ret, count);
}

void vfio_msi_enter(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;
	unsigned count;

	irq->msi_enable = (uint8_t)((control_of(dev) & PCI_MSI_FLAGS_QSIZE) >> 4);
	while (1U << irq->msi_enable > irq->msi_vectors)
		irq->msi_enable--;
	count = 1U << irq->msi_enable;
	hold_enable(dev);
	if (!vfio_vectors_ready(dev))
		return;
	for (unsigned i = 0; i < count; i++)
		if (vfio_vector_open(dev, i) < 0)
			return;
	irq->in_force = count;
	vfio_msi_update(dev);
	arm(dev);
}

void vfio_msi_leave(struct vfio_device *dev)
{
	vfio_vectors_disarm(dev, VFIO_PCI_MSI_IRQ_INDEX);
}

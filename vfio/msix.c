// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI-X (PCIe 5.0, 6.1.4, 7.7.2). The guest's table is memory of ours: the host's kernel owns the device's. A vector is
 * connected the first time the guest unmasks it; from then on masking only takes KVM's irqfd off the vector's eventfd,
 * which goes on counting the device's messages: that is the pending bit, and unmasking delivers it.
 */
#include <string.h>
#include "irq.h"

/* --- vectors --- */

static bool deliverable(const struct vfio_device *dev, unsigned vector)
{
	const struct vfio_irq *irq = &dev->irq;
	uint32_t control = pci_get(dev->function.config, irq->msix_cap + PCI_MSIX_FLAGS, 2);

	return pci_msix_table_deliverable(&irq->msix, vector, control);
}

static void connect(struct vfio_device *dev, unsigned vector)
{
	struct vfio_vector *v = &dev->irq.vectors[vector];
	int ret;

	if (v->attached || dev->irq.refused || vector >= dev->irq.in_force)
		return;
	pci_msix_table_route(&dev->irq.msix, dev->routes, dev->irq.first_gsi, dev->function.devfn);
	if (vfio_vector_attach(dev, vector) < 0 || v->armed)
		return;
	ret = vfio_irq_set_eventfds(dev, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER,
				    vector, 1, &v->eventfd);
	if (ret == 0) {
		v->armed = true;
		return;
	}
	vfio_vector_detach(dev, vector);
	vfio_vectors_complain(dev, ret, dev->irq.msix.vectors);
}

static void update_vector(struct vfio_device *dev, unsigned vector)
{
	if (deliverable(dev, vector))
		connect(dev, vector);
	else
		vfio_vector_detach(dev, vector);
}

void vfio_msix_update(struct vfio_device *dev)
{
	for (unsigned i = 0; i < dev->irq.msix.vectors; i++)
		update_vector(dev, i);
}

/*
 * MSI-X is enabled in the device when the guest enables it, with no vector connected, so that the device behaves as the
 * guest expects and its own PBA counts. A kernel that says NORESIZE fixes the number of vectors here; others make each
 * vector when it gets its eventfd.
 */
static void enable_on_host(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;
	bool fixed = irq->flags[VFIO_PCI_MSIX_IRQ_INDEX] & VFIO_IRQ_INFO_NORESIZE;
	unsigned count = fixed ? irq->msix.vectors : 1;
	int32_t none[PCI_MSIX_VECTORS_MAX];
	int ret;

	memset(none, -1, sizeof(none));
	ret = vfio_irq_set_eventfds(dev, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, 0,
				    count, none);
	if (ret > 0 && (unsigned)ret < count) {
		vfio_vectors_complain(dev, ret, count);
		count = (unsigned)ret;
		ret = vfio_irq_set_eventfds(dev, VFIO_PCI_MSIX_IRQ_INDEX,
					    VFIO_IRQ_SET_ACTION_TRIGGER, 0, count, none);
	}
	if (ret != 0)
		vfio_vectors_complain(dev, ret, irq->msix.vectors);
	else
		irq->in_force = fixed ? count : irq->msix.vectors;
}

void vfio_msix_enter(struct vfio_device *dev)
{
	if (!vfio_vectors_ready(dev))
		return;
	/* The GSIs may still lead where MSI had them. */
	dev->irq.msix.changed = true;
	enable_on_host(dev);
	vfio_msix_update(dev);
}

void vfio_msix_leave(struct vfio_device *dev)
{
	vfio_vectors_disarm(dev, VFIO_PCI_MSIX_IRQ_INDEX);
}

/* --- the guest's accesses --- */

bool vfio_msix_covers(const struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size)
{
	return dev->irq.msix_cap && pci_msix_table_covers(&dev->irq.msix, bar, offset, size);
}

/*
 * Bits of vectors that are masked here come from their eventfds; of those never connected, from the device, in which
 * they are masked.
 */
static uint64_t read_pba(struct vfio_device *dev, uint64_t offset, unsigned size)
{
	const struct pci_msix_table *table = &dev->irq.msix;
	unsigned first, count = pci_msix_pba_vectors(table, offset, size, &first);
	uint64_t bits;

	if (!count)
		return 0;
	bits = vfio_region_read(dev, table->pba_bar, offset, size) |
	       vfio_vectors_pending(dev, first, count);
	return bits & (~0ULL >> (64 - count));
}

uint64_t vfio_msix_read(struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size)
{
	if (!pci_msix_access_proper(&dev->function, offset, size))
		return ~0ULL;
	if (!pci_msix_table_holds(&dev->irq.msix, bar, offset))
		return read_pba(dev, offset, size);
	return pci_msix_table_read(&dev->irq.msix, offset, size);
}

void vfio_msix_write(struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value)
{
	struct vfio_irq *irq = &dev->irq;
	bool message_changed;
	unsigned vector;

	if (!pci_msix_access_proper(&dev->function, offset, size) ||
	    !pci_msix_table_holds(&irq->msix, bar, offset))
		return;
	vector = pci_msix_table_write(&irq->msix, offset, size, value, &message_changed);
	if (irq->mode != VFIO_IRQ_MSIX)
		return;
	/* A message changed while unmasked is the guest's mistake; KVM's rule still is: no new route under an irqfd. */
	if (message_changed)
		vfio_vector_detach(dev, vector);
	update_vector(dev, vector);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI-X (PCIe 5.0, 6.1.4, 7.7.2). The guest's table is memory of ours: the host's kernel owns the device's. A vector is
 * connected the first time the guest unmasks it; from then on masking only takes KVM's irqfd off the vector's eventfd,
 * which goes on counting the device's messages: that is the pending bit, and unmasking delivers it.
 */
#include <assert.h>
#include <string.h>
#include <lkvm/report.h>
#include "irq.h"

static uint32_t field(const struct vfio_irq *irq, unsigned vector, unsigned offset)
{
	return pci_get(irq->msix_table, vector * PCI_MSIX_ENTRY_SIZE + offset, 4);
}

static uint64_t table_size(const struct vfio_irq *irq)
{
	return (uint64_t)irq->msix_vectors * PCI_MSIX_ENTRY_SIZE;
}

/* The Pending Bit Array comes in whole quadwords (PCIe 5.0, 7.7.2.9). */
static uint64_t pba_size(const struct vfio_irq *irq)
{
	return ((uint64_t)irq->msix_vectors + 63) / 64 * 8;
}

void vfio_msix_reset_table(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	if (!irq->msix_table)
		return;
	memset(irq->msix_table, 0, table_size(irq));
	for (unsigned i = 0; i < irq->msix_vectors; i++) {
		pci_put(irq->msix_table, i * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 4,
			PCI_MSIX_ENTRY_CTRL_MASKBIT);
		irq->vectors[i].written = false;
	}
	irq->messages_changed = false;
}

/* --- vectors --- */

/* An entry that never got a message has nowhere to go, masked or not. */
static bool deliverable(const struct vfio_device *dev, unsigned vector)
{
	const struct vfio_irq *irq = &dev->irq;
	uint32_t control = pci_get(dev->function.config, irq->msix_cap + PCI_MSIX_FLAGS, 2);

	return irq->vectors[vector].written && !(control & PCI_MSIX_FLAGS_MASKALL) &&
	       !(field(irq, vector, PCI_MSIX_ENTRY_VECTOR_CTRL) & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void vfio_msix_message(const struct vfio_device *dev, unsigned vector, uint64_t *address,
		       uint32_t *data)
{
	const struct vfio_irq *irq = &dev->irq;
	uint64_t high = field(irq, vector, PCI_MSIX_ENTRY_UPPER_ADDR);

	*address = high << 32 | field(irq, vector, PCI_MSIX_ENTRY_LOWER_ADDR);
	*data = field(irq, vector, PCI_MSIX_ENTRY_DATA);
}

/*
 * Routes of all messages the guest has written, not only of the vector it unmasks: drivers write them all before they
 * unmask the first, and KVM only knows how to replace its whole table.
 */
static void set_routes(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	if (!irq->messages_changed)
		return;
	for (unsigned i = 0; i < irq->msix_vectors; i++) {
		uint64_t address;
		uint32_t data;

		vfio_msix_message(dev, i, &address, &data);
		if (irq->vectors[i].written)
			irq_routes_set_msi(dev->routes, irq->vectors[i].gsi, address, data,
					   dev->function.devfn);
	}
	irq->messages_changed = false;
}

static void connect(struct vfio_device *dev, unsigned vector)
{
	struct vfio_vector *v = &dev->irq.vectors[vector];
	int ret;

	if (v->attached || dev->irq.refused || vector >= dev->irq.in_force)
		return;
	set_routes(dev);
	if (vfio_vector_attach(dev, vector) < 0 || v->armed)
		return;
	ret = vfio_irq_set_eventfds(dev, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER,
				    vector, 1, &v->eventfd);
	if (ret == 0) {
		v->armed = true;
		return;
	}
	vfio_vector_detach(dev, vector);
	vfio_vectors_complain(dev, ret, dev->irq.msix_vectors);
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
	for (unsigned i = 0; i < dev->irq.msix_vectors; i++)
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
	unsigned count = fixed ? irq->msix_vectors : 1;
	int32_t none[VFIO_VECTORS_MAX];
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
		vfio_vectors_complain(dev, ret, irq->msix_vectors);
	else
		irq->in_force = fixed ? count : irq->msix_vectors;
}

void vfio_msix_enter(struct vfio_device *dev)
{
	if (!vfio_vectors_ready(dev))
		return;
	/* The GSIs may still lead where MSI had them. */
	dev->irq.messages_changed = true;
	enable_on_host(dev);
	vfio_msix_update(dev);
}

void vfio_msix_leave(struct vfio_device *dev)
{
	vfio_vectors_disarm(dev, VFIO_PCI_MSIX_IRQ_INDEX);
}

/* --- the guest's accesses --- */

static bool touches(uint64_t offset, unsigned size, uint64_t start, uint64_t length)
{
	return offset < start + length && start < offset + size;
}

bool vfio_msix_covers(const struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size)
{
	const struct vfio_irq *irq = &dev->irq;

	if (!irq->msix_cap)
		return false;
	return (bar == irq->msix_bar && touches(offset, size, irq->msix_offset, table_size(irq))) ||
	       (bar == irq->pba_bar && touches(offset, size, irq->pba_offset, pba_size(irq)));
}

/*
 * Aligned double words and quadwords are all that software may use (PCIe 5.0, 7.7.2). Table and PBA are aligned to a
 * quadword, so that such an access lies within one of them altogether.
 */
static bool proper(struct vfio_device *dev, uint64_t offset, unsigned size)
{
	if ((size == 4 || size == 8) && offset % size == 0)
		return true;
	report_once(&dev->function.complained,
		    "%s: the guest accesses the MSI-X table or PBA with %u bytes at an offset of "
		    "0x%llx",
		    dev->function.name, size, (unsigned long long)offset);
	return false;
}

static bool in_table(const struct vfio_irq *irq, unsigned bar, uint64_t offset)
{
	return bar == irq->msix_bar && offset >= irq->msix_offset &&
	       offset - irq->msix_offset < table_size(irq);
}

/*
 * Bits of vectors that are masked here come from their eventfds; of those never connected, from the device, in which
 * they are masked.
 */
static uint64_t read_pba(struct vfio_device *dev, uint64_t offset, unsigned size)
{
	const struct vfio_irq *irq = &dev->irq;
	unsigned first = (unsigned)(offset - irq->pba_offset) * 8, count = size * 8;
	uint64_t bits;

	if (first >= irq->msix_vectors)
		return 0;
	if (count > irq->msix_vectors - first)
		count = irq->msix_vectors - first;
	bits = vfio_region_read(dev, irq->pba_bar, offset, size) |
	       vfio_vectors_pending(dev, first, count);
	return bits & (~0ULL >> (64 - count));
}

uint64_t vfio_msix_read(struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size)
{
	const struct vfio_irq *irq = &dev->irq;
	unsigned at = (unsigned)(offset - irq->msix_offset);
	uint64_t value;

	if (!proper(dev, offset, size))
		return ~0ULL;
	if (!in_table(irq, bar, offset))
		return read_pba(dev, offset, size);
	value = pci_get(irq->msix_table, at, 4);
	if (size == 8)
		value |= (uint64_t)pci_get(irq->msix_table, at + 4, 4) << 32;
	return value;
}

static void write_dword(struct vfio_device *dev, unsigned at, uint32_t value)
{
	struct vfio_irq *irq = &dev->irq;
	unsigned vector = at / PCI_MSIX_ENTRY_SIZE, offset = at % PCI_MSIX_ENTRY_SIZE;
	struct vfio_vector *v = &irq->vectors[vector];
	bool changes;

	if (offset == PCI_MSIX_ENTRY_LOWER_ADDR)
		value &= ~3U; /* a message is a double word, aligned (7.7.2.5) */
	if (offset == PCI_MSIX_ENTRY_VECTOR_CTRL)
		value &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	changes = pci_get(irq->msix_table, at, 4) != value;
	pci_put(irq->msix_table, at, 4, value);
	if (offset == PCI_MSIX_ENTRY_VECTOR_CTRL || (v->written && !changes))
		return;
	v->written = true;
	irq->messages_changed = true;
	/* A message changed while unmasked is the guest's mistake; KVM's rule still is: no new route under an irqfd. */
	if (irq->mode == VFIO_IRQ_MSIX)
		vfio_vector_detach(dev, vector);
}

void vfio_msix_write(struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value)
{
	const struct vfio_irq *irq = &dev->irq;
	unsigned at = (unsigned)(offset - irq->msix_offset);

	if (!proper(dev, offset, size) || !in_table(irq, bar, offset))
		return;
	write_dword(dev, at, (uint32_t)value);
	if (size == 8)
		write_dword(dev, at + 4, (uint32_t)(value >> 32));
	if (irq->mode == VFIO_IRQ_MSIX)
		update_vector(dev, at / PCI_MSIX_ENTRY_SIZE);
}

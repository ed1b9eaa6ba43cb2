// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of a passed-through function. The guest's message reaches it without lkvm: the device's MSI signals an
 * eventfd in the host's kernel, and KVM turns that into the interrupt the routing table says (irqfd). What is done here
 * is to connect the two when the guest wants it, in the order route, irqfd, VFIO: KVM can then let the hardware deliver
 * the interrupt itself (GICv4) the moment VFIO registers its end.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "irq.h"
#include "irq_report.h"

#define DECODES (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

struct mode_ops {
	void (*enter)(struct vfio_device *dev);
	void (*leave)(struct vfio_device *dev);
	void (*update)(struct vfio_device *dev);
};

static void nothing(struct vfio_device *dev)
{
	(void)dev;
}

static const struct mode_ops modes[] = {
	[VFIO_IRQ_NONE] = { nothing, nothing, nothing },
	[VFIO_IRQ_INTX] = { vfio_intx_enter, vfio_intx_leave, nothing },
	[VFIO_IRQ_MSI] = { vfio_msi_enter, vfio_msi_leave, vfio_msi_update },
	[VFIO_IRQ_MSIX] = { vfio_msix_enter, vfio_msix_leave, vfio_msix_update },
};

/* --- the host's side --- */

int vfio_irq_set_eventfds(struct vfio_device *dev, uint32_t index, uint32_t action, uint32_t start,
			  uint32_t count, const int32_t *fds)
{
	struct vfio_irq_set set = {
		.argsz = (uint32_t)(sizeof(set) + count * sizeof(*fds)),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | action,
		.index = index,
		.start = start,
		.count = count,
	};
	_Alignas(struct vfio_irq_set)
		uint8_t arg[sizeof(set) + PCI_MSIX_VECTORS_MAX * sizeof(*fds)];

	assert(count <= PCI_MSIX_VECTORS_MAX);
	memcpy(arg, &set, sizeof(set));
	memcpy(arg + sizeof(set), fds, count * sizeof(*fds));
	return vfio_ioctl_call(dev->fd, VFIO_DEVICE_SET_IRQS, arg);
}

/* What fails here is an index that is not in force, which is what was asked for. */
void vfio_irq_disable(struct vfio_device *dev, uint32_t index)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
	};

	vfio_ioctl_call(dev->fd, VFIO_DEVICE_SET_IRQS, &set);
}

/* --- vectors of MSI and MSI-X --- */

static bool allocate_gsis(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	if (irq->gsis_allocated)
		return true;
	if (pci_msi_alloc_gsis(&dev->function, dev->routes, irq->vectors_count, &irq->first_gsi) <
	    0) {
		irq->refused = true;
		return false;
	}
	for (unsigned i = 0; i < irq->vectors_count; i++)
		irq->vectors[i].gsi = irq->first_gsi + i;
	irq->gsis_allocated = true;
	return true;
}

bool vfio_vectors_ready(struct vfio_device *dev)
{
	if (!dev->routes || dev->irq.refused)
		return false;
	if (!dev->irqs->msi) {
		report_once(&dev->function.complained,
			    "%s: the guest enabled MSIs, which its interrupt controller lacks",
			    dev->function.name);
		return false;
	}
	return allocate_gsis(dev);
}

int vfio_vector_open(struct vfio_device *dev, unsigned vector)
{
	struct vfio_vector *v = &dev->irq.vectors[vector];

	if (v->eventfd < 0)
		v->eventfd = irq_eventfd();
	if (v->eventfd < 0)
		report_once(&dev->function.complained,
			    "%s: no eventfd for interrupt vector %u: %s; raise `ulimit -n`",
			    dev->function.name, vector, strerror(-v->eventfd));
	return v->eventfd;
}

int vfio_vector_attach(struct vfio_device *dev, unsigned vector)
{
	struct vfio_vector *v = &dev->irq.vectors[vector];
	int ret;

	if (v->attached)
		return 0;
	ret = vfio_vector_open(dev, vector);
	if (ret < 0)
		return ret;
	ret = irq_routes_attach(dev->routes, v->gsi, v->eventfd, -1);
	if (ret < 0)
		dev->irq.refused = true; /* the controller reports each failure: let there be one */
	else
		v->attached = true;
	return ret;
}

void vfio_vector_detach(struct vfio_device *dev, unsigned vector)
{
	struct vfio_vector *v = &dev->irq.vectors[vector];

	if (!v->attached)
		return;
	vfio_irq_note(dev);
	irq_routes_detach(dev->routes, v->gsi, v->eventfd);
	v->attached = false;
}

/*
 * KVM empties the eventfd when its irqfd is taken off, so that what can be read here came afterwards. It injects such a
 * count by itself when the irqfd is put on again.
 */
uint64_t vfio_vectors_pending(const struct vfio_device *dev, unsigned first, unsigned count)
{
	int fds[64];

	assert(count <= 64);
	for (unsigned i = 0; i < count; i++) {
		const struct vfio_vector *v = &dev->irq.vectors[first + i];

		fds[i] = v->armed && !v->attached ? v->eventfd : -1;
	}
	return irq_eventfds_counted(fds, count);
}

void vfio_vectors_disarm(struct vfio_device *dev, uint32_t index)
{
	struct vfio_irq *irq = &dev->irq;

	for (unsigned i = 0; i < irq->vectors_count; i++)
		vfio_vector_detach(dev, i);
	if (irq->in_force)
		vfio_irq_disable(dev, index);
	irq->in_force = 0;
	for (unsigned i = 0; i < irq->vectors_count; i++) {
		if (irq->vectors[i].armed)
			irq_eventfd_drain(irq->vectors[i].eventfd);
		irq->vectors[i].armed = false;
	}
}

void vfio_vectors_complain(struct vfio_device *dev, int err, unsigned wanted)
{
	if (err > 0)
		report_once(&dev->function.complained,
			    "%s: the host has %d interrupt vectors for it, the guest wants %u; "
			    "the others stay silent",
			    dev->function.name, err, wanted);
	else
		report_once(&dev->function.complained,
			    "%s: the host does not give it an interrupt: %s", dev->function.name,
			    strerror(-err));
}

/* --- which mode is in force --- */

static enum vfio_irq_mode wanted_mode(const struct vfio_device *dev)
{
	const struct vfio_irq *irq = &dev->irq;
	const uint8_t *config = dev->function.config;
	uint32_t command = pci_get(config, PCI_COMMAND, 2);

	if (irq->msix_cap &&
	    (pci_get(config, irq->msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE))
		return VFIO_IRQ_MSIX;
	if (irq->msi_cap &&
	    (pci_get(config, irq->msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE))
		return VFIO_IRQ_MSI;
	if (config[PCI_INTERRUPT_PIN] && !(command & PCI_COMMAND_INTX_DISABLE) &&
	    (command & DECODES))
		return VFIO_IRQ_INTX;
	return VFIO_IRQ_NONE;
}

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned length)
{
	return offset < start + length && start < offset + size;
}

/* Whether a write there can change an interrupt's mode, mask or message. */
static bool concerns_irqs(const struct vfio_device *dev, unsigned offset, unsigned size)
{
	const struct vfio_irq *irq = &dev->irq;

	if (touches(offset, size, PCI_COMMAND, 2))
		return true;
	if (irq->msix_cap && touches(offset, size, irq->msix_cap, PCI_CAP_MSIX_SIZEOF))
		return true;
	return irq->msi_cap &&
	       touches(offset, size, irq->msi_cap,
		       vfio_msi_size((uint16_t)pci_get(dev->function.config,
						       irq->msi_cap + PCI_MSI_FLAGS, 2)));
}

static void change_mode(struct vfio_device *dev, enum vfio_irq_mode mode)
{
	vfio_irq_note(dev);
	modes[dev->irq.mode].leave(dev);
	dev->irq.mode = mode;
	modes[mode].enter(dev);
}

void vfio_irq_config_written(struct vfio_device *dev, unsigned offset, unsigned size)
{
	enum vfio_irq_mode mode;

	if (!dev->routes || !concerns_irqs(dev, offset, size))
		return;
	mode = wanted_mode(dev);
	if (mode != dev->irq.mode)
		change_mode(dev, mode);
	else
		modes[mode].update(dev);
}

/* --- probing, attaching --- */

static void probe_info(struct vfio_device *dev)
{
	for (uint32_t i = 0; i < VFIO_PCI_NUM_IRQS && i < dev->info.num_irqs; i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = i };

		/* The kernel has no ERR interrupt for a function without PCI Express: not a failure. */
		if (vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ||
		    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
			continue;
		dev->irq.counts[i] = info.count;
		dev->irq.flags[i] = info.flags;
	}
}

/* MSI (PCIe 5.0, 7.7.1). */
static void probe_msi(struct vfio_device *dev, const uint8_t *raw)
{
	struct vfio_irq *irq = &dev->irq;
	unsigned cap = vfio_capability_find(raw, PCI_CAP_ID_MSI, PCI_MSI_ADDRESS_LO);
	uint16_t control = cap ? (uint16_t)pci_get(raw, cap + PCI_MSI_FLAGS, 2) : 0;
	unsigned capable = 1U << ((control & PCI_MSI_FLAGS_QMASK) >> 1);

	if (!cap || !irq->counts[VFIO_PCI_MSI_IRQ_INDEX])
		return;
	irq->msi_cap = (uint8_t)cap;
	irq->msi_vectors = 1;
	while (irq->msi_vectors < 32 && irq->msi_vectors < capable &&
	       irq->msi_vectors * 2 <= irq->counts[VFIO_PCI_MSI_IRQ_INDEX])
		irq->msi_vectors *= 2;
}

/* MSI-X (PCIe 5.0, 7.7.2). */
static void probe_msix(struct vfio_device *dev, const uint8_t *raw)
{
	struct vfio_irq *irq = &dev->irq;
	unsigned cap = vfio_capability_find(raw, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	uint32_t table, pba, count;

	if (!cap || !irq->counts[VFIO_PCI_MSIX_IRQ_INDEX])
		return;
	table = pci_get(raw, cap + PCI_MSIX_TABLE, 4);
	pba = pci_get(raw, cap + PCI_MSIX_PBA, 4);
	count = (pci_get(raw, cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
	if (count > irq->counts[VFIO_PCI_MSIX_IRQ_INDEX])
		count = irq->counts[VFIO_PCI_MSIX_IRQ_INDEX];
	irq->msix_cap = (uint8_t)cap;
	irq->msix = (struct pci_msix_table){
		.vectors = count,
		.bar = table & PCI_MSIX_TABLE_BIR,
		.offset = table & PCI_MSIX_TABLE_OFFSET,
		.pba_bar = pba & PCI_MSIX_PBA_BIR,
		.pba_offset = pba & PCI_MSIX_PBA_OFFSET,
	};
}

void vfio_irq_keep(struct vfio_device *dev, bool msi, bool msix)
{
	struct vfio_irq *irq = &dev->irq;

	if (!msi)
		irq->msi_cap = irq->msi_vectors = 0;
	if (!msix)
		irq->msix_cap = irq->msix.vectors = 0;
	irq->vectors_count =
		irq->msix.vectors > irq->msi_vectors ? irq->msix.vectors : irq->msi_vectors;
}

static int allocate_vectors(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	vfio_irq_keep(dev, irq->msi_cap, irq->msix_cap);
	if (!irq->vectors_count)
		return 0;
	irq->vectors = calloc(irq->vectors_count, sizeof(*irq->vectors));
	if (!irq->vectors || pci_msix_table_alloc(&irq->msix))
		return report(-ENOMEM, "no memory for the interrupts of %s", dev->function.name);
	for (unsigned i = 0; i < irq->vectors_count; i++)
		irq->vectors[i].eventfd = -1;
	return 0;
}

int vfio_irq_probe(struct vfio_device *dev)
{
	uint8_t raw[256];
	struct vfio_region *config = &dev->regions[VFIO_PCI_CONFIG_REGION_INDEX];
	int ret;

	dev->irq = (struct vfio_irq){ .intx_trigger = -1, .intx_resample = -1 };
	ret = vfio_region_info(dev, VFIO_PCI_CONFIG_REGION_INDEX);
	if (ret < 0)
		return ret;
	if (vfio_pread(dev->fd, raw, sizeof(raw), config->offset) != (int64_t)sizeof(raw))
		return report(-EIO, "cannot read the configuration space of %s",
			      dev->function.name);
	probe_info(dev);
	probe_msi(dev, raw);
	probe_msix(dev, raw);
	return allocate_vectors(dev);
}

int vfio_irq_attach(struct vfio_device *dev)
{
	assert(dev->irq.mode == VFIO_IRQ_NONE && !dev->irq.gsis_allocated);
	dev->irq.refused = false;
	vfio_irq_forget(dev);
	return 0;
}

void vfio_irq_detach(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	change_mode(dev, VFIO_IRQ_NONE);
	if (irq->gsis_allocated)
		irq_routes_free(dev->routes, irq->first_gsi, irq->vectors_count);
	irq->gsis_allocated = false;
	pci_msix_table_reset(&irq->msix);
}

void vfio_irq_release(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	for (unsigned i = 0; irq->vectors && i < irq->vectors_count; i++)
		if (irq->vectors[i].eventfd >= 0)
			close(irq->vectors[i].eventfd);
	free(irq->vectors);
	pci_msix_table_free(&irq->msix);
	irq->vectors = NULL;
	irq->vectors_count = 0;
}

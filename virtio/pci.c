// SPDX-License-Identifier: GPL-2.0-only
/*
 * One memory BAR of a page holds all structures of a device, each at the same place in every device; a transitional one
 * has the legacy interface's I/O ports in BAR 0, too. A notification is a write to the queue's own address, which KVM
 * turns into a count on its eventfd.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_pci.h>
#include <lkvm/report.h>
#include "pci_registers.h"

#define VENDOR_ID        0x1af4 /* (virtio 1.2, 4.1.2) */
#define DEVICE_ID_MODERN 0x1040
#define REVISION_MODERN  1
#define ISR_QUEUE        1
#define LEGACY_BAR       0
#define CONFIG_SPACE_PCI 256

/* The memory BAR. */
#define COMMON_AT  0x000
#define ISR_AT     0x040
#define NOTIFY_AT  0x100
#define PBA_AT     0x200
#define TABLE_AT   0x400
#define DEVICE_AT  0x900
#define MEMORY_END 0x1000

static_assert(NOTIFY_AT + VIRTIO_QUEUES_MAX * VIRTIO_PCI_NOTIFY_MULTIPLIER <= PBA_AT, "notify");
static_assert(TABLE_AT + (VIRTIO_QUEUES_MAX + 1) * PCI_MSIX_ENTRY_SIZE <= DEVICE_AT, "MSI-X");

/* Configuration space. */
#define MSIX_CAP   0x40
#define VENDOR_CAP 0x50 /* the first of virtio's */

/* What a kind is on PCI: its class code, and its device ID where it has a legacy interface (virtio 1.2, 4.1.2.3). */
static const struct pci_kind {
	uint32_t id, class;
	uint16_t transitional;
} kinds[] = {
	{ VIRTIO_ID_NET, 0x020000, 0x1000 },     { VIRTIO_ID_BLOCK, 0x018000, 0x1001 },
	{ VIRTIO_ID_BALLOON, 0xff0000, 0x1002 }, { VIRTIO_ID_CONSOLE, 0x078000, 0x1003 },
	{ VIRTIO_ID_RNG, 0xff0000, 0x1005 },     { VIRTIO_ID_9P, 0x018000, 0x1009 },
	{ VIRTIO_ID_VSOCK, 0x028000, 0 },        { VIRTIO_ID_FS, 0x018000, 0 },
};

static struct pci_kind kind_of(const struct virtio_device *vdev)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].id == vdev->class->id)
			return kinds[i];
	return (struct pci_kind){ .id = vdev->class->id, .class = 0xff0000 };
}

/* --- interrupts --- */

/* Under vdev->lock. */
static void update_line(struct virtio_pci *pci)
{
	bool line = pci->isr && !pci->intx_off && !pci_msix_enabled(&pci->msix);

	if (line == pci->line || !pci->irq)
		return;
	pci->line = line;
	irq_set_level(pci->irq, pci->function.intx_line, line);
}

uint8_t virtio_pci_read_isr(struct virtio_pci *pci)
{
	uint8_t isr;

	virtio_lock(pci->vdev);
	isr = pci->isr;
	pci->isr = 0;
	update_line(pci);
	virtio_unlock(pci->vdev);
	return isr;
}

static void interrupt(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_pci *pci = vdev->transport;

	if (pci_msix_enabled(&pci->msix)) {
		uint16_t vector = vq ? vdev->queues[vq->index].vector : vdev->config_vector;

		if (vector != VIRTIO_NO_VECTOR)
			pci_msix_raise(&pci->msix, vector);
		return;
	}
	pci_bus_end_shadow(
		pci->function.bus); /* from now on the status register changes by itself */
	pci->isr |= vq ? ISR_QUEUE : VIRTIO_PCI_ISR_CONFIG;
	update_line(pci);
}

static int call_fd(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_pci *pci = vdev->transport;
	uint16_t vector = vdev->queues[vq->index].vector;

	if (!pci_msix_enabled(&pci->msix) || vector == VIRTIO_NO_VECTOR)
		return -1;
	return pci->msix.vectors[vector].eventfd;
}

static const struct virtio_transport_class transport_class = { interrupt, call_fd };

/* MSI-X was turned on or off, or INTx. */
static void interrupts_changed(struct virtio_pci *pci, bool msix_changed)
{
	struct virtio_device *vdev = pci->vdev;
	uint32_t command = pci_get(pci->function.config, PCI_COMMAND, 2);

	virtio_lock(vdev);
	pci->intx_off = command & PCI_COMMAND_INTX_DISABLE;
	if (msix_changed && vdev->active && vdev->class->call_changed)
		for (unsigned i = 0; i < vdev->queue_count; i++)
			if (vdev->queues[i].vq.ready)
				vdev->class->call_changed(vdev, &vdev->queues[i].vq);
	update_line(pci);
	virtio_unlock(vdev);
}

/* --- the memory BAR --- */

static uint64_t isr_read(struct virtio_pci *pci, uint64_t offset, unsigned size)
{
	(void)size;
	return offset ? 0 : virtio_pci_read_isr(pci);
}

static void isr_write(struct virtio_pci *pci, uint64_t offset, unsigned size, uint64_t value)
{
	(void)pci;
	(void)offset;
	(void)size;
	(void)value;
}

static uint64_t notify_read(struct virtio_pci *pci, uint64_t offset, unsigned size)
{
	(void)pci;
	(void)offset;
	(void)size;
	return 0;
}

/* Here come only those that KVM did not take. */
static void notify_write(struct virtio_pci *pci, uint64_t offset, unsigned size, uint64_t value)
{
	(void)size;
	(void)value;
	if (offset % VIRTIO_PCI_NOTIFY_MULTIPLIER == 0)
		virtio_kick(pci->vdev, (uint32_t)offset / VIRTIO_PCI_NOTIFY_MULTIPLIER);
}

static uint64_t device_read(struct virtio_pci *pci, uint64_t offset, unsigned size)
{
	return virtio_config_read(pci->vdev, offset, size);
}

static void device_write(struct virtio_pci *pci, uint64_t offset, unsigned size, uint64_t value)
{
	virtio_config_write(pci->vdev, offset, size, value);
}

static const struct memory_area {
	uint32_t start, size;
	uint64_t (*read)(struct virtio_pci *pci, uint64_t offset, unsigned size);
	void (*write)(struct virtio_pci *pci, uint64_t offset, unsigned size, uint64_t value);
} areas[] = {
	{ COMMON_AT, VIRTIO_PCI_COMMON_SIZE, virtio_pci_common_read, virtio_pci_common_write },
	{ ISR_AT, 4, isr_read, isr_write },
	{ NOTIFY_AT, PBA_AT - NOTIFY_AT, notify_read, notify_write },
	{ DEVICE_AT, MEMORY_END - DEVICE_AT, device_read, device_write },
};

/* The area that holds all of the access. */
static const struct memory_area *find_area(uint64_t offset, unsigned size)
{
	for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		if (offset >= areas[i].start && offset + size <= areas[i].start + areas[i].size)
			return &areas[i];
	return NULL;
}

static uint64_t bar_read(struct pci_function *function, unsigned bar, uint64_t offset,
			 unsigned size)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	const struct memory_area *area;
	uint64_t value;

	if (bar != pci->memory_bar)
		return virtio_pci_legacy_read(pci, offset, size);
	if (!pci_msix_table_covers(&pci->msix.table, bar, offset, size)) {
		area = find_area(offset, size);
		return area ? area->read(pci, offset - area->start, size) : 0;
	}
	pthread_mutex_lock(&function->lock);
	value = pci_msix_read(&pci->msix, bar, offset, size);
	pthread_mutex_unlock(&function->lock);
	return value;
}

static void bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	const struct memory_area *area;

	if (bar != pci->memory_bar) {
		virtio_pci_legacy_write(pci, offset, size, value);
		return;
	}
	if (!pci_msix_table_covers(&pci->msix.table, bar, offset, size)) {
		area = find_area(offset, size);
		if (area)
			area->write(pci, offset - area->start, size, value);
		return;
	}
	pthread_mutex_lock(&function->lock);
	pci_msix_write(&pci->msix, bar, offset, size, value);
	pthread_mutex_unlock(&function->lock);
}

/* --- notifications without an exit --- */

static struct vm_ioeventfd kick_of(const struct virtio_pci *pci, unsigned bar, uint64_t gpa,
				   unsigned queue)
{
	struct vm_ioeventfd kick = { .size = 2, .fd = pci->vdev->queues[queue].kick.fd };

	if (bar == pci->memory_bar) {
		kick.gpa = gpa + NOTIFY_AT + queue * VIRTIO_PCI_NOTIFY_MULTIPLIER;
	} else {
		kick.gpa = gpa + VIRTIO_PCI_QUEUE_NOTIFY;
		kick.match = true;
		kick.value = queue;
	}
	return kick;
}

/* What KVM has no room for comes to bar_write(). */
static int bar_map(struct pci_function *function, unsigned bar, uint64_t gpa)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;

	for (unsigned i = 0; pci->vm && i < pci->vdev->queue_count; i++) {
		struct vm_ioeventfd kick = kick_of(pci, bar, gpa, i);
		int err = vm_ioeventfd(pci->vm, &kick, true);

		if (err < 0)
			report_once(&function->complained,
				    "%s: KVM does not take notifications of its queue %u: %s; they "
				    "are slower",
				    function->name, i, strerror(-err));
	}
	return 0;
}

static void bar_unmap(struct pci_function *function, unsigned bar)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;

	for (unsigned i = 0; pci->vm && i < pci->vdev->queue_count; i++) {
		struct vm_ioeventfd kick = kick_of(pci, bar, function->bar[bar].region.base, i);

		vm_ioeventfd(pci->vm, &kick, false);
	}
}

/* --- configuration space --- */

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned length)
{
	return offset < start + length && start < offset + size;
}

/* The BAR access that VIRTIO_PCI_CAP_PCI_CFG describes (virtio 1.2, 4.1.4.9), or false: it describes none. */
static bool window_access(const struct virtio_pci *pci, unsigned *bar, uint64_t *offset,
			  unsigned *size)
{
	const uint8_t *cap = pci->function.config + pci->window;

	*bar = cap[VIRTIO_PCI_CAP_BAR];
	*offset = pci_get(cap, VIRTIO_PCI_CAP_OFFSET, 4);
	*size = pci_get(cap, VIRTIO_PCI_CAP_LENGTH, 4);
	return *bar < PCI_BARS && (*size == 1 || *size == 2 || *size == 4) &&
	       *offset % *size == 0 && *offset + *size <= pci->function.bar[*bar].size;
}

static bool touches_window(const struct virtio_pci *pci, unsigned offset, unsigned size)
{
	return touches(offset, size, pci->window + sizeof(struct virtio_pci_cap), 4);
}

static uint32_t config_read(struct pci_function *function, unsigned offset, unsigned size)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	uint16_t status;
	unsigned bar, length;
	uint64_t at;

	if (touches_window(pci, offset, size) && window_access(pci, &bar, &at, &length))
		pci_put(function->config, pci->window + sizeof(struct virtio_pci_cap), length,
			(uint32_t)bar_read(function, bar, at, length));
	if (touches(offset, size, PCI_STATUS, 2)) {
		status = (uint16_t)pci_get(function->config, PCI_STATUS, 2) & ~PCI_STATUS_INTERRUPT;
		virtio_lock(pci->vdev);
		if (pci->isr && !pci_msix_enabled(&pci->msix))
			status |= PCI_STATUS_INTERRUPT;
		virtio_unlock(pci->vdev);
		pci_put(function->config, PCI_STATUS, 2, status);
	}
	return pci_get(function->config, offset, size);
}

/* A device that may not be a bus master any more touches no memory: whatever was under way ends here. */
static void command_written(struct virtio_pci *pci)
{
	bool master = pci_get(pci->function.config, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;

	if (pci->master && !master) {
		virtio_device_reset(pci->vdev);
		virtio_pci_read_isr(pci);
	}
	pci->master = master;
}

static void config_written(struct pci_function *function, unsigned offset, unsigned size,
			   uint32_t value)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	bool msix = pci_msix_enabled(&pci->msix);
	unsigned bar, length;
	uint64_t at;

	(void)value;
	pci_msix_config_written(&pci->msix, offset, size);
	msix = msix != pci_msix_enabled(&pci->msix);
	if (touches(offset, size, PCI_COMMAND, 2))
		command_written(pci);
	if (msix || touches(offset, size, PCI_COMMAND, 2))
		interrupts_changed(pci, msix);
	if (touches(offset, size, pci->window, sizeof(struct virtio_pci_cfg_cap)))
		pci_bus_end_shadow(function->bus); /* reads of the window have effects */
	if (touches_window(pci, offset, size) && window_access(pci, &bar, &at, &length))
		bar_write(function, bar, at, length,
			  pci_get(function->config, pci->window + sizeof(struct virtio_pci_cap),
				  length));
}

static const struct pci_function_class function_class = {
	.config_read = config_read,
	.config_written = config_written,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_map = bar_map,
	.bar_unmap = bar_unmap,
};

/* --- creation --- */

/* Writes one of virtio's capabilities at `at`, followed by the next; returns where that is. */
static uint8_t put_capability(struct virtio_pci *pci, uint8_t at, uint8_t type, uint32_t offset,
			      uint32_t length)
{
	uint8_t *config = pci->function.config;
	uint8_t extra = type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG ? 4 : 0;
	uint8_t size = sizeof(struct virtio_pci_cap) + extra;

	config[at + VIRTIO_PCI_CAP_VNDR] = PCI_CAP_ID_VNDR;
	config[at + VIRTIO_PCI_CAP_NEXT] = at + size;
	config[at + VIRTIO_PCI_CAP_LEN] = size;
	config[at + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	config[at + VIRTIO_PCI_CAP_BAR] = (uint8_t)pci->memory_bar;
	pci_put(config, at + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	pci_put(config, at + VIRTIO_PCI_CAP_LENGTH, 4, length);
	return at + size;
}

/* A driver looks each of them up from the list's head on: those it looks for first come first. */
static void put_capabilities(struct virtio_pci *pci)
{
	struct virtio_device *vdev = pci->vdev;
	uint8_t *config = pci->function.config, *writable = pci->function.writable;
	uint8_t at = VENDOR_CAP, notify;

	config[PCI_CAPABILITY_LIST] = at;
	at = put_capability(pci, at, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_AT, VIRTIO_PCI_COMMON_SIZE);
	at = put_capability(pci, at, VIRTIO_PCI_CAP_ISR_CFG, ISR_AT, 1);
	notify = at;
	at = put_capability(pci, at, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_AT,
			    vdev->queue_count * VIRTIO_PCI_NOTIFY_MULTIPLIER);
	pci_put(config, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VIRTIO_PCI_NOTIFY_MULTIPLIER);
	if (vdev->config_size)
		at = put_capability(pci, at, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_AT,
				    (uint32_t)vdev->config_size);
	pci->window = at;
	put_capability(pci, at, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	config[pci->window + VIRTIO_PCI_CAP_NEXT] = MSIX_CAP;
	writable[pci->window + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(writable + pci->window + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
}

static void put_header(struct virtio_pci *pci)
{
	uint8_t *config = pci->function.config;
	struct pci_kind kind = kind_of(pci->vdev);
	uint32_t id = pci->transitional ? kind.transitional : DEVICE_ID_MODERN + kind.id;

	pci_put(config, PCI_VENDOR_ID, 2, VENDOR_ID);
	pci_put(config, PCI_DEVICE_ID, 2, id);
	pci_put(config, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	pci_put(config, PCI_CLASS_REVISION, 4,
		kind.class << 8 | (pci->transitional ? VIRTIO_PCI_ABI_VERSION : REVISION_MODERN));
	pci_put(config, PCI_SUBSYSTEM_VENDOR_ID, 2, VENDOR_ID);
	pci_put(config, PCI_SUBSYSTEM_ID, 2, pci->transitional ? kind.id : id);
	config[PCI_INTERRUPT_PIN] = 1;
}

static uint64_t power_of_two_above(uint64_t size)
{
	uint64_t power = 1;

	while (power < size)
		power *= 2;
	return power;
}

static int make_function(struct virtio_pci *pci)
{
	struct virtio_device *vdev = pci->vdev;
	struct pci_msix_table table = {
		.vectors = vdev->queue_count + 1,
		.bar = (uint8_t)pci->memory_bar,
		.pba_bar = (uint8_t)pci->memory_bar,
		.offset = TABLE_AT,
		.pba_offset = PBA_AT,
	};
	int err = 0;

	if (vdev->config_size > MEMORY_END - DEVICE_AT)
		return refuse(-EINVAL, "%s: %zu bytes of configuration are more than fit PCI",
			      vdev->name, vdev->config_size);
	put_header(pci);
	put_capabilities(pci);
	if (pci->transitional)
		err = pci_function_set_bar(
			&pci->function, LEGACY_BAR,
			power_of_two_above(VIRTIO_PCI_CONFIG_OFF(true) + vdev->config_size),
			PCI_BASE_ADDRESS_SPACE_IO);
	if (!err)
		err = pci_function_set_bar(&pci->function, pci->memory_bar, MEMORY_END, 0);
	if (!err)
		err = pci_msix_create(&pci->msix, &pci->function, MSIX_CAP, &table);
	memcpy(pci->pristine, pci->function.config, CONFIG_SPACE_PCI);
	return err;
}

int virtio_pci_create(struct virtio_pci **pci, struct virtio_device *vdev, struct pci_bus *bus,
		      int devfn, bool legacy)
{
	struct virtio_pci *new = calloc(1, sizeof(*new));
	int err;

	if (!new)
		return report(-ENOMEM, "no memory for %s", vdev->name);
	new->vdev = vdev;
	new->transitional = legacy &&kind_of(vdev).transitional;
	new->memory_bar = new->transitional ? LEGACY_BAR + 1 : LEGACY_BAR;
	err = pci_function_init(&new->function, &function_class, vdev->name);
	if (!err)
		err = make_function(new);
	if (!err)
		err = pci_bus_add(bus, &new->function, devfn);
	if (err) {
		virtio_pci_destroy(new);
		return err;
	}
	new->function.direct = true;
	vdev->transport_class = &transport_class;
	vdev->transport = new;
	*pci = new;
	return 0;
}

void virtio_pci_destroy(struct virtio_pci *pci)
{
	if (!pci)
		return;
	if (pci->vdev->transport == pci)
		pci->vdev->transport_class = NULL;
	pci_function_destroy(&pci->function);
	pci_msix_destroy(&pci->msix);
	free(pci);
}

int virtio_pci_attach(struct virtio_pci *pci, struct vm *vm, struct irq_routes *routes,
		      struct irq_controller *irq)
{
	pci->vm = vm;
	pci->irq = irq;
	pci_msix_attach(&pci->msix, routes, irq);
	return 0;
}

void virtio_pci_detach(struct virtio_pci *pci)
{
	struct pci_function *function = &pci->function;

	if (!pci->vm)
		return;
	virtio_device_reset(pci->vdev);
	virtio_pci_read_isr(pci);
	pci_function_reset(function);
	pci_msix_detach(&pci->msix);
	memcpy(function->config, pci->pristine, CONFIG_SPACE_PCI);
	pci->master = pci->intx_off = false;
	pci->vm = NULL;
	pci->irq = NULL;
}

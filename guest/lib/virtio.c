// SPDX-License-Identifier: GPL-2.0-only
#include "pci.h"
#include "virtio.h"

#define MMIO_MAGIC  0x74726976
#define MMIO_STRIDE 0x200
#define RING_ROOM   0x8000 /* a ring of 1024 descriptors */
#define MMIO_SLOTS  64

#define PCI_VENDOR_VIRTIO 0x1af4
#define PCI_CAP_VENDOR    0x09
#define CFG_COMMON        1
#define CFG_NOTIFY        2
#define CFG_DEVICE        4

/* The legacy interface's registers that the modern one lacks (virtio 1.2, 4.1.4.8, 4.2.4). */
#define MMIO_PAGE_SIZE    0x28
#define MMIO_ALIGN        0x3c
#define PCI_LEGACY_NOTIFY 0x10
#define PCI_LEGACY_CONFIG 0x14 /* without MSI-X */
#define PAGE              0x1000U

/* A register of the common configuration structure (virtio 1.2, 4.1.4.3), its MMIO (4.2.2) and legacy (4.1.4.8) offset. */
enum reg {
	OFFERED_SELECT,
	OFFERED,
	ACCEPTED_SELECT,
	ACCEPTED,
	STATUS,
	SELECT,
	SIZE,
	ENABLE,
	MAX,
	PFN
};

static const struct {
	uint8_t pci, width, mmio, io, io_width;
} regs[] = {
	[OFFERED_SELECT] = { 0x00, 4, 0x14, 0, 0 },  [OFFERED] = { 0x04, 4, 0x10, 0x00, 4 },
	[ACCEPTED_SELECT] = { 0x08, 4, 0x24, 0, 0 }, [ACCEPTED] = { 0x0c, 4, 0x20, 0x04, 4 },
	[STATUS] = { 0x14, 1, 0x70, 0x12, 1 },       [SELECT] = { 0x16, 2, 0x30, 0x0e, 2 },
	[SIZE] = { 0x18, 2, 0x38, 0x0c, 2 },         [ENABLE] = { 0x1c, 2, 0x44, 0, 0 },
	[MAX] = { 0x18, 2, 0x34, 0x0c, 2 },          [PFN] = { 0, 0, 0x40, 0x08, 4 },
};

#define PCI_NOTIFY_OFF 0x1e
#define PCI_QUEUE_DESC 0x20

/* Where a register is and how wide: 0 where this interface has none. */
static unsigned find(const struct virtio_device *device, enum reg reg, uint64_t *at)
{
	if (!device->pci) {
		*at = device->common + regs[reg].mmio;
		return 4;
	}
	*at = device->common + (device->legacy ? regs[reg].io : regs[reg].pci);
	return device->legacy ? regs[reg].io_width : regs[reg].width;
}

static uint32_t get(const struct virtio_device *device, enum reg reg)
{
	uint64_t at;
	unsigned width = find(device, reg, &at);

	return (uint32_t)read_size(at, width);
}

static void put(const struct virtio_device *device, enum reg reg, uint32_t value)
{
	uint64_t at;
	unsigned width = find(device, reg, &at);

	if (width)
		write_size(at, width, value);
}

uint8_t virtio_status(const struct virtio_device *device)
{
	return (uint8_t)get(device, STATUS);
}

void virtio_set_status(const struct virtio_device *device, uint8_t status)
{
	put(device, STATUS, status);
	while (!status && virtio_status(device))
		;
}

uint64_t virtio_offered(const struct virtio_device *device)
{
	uint64_t features = 0;

	for (unsigned word = 0; word < (device->legacy ? 1 : 2); word++) {
		put(device, OFFERED_SELECT, word);
		features |= (uint64_t)get(device, OFFERED) << (32 * word);
	}
	return features;
}

void virtio_accept(const struct virtio_device *device, uint64_t features)
{
	for (unsigned word = 0; word < (device->legacy ? 1 : 2); word++) {
		put(device, ACCEPTED_SELECT, word);
		put(device, ACCEPTED, (uint32_t)(features >> (32 * word)));
	}
}

uint16_t virtio_queue_max(const struct virtio_device *device, uint16_t queue)
{
	put(device, SELECT, queue);
	return (uint16_t)get(device, MAX);
}

bool virtio_queue_enabled(const struct virtio_device *device, uint16_t queue)
{
	put(device, SELECT, queue);
	return get(device, device->legacy ? PFN : ENABLE);
}

void virtio_queue_set_size(const struct virtio_device *device, uint16_t queue, uint16_t size)
{
	put(device, SELECT, queue);
	put(device, SIZE, size);
}

void virtio_queue_set_address(const struct virtio_device *device, uint16_t queue, unsigned part,
			      uint64_t address)
{
	uint64_t at = device->pci ? device->common + PCI_QUEUE_DESC + 8 * part
				  : device->common + 0x80 + 0x10 * part;

	put(device, SELECT, queue);
	write32(at, (uint32_t)address);
	write32(at + 4, (uint32_t)(address >> 32));
}

void virtio_queue_set_page(const struct virtio_device *device, uint16_t queue, uint32_t page)
{
	put(device, SELECT, queue);
	if (!device->pci) {
		write32(device->common + MMIO_PAGE_SIZE, PAGE);
		write32(device->common + MMIO_ALIGN, PAGE);
	}
	put(device, PFN, page);
}

void virtio_queue_enable(const struct virtio_device *device, uint16_t queue)
{
	if (device->legacy) {
		virtio_queue_set_page(device, queue,
				      (uint32_t)((uint64_t)device->ring[queue].desc / PAGE));
		return;
	}
	put(device, SELECT, queue);
	put(device, ENABLE, 1);
}

void virtio_kick(const struct virtio_device *device, uint16_t queue)
{
	uint32_t off;

	asm volatile("dmb ish" : : : "memory");
	if (!device->pci) {
		write32(device->common + 0x50, queue);
		return;
	}
	if (device->legacy) {
		write16(device->common + PCI_LEGACY_NOTIFY, queue);
		return;
	}
	put(device, SELECT, queue);
	off = read16(device->common + PCI_NOTIFY_OFF);
	write16(device->notify + off * device->notify_multiplier, queue);
}

bool virtio_negotiate(const struct virtio_device *device)
{
	virtio_set_status(device, 0);
	virtio_set_status(device, VIRTIO_ACKNOWLEDGE);
	virtio_set_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	virtio_accept(device, virtio_offered(device) & (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT));
	if (device->legacy)
		return true;
	virtio_set_status(device, virtio_status(device) | VIRTIO_FEATURES_OK);
	return virtio_status(device) & VIRTIO_FEATURES_OK;
}

/* The legacy interface has all parts in one piece, the used ring on a page of its own (virtio 1.2, 2.7.2). */
static void lay_out(struct virtio_ring *ring, uint64_t at, bool legacy)
{
	uint64_t avail = legacy ? at + sizeof(*ring->desc) * ring->size : at + PAGE;
	uint64_t used = avail + 6 + sizeof(uint16_t) * ring->size;

	ring->desc = (void *)at;
	ring->avail = (void *)avail;
	ring->used = (void *)((used + PAGE - 1) & ~(PAGE - 1UL));
}

void virtio_queues_set_up(struct virtio_device *device)
{
	for (uint16_t i = 0; i < device->queues; i++) {
		struct virtio_ring *ring = &device->ring[i];
		uint64_t at =
			RAM_FREE + (device->number * VIRTIO_QUEUES_MAX + i) * (uint64_t)RING_ROOM;
		uint64_t *words = (uint64_t *)at;

		virtio_queue_set_size(device, i, VIRTIO_RING);
		ring->size =
			device->legacy && device->pci ? virtio_queue_max(device, i) : VIRTIO_RING;
		lay_out(ring, at, device->legacy);
		for (unsigned word = 0; word < ((uint64_t)ring->used + PAGE - at) / 8; word++)
			words[word] = 0;
		if (device->legacy)
			continue;
		virtio_queue_set_address(device, i, 0, at);
		virtio_queue_set_address(device, i, 1, (uint64_t)ring->avail);
		virtio_queue_set_address(device, i, 2, (uint64_t)ring->used);
	}
}

bool virtio_start(struct virtio_device *device)
{
	bool negotiated = virtio_negotiate(device);

	virtio_queues_set_up(device);
	for (uint16_t i = 0; i < device->queues; i++)
		virtio_queue_enable(device, i);
	virtio_set_status(device, virtio_status(device) | VIRTIO_DRIVER_OK);
	return negotiated && (virtio_status(device) & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) ==
				     VIRTIO_DRIVER_OK;
}

void virtio_offer(struct virtio_device *device, uint16_t queue, uint16_t head)
{
	volatile struct virtq_avail *avail = device->ring[queue].avail;

	avail->ring[avail->idx % device->ring[queue].size] = head;
	asm volatile("dmb ish" : : : "memory");
	avail->idx++;
	virtio_kick(device, queue);
}

/* --- finding them --- */

static bool find_mmio(struct virtio_device *device, unsigned slot)
{
	uint64_t base = VIRTIO_BASE + slot * MMIO_STRIDE;

	if (read32(base) != MMIO_MAGIC || !read32(base + 8))
		return false;
	*device = (struct virtio_device){
		.legacy = read32(base + 4) == 1,
		.id = read32(base + 8),
		.common = base,
		.config = base + 0x100,
	};
	return true;
}

/* Where one capability's structure is (virtio 1.2, 4.1.4). */
static uint64_t structure_at(unsigned devfn, unsigned cap)
{
	unsigned n = read8(pci_config(devfn, cap + 4));
	uint32_t low = read32(pci_config(devfn, PCI_BAR0 + 4 * n));
	bool is_64 = (low & 0x6) == PCI_BAR_64;

	return (pci_bar_get(devfn, n, is_64) & ~0xfUL) + read32(pci_config(devfn, cap + 8));
}

/* A transitional device has both interfaces: it is driven by the legacy one, which is all that its BAR 0 is for. */
static bool find_pci_legacy(struct virtio_device *device, unsigned devfn)
{
	uint64_t ports = pci_bar_get(devfn, 0, false) & ~0x3UL;

	*device = (struct virtio_device){
		.pci = true,
		.legacy = true,
		.id = read16(pci_config(devfn, PCI_SUBSYSTEM + 2)),
		.common = PCI_IO_BASE + ports,
		.config = PCI_IO_BASE + ports + PCI_LEGACY_CONFIG,
	};
	write16(pci_config(devfn, PCI_COMMAND), PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	return ports;
}

static bool find_pci(struct virtio_device *device, unsigned devfn)
{
	uint32_t id = pci_id(devfn);
	unsigned cap = read8(pci_config(devfn, PCI_CAPABILITY)) & ~3U;

	if ((id & 0xffff) != PCI_VENDOR_VIRTIO)
		return false;
	if (id >> 16 < 0x1040)
		return find_pci_legacy(device, devfn);
	*device = (struct virtio_device){ .pci = true, .id = (id >> 16) - 0x1040 };
	for (unsigned i = 0; cap >= 0x40 && i < 48; i++) {
		unsigned type = read8(pci_config(devfn, cap + 3));

		if (read8(pci_config(devfn, cap)) == PCI_CAP_VENDOR && type == CFG_COMMON)
			device->common = structure_at(devfn, cap);
		if (read8(pci_config(devfn, cap)) == PCI_CAP_VENDOR && type == CFG_DEVICE)
			device->config = structure_at(devfn, cap);
		if (read8(pci_config(devfn, cap)) == PCI_CAP_VENDOR && type == CFG_NOTIFY) {
			device->notify = structure_at(devfn, cap);
			device->notify_multiplier = read32(pci_config(devfn, cap + 16));
		}
		cap = read8(pci_config(devfn, cap + 1)) & ~3U;
	}
	write16(pci_config(devfn, PCI_COMMAND), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return device->common && device->notify;
}

unsigned virtio_find(struct virtio_device *devices)
{
	unsigned count = 0;

	for (unsigned slot = 0; slot < MMIO_SLOTS && count < VIRTIO_DEVICES_MAX; slot++)
		count += find_mmio(&devices[count], slot);
	pci_for_each(devfn)
	{
		if (count < VIRTIO_DEVICES_MAX)
			count += find_pci(&devices[count], devfn);
	}
	for (unsigned i = 0; i < count; i++) {
		devices[i].number = i;
		while (devices[i].queues < VIRTIO_QUEUES_MAX &&
		       virtio_queue_max(&devices[i], (uint16_t)devices[i].queues))
			devices[i].queues++;
	}
	return count;
}

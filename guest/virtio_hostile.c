// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that breaks the rules of every virtio device it finds, in turn. The device waits to be reset and works again
 * after it; the others and the guest go on meanwhile. The guest ends in a panic if anything was not so.
 */
#include "virtio.h"

#define DATA    (RAM_FREE + 16 * SZ_1M)
#define TABLE   (RAM_FREE + 15 * SZ_1M)
#define STACK   (RAM_FREE + 14 * SZ_1M)
#define RAM_END (RAM_BASE + 256 * SZ_1M) /* -m 256M */

#define PATIENCE_MS 20000

#define NEXT     DESC_NEXT
#define WRITE    DESC_WRITE
#define INDIRECT DESC_INDIRECT

/* What is in the ring, and in the table that a descriptor refers to. */
struct row {
	const char *name;
	struct virtq_desc ring[2], table[2];
	bool no_head;  /* the chain's head is the first that is not there */
	bool too_many; /* chains are offered: one more than there are descriptors */
};

static const struct row rows[] = {
	{ "two descriptors that loop", .ring = { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 0 } } },
	{ "a table that loops", .ring = { { TABLE, 32, INDIRECT, 0 } },
	  .table = { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 0 } } },
	{ "the ring as its own table", .ring = { { RAM_FREE, 32, INDIRECT, 0 } } },
	{ "a head outside of the ring", .no_head = true },
	{ "next outside of the ring", .ring = { { DATA, 16, NEXT, 0xffff } } },
	{ "more chains than descriptors", .too_many = true },
	{ "a table that is not RAM", .ring = { { UART_BASE, 32, INDIRECT, 0 } } },
	{ "an empty table", .ring = { { TABLE, 0, INDIRECT, 0 } } },
	{ "a table of odd length", .ring = { { TABLE, 40, INDIRECT, 0 } } },
	{ "a table of 4 GiB", .ring = { { TABLE, 0xfffffff0, INDIRECT, 0 } } },
	{ "a table in a table", .ring = { { TABLE, 16, INDIRECT, 0 } },
	  .table = { { TABLE, 16, INDIRECT, 0 } } },
	{ "a table with a next", .ring = { { TABLE, 16, INDIRECT | NEXT, 1 } },
	  .table = { { DATA, 16, WRITE, 0 } } },
	{ "a buffer that is not RAM", .ring = { { GICD_BASE, 16, WRITE, 0 } } },
	{ "a buffer across the end of RAM", .ring = { { RAM_END - 8, 16, WRITE, 0 } } },
	{ "a buffer across the end of addresses", .ring = { { -8UL, 16, 0, 0 } } },
	{ "a buffer of 4 GiB", .ring = { { DATA, 0xffffffff, WRITE, 0 } } },
	{ "a buffer to read behind one to write",
	  .ring = { { DATA, 16, WRITE | NEXT, 1 }, { DATA, 16, 0, 0 } } },
};

static struct virtio_device devices[VIRTIO_DEVICES_MAX];
static unsigned device_count, failures;
static volatile uint64_t *volatile flipped; /* what the other vCPU writes to */
static volatile bool flipper_runs;

static void expect(bool condition, const struct virtio_device *device, const char *what)
{
	failures += !check(condition, "device %u: %s", device->id, what);
}

/* The queue that a device reads when it is kicked. */
static uint16_t queue_of(const struct virtio_device *device)
{
	return device->id == VIRTIO_NET || device->id == VIRTIO_CONSOLE;
}

static bool needs_reset(const struct virtio_device *device)
{
	return virtio_status(device) & VIRTIO_NEEDS_RESET;
}

static bool used(const struct virtio_device *device, uint16_t queue, uint16_t count)
{
	return wait_until(device->ring[queue].used->idx == count, PATIENCE_MS);
}

/* --- requests that are as they should be --- */

static bool rng_works(struct virtio_device *device)
{
	volatile uint8_t *bytes = (void *)DATA;
	uint16_t before = device->ring[0].used->idx;
	unsigned sum = 0;

	for (unsigned i = 0; i < 64; i++)
		bytes[i] = 0;
	device->ring[0].desc[7] = (struct virtq_desc){ DATA, 64, WRITE, 0 };
	virtio_offer(device, 0, 7);
	if (!used(device, 0, (uint16_t)(before + 1)))
		return false;
	for (unsigned i = 0; i < 64; i++)
		sum += bytes[i];
	return sum && device->ring[0].used->ring[before % device->ring[0].size].len == 64;
}

#define BLK_IN     0
#define BLK_OUT    1
#define BLK_OK     0
#define BLK_IOERR  1
#define BLK_UNSUPP 2

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* One request; its status byte, or 0xff where there is none in time. The sector's first word is in DATA + 0x1000. */
static uint8_t blk_request(struct virtio_device *device, uint32_t type, uint64_t sector,
			   uint32_t len)
{
	struct blk_header *header = (void *)DATA;
	volatile uint8_t *status = (void *)(DATA + 0x800);
	struct virtq_desc *desc = device->ring[0].desc;
	uint16_t before = device->ring[0].used->idx;

	*header = (struct blk_header){ type, 0, sector };
	*status = 0xff;
	desc[4] = (struct virtq_desc){ DATA, sizeof(*header), NEXT, 5 };
	desc[5] = (struct virtq_desc){ DATA + 0x1000, len, NEXT | (type ? 0 : WRITE), 6 };
	desc[6] = (struct virtq_desc){ DATA + 0x800, 1, WRITE, 0 };
	virtio_offer(device, 0, 4);
	return used(device, 0, (uint16_t)(before + 1)) ? *status : 0xff;
}

static bool works(struct virtio_device *device)
{
	if (needs_reset(device))
		return false;
	if (device->id == VIRTIO_RNG)
		return rng_works(device);
	if (device->id == VIRTIO_BLK)
		return blk_request(device, BLK_IN, 0, 512) == BLK_OK;
	return true;
}

/* All but the victim. */
static bool others_work(const struct virtio_device *victim)
{
	bool all = true;

	for (unsigned i = 0; i < device_count; i++)
		if (&devices[i] != victim)
			all &= works(&devices[i]);
	return all;
}

static bool works_again(struct virtio_device *device)
{
	return virtio_start(device) && works(device);
}

/* --- rings --- */

static void plant(struct virtio_device *device, const struct row *row)
{
	uint16_t queue = queue_of(device);
	struct virtio_ring *ring = &device->ring[queue];
	struct virtq_desc *table = (void *)TABLE;

	for (unsigned i = 0; i < 2; i++) {
		ring->desc[i] = row->ring[i];
		table[i] = row->table[i];
	}
	/* The row means the ring itself. */
	if (row->ring[0].addr == RAM_FREE)
		ring->desc[0].addr = (uint64_t)ring->desc;
	ring->avail->ring[0] = row->no_head ? ring->size : 0;
	ring->avail->idx = row->too_many ? ring->size + 1 : 1;
	virtio_kick(device, queue);
}

static void break_rings(struct virtio_device *device)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = virtio_start(device);

		plant(device, &rows[i]);
		good &= wait_until(needs_reset(device), PATIENCE_MS);
		good &= !device->ring[queue_of(device)].used->idx;
		good &= others_work(device);
		good &= works_again(device);
		expect(good, device, rows[i].name);
	}
}

/* A chain of nothing is given back, or refused. */
static void offer_nothing(struct virtio_device *device)
{
	uint16_t queue = queue_of(device);
	bool good = virtio_start(device);

	virtio_offer(device, queue, 0);
	good &= wait_until(device->ring[queue].used->idx == 1 || needs_reset(device), PATIENCE_MS);
	expect(good && others_work(device) && works_again(device), device, "an empty chain");
}

/* All of them are under way, or not yet seen, when the device is reset: nothing comes afterwards. */
static void reset_in_flight(struct virtio_device *device)
{
	uint16_t queue = queue_of(device);
	struct virtio_ring *ring = &device->ring[queue];
	volatile uint64_t *words = (void *)(DATA + SZ_1M);
	bool good = true;

	for (unsigned round = 0; round < 20; round++) {
		uint16_t before;
		uint64_t end;

		good &= virtio_start(device);
		for (uint16_t i = 0; i < VIRTIO_RING; i++)
			ring->desc[i] = (struct virtq_desc){ DATA + SZ_1M + i * 0x10000UL, 0x10000,
							     WRITE, 0 };
		for (uint16_t i = 0; i < VIRTIO_RING; i++)
			virtio_offer(device, queue, i);
		virtio_set_status(device, 0);
		before = ring->used->idx;
		for (unsigned i = 0; i < VIRTIO_RING; i++)
			words[i * 0x10000 / 8] = 0x5ca1ab1e;
		for (end = time_ms() + 5; time_ms() < end;)
			;
		good &= ring->used->idx == before;
		for (unsigned i = 0; i < VIRTIO_RING; i++)
			good &= words[i * 0x10000 / 8] == 0x5ca1ab1e;
	}
	expect(good && works_again(device), device, "a reset with requests under way");
}

/* --- registers --- */

static void misplace_queues(struct virtio_device *device)
{
	static const struct {
		uint16_t size;
		unsigned part;
		uint64_t address;
	} wrong[] = {
		{ 0, 0, 0 },
		{ 3, 0, 0 },
		{ 0x8000, 0, 0 },
		{ 8, 0, 0x10 },
		{ 8, 0, DATA + 8 },
		{ 8, 0, RAM_END - 16 },
		{ 8, 0, PCI_MEM_BASE },
		{ 8, 0, -128UL },
		{ 8, 1, DATA + 1 },
		{ 8, 1, RAM_END - 4 },
		{ 8, 1, ECAM_BASE },
		{ 8, 2, DATA + 2 },
		{ 8, 2, RAM_END - 8 },
		{ 8, 2, -64UL },
	};
	uint16_t queue = queue_of(device);
	bool good = true;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		good &= virtio_negotiate(device);
		virtio_queues_set_up(device);
		virtio_queue_set_size(device, queue, wrong[i].size);
		if (wrong[i].address)
			virtio_queue_set_address(device, queue, wrong[i].part, wrong[i].address);
		virtio_queue_enable(device, queue);
		virtio_set_status(device, virtio_status(device) | VIRTIO_DRIVER_OK);
		good &= needs_reset(device);
		virtio_kick(device, queue);
		virtio_set_status(device, 0);
		good &= !virtio_queue_enabled(device, queue);
	}
	expect(good && others_work(device) && works_again(device), device,
	       "queues of wrong sizes and places");
}

/* (virtio 1.2, 4.1.4.8, 4.2.4): one page number says it all. */
static void misplace_legacy_queues(struct virtio_device *device)
{
	static const uint32_t pages[] = { RAM_END >> 12,   (RAM_END >> 12) - 1, PCI_MEM_BASE >> 12,
					  ECAM_BASE >> 12, GICD_BASE >> 12,     0xffffffff };
	uint16_t queue = queue_of(device);
	bool good = true;

	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		good &= virtio_negotiate(device);
		virtio_queues_set_up(device);
		virtio_queue_set_page(device, queue, pages[i]);
		virtio_set_status(device, virtio_status(device) | VIRTIO_DRIVER_OK);
		good &= needs_reset(device);
		virtio_kick(device, queue);
		virtio_set_status(device, 0);
		good &= !virtio_queue_enabled(device, queue);
	}
	expect(good && others_work(device) && works_again(device), device,
	       "queues on pages that are not RAM");
}

static void select_wrong_queues(struct virtio_device *device)
{
	static const uint16_t indices[] = { 64, 0x100, 0x7fff, 0xffff };
	bool good = virtio_negotiate(device);

	for (unsigned i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		virtio_queue_set_size(device, indices[i], 8);
		if (device->legacy) {
			virtio_queue_set_page(device, indices[i], DATA >> 12);
		} else {
			virtio_queue_set_address(device, indices[i], 0, DATA);
			virtio_queue_enable(device, indices[i]);
		}
		good &= !virtio_queue_max(device, indices[i]);
		good &= !virtio_queue_enabled(device, indices[i]);
		virtio_kick(device, indices[i]);
	}
	expect(good && works_again(device), device, "queues that are not there");
}

/* A legacy driver is not asked whether it is content with what it gets. */
static void take_too_much(struct virtio_device *device)
{
	uint64_t strange = ~virtio_offered(device);
	bool good;

	virtio_set_status(device, 0);
	virtio_set_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	virtio_accept(device, VIRTIO_F_VERSION_1 | (strange & -strange));
	virtio_set_status(device, virtio_status(device) | VIRTIO_FEATURES_OK);
	good = !(virtio_status(device) & VIRTIO_FEATURES_OK);
	virtio_set_status(device, virtio_status(device) | VIRTIO_DRIVER_OK);
	good &= needs_reset(device);
	expect(good && works_again(device), device, "features that were not offered");
}

static void write_while_it_runs(struct virtio_device *device)
{
	uint8_t status;
	bool good = virtio_start(device);

	status = virtio_status(device);
	virtio_set_status(device, VIRTIO_ACKNOWLEDGE);
	good &= virtio_status(device) == status;
	for (uint16_t i = 0; i < device->queues; i++) {
		virtio_queue_set_size(device, i, 2);
		if (device->legacy)
			virtio_queue_set_page(device, i, DATA >> 12);
		for (unsigned part = 0; part < 3 && !device->legacy; part++)
			virtio_queue_set_address(device, i, part, DATA + part);
	}
	virtio_accept(device, 0);
	expect(good && works(device), device, "registers that are written while it runs");
}

/* --- another vCPU changes what is being read --- */

void guest_secondary(void)
{
	mmu_on();
	flipper_runs = true;
	for (uint64_t i = 0;; i++) {
		volatile uint64_t *word = flipped;

		if (word)
			*word = i & 1 ? DATA : RAM_END - 8;
	}
}

static void flip(struct virtio_device *device)
{
	uint16_t queue = queue_of(device), flags = device->id == VIRTIO_RNG ? WRITE : 0;
	bool good = virtio_start(device);

	for (unsigned round = 0; round < 100; round++) {
		struct virtio_ring *ring = &device->ring[queue];
		uint16_t before = ring->used->idx;

		ring->desc[0] = (struct virtq_desc){ DATA, 16, flags, 0 };
		flipped = &ring->desc[0].addr;
		virtio_offer(device, queue, 0);
		good &= wait_until(ring->used->idx != before || needs_reset(device), PATIENCE_MS);
		flipped = NULL;
		if (needs_reset(device))
			good &= virtio_start(device);
	}
	expect(good && others_work(device) && works_again(device), device,
	       "a descriptor that changes while it is read");
}

/* --- what is a device's own --- */

static void abuse_blk(struct virtio_device *device)
{
	uint64_t sectors = read32(device->config) | (uint64_t)read32(device->config + 4) << 32;
	bool good = virtio_start(device);

	good &= blk_request(device, BLK_IN, sectors, 512) == BLK_IOERR;
	good &= blk_request(device, BLK_IN, sectors - 1, 1024) == BLK_IOERR;
	good &= blk_request(device, BLK_IN, ~0UL, 512) == BLK_IOERR;
	good &= blk_request(device, BLK_IN, ~0UL / 512 + 1, 512) == BLK_IOERR;
	good &= blk_request(device, BLK_IN, 0, 513) == BLK_IOERR;
	good &= blk_request(device, 0x7fff, 0, 512) == BLK_UNSUPP;
	good &= blk_request(device, BLK_IN, sectors - 1, 512) == BLK_OK;
	expect(good && works(device), device, "wrong sectors, lengths and requests");
}

static void abuse_rng(struct virtio_device *device)
{
	bool good = virtio_start(device);

	device->ring[0].desc[0] = (struct virtq_desc){ DATA, 8 * SZ_1M, WRITE, 0 };
	virtio_offer(device, 0, 0);
	good &= used(device, 0, 1) && device->ring[0].used->ring[0].len <= 0x10000;
	expect(good && works(device), device, "a request for 8 MiB");
}

/* Pages that are not RAM, and more of them than any driver names. */
static void abuse_balloon(struct virtio_device *device)
{
	volatile uint32_t *pfns = (void *)(DATA + SZ_1M);
	volatile uint32_t *canary = (void *)(DATA + 4 * SZ_1M);
	bool good = virtio_start(device);

	*canary = 0x5ca1ab1e;
	for (unsigned i = 0; i < SZ_1M / 4; i++)
		pfns[i] = i & 1 ? 0xffffffff - i : (uint32_t)(GICD_BASE >> 12) + i;
	device->ring[0].desc[0] = (struct virtq_desc){ DATA + SZ_1M, SZ_1M, 0, 0 };
	device->ring[1].desc[0] = device->ring[0].desc[0];
	virtio_offer(device, 0, 0);
	good &= used(device, 0, 1);
	virtio_offer(device, 1, 0);
	good &= used(device, 1, 1) && *canary == 0x5ca1ab1e;
	expect(good && others_work(device) && works_again(device), device,
	       "pages that are not RAM");
}

static void abuse(struct virtio_device *device)
{
	break_rings(device);
	offer_nothing(device);
	reset_in_flight(device);
	if (device->legacy) {
		misplace_legacy_queues(device);
	} else {
		misplace_queues(device);
		take_too_much(device);
	}
	select_wrong_queues(device);
	write_while_it_runs(device);
	flip(device);
	if (device->id == VIRTIO_BLK)
		abuse_blk(device);
	else if (device->id == VIRTIO_RNG)
		abuse_rng(device);
	else if (device->id == VIRTIO_BALLOON)
		abuse_balloon(device);
}

void guest_main(const void *fdt)
{
	unsigned wanted = (unsigned)parameter(fdt, "devices=", 10);

	mmu_on();
	psci(PSCI_CPU_ON, cpu_mpidr(1), (uint64_t)secondary_start, STACK);
	failures += !check(wait_until(flipper_runs, PATIENCE_MS), "another vCPU runs");
	device_count = virtio_find(devices);
	failures +=
		!check(device_count == wanted, "%u devices are there, of %u", device_count, wanted);
	for (unsigned i = 0; i < device_count; i++)
		expect(works_again(&devices[i]), &devices[i], "it works");
	for (unsigned i = 0; i < device_count; i++)
		abuse(&devices[i]);
	if (failures)
		panic();
}

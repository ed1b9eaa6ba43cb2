// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtqueues of drivers that break the rules: the queue breaks, says why, and stays broken until it is set up anew. A
 * row tells what is in the ring and in the table that a descriptor may refer to; a packed ring takes `next` for nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include <lkvm/sizes.h>
#include "virtq_driver.h"

#define RAM_SIZE (64 * SZ_1M)
#define RING     MAP_RAM_BASE
#define TABLE    (MAP_RAM_BASE + SZ_64K)
#define DATA     (MAP_RAM_BASE + SZ_1M)
#define RAM_END  (MAP_RAM_BASE + RAM_SIZE)
#define SIZE     4

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

enum { SPLIT = 1, PACKED = 2, BOTH = 3 };

struct row {
	const char *name;
	unsigned formats;
	const char *why;
	struct vring_desc ring[SIZE], table[SIZE];
	uint16_t head;    /* split */
	uint16_t ahead;   /* split: chains offered, 0: one */
	bool no_indirect; /* not negotiated */
};

static const char in_ram[] = "a buffer is not in RAM";
static const char looping[] = "a chain of descriptors loops";
static const char outside[] = "a descriptor is outside of its table";
static const char table_ram[] = "an indirect table is not in RAM";
static const char table_size[] = "an indirect table has a size it cannot have";
static const char nested[] = "an indirect descriptor in an indirect table";
static const char ahead[] = "its available index is ahead by more than the queue's size";

#define TABLE_OF(entries)                                                                          \
	{                                                                                          \
		TABLE, (entries)*16, INDIRECT, 0                                                   \
	}

static const struct row rows[] = {
	{ "two descriptors loop", SPLIT, looping,
	  .ring = { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 0 } } },
	{ "a descriptor leads to itself", SPLIT, looping, .ring = { { DATA, 16, NEXT, 0 } } },
	{ "empty descriptors loop", SPLIT, looping,
	  .ring = { { 0, 0, NEXT, 1 }, { 0, 0, NEXT, 0 } } },
	{ "a table's descriptors loop", SPLIT, looping, .ring = { TABLE_OF(2) },
	  .table = { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 0 } } },
	{ "a chain goes on for more than the ring", PACKED,
	  "a chain of descriptors is longer than the ring",
	  .ring = { { DATA, 1, NEXT, 0 },
		    { DATA, 1, NEXT, 0 },
		    { DATA, 1, NEXT, 0 },
		    { DATA, 1, NEXT, 0 } } },
	{ "the head is the queue's size", SPLIT, outside, .head = SIZE },
	{ "the head is far out", SPLIT, outside, .head = 0xffff },
	{ "next is the queue's size", SPLIT, outside, .ring = { { DATA, 16, NEXT, SIZE } } },
	{ "next is far out", SPLIT, outside, .ring = { { DATA, 16, NEXT, 0xffff } } },
	{ "next is outside of the table, inside of the ring", SPLIT, outside,
	  .ring = { TABLE_OF(2) }, .table = { { DATA, 16, NEXT, 2 } } },
	{ "one chain more than the queue has descriptors", SPLIT, ahead, .ahead = SIZE + 1 },
	{ "half a lap more", SPLIT, ahead, .ahead = 0x8000 },
	{ "the available index goes back", SPLIT, ahead, .ahead = 0xffff },
	{ "a table below RAM", BOTH, table_ram, .ring = { { RING - 16, 16, INDIRECT, 0 } } },
	{ "a table at the end of RAM", BOTH, table_ram, .ring = { { RAM_END, 16, INDIRECT, 0 } } },
	{ "a table across the end of RAM", BOTH, table_ram,
	  .ring = { { RAM_END - 16, 32, INDIRECT, 0 } } },
	{ "a table across the end of addresses", BOTH, table_ram,
	  .ring = { { -16ULL, 32, INDIRECT, 0 } } },
	{ "an empty table", BOTH, table_size, .ring = { TABLE_OF(0) } },
	{ "a table of half a descriptor", BOTH, table_size, .ring = { { TABLE, 8, INDIRECT, 0 } } },
	{ "a table and a byte", BOTH, table_size, .ring = { { TABLE, 33, INDIRECT, 0 } } },
	{ "a table with an entry too many", BOTH, table_size,
	  .ring = { TABLE_OF(VIRTQ_SIZE_MAX + 1) } },
	{ "a table of 4 GiB", BOTH, table_size, .ring = { { TABLE, 0xfffffff0, INDIRECT, 0 } } },
	{ "a table in a table", BOTH, nested, .ring = { TABLE_OF(2) },
	  .table = { TABLE_OF(1), { DATA, 16, 0, 0 } } },
	{ "a table as its own", BOTH, nested, .ring = { TABLE_OF(1) }, .table = { TABLE_OF(1) } },
	{ "the ring as a table", BOTH, nested, .ring = { { RING, 64, INDIRECT, 0 } } },
	{ "a table that goes on in the ring", BOTH,
	  "an indirect descriptor is not its chain's last",
	  .ring = { { TABLE, 16, INDIRECT | NEXT, 1 } }, .table = { { DATA, 16, 0, 0 } } },
	{ "a table that was not negotiated", BOTH, "an indirect descriptor that was not negotiated",
	  .ring = { TABLE_OF(1) }, .table = { { DATA, 16, 0, 0 } }, .no_indirect = true },
	{ "a buffer below RAM", BOTH, in_ram, .ring = { { RING - 16, 16, 0, 0 } } },
	{ "a buffer across the start of RAM", BOTH, in_ram, .ring = { { RING - 16, 32, 0, 0 } } },
	{ "a buffer across the end of RAM", BOTH, in_ram,
	  .ring = { { RAM_END - 16, 17, WRITE, 0 } } },
	{ "a buffer behind RAM", BOTH, in_ram, .ring = { { RAM_END, 1, WRITE, 0 } } },
	{ "a buffer across the end of addresses", BOTH, in_ram, .ring = { { -16ULL, 32, 0, 0 } } },
	{ "a buffer around all addresses", BOTH, in_ram,
	  .ring = { { DATA, 0xffffffff, WRITE, 0 } } },
	{ "a buffer at the last address", BOTH, in_ram, .ring = { { ~0ULL, 1, 0, 0 } } },
	{ "the second buffer outside of RAM", BOTH, in_ram,
	  .ring = { { DATA, 16, NEXT, 1 }, { 0x1000, 16, WRITE, 0 } } },
	{ "a table's buffer outside of RAM", BOTH, in_ram, .ring = { TABLE_OF(2) },
	  .table = { { DATA, 16, NEXT, 1 }, { 0x1000, 16, WRITE, 0 } } },
	{ "a buffer to read after one to write", BOTH, "a buffer to read follows one to write",
	  .ring = { { DATA, 16, WRITE | NEXT, 1 }, { DATA, 16, 0, 0 } } },
	{ "the same in a table", BOTH, "a buffer to read follows one to write",
	  .ring = { TABLE_OF(2) }, .table = { { DATA, 16, WRITE | NEXT, 1 }, { DATA, 16, 0, 0 } } },
};

struct rig {
	struct guest_mem ram;
	struct virtq_driver driver;
	struct virtq vq;
	struct virtq_chain chain;
};

static struct rig rig;

static void start(uint16_t size, unsigned flags, bool indirect)
{
	virtq_init(&rig.vq, 0, VIRTQ_SIZE_MAX);
	virtq_driver_init(&rig.driver, &rig.ram, RING, size, flags);
	virtq_driver_start(&rig.driver, &rig.vq, indirect);
}

static int setup(void **state)
{
	const struct guest_mem_config config = { .base = MAP_RAM_BASE, .size = RAM_SIZE };

	(void)state;
	return guest_mem_create(&rig.ram, &config);
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_destroy(&rig.ram);
	return 0;
}

static void *ram(uint64_t gpa)
{
	return rig.ram.host + (gpa - MAP_RAM_BASE);
}

static struct vring_packed_desc packed_of(const struct vring_desc *desc, uint16_t flags)
{
	return (struct vring_packed_desc){ desc->addr, desc->len, 0, desc->flags | flags };
}

static void offer(const struct row *row, bool packed)
{
	if (packed) {
		for (unsigned i = 0; i < SIZE; i++) {
			rig.driver.ring[i] =
				packed_of(&row->ring[i], 1 << VRING_PACKED_DESC_F_AVAIL);
			((struct vring_packed_desc *)ram(TABLE))[i] = packed_of(&row->table[i], 0);
		}
	} else {
		memcpy(rig.driver.desc, row->ring, sizeof(row->ring));
		memcpy(ram(TABLE), row->table, sizeof(row->table));
		rig.driver.avail->ring[0] = row->head;
		rig.driver.avail->idx = row->ahead ? row->ahead : 1;
	}
}

static void is_broken(const char *why)
{
	assert_true(rig.vq.broken);
	assert_string_equal(rig.vq.why, why);
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), -EPROTO);
	assert_false(virtq_has_chain(&rig.vq));
	virtq_push_id(&rig.vq, 0, 1, 1);
	assert_false(virtq_interrupts(&rig.vq));
	assert_false(virtq_driver_used(&rig.driver, NULL, NULL));
}

static void breaks_the_queue(void **state)
{
	const struct row *row = *state;

	for (unsigned i = 0; i < 4; i++) {
		unsigned flags =
			(i & 1 ? VIRTQ_DRIVER_EVENT_IDX : 0) | (i & 2 ? VIRTQ_DRIVER_PACKED : 0);

		if (!(row->formats & (i & 2 ? PACKED : SPLIT)))
			continue;
		start(SIZE, flags, !row->no_indirect);
		offer(row, i & 2);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), -EPROTO);
		is_broken(row->why);
		/* Set up anew, it serves again. */
		virtq_reset(&rig.vq);
		start(SIZE, flags, true);
		virtq_driver_add(&rig.driver, &(struct virtq_buffer){ DATA, 16 }, 0, 1);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
	}
}

/* Descriptors that are still under way are not the driver's to offer. */
static void more_than_the_ring_holds_breaks_the_queue(void **state)
{
	(void)state;
	start(SIZE, 0, true);
	for (unsigned i = 0; i < SIZE; i++) {
		virtq_driver_add(&rig.driver, &(struct virtq_buffer){ DATA, 16 }, 0, 1);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
	}
	rig.driver.avail->idx++;
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), -EPROTO);
	is_broken(ahead);

	start(SIZE, VIRTQ_DRIVER_PACKED, true);
	for (unsigned i = 0; i < SIZE; i++) {
		virtq_driver_add(&rig.driver, &(struct virtq_buffer){ DATA, 16 }, 0, 1);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
	}
	rig.driver.ring[0].flags = 1 << VRING_PACKED_DESC_F_USED;
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), -EPROTO);
	is_broken("a chain of descriptors is longer than the ring");
}

static void too_many_pieces_break_the_queue(void **state)
{
	struct virtq_buffer buffers[VIRTQ_SIZE_MAX];

	(void)state;
	for (unsigned i = 0; i < VIRTQ_SIZE_MAX; i++)
		buffers[i] = (struct virtq_buffer){ DATA, 1 };
	for (unsigned packed = 0; packed < 2; packed++) {
		uint16_t flags = NEXT | (packed ? 1 << VRING_PACKED_DESC_F_AVAIL : 0);

		start(VIRTQ_SIZE_MAX, packed ? VIRTQ_DRIVER_PACKED : 0, true);
		virtq_driver_add_indirect(&rig.driver, TABLE, buffers, VIRTQ_SIZE_MAX, 0);
		/* One more before them. */
		if (packed) {
			rig.driver.ring[1] = rig.driver.ring[0];
			rig.driver.ring[0] = (struct vring_packed_desc){ DATA, 1, 0, flags };
		} else {
			rig.driver.desc[1] = rig.driver.desc[0];
			rig.driver.desc[0] = (struct vring_desc){ DATA, 1, flags, 1 };
		}
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), -EPROTO);
		is_broken("a chain has too many descriptors");
	}
}

/* All of RAM over and over: counted in 64 bits. */
static void a_chain_over_4_gib_is_counted_right(void **state)
{
	struct virtq_buffer buffers[VIRTQ_SIZE_MAX];

	(void)state;
	for (unsigned i = 0; i < VIRTQ_SIZE_MAX; i++)
		buffers[i] = (struct virtq_buffer){ MAP_RAM_BASE, RAM_SIZE };
	for (unsigned packed = 0; packed < 2; packed++) {
		start(SIZE, packed ? VIRTQ_DRIVER_PACKED : 0, true);
		virtq_driver_add_indirect(&rig.driver, TABLE, buffers, 128, 128);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
		assert_int_equal(rig.chain.out_bytes, 128 * RAM_SIZE);
		assert_int_equal(rig.chain.in_bytes, 128 * RAM_SIZE);
	}
}

/* A table may follow descriptors of the ring (virtio 1.2, 2.7.5.3.2). */
static void a_table_may_end_a_chain(void **state)
{
	(void)state;
	start(SIZE, 0, true);
	rig.driver.desc[0] = (struct vring_desc){ DATA, 1, NEXT, 3 };
	rig.driver.desc[3] = (struct vring_desc){ TABLE, 32, INDIRECT | WRITE, 0 };
	memcpy(ram(TABLE), (struct vring_desc[]){ { DATA, 2, NEXT, 1 }, { DATA, 4, WRITE, 7 } },
	       32);
	rig.driver.avail->idx = 1;
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
	assert_int_equal(rig.chain.out_bytes, 3);
	assert_int_equal(rig.chain.in_bytes, 4);
}

struct refused {
	uint16_t size;
	bool packed;
	struct virtq_place place;
	const char *why;
};

static const char bad_size[] = "its size is not one it can have";
static const char bad_desc[] = "its descriptors are not aligned or not in RAM";
static const char bad_driver[] = "its driver area is not aligned or not in RAM";
static const char bad_device[] = "its device area is not aligned or not in RAM";

#define A RING
#define B (RING + SZ_64K)
#define C (RING + 2 * SZ_64K)

static const struct refused refused[] = {
	{ 0, false, { A, B, C }, bad_size },
	{ 0, true, { A, B, C }, bad_size },
	{ 3, false, { A, B, C }, bad_size },
	{ 255, false, { A, B, C }, bad_size },
	{ 257, true, { A, B, C }, bad_size },
	{ 512, false, { A, B, C }, bad_size },
	{ 0x8000, false, { A, B, C }, bad_size },
	{ 0xffff, true, { A, B, C }, bad_size },
	{ 8, false, { 0, 0, 0 }, bad_desc },
	{ 8, false, { A + 8, B, C }, bad_desc },
	{ 8, false, { A - 16, B, C }, bad_desc },
	{ 8, false, { RAM_END - 112, B, C }, bad_desc },
	{ 8, false, { 0x50000000, B, C }, bad_desc },
	{ 8, false, { -128ULL, B, C }, bad_desc },
	{ 8, true, { A + 4, B, C }, bad_desc },
	{ 8, true, { RAM_END - 112, B, C }, bad_desc },
	{ 8, false, { A, B + 1, C }, bad_driver },
	{ 8, false, { A, RAM_END - 20, C }, bad_driver },
	{ 8, false, { A, -20ULL, C }, bad_driver },
	{ 8, true, { A, B + 2, C }, bad_driver },
	{ 8, true, { A, RAM_END, C }, bad_driver },
	{ 8, false, { A, B, C + 2 }, bad_device },
	{ 8, false, { A, B, RAM_END - 68 }, bad_device },
	{ 8, false, { A, B, 0 }, bad_device },
	{ 8, true, { A, B, C + 2 }, bad_device },
	{ 8, true, { A, B, RAM_END - 2 }, bad_device },
};

static void wrong_places_and_sizes_are_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		virtq_init(&rig.vq, 0, VIRTQ_SIZE_MAX);
		rig.vq.size = refused[i].size;
		rig.vq.place = refused[i].place;
		rig.vq.packed = refused[i].packed;
		rig.vq.event_idx = true;
		assert_int_equal(virtq_start(&rig.vq, &rig.ram), -EINVAL);
		assert_string_equal(rig.vq.why, refused[i].why);
		assert_false(rig.vq.ready);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
	}
}

static void parts_may_reach_to_the_last_byte(void **state)
{
	(void)state;
	for (unsigned event = 0; event < 2; event++) {
		virtq_init(&rig.vq, 0, VIRTQ_SIZE_MAX);
		rig.vq.size = 8;
		rig.vq.event_idx = event;
		rig.vq.place = (struct virtq_place){ RAM_END - 128, RAM_END - (event ? 22 : 20),
						     RAM_END - (event ? 72 : 68) };
		assert_int_equal(virtq_start(&rig.vq, &rig.ram), 0);
	}
	rig.vq.size = 255;
	rig.vq.packed = true;
	rig.vq.place = (struct virtq_place){ RAM_END - 4080, RAM_END - 4, RAM_END - 4 };
	assert_int_equal(virtq_start(&rig.vq, &rig.ram), 0);
}

static atomic_bool flipping;

/* Another vCPU: turns a descriptor's address and length to and fro, in 8 bytes each. */
static void *flip(void *desc)
{
	uint64_t *words = desc, good = words[0];

	for (unsigned i = 0; atomic_load(&flipping); i++) {
		__atomic_store_n(&words[0], i & 1 ? good : RAM_END - 8, __ATOMIC_RELAXED);
		__atomic_store_n((uint32_t *)&words[1], i & 2 ? 8 : 16, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_flipping_descriptor_is_whole_or_refused(void **state)
{
	unsigned popped = 0, refusals = 0;
	pthread_t thread;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		atomic_store(&flipping, true);
		start(SIZE, packed ? VIRTQ_DRIVER_PACKED : 0, true);
		virtq_driver_add(&rig.driver, &(struct virtq_buffer){ DATA, 16 }, 0, 1);
		assert_int_equal(pthread_create(&thread, NULL, flip, rig.driver.desc), 0);
		for (unsigned i = 0; i < 20000; i++) {
			int result = virtq_pop(&rig.vq, &rig.chain);
			const uint8_t *base = rig.chain.iov[0].iov_base;

			if (result == 1) {
				popped++;
				assert_true(base == ram(DATA) || base == ram(RAM_END - 8));
				assert_true(base + rig.chain.iov[0].iov_len <=
					    rig.ram.host + RAM_SIZE);
				virtq_unpop(&rig.vq, &rig.chain);
			} else {
				refusals++;
				assert_int_equal(result, -EPROTO);
				virtq_driver_start(&rig.driver, &rig.vq, true);
			}
		}
		atomic_store(&flipping, false);
		pthread_join(thread, NULL);
	}
	assert_int_equal(popped + refusals, 40000);
}

#define ROWS  (sizeof(rows) / sizeof(rows[0]))
#define OTHER (sizeof(others) / sizeof(others[0]))

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test_setup_teardown(more_than_the_ring_holds_breaks_the_queue, setup,
						teardown),
		cmocka_unit_test_setup_teardown(too_many_pieces_break_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chain_over_4_gib_is_counted_right, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_table_may_end_a_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_places_and_sizes_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(parts_may_reach_to_the_last_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flipping_descriptor_is_whole_or_refused, setup,
						teardown),
	};
	struct CMUnitTest tests[ROWS + OTHER];

	for (unsigned i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, breaks_the_queue, setup, teardown,
						(void *)&rows[i] };
	memcpy(&tests[ROWS], others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

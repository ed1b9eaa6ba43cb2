// SPDX-License-Identifier: GPL-2.0-only
/* Virtqueues of both formats, as drivers that keep the rules use them: what both have in common runs for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include <lkvm/sizes.h>
#include "virtq_driver.h"

#define RING  MAP_RAM_BASE
#define DATA  (MAP_RAM_BASE + SZ_1M)
#define TABLE (MAP_RAM_BASE + SZ_64K)

struct rig {
	struct guest_mem ram;
	struct virtq_driver driver;
	struct virtq vq;
	struct virtq_chain chain;
};

static struct rig rig;

static void start(uint16_t size, unsigned flags)
{
	virtq_init(&rig.vq, 3, VIRTQ_SIZE_MAX);
	virtq_driver_init(&rig.driver, &rig.ram, RING, size, flags);
	virtq_driver_start(&rig.driver, &rig.vq, true);
}

static int setup(void **state)
{
	const struct guest_mem_config config = { .base = MAP_RAM_BASE, .size = 2 * SZ_1M };

	if (guest_mem_create(&rig.ram, &config))
		return -1;
	start(8, *(unsigned *)*state);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_destroy(&rig.ram);
	return 0;
}

static unsigned flags_of(void **state)
{
	return *(unsigned *)*state;
}

static uint8_t *data(uint64_t offset)
{
	return rig.ram.host + (DATA - MAP_RAM_BASE) + offset;
}

static int add_one(void)
{
	return virtq_driver_add(&rig.driver, &(struct virtq_buffer){ DATA, 16 }, 0, 1);
}

static void pop(int id)
{
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
	assert_int_equal(rig.chain.id, id);
}

static void used(int id, uint32_t len)
{
	uint32_t used_len;
	int used_id;

	assert_true(virtq_driver_used(&rig.driver, &used_id, &used_len));
	assert_int_equal(used_id, id);
	assert_int_equal(used_len, len);
}

static void none_is_popped_before_one_is_offered(void **state)
{
	(void)state;
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
	assert_false(virtq_has_chain(&rig.vq));
	assert_false(rig.vq.broken);
	assert_false(virtq_driver_used(&rig.driver, NULL, NULL));
}

static void a_chain_is_popped_with_its_pieces_in_order(void **state)
{
	const struct virtq_buffer buffers[] = {
		{ DATA, 16 }, { DATA + 100, 1 }, { DATA + 512, 512 }, { DATA + 64, 3 }
	};
	int id = virtq_driver_add(&rig.driver, buffers, 2, 2);

	(void)state;
	assert_true(virtq_has_chain(&rig.vq));
	pop(id);
	assert_int_equal(rig.chain.out, 2);
	assert_int_equal(rig.chain.in, 2);
	assert_int_equal(rig.chain.out_bytes, 17);
	assert_int_equal(rig.chain.in_bytes, 515);
	for (unsigned i = 0; i < 4; i++) {
		assert_ptr_equal(rig.chain.iov[i].iov_base, data(buffers[i].addr - DATA));
		assert_int_equal(rig.chain.iov[i].iov_len, buffers[i].len);
	}
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
}

static void an_indirect_table_is_one_chain(void **state)
{
	struct virtq_buffer buffers[VIRTQ_SIZE_MAX];
	int id;

	(void)state;
	for (unsigned i = 0; i < VIRTQ_SIZE_MAX; i++)
		buffers[i] = (struct virtq_buffer){ DATA + 32 * i, 32 };
	/* Any alignment (virtio 1.2, 2.7.5.3 has none), and more entries than the ring has. */
	for (unsigned misaligned = 0; misaligned < 9; misaligned += 4) {
		id = virtq_driver_add_indirect(&rig.driver, TABLE + misaligned, buffers, 200, 56);
		pop(id);
		assert_int_equal(rig.chain.out, 200);
		assert_int_equal(rig.chain.in, 56);
		assert_ptr_equal(rig.chain.iov[255].iov_base, data(255 * 32));
		virtq_push(&rig.vq, &rig.chain, 99);
		used(id, 99);
	}
}

/* Many laps, so that indices and wrap counters pass each other in all ways; two chains are always under way. */
static void rings_wrap_and_chains_return_in_any_order(void **state)
{
	const struct virtq_buffer buffers[] = { { DATA, 16 },
						{ DATA + 16, 16 },
						{ DATA + 32, 16 } };
	struct virtq_chain chains[2];
	int ids[2];

	for (unsigned size = 4; size <= 256; size *= 4) {
		start((uint16_t)size, flags_of(state));
		for (unsigned lap = 0; lap < 33000; lap++) {
			unsigned first = lap % 2, lens[2] = { lap, lap + 1 };

			ids[0] = virtq_driver_add(&rig.driver, buffers, 1, lap % 3);
			ids[1] = virtq_driver_add(&rig.driver, buffers, 0, 1);
			for (unsigned i = 0; i < 2; i++) {
				assert_int_equal(virtq_pop(&rig.vq, &chains[i]), 1);
				assert_int_equal(chains[i].id, ids[i]);
			}
			virtq_push(&rig.vq, &chains[first], lens[first]);
			virtq_push_id(&rig.vq, chains[!first].id, chains[!first].slots,
				      lens[!first]);
			used(ids[first], lens[first]);
			used(ids[!first], lens[!first]);
		}
		assert_int_equal(rig.driver.free, size);
	}
}

static void a_full_ring_is_served_whole(void **state)
{
	uint16_t ids[8];

	(void)state;
	for (unsigned lap = 0; lap < 5; lap++) {
		for (unsigned i = 0; i < 8; i++)
			ids[i] = (uint16_t)add_one();
		assert_int_equal(add_one(), -1);
		for (unsigned i = 0; i < 8; i++)
			pop(ids[i]);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
		for (unsigned i = 0; i < 8; i++)
			virtq_push_id(&rig.vq, ids[7 - i], 1, i);
		for (unsigned i = 0; i < 8; i++)
			used(ids[7 - i], i);
		pop(add_one());
		virtq_push(&rig.vq, &rig.chain, 0);
		assert_true(virtq_driver_used(&rig.driver, NULL, NULL));
	}
}

static void what_is_put_back_is_popped_again(void **state)
{
	const struct virtq_buffer buffers[] = { { DATA, 1 }, { DATA, 2 }, { DATA, 3 } };
	int id;

	(void)state;
	for (unsigned lap = 0; lap < 20; lap++) {
		id = virtq_driver_add(&rig.driver, buffers, 2, 1);
		pop(id);
		virtq_unpop(&rig.vq, &rig.chain);
		assert_true(virtq_has_chain(&rig.vq));
		pop(id);
		assert_int_equal(rig.chain.in_bytes, 3);
		assert_false(virtq_has_chain(&rig.vq));
		virtq_push(&rig.vq, &rig.chain, 3);
		used(id, 3);
	}
}

static void several_are_shown_at_once(void **state)
{
	const struct virtq_buffer buffers[] = { { DATA, 1 }, { DATA, 2 } };
	struct virtq_chain chains[3];
	int ids[3];

	(void)state;
	for (unsigned lap = 0; lap < 20; lap++) {
		for (unsigned i = 0; i < 3; i++) {
			ids[i] = virtq_driver_add(&rig.driver, buffers, 0, 1 + i % 2);
			assert_int_equal(virtq_pop(&rig.vq, &chains[i]), 1);
			virtq_fill(&rig.vq, &chains[i], i, i);
			assert_false(virtq_driver_used(&rig.driver, NULL, NULL));
		}
		virtq_publish(&rig.vq, 3);
		for (unsigned i = 0; i < 3; i++)
			used(ids[i], i);
		assert_false(virtq_driver_used(&rig.driver, NULL, NULL));
	}
}

static void zero_sized_buffers_vanish(void **state)
{
	const struct virtq_buffer buffers[] = { { 0, 0 }, { DATA, 4 }, { ~0ULL, 0 }, { DATA, 0 } };
	int id = virtq_driver_add(&rig.driver, buffers, 2, 2), empty;

	(void)state;
	pop(id);
	assert_int_equal(rig.chain.out, 1);
	assert_int_equal(rig.chain.in, 0);
	virtq_push(&rig.vq, &rig.chain, 0);
	used(id, 0);
	empty = virtq_driver_add(&rig.driver, buffers, 1, 0);
	pop(empty);
	assert_int_equal(rig.chain.out + rig.chain.in, 0);
	assert_int_equal(rig.chain.out_bytes + rig.chain.in_bytes, 0);
}

static void a_reset_queue_is_as_new(void **state)
{
	(void)state;
	pop(add_one());
	virtq_reset(&rig.vq);
	assert_int_equal(rig.vq.index, 3);
	assert_int_equal(rig.vq.max, VIRTQ_SIZE_MAX);
	assert_int_equal(rig.vq.size, 0);
	assert_false(rig.vq.ready);
	/* What is under way has nowhere to go. */
	virtq_push(&rig.vq, &rig.chain, 1);
	assert_false(virtq_interrupts(&rig.vq));
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
	assert_false(virtq_has_chain(&rig.vq));
	virtq_spare_kicks(&rig.vq);
	assert_false(virtq_want_kicks(&rig.vq));
	assert_false(virtq_driver_used(&rig.driver, NULL, NULL));
}

static void interrupts_are_had_and_spared(void **state)
{
	(void)state;
	assert_false(virtq_interrupts(&rig.vq));
	for (unsigned lap = 0; lap < 40; lap++) {
		virtq_driver_want_interrupts(&rig.driver, lap % 2);
		add_one();
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
		virtq_push(&rig.vq, &rig.chain, 0);
		assert_int_equal(virtq_interrupts(&rig.vq), lap % 2);
		assert_false(virtq_interrupts(&rig.vq));
		assert_true(virtq_driver_used(&rig.driver, NULL, NULL));
	}
}

/* EVENT_IDX: one interrupt when the chain asked for is used, in whatever batches; none before and none after. */
static void interrupts_come_exactly_at_the_event(void **state)
{
	unsigned used_before, interrupts;

	for (unsigned size = 4; size <= 256; size *= 8) {
		start((uint16_t)size, flags_of(state));
		for (unsigned lap = 0; lap < 5000; lap++) {
			unsigned ahead = lap % size, batch = 1 + lap % 7;

			virtq_driver_interrupt_at(&rig.driver, ahead);
			for (unsigned i = 0; i < size; i++)
				add_one();
			used_before = interrupts = 0;
			for (unsigned i = 1; i <= size; i++) {
				assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
				virtq_push(&rig.vq, &rig.chain, 0);
				if (i % batch && i < size)
					continue;
				if (virtq_interrupts(&rig.vq)) {
					assert_in_range(ahead, used_before, i - 1);
					interrupts++;
				}
				used_before = i;
			}
			assert_int_equal(interrupts, 1);
			while (virtq_driver_used(&rig.driver, NULL, NULL))
				;
			/* The ring's position moves on, so that the event meets every slot. */
			add_one();
			assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
			virtq_push(&rig.vq, &rig.chain, 0);
			virtq_interrupts(&rig.vq);
			assert_true(virtq_driver_used(&rig.driver, NULL, NULL));
		}
	}
}

/* A driver that kicks when told to, and a device that asks when it has nothing left: nothing lies about unseen. */
static void a_kick_is_asked_for_when_nothing_is_left(void **state)
{
	bool event_idx = flags_of(state) & VIRTQ_DRIVER_EVENT_IDX;

	for (unsigned lap = 0; lap < 70000; lap++) {
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
		add_one();
		assert_true(virtq_driver_kick(&rig.driver));
		add_one();
		/* The device has not come to an end yet. */
		assert_int_equal(virtq_driver_kick(&rig.driver), !event_idx);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
			virtq_push(&rig.vq, &rig.chain, 0);
			assert_true(virtq_driver_used(&rig.driver, NULL, NULL));
		}
	}
}

static void kicks_are_spared_until_wanted(void **state)
{
	(void)state;
	assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
	add_one();
	virtq_driver_kick(&rig.driver);
	for (unsigned lap = 0; lap < 100; lap++) {
		virtq_spare_kicks(&rig.vq);
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
		virtq_push(&rig.vq, &rig.chain, 0);
		assert_true(virtq_driver_used(&rig.driver, NULL, NULL));
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 0);
		add_one();
		assert_false(virtq_driver_kick(&rig.driver));
		assert_true(virtq_want_kicks(&rig.vq));
		assert_int_equal(virtq_pop(&rig.vq, &rig.chain), 1);
		virtq_push(&rig.vq, &rig.chain, 0);
		assert_true(virtq_driver_used(&rig.driver, NULL, NULL));
		assert_false(virtq_want_kicks(&rig.vq));
		add_one();
		assert_true(virtq_driver_kick(&rig.driver));
	}
}

#define ROUNDS 20000

/* A device on a thread of its own, woken by kicks alone; the driver sleeps until it is interrupted. */
struct meeting {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool kicked, interrupted;
};

static struct meeting meeting = { .lock = PTHREAD_MUTEX_INITIALIZER,
				  .changed = PTHREAD_COND_INITIALIZER };

static void set(bool *what)
{
	pthread_mutex_lock(&meeting.lock);
	*what = true;
	pthread_cond_broadcast(&meeting.changed);
	pthread_mutex_unlock(&meeting.lock);
}

static void await(bool *what)
{
	pthread_mutex_lock(&meeting.lock);
	while (!*what)
		pthread_cond_wait(&meeting.changed, &meeting.lock);
	*what = false;
	pthread_mutex_unlock(&meeting.lock);
}

/* Each chain is a number to read and room for it to be written. */
static void *device(void *arg)
{
	unsigned done = 0;

	(void)arg;
	while (done < ROUNDS) {
		await(&meeting.kicked);
		while (virtq_pop(&rig.vq, &rig.chain) > 0) {
			memcpy(rig.chain.iov[1].iov_base, rig.chain.iov[0].iov_base, 4);
			virtq_push(&rig.vq, &rig.chain, 4);
			done++;
		}
		if (virtq_interrupts(&rig.vq))
			set(&meeting.interrupted);
	}
	return NULL;
}

static unsigned collect(unsigned done, const unsigned *expected)
{
	uint32_t len, number;
	int id;

	while (virtq_driver_used(&rig.driver, &id, &len)) {
		assert_int_equal(len, 4);
		memcpy(&number, data(8 * (uint64_t)id + 4), 4);
		assert_int_equal(number, expected[id]);
		done++;
	}
	return done;
}

static void two_threads_lose_neither_kick_nor_interrupt(void **state)
{
	unsigned added = 0, done = 0, before, expected[VIRTQ_SIZE_MAX] = { 0 };
	pthread_t thread;

	start(16, flags_of(state));
	meeting.kicked = meeting.interrupted = false;
	assert_int_equal(pthread_create(&thread, NULL, device, NULL), 0);
	while (done < ROUNDS) {
		while (added < ROUNDS && rig.driver.free >= 2) {
			uint16_t id = rig.driver.free_head;
			const struct virtq_buffer pair[] = { { DATA + 8 * id, 4 },
							     { DATA + 8 * id + 4, 4 } };

			expected[id] = added++;
			memcpy(data(8 * id), &expected[id], 4);
			assert_int_equal(virtq_driver_add(&rig.driver, pair, 1, 1), id);
			if (virtq_driver_kick(&rig.driver))
				set(&meeting.kicked);
		}
		virtq_driver_want_interrupts(&rig.driver, true);
		before = done;
		done = collect(done, expected);
		if (done == before)
			await(&meeting.interrupted);
		virtq_driver_want_interrupts(&rig.driver, false);
	}
	pthread_join(thread, NULL);
}

static const unsigned split = 0, packed = VIRTQ_DRIVER_PACKED;
static const unsigned split_event = VIRTQ_DRIVER_EVENT_IDX;
static const unsigned packed_event = VIRTQ_DRIVER_PACKED | VIRTQ_DRIVER_EVENT_IDX;

#define WITH(test, format)                                                                         \
	{                                                                                          \
#test ", " #format, test, setup, teardown, (void *)&(format)                       \
	}
#define EVERY(test)                                                                                \
	WITH(test, split), WITH(test, split_event), WITH(test, packed), WITH(test, packed_event)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVERY(none_is_popped_before_one_is_offered),
		EVERY(a_chain_is_popped_with_its_pieces_in_order),
		EVERY(an_indirect_table_is_one_chain),
		EVERY(rings_wrap_and_chains_return_in_any_order),
		EVERY(a_full_ring_is_served_whole),
		EVERY(what_is_put_back_is_popped_again),
		EVERY(several_are_shown_at_once),
		EVERY(zero_sized_buffers_vanish),
		EVERY(a_reset_queue_is_as_new),
		EVERY(interrupts_are_had_and_spared),
		WITH(interrupts_come_exactly_at_the_event, split_event),
		WITH(interrupts_come_exactly_at_the_event, packed_event),
		EVERY(a_kick_is_asked_for_when_nothing_is_left),
		EVERY(kicks_are_spared_until_wanted),
		EVERY(two_threads_lose_neither_kick_nor_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

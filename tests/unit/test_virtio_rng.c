// SPDX-License-Identifier: GPL-2.0-only
/* The entropy device: what requests get, whole, cut and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <linux/virtio_ring.h>
#include <cmocka.h>
#include "files.h"
#include "virtio/rng.h"
#include "virtio_rig.h"

#define BIT64(n) (1ULL << (n))
#define MIB      (1ULL << 20)

/* In place of libc's: so many bytes at a time, then an error; bytes count up, so that none is lost or comes twice. */
static struct {
	size_t at_a_time, left;
	int error;
	uint8_t next;
} pool;

ssize_t getrandom(void *to, size_t size, unsigned flags)
{
	assert_int_equal(flags, GRND_NONBLOCK);
	if (!pool.left) {
		errno = pool.error;
		if (pool.error == EINTR)
			pool.left = SIZE_MAX;
		return -1;
	}
	if (size > pool.at_a_time)
		size = pool.at_a_time;
	if (size > pool.left)
		size = pool.left;
	pool.left -= size;
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = ++pool.next;
	return (ssize_t)size;
}

static void make(bool legacy)
{
	struct virtio_device *vdev;

	memset(&pool, 0, sizeof(pool));
	pool.at_a_time = pool.left = SIZE_MAX;
	assert_int_equal(rng_create(&vdev, &vrig.env), 0);
	virtio_rig_connect(vdev, legacy);
}

static void assert_filled(uint64_t gpa, size_t size, size_t room)
{
	const uint8_t *bytes = virtio_rig_at(gpa, room);
	uint8_t first = bytes[0];

	for (size_t i = 0; i < room; i++)
		assert_int_equal(bytes[i], i < size ? (uint8_t)(first + i) : 0);
}

static void every_buffer_comes_back_full(void **state)
{
	static const uint64_t features[] = { 0, BIT64(VIRTIO_RING_F_EVENT_IDX),
					     BIT64(VIRTIO_F_RING_PACKED),
					     BIT64(VIRTIO_F_RING_PACKED) |
						     BIT64(VIRTIO_RING_F_EVENT_IDX) };
	uint64_t gpa = virtio_rig_alloc(512);

	(void)state;
	for (unsigned legacy = 0; legacy < 2; legacy++) {
		make(legacy);
		assert_int_equal(vrig.vdev->class->id, VIRTIO_ID_RNG);
		for (unsigned i = 0; i < (legacy ? 2 : 4); i++) {
			virtio_rig_start(features[i], 0);
			for (unsigned round = 0; round < 200; round++) {
				memset(virtio_rig_at(gpa, 512), 0, 512);
				assert_int_equal(
					virtio_rig_exchange(0, &(struct virtq_buffer){ gpa, 200 },
							    0, 1),
					200);
				assert_filled(gpa, 200, 512);
			}
		}
		assert_true(atomic_load(&vrig.interrupts[0]) > 0);
		virtio_rig_destroy_device();
	}
}

static void requests_are_capped(void **state)
{
	const uint64_t gpa = virtio_rig_alloc(MIB);
	const struct virtq_buffer buffers[] = {
		{ gpa, 4 }, { gpa + 4, 60000 }, { gpa + 60004, 60000 }, { gpa, VRIG_RAM_SIZE / 2 }
	};

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	/* What is to be read is not written to. */
	assert_int_equal(virtio_rig_exchange(0, buffers, 1, 3), RNG_REQUEST_MAX);
	assert_int_equal(*(uint8_t *)virtio_rig_at(gpa, 1), 0);
	assert_filled(gpa + 4, RNG_REQUEST_MAX, MIB / 2);
}

static void requests_for_nothing_complete(void **state)
{
	const struct virtq_buffer buffers[] = { { virtio_rig_alloc(16), 16 }, { 0, 0 } };

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	assert_int_equal(virtio_rig_exchange(0, buffers, 1, 0), 0);
	assert_int_equal(virtio_rig_exchange(0, buffers, 1, 1), 0);
	assert_int_equal(virtio_rig_exchange(0, buffers + 1, 0, 1), 0);
	assert_false(virtio_rig_needs_reset());
}

static void a_pool_that_gives_little_is_asked_again(void **state)
{
	const uint64_t gpa = virtio_rig_alloc(4096);

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	pool.at_a_time = 7;
	assert_int_equal(virtio_rig_exchange(0, &(struct virtq_buffer){ gpa, 1000 }, 0, 1), 1000);
	assert_filled(gpa, 1000, 4096);
	pool.left = 0;
	pool.error = EINTR;
	assert_int_equal(virtio_rig_exchange(0, &(struct virtq_buffer){ gpa, 1000 }, 0, 1), 1000);
}

static void a_host_without_random_numbers_is_told_of_once(void **state)
{
	const uint64_t gpa = virtio_rig_alloc(256);
	const struct virtq_buffer buffers[] = { { gpa, 100 }, { gpa + 100, 100 } };

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	pool.left = 150;
	pool.error = EAGAIN;
	stderr_keep();
	assert_int_equal(virtio_rig_exchange(0, buffers, 0, 2), 150);
	assert_reported("rng: the host has no random numbers: Resource temporarily unavailable");
	stderr_keep();
	assert_int_equal(virtio_rig_exchange(0, buffers, 0, 2), 0);
	assert_string_equal(stderr_text(), "");
	pool.left = SIZE_MAX;
	assert_int_equal(virtio_rig_exchange(0, buffers, 0, 2), 200);
}

/* Each of the requests of a full ring, and the driver's next ones, without another kick. */
static void a_full_ring_is_served(void **state)
{
	const struct virtq_buffer buffer = { virtio_rig_alloc(16), 16 };
	unsigned used = 0;

	(void)state;
	make(false);
	virtio_rig_start(0, 16);
	for (unsigned i = 0; i < 16; i++)
		assert_true(virtq_driver_add(&vrig.queues[0], &buffer, 0, 1) >= 0);
	virtio_rig_kick(0);
	while (virtq_driver_used(&vrig.queues[0], NULL, NULL))
		used++;
	assert_int_equal(used, 16);
}

static void a_broken_ring_needs_a_reset(void **state)
{
	const struct virtq_buffer wrong = { 0x1000, 16 }, right = { virtio_rig_alloc(16), 16 };

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	stderr_keep();
	virtq_driver_add(&vrig.queues[0], &wrong, 0, 1);
	virtio_rig_kick(0);
	assert_reported("rng: its driver in the guest broke the rules in queue 0: a buffer is not "
			"in RAM; it waits to be reset");
	assert_true(virtio_rig_needs_reset());
	assert_int_equal(atomic_load(&vrig.config_interrupts), 1);
	assert_false(virtq_driver_used(&vrig.queues[0], NULL, NULL));
	virtio_rig_start(0, 0);
	assert_int_equal(virtio_rig_exchange(0, &right, 0, 1), 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, virtio_rig_setup, virtio_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_buffer_comes_back_full),
		TEST(requests_are_capped),
		TEST(requests_for_nothing_complete),
		TEST(a_pool_that_gives_little_is_asked_again),
		TEST(a_host_without_random_numbers_is_told_of_once),
		TEST(a_full_ring_is_served),
		TEST(a_broken_ring_needs_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

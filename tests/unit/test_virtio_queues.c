// SPDX-License-Identifier: GPL-2.0-only
/* What a driver can do to a device's queues by their registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_ring.h>
#include <cmocka.h>
#include "files.h"
#include "virtio_echo.h"
#include "virtio_rig.h"

#define PAGE     4096
#define BIT64(n) (1ULL << (n))

static struct echo *echo;

static void make(bool legacy)
{
	echo = echo_on_rig(legacy);
}

static void select_queue(uint32_t index)
{
	virtio_lock(&echo->vdev);
	echo->vdev.queue_select = index;
	virtio_unlock(&echo->vdev);
}

static void a_queue_that_is_not_there_reads_as_zero(void **state)
{
	static const uint32_t indices[] = { ECHO_QUEUES, 64, 0xffff, 0x80000000, UINT32_MAX };

	(void)state;
	make(false);
	assert_true(virtio_rig_negotiate(BIT64(VIRTIO_F_RING_RESET)));
	for (unsigned i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		struct virtio_queue_state queue;

		select_queue(indices[i]);
		virtio_queue_set_size(&echo->vdev, 4);
		virtio_queue_set_address(&echo->vdev, VIRTQ_DESC, false, 0x1000);
		virtio_queue_set_vector(&echo->vdev, 1);
		virtio_queue_set_legacy(&echo->vdev, 1, PAGE, PAGE);
		virtio_queue_set_legacy(&echo->vdev, 0, PAGE, PAGE);
		virtio_queue_set_enabled(&echo->vdev, true);
		virtio_queue_set_enabled(&echo->vdev, false);
		virtio_queue_do_reset(&echo->vdev);
		virtio_kick(&echo->vdev, indices[i]);
		queue = virtio_selected_queue(&echo->vdev);
		assert_int_equal(queue.max | queue.size | queue.enabled, 0);
		assert_int_equal(queue.place.desc | queue.place.driver | queue.place.device, 0);
		assert_int_equal(queue.vector, VIRTIO_NO_VECTOR);
	}
	assert_int_equal(virtio_rig_pump(), 0);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert_false(echo->vdev.queues[i].enabled);
}

static void a_queue_reads_back_what_was_written(void **state)
{
	struct virtio_queue_state queue;

	(void)state;
	make(false);
	select_queue(1);
	queue = virtio_selected_queue(&echo->vdev);
	assert_int_equal(queue.max, ECHO_SIZE);
	assert_int_equal(queue.size, ECHO_SIZE);
	assert_int_equal(queue.vector, VIRTIO_NO_VECTOR);
	virtio_queue_set_size(&echo->vdev, 8);
	virtio_queue_set_vector(&echo->vdev, 5);
	for (unsigned part = 0; part < 3; part++) {
		virtio_queue_set_address(&echo->vdev, part, true, 0x10 + part);
		virtio_queue_set_address(&echo->vdev, part, false, 0x20 + part);
	}
	virtio_queue_set_enabled(&echo->vdev, true);
	queue = virtio_selected_queue(&echo->vdev);
	assert_int_equal(queue.size, 8);
	assert_int_equal(queue.vector, 5);
	assert_int_equal(queue.place.desc, 0x1000000020);
	assert_int_equal(queue.place.driver, 0x1100000021);
	assert_int_equal(queue.place.device, 0x1200000022);
	assert_true(queue.enabled);
	assert_int_equal(echo->calls_changed[1], 0);
	virtio_rig_reset();
	select_queue(1);
	queue = virtio_selected_queue(&echo->vdev);
	assert_int_equal(queue.size, ECHO_SIZE);
	assert_int_equal(queue.place.desc, 0);
	assert_int_equal(queue.vector, VIRTIO_NO_VECTOR);
	assert_false(queue.enabled);
}

/* Row 8 and 9 of what a driver may get wrong: activation is refused, and nothing is served. */
static void a_queue_that_cannot_be_is_not_activated(void **state)
{
	static const struct {
		uint32_t size;
		enum virtq_part part;
		uint64_t address;
		uint64_t features;
		const char *told;
	} cases[] = {
		{ 0, VIRTQ_DESC, VRIG_RAM, 0, "queue 1: its size" },
		{ 5, VIRTQ_DESC, VRIG_RAM, 0, "queue 1: its size" },
		{ 2 * ECHO_SIZE, VIRTQ_DESC, VRIG_RAM, 0, "queue 1: its size" },
		{ 0x10010, VIRTQ_DESC, VRIG_RAM, 0, "queue 1: its size" },
		{ UINT32_MAX, VIRTQ_DESC, VRIG_RAM, 0, "queue 1: its size" },
		{ 16, VIRTQ_DESC, VRIG_RAM + 8, 0, "queue 1: its descriptors" },
		{ 16, VIRTQ_DESC, 0, 0, "queue 1: its descriptors" },
		{ 16, VIRTQ_DESC, VRIG_RAM + VRIG_RAM_SIZE - 240, 0, "queue 1: its descriptors" },
		{ 16, VIRTQ_DESC, UINT64_MAX - 15, 0, "queue 1: its descriptors" },
		{ 16, VIRTQ_DRIVER, VRIG_RAM + 1, 0, "queue 1: its driver area" },
		{ 16, VIRTQ_DRIVER, 0x50000000, 0, "queue 1: its driver area" },
		{ 16, VIRTQ_DEVICE, VRIG_RAM + 2, 0, "queue 1: its device area" },
		{ 16, VIRTQ_DEVICE, VRIG_RAM - 4, 0, "queue 1: its device area" },
		{ 16, VIRTQ_DEVICE, VRIG_RAM + 2, BIT64(VIRTIO_F_RING_PACKED),
		  "queue 1: its device area" },
		{ 17, VIRTQ_DESC, VRIG_RAM, BIT64(VIRTIO_F_RING_PACKED), "queue 1: its size" },
	};

	(void)state;
	make(false);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		atomic_store(&echo->vdev.complained, false);
		atomic_store(&vrig.config_interrupts, 0);
		assert_true(virtio_rig_negotiate(cases[i].features));
		virtio_rig_set_up_queue(0, ECHO_SIZE);
		virtio_rig_set_up_queue(1, ECHO_SIZE);
		virtio_queue_set_enabled(&echo->vdev, false);
		virtio_queue_set_size(&echo->vdev, cases[i].size);
		virtio_queue_set_address(&echo->vdev, cases[i].part, false,
					 (uint32_t)cases[i].address);
		virtio_queue_set_address(&echo->vdev, cases[i].part, true,
					 (uint32_t)(cases[i].address >> 32));
		virtio_queue_set_enabled(&echo->vdev, true);
		stderr_keep();
		virtio_rig_driver_ok();
		assert_reported(cases[i].told);
		assert_true(virtio_rig_needs_reset());
		assert_int_equal(vrig.config_interrupts, 1);
		virtio_rig_kick(0);
		virtio_rig_kick(1);
		assert_int_equal(echo->handled[0] + echo->handled[1] + echo->activations, 0);
	}
	virtio_rig_start(0, 0);
	assert_echoes(1);
}

static void a_legacy_queue_that_cannot_be_is_refused(void **state)
{
	static const struct {
		uint32_t size, pfn, page_size, align;
		bool at_once; /* not only when it is activated */
		const char *told;
	} cases[] = {
		{ 16, VRIG_RAM / PAGE, PAGE, 0, true, "no power of two" },
		{ 16, VRIG_RAM / PAGE, PAGE, 3, true, "no power of two" },
		{ 16, VRIG_RAM / PAGE, 0, PAGE, true, "no power of two" },
		{ 16, VRIG_RAM / PAGE, 0xffffffff, PAGE, true, "no power of two" },
		{ 0, VRIG_RAM / PAGE, PAGE, PAGE, false, "its size" },
		{ 12, VRIG_RAM / PAGE, PAGE, PAGE, false, "its size" },
		{ 16, 1, PAGE, PAGE, false, "its descriptors" },
		{ 16, UINT32_MAX, 0x80000000, 0x80000000, false, "its descriptors" },
		{ 16, VRIG_RAM / PAGE, PAGE, 0x80000000, false, "its device area" },
	};

	(void)state;
	make(true);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		atomic_store(&echo->vdev.complained, false);
		assert_true(virtio_rig_negotiate(0));
		select_queue(0);
		stderr_keep();
		virtio_queue_set_size(&echo->vdev, cases[i].size);
		virtio_queue_set_legacy(&echo->vdev, cases[i].pfn, cases[i].page_size,
					cases[i].align);
		assert_int_equal(virtio_rig_needs_reset(), cases[i].at_once);
		virtio_rig_driver_ok();
		assert_reported(cases[i].told);
		assert_true(virtio_rig_needs_reset());
		virtio_rig_kick(0);
		assert_int_equal(echo->handled[0] + echo->activations, 0);
	}
	virtio_rig_start(0, 0);
	assert_echoes(1);
}

static void a_queue_in_use_keeps_its_registers(void **state)
{
	struct virtio_queue_state before, after;

	(void)state;
	make(false);
	assert_true(virtio_rig_negotiate(BIT64(VIRTIO_F_RING_RESET)));
	virtio_rig_set_up_queue(0, 8);
	for (unsigned phase = 0; phase < 2; phase++) {
		before = virtio_selected_queue(&echo->vdev);
		virtio_queue_set_size(&echo->vdev, 4);
		virtio_queue_set_address(&echo->vdev, VIRTQ_DESC, false, 0x1000);
		virtio_queue_set_address(&echo->vdev, VIRTQ_DEVICE, true, 0x1000);
		virtio_queue_set_enabled(&echo->vdev, true);
		after = virtio_selected_queue(&echo->vdev);
		assert_memory_equal(&before, &after, sizeof(before));
		virtio_rig_driver_ok();
	}
	assert_echoes(0);

	/* One that was not there at DRIVER_OK comes too late. */
	virtio_rig_set_up_queue(1, 8);
	assert_false(virtio_selected_queue(&echo->vdev).enabled);
	virtio_rig_kick(1);
	assert_int_equal(echo->handled[1], 0);
}

static void a_reset_queue_is_as_new_and_can_be_set_up_again(void **state)
{
	static const uint64_t rings[] = { 0, BIT64(VIRTIO_F_RING_PACKED) };
	struct virtio_queue_state queue;

	(void)state;
	make(false);
	for (unsigned i = 0; i < 2; i++) {
		virtio_rig_start(rings[i] | BIT64(VIRTIO_F_RING_RESET), 8);
		assert_echoes(0);
		assert_echoes(1);
		echo->hold = true;
		echo_ask(1);
		select_queue(1);
		virtio_queue_do_reset(&echo->vdev);
		assert_int_equal(echo->stopped[1], i == 0 ? 1 : 3); /* the device's reset, too */
		echo_release(echo);
		assert_false(virtq_driver_used(&vrig.queues[1], NULL, NULL));
		queue = virtio_selected_queue(&echo->vdev);
		assert_int_equal(queue.size, ECHO_SIZE);
		assert_int_equal(queue.place.desc | queue.place.device | queue.enabled, 0);
		virtio_rig_kick(1);
		echo->hold = false;
		assert_echoes(0);
		virtio_rig_set_up_queue(1, 4);
		assert_int_equal(echo->started[1], i + 1);
		assert_echoes(1);
		assert_int_equal(echo->activations, i + 1);
	}
}

static void a_queue_is_reset_only_where_that_was_negotiated(void **state)
{
	(void)state;
	make(false);
	virtio_rig_start(0, 8);
	select_queue(1);
	virtio_queue_do_reset(&echo->vdev);
	assert_int_equal(echo->stopped[1], 0);
	assert_true(virtio_selected_queue(&echo->vdev).enabled);
	assert_echoes(1);
}

static void a_queue_that_was_reset_badly_set_up_needs_a_reset(void **state)
{
	(void)state;
	make(false);
	virtio_rig_start(BIT64(VIRTIO_F_RING_RESET), 8);
	select_queue(1);
	virtio_queue_do_reset(&echo->vdev);
	stderr_keep();
	virtio_queue_set_address(&echo->vdev, VIRTQ_DESC, false, 0x1234);
	virtio_queue_set_enabled(&echo->vdev, true);
	assert_reported("queue 1: its descriptors");
	assert_true(virtio_rig_needs_reset());
	assert_int_equal(echo->started[1], 0);
}

/* QueueReady of MMIO (virtio 1.2, 4.2.2.2): the driver may stop a queue and start it anew. */
static void a_disabled_queue_stops(void **state)
{
	(void)state;
	make(false);
	virtio_rig_start(0, 8);
	echo->hold = true;
	echo_ask(2);
	select_queue(2);
	virtio_queue_set_enabled(&echo->vdev, false);
	assert_int_equal(echo->stopped[2], 1);
	assert_false(virtio_selected_queue(&echo->vdev).enabled);
	echo_release(echo);
	assert_false(virtq_driver_used(&vrig.queues[2], NULL, NULL));
	echo->hold = false;
	virtio_rig_set_up_queue(2, 8);
	assert_echoes(2);
}

static void a_vector_may_change_at_any_time(void **state)
{
	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	select_queue(1);
	virtio_queue_set_vector(&echo->vdev, 3);
	assert_int_equal(virtio_selected_queue(&echo->vdev).vector, 3);
	assert_int_equal(echo->calls_changed[1], 1);
}

/* --- legacy drivers --- */

static void a_legacy_driver_gets_a_device(void **state)
{
	(void)state;
	make(true);
	virtio_rig_start(ECHO_FEATURE | ECHO_HIGH | BIT64(1), 0);
	assert_int_equal(echo->vdev.accepted, ECHO_FEATURE);
	assert_echoes(0);
	assert_echoes(2);
	select_queue(2);
	virtio_queue_set_legacy(&echo->vdev, 0, PAGE, PAGE);
	assert_int_equal(echo->stopped[2], 1);
	virtio_rig_set_up_queue(2, 8);
	assert_echoes(2);
	assert_echoes(0);
}

static void a_legacy_driver_may_begin_before_driver_ok(void **state)
{
	(void)state;
	make(true);
	virtio_rig_negotiate(0);
	virtio_rig_set_up_queue(0, 8);
	assert_echoes(0);
	assert_int_equal(vrig.interrupts[0], 1);
	virtio_rig_set_up_queue(1, 8);
	assert_echoes(1);
	virtio_rig_driver_ok();
	assert_echoes(1);
	assert_int_equal(echo->activations, 1);
	virtio_rig_reset();
	assert_int_equal(echo->deactivations, 1);
	virtio_rig_kick(0);
	assert_int_equal(echo->activations, 1);
}

static void a_legacy_driver_may_skip_acknowledge(void **state)
{
	(void)state;
	make(true);
	virtio_rig_reset();
	virtio_rig_set_up_queue(0, 8);
	virtio_set_status(&echo->vdev, VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_echoes(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, virtio_rig_setup, virtio_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_queue_that_is_not_there_reads_as_zero),
		TEST(a_queue_reads_back_what_was_written),
		TEST(a_queue_that_cannot_be_is_not_activated),
		TEST(a_legacy_queue_that_cannot_be_is_refused),
		TEST(a_queue_in_use_keeps_its_registers),
		TEST(a_reset_queue_is_as_new_and_can_be_set_up_again),
		TEST(a_queue_is_reset_only_where_that_was_negotiated),
		TEST(a_queue_that_was_reset_badly_set_up_needs_a_reset),
		TEST(a_disabled_queue_stops),
		TEST(a_vector_may_change_at_any_time),
		TEST(a_legacy_driver_gets_a_device),
		TEST(a_legacy_driver_may_begin_before_driver_ok),
		TEST(a_legacy_driver_may_skip_acknowledge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

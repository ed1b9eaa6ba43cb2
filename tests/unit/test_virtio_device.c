// SPDX-License-Identifier: GPL-2.0-only
/* What a driver can do to a device by its registers, whatever the kind and the transport. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
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

static uint64_t features_by(uint32_t (*read)(struct virtio_device *vdev), uint32_t *select)
{
	uint64_t low, high;

	*select = 0;
	low = read(&echo->vdev);
	*select = 1;
	high = read(&echo->vdev);
	*select = 2;
	assert_int_equal(read(&echo->vdev), 0);
	*select = UINT32_MAX;
	assert_int_equal(read(&echo->vdev), 0);
	return low | high << 32;
}

/* --- the ways into service --- */

static void a_device_serves_each_of_its_queues(void **state)
{
	static const uint64_t features[] = {
		0,
		BIT64(VIRTIO_RING_F_EVENT_IDX),
		BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_F_RING_PACKED),
		ECHO_FEATURE | ECHO_HIGH | BIT64(VIRTIO_F_ACCESS_PLATFORM),
	};

	(void)state;
	make(false);
	for (unsigned i = 0; i < 4; i++) {
		virtio_rig_start(features[i], 0);
		for (unsigned queue = 0; queue < ECHO_QUEUES; queue++)
			assert_echoes(queue);
		assert_int_equal(echo->activations, i + 1);
		assert_int_equal(echo->deactivations, i);
		assert_int_equal(echo->vdev.accepted, features[i] | BIT64(VIRTIO_F_VERSION_1));
	}
	assert_int_equal(vrig.interrupts[1], 4);
	assert_int_equal(vrig.config_interrupts, 0);
}

static void what_is_offered_depends_on_the_interface(void **state)
{
	const uint64_t rings = BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX);
	const uint64_t modern = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM) |
				BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_RING_RESET);
	uint32_t *select;

	(void)state;
	make(false);
	select = &echo->vdev.offered_select;
	assert_int_equal(features_by(virtio_offered_features, select),
			 ECHO_FEATURE | ECHO_HIGH | rings | modern);
	echo->vdev.withheld = BIT64(VIRTIO_F_RING_PACKED);
	assert_int_equal(features_by(virtio_offered_features, select),
			 ECHO_FEATURE | ECHO_HIGH | rings |
				 (modern & ~BIT64(VIRTIO_F_RING_PACKED)));
	echo->vdev.legacy = true;
	assert_int_equal(features_by(virtio_offered_features, select), ECHO_FEATURE | rings);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	static const uint64_t refused[] = {
		BIT64(0), /* the kind's, not offered */
		BIT64(49),
		BIT64(VIRTIO_F_IN_ORDER),
		~0ULL,
	};

	(void)state;
	make(false);
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_false(virtio_rig_negotiate(refused[i]));
		assert_int_equal(virtio_status(&echo->vdev),
				 VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	}
	/* A second try, with less. */
	echo->vdev.accepted_select = 0;
	virtio_accept_features(&echo->vdev, 0);
	echo->vdev.accepted_select = 1;
	virtio_accept_features(&echo->vdev, 0);
	virtio_set_status(&echo->vdev, 0xb);
	assert_int_equal(virtio_status(&echo->vdev), 3); /* without VERSION_1 */
	virtio_accept_features(&echo->vdev, 1);
	virtio_set_status(&echo->vdev, 0xb);
	assert_int_equal(virtio_status(&echo->vdev), 0xb);
}

static void features_are_settled_by_features_ok(void **state)
{
	(void)state;
	make(false);
	assert_true(virtio_rig_negotiate(0));
	echo->vdev.accepted_select = 0;
	virtio_accept_features(&echo->vdev, (uint32_t)ECHO_FEATURE);
	assert_int_equal(features_by(virtio_accepted_features, &echo->vdev.accepted_select),
			 BIT64(VIRTIO_F_VERSION_1));
	echo->vdev.accepted_select = 2;
	virtio_accept_features(&echo->vdev, ~0u);
	assert_int_equal(echo->vdev.accepted, BIT64(VIRTIO_F_VERSION_1));
}

static void driver_ok_without_features_ok_needs_a_reset(void **state)
{
	(void)state;
	make(false);
	stderr_keep();
	virtio_set_status(&echo->vdev, 3);
	virtio_set_status(&echo->vdev, 7);
	assert_reported("echo: its driver in the guest broke the rules: DRIVER_OK without "
			"FEATURES_OK");
	assert_int_equal(virtio_status(&echo->vdev), 3 | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(echo->activations, 0);
	assert_int_equal(vrig.config_interrupts, 0); /* there is no driver to interrupt */
	virtio_set_status(&echo->vdev, 0x4f);
	assert_int_equal(virtio_status(&echo->vdev), 3 | VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_rig_start(0, 0);
	assert_echoes(0);
}

static void status_bits_are_not_cleared(void **state)
{
	static const uint8_t writes[] = { 1, 2, 4, 8, 0xb, 0x40, 0x30 };

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	for (unsigned i = 0; i < sizeof(writes); i++) {
		virtio_set_status(&echo->vdev, writes[i]);
		assert_int_equal(virtio_status(&echo->vdev), 0xf);
	}
	virtio_set_status(&echo->vdev, 0x80);
	assert_int_equal(virtio_status(&echo->vdev), 0x8f);
	assert_int_equal(echo->activations, 1);
	assert_int_equal(echo->deactivations, 0);
	assert_echoes(0);
}

static void an_activation_that_fails_needs_a_reset(void **state)
{
	(void)state;
	make(false);
	echo->refuses = true;
	assert_true(virtio_rig_negotiate(0));
	virtio_rig_set_up_queue(0, 16);
	virtio_rig_driver_ok();
	assert_true(virtio_rig_needs_reset());
	assert_int_equal(vrig.config_interrupts, 1);
	virtio_rig_kick(0);
	assert_int_equal(echo->handled[0], 0);
	echo->refuses = false;
	virtio_rig_start(0, 0);
	assert_echoes(0);
	assert_int_equal(echo->deactivations, 0);
}

/* --- resets --- */

static void a_reset_ends_what_is_under_way(void **state)
{
	(void)state;
	make(false);
	for (unsigned i = 1; i <= 3; i++) {
		virtio_rig_start(0, 0);
		echo->hold = true;
		for (unsigned queue = 0; queue < ECHO_QUEUES; queue++)
			echo_ask(queue);
		virtio_rig_reset();
		for (unsigned queue = 0; queue < ECHO_QUEUES; queue++)
			assert_int_equal(echo->stopped[queue], i);
		assert_int_equal(echo->deactivations, i);
		echo_release(echo);
		for (unsigned queue = 0; queue < ECHO_QUEUES; queue++)
			assert_false(virtq_driver_used(&vrig.queues[queue], NULL, NULL));
		echo->hold = false;
	}
	virtio_rig_start(0, 0);
	assert_echoes(0);
}

static void a_device_that_needs_a_reset_is_silent_until_it_gets_one(void **state)
{
	uint64_t nowhere = VRIG_RAM + VRIG_RAM_SIZE;
	const struct virtq_buffer bad = { nowhere, 8 };

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	stderr_keep();
	assert_true(virtq_driver_add(&vrig.queues[1], &bad, 1, 0) >= 0);
	virtio_rig_kick(1);
	assert_reported("in queue 1: ");
	assert_true(virtio_rig_needs_reset());
	assert_int_equal(vrig.config_interrupts, 1);
	echo_ask(0);
	assert_int_equal(echo->handled[0], 0);
	assert_false(virtq_driver_used(&vrig.queues[0], NULL, NULL));

	/* Once more: nothing is said a second time. */
	virtio_rig_start(0, 0);
	assert_echoes(1);
	stderr_keep();
	assert_true(virtq_driver_add(&vrig.queues[1], &bad, 1, 0) >= 0);
	virtio_rig_kick(1);
	assert_string_equal(stderr_text(), "");
	assert_true(virtio_rig_needs_reset());
	assert_int_equal(vrig.config_interrupts, 2);
}

/* --- the configuration space --- */

static void the_configuration_space_is_read_within_its_bounds(void **state)
{
	static const struct {
		uint64_t offset;
		unsigned size;
		uint64_t value;
	} cases[] = {
		{ 0, 1, 0x10 },       { 1, 2, 0x1211 },
		{ 4, 4, 0x17161514 }, { 4, 8, 0x1b1a191817161514 },
		{ 8, 8, 0x1b1a1918 }, { 11, 4, 0x1b },
		{ 12, 4, 0 },         { 0x100, 8, 0 },
		{ UINT64_MAX, 8, 0 }, { UINT64_MAX - 3, 4, 0 },
	};

	(void)state;
	make(false);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(virtio_config_read(&echo->vdev, cases[i].offset, cases[i].size),
				 cases[i].value);
	assert_int_equal(echo->config_reads, sizeof(cases) / sizeof(cases[0]));
	echo->vdev.config_size = 0;
	assert_int_equal(virtio_config_read(&echo->vdev, 0, 8), 0);
}

static void the_configuration_space_is_written_where_it_can_be(void **state)
{
	static const struct {
		uint64_t offset;
		unsigned size;
	} ignored[] = { { 4, 1 },  { 3, 2 },          { 0, 8 },
			{ 12, 4 }, { UINT64_MAX, 1 }, { UINT64_MAX - 1, 4 } };

	(void)state;
	make(false);
	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		virtio_config_write(&echo->vdev, ignored[i].offset, ignored[i].size, ~0ULL);
	assert_int_equal(echo->config_writes, 0);
	assert_int_equal(virtio_rig_config(0, 8), 0x1716151413121110);
	virtio_config_write(&echo->vdev, 1, 2, 0xffffaabb);
	assert_int_equal(echo->config_writes, 1);
	assert_int_equal(echo->written_offset, 1);
	assert_int_equal(echo->written_size, 2);
	assert_int_equal(virtio_rig_config(0, 8), 0x1716151413aabb10);
}

static void a_configuration_change_is_a_new_generation(void **state)
{
	uint32_t before;

	(void)state;
	make(false);
	before = virtio_config_generation(&echo->vdev);
	virtio_lock(&echo->vdev);
	virtio_config_changed(&echo->vdev);
	virtio_unlock(&echo->vdev);
	assert_int_not_equal(virtio_config_generation(&echo->vdev), before);
	assert_int_equal(vrig.config_interrupts, 0);
	virtio_rig_start(0, 0);
	virtio_lock(&echo->vdev);
	virtio_config_changed(&echo->vdev);
	virtio_unlock(&echo->vdev);
	assert_int_equal(vrig.config_interrupts, 1);
}

/* --- back ends in the host's kernel --- */

static void a_taken_kick_is_not_ours_until_it_is_returned(void **state)
{
	struct virtq *vq;
	int fd;

	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	vq = virtio_queue(&echo->vdev, 1);
	virtio_lock(&echo->vdev);
	fd = virtio_take_kick_fd(&echo->vdev, vq);
	virtio_unlock(&echo->vdev);
	assert_int_equal(fd, echo->vdev.queues[1].kick.fd);
	virtio_rig_kick(1);
	assert_int_equal(echo->handled[1], 0);
	/* One that the loop had seen before, and serves now. */
	echo->vdev.queues[1].kick.ready(&echo->vdev.queues[1].kick, 1);
	assert_int_equal(echo->handled[1], 0);
	virtio_lock(&echo->vdev);
	virtio_return_kick_fd(&echo->vdev, vq);
	virtio_unlock(&echo->vdev);
	virtio_rig_pump();
	assert_int_equal(echo->handled[1], 1);
	assert_echoes(1);
}

static void a_call_goes_by_the_transports_fd_or_by_us(void **state)
{
	(void)state;
	make(false);
	virtio_rig_start(0, 0);
	virtio_lock(&echo->vdev);
	assert_int_equal(virtio_call_fd(&echo->vdev, virtio_queue(&echo->vdev, 2)), -1);
	vrig.call_fds[2] = 77;
	assert_int_equal(virtio_call_fd(&echo->vdev, virtio_queue(&echo->vdev, 2)), 77);
	virtio_interrupt_queue(&echo->vdev, virtio_queue(&echo->vdev, 2));
	echo->vdev.transport_class = NULL;
	assert_int_equal(virtio_call_fd(&echo->vdev, virtio_queue(&echo->vdev, 2)), -1);
	virtio_interrupt_queue(&echo->vdev, virtio_queue(&echo->vdev, 2));
	virtio_unlock(&echo->vdev);
	assert_int_equal(vrig.interrupts[2], 1);
}

/* --- creation --- */

static void a_device_that_lacks_an_eventfd_is_not_made(void **state)
{
	struct virtio_device_class class = { .id = 1 };
	struct virtio_device vdev = { .class = &class, .env = &vrig.env, .name = "starved" };
	struct rlimit limit, few;
	int next = dup(0), err;

	(void)state;
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = (rlim_t)next + 4; /* two for stderr_keep() */
	stderr_keep();
	setrlimit(RLIMIT_NOFILE, &few);
	err = virtio_device_init(&vdev, 8, 16);
	setrlimit(RLIMIT_NOFILE, &limit);
	virtio_device_fini(&vdev);
	assert_reported("starved: cannot create an eventfd; raise `ulimit -n`");
	assert_int_equal(err, -EMFILE);
}

/* --- two threads --- */

static void *drive_badly(void *stop)
{
	struct virtio_device *vdev = &echo->vdev;

	while (!atomic_load((atomic_bool *)stop)) {
		virtio_set_status(vdev, 0);
		virtio_set_status(vdev, 3);
		virtio_lock(vdev);
		vdev->accepted_select = 1;
		vdev->queue_select = 1;
		virtio_unlock(vdev);
		virtio_accept_features(vdev, 1);
		virtio_set_status(vdev, 0xb);
		virtio_queue_set_address(vdev, VIRTQ_DESC, false, (uint32_t)VRIG_RAM);
		virtio_queue_set_address(vdev, VIRTQ_DRIVER, false, (uint32_t)VRIG_RAM + PAGE);
		virtio_queue_set_address(vdev, VIRTQ_DEVICE, false, (uint32_t)VRIG_RAM + 2 * PAGE);
		virtio_queue_set_enabled(vdev, true);
		virtio_set_status(vdev, 0xf);
		virtio_kick(vdev, 1);
		virtio_selected_queue(vdev);
		virtio_config_write(vdev, 0, 4, 1);
	}
	return NULL;
}

static void vcpus_reset_a_device_while_it_works(void **state)
{
	atomic_bool stop = false;
	pthread_t threads[2];

	(void)state;
	make(false);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, drive_badly, &stop);
	for (unsigned i = 0; i < 2000; i++)
		virtio_rig_pump();
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	virtio_rig_start(0, 0);
	assert_echoes(1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, virtio_rig_setup, virtio_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_device_serves_each_of_its_queues),
		TEST(what_is_offered_depends_on_the_interface),
		TEST(features_that_were_not_offered_are_refused),
		TEST(features_are_settled_by_features_ok),
		TEST(driver_ok_without_features_ok_needs_a_reset),
		TEST(status_bits_are_not_cleared),
		TEST(an_activation_that_fails_needs_a_reset),
		TEST(a_reset_ends_what_is_under_way),
		TEST(a_device_that_needs_a_reset_is_silent_until_it_gets_one),
		TEST(the_configuration_space_is_read_within_its_bounds),
		TEST(the_configuration_space_is_written_where_it_can_be),
		TEST(a_configuration_change_is_a_new_generation),
		TEST(a_taken_kick_is_not_ours_until_it_is_returned),
		TEST(a_call_goes_by_the_transports_fd_or_by_us),
		TEST(a_device_that_lacks_an_eventfd_is_not_made),
		TEST(vcpus_reset_a_device_while_it_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

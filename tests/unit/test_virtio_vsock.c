// SPDX-License-Identifier: GPL-2.0-only
/* A vsock device and the vhost it is served by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <linux/vhost.h>
#include <linux/virtio_vsock.h>
#include <cmocka.h>
#include "fake_virtio_door.h"
#include "files.h"
#include "virtio/vsock.h"
#include "virtio_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CID           77
#define PACKED        (1ULL << VIRTIO_F_RING_PACKED)
#define RESET         (1ULL << VIRTIO_F_RING_RESET)
#define SEQPACKET     (1ULL << VIRTIO_VSOCK_F_SEQPACKET)
#define EVENT_IDX     (1ULL << VIRTIO_RING_F_EVENT_IDX)

static const struct fake_vhost *vhost = &fake_host.vhosts[0];

static int setup(void **state)
{
	fake_host_reset();
	fake_host.vhost_features |= SEQPACKET;
	return virtio_rig_setup(state);
}

static int teardown(void **state)
{
	int err = virtio_rig_teardown(state);

	fake_host_end();
	return err;
}

static void make(void)
{
	struct virtio_device *vdev;

	assert_int_equal(vsock_create(&vdev, CID, &vrig.env), 0);
	virtio_rig_connect(vdev, false);
}

static void its_context_id_is_the_hosts_and_the_guests(void **state)
{
	(void)state;
	make();
	assert_string_equal(fake_host.opened, "/dev/vhost-vsock");
	assert_true(vhost->owned);
	assert_int_equal(vhost->cid, CID);
	assert_int_equal(vhost->running, 0);
	assert_int_equal(virtio_rig_config(0, 8), CID);
	assert_int_equal(vrig.vdev->class->id, 19);
	assert_int_equal(vrig.vdev->queue_count, 3);
}

static void vhost_serves_both_queues_while_a_driver_is_there(void **state)
{
	(void)state;
	make();
	for (int i = 0; i < 3; i++) {
		virtio_rig_start(SEQPACKET | EVENT_IDX, 0);
		assert_int_equal(vhost->running, 1);
		assert_int_equal(vhost->ram_base, VRIG_RAM);
		assert_int_equal(vhost->ram_size, VRIG_RAM_SIZE);
		assert_int_equal(vhost->features,
				 SEQPACKET | EVENT_IDX | 1ULL << VIRTIO_F_VERSION_1);
		for (unsigned q = 0; q < 2; q++) {
			const struct fake_vring *vring = &vhost->vrings[q];

			assert_int_equal(vring->size, 128);
			assert_int_equal(vring->kick, vrig.vdev->queues[q].kick.fd);
			assert_true(vring->call >= 0);
			assert_ptr_equal(vring->desc, vrig.queues[q].desc);
		}
		virtio_rig_reset();
		assert_int_equal(vhost->running, 0);
		for (unsigned q = 0; q < 2; q++)
			assert_int_equal(vhost->vrings[q].kick, -1);
	}
}

/* The event queue is nobody's: its buffers stay. */
static void a_kick_of_the_event_queue_does_nothing(void **state)
{
	struct virtq_buffer buffer;

	(void)state;
	make();
	virtio_rig_start(0, 0);
	buffer = (struct virtq_buffer){ virtio_rig_alloc(8), 8 };
	virtq_driver_add(&vrig.queues[2], &buffer, 0, 1);
	virtio_rig_kick(2);
	assert_false(virtq_driver_used(&vrig.queues[2], NULL, NULL));
	assert_false(virtio_rig_needs_reset());
}

/* What vhost lacks is not offered. */
static void features_are_those_of_vhost(void **state)
{
	(void)state;
	fake_host.vhost_features &= ~SEQPACKET;
	make();
	assert_false(virtio_rig_negotiate(PACKED));
	assert_false(virtio_rig_negotiate(SEQPACKET));
	assert_true(virtio_rig_negotiate(EVENT_IDX));
}

static void reset_queue(unsigned index)
{
	virtio_lock(vrig.vdev);
	vrig.vdev->queue_select = index;
	virtio_unlock(vrig.vdev);
	virtio_queue_do_reset(vrig.vdev);
}

/* One queue goes: vhost, which knows both only together, stops until it is back. */
static void vhost_rests_while_a_queue_is_gone(void **state)
{
	(void)state;
	make();
	virtio_rig_start(RESET, 0);
	for (unsigned index = 0; index < 2; index++) {
		reset_queue(index);
		assert_int_equal(vhost->running, 0);
		assert_int_equal(vhost->vrings[index].kick, -1);
		assert_true(vhost->vrings[!index].kick >= 0);
		virtio_rig_set_up_queue(index, 64);
		assert_int_equal(vhost->running, 1);
		assert_int_equal(vhost->vrings[index].size, 64);
	}
	reset_queue(2);
	assert_int_equal(vhost->running, 1);
}

static void a_driver_without_all_queues_is_not_served(void **state)
{
	(void)state;
	make();
	assert_true(virtio_rig_negotiate(0));
	virtio_rig_set_up_queue(0, 128);
	virtio_rig_driver_ok();
	assert_false(virtio_rig_needs_reset());
	assert_int_equal(vhost->running, 0);
	virtio_rig_reset();
	assert_int_equal(vhost->vrings[0].kick, -1);
}

/* What vhost refuses when a driver comes is the device's end until its next reset. */
static void a_vhost_that_fails_needs_a_reset(void **state)
{
	static const unsigned long requests[] = { VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE,
						  VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK,
						  VHOST_VSOCK_SET_RUNNING };

	(void)state;
	make();
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		assert_true(virtio_rig_negotiate(0));
		fake_host.failing_request = requests[i];
		fake_host.failing_error = -EFAULT;
		stderr_keep();
		for (unsigned q = 0; q < 3; q++)
			virtio_rig_set_up_queue(q, 128);
		virtio_rig_driver_ok();
		assert_reported("vsock: ");
		assert_true(virtio_rig_needs_reset());
		fake_host.failing_request = 0;
		virtio_rig_start(0, 0);
		assert_int_equal(vhost->running, 1);
	}
}

static void a_context_id_in_use_is_refused(void **state)
{
	static const struct {
		int err;
		const char *message;
	} rows[] = {
		{ -EADDRINUSE, "--vsock 77: another guest has this context ID" },
		{ -EINVAL, "--vsock 77: the host does not take this context ID: Invalid argument" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct virtio_device *vdev;

		fake_host.failing_request = VHOST_VSOCK_SET_GUEST_CID;
		fake_host.failing_error = rows[i].err;
		stderr_keep();
		assert_int_equal(vsock_create(&vdev, CID, &vrig.env), rows[i].err);
		assert_reported(rows[i].message);
		assert_null(vdev);
	}
}

static void a_host_without_vhost_is_told_what_to_load(void **state)
{
	struct virtio_device *vdev;

	(void)state;
	fake_host.open_error = -ENOENT;
	stderr_keep();
	assert_int_equal(vsock_create(&vdev, CID, &vrig.env), -ENOENT);
	assert_reported("vsock: cannot open /dev/vhost-vsock; try `modprobe vhost_vsock`");
}

static void a_context_id_is_a_guests(void **state)
{
	static const struct {
		const char *text;
		uint32_t cid;
	} good[] = { { "3", 3 }, { "4294967294", 0xfffffffe }, { "0x10", 16 } };
	static const struct {
		const char *text, *message;
	} bad[] = {
		{ "0", "--vsock: 0 is not for guests (2 is the host): give one from 3 on" },
		{ "1", "--vsock: 1 is not for guests" },
		{ "2", "--vsock: 2 is not for guests" },
		{ "4294967295",
		  "--vsock: 4294967295 is no context ID: a number from 3 to 4294967294" },
		{ "99999999999999999999", "is no context ID" },
		{ "-3", "--vsock: -3 is no context ID" },
		{ "", "is no context ID" },
		{ "3x", "--vsock: 3x is no context ID" },
	};
	uint32_t cid;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(virtio_vsock_cid_parse(&cid, good[i].text), 0);
		assert_int_equal(cid, good[i].cid);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		stderr_keep();
		assert_int_equal(virtio_vsock_cid_parse(&cid, bad[i].text), -EINVAL);
		assert_reported(bad[i].message);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(its_context_id_is_the_hosts_and_the_guests),
		TEST(vhost_serves_both_queues_while_a_driver_is_there),
		TEST(a_kick_of_the_event_queue_does_nothing),
		TEST(features_are_those_of_vhost),
		TEST(vhost_rests_while_a_queue_is_gone),
		TEST(a_driver_without_all_queues_is_not_served),
		TEST(a_vhost_that_fails_needs_a_reset),
		TEST(a_context_id_in_use_is_refused),
		TEST(a_host_without_vhost_is_told_what_to_load),
		cmocka_unit_test(a_context_id_is_a_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

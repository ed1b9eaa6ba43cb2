// SPDX-License-Identifier: GPL-2.0-only
/* Devices that another process serves: what it is told, what the guest gets, and what happens when it goes or lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/fuse.h>
#include <linux/virtio_blk.h>
#include <cmocka.h>
#include "files.h"
#include "vhost_user_peer.h"
#include "virtio/back_end.h"
#include "virtio_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RINGS         (1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define SOUND         (1ULL << VIRTIO_F_VERSION_1 | 1ULL << 30 | RINGS)
#define MQ            1
#define REPLY_ACK     8
#define CONFIG        0x200

static struct peer peer;
static struct virtio_back_end_config config;

static int setup(void **state)
{
	const struct guest_mem_config ram = { .base = VRIG_RAM,
					      .size = VRIG_RAM_SIZE,
					      .shared = true };
	int err = virtio_rig_setup(state);

	if (err)
		return err;
	guest_mem_destroy(&vrig.ram);
	peer = (struct peer){ .features = SOUND,
			      .protocol = MQ | REPLY_ACK | CONFIG,
			      .queue_count = 4,
			      .config = 12 };
	config = (struct virtio_back_end_config){ .fs = true,
						  .queues = 1,
						  .wait = 100,
						  .tag = "shared",
						  .address = { .sun_family = AF_UNIX } };
	strcpy(config.address.sun_path, file_path("socket"));
	return guest_mem_create(&vrig.ram, &ram);
}

static int create(void)
{
	struct virtio_device *vdev;
	int err = back_end_create(&vdev, &config, &vrig.env);

	if (!err)
		virtio_rig_connect(vdev, false);
	return err;
}

static void start(void)
{
	peer_start(&peer, config.address.sun_path);
	assert_int_equal(create(), 0);
}

/* A request of 64 bytes; its reply's address. */
static uint64_t offer(unsigned queue)
{
	const struct virtq_buffer buffers[] = { { virtio_rig_alloc(64), 64 },
						{ virtio_rig_alloc(64), 64 } };

	memset(virtio_rig_at(buffers[0].addr, 64), 0x5a, 64);
	virtq_driver_want_interrupts(&vrig.queues[queue], true);
	assert_true(virtq_driver_add(&vrig.queues[queue], buffers, 1, 1) >= 0);
	virtio_kick(vrig.vdev, queue);
	return buffers[1].addr;
}

/* The guest's request comes back. */
static void assert_served(unsigned queue)
{
	uint64_t reply = offer(queue);
	uint8_t wanted[64];

	memset(wanted, 0x5a, sizeof(wanted));
	assert_int_equal(virtio_rig_wait_used(queue, NULL), 64);
	assert_memory_equal(virtio_rig_at(reply, 64), wanted, 64);
}

static void a_file_system_is_served(void **state)
{
	(void)state;
	config.queues = 3;
	start();
	assert_int_equal(vrig.vdev->class->id, 26);
	assert_int_equal(vrig.vdev->queue_count, 4);
	assert_int_equal(virtio_rig_config(0, 8), 0x646572616873); /* "shared" */
	assert_int_equal(virtio_rig_config(36, 4), 3);
	for (int i = 0; i < 3; i++) {
		virtio_rig_start(RINGS, 64);
		for (unsigned q = 0; q < 4; q++)
			assert_served(q);
		virtio_rig_reset();
	}
	virtio_rig_destroy_device();
	peer_stop(&peer);
	assert_int_equal(peer.starts, 12);
	assert_int_equal(peer.accepted, SOUND);
}

static void a_disk_is_what_its_back_end_says(void **state)
{
	(void)state;
	config.fs = false;
	config.queues = 2;
	peer.features |= 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_MQ |
			 1ULL << VIRTIO_BLK_F_RO | 1ULL << VIRTIO_BLK_F_CONFIG_WCE |
			 1ULL << VIRTIO_F_RING_PACKED;
	start();
	assert_int_equal(vrig.vdev->class->id, 2);
	assert_int_equal(virtio_rig_config(0, 4), 0x0f0e0d0c);
	assert_int_equal(virtio_rig_config(34, 2), 2);
	assert_false(virtio_rig_negotiate(1ULL << VIRTIO_BLK_F_CONFIG_WCE));
	assert_false(virtio_rig_negotiate(1ULL << VIRTIO_F_RING_PACKED));
	virtio_rig_start(1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_RO, 64);
	assert_served(1);
	virtio_rig_destroy_device();
	peer_stop(&peer);
}

static void a_transport_with_interrupts_of_its_own_is_used(void **state)
{
	struct pollfd call = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), POLLIN, 0 };

	(void)state;
	vrig.call_fds[1] = call.fd;
	start();
	virtio_rig_start(0, 64);
	offer(1);
	assert_int_equal(poll(&call, 1, 10000), 1);
	assert_true(virtq_driver_used(&vrig.queues[1], NULL, NULL));
	virtio_rig_destroy_device();
	peer_stop(&peer);
	close(call.fd);
}

static void rings_are_as_the_back_end_can(void **state)
{
	(void)state;
	peer.features &= ~RINGS;
	start();
	assert_false(virtio_rig_negotiate(1ULL << VIRTIO_RING_F_EVENT_IDX));
	assert_false(virtio_rig_negotiate(1ULL << VIRTIO_RING_F_INDIRECT_DESC));
	virtio_rig_start(0, 64);
	assert_served(1);
	virtio_rig_destroy_device();
	peer_stop(&peer);
}

static void a_back_end_that_dies_is_waited_for(void **state)
{
	(void)state;
	start();
	virtio_rig_start(0, 64);
	assert_served(1);
	stderr_keep();
	peer_stop(&peer);
	virtio_rig_pump();
	assert_reported("its back end is gone; the guest waits until it is back");
	/* What the guest asks for meanwhile is done afterwards. */
	offer(1);
	virtio_rig_pump();
	assert_false(virtq_driver_used(&vrig.queues[1], NULL, NULL));
	stderr_keep();
	peer_start(&peer, config.address.sun_path);
	assert_int_equal(virtio_rig_wait_used(1, NULL), 64);
	assert_reported("its back end is back");
	assert_served(0);
	assert_served(1);
	virtio_rig_destroy_device();
	peer_stop(&peer);
}

/* It took requests and died over them: the next one finds them where they are not used yet. */
static void requests_that_died_with_it_are_done_again(void **state)
{
	(void)state;
	start();
	virtio_rig_start(0, 64);
	assert_served(1);
	stderr_keep();
	peer_stop(&peer);
	peer.deaf = true;
	peer_start(&peer, config.address.sun_path);
	offer(1);
	virtio_rig_pump();
	peer_stop(&peer);
	peer.deaf = false;
	peer_start(&peer, config.address.sun_path);
	assert_int_equal(virtio_rig_wait_used(1, NULL), 64);
	(void)stderr_text();
	virtio_rig_destroy_device();
	peer_stop(&peer);
}

static void a_driver_may_come_and_go_without_a_back_end(void **state)
{
	(void)state;
	start();
	peer_stop(&peer);
	stderr_keep();
	virtio_rig_pump();
	for (int i = 0; i < 3; i++)
		virtio_rig_start(0, 64);
	peer_start(&peer, config.address.sun_path);
	assert_served(1);
	(void)stderr_text();
	virtio_rig_destroy_device();
	peer_stop(&peer);
}

/* The main thread does one thing. */
static bool wait_for_event(void)
{
	struct pollfd poll_fd = { vrig.loop.epoll_fd, POLLIN, 0 };

	return poll(&poll_fd, 1, 10000) == 1 && virtio_rig_pump();
}

/* The reply's last byte, or its first 16, when the request has come back. */
static void assert_refused(unsigned queue, uint64_t reply)
{
	const struct fuse_out_header answer = { 16, -ENOTCONN, 0x5a5a5a5a5a5a5a5a };

	assert_int_equal(virtio_rig_wait_used(queue, NULL), config.fs ? 16 : 0);
	if (config.fs)
		assert_memory_equal(virtio_rig_at(reply, 64), &answer, 16);
	else
		assert_int_equal(((uint8_t *)virtio_rig_at(reply, 64))[63], VIRTIO_BLK_S_IOERR);
}

/* What it died over, what came since and what comes: nobody in the guest waits; all is well when it is back. */
static void who_is_gone_for_too_long_is_answered_for(void **state)
{
	uint64_t replies[3];

	(void)state;
	for (int fs = 0; fs < 2; fs++) {
		config.fs = fs;
		config.wait = 1;
		config.queues = 2;
		peer.deaf = false;
		start();
		virtio_rig_start(RINGS, 64);
		assert_served(1);
		peer.deaf = true;
		replies[0] = offer(1);
		stderr_keep();
		peer_stop(&peer);
		virtio_rig_pump();
		assert_reported("its back end is gone; the guest waits until it is back");
		replies[1] = offer(1);
		stderr_keep();
		assert_refused(1, replies[0]);
		assert_refused(1, replies[1]);
		assert_reported("what the guest asks of its back end fails until it is back");
		replies[2] = offer(0);
		assert_refused(0, replies[2]);
		virtio_rig_start(RINGS, 64);
		assert_refused(1, offer(1));

		peer.deaf = false;
		stderr_keep();
		peer_start(&peer, config.address.sun_path);
		for (offer(1); virtio_rig_wait_used(1, NULL) != 64; offer(1))
			assert_true(wait_for_event());
		assert_reported("its back end is back");
		for (int i = 0; i < 100; i++)
			assert_served(i % 2);
		virtio_rig_destroy_device();
		peer_stop(&peer);
	}
}

/* A disk that has grown meanwhile: the guest is told. One that has fewer queues now is not what the guest knows. */
static void a_successor_is_looked_at(void **state)
{
	(void)state;
	config.fs = false;
	config.queues = 2;
	start();
	virtio_rig_start(0, 64);
	stderr_keep();
	peer_stop(&peer);
	virtio_rig_pump();
	peer.config = 99;
	peer_start(&peer, config.address.sun_path);
	assert_served(1);
	assert_int_equal(vrig.config_interrupts, 1);
	assert_int_equal(virtio_rig_config(0, 1), 99);
	peer_stop(&peer);
	virtio_rig_pump();
	(void)stderr_text();

	peer.queue_count = 1;
	peer_start(&peer, config.address.sun_path);
	stderr_keep();
	assert_true(wait_for_event());
	assert_string_equal(stderr_text(), "");
	virtio_rig_destroy_device();
	peer_stop(&peer);
}

static void who_makes_no_sense_is_refused(void **state)
{
	static const struct {
		enum peer_manner manner;
		uint64_t lacks;
		const char *message;
	} rows[] = {
		{ PEER_WRONG_REQUEST, 0,
		  "what listens there is no vhost-user back end of virtio 1.0" },
		{ PEER_WRONG_SIZE, 0,
		  "what listens there is no vhost-user back end of virtio 1.0" },
		{ PEER_SOUND, 1ULL << VIRTIO_F_VERSION_1,
		  "what listens there is no vhost-user back end" },
		{ PEER_SILENT, 0, "cannot connect to its back end: Connection timed out" },
		{ PEER_DRIPS, 0, "cannot connect to its back end: Connection timed out" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		peer.manner = rows[i].manner;
		peer.features = SOUND & ~rows[i].lacks;
		peer_start(&peer, config.address.sun_path);
		stderr_keep();
		assert_true(create() < 0);
		assert_reported(rows[i].message);
		peer_stop(&peer);
	}
}

static void who_is_not_there_is_named(void **state)
{
	char message[256];

	(void)state;
	snprintf(message, sizeof(message),
		 "vhost-user fs %s: cannot connect to its back end: No such file",
		 config.address.sun_path);
	stderr_keep();
	assert_int_equal(create(), -ENOENT);
	assert_reported(message);
}

static void too_many_queues_are_refused(void **state)
{
	(void)state;
	peer.queue_count = 2;
	config.queues = 2;
	peer_start(&peer, config.address.sun_path);
	stderr_keep();
	assert_int_equal(create(), -EINVAL);
	assert_reported("its back end has no 2 queues; give fewer with queues=");
	peer_stop(&peer);
	peer.protocol = 0;
	config.fs = false;
	config.queues = 1;
	peer_start(&peer, config.address.sun_path);
	stderr_keep();
	assert_int_equal(create(), -EOPNOTSUPP);
	assert_reported("its back end does not tell what the disk is like");
	peer_stop(&peer);
}

/* Unasked messages and memory that it does not take end the connection; the guest waits for a better one. */
static void a_connection_that_fails_later_ends(void **state)
{
	static const struct {
		enum peer_manner manner;
		const char *message;
	} rows[] = {
		{ PEER_NAGS, "its back end says what it was not asked; the guest waits" },
		{ PEER_REFUSES_MEMORY,
		  "its back end answers what makes no sense; the guest waits" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		peer.manner = PEER_SOUND;
		start();
		peer_stop(&peer);
		peer.manner = rows[i].manner;
		stderr_keep();
		virtio_rig_pump();
		assert_reported("its back end is gone");
		peer_start(&peer, config.address.sun_path);
		virtio_rig_start(0, 64);
		stderr_keep();
		assert_true(wait_for_event()); /* the timer: it connects */
		assert_true(wait_for_event()); /* the end */
		assert_non_null(strstr(stderr_text(), rows[i].message));
		peer_stop(&peer);
		virtio_rig_destroy_device();
	}
}

static void the_option_names_kind_socket_tag_and_queues(void **state)
{
	struct virtio_back_end_config parsed;

	(void)state;
	assert_int_equal(
		virtio_back_end_config_parse(&parsed, "fs,socket=/run/fs.sock,tag=host,queues=4"),
		0);
	assert_true(parsed.fs);
	assert_string_equal(parsed.address.sun_path, "/run/fs.sock");
	assert_int_equal(parsed.address.sun_family, AF_UNIX);
	assert_string_equal(parsed.tag, "host");
	assert_int_equal(parsed.queues, 4);
	assert_int_equal(parsed.wait, 10);
	assert_int_equal(virtio_back_end_config_parse(&parsed, "blk,queues=16,wait=0,socket=d"), 0);
	assert_false(parsed.fs);
	assert_int_equal(parsed.queues, 16);
	assert_int_equal(parsed.wait, 0);
	assert_int_equal(virtio_back_end_config_parse(&parsed, "blk,socket=d"), 0);
	assert_int_equal(parsed.queues, 1);
}

static void a_wrong_option_is_named(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "net,socket=x", "--vhost-user: net,socket=x is not fs|blk,socket=PATH" },
		{ "", "is not fs|blk" },
		{ "fs", "socket=PATH is missing" },
		{ "fs,socket=", "socket= without a path" },
		{ "fs,socket=x", "a file system needs a tag=" },
		{ "fs,socket=x,tag=", "tag= takes 1 to 36 bytes" },
		{ "fs,socket=x,tag=1234567890123456789012345678901234567",
		  "tag= takes 1 to 36 bytes" },
		{ "blk,socket=x,tag=t", "a disk has no tag=" },
		{ "blk,socket=x,queues=0", "queues= takes 1 to 16, not 0" },
		{ "blk,socket=x,queues=17", "queues= takes 1 to 16, not 17" },
		{ "blk,socket=x,queues=-1", "queues= takes 1 to 16, not -1" },
		{ "blk,socket=x,queues=", "queues= takes 1 to 16, not " },
		{ "blk,socket=x,wait=86401", "wait= takes 0 to 86400, not 86401" },
		{ "blk,socket=x,wait=soon", "wait= takes 0 to 86400, not soon" },
		{ "blk,socket=x,ro", "--vhost-user: ro is none of" },
	};
	char text[256] = "blk,socket=";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct virtio_back_end_config parsed;

		stderr_keep();
		assert_true(virtio_back_end_config_parse(&parsed, rows[i].text) < 0);
		assert_reported(rows[i].message);
	}
	memset(text + 11, 'x', 107);
	assert_int_equal(virtio_back_end_config_parse(&config, text), 0);
	text[11 + 107] = 'x';
	stderr_keep();
	assert_int_equal(virtio_back_end_config_parse(&config, text), -ENAMETOOLONG);
	assert_reported("the socket's path is longer than 107 bytes: xxx");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, virtio_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_file_system_is_served),
		TEST(a_disk_is_what_its_back_end_says),
		TEST(a_transport_with_interrupts_of_its_own_is_used),
		TEST(rings_are_as_the_back_end_can),
		TEST(a_back_end_that_dies_is_waited_for),
		TEST(requests_that_died_with_it_are_done_again),
		TEST(a_driver_may_come_and_go_without_a_back_end),
		TEST(who_is_gone_for_too_long_is_answered_for),
		TEST(a_successor_is_looked_at),
		TEST(who_makes_no_sense_is_refused),
		TEST(who_is_not_there_is_named),
		TEST(too_many_queues_are_refused),
		TEST(a_connection_that_fails_later_ends),
		cmocka_unit_test(the_option_names_kind_socket_tag_and_queues),
		cmocka_unit_test(a_wrong_option_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

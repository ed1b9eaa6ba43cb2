// SPDX-License-Identifier: GPL-2.0-only
/* A network card and the host: what it opens and sets, how it fails and heals, and vhost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/vhost.h>
#include <cmocka.h>
#include "files.h"
#include "net_rig.h"

#define RX      0
#define TX      1
#define CONTROL 2

/* --- opening --- */

static void interface_that_is_made_is_configured(void **state)
{
	static const uint8_t mac[] = { 2, 1, 1, 1, 1, 9 };

	(void)state;
	net_rig_make("mode=tap,host_mac=02:01:01:01:01:09", false);
	assert_string_equal(net_rig.net->tap.name, "tap7");
	assert_memory_equal(fake_host.mac, mac, sizeof(mac));
	assert_int_equal(fake_host.ip, inet_addr("192.168.33.1"));
	assert_true(fake_host.up);
}

static void interface_that_is_there_is_left_alone(void **state)
{
	(void)state;
	net_rig_make("mode=tap,tapif=lo,host_ip=10.0.0.1", false);
	assert_int_equal(fake_host.ip, 0);
	assert_false(fake_host.up);
}

static void macvtap_is_opened_by_its_path(void **state)
{
	(void)state;
	net_rig_make("tapif=/dev/tap12", false);
	assert_string_equal(fake_host.opened, "/dev/tap12");
	assert_int_equal(fake_host.ip, 0);
}

/* A script, by its name's first word in the folder of the test, that notes what it was called with. */
static const char *make_script(const char *name, int status)
{
	char text[256];
	const char *path;

	snprintf(text, sizeof(text), "#!/bin/sh\necho %s $1 >>%s\nexit %d\n", name,
		 file_path("said"), status);
	path = file_make(name, text, strlen(text));
	chmod(path, 0755);
	return path;
}

static void scripts_are_run(void **state)
{
	char option[1024], said[128] = "";
	FILE *file;

	(void)state;
	snprintf(option, sizeof(option), "script=%s,downscript=%s", make_script("up", 0),
		 make_script("down", 0));
	net_rig_make(option, false);
	assert_int_equal(fake_host.ip, 0); /* the script's affair */
	virtio_rig_destroy_device();
	file = fopen(file_path("said"), "r");
	assert_non_null(file);
	assert_true(fread(said, 1, sizeof(said) - 1, file) > 0);
	fclose(file);
	assert_string_equal(said, "up tap7\ndown tap7\n");
}

static void what_cannot_be_opened_is_reported(void **state)
{
	static const struct {
		const char *option;
		int open_error;
		unsigned long failing;
		int error;
		const char *says;
	} rows[] = {
		{ "mode=tap", -ENOENT, 0, 0, "modprobe tun" },
		{ "mode=tap", -EACCES, 0, 0, "ip tuntap add" },
		{ "mode=tap", 0, TUNSETIFF, -EPERM, "ip tuntap add" },
		{ "tapif=lo", 0, TUNSETIFF, -EBUSY, "another process has lo open" },
		{ "tapif=lo", 0, TUNSETIFF, -EINVAL, "lo is no tap interface" },
		{ "tapif=lo,mq=2", 0, 0, 0, "multi_queue" },
		{ "tapif=/dev/tap1", -ENXIO, 0, 0, "cannot use /dev/tap1 as a macvtap" },
		{ "mode=tap", 0, SIOCSIFADDR, -EPERM, "cannot configure tap7" },
		{ "script=/nonexistent/up", 0, 0, 0, "cannot run /nonexistent/up" },
		{ "script=/bin/false", 0, 0, 0, "failed with status 1" },
		{ "fd=9999", 0, 0, 0, "fd=9999" },
		{ "fd=0", 0, 0, 0, "fd=0 is no tap" },
		{ "tapif=lo,vhost=1", 0, VHOST_SET_OWNER, -EBUSY, "VHOST_SET_OWNER" },
		{ "mode=user,guest_ip=10.0.0.2", 0, 0, 0, "of one network of 24 bits" },
		{ "mode=user,guest_ip=192.168.33.1", 0, 0, 0, "of one network of 24 bits" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_host.open_error = rows[i].open_error;
		fake_host.failing_request = rows[i].failing;
		fake_host.failing_error = rows[i].error;
		stderr_keep();
		assert_true(net_rig_try(rows[i].option) < 0);
		assert_reported(rows[i].says);
		fake_host_end();
	}
}

static void offloads_are_those_of_both_ends(void **state)
{
	(void)state;
	fake_host.offloads_known = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	net_rig_make("tapif=lo", false);
	assert_true(net_rig.net->vdev.offered & NET_BIT(GUEST_TSO4));
	assert_true(net_rig.net->vdev.offered & NET_BIT(HOST_TSO6));
	assert_false(net_rig.net->vdev.offered & (NET_BIT(GUEST_UFO) | NET_BIT(HOST_UFO)));
	assert_false(net_rig.net->vdev.offered & (NET_BIT(GUEST_USO4) | NET_BIT(HOST_USO)));
	virtio_rig_start(NET_BIT(GUEST_CSUM) | NET_BIT(GUEST_TSO4) | NET_BIT(CSUM), 0);
	assert_int_equal(fake_host.offloads, TUN_F_CSUM | TUN_F_TSO4);
	virtio_rig_start(0, 0);
	assert_int_equal(fake_host.offloads, 0);
}

/* --- the control queue --- */

static void commands(void **state)
{
	static const uint8_t on = 1, off = 0, mac[] = { 2, 0, 0, 0, 0, 7 };
	static const uint8_t tables[] = { 1, 0, 0, 0, 2, 0, 0,    0, 0, 8,
					  1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1 };
	static const uint8_t broadcast[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	(void)state;
	net_rig_make("tapif=lo", false);
	virtio_rig_start(NET_BIT(CTRL_VQ) | NET_BIT(CTRL_RX) | NET_BIT(CTRL_MAC_ADDR), 0);
	assert_int_equal(fake_host.filter.count, 0);
	assert_int_equal(
		net_rig_command(CONTROL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1),
		VIRTIO_NET_OK);
	assert_int_equal(fake_host.filter.count, 2);
	assert_memory_equal(fake_host.filter.mac[1], broadcast, 6);
	assert_int_equal(
		net_rig_command(CONTROL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
		VIRTIO_NET_OK);
	assert_memory_equal(fake_host.filter.mac[0], mac, 6);
	assert_int_equal(virtio_rig_config(5, 1), 7);
	assert_int_equal(net_rig_command(CONTROL, VIRTIO_NET_CTRL_MAC,
					 VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof(tables)),
			 VIRTIO_NET_OK);
	assert_int_equal(fake_host.filter.count, 4);
	assert_memory_equal(fake_host.filter.mac[1], tables + 4, 6);
	assert_memory_equal(fake_host.filter.mac[3], tables + 14, 6);
	assert_int_equal(
		net_rig_command(CONTROL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1),
		VIRTIO_NET_OK);
	assert_int_equal(fake_host.filter.flags, TUN_FLT_ALLMULTI);
	assert_int_equal(
		net_rig_command(CONTROL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
		VIRTIO_NET_OK);
	assert_int_equal(fake_host.filter.count, 0);
}

/* Every one is refused, and the card lives on. */
static void wrong_commands_are_refused(void **state)
{
	static const struct {
		uint8_t class, command;
		uint32_t size;
		uint8_t arguments[12];
	} rows[] = {
		{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, { 0 } },
		{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, 1, { 1 } }, /* not negotiated */
		{ VIRTIO_NET_CTRL_RX, 99, 1, { 1 } },
		{ 99, 0, 1, { 1 } },
		{ VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 2, { 1, 0 } },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 5, { 2 } },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 0, { 0 } },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 4, { 0 } },
		{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, 8, { 1 } },
		{ VIRTIO_NET_CTRL_MAC,
		  VIRTIO_NET_CTRL_MAC_TABLE_SET,
		  12,
		  { 0xff, 0xff, 0xff, 0xff } },
		{ VIRTIO_NET_CTRL_MAC,
		  VIRTIO_NET_CTRL_MAC_TABLE_SET,
		  12,
		  { 0xab, 0xaa, 0xaa, 0x2a, 1, 2, 3, 4, 5, 6, 7, 8 } },
		{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, { 1 } },
		{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, 7, { 0 } },
		{ VIRTIO_NET_CTRL_GUEST_OFFLOADS,
		  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
		  8,
		  { 1 << VIRTIO_NET_F_GUEST_CSUM } },
	};
	static const uint8_t off;

	(void)state;
	net_rig_make("tapif=lo", false);
	virtio_rig_start(NET_BIT(CTRL_VQ) | NET_BIT(CTRL_RX) | NET_BIT(CTRL_MAC_ADDR) |
				 NET_BIT(CTRL_GUEST_OFFLOADS),
			 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(net_rig_command(CONTROL, rows[i].class, rows[i].command,
						 rows[i].arguments, rows[i].size),
				 VIRTIO_NET_ERR);
	assert_int_equal(
		net_rig_command(CONTROL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1),
		VIRTIO_NET_OK);
	assert_false(virtio_rig_needs_reset());
}

/* More addresses than a filter has are more than nothing: all packets pass. */
static void long_tables_let_all_pass(void **state)
{
	static uint8_t tables[8 + 100 * 6] = { 100 };
	static const uint8_t off;

	(void)state;
	net_rig_make("tapif=lo", false);
	virtio_rig_start(NET_BIT(CTRL_VQ) | NET_BIT(CTRL_RX), 0);
	net_rig_command(CONTROL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1);
	assert_int_equal(net_rig_command(CONTROL, VIRTIO_NET_CTRL_MAC,
					 VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof(tables)),
			 VIRTIO_NET_OK);
	assert_int_equal(fake_host.filter.count, 0);
	tables[0] = 62;
	assert_int_equal(net_rig_command(CONTROL, VIRTIO_NET_CTRL_MAC,
					 VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, 8 + 62 * 6),
			 VIRTIO_NET_OK);
	assert_int_equal(fake_host.filter.count, 64);
}

/* --- several queues --- */

static void pairs_are_attached_as_the_driver_says(void **state)
{
	static const uint8_t two[] = { 2, 0 }, one[] = { 1, 0 }, none[] = { 0, 0 },
			     five[] = { 5, 0 };
	const uint8_t *bytes;

	(void)state;
	fake_host.multi_queue = true;
	net_rig_make("tapif=lo,mq=4", false);
	assert_int_equal(fake_host.tap_count, 4);
	assert_int_equal(virtio_rig_config(8, 2), 4);
	virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(CTRL_VQ) | NET_BIT(MQ), 16);
	assert_true(fake_host.taps[0].attached && !fake_host.taps[1].attached);
	for (unsigned queue = 0; queue < 8; queue += 2)
		net_rig_offer(queue, 300);
	assert_int_equal(
		net_rig_command(8, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, five, 2),
		VIRTIO_NET_ERR);
	assert_int_equal(
		net_rig_command(8, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, none, 2),
		VIRTIO_NET_ERR);
	assert_int_equal(
		net_rig_command(8, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, 2),
		VIRTIO_NET_OK);
	assert_true(fake_host.taps[1].attached && !fake_host.taps[2].attached);
	net_rig_host_sends(1, 60, 1);
	virtio_rig_pump();
	assert_int_equal(net_rig_received(2, &bytes), NET_HEADER + 60);
	net_rig_guest_sends(3, 60, 1);
	virtio_rig_kick(3);
	assert_int_equal(read(net_rig_peer(1), (uint8_t[100]){ 0 }, 100), NET_HEADER + 60);
	assert_int_equal(
		net_rig_command(8, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, one, 2),
		VIRTIO_NET_OK);
	assert_false(fake_host.taps[1].attached);
}

/* (virtio 1.2, 5.1.2) Without the feature MQ the control queue is the third. */
static void control_queue_of_a_driver_without_mq(void **state)
{
	static const uint8_t off;

	(void)state;
	fake_host.multi_queue = true;
	net_rig_make("tapif=lo,mq=4", false);
	virtio_rig_start(NET_BIT(CTRL_VQ) | NET_BIT(CTRL_RX), 16);
	assert_int_equal(
		net_rig_command(2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1),
		VIRTIO_NET_OK);
	virtio_rig_kick(8);
	assert_false(virtio_rig_needs_reset());
}

/* --- an interface that goes --- */

static void pull_the_plug(void)
{
	close(fake_host.taps[0].peer);
	fake_host.taps[0].peer = -1;
}

static void link_goes_down_with_the_interface_and_heals(void **state)
{
	const uint8_t *bytes;

	(void)state;
	net_rig_make("tapif=lo", false);
	virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(STATUS) | NET_BIT(GUEST_CSUM), 0);
	net_rig_offer(RX, 300);
	virtio_rig_kick(RX);
	pull_the_plug();
	fake_host.open_error = -ENODEV;
	stderr_keep();
	virtio_rig_pump();
	assert_reported("its interface lo is gone");
	assert_int_equal(virtio_rig_config(6, 2), 0);
	assert_int_equal(vrig.config_interrupts, 1);
	assert_int_equal(virtio_rig_pump(), 0);
	/* What the guest sends meanwhile is lost, not kept. */
	net_rig_guest_sends(TX, 60, 1);
	virtio_rig_kick(TX);
	assert_true(virtq_driver_used(&vrig.queues[TX], NULL, NULL));

	fake_host.open_error = 0;
	fake_host.offloads = 0;
	while (!virtio_rig_config(6, 2)) {
		struct pollfd loop = { vrig.loop.epoll_fd, POLLIN, 0 };

		assert_int_equal(poll(&loop, 1, 10000), 1);
		virtio_rig_pump();
	}
	assert_int_equal(vrig.config_interrupts, 2);
	assert_int_equal(fake_host.offloads, TUN_F_CSUM);
	net_rig_host_sends(1, 60, 2);
	virtio_rig_pump();
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
	net_rig_guest_sends(TX, 60, 3);
	virtio_rig_kick(TX);
	assert_int_equal(read(net_rig_peer(1), (uint8_t[100]){ 0 }, 100), NET_HEADER + 60);
	assert_int_equal(virtio_rig_pump(), 0);
}

/* Before a driver is there, and with an fd that nothing can replace. */
static void interface_may_go_at_any_time(void **state)
{
	(void)state;
	net_rig_make("tapif=lo", false);
	pull_the_plug();
	virtio_rig_pump();
	assert_int_equal(virtio_rig_config(6, 2), 0);
	virtio_rig_start(NET_BIT(STATUS), 0);
	assert_false(virtio_rig_needs_reset());
	net_rig_guest_sends(TX, 60, 1);
	virtio_rig_kick(TX);
	assert_true(virtq_driver_used(&vrig.queues[TX], NULL, NULL));
}

/* --- vhost --- */

static void vhost_gets_the_queues(void **state)
{
	struct fake_vhost *vhost = &fake_host.vhosts[0];

	(void)state;
	net_rig_make("tapif=lo,vhost=1", false);
	assert_true(vhost->owned);
	assert_false(virtio_rig_negotiate(1ULL << VIRTIO_F_RING_PACKED));
	vrig.call_fds[RX] = 777;
	virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(CTRL_VQ) | NET_BIT(GUEST_CSUM) |
				 1ULL << VIRTIO_F_ACCESS_PLATFORM | 1ULL << VIRTIO_F_RING_RESET |
				 1ULL << VIRTIO_RING_F_EVENT_IDX,
			 64);
	assert_true(vhost->features == (NET_BIT(MRG_RXBUF) | 1ULL << VIRTIO_F_VERSION_1 |
					1ULL << VIRTIO_RING_F_EVENT_IDX));
	assert_true(vhost->ram_base == VRIG_RAM && vhost->ram_size == VRIG_RAM_SIZE);
	assert_true(vhost->ram_host == (uintptr_t)vrig.ram.host);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vhost->vrings[i].size, 64);
		assert_true(vhost->vrings[i].desc == (uintptr_t)vrig.queues[i].desc);
		assert_true(vhost->vrings[i].avail == (uintptr_t)vrig.queues[i].avail);
		assert_true(vhost->vrings[i].used == (uintptr_t)vrig.queues[i].used);
		assert_int_equal(vhost->vrings[i].kick, vrig.vdev->queues[i].kick.fd);
		assert_int_equal(vhost->vrings[i].backend, fake_host.taps[0].fd);
	}
	assert_int_equal(vhost->vrings[RX].call, 777);

	/* Kicks are vhost's now: not even the loop wakes up. */
	virtio_rig_pump();
	virtio_kick(vrig.vdev, TX);
	assert_int_equal(virtio_rig_pump(), 0);
	/* Where the transport has no fd, we interrupt. */
	eventfd_write(vhost->vrings[TX].call, 1);
	virtio_rig_pump();
	assert_int_equal(vrig.interrupts[TX], 1);

	virtio_rig_reset();
	assert_int_equal(vhost->vrings[RX].backend, -1);
	assert_int_equal(vhost->vrings[TX].kick, -1);
}

static void vhost_that_gives_up_breaks_the_card(void **state)
{
	(void)state;
	net_rig_make("tapif=lo,vhost=1", false);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
	stderr_keep();
	eventfd_write(fake_host.vhosts[0].vrings[RX].error, 1);
	virtio_rig_pump();
	assert_reported("vhost cannot serve a queue");
	assert_true(virtio_rig_needs_reset());
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
}

static void vhost_that_refuses_leaves_nothing_started(void **state)
{
	static const unsigned long requests[] = {
		VHOST_SET_FEATURES,   VHOST_SET_MEM_TABLE,  VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK, VHOST_NET_SET_BACKEND,
	};

	(void)state;
	net_rig_make("tapif=lo,vhost=1", false);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		assert_true(virtio_rig_negotiate(0));
		for (unsigned queue = 0; queue < 3; queue++)
			virtio_rig_set_up_queue(queue, 16);
		fake_host.failing_request = requests[i];
		fake_host.failing_error = -EFAULT;
		stderr_keep();
		virtio_rig_driver_ok();
		assert_reported("Fatal");
		assert_true(virtio_rig_needs_reset());
		fake_host.failing_request = 0;
		assert_null(net_rig.net->vhost[0].vrings[RX].vq);
		assert_null(net_rig.net->vhost[0].vrings[TX].vq);
	}
	virtio_rig_start(0, 16);
}

static void vhost_lets_go_of_an_interface_that_is_gone(void **state)
{
	struct fake_vring *rx = &fake_host.vhosts[0].vrings[RX];

	(void)state;
	net_rig_make("tapif=lo,vhost=1", false);
	virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(STATUS), 0);
	pull_the_plug();
	eventfd_write(rx->error, 1); /* is no fault of the driver's */
	virtio_rig_pump();
	assert_false(virtio_rig_needs_reset());
	assert_int_equal(rx->backend, -1);
	assert_int_equal(virtio_rig_config(6, 2), 0);
	while (!virtio_rig_config(6, 2)) {
		struct pollfd loop = { vrig.loop.epoll_fd, POLLIN, 0 };

		assert_int_equal(poll(&loop, 1, 10000), 1);
		virtio_rig_pump();
	}
	assert_int_equal(rx->backend, fake_host.taps[1].fd);
}

/* What the host says of its interfaces is only the occasion to look at ours. */
static void vhost_looks_at_the_interface_when_links_change(void **state)
{
	(void)state;
	net_rig_make("tapif=lo,vhost=1", false);
	virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(STATUS), 0);
	net_rig.net->links.ready(&net_rig.net->links, EPOLLIN);
	assert_int_equal(virtio_rig_config(6, 2), VIRTIO_NET_S_LINK_UP);
	fake_host.taps[0].attached = false;
	net_rig.net->links.ready(&net_rig.net->links, EPOLLIN);
	assert_int_equal(virtio_rig_config(6, 2), 0);
	assert_int_equal(fake_host.vhosts[0].vrings[RX].backend, -1);
}

/* --- another thread --- */

static void *reset_again_and_again(void *done)
{
	for (unsigned i = 0; i < 200; i++) {
		virtio_rig_reset();
		virtio_rig_start(NET_BIT(MRG_RXBUF), 64);
		net_rig_offer(RX, 4096);
		virtio_kick(vrig.vdev, RX);
		if (vrig.allocated > 8 << 20)
			vrig.allocated = 0;
	}
	atomic_store((atomic_bool *)done, true);
	return NULL;
}

/* Bad-inputs 14: resets by a vCPU while the main thread has packets. */
static void resets_amid_packets(void **state)
{
	atomic_bool done = false;
	pthread_t thread;
	uint8_t packet[200] = { 0 };

	(void)state;
	net_rig_make("tapif=lo", false);
	pthread_create(&thread, NULL, reset_again_and_again, &done);
	while (!atomic_load(&done)) {
		(void)!write(net_rig_peer(0), packet, sizeof(packet));
		virtio_rig_pump();
	}
	pthread_join(thread, NULL);
	assert_false(virtio_rig_needs_reset());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, net_rig_setup, net_rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(interface_that_is_made_is_configured),
		TEST(interface_that_is_there_is_left_alone),
		TEST(macvtap_is_opened_by_its_path),
		TEST(scripts_are_run),
		TEST(what_cannot_be_opened_is_reported),
		TEST(offloads_are_those_of_both_ends),
		TEST(commands),
		TEST(wrong_commands_are_refused),
		TEST(long_tables_let_all_pass),
		TEST(pairs_are_attached_as_the_driver_says),
		TEST(control_queue_of_a_driver_without_mq),
		TEST(link_goes_down_with_the_interface_and_heals),
		TEST(interface_may_go_at_any_time),
		TEST(vhost_gets_the_queues),
		TEST(vhost_that_gives_up_breaks_the_card),
		TEST(vhost_that_refuses_leaves_nothing_started),
		TEST(vhost_lets_go_of_an_interface_that_is_gone),
		TEST(vhost_looks_at_the_interface_when_links_change),
		TEST(resets_amid_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

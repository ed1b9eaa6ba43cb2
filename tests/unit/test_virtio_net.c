// SPDX-License-Identifier: GPL-2.0-only
/* A network card's packets, both ways, over a tap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "net_rig.h"

#define RX      0
#define TX      1
#define CONTROL 2

static void start(uint64_t features)
{
	net_rig_make("tapif=lo", false);
	virtio_rig_start(features, 0);
}

static uint16_t num_buffers(const uint8_t *header)
{
	uint16_t number;

	memcpy(&number, header + 10, sizeof(number));
	return number;
}

static void card_is_what_was_asked_for(void **state)
{
	static const uint8_t mac[] = { 2, 0x15, 0x15, 0x15, 0x15, 0x15 };

	(void)state;
	start(NET_BIT(MRG_RXBUF) | NET_BIT(MAC) | NET_BIT(STATUS));
	for (unsigned i = 0; i < sizeof(mac); i++)
		assert_int_equal(virtio_rig_config(i, 1), mac[i]);
	assert_int_equal(virtio_rig_config(6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(virtio_rig_config(8, 2), 1);
	assert_int_equal(fake_host.header, NET_HEADER);
	assert_int_equal(fake_host.offloads, 0);
	assert_string_equal(fake_host.opened, "/dev/net/tun");
}

/* (virtio 1.2, 5.1.6.4) */
static void received_packet_fills_as_many_buffers_as_it_needs(void **state)
{
	const uint8_t *bytes;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	for (unsigned i = 0; i < 100; i++)
		net_rig_offer(RX, 1000);
	virtio_rig_kick(RX);
	net_rig_host_sends(0, 2500, 1);
	net_rig_host_sends(0, 60, 2);
	virtio_rig_pump();

	assert_int_equal(net_rig_received(RX, &bytes), 1000);
	assert_int_equal(num_buffers(bytes), 3);
	assert_true(net_rig_is_packet(bytes + NET_HEADER, NET_HEADER, 1000 - NET_HEADER, 1));
	assert_int_equal(net_rig_received(RX, &bytes), 1000);
	assert_true(net_rig_is_packet(bytes, 1000, 1000, 1));
	assert_int_equal(net_rig_received(RX, &bytes), 512);
	assert_true(net_rig_is_packet(bytes, 2000, 512, 1));

	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
	assert_int_equal(num_buffers(bytes), 1);
	assert_true(net_rig_is_packet(bytes + NET_HEADER, NET_HEADER, 60, 2));
	assert_int_equal(net_rig_received(RX, &bytes), 0);
	assert_true(vrig.interrupts[RX] > 0);
}

/* The whole of the longest packet there is, and not one byte more or less. */
static void longest_packet_is_received(void **state)
{
	const uint8_t *bytes;
	size_t done = 0;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	for (unsigned i = 0; i < 50; i++)
		net_rig_offer(RX, 1536);
	net_rig_host_sends(0, 65535 + 14, 9);
	virtio_rig_pump();
	while (done < NET_HEADER + 65535 + 14) {
		uint32_t len = net_rig_received(RX, &bytes);

		assert_true(len > 0);
		if (!done) {
			assert_int_equal(num_buffers(bytes), 43);
			memset((uint8_t *)bytes, 0, NET_HEADER);
		}
		assert_true(net_rig_is_packet(bytes, done, len, 9));
		done += len;
	}
	assert_int_equal(done, NET_HEADER + 65535 + 14);
	assert_int_equal(net_rig_received(RX, &bytes), 0);
}

/* The next packet's bytes in all its buffers; its length, or 0: there is none. */
static size_t next_packet(uint8_t *whole)
{
	const uint8_t *bytes;
	size_t len = net_rig_received(RX, &bytes);
	unsigned buffers;

	if (!len)
		return 0;
	buffers = num_buffers(bytes);
	memcpy(whole, bytes, len);
	while (--buffers > 0) {
		uint32_t more = net_rig_received(RX, &bytes);

		assert_true(more > 0);
		memcpy(whole + len, bytes, more);
		len += more;
	}
	memset(whole, 0, NET_HEADER);
	return len;
}

/* Many at a time, of all sizes, in one system call: each whole, in order, and no buffer lost on the way. */
static void bursts_are_received_whole(void **state)
{
	static uint8_t whole[NET_HEADER + 65600];
	uint32_t random = 1;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	for (unsigned round = 0; round < 300; round++) {
		size_t sizes[12];
		unsigned count = round % 12 + 1;

		if (vrig.allocated > 20 << 20)
			vrig.allocated = 0;
		while (vrig.queues[RX].free > 0)
			net_rig_offer(RX, 4096);
		virtio_rig_kick(RX);
		for (unsigned i = 0; i < count; i++) {
			random = random * 1103515245 + 12345;
			sizes[i] = 60 + (random >> 8) % (count > 2 ? 14000 : 65000);
			net_rig_host_sends(0, sizes[i], (uint8_t)(round + i));
		}
		virtio_rig_pump();
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(next_packet(whole), NET_HEADER + sizes[i]);
			assert_true(net_rig_is_packet(whole, 0, NET_HEADER + sizes[i],
						      (uint8_t)(round + i)));
		}
		assert_int_equal(next_packet(whole), 0);
	}
	assert_int_equal(net_rig.net->batch.way, TAP_BATCH_AIO);
}

/* What did not fit waits for more buffers, and nothing of it is seen before. */
static void packet_waits_for_buffers(void **state)
{
	const uint8_t *bytes;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	net_rig_offer(RX, 1000);
	net_rig_host_sends(0, 2500, 3);
	net_rig_host_sends(0, 80, 4);
	virtio_rig_pump();
	assert_int_equal(net_rig_received(RX, &bytes), 0);

	net_rig_offer(RX, 1000);
	virtio_rig_kick(RX);
	assert_int_equal(net_rig_received(RX, &bytes), 0);

	for (unsigned i = 0; i < 4; i++)
		net_rig_offer(RX, 1000);
	virtio_rig_kick(RX);
	assert_int_equal(net_rig_received(RX, &bytes), 1000);
	assert_int_equal(num_buffers(bytes), 3);
	assert_int_equal(net_rig_received(RX, &bytes), 1000);
	assert_true(net_rig_is_packet(bytes, 1000, 1000, 3));
	assert_int_equal(net_rig_received(RX, &bytes), 512);
	assert_true(net_rig_is_packet(bytes, 2000, 512, 3));
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 80);
}

/* All that the ring can hold is in hand, and too little: waiting would be for ever. */
static void packet_that_never_fits_is_lost(void **state)
{
	const uint8_t *bytes;

	(void)state;
	net_rig_make("tapif=lo", false);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 4);
	for (unsigned i = 0; i < 4; i++)
		net_rig_offer(RX, 100);
	net_rig_host_sends(0, 2500, 3);
	net_rig_host_sends(0, 80, 4);
	virtio_rig_pump();
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 80);
	assert_true(net_rig_is_packet(bytes + NET_HEADER, NET_HEADER, 80, 4));
	assert_int_equal(net_rig_received(RX, &bytes), 0);
}

static void without_mergeable_buffers_a_packet_has_one(void **state)
{
	const uint8_t *bytes;

	(void)state;
	start(0);
	for (unsigned i = 0; i < 3; i++)
		net_rig_offer(RX, 1526);
	net_rig_host_sends(0, 1600, 1); /* no room */
	net_rig_host_sends(0, 1514, 2);
	net_rig_host_sends(0, 60, 3);
	virtio_rig_pump();
	assert_int_equal(net_rig_received(RX, &bytes), 1526);
	assert_int_equal(num_buffers(bytes), 1);
	assert_true(net_rig_is_packet(bytes + NET_HEADER, NET_HEADER, 1514, 2));
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
	assert_int_equal(net_rig_received(RX, &bytes), 0);
}

/* A tap that has packets is not looked at again until there is a buffer. */
static void no_buffers_no_spin(void **state)
{
	const uint8_t *bytes;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	virtio_rig_pump();
	net_rig_host_sends(0, 60, 1);
	assert_in_range(virtio_rig_pump(), 1, 2);
	assert_int_equal(virtio_rig_pump(), 0);
	net_rig_host_sends(0, 60, 2);
	assert_int_equal(virtio_rig_pump(), 0);

	net_rig_offer(RX, 200);
	net_rig_offer(RX, 200);
	assert_true(virtq_driver_kick(&vrig.queues[RX]));
	virtio_rig_kick(RX);
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
	assert_true(net_rig_is_packet(bytes + NET_HEADER, NET_HEADER, 60, 2));
}

static void sent_packets_reach_the_host(void **state)
{
	static const size_t sizes[] = { 60, 1514, 9000, 65535 };
	static uint8_t got[NET_HEADER + 65536];
	int id;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	for (size_t i = 0; i < 4; i++)
		net_rig_guest_sends(TX, sizes[i], (uint8_t)i);
	virtio_rig_kick(TX);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(read(net_rig_peer(0), got, sizeof(got)), NET_HEADER + sizes[i]);
		assert_true(net_rig_is_packet(got, 0, NET_HEADER + sizes[i], (uint8_t)i));
		assert_true(virtq_driver_used(&vrig.queues[TX], &id, NULL));
	}
	assert_false(virtq_driver_used(&vrig.queues[TX], &id, NULL));
	assert_true(vrig.interrupts[TX] > 0);
}

/* Nothing, a header alone, more than any packet: used, and not sent. */
static void what_is_no_packet_is_not_sent(void **state)
{
	struct virtq_buffer odd[] = { { virtio_rig_alloc(65536), NET_HEADER },
				      { virtio_rig_alloc(65536), 65536 },
				      { virtio_rig_alloc(65536), 65536 } };
	uint8_t got[64];

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	virtq_driver_add(&vrig.queues[TX], odd, 1, 0);
	virtq_driver_add(&vrig.queues[TX], odd + 1, 2, 0);
	virtq_driver_add(&vrig.queues[TX], odd, 0, 1);
	virtio_rig_kick(TX);
	for (unsigned i = 0; i < 3; i++)
		assert_true(virtq_driver_used(&vrig.queues[TX], NULL, NULL));
	assert_int_equal(read(net_rig_peer(0), got, sizeof(got)), -1);
	assert_false(virtio_rig_needs_reset());
}

/* The host's queue is full: packets wait, in order, and go when there is room. */
static void host_that_is_busy_loses_nothing(void **state)
{
	static uint8_t got[NET_HEADER + 65536];
	unsigned sent = 0, seen = 0;

	(void)state;
	fake_host.send_limit = 200000;
	start(NET_BIT(MRG_RXBUF));
	for (; sent < 60; sent++) {
		if (vrig.allocated > 16 << 20)
			break;
		net_rig_guest_sends(TX, 60000, (uint8_t)sent);
	}
	virtio_rig_kick(TX);
	assert_true(net_rig.net->taps[0].blocked);
	assert_int_equal(virtio_rig_pump(), 0);
	while (seen < sent) {
		ssize_t n = read(net_rig_peer(0), got, sizeof(got));

		if (n < 0) {
			assert_true(virtio_rig_pump() > 0);
			continue;
		}
		assert_true(net_rig_is_packet(got, 0, (size_t)n, (uint8_t)seen++));
	}
	virtio_rig_pump();
	assert_false(net_rig.net->taps[0].blocked);
}

static void legacy_header_is_shorter(void **state)
{
	const uint8_t *bytes;
	uint8_t got[128];

	(void)state;
	net_rig_make("tapif=lo", true);
	virtio_rig_start(0, 0);
	assert_int_equal(fake_host.header, 10);
	net_rig_offer(RX, 200);
	net_rig_host_sends(0, 60, 5);
	virtio_rig_pump();
	assert_int_equal(net_rig_received(RX, &bytes), 70);
	assert_true(net_rig_is_packet(bytes + 10, NET_HEADER, 60, 5));
	net_rig_guest_sends(TX, 60, 6);
	virtio_rig_kick(TX);
	assert_int_equal(read(net_rig_peer(0), got, sizeof(got)), 70);
	assert_true(net_rig_is_packet(got + 10, NET_HEADER, 60, 6));
}

static void packed_and_event_idx_rings_serve_as_well(void **state)
{
	static const uint64_t rings[] = {
		1ULL << VIRTIO_F_RING_PACKED,
		1ULL << VIRTIO_RING_F_EVENT_IDX,
		1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_RING_F_EVENT_IDX,
	};
	const uint8_t *bytes;
	uint8_t got[4096];

	(void)state;
	net_rig_make("tapif=lo", false);
	for (size_t i = 0; i < 3; i++) {
		virtio_rig_start(NET_BIT(MRG_RXBUF) | rings[i], 16);
		for (unsigned round = 0; round < 40; round++) {
			while (vrig.queues[RX].free > 0)
				net_rig_offer(RX, 700);
			virtio_rig_kick(RX);
			net_rig_host_sends(0, 1500, (uint8_t)round);
			virtio_rig_pump();
			assert_int_equal(net_rig_received(RX, &bytes), 700);
			assert_int_equal(num_buffers(bytes), 3);
			assert_int_equal(net_rig_received(RX, &bytes), 700);
			assert_int_equal(net_rig_received(RX, &bytes), 112);
			assert_true(net_rig_is_packet(bytes, 1400, 112, (uint8_t)round));
			net_rig_guest_sends(TX, 900, (uint8_t)round);
			virtio_rig_kick(TX);
			assert_true(virtq_driver_used(&vrig.queues[TX], NULL, NULL));
			assert_int_equal(read(net_rig_peer(0), got, sizeof(got)), NET_HEADER + 900);
		}
	}
}

/* Packets from before there was a driver are not for it, and none comes after it has gone. */
static void only_a_driver_receives(void **state)
{
	const uint8_t *bytes;

	(void)state;
	net_rig_make("tapif=lo", false);
	fake_host.header = NET_HEADER;
	net_rig_host_sends(0, 60, 1);
	assert_int_equal(virtio_rig_pump(), 0);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
	net_rig_offer(RX, 200);
	virtio_rig_kick(RX);
	assert_int_equal(net_rig_received(RX, &bytes), 0);
	virtio_rig_reset();
	net_rig_host_sends(0, 60, 2);
	assert_int_equal(virtio_rig_pump(), 0);
	assert_int_equal(net_rig_received(RX, &bytes), 0);
}

/* (virtio 1.2, 2.6.1) A queue that is reset and enabled again starts with nothing in hand. */
static void queue_reset_forgets_buffers(void **state)
{
	const uint8_t *bytes;

	(void)state;
	start(NET_BIT(MRG_RXBUF) | 1ULL << VIRTIO_F_RING_RESET);
	net_rig_offer(RX, 300);
	net_rig_host_sends(0, 1000, 1);
	virtio_rig_pump();
	virtio_lock(vrig.vdev);
	vrig.vdev->queue_select = RX;
	virtio_unlock(vrig.vdev);
	virtio_queue_do_reset(vrig.vdev);
	net_rig_host_sends(0, 60, 2);
	assert_int_equal(virtio_rig_pump(), 0);
	virtio_rig_set_up_queue(RX, 64);
	net_rig_offer(RX, 300);
	virtio_rig_kick(RX);
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
	assert_int_equal(num_buffers(bytes), 1);
	assert_true(net_rig_is_packet(bytes + NET_HEADER, NET_HEADER, 60, 2));
}

/* Bad-inputs 1-6: the card needs a reset, and works after it; what is in hand does no harm. */
static void broken_queues_stop_the_card_until_reset(void **state)
{
	const uint8_t *bytes;

	(void)state;
	net_rig_make("tapif=lo", false);
	for (unsigned queue = RX; queue <= CONTROL; queue++) {
		struct virtq_buffer outside = { VRIG_RAM + VRIG_RAM_SIZE - 8, 64 };

		virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(CTRL_VQ), 16);
		net_rig_offer(RX, 300);
		virtq_driver_add(&vrig.queues[queue], &outside, queue == RX ? 0 : 1,
				 queue == RX ? 1 : 0);
		net_rig_host_sends(0, 1000, 1);
		virtio_rig_kick(queue);
		assert_true(virtio_rig_needs_reset());
		net_rig_host_sends(0, 60, 2);
		virtio_rig_pump();
		assert_int_equal(virtio_rig_pump(), 0);
	}
	virtio_rig_start(NET_BIT(MRG_RXBUF), 16);
	net_rig_offer(RX, 300);
	net_rig_host_sends(0, 60, 3);
	virtio_rig_kick(RX);
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
}

/* Chains that have no room at all are used up, and keep nobody busy. */
static void buffers_of_no_size_are_given_back(void **state)
{
	struct virtq_buffer readable = { virtio_rig_alloc(16), 16 };
	const uint8_t *bytes;
	uint32_t len;

	(void)state;
	start(NET_BIT(MRG_RXBUF));
	for (unsigned i = 0; i < 100; i++)
		virtq_driver_add(&vrig.queues[RX], &readable, 1, 0);
	net_rig_offer(RX, 300);
	net_rig_host_sends(0, 60, 1);
	virtio_rig_kick(RX);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(virtq_driver_used(&vrig.queues[RX], NULL, &len));
		assert_int_equal(len, 0);
	}
	assert_int_equal(net_rig_received(RX, &bytes), NET_HEADER + 60);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, net_rig_setup, net_rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(card_is_what_was_asked_for),
		TEST(received_packet_fills_as_many_buffers_as_it_needs),
		TEST(longest_packet_is_received),
		TEST(bursts_are_received_whole),
		TEST(packet_waits_for_buffers),
		TEST(packet_that_never_fits_is_lost),
		TEST(without_mergeable_buffers_a_packet_has_one),
		TEST(no_buffers_no_spin),
		TEST(sent_packets_reach_the_host),
		TEST(what_is_no_packet_is_not_sent),
		TEST(host_that_is_busy_loses_nothing),
		TEST(legacy_header_is_shorter),
		TEST(packed_and_event_idx_rings_serve_as_well),
		TEST(only_a_driver_receives),
		TEST(queue_reset_forgets_buffers),
		TEST(broken_queues_stop_the_card_until_reset),
		TEST(buffers_of_no_size_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

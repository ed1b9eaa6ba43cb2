// SPDX-License-Identifier: GPL-2.0-only
/* User mode with the library itself: what a guest says to it, and what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <cmocka.h>
#include "files.h"
#include "net_rig.h"
#include "virtio/net_user.h"

#define RX          0
#define TX          1
#define BUFFER      2048
#define DHCP_SERVER 67
#define DHCP_CLIENT 68
#define DHCP_SIZE   300

static const uint8_t guest_mac[] = { 2, 0x15, 0x15, 0x15, 0x15, 0x15 };
static const uint8_t guest_ip[] = { 192, 168, 33, 15 };

/* Ethernet, IP and UDP headers, and what they carry. */
struct packet {
	struct ether_header ether;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t data[DHCP_SIZE];
} __attribute__((packed));

struct arp {
	struct ether_header ether;
	struct ether_arp arp;
} __attribute__((packed));

static void start(const char *option)
{
	net_rig_make(option, false);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
	for (unsigned i = 0; i < 100; i++)
		net_rig_offer(RX, BUFFER);
	virtio_rig_kick(RX);
}

static void guest_sends(const void *frame, uint32_t size)
{
	uint64_t at = virtio_rig_alloc(NET_HEADER + size);
	struct virtq_buffer buffer = { at, NET_HEADER + size };

	memcpy(virtio_rig_at(at + NET_HEADER, size), frame, size);
	assert_true(virtq_driver_add(&vrig.queues[TX], &buffer, 1, 0) >= 0);
	virtio_rig_kick(TX);
}

/* Who has the guest's address? */
static void answer_arp(const void *frame)
{
	struct arp arp;

	memcpy(&arp, frame, sizeof(arp));
	assert_memory_equal(arp.arp.arp_tpa, guest_ip, 4);
	memcpy(arp.ether.ether_dhost, arp.ether.ether_shost, 6);
	memcpy(arp.ether.ether_shost, guest_mac, 6);
	memcpy(arp.arp.arp_tpa, arp.arp.arp_spa, 4);
	memcpy(arp.arp.arp_tha, arp.arp.arp_sha, 6);
	memcpy(arp.arp.arp_spa, guest_ip, 4);
	memcpy(arp.arp.arp_sha, guest_mac, 6);
	arp.arp.arp_op = htons(ARPOP_REPLY);
	guest_sends(&arp, sizeof(arp));
}

/* The next frame for the guest, or NULL when none has come for `ms`. */
static const struct packet *guest_receives(int ms)
{
	const struct packet *packet;
	const uint8_t *bytes;

	for (;;) {
		struct pollfd loop = { vrig.loop.epoll_fd, POLLIN, 0 };

		virtio_rig_pump();
		if (!net_rig_received(RX, &bytes)) {
			if (poll(&loop, 1, ms) != 1)
				return NULL;
			continue;
		}
		packet = (const void *)(bytes + NET_HEADER);
		if (packet->ether.ether_type != htons(ETHERTYPE_ARP))
			return packet;
		answer_arp(packet);
	}
}

/* The next IPv4 frame of a protocol: IPv6 advertises itself now and then. */
static const struct packet *next_ip(uint8_t protocol)
{
	for (;;) {
		const struct packet *packet = guest_receives(10000);

		assert_non_null(packet);
		if (packet->ether.ether_type == htons(ETHERTYPE_IP) &&
		    packet->ip.protocol == protocol)
			return packet;
	}
}

static uint16_t sum(const void *data, size_t size, uint32_t total)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i += 2)
		total += (uint32_t)bytes[i] << 8 | (i + 1 < size ? bytes[i + 1] : 0);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

static void fill_udp(struct packet *packet, const char *from, const char *to, uint16_t from_port,
		     uint16_t to_port)
{
	memset(packet, 0, offsetof(struct packet, data));
	memset(packet->ether.ether_dhost, 0xff, 6);
	memcpy(packet->ether.ether_shost, guest_mac, 6);
	packet->ether.ether_type = htons(ETHERTYPE_IP);
	packet->ip.version = 4;
	packet->ip.ihl = 5;
	packet->ip.ttl = 64;
	packet->ip.protocol = IPPROTO_UDP;
	packet->ip.tot_len = htons(sizeof(*packet) - sizeof(packet->ether));
	packet->ip.saddr = inet_addr(from);
	packet->ip.daddr = inet_addr(to);
	packet->ip.check = htons((uint16_t)~sum(&packet->ip, sizeof(packet->ip), 0));
	packet->udp.source = htons(from_port);
	packet->udp.dest = htons(to_port);
	packet->udp.len = htons(sizeof(packet->udp) + sizeof(packet->data));
}

/* A DHCPDISCOVER (RFC 2131). */
static void ask_for_an_address(void)
{
	static const uint8_t options[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255 };
	struct packet packet;

	fill_udp(&packet, "0.0.0.0", "255.255.255.255", DHCP_CLIENT, DHCP_SERVER);
	memset(packet.data, 0, sizeof(packet.data));
	packet.data[0] = 1; /* request */
	packet.data[1] = 1; /* Ethernet */
	packet.data[2] = 6;
	memcpy(packet.data + 28, guest_mac, 6);
	memcpy(packet.data + 236, options, sizeof(options));
	guest_sends(&packet, sizeof(packet));
}

static void guest_gets_an_address(void **state)
{
	const struct packet *offer;
	uint32_t address;

	(void)state;
	start("mode=user");
	ask_for_an_address();
	offer = next_ip(IPPROTO_UDP);
	assert_int_equal(offer->udp.dest, htons(DHCP_CLIENT));
	assert_int_equal(offer->data[0], 2);
	memcpy(&address, offer->data + 16, sizeof(address));
	assert_int_equal(address, inet_addr("192.168.33.15"));
	assert_int_equal(offer->ip.saddr, inet_addr("192.168.33.1"));
}

static void address_is_the_one_asked_for(void **state)
{
	const struct packet *offer;
	uint32_t address;

	(void)state;
	start("mode=user,guest_ip=10.1.2.99,host_ip=10.1.2.3");
	ask_for_an_address();
	offer = next_ip(IPPROTO_UDP);
	memcpy(&address, offer->data + 16, sizeof(address));
	assert_int_equal(address, inet_addr("10.1.2.99"));
}

static void no_dhcp_gives_none(void **state)
{
	const struct packet *packet;
	struct virtio_device *vdev;

	(void)state;
	assert_int_equal(virtio_network_config_parse(&net_rig.config, "mode=user"), 0);
	net_rig.config.no_dhcp = true;
	assert_int_equal(net_create(&vdev, &net_rig.config, 0, &vrig.env), 0);
	net_rig.net = net_of(vdev);
	virtio_rig_connect(vdev, false);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
	for (unsigned i = 0; i < 100; i++)
		net_rig_offer(RX, BUFFER);
	ask_for_an_address();
	while ((packet = guest_receives(200)))
		assert_int_not_equal(packet->ether.ether_type, htons(ETHERTYPE_IP));
}

/* What the library waits for from its sockets is waited for on the loop. */
static void datagrams_go_both_ways(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } },
			   from;
	int host = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at), from_len = sizeof(from);
	const struct packet *answer;
	struct packet packet;
	char got[DHCP_SIZE];

	(void)state;
	assert_int_equal(bind(host, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(host, (struct sockaddr *)&at, &len), 0);
	start("mode=user");
	for (unsigned round = 0; round < 3; round++) {
		fill_udp(&packet, "192.168.33.15", "192.168.33.1", 5000, ntohs(at.sin_port));
		memset(packet.data, 'a' + (int)round, sizeof(packet.data));
		guest_sends(&packet, sizeof(packet));
		assert_int_equal(
			recvfrom(host, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len),
			sizeof(got));
		assert_memory_equal(got, packet.data, sizeof(got));
		assert_int_equal(sendto(host, got, 100, 0, (struct sockaddr *)&from, from_len),
				 100);
		answer = next_ip(IPPROTO_UDP);
		assert_int_equal(answer->udp.source, at.sin_port);
		assert_int_equal(answer->udp.dest, htons(5000));
		assert_memory_equal(answer->data, packet.data, 100);
	}
	close(host);
}

/* The library asks who has the guest's address, and opens the connection when it knows. */
static void connections_are_forwarded(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	const struct packet *syn;
	char option[128];

	(void)state;
	/* A port that is free now. */
	assert_int_equal(bind(probe, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(probe, (struct sockaddr *)&at, &len), 0);
	close(probe);
	snprintf(option, sizeof(option), "mode=user,hostfwd=tcp:127.0.0.1:%u-:22",
		 ntohs(at.sin_port));
	start(option);
	assert_int_equal(connect(client, (struct sockaddr *)&at, len), 0);
	syn = next_ip(IPPROTO_TCP);
	assert_int_equal(syn->ip.daddr, inet_addr("192.168.33.15"));
	assert_int_equal(syn->udp.dest, htons(22)); /* at the same place as UDP's */
	close(client);
}

/* Packets that the driver has no buffers for wait, some of them; then the rest is lost, and nothing spins. */
static void packets_wait_for_buffers(void **state)
{
	(void)state;
	net_rig_make("mode=user", false);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
	for (unsigned i = 0; i < 300; i++) {
		ask_for_an_address();
		virtq_driver_used(&vrig.queues[TX], NULL, NULL);
	}
	assert_int_equal(net_rig.net->user->waiting, USER_BACKLOG);
	assert_int_equal(virtio_rig_pump(), 0);
	for (unsigned i = 0; i < 100; i++)
		net_rig_offer(RX, BUFFER);
	virtio_rig_kick(RX);
	for (unsigned i = 0; i < 100; i++)
		assert_non_null(guest_receives(0));
	assert_int_equal(net_rig.net->user->waiting, USER_BACKLOG - 100);
	virtio_rig_reset();
	assert_int_equal(net_rig.net->user->waiting, 0);
}

/* Nothing is opened for a guest without a driver. */
static void unasked_network_is_opened_late(void **state)
{
	struct virtio_device *vdev;

	(void)state;
	assert_int_equal(virtio_network_config_parse(&net_rig.config, "mode=user"), 0);
	net_rig.config.unasked = true;
	assert_int_equal(net_create(&vdev, &net_rig.config, 0, &vrig.env), 0);
	net_rig.net = net_of(vdev);
	virtio_rig_connect(vdev, false);
	virtio_rig_start(NET_BIT(MRG_RXBUF), 0);
	for (unsigned i = 0; i < 10; i++)
		net_rig_offer(RX, BUFFER);
	virtio_rig_kick(RX);
	assert_null(net_rig.net->user->slirp);
	ask_for_an_address();
	assert_non_null(net_rig.net->user->slirp);
	next_ip(IPPROTO_UDP);
}

static void port_that_is_taken_is_reported(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	char option[128];

	(void)state;
	assert_int_equal(bind(taken, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&at, &len), 0);
	snprintf(option, sizeof(option), "mode=user,hostfwd=tcp:127.0.0.1:%u-:22",
		 ntohs(at.sin_port));
	stderr_keep();
	assert_true(net_rig_try(option) < 0);
	assert_reported("cannot forward the host's TCP port");
	close(taken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, net_rig_setup, net_rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(guest_gets_an_address),
		TEST(address_is_the_one_asked_for),
		TEST(no_dhcp_gives_none),
		TEST(datagrams_go_both_ways),
		TEST(connections_are_forwarded),
		TEST(packets_wait_for_buffers),
		TEST(unasked_network_is_opened_late),
		TEST(port_that_is_taken_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

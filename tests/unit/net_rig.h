/* SPDX-License-Identifier: GPL-2.0-only */
/* A network card on the rig, its tap or vhost a fake one. */
#ifndef NET_RIG_H
#define NET_RIG_H

#include <stdint.h>
#include "fake_virtio_door.h"
#include "virtio/net.h"
#include "virtio_rig.h"

#define NET_BIT(feature) (1ULL << VIRTIO_NET_F_##feature)

#define NET_HEADER 12 /* bytes of virtio_net_hdr_v1 */

struct net_rig {
	struct virtio_network_config config;
	struct virtio_net *net;
	uint64_t buffers[VIRTQ_SIZE_MAX]; /* that were offered, by the chain's id */
};

extern struct net_rig net_rig;

int net_rig_setup(void **state);
int net_rig_teardown(void **state);
void net_rig_begin(void);
void net_rig_end(void);

/* Makes the card of an option's text and connects it; net_rig_try() only makes it, and returns what net_create() does. */
void net_rig_make(const char *option, bool legacy);
int net_rig_try(const char *option);

/* The test's end of a tap. */
int net_rig_peer(unsigned tap);
/* A packet from the host: a header of zeroes and `size` bytes that `seed` determines. */
void net_rig_host_sends(unsigned tap, size_t size, uint8_t seed);
/* Whether bytes [from, from + size) of such a packet (header included) are what they have to be. */
bool net_rig_is_packet(const void *bytes, size_t from, size_t size, uint8_t seed);

/* The driver offers a buffer to receive into, without a kick. Returns the chain's id. */
int net_rig_offer(unsigned queue, uint32_t size);
/* The next chain used of a receive queue: its length, its bytes in *bytes; 0: there is none. */
uint32_t net_rig_received(unsigned queue, const uint8_t **bytes);
/* The driver sends a header of zeroes and `size` bytes by seed, in two pieces. */
void net_rig_guest_sends(unsigned queue, size_t size, uint8_t seed);

/* A control command; VIRTIO_NET_OK or _ERR. queue: where the driver thinks it is. */
uint8_t net_rig_command(unsigned queue, uint8_t class, uint8_t command, const void *arguments,
			uint32_t size);

#endif

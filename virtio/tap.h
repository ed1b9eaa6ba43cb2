/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's end of a network card: a tap or macvtap interface, one fd a pair of queues. Packets go through the fds with
 * readv(2) and writev(2), each with a virtio_net_hdr (virtio 1.2, 5.1.6) in front, and never block.
 */
#ifndef VIRTIO_TAP_H
#define VIRTIO_TAP_H

#include <assert.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/if_tun.h>
#include <lkvm/virtio_net.h>

/* Of TUNSETOFFLOAD, for headers older than Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_FILTER_MAX 64 /* addresses */

/* Which of the packets for the interface its reader wants to have; none: all. A struct tun_filter. */
struct tap_filter {
	uint16_t flags, count;
	uint8_t mac[TAP_FILTER_MAX][VIRTIO_NETWORK_MAC_SIZE];
};

static_assert(offsetof(struct tap_filter, count) == offsetof(struct tun_filter, count) &&
		      offsetof(struct tap_filter, mac) == sizeof(struct tun_filter),
	      "as the ioctl takes it");

struct tap {
	const struct virtio_network_config *config;
	const char *who;     /* for messages; the card's */
	char name[IFNAMSIZ]; /* the interface's; empty: not known */
	int fds[VIRTIO_NETWORK_PAIRS_MAX];
	unsigned count;
	bool detached[VIRTIO_NETWORK_PAIRS_MAX];
	bool made;        /* by us: it goes with us */
	bool set_up;      /* downscript is due */
	bool patient;     /* the host takes every packet at once */
	unsigned offered; /* offloads (TUN_F_*) that the host can hand over */
};

/*
 * Opens it as the configuration says, config->pairs queues of it; makes an interface where none is named or none has
 * the name, and configures that one (host_mac, and script or host_ip; ip: what it has where host_ip is not given).
 * Reported, with the cure. close accepts what open has failed with, and runs downscript.
 */
int tap_open(struct tap *tap, const struct virtio_network_config *config, const char *who,
	     struct in_addr ip);
void tap_close(struct tap *tap);

/* The interface is gone for good from these fds: opens it anew, if it is there again. -errno, not reported. */
int tap_reopen(struct tap *tap);

/* Bytes of the header in front of each packet, of all queues. -errno, as for all below; not reported. */
int tap_set_header(struct tap *tap, int size);
/* What may be handed over unfinished (TUN_F_*): the rest the host computes and segments before. */
int tap_set_offloads(struct tap *tap, unsigned offloads);
/* macvtap has none. */
int tap_set_filter(struct tap *tap, const struct tap_filter *filter);
/* Whether the host spreads packets to this queue. */
int tap_attach_queue(struct tap *tap, unsigned queue, bool attach);

/* Whether a queue has no interface, or none that it is attached to. */
bool tap_is_gone(struct tap *tap, unsigned queue);

/* Forgets packets that were waiting before there was a driver. */
void tap_drain(struct tap *tap);

/* tap_setup.c: an interface of ours gets its addresses and is brought up. Reported. */
int tap_configure(const char *who, const char *name, const struct virtio_network_config *config,
		  struct in_addr ip);
/* Runs a script with the interface's name. Reported. */
int tap_run_script(const char *who, const char *script, const char *name);

#endif

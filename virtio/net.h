/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network cards (virtio 1.2, 5.1): net.c is what all have, net_ctrl.c their control queue, net_rx.c what is on its way
 * to the driver; a back end (net_tap.c, net_vhost.c, net_user.c) moves the packets.
 */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include <stdatomic.h>
#include <linux/virtio_net.h>
#include <lkvm/virtio_net.h>
#include "device.h"
#include "tap.h"
#include "tap_batch.h"
#include "vhost.h"

/* The features of newer kernels' headers (virtio 1.3, 5.1.3). */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif

#define NET_QUEUE_SIZE 256
/* The longest packet there is: 64 KiB of IP and an Ethernet header with two VLAN tags, behind a virtio_net_hdr. */
#define NET_PACKET_MAX (12 + 14 + 8 + 65535)

#define NET_TX_PIECES 512

/* Chains in hand have this many pieces at most: two chains that are as long as can be. */
#define NET_RX_PIECES (2 * VIRTQ_SIZE_MAX)

struct virtio_net;

/* A chain that was taken off its queue for packets to come. */
struct net_rx_chain {
	uint16_t id, slots;
	unsigned pieces;
	uint32_t bytes;
};

/*
 * A receive queue. Nobody knows a packet's length before it is read: chains for the longest are in hand, the packet is
 * read into them, and what it leaves is for the next. Where the driver offers too little, the rest of a packet goes into
 * `spill`, and waits there for more chains.
 */
struct net_rx {
	struct virtio_net *net;
	struct virtq *vq;
	struct virtq_chain popped;
	struct iovec iov[NET_RX_PIECES + 1];        /* [piece, piece_end), and one for spill */
	struct net_rx_chain chains[VIRTQ_SIZE_MAX]; /* [chain, chain_end) */
	unsigned piece, piece_end, chain, chain_end;
	unsigned burst; /* packets that the next look at the tap may find */
	size_t bytes;   /* of chains in hand */
	uint8_t *spill; /* NET_PACKET_MAX bytes */
	size_t packet;  /* length of the packet that waits; 0: none does */
	size_t spilled; /* that many of it are in spill */
};

/* Chains in hand that are enough for any packet. */
struct net_rx_slice {
	unsigned chain, chains, piece, pieces;
};

/* Packets of the driver's for one system call. */
struct net_tx {
	struct iovec iov[NET_TX_PIECES];
	struct {
		uint16_t id, slots;
	} chains[TAP_BATCH];
};

/* Moves packets. All with the device's lock held; `vq` is a receive or transmit queue. NULL: nothing to do. */
struct net_backend {
	/* A driver is there, with header and offloads chosen. -errno, reported. */
	int (*activate)(struct virtio_net *net);
	void (*deactivate)(struct virtio_net *net);
	int (*start_queue)(struct virtio_net *net, struct virtq *vq);
	void (*stop_queue)(struct virtio_net *net, struct virtq *vq);
	/* The driver offers buffers, or packets. */
	void (*receive)(struct virtio_net *net, struct net_rx *rx);
	void (*transmit)(struct virtio_net *net, struct virtq *vq);
	/* The driver has changed net->pairs, net->offloads, net->filter. -errno: it is told so. */
	int (*set_pairs)(struct virtio_net *net, unsigned pairs);
	int (*set_offloads)(struct virtio_net *net, uint64_t offloads);
	void (*set_filter)(struct virtio_net *net);
	void (*call_changed)(struct virtio_net *net, struct virtq *vq);
	/* The interface is gone, or there again and set up as the driver wants it. On the main thread. */
	void (*lost)(struct virtio_net *net);
	void (*found)(struct virtio_net *net);
	/* On the main thread, deactivated. */
	void (*close)(struct virtio_net *net);
};

struct net_tap_queue {
	struct loop_source source; /* of one of tap.fds */
	struct virtio_net *net;
	unsigned pair;
	uint32_t events; /* waited for */
	bool watched;    /* on the loop */
	bool reading;    /* the receive queue is in service */
	bool starved;    /* it has no buffers: packets stay where they are */
	bool blocked;    /* the host takes no packets now */
};

struct net_filter {
	bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
	bool too_many; /* addresses to keep */
	unsigned count;
	uint8_t mac[TAP_FILTER_MAX][VIRTIO_NETWORK_MAC_SIZE];
};

struct virtio_net {
	struct virtio_device vdev;
	const struct virtio_network_config *config;
	const struct net_backend *backend;
	char name[IFNAMSIZ + 24];
	struct virtio_net_config space;
	unsigned index; /* among the machine's cards */
	unsigned max_pairs, pairs;
	struct net_rx *rx[VIRTIO_NETWORK_PAIRS_MAX];
	struct virtq_chain chain; /* of a queue to transmit or control */

	/* As the driver chose. */
	size_t header; /* bytes of virtio_net_hdr */
	bool mergeable;
	uint64_t offloads; /* GUEST_* features in force */
	struct net_filter filter;

	/* Back ends. */
	struct tap tap;
	struct net_tap_queue taps[VIRTIO_NETWORK_PAIRS_MAX];
	struct tap_batch batch;
	struct net_tx tx;
	struct loop_source retry; /* a timerfd while the interface is gone, else -1 */
	struct loop_source
		links; /* vhost: a netlink socket that tells of the host's interfaces, else -1 */
	struct vhost vhost[VIRTIO_NETWORK_PAIRS_MAX];
	uint64_t vhost_features;
	struct net_user *user;
	atomic_bool host_complained;
};

static inline struct virtio_net *net_of(struct virtio_device *vdev)
{
	return (struct virtio_net *)vdev;
}

/* The index-th card of the machine. -errno, reported. A configuration of VIRTIO_NETWORK_NONE makes none. */
int net_create(struct virtio_device **vdev, const struct virtio_network_config *config,
	       unsigned index, const struct virtio_env *env);

/* --- net.c, for the others --- */

static inline struct virtq *net_rx_queue(struct virtio_net *net, unsigned pair)
{
	return virtio_queue(&net->vdev, 2 * pair);
}

static inline struct virtq *net_tx_queue(struct virtio_net *net, unsigned pair)
{
	return virtio_queue(&net->vdev, 2 * pair + 1);
}

/* The link's state, if the driver asks for it (virtio 1.2, 5.1.4). */
void net_set_link(struct virtio_net *net, bool up);
bool net_link_is_up(const struct virtio_net *net);

/* The default of the machine's index-th card: 192.168.33.x, the next one 192.168.34.x. */
struct in_addr net_default_ip(const struct virtio_net *net, uint8_t host);

/* Whether what the driver sends may be a packet: it is neither empty nor longer than any. */
bool net_is_packet(const struct virtio_net *net, const struct virtq_chain *chain);
/*
 * Hands what the driver sends to `send`, as many packets as the queue is long, and then has the rest handled later.
 * send: -EAGAIN: not now, the packet stays; what else it returns counts as sent. Returns whether it stopped so.
 */
bool net_transmit(struct virtio_net *net, struct virtq *vq,
		  int (*send)(struct virtio_net *net, unsigned pair,
			      const struct virtq_chain *chain));

/* --- net_ctrl.c --- */

void net_ctrl_handle(struct virtio_net *net, struct virtq *vq);
void net_filter_reset(struct net_filter *filter);
/* For a tap; count 0: all packets. */
void net_filter_for_tap(const struct virtio_net *net, struct tap_filter *to);

/* --- net_rx.c --- */

void net_rx_reset(struct net_rx *rx);
/*
 * Takes chains off the queue, for the longest packet if there are as many, until there is at least one; false: none, and
 * then the driver kicks when it offers one. Finishes a packet that waits, first.
 */
bool net_rx_gather(struct net_rx *rx);
/* Where the next packet goes, header first, spill last. */
struct iovec *net_rx_pieces(struct net_rx *rx, int *count);
/* A packet of n bytes is there. It may have to wait, when net_rx_gather() returns false. Then virtio_notify(). */
void net_rx_deliver(struct net_rx *rx, size_t n);
/*
 * The chains in hand by slices for one packet each, up to max; 0: there are not enough for one, or buffers are not
 * mergeable. Then the packets of all these at once, by their lengths; 0 or less: none came.
 */
unsigned net_rx_slice(const struct net_rx *rx, struct net_rx_slice *slices, unsigned max);
void net_rx_deliver_slices(struct net_rx *rx, const struct net_rx_slice *slices,
			   const ssize_t *lengths, unsigned count);
/* The same for a packet in memory, which has no header yet; false: there are no chains. */
bool net_rx_put(struct net_rx *rx, const void *packet, size_t size);

/* --- back ends: choose features, and fill net->backend. -errno, reported --- */

int net_tap_create(struct virtio_net *net);
int net_vhost_create(struct virtio_net *net);
int net_user_create(struct virtio_net *net);

/* --- net_tap.c, for net_vhost.c --- */

/* Opens the interface and watches it; offers what it can. */
int net_tap_open(struct virtio_net *net);
void net_tap_close(struct virtio_net *net);
/* The interface is gone: the link goes down, and is looked for. Once. */
void net_tap_lost(struct virtio_net *net);
/* Header, offloads and queues as the driver chose. -errno, not reported. */
int net_tap_set_up(struct virtio_net *net);
int net_tap_set_pairs(struct virtio_net *net, unsigned pairs);
int net_tap_set_offloads(struct virtio_net *net, uint64_t offloads);
void net_tap_set_filter(struct virtio_net *net);

#endif

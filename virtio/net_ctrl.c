// SPDX-License-Identifier: GPL-2.0-only
/* The control queue (virtio 1.2, 5.1.6.5). */
#include <errno.h>
#include <string.h>
#include "net.h"

#define MAC_SIZE VIRTIO_NETWORK_MAC_SIZE

/* Each is given what follows the header, and returns whether it was obeyed. */
struct command {
	uint8_t class, command;
	unsigned feature;
	bool (*obey)(struct virtio_net *net, const struct virtq_chain *chain);
};

#define ARGUMENTS sizeof(struct virtio_net_ctrl_hdr)

static bool argument(const struct virtq_chain *chain, size_t at, void *to, size_t size)
{
	return iov_read(chain->iov, chain->out, ARGUMENTS + at, to, size) == size;
}

static void filter_changed(struct virtio_net *net)
{
	if (net->backend->set_filter)
		net->backend->set_filter(net);
}

/* One switch of the receive mode (virtio 1.2, 5.1.6.5.1). */
static bool set_mode(struct virtio_net *net, const struct virtq_chain *chain, bool *mode)
{
	uint8_t on;

	if (!argument(chain, 0, &on, sizeof(on)))
		return false;
	*mode = on;
	filter_changed(net);
	return true;
}

static bool set_promiscuous(struct virtio_net *net, const struct virtq_chain *chain)
{
	return set_mode(net, chain, &net->filter.promiscuous);
}

static bool set_all_multicast(struct virtio_net *net, const struct virtq_chain *chain)
{
	return set_mode(net, chain, &net->filter.all_multicast);
}

static bool set_all_unicast(struct virtio_net *net, const struct virtq_chain *chain)
{
	return set_mode(net, chain, &net->filter.all_unicast);
}

static bool set_no_multicast(struct virtio_net *net, const struct virtq_chain *chain)
{
	return set_mode(net, chain, &net->filter.no_multicast);
}

static bool set_no_unicast(struct virtio_net *net, const struct virtq_chain *chain)
{
	return set_mode(net, chain, &net->filter.no_unicast);
}

static bool set_no_broadcast(struct virtio_net *net, const struct virtq_chain *chain)
{
	return set_mode(net, chain, &net->filter.no_broadcast);
}

/* One table at *at, unicast or multicast addresses; *at is behind it then. Of too many none is kept: all pass. */
static bool read_table(struct net_filter *filter, const struct virtq_chain *chain, size_t *at)
{
	uint32_t entries;
	size_t from = *at + sizeof(entries);

	if (!argument(chain, *at, &entries, sizeof(entries)) ||
	    chain->out_bytes - ARGUMENTS - from < (uint64_t)entries * MAC_SIZE)
		return false;
	*at = from + (size_t)entries * MAC_SIZE;
	/* The driver's own address and the group of all need room, too. */
	if (entries > TAP_FILTER_MAX - 2 - filter->count) {
		filter->too_many = true;
		return true;
	}
	if (!argument(chain, from, filter->mac[filter->count], (size_t)entries * MAC_SIZE))
		return false;
	filter->count += entries;
	return true;
}

static bool set_mac_table(struct virtio_net *net, const struct virtq_chain *chain)
{
	struct net_filter filter = net->filter;
	size_t at = 0;

	filter.count = 0;
	filter.too_many = false;
	for (unsigned table = 0; table < 2; table++)
		if (!read_table(&filter, chain, &at))
			return false;
	net->filter = filter;
	filter_changed(net);
	return true;
}

static bool set_mac(struct virtio_net *net, const struct virtq_chain *chain)
{
	uint8_t mac[MAC_SIZE];

	if (!argument(chain, 0, mac, sizeof(mac)))
		return false;
	memcpy(net->space.mac, mac, sizeof(mac));
	filter_changed(net);
	return true;
}

static bool set_pairs(struct virtio_net *net, const struct virtq_chain *chain)
{
	uint16_t pairs;

	if (!argument(chain, 0, &pairs, sizeof(pairs)) || !pairs || pairs > net->max_pairs)
		return false;
	if (net->backend->set_pairs && net->backend->set_pairs(net, pairs) < 0)
		return false;
	net->pairs = pairs;
	return true;
}

#define GUEST_OFFLOADS                                                                             \
	(1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4 |                       \
	 1ULL << VIRTIO_NET_F_GUEST_TSO6 | 1ULL << VIRTIO_NET_F_GUEST_ECN |                        \
	 1ULL << VIRTIO_NET_F_GUEST_UFO | 1ULL << VIRTIO_NET_F_GUEST_USO4 |                        \
	 1ULL << VIRTIO_NET_F_GUEST_USO6)

static bool set_offloads(struct virtio_net *net, const struct virtq_chain *chain)
{
	uint64_t offloads;

	if (!argument(chain, 0, &offloads, sizeof(offloads)) ||
	    offloads & ~(net->vdev.accepted & GUEST_OFFLOADS))
		return false;
	if (net->backend->set_offloads && net->backend->set_offloads(net, offloads) < 0)
		return false;
	net->offloads = offloads;
	return true;
}

static const struct command commands[] = {
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_RX, set_promiscuous },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX,
	  set_all_multicast },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, VIRTIO_NET_F_CTRL_RX_EXTRA,
	  set_all_unicast },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI, VIRTIO_NET_F_CTRL_RX_EXTRA,
	  set_no_multicast },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI, VIRTIO_NET_F_CTRL_RX_EXTRA,
	  set_no_unicast },
	{ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_F_CTRL_RX_EXTRA,
	  set_no_broadcast },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_F_CTRL_RX, set_mac_table },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_F_CTRL_MAC_ADDR, set_mac },
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_F_MQ, set_pairs },
	{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
	  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, set_offloads },
};

static bool obey(struct virtio_net *net, const struct virtq_chain *chain)
{
	struct virtio_net_ctrl_hdr header;

	if (iov_read(chain->iov, chain->out, 0, &header, sizeof(header)) != sizeof(header))
		return false;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].class == header.class && commands[i].command == header.cmd)
			return virtio_has(&net->vdev, commands[i].feature) &&
			       commands[i].obey(net, chain);
	return false;
}

void net_ctrl_handle(struct virtio_net *net, struct virtq *vq)
{
	struct virtq_chain *chain = &net->chain;

	for (unsigned left = vq->size; left > 0 && virtq_pop(vq, chain) > 0; left--) {
		uint8_t ack = obey(net, chain) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

		virtq_push(vq, chain,
			   (uint32_t)iov_write(chain->iov + chain->out, chain->in, 0, &ack,
					       sizeof(ack)));
	}
	if (virtq_has_chain(vq))
		virtio_kick(&net->vdev, vq->index);
	virtio_notify(&net->vdev, vq);
}

/* A driver that never says what it wants gets all. */
void net_filter_reset(struct net_filter *filter)
{
	*filter = (struct net_filter){ .promiscuous = true };
}

static void add(struct tap_filter *to, const uint8_t *mac)
{
	memcpy(to->mac[to->count++], mac, MAC_SIZE);
}

/* A tap knows single addresses and groups; the first one that is no group's must be among the first eight. */
void net_filter_for_tap(const struct virtio_net *net, struct tap_filter *to)
{
	static const uint8_t broadcast[MAC_SIZE] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct net_filter *filter = &net->filter;

	memset(to, 0, sizeof(*to));
	if (filter->promiscuous || filter->all_unicast || filter->too_many)
		return;
	add(to, net->space.mac);
	for (unsigned i = 0; i < filter->count; i++)
		if (!(filter->mac[i][0] & 1) && !filter->no_unicast)
			add(to, filter->mac[i]);
	if (!filter->no_broadcast)
		add(to, broadcast);
	for (unsigned i = 0; i < filter->count; i++)
		if (filter->mac[i][0] & 1 && !filter->no_multicast)
			add(to, filter->mac[i]);
	if (filter->all_multicast && !filter->no_multicast)
		to->flags = TUN_FLT_ALLMULTI;
}

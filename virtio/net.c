// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "net.h"

#define BIT64(n) (1ULL << (n))

#define FEATURES                                                                                   \
	(BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_NET_F_STATUS) | BIT64(VIRTIO_NET_F_MRG_RXBUF) |    \
	 BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) |                               \
	 BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR))

#define GUEST_OFFLOADS                                                                             \
	(BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |                         \
	 BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) |                          \
	 BIT64(VIRTIO_NET_F_GUEST_UFO) | BIT64(VIRTIO_NET_F_GUEST_USO4) |                          \
	 BIT64(VIRTIO_NET_F_GUEST_USO6))

#define DEFAULT_NETWORK 0xc0a82100U /* 192.168.33.0 */
#define NETWORK_STEP    0x100

/* A driver that does not take the feature MQ has its control queue where the second pair would be (virtio 1.2, 5.1.2). */
static unsigned ctrl_index(const struct virtio_net *net)
{
	return virtio_has(&net->vdev, VIRTIO_NET_F_MQ) ? 2 * net->max_pairs : 2;
}

bool net_link_is_up(const struct virtio_net *net)
{
	return net->space.status & VIRTIO_NET_S_LINK_UP;
}

void net_set_link(struct virtio_net *net, bool up)
{
	if (net_link_is_up(net) == up)
		return;
	net->space.status ^= VIRTIO_NET_S_LINK_UP;
	virtio_config_changed(&net->vdev);
}

struct in_addr net_default_ip(const struct virtio_net *net, uint8_t host)
{
	return (struct in_addr){ htonl(DEFAULT_NETWORK + net->index * NETWORK_STEP + host) };
}

bool net_is_packet(const struct virtio_net *net, const struct virtq_chain *chain)
{
	return chain->out_bytes > net->header && chain->out_bytes <= NET_PACKET_MAX;
}

bool net_transmit(struct virtio_net *net, struct virtq *vq,
		  int (*send)(struct virtio_net *net, unsigned pair,
			      const struct virtq_chain *chain))
{
	struct virtq_chain *chain = &net->chain;
	unsigned left = vq->size;
	bool blocked = false;

	do {
		virtq_spare_kicks(vq);
		while (left > 0 && !blocked && virtq_pop(vq, chain) > 0) {
			left--;
			if (net_is_packet(net, chain))
				blocked = send(net, vq->index / 2, chain) == -EAGAIN;
			if (blocked)
				virtq_unpop(vq, chain);
			else
				virtq_push(vq, chain, 0);
		}
	} while (left > 0 && !blocked && virtq_want_kicks(vq));
	if (!left && !blocked)
		virtio_kick(&net->vdev, vq->index);
	virtio_notify(&net->vdev, vq);
	return blocked;
}

/* --- the device's class --- */

static int net_activate(struct virtio_device *vdev)
{
	struct virtio_net *net = net_of(vdev);

	net->mergeable = virtio_has(vdev, VIRTIO_NET_F_MRG_RXBUF);
	net->header = net->mergeable || virtio_has(vdev, VIRTIO_F_VERSION_1)
			      ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
			      : sizeof(struct virtio_net_hdr);
	net->offloads = vdev->accepted & GUEST_OFFLOADS;
	net->pairs = 1;
	net_filter_reset(&net->filter);
	for (unsigned i = 0; i < net->max_pairs; i++)
		net_rx_reset(net->rx[i]);
	return net->backend->activate(net);
}

static void net_deactivate(struct virtio_device *vdev)
{
	struct virtio_net *net = net_of(vdev);

	if (net->backend->deactivate)
		net->backend->deactivate(net);
}

static bool moves_packets(const struct virtio_net *net, const struct virtq *vq)
{
	return vq->index != ctrl_index(net) && vq->index < 2 * net->max_pairs;
}

static int net_start_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_net *net = net_of(vdev);

	return moves_packets(net, vq) && net->backend->start_queue
		       ? net->backend->start_queue(net, vq)
		       : 0;
}

static void net_stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_net *net = net_of(vdev);

	if (!moves_packets(net, vq))
		return;
	if (net->backend->stop_queue)
		net->backend->stop_queue(net, vq);
	if (vq->index % 2 == 0)
		net_rx_reset(net->rx[vq->index / 2]);
}

static void net_handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_net *net = net_of(vdev);

	if (vq->index == ctrl_index(net))
		net_ctrl_handle(net, vq);
	else if (!moves_packets(net, vq))
		return;
	else if (vq->index % 2)
		net->backend->transmit(net, vq);
	else
		net->backend->receive(net, net->rx[vq->index / 2]);
}

/* The legacy interface has no command for the MAC address. */
static void net_config_written(struct virtio_device *vdev, size_t offset, size_t size)
{
	struct virtio_net *net = net_of(vdev);

	(void)offset;
	(void)size;
	if (vdev->active && net->backend->set_filter)
		net->backend->set_filter(net);
}

static void net_call_changed(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_net *net = net_of(vdev);

	if (moves_packets(net, vq) && net->backend->call_changed)
		net->backend->call_changed(net, vq);
}

static void net_destroy(struct virtio_device *vdev)
{
	struct virtio_net *net = net_of(vdev);

	if (net->backend)
		net->backend->close(net);
	virtio_device_fini(vdev);
	for (unsigned i = 0; i < net->max_pairs; i++) {
		if (net->rx[i])
			free(net->rx[i]->spill);
		free(net->rx[i]);
	}
	free(net);
}

static const struct virtio_device_class net_class = {
	.id = VIRTIO_ID_NET,
	.activate = net_activate,
	.handle_queue = net_handle_queue,
	.start_queue = net_start_queue,
	.stop_queue = net_stop_queue,
	.deactivate = net_deactivate,
	.config_written = net_config_written,
	.call_changed = net_call_changed,
	.destroy = net_destroy,
};

/* --- creation --- */

static int make_rx(struct virtio_net *net, unsigned pair)
{
	struct net_rx *rx = calloc(1, sizeof(*rx));

	net->rx[pair] = rx;
	if (rx)
		rx->spill = malloc(NET_PACKET_MAX);
	if (!rx || !rx->spill)
		return report(-ENOMEM, "%s", net->name);
	rx->net = net;
	rx->vq = net_rx_queue(net, pair);
	return 0;
}

static void fill_config_space(struct virtio_net *net)
{
	const struct virtio_network_config *config = net->config;
	const uint8_t mac[] = { 0x02, 0x15, 0x15, 0x15, 0x15, (uint8_t)(0x15 + net->index) };

	memcpy(net->space.mac, config->guest_mac_given ? config->guest_mac : mac, sizeof(mac));
	net->space.status = VIRTIO_NET_S_LINK_UP;
	net->space.max_virtqueue_pairs = (uint16_t)net->max_pairs;
	net->vdev.config = (uint8_t *)&net->space;
	net->vdev.config_size = offsetof(struct virtio_net_config, mtu);
	net->vdev.config_writable = sizeof(net->space.mac);
}

static int create_backend(struct virtio_net *net)
{
	if (net->config->mode == VIRTIO_NETWORK_USER)
		return net_user_create(net);
	return net->config->vhost ? net_vhost_create(net) : net_tap_create(net);
}

int net_create(struct virtio_device **vdev, const struct virtio_network_config *config,
	       unsigned index, const struct virtio_env *env)
{
	struct virtio_net *net = calloc(1, sizeof(*net));
	int err;

	if (!net)
		return report(-ENOMEM, "network card %u", index);
	snprintf(net->name, sizeof(net->name), "network card %u", index);
	net->config = config;
	net->index = index;
	net->max_pairs = config->pairs;
	net->retry.fd = net->links.fd = -1;
	net->vdev.class = &net_class;
	net->vdev.env = env;
	net->vdev.name = net->name;
	net->vdev.offered = FEATURES;
	if (net->max_pairs > 1)
		net->vdev.offered |= BIT64(VIRTIO_NET_F_MQ);
	fill_config_space(net);
	err = virtio_device_init(&net->vdev, 2 * net->max_pairs + 1, NET_QUEUE_SIZE);
	for (unsigned i = 0; i < net->max_pairs && !err; i++)
		err = make_rx(net, i);
	if (!err)
		err = create_backend(net);
	if (err) {
		net_destroy(&net->vdev);
		return err;
	}
	*vdev = &net->vdev;
	return 0;
}

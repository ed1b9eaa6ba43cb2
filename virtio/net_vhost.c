// SPDX-License-Identifier: GPL-2.0-only
/* vhost-net: the host's kernel moves the packets between tap and guest, one of its devices a pair of queues. */
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vhost.h>
#include <lkvm/report.h>
#include "door.h"
#include "net.h"

#define VHOST_PATH "/dev/vhost-net"

/* Features of the kind's that vhost has to have for the driver to be offered them. */
#define VHOST_SERVES (1ULL << VIRTIO_NET_F_MRG_RXBUF)

static int set_backend(struct virtio_net *net, const struct virtq *vq, int fd)
{
	struct vhost_vring_file file = { .index = vq->index % 2, .fd = fd };

	return virtio_ioctl(net->vhost[vq->index / 2].fd, VHOST_NET_SET_BACKEND, &file);
}

/* A link that is down has no backend: its queues are vhost's all the same, which leaves them alone. */
static int connect_queue(struct virtio_net *net, struct virtq *vq)
{
	unsigned pair = vq->index / 2;
	int err;

	if (!net->vhost[pair].vrings[vq->index % 2].vq || pair >= net->pairs ||
	    !net_link_is_up(net))
		return 0;
	err = set_backend(net, vq, net->tap.fds[pair]);
	return err < 0 ? report(err, "%s: vhost does not take %s", net->name, net->tap.name) : 0;
}

static int start_queue(struct virtio_net *net, struct virtq *vq)
{
	int err = vhost_start_queue(&net->vhost[vq->index / 2], vq);

	return err < 0 ? err : connect_queue(net, vq);
}

static void stop_queue(struct virtio_net *net, struct virtq *vq)
{
	set_backend(net, vq, VHOST_FILE_UNBIND);
	vhost_stop_queue(&net->vhost[vq->index / 2], vq);
}

/* Nothing of a device that is not activated is ever stopped. */
static int start_all(struct virtio_net *net)
{
	uint64_t features = net->vdev.accepted & net->vhost_features;
	int err = 0;

	for (unsigned i = 0; i < 2 * net->max_pairs && err >= 0; i++) {
		if (i % 2 == 0)
			err = vhost_set_up(&net->vhost[i / 2], features);
		if (err >= 0 && virtio_queue(&net->vdev, i)->ready)
			err = start_queue(net, virtio_queue(&net->vdev, i));
	}
	for (unsigned i = 0; i < 2 * net->max_pairs && err < 0; i++)
		stop_queue(net, virtio_queue(&net->vdev, i));
	return err;
}

static int activate(struct virtio_net *net)
{
	int err = net_tap_set_up(net);

	if (err < 0 && err != -EBADFD && net_link_is_up(net))
		return report(err, "%s: cannot set up %s", net->name, net->tap.name);
	tap_drain(&net->tap);
	return start_all(net);
}

static void each_queue(struct virtio_net *net, bool connect)
{
	for (unsigned i = 0; i < 2 * net->max_pairs; i++) {
		if (connect)
			connect_queue(net, virtio_queue(&net->vdev, i));
		else
			set_backend(net, virtio_queue(&net->vdev, i), VHOST_FILE_UNBIND);
	}
}

static void lost(struct virtio_net *net)
{
	each_queue(net, false);
}

static void found(struct virtio_net *net)
{
	each_queue(net, true);
}

static int set_pairs(struct virtio_net *net, unsigned pairs)
{
	int err = net_tap_set_pairs(net, pairs);

	if (err < 0 && net_link_is_up(net))
		return err;
	net->pairs = pairs;
	for (unsigned i = 2 * pairs; i < 2 * net->max_pairs; i++)
		set_backend(net, virtio_queue(&net->vdev, i), VHOST_FILE_UNBIND);
	each_queue(net, true);
	return 0;
}

static void call_changed(struct virtio_net *net, struct virtq *vq)
{
	vhost_call_changed(&net->vhost[vq->index / 2], vq);
}

/* Kicks go to vhost. */
static void receive(struct virtio_net *net, struct net_rx *rx)
{
	(void)net;
	(void)rx;
}

static void transmit(struct virtio_net *net, struct virtq *vq)
{
	(void)net;
	(void)vq;
}

/* A tap that nobody reads does not wake its waiters when it goes: the host's messages about its interfaces do. */
static void links_ready(struct loop_source *source, uint32_t events)
{
	struct virtio_net *net =
		(struct virtio_net *)((char *)source - offsetof(struct virtio_net, links));
	char message[4096];

	(void)events;
	while (recv(source->fd, message, sizeof(message), 0) >= 0 || errno == ENOBUFS)
		;
	virtio_lock(&net->vdev);
	if (tap_is_gone(&net->tap, 0))
		net_tap_lost(net);
	virtio_unlock(&net->vdev);
}

static int watch_links(struct virtio_net *net)
{
	const struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int err = 0;

	net->links.ready = links_ready;
	net->links.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (net->links.fd < 0 ||
	    bind(net->links.fd, (const struct sockaddr *)&links, sizeof(links)) < 0)
		err = -errno;
	if (!err)
		err = loop_add(net->vdev.env->loop, &net->links, EPOLLIN);
	if (!err)
		return 0;
	if (net->links.fd >= 0)
		close(net->links.fd);
	net->links.fd = -1;
	return report(err, "%s: cannot watch the host's interfaces", net->name);
}

static void close_all(struct virtio_net *net)
{
	if (net->links.fd >= 0) {
		loop_remove(net->vdev.env->loop, &net->links);
		close(net->links.fd);
		net->links.fd = -1;
	}
	for (unsigned pair = 0; pair < net->max_pairs; pair++)
		vhost_close(&net->vhost[pair]);
	net_tap_close(net);
}

/* vhost gives up on packets for an interface that is gone before we learn of it. */
static bool excused(struct vhost *vhost, const struct virtq *vq)
{
	struct virtio_net *net = net_of(vhost->vdev);

	return !net_link_is_up(net) || tap_is_gone(&net->tap, vq->index / 2);
}

static const struct net_backend vhost_backend = {
	.activate = activate,
	.start_queue = start_queue,
	.stop_queue = stop_queue,
	.receive = receive,
	.transmit = transmit,
	.set_pairs = set_pairs,
	.set_offloads = net_tap_set_offloads,
	.set_filter = net_tap_set_filter,
	.call_changed = call_changed,
	.lost = lost,
	.found = found,
	.close = close_all,
};

int net_vhost_create(struct virtio_net *net)
{
	int err;

	net->backend = &vhost_backend;
	err = net_tap_open(net);
	for (unsigned pair = 0; pair < net->max_pairs && err >= 0; pair++) {
		err = vhost_open(&net->vhost[pair], &net->vdev, VHOST_PATH, 2 * pair, 2);
		net->vhost[pair].excused = excused;
	}
	if (err >= 0)
		err = watch_links(net);
	if (err >= 0)
		err = vhost_features(&net->vhost[0], &net->vhost_features);
	if (err < 0)
		return err;
	net->vdev.offered &= ~VHOST_SERVES | net->vhost_features;
	net->vdev.withheld = VHOST_LACKS;
	return 0;
}

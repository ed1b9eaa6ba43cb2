// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets go between guest memory and the tap in one system call each, without a copy of ours. A tap whose packets the
 * driver has no buffers for is not waited for. An interface that somebody deletes takes the link down until it is back.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "net.h"

#define BIT64(n) (1ULL << (n))

#define RX_BURST      8 /* packets, before others have their turn */
#define RETRY_SECONDS 1

/* Each offload of a tap's, and the features of both ends that it stands for. */
static const struct {
	unsigned tun;
	uint64_t guest, host;
} offload_features[] = {
	{ TUN_F_CSUM, BIT64(VIRTIO_NET_F_GUEST_CSUM), BIT64(VIRTIO_NET_F_CSUM) },
	{ TUN_F_TSO4, BIT64(VIRTIO_NET_F_GUEST_TSO4), BIT64(VIRTIO_NET_F_HOST_TSO4) },
	{ TUN_F_TSO6, BIT64(VIRTIO_NET_F_GUEST_TSO6), BIT64(VIRTIO_NET_F_HOST_TSO6) },
	{ TUN_F_TSO_ECN, BIT64(VIRTIO_NET_F_GUEST_ECN), BIT64(VIRTIO_NET_F_HOST_ECN) },
	{ TUN_F_UFO, BIT64(VIRTIO_NET_F_GUEST_UFO), BIT64(VIRTIO_NET_F_HOST_UFO) },
	{ TUN_F_USO4, BIT64(VIRTIO_NET_F_GUEST_USO4), BIT64(VIRTIO_NET_F_HOST_USO) },
	{ TUN_F_USO6, BIT64(VIRTIO_NET_F_GUEST_USO6), BIT64(VIRTIO_NET_F_HOST_USO) },
};

#define OFFLOADS (sizeof(offload_features) / sizeof(offload_features[0]))

/* --- what is waited for --- */

static void update_events(struct net_tap_queue *queue)
{
	uint32_t events = 0;

	if (queue->reading && !queue->starved)
		events |= EPOLLIN;
	if (queue->blocked)
		events |= EPOLLOUT;
	if (events == queue->events || !queue->watched)
		return;
	queue->events = events;
	loop_modify(queue->net->vdev.env->loop, &queue->source, events);
}

static void unwatch(struct net_tap_queue *queue)
{
	if (queue->watched)
		loop_remove(queue->net->vdev.env->loop, &queue->source);
	queue->watched = false;
	queue->events = 0;
}

/* That it is gone is told also where nothing is waited for. */
static int watch(struct net_tap_queue *queue)
{
	struct virtio_net *net = queue->net;
	int err;

	if (queue->watched)
		return 0;
	queue->source.fd = net->tap.fds[queue->pair];
	err = loop_add(net->vdev.env->loop, &queue->source, 0);
	if (err)
		return report(err, "%s: cannot wait for %s", net->name, net->tap.name);
	queue->watched = true;
	return 0;
}

/* --- an interface that goes, and comes again --- */

static void stop_retrying(struct virtio_net *net)
{
	if (net->retry.fd < 0)
		return;
	loop_remove(net->vdev.env->loop, &net->retry);
	close(net->retry.fd);
	net->retry.fd = -1;
}

static int watch_attached(struct virtio_net *net)
{
	int err = 0;

	for (unsigned i = 0; i < net->max_pairs && !err; i++)
		if (!net->tap.detached[i])
			err = watch(&net->taps[i]);
	return err;
}

static void found(struct virtio_net *net)
{
	if ((net->vdev.active && net_tap_set_up(net) < 0) || watch_attached(net) < 0)
		return;
	stop_retrying(net);
	report_info("%s: the interface %s is there again", net->name, net->tap.name);
	net_set_link(net, true);
	if (net->backend->found && net->vdev.active)
		net->backend->found(net);
}

static void unwatch_all(struct virtio_net *net)
{
	for (unsigned i = 0; i < net->max_pairs; i++)
		if (net->taps[i].net)
			unwatch(&net->taps[i]);
}

static void retry_ready(struct loop_source *source, uint32_t events)
{
	struct virtio_net *net =
		(struct virtio_net *)((char *)source - offsetof(struct virtio_net, retry));
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	virtio_lock(&net->vdev);
	unwatch_all(net);
	if (tap_reopen(&net->tap) >= 0)
		found(net);
	virtio_unlock(&net->vdev);
}

static void retry(struct virtio_net *net)
{
	const struct itimerspec each = { { RETRY_SECONDS, 0 }, { RETRY_SECONDS, 0 } };
	struct loop_source *source = &net->retry;

	source->ready = retry_ready;
	source->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (source->fd < 0)
		return;
	if (!timerfd_settime(source->fd, 0, &each, NULL) &&
	    !loop_add(net->vdev.env->loop, source, EPOLLIN))
		return;
	close(source->fd);
	source->fd = -1;
}

void net_tap_lost(struct virtio_net *net)
{
	if (!net_link_is_up(net))
		return;
	if (net->backend->lost)
		net->backend->lost(net);
	unwatch_all(net);
	for (unsigned i = 0; i < net->max_pairs; i++)
		net->taps[i].blocked = false;
	report_once(&net->host_complained, "%s: its interface %s is gone: the link is down%s",
		    net->name, net->tap.name, net->config->fd < 0 ? " until it is back" : "");
	net_set_link(net, false);
	if (net->config->fd < 0)
		retry(net);
}

/* --- packets --- */

static int drop(struct virtio_net *net, unsigned pair, const struct virtq_chain *chain)
{
	(void)net;
	(void)pair;
	(void)chain;
	return 0;
}

/* Whatever else the host says of a packet is the packet's fault, which is lost then. */
static void complain(struct virtio_net *net, int err)
{
	if (err == -EBADFD || err == -ENODEV)
		net_tap_lost(net);
	else if (err == -EIO)
		report_once(&net->host_complained,
			    "%s: the interface %s is down; bring it up with `ip link set %s up`",
			    net->name, net->tap.name, net->tap.name);
}

static int send_packet(struct virtio_net *net, unsigned pair, const struct virtq_chain *chain)
{
	if (!net_link_is_up(net) || writev(net->tap.fds[pair], chain->iov, (int)chain->out) >= 0)
		return 0;
	if (errno == EAGAIN)
		return -EAGAIN;
	complain(net, -errno);
	return 0;
}

/* Packets for one system call, `left` at most; how many chains were taken. */
static unsigned collect_packets(struct virtio_net *net, struct virtq *vq, unsigned left)
{
	int fd = net->tap.fds[vq->index / 2];
	struct tap_batch *batch = &net->batch;
	unsigned pieces = 0, taken = 0;

	while (taken < left && batch->count < TAP_BATCH &&
	       pieces + VIRTQ_SIZE_MAX <= NET_TX_PIECES && virtq_pop(vq, &net->chain) > 0) {
		const struct virtq_chain *chain = &net->chain;

		taken++;
		if (!net_is_packet(net, chain)) {
			virtq_push(vq, chain, 0);
			continue;
		}
		net->tx.chains[batch->count].id = chain->id;
		net->tx.chains[batch->count].slots = chain->slots;
		memcpy(net->tx.iov + pieces, chain->iov, chain->out * sizeof(chain->iov[0]));
		tap_batch_write(batch, fd, net->tx.iov + pieces, chain->out);
		pieces += chain->out;
	}
	return taken;
}

static void transmit_batches(struct virtio_net *net, struct virtq *vq)
{
	unsigned left = vq->size, taken, count;

	do {
		virtq_spare_kicks(vq);
		while (left > 0 && (taken = collect_packets(net, vq, left)) > 0) {
			left -= taken;
			count = tap_batch_run(&net->batch);
			for (unsigned i = 0; i < count; i++) {
				if (net->batch.results[i] < 0)
					complain(net, (int)net->batch.results[i]);
				virtq_push_id(vq, net->tx.chains[i].id, net->tx.chains[i].slots, 0);
			}
		}
	} while (left > 0 && virtq_want_kicks(vq));
	if (!left)
		virtio_kick(&net->vdev, vq->index);
	virtio_notify(&net->vdev, vq);
}

static void tap_transmit(struct virtio_net *net, struct virtq *vq)
{
	struct net_tap_queue *queue = &net->taps[vq->index / 2];
	bool usable = net_link_is_up(net) && queue->pair < net->pairs;

	if (queue->blocked)
		return;
	if (usable && net->tap.patient)
		transmit_batches(net, vq);
	else
		queue->blocked = net_transmit(net, vq, usable ? send_packet : drop);
	update_events(queue);
}

/* One packet; what there is no buffer for is kept. False: none is there, or will be. */
static bool read_one(struct virtio_net *net, struct net_tap_queue *queue, struct net_rx *rx)
{
	struct iovec *iov;
	ssize_t n;
	int count;

	iov = net_rx_pieces(rx, &count);
	n = readv(queue->source.fd, iov, count);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		net_tap_lost(net);
	if (n <= 0)
		return false;
	net_rx_deliver(rx, (size_t)n);
	return true;
}

/* As many packets as came last time, and as many again. */
static void read_slices(struct virtio_net *net, struct net_tap_queue *queue, struct net_rx *rx,
			const struct net_rx_slice *slices, unsigned count)
{
	struct tap_batch *batch = &net->batch;
	unsigned packets = 0;
	int err = 0;

	for (unsigned i = 0; i < count; i++)
		tap_batch_read(batch, queue->source.fd, rx->iov + slices[i].piece,
			       slices[i].pieces);
	tap_batch_run(batch);
	for (unsigned i = 0; i < count; i++) {
		if (batch->results[i] > 0)
			packets++;
		else if (batch->results[i] < 0 && batch->results[i] != -EAGAIN)
			err = (int)batch->results[i];
	}
	net_rx_deliver_slices(rx, slices, batch->results, count);
	rx->burst = packets ? 2 * packets : 1;
	if (rx->burst > RX_BURST)
		rx->burst = RX_BURST;
	if (err && err != -EINTR)
		net_tap_lost(net);
}

/*
 * One system call, several packets if there may be as many. Whether there are more is the loop's to say, which is asked
 * anyway; but a lone packet may well be the first of several.
 */
static void read_packets(struct virtio_net *net, struct net_tap_queue *queue, struct net_rx *rx)
{
	struct net_rx_slice slices[RX_BURST];
	unsigned count;

	queue->starved = !net_rx_gather(rx);
	if (!queue->starved) {
		count = rx->burst > 1 ? net_rx_slice(rx, slices, rx->burst) : 0;
		if (count > 1)
			read_slices(net, queue, rx, slices, count);
		else if (read_one(net, queue, rx))
			rx->burst = 2;
		else
			rx->burst = 1;
	}
	update_events(queue);
	virtio_notify(&net->vdev, rx->vq);
}

/* Kicks of a driver that has offered enough mean nothing. */
static void tap_receive(struct virtio_net *net, struct net_rx *rx)
{
	struct net_tap_queue *queue = &net->taps[rx->vq->index / 2];

	if (queue->starved && queue->reading && queue->watched)
		read_packets(net, queue, rx);
}

static void tap_ready(struct loop_source *source, uint32_t events)
{
	struct net_tap_queue *queue =
		(struct net_tap_queue *)((char *)source - offsetof(struct net_tap_queue, source));
	struct virtio_net *net = queue->net;

	virtio_lock(&net->vdev);
	if (events & (EPOLLERR | EPOLLHUP)) {
		/* A queue that was detached says the same as one whose interface is gone. */
		unwatch(queue);
		if (!net->tap.detached[queue->pair])
			net_tap_lost(net);
	} else {
		if (events & EPOLLOUT && queue->blocked) {
			queue->blocked = false;
			tap_transmit(net, net_tx_queue(net, queue->pair));
		}
		if (events & EPOLLIN && queue->reading)
			read_packets(net, queue, net->rx[queue->pair]);
	}
	virtio_unlock(&net->vdev);
}

/* --- a driver comes and goes --- */

static unsigned tun_offloads(uint64_t features)
{
	unsigned offloads = 0;

	for (unsigned i = 0; i < OFFLOADS; i++)
		if (features & offload_features[i].guest)
			offloads |= offload_features[i].tun;
	return offloads;
}

int net_tap_set_offloads(struct virtio_net *net, uint64_t offloads)
{
	return tap_set_offloads(&net->tap, tun_offloads(offloads));
}

void net_tap_set_filter(struct virtio_net *net)
{
	struct tap_filter filter;

	net_filter_for_tap(net, &filter);
	tap_set_filter(&net->tap, &filter);
}

int net_tap_set_up(struct virtio_net *net)
{
	int err = tap_set_header(&net->tap, (int)net->header);

	if (err >= 0)
		err = net_tap_set_offloads(net, net->offloads);
	for (unsigned i = 0; i < net->max_pairs && err >= 0; i++)
		err = tap_attach_queue(&net->tap, i, i < net->pairs);
	if (err >= 0)
		net_tap_set_filter(net);
	return err;
}

int net_tap_set_pairs(struct virtio_net *net, unsigned pairs)
{
	int err = 0;

	for (unsigned i = 0; i < net->max_pairs && err >= 0; i++) {
		err = tap_attach_queue(&net->tap, i, i < pairs);
		if (err >= 0 && i < pairs)
			err = watch(&net->taps[i]);
	}
	return err;
}

static void start_reading(struct virtio_net *net, unsigned pair)
{
	struct net_tap_queue *queue = &net->taps[pair];

	queue->reading = pair < net->pairs && net_rx_queue(net, pair)->ready;
	queue->starved = false;
	update_events(queue);
}

static void start_all(struct virtio_net *net)
{
	for (unsigned i = 0; i < net->max_pairs; i++)
		start_reading(net, i);
}

static int tap_activate(struct virtio_net *net)
{
	int err = net_tap_set_up(net);

	if (err < 0 && err != -EBADFD && net_link_is_up(net))
		return report(err, "%s: cannot set up %s", net->name, net->tap.name);
	tap_drain(&net->tap);
	start_all(net);
	return 0;
}

static int tap_start_queue(struct virtio_net *net, struct virtq *vq)
{
	if (vq->index % 2 == 0)
		start_reading(net, vq->index / 2);
	return 0;
}

static void tap_stop_queue(struct virtio_net *net, struct virtq *vq)
{
	struct net_tap_queue *queue = &net->taps[vq->index / 2];

	if (vq->index % 2)
		queue->blocked = false;
	else
		queue->reading = false;
	update_events(queue);
}

static int tap_set_pairs(struct virtio_net *net, unsigned pairs)
{
	int err = net_tap_set_pairs(net, pairs);

	if (err < 0 && net_link_is_up(net))
		return err;
	net->pairs = pairs;
	start_all(net);
	return 0;
}

/* --- creation --- */

int net_tap_open(struct virtio_net *net)
{
	int err = tap_open(&net->tap, net->config, net->name, net_default_ip(net, 1));

	for (unsigned i = 0; i < net->max_pairs; i++) {
		net->taps[i] = (struct net_tap_queue){ .net = net, .pair = i };
		net->taps[i].source.ready = tap_ready;
	}
	for (unsigned i = 1; i < net->max_pairs && err >= 0; i++)
		err = tap_attach_queue(&net->tap, i, false);
	if (err >= 0)
		err = watch_attached(net);
	if (err < 0)
		return err;
	snprintf(net->name, sizeof(net->name), "network card %s", net->tap.name);
	net->vdev.offered |= BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	for (unsigned i = 0; i < OFFLOADS; i++)
		if (net->tap.offered & offload_features[i].tun)
			net->vdev.offered |= offload_features[i].guest | offload_features[i].host;
	return 0;
}

void net_tap_close(struct virtio_net *net)
{
	stop_retrying(net);
	unwatch_all(net);
	tap_batch_destroy(&net->batch);
	tap_close(&net->tap);
}

static const struct net_backend tap_backend = {
	.activate = tap_activate,
	.start_queue = tap_start_queue,
	.stop_queue = tap_stop_queue,
	.receive = tap_receive,
	.transmit = tap_transmit,
	.set_pairs = tap_set_pairs,
	.set_offloads = net_tap_set_offloads,
	.set_filter = net_tap_set_filter,
	.close = net_tap_close,
	.found = start_all,
};

int net_tap_create(struct virtio_net *net)
{
	net->backend = &tap_backend;
	return net_tap_open(net);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The back end reads the guest's kicks and raises its interrupts by eventfds, and lkvm sleeps. It may go at any time: the
 * queues then wait until it listens again, and begin where the used ring tells that it got to. Only the main thread opens
 * and closes the connection; another one that finds it broken shuts it down, of which the main thread learns by the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ring.h>
#include <lkvm/report.h>
#include "back_end.h"
#include "vhost_user.h"

#define QUEUE_SIZE    128
#define QUEUES_MAX    (1 + VIRTIO_BACK_END_QUEUES_MAX)
#define RETRY_SECONDS 1
#define LATER_SECONDS                                                                              \
	30 /* it accepts connections and says nothing: not to be waited for every second */

/* Of rings: what a back end may have and lkvm offers only then. Packed ones have no index to begin anew from. */
#define RING_FEATURES (1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define BLK_FEATURES                                                                               \
	(1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_SEG_MAX |                            \
	 1ULL << VIRTIO_BLK_F_GEOMETRY | 1ULL << VIRTIO_BLK_F_RO | 1ULL << VIRTIO_BLK_F_BLK_SIZE | \
	 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_TOPOLOGY | 1ULL << VIRTIO_BLK_F_MQ |    \
	 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)

struct back_end;

struct back_end_vring {
	struct back_end *owner;
	struct virtq *vq; /* NULL: not started */
	int kick;
	struct loop_source call; /* where the transport has no fd that interrupts: we do it */
};

struct back_end {
	struct virtio_device vdev;
	struct vhost_user link;
	struct sockaddr_un address;
	struct loop_source end,
		retry; /* the connection's end, as long as there is one; then a timer */
	struct back_end_vring vrings[QUEUES_MAX];
	char name[sizeof("vhost-user blk ") + sizeof(((struct sockaddr_un *)0)->sun_path)];
	union {
		uint8_t bytes[64];
		struct virtio_fs_config fs;
		struct virtio_blk_config blk;
	} config;
};

static struct back_end *back_end_of(struct virtio_device *vdev)
{
	return (struct back_end *)vdev;
}

/* Any thread: the loop sees to the rest. */
static void give_up(struct back_end *back_end)
{
	shutdown(back_end->link.fd, SHUT_RDWR);
}

static bool connected(const struct back_end *back_end)
{
	return back_end->link.fd >= 0;
}

static int call_fd(struct back_end *back_end, struct virtq *vq)
{
	int fd = virtio_call_fd(&back_end->vdev, vq);

	return fd >= 0 ? fd : back_end->vrings[vq->index].call.fd;
}

static void hand_over(struct back_end *back_end, struct back_end_vring *vring, uint16_t base)
{
	int err = vhost_user_start_queue(&back_end->link, vring->vq, back_end->vdev.env->ram, base,
					 vring->kick, call_fd(back_end, vring->vq));

	if (err)
		give_up(back_end);
}

static void set_up(struct back_end *back_end)
{
	if (vhost_user_set_up(&back_end->link, back_end->vdev.accepted, back_end->vdev.env->ram))
		give_up(back_end);
}

/* --- the driver comes and goes; a back end that is not there finds all of it when it is back --- */

static int start_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct back_end *back_end = back_end_of(vdev);
	struct back_end_vring *vring = &back_end->vrings[vq->index];

	vring->vq = vq;
	vring->kick = virtio_take_kick_fd(vdev, vq);
	if (connected(back_end))
		hand_over(back_end, vring, vq->next_avail);
	return 0;
}

static void stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct back_end *back_end = back_end_of(vdev);
	struct back_end_vring *vring = &back_end->vrings[vq->index];

	if (!vring->vq)
		return;
	vring->vq = NULL;
	if (connected(back_end) && vhost_user_stop_queue(&back_end->link, vq))
		give_up(back_end);
	virtio_return_kick_fd(vdev, vq);
}

static int activate(struct virtio_device *vdev)
{
	struct back_end *back_end = back_end_of(vdev);

	if (connected(back_end))
		set_up(back_end);
	for (unsigned i = 0; i < vdev->queue_count; i++)
		if (virtio_queue(vdev, i)->ready)
			start_queue(vdev, virtio_queue(vdev, i));
	return 0;
}

/* Kicks go to the back end; one that came before it had the queue is counted in the eventfd that it has now. */
static void handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	virtio_kick(vdev, vq->index);
}

static void call_changed(struct virtio_device *vdev, struct virtq *vq)
{
	struct back_end *back_end = back_end_of(vdev);

	if (back_end->vrings[vq->index].vq && connected(back_end) &&
	    vhost_user_set_call(&back_end->link, vq, call_fd(back_end, vq)))
		give_up(back_end);
}

/* --- the back end comes and goes --- */

static void retry_after(struct back_end *back_end, unsigned seconds)
{
	const struct itimerspec spec = { .it_value.tv_sec = seconds };

	timerfd_settime(back_end->retry.fd, 0, &spec, NULL);
}

static void drop_link(struct back_end *back_end)
{
	if (!connected(back_end))
		return;
	loop_remove(back_end->vdev.env->loop, &back_end->end);
	vhost_user_close(&back_end->link);
}

static void lost(struct back_end *back_end)
{
	drop_link(back_end);
	report_warning("%s: its back end is gone; the guest waits until it is back",
		       back_end->name);
	retry_after(back_end, RETRY_SECONDS);
}

/* The answers to our questions are read where they were asked: what is left for here is the end, or makes no sense. */
static void end_ready(struct loop_source *source, uint32_t events)
{
	struct back_end *back_end =
		(struct back_end *)((char *)source - offsetof(struct back_end, end));
	char byte;

	(void)events;
	virtio_lock(&back_end->vdev);
	if (connected(back_end) &&
	    (recv(source->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
		lost(back_end);
	virtio_unlock(&back_end->vdev);
}

/* How many of the available entries are used: the back end that went may have begun others, which are done again. */
static uint16_t used_index(const struct virtq *vq)
{
	const struct vring_used *used = vq->device;

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

static void resume(struct back_end *back_end)
{
	set_up(back_end);
	for (unsigned i = 0; i < back_end->vdev.queue_count; i++) {
		struct back_end_vring *vring = &back_end->vrings[i];

		if (!vring->vq)
			continue;
		hand_over(back_end, vring, used_index(vring->vq));
		virtio_kick(&back_end->vdev, i);
		virtio_interrupt_queue(&back_end->vdev, vring->vq);
	}
}

static int open_link(struct back_end *back_end)
{
	int err = vhost_user_open(&back_end->link, &back_end->address);

	if (err)
		return err;
	if (!(back_end->link.features & 1ULL << VIRTIO_F_VERSION_1))
		err = -EPROTO;
	back_end->end.fd = back_end->link.fd;
	if (!err)
		err = loop_add(back_end->vdev.env->loop, &back_end->end, EPOLLIN | EPOLLRDHUP);
	if (err)
		vhost_user_close(&back_end->link);
	return err;
}

static void reconnect(struct back_end *back_end)
{
	struct virtio_device *vdev = &back_end->vdev;
	int err = open_link(back_end);
	uint64_t needed = vdev->offered | (RING_FEATURES & ~vdev->withheld);

	if (!err && needed & ~back_end->link.features) {
		drop_link(back_end);
		err = -EPROTO;
	}
	if (err) {
		retry_after(back_end,
			    err == -ETIMEDOUT || err == -EPROTO ? LATER_SECONDS : RETRY_SECONDS);
		return;
	}
	report_warning("%s: its back end is back", back_end->name);
	if (vdev->active)
		resume(back_end);
}

static void retry_ready(struct loop_source *source, uint32_t events)
{
	struct back_end *back_end =
		(struct back_end *)((char *)source - offsetof(struct back_end, retry));
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	virtio_lock(&back_end->vdev);
	if (!connected(back_end))
		reconnect(back_end);
	virtio_unlock(&back_end->vdev);
}

static void call_ready(struct loop_source *source, uint32_t events)
{
	struct back_end_vring *vring =
		(struct back_end_vring *)((char *)source - offsetof(struct back_end_vring, call));
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	virtio_lock(&vring->owner->vdev);
	if (vring->vq)
		virtio_interrupt_queue(&vring->owner->vdev, vring->vq);
	virtio_unlock(&vring->owner->vdev);
}

/* --- creation --- */

static void unwatch(struct back_end *back_end, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_remove(back_end->vdev.env->loop, source);
	close(source->fd);
}

static void destroy(struct virtio_device *vdev)
{
	struct back_end *back_end = back_end_of(vdev);

	drop_link(back_end);
	unwatch(back_end, &back_end->retry);
	for (unsigned i = 0; i < QUEUES_MAX; i++)
		unwatch(back_end, &back_end->vrings[i].call);
	virtio_device_fini(vdev);
	free(back_end);
}

static const struct virtio_device_class fs_class = {
	.id = VIRTIO_ID_FS,
	.activate = activate,
	.handle_queue = handle_queue,
	.start_queue = start_queue,
	.stop_queue = stop_queue,
	.call_changed = call_changed,
	.destroy = destroy,
};

static const struct virtio_device_class blk_class = {
	.id = VIRTIO_ID_BLOCK,
	.activate = activate,
	.handle_queue = handle_queue,
	.start_queue = start_queue,
	.stop_queue = stop_queue,
	.call_changed = call_changed,
	.destroy = destroy,
};

static int watch(struct back_end *back_end, struct loop_source *source, int fd,
		 void (*ready)(struct loop_source *source, uint32_t events))
{
	int err;

	if (fd < 0)
		return report(-errno, "%s: no more descriptors; raise `ulimit -n`", back_end->name);
	*source = (struct loop_source){ fd, ready };
	err = loop_add(back_end->vdev.env->loop, source, EPOLLIN);
	if (!err)
		return 0;
	close(fd);
	source->fd = -1;
	return report(err, "%s: cannot wait for its back end", back_end->name);
}

static int watch_all(struct back_end *back_end)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int err = watch(back_end, &back_end->retry, fd, retry_ready);

	for (unsigned i = 0; i < back_end->vdev.queue_count && !err; i++) {
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		err = watch(back_end, &back_end->vrings[i].call, fd, call_ready);
	}
	return err;
}

static int learn_disk(struct back_end *back_end, unsigned queues)
{
	struct virtio_device *vdev = &back_end->vdev;
	int err = vhost_user_config(&back_end->link, back_end->config.bytes,
				    sizeof(struct virtio_blk_config));

	if (err)
		return report(err, "%s: its back end does not tell what the disk is like",
			      back_end->name);
	back_end->config.blk.num_queues = (uint16_t)queues;
	vdev->offered = back_end->link.features & BLK_FEATURES;
	vdev->config_size = sizeof(struct virtio_blk_config);
	return 0;
}

static int learn(struct back_end *back_end, const struct virtio_back_end_config *config)
{
	struct virtio_device *vdev = &back_end->vdev;
	unsigned queues = vdev->queue_count;
	uint64_t has;
	int err = vhost_user_queues(&back_end->link, &has);

	if (err)
		return report(err, "%s: cannot ask its back end", back_end->name);
	/* One that cannot tell has what its kind needs. */
	if (back_end->link.protocol & VHOST_USER_PROTOCOL_MQ ? queues > has : config->queues > 1)
		return refuse(-EINVAL, "%s: its back end has no %u queues; give fewer with queues=",
			      back_end->name, config->queues);
	vdev->withheld = (RING_FEATURES & ~back_end->link.features) | 1ULL << VIRTIO_F_RING_PACKED;
	if (!config->fs)
		return learn_disk(back_end, queues);
	memcpy(back_end->config.fs.tag, config->tag, VIRTIO_BACK_END_TAG_MAX);
	back_end->config.fs.num_request_queues = config->queues;
	vdev->config_size = sizeof(struct virtio_fs_config);
	return 0;
}

static int start(struct back_end *back_end, const struct virtio_back_end_config *config)
{
	unsigned queues = config->queues + (config->fs ? 1 : 0); /* (virtio 1.2, 5.11.2) */
	int err = virtio_device_init(&back_end->vdev, queues, QUEUE_SIZE);

	if (!err)
		err = watch_all(back_end);
	if (err)
		return err;
	err = open_link(back_end);
	if (err == -EPROTO)
		return refuse(err, "%s: what listens there is no vhost-user back end of virtio 1.0",
			      back_end->name);
	if (err)
		return report(err, "%s: cannot connect to its back end", back_end->name);
	return learn(back_end, config);
}

int back_end_create(struct virtio_device **vdev, const struct virtio_back_end_config *config,
		    const struct virtio_env *env)
{
	struct back_end *back_end = calloc(1, sizeof(*back_end));
	int err;

	*vdev = NULL;
	if (!back_end)
		return report(-ENOMEM, "--vhost-user %s", config->address.sun_path);
	snprintf(back_end->name, sizeof(back_end->name), "vhost-user %s %s",
		 config->fs ? "fs" : "blk", config->address.sun_path);
	back_end->vdev = (struct virtio_device){
		.class = config->fs ? &fs_class : &blk_class,
		.env = env,
		.name = back_end->name,
		.config = back_end->config.bytes,
	};
	back_end->address = config->address;
	back_end->link.fd = back_end->retry.fd = -1;
	back_end->end.ready = end_ready;
	for (unsigned i = 0; i < QUEUES_MAX; i++) {
		back_end->vrings[i].owner = back_end;
		back_end->vrings[i].call.fd = -1;
	}
	err = start(back_end, config);
	if (err) {
		destroy(&back_end->vdev);
		return err;
	}
	*vdev = &back_end->vdev;
	return 0;
}

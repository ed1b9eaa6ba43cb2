// SPDX-License-Identifier: GPL-2.0-only
/*
 * The back end reads the guest's kicks and raises its interrupts by eventfds, and lkvm sleeps. It may go at any time: the
 * queues then wait until it listens again, and begin where the used ring tells that it got to. Where that takes too long
 * lkvm answers for it, with errors, until it is back. Only the main thread opens and closes the connection; another one
 * that finds it broken shuts it down, of which the main thread learns by the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
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
/* It accepts connections and says nothing, or dies again and again: not to be tried every second. */
#define LATER_SECONDS 30
/* A connection that lasts as long is one that works: its end is the beginning of another absence. */
#define STEADY_MS 10000

/* Of rings: what a back end may have and lkvm offers only then. Packed ones have no index to begin anew from. */
#define RING_FEATURES (1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_RING_F_INDIRECT_DESC)
/* Up to what these features tell of: an older back end has no more to say. */
#define BLK_CONFIG_SIZE (offsetof(struct virtio_blk_config, write_zeroes_may_unmap) + 4)
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
	unsigned wait, delay; /* seconds: until requests fail; until the next try */
	int64_t since,
		gone_at; /* now_ms() when it connected; when it went, for the first time of several */
	bool refusing;   /* gone for too long: the kicks are ours, and requests fail */
	const char *fault; /* what it did, for a message */
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

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Any thread: the loop sees to the rest. */
static void give_up(struct back_end *back_end, int err)
{
	if (err == -ETIMEDOUT)
		back_end->fault = "does not answer";
	else if (err == -EPROTO)
		back_end->fault = "answers what makes no sense";
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
		give_up(back_end, err);
}

static void set_up(struct back_end *back_end)
{
	int err = vhost_user_set_up(&back_end->link, back_end->vdev.accepted,
				    back_end->vdev.env->ram);

	if (err)
		give_up(back_end, err);
}

/* --- the driver comes and goes; a back end that is not there finds all of it when it is back --- */

static int start_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct back_end *back_end = back_end_of(vdev);
	struct back_end_vring *vring = &back_end->vrings[vq->index];

	vring->vq = vq;
	if (!back_end->refusing)
		vring->kick = virtio_take_kick_fd(vdev, vq);
	if (connected(back_end))
		hand_over(back_end, vring, 0);
	return 0;
}

static void stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct back_end *back_end = back_end_of(vdev);
	struct back_end_vring *vring = &back_end->vrings[vq->index];
	int err = 0;

	if (!vring->vq)
		return;
	vring->vq = NULL;
	if (connected(back_end))
		err = vhost_user_stop_queue(&back_end->link, vq);
	if (err)
		give_up(back_end, err);
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
	if (back_end_of(vdev)->refusing)
		back_end_refuse_requests(vdev, vq);
	else
		virtio_kick(vdev, vq->index);
}

static void call_changed(struct virtio_device *vdev, struct virtq *vq)
{
	struct back_end *back_end = back_end_of(vdev);
	int err = 0;

	if (back_end->vrings[vq->index].vq && connected(back_end))
		err = vhost_user_set_call(&back_end->link, vq, call_fd(back_end, vq));
	if (err)
		give_up(back_end, err);
}

/* --- the back end comes and goes --- */

static void drop_link(struct back_end *back_end)
{
	if (!connected(back_end))
		return;
	loop_remove(back_end->vdev.env->loop, &back_end->end);
	vhost_user_close(&back_end->link);
}

/* The guest's processes shall not wait for ever: what is there fails now, and the rest when it comes. */
static void refuse_all(struct back_end *back_end)
{
	struct virtio_device *vdev = &back_end->vdev;

	back_end->refusing = true;
	report_warning("%s: what the guest asks of its back end fails until it is back",
		       back_end->name);
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct virtq *vq = back_end->vrings[i].vq;

		if (!vq)
			continue;
		virtq_take_over(vq);
		virtio_return_kick_fd(vdev, vq);
		back_end_refuse_requests(vdev, vq);
		virtio_interrupt_queue(vdev, vq); /* for what it has used and not told of */
	}
}

/* Tries again after the delay, or when requests are to fail. */
static void await_return(struct back_end *back_end)
{
	int64_t left = back_end->gone_at + back_end->wait * 1000LL - now_ms();
	int64_t next = back_end->delay * 1000LL;

	if (left <= 0 && !back_end->refusing)
		refuse_all(back_end);
	if (left > 0 && left < next)
		next = left;
	timerfd_settime(back_end->retry.fd, 0,
			&(struct itimerspec){ .it_value = { next / 1000, next % 1000 * 1000000 } },
			NULL);
}

static void lost(struct back_end *back_end)
{
	int64_t now = now_ms();

	drop_link(back_end);
	report_warning("%s: its back end %s; the guest waits until it is back", back_end->name,
		       back_end->fault);
	back_end->fault = "is gone";
	if (now - back_end->since >= STEADY_MS) {
		back_end->gone_at = now;
		back_end->delay = RETRY_SECONDS;
	} else if (back_end->delay < LATER_SECONDS) {
		back_end->delay *= 2;
	}
	await_return(back_end);
}

/* The answers to our questions are read where they were asked: what is left for here is the end, or makes no sense. */
static void end_ready(struct loop_source *source, uint32_t events)
{
	struct back_end *back_end =
		(struct back_end *)((char *)source - offsetof(struct back_end, end));
	ssize_t got;
	char byte;

	(void)events;
	virtio_lock(&back_end->vdev);
	got = recv(source->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (got > 0)
		back_end->fault = "says what it was not asked";
	if (got >= 0 || errno != EAGAIN)
		lost(back_end);
	virtio_unlock(&back_end->vdev);
}

/* The back end that went may have begun requests that it has not used, which are done again. */
static void resume(struct back_end *back_end)
{
	struct virtio_device *vdev = &back_end->vdev;

	set_up(back_end);
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct back_end_vring *vring = &back_end->vrings[i];

		if (!vring->vq)
			continue;
		vring->kick = virtio_take_kick_fd(vdev, vring->vq);
		hand_over(back_end, vring, virtq_take_over(vring->vq));
		virtio_kick(vdev, i);
		virtio_interrupt_queue(vdev, vring->vq);
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

/* One that cannot tell has what its kind needs. */
static int has_queues(struct back_end *back_end, bool *enough)
{
	unsigned wanted = back_end->vdev.queue_count;
	uint64_t has;
	int err = vhost_user_queues(&back_end->link, &has);

	if (!(back_end->link.protocol & VHOST_USER_PROTOCOL_MQ))
		has = back_end->vdev.class->id == VIRTIO_ID_FS ? 2 : 1;
	*enough = !err && wanted <= has;
	return err;
}

static int read_disk(struct back_end *back_end, bool *changed)
{
	struct virtio_blk_config blk;
	int err = vhost_user_config(&back_end->link, &blk, BLK_CONFIG_SIZE);

	if (err)
		return err;
	blk.num_queues = (uint16_t)back_end->vdev.queue_count;
	*changed = memcmp(&back_end->config.blk, &blk, BLK_CONFIG_SIZE);
	memcpy(&back_end->config.blk, &blk, BLK_CONFIG_SIZE);
	return 0;
}

/* The guest goes on with the features and queues it has; a disk may have grown. */
static int check_successor(struct back_end *back_end)
{
	struct virtio_device *vdev = &back_end->vdev;
	uint64_t needed = vdev->offered | (RING_FEATURES & ~vdev->withheld);
	bool enough = false, changed = false;
	int err = has_queues(back_end, &enough);

	if (!err && (!enough || needed & ~back_end->link.features))
		err = -EPROTO;
	if (!err && vdev->class->id == VIRTIO_ID_BLOCK)
		err = read_disk(back_end, &changed);
	if (changed)
		virtio_config_changed(vdev);
	return err;
}

static void reconnect(struct back_end *back_end)
{
	int err = open_link(back_end);

	if (!err) {
		err = check_successor(back_end);
		if (err)
			drop_link(back_end);
	}
	if (err) {
		back_end->delay =
			err == -ETIMEDOUT || err == -EPROTO ? LATER_SECONDS : RETRY_SECONDS;
		await_return(back_end);
		return;
	}
	report_warning("%s: its back end is back", back_end->name);
	back_end->since = now_ms();
	back_end->refusing = false;
	if (back_end->vdev.active)
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

static int learn(struct back_end *back_end, const struct virtio_back_end_config *config)
{
	struct virtio_device *vdev = &back_end->vdev;
	bool enough, changed;
	int err = has_queues(back_end, &enough);

	if (err)
		return report(err, "%s: cannot ask its back end", back_end->name);
	if (!enough)
		return refuse(-EINVAL, "%s: its back end has no %u queues; give fewer with queues=",
			      back_end->name, config->queues);
	vdev->withheld = (RING_FEATURES & ~back_end->link.features) | 1ULL << VIRTIO_F_RING_PACKED;
	if (config->fs) {
		memcpy(back_end->config.fs.tag, config->tag, VIRTIO_BACK_END_TAG_MAX);
		back_end->config.fs.num_request_queues = config->queues;
		vdev->config_size = sizeof(struct virtio_fs_config);
		return 0;
	}
	err = read_disk(back_end, &changed);
	if (err)
		return report(err, "%s: its back end does not tell what the disk is like",
			      back_end->name);
	vdev->offered = back_end->link.features & BLK_FEATURES;
	vdev->config_size = BLK_CONFIG_SIZE;
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
	back_end->wait = config->wait;
	back_end->fault = "is gone";
	back_end->since = -STEADY_MS; /* whenever it goes, that is the first time */
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

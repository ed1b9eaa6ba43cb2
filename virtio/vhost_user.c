// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_config.h>
#include "vhost_user.h"

/* For a message to go and for its answer to be there in full. A queue's requests may take longer to end. */
#define PATIENCE_SECONDS      2
#define STOP_PATIENCE_SECONDS 10

#define F_PROTOCOL_FEATURES (1ULL << 30)

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

enum { FLAG_VERSION = 1, FLAG_VERSION_MASK = 3, FLAG_REPLY = 1 << 2, FLAG_NEED_REPLY = 1 << 3 };

struct header {
	uint32_t request, flags, size;
};

struct vring_state {
	uint32_t index, num;
};

struct vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct mem_table {
	uint32_t regions, padding;
	uint64_t gpa, size, user, offset; /* of one region */
};

struct config_space {
	uint32_t offset, size, flags;
	uint8_t bytes[VHOST_USER_CONFIG_MAX];
};

static_assert(sizeof(struct header) == 12, "on the wire");
static_assert(sizeof(struct vring_addr) == 40, "on the wire");
static_assert(sizeof(struct mem_table) == 40, "on the wire");
static_assert(sizeof(struct config_space) == 12 + VHOST_USER_CONFIG_MAX, "on the wire");

/* fd: goes with the message, or -1. Messages are so small that they go at once or not at all. */
static int send_message(struct vhost_user *link, enum request request, uint32_t flags,
			const void *payload, size_t size, int fd)
{
	struct header header = { (uint32_t)request, FLAG_VERSION | flags, (uint32_t)size };
	struct iovec iov[] = { { &header, sizeof(header) }, { (void *)(uintptr_t)payload, size } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = size ? 2 : 1 };
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
							     .cmsg_level = SOL_SOCKET,
							     .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	}
	sent = sendmsg(link->fd, &message, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)sent == sizeof(header) + size ? 0 : -EPROTO;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* However few bytes come at a time, deadline (of now_ms()) is for all of them. Descriptors that come along are dropped. */
static int receive_bytes(struct vhost_user *link, void *to, size_t size, int64_t deadline)
{
	for (size_t done = 0; done < size;) {
		struct pollfd poll_fd = { link->fd, POLLIN, 0 };
		int64_t left = deadline - now_ms();
		ssize_t got;

		if (!poll(&poll_fd, 1, left > 0 ? (int)left : 0))
			return -ETIMEDOUT;
		got = recv(link->fd, (char *)to + done, size - done, MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -ECONNRESET;
		done += (size_t)got;
	}
	return 0;
}

/* The reply must be the request's, and of the size that is expected. */
static int receive_reply(struct vhost_user *link, enum request request, void *payload, size_t size,
			 unsigned seconds)
{
	int64_t deadline = now_ms() + seconds * 1000;
	struct header header;
	int err = receive_bytes(link, &header, sizeof(header), deadline);

	if (err)
		return err;
	if (header.request != request || header.size != size || !(header.flags & FLAG_REPLY) ||
	    (header.flags & FLAG_VERSION_MASK) != FLAG_VERSION)
		return -EPROTO;
	return receive_bytes(link, payload, size, deadline);
}

static int get_u64(struct vhost_user *link, enum request request, uint64_t *value)
{
	int err = send_message(link, request, 0, NULL, 0, -1);

	return err ? err : receive_reply(link, request, value, sizeof(*value), PATIENCE_SECONDS);
}

static int set_u64(struct vhost_user *link, enum request request, uint64_t value)
{
	return send_message(link, request, 0, &value, sizeof(value), -1);
}

/* Where the back end can acknowledge, it has done what it was asked when this returns. */
static int set_and_wait(struct vhost_user *link, enum request request, const void *payload,
			size_t size, int fd)
{
	bool acknowledges = link->protocol & VHOST_USER_PROTOCOL_REPLY_ACK;
	uint64_t failed = 0;
	int err =
		send_message(link, request, acknowledges ? FLAG_NEED_REPLY : 0, payload, size, fd);

	if (!err && acknowledges)
		err = receive_reply(link, request, &failed, sizeof(failed), PATIENCE_SECONDS);
	return !err && failed ? -EPROTO : err;
}

static int greet(struct vhost_user *link)
{
	const uint64_t known =
		VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK | VHOST_USER_PROTOCOL_CONFIG;
	int err = get_u64(link, GET_FEATURES, &link->features);

	if (!err && link->features & F_PROTOCOL_FEATURES) {
		err = get_u64(link, GET_PROTOCOL_FEATURES, &link->protocol);
		link->protocol &= known;
		if (!err)
			err = set_u64(link, SET_PROTOCOL_FEATURES, link->protocol);
	}
	return err ? err : send_message(link, SET_OWNER, 0, NULL, 0, -1);
}

/* A full backlog is no reason to wait: who listens there is busy. */
static int connect_to(struct vhost_user *link, const struct sockaddr_un *address)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };

	link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -errno;
	if (setsockopt(link->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(link->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

int vhost_user_open(struct vhost_user *link, const struct sockaddr_un *address)
{
	int err;

	*link = (struct vhost_user){ .fd = -1 };
	err = connect_to(link, address);
	if (!err)
		err = greet(link);
	if (err)
		vhost_user_close(link);
	return err;
}

void vhost_user_close(struct vhost_user *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

int vhost_user_queues(struct vhost_user *link, uint64_t *queues)
{
	*queues = 1;
	return link->protocol & VHOST_USER_PROTOCOL_MQ ? get_u64(link, GET_QUEUE_NUM, queues) : 0;
}

int vhost_user_config(struct vhost_user *link, void *config, size_t size)
{
	struct config_space space = { .size = (uint32_t)size };
	size_t bytes = offsetof(struct config_space, bytes) + size;
	int err;

	assert(size <= sizeof(space.bytes));
	if (!(link->protocol & VHOST_USER_PROTOCOL_CONFIG))
		return -EOPNOTSUPP;
	err = send_message(link, GET_CONFIG, 0, &space, bytes, -1);
	if (!err)
		err = receive_reply(link, GET_CONFIG, &space, bytes, PATIENCE_SECONDS);
	if (!err)
		memcpy(config, space.bytes, size);
	return err;
}

int vhost_user_set_up(struct vhost_user *link, uint64_t features, const struct guest_mem *ram)
{
	const struct mem_table table = {
		.regions = 1, .gpa = ram->base, .size = ram->size, .user = (uintptr_t)ram->host
	};
	uint64_t accepted = features & link->features & ~(1ULL << VIRTIO_F_ACCESS_PLATFORM);
	int err = set_u64(link, SET_FEATURES, accepted | (link->features & F_PROTOCOL_FEATURES));

	return err ? err : set_and_wait(link, SET_MEM_TABLE, &table, sizeof(table), ram->fd);
}

static int set_state(struct vhost_user *link, enum request request, unsigned index, unsigned num)
{
	const struct vring_state state = { index, num };

	return send_message(link, request, 0, &state, sizeof(state), -1);
}

static int set_fd(struct vhost_user *link, enum request request, unsigned index, int fd)
{
	const uint64_t value = index;

	return send_message(link, request, 0, &value, sizeof(value), fd);
}

/* Addresses are this process's, which the back end finds its own by. */
static int set_addr(struct vhost_user *link, const struct virtq *vq, const struct guest_mem *ram)
{
	const struct vring_addr addr = {
		.index = vq->index,
		.desc = (uintptr_t)guest_mem_range(ram, vq->place.desc, 0),
		.avail = (uintptr_t)guest_mem_range(ram, vq->place.driver, 0),
		.used = (uintptr_t)guest_mem_range(ram, vq->place.device, 0),
	};

	return send_message(link, SET_VRING_ADDR, 0, &addr, sizeof(addr), -1);
}

int vhost_user_start_queue(struct vhost_user *link, const struct virtq *vq,
			   const struct guest_mem *ram, uint16_t base, int kick, int call)
{
	const struct vring_state enable = { vq->index, 1 };
	int err = set_state(link, SET_VRING_NUM, vq->index, vq->size);

	if (!err)
		err = set_state(link, SET_VRING_BASE, vq->index, base);
	if (!err)
		err = set_addr(link, vq, ram);
	if (!err)
		err = set_fd(link, SET_VRING_CALL, vq->index, call);
	if (!err)
		err = set_fd(link, SET_VRING_KICK, vq->index, kick);
	if (!err && link->features & F_PROTOCOL_FEATURES)
		err = set_and_wait(link, SET_VRING_ENABLE, &enable, sizeof(enable), -1);
	return err;
}

int vhost_user_stop_queue(struct vhost_user *link, const struct virtq *vq)
{
	struct vring_state state = { vq->index, 0 };
	int err = send_message(link, GET_VRING_BASE, 0, &state, sizeof(state), -1);

	if (!err)
		err = receive_reply(link, GET_VRING_BASE, &state, sizeof(state),
				    STOP_PATIENCE_SECONDS);
	return !err && state.index != vq->index ? -EPROTO : err;
}

int vhost_user_set_call(struct vhost_user *link, const struct virtq *vq, int call)
{
	return set_fd(link, SET_VRING_CALL, vq->index, call);
}

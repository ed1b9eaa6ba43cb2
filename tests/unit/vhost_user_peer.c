// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/virtio_ring.h>
#include "vhost_user_peer.h"
#include "virtio/iov.h"

#define PROTOCOL_FEATURES (1ULL << 30)
#define CHAIN_BYTES       4096

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t regions, padding;
			uint64_t gpa, size, user, offset;
		} memory;
		uint8_t bytes[512];
	} payload;
	int fd;
} __attribute__((packed, aligned(8)));

#define HEADER offsetof(struct message, payload)

static void forget_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool receive(struct peer *peer, struct message *message)
{
	struct iovec iov = { message, HEADER };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(peer->peer, &header, MSG_CMSG_CLOEXEC);

	message->fd = -1;
	if (got != (ssize_t)HEADER)
		return false;
	if (header.msg_controllen && CMSG_FIRSTHDR(&header))
		memcpy(&message->fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
	assert(message->size <= sizeof(message->payload));
	return !message->size || recv(peer->peer, &message->payload, message->size, MSG_WAITALL) ==
					 (ssize_t)message->size;
}

static void drip(struct peer *peer, const struct message *message, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (send(peer->peer, (const char *)message + i, 1, MSG_NOSIGNAL) < 0)
			return;
		usleep(400000);
	}
}

static void reply(struct peer *peer, struct message *message, uint32_t size)
{
	if (peer->manner == PEER_SILENT)
		return;
	if (peer->manner == PEER_WRONG_REQUEST)
		message->request++;
	message->flags = 1 | 4;
	message->size = size + (peer->manner == PEER_WRONG_SIZE);
	if (peer->manner == PEER_DRIPS)
		drip(peer, message, HEADER + size);
	else
		(void)!send(peer->peer, message, HEADER + size, MSG_NOSIGNAL);
}

static void map_memory(struct peer *peer, struct message *message)
{
	peer->user = message->payload.memory.user;
	peer->ram = (struct guest_mem){ .base = message->payload.memory.gpa,
					.size = message->payload.memory.size };
	peer->ram.host = mmap(NULL, peer->ram.size, PROT_READ | PROT_WRITE, MAP_SHARED, message->fd,
			      (off_t)message->payload.memory.offset);
	assert(peer->ram.host != MAP_FAILED);
}

static uint64_t gpa_of(const struct peer *peer, uint64_t user)
{
	return user - peer->user + peer->ram.base;
}

static void start_queue(struct peer *peer, struct peer_queue *queue, unsigned index)
{
	struct virtq *vq = &queue->vq;
	int err;

	virtq_init(vq, index, VIRTQ_SIZE_MAX);
	vq->size = (uint16_t)queue->size;
	vq->place =
		(struct virtq_place){ gpa_of(peer, queue->addr[0]), gpa_of(peer, queue->addr[1]),
				      gpa_of(peer, queue->addr[2]) };
	vq->event_idx = peer->accepted & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	err = virtq_start(vq, &peer->ram);
	assert(!err);
	vq->next_avail = vq->next_used = (uint16_t)queue->base;
	queue->enabled = true;
	peer->starts++;
}

static void serve_queue(struct peer *peer, struct peer_queue *queue)
{
	static __thread struct virtq_chain chain;
	uint8_t bytes[CHAIN_BYTES];
	uint64_t count;

	if (read(queue->kick, &count, sizeof(count)) != sizeof(count) || peer->deaf)
		return;
	while (virtq_pop(&queue->vq, &chain) > 0) {
		size_t size = iov_read(chain.iov, chain.out, 0, bytes, sizeof(bytes));

		size = iov_write(chain.iov + chain.out, chain.in, 0, bytes, size);
		virtq_push(&queue->vq, &chain, (uint32_t)size);
		atomic_fetch_add(&peer->served, 1);
	}
	if (virtq_interrupts(&queue->vq))
		eventfd_write(queue->call, 1);
}

/* What is told of one queue. */
static void tell_queue(struct peer *peer, struct message *message)
{
	unsigned index = message->payload.state.index;
	struct peer_queue *queue = &peer->queues[index];

	assert(index < PEER_QUEUES);
	switch (message->request) {
	case 8:
		queue->size = message->payload.state.num;
		break;
	case 9:
		queue->addr[0] = message->payload.addr.desc;
		queue->addr[1] = message->payload.addr.avail;
		queue->addr[2] = message->payload.addr.used;
		break;
	case 10:
		queue->base = message->payload.state.num;
		break;
	case 11:
		queue->enabled = false;
		message->payload.state.num = queue->vq.next_avail;
		forget_fd(&queue->kick);
		reply(peer, message, 8);
		break;
	case 12:
		forget_fd(&queue->kick);
		queue->kick = message->fd;
		break;
	case 13:
		forget_fd(&queue->call);
		queue->call = message->fd;
		break;
	default:
		start_queue(peer, queue, index);
		break;
	}
}

static void answer(struct peer *peer, struct message *message)
{
	bool acknowledge = message->flags & 8;

	switch (message->request) {
	case 1:
		message->payload.u64 = peer->features;
		reply(peer, message, 8);
		return;
	case 2:
		peer->accepted = message->payload.u64;
		break;
	case 3:
	case 16:
		break;
	case 5:
		map_memory(peer, message);
		close(message->fd);
		break;
	case 15:
		message->payload.u64 = peer->protocol;
		reply(peer, message, 8);
		return;
	case 17:
		message->payload.u64 = peer->queue_count;
		reply(peer, message, 8);
		return;
	case 24:
		for (unsigned i = 12; i < message->size; i++)
			message->payload.bytes[i] = (uint8_t)(peer->config + i - 12);
		reply(peer, message, message->size);
		return;
	default:
		tell_queue(peer, message);
		break;
	}
	if (!acknowledge)
		return;
	message->payload.u64 = peer->manner == PEER_REFUSES_MEMORY && message->request == 5;
	reply(peer, message, 8);
}

static void end_connection(struct peer *peer)
{
	forget_fd(&peer->peer);
	for (unsigned i = 0; i < PEER_QUEUES; i++) {
		forget_fd(&peer->queues[i].kick);
		forget_fd(&peer->queues[i].call);
		peer->queues[i].enabled = false;
	}
	if (peer->ram.host)
		munmap(peer->ram.host, peer->ram.size);
	peer->ram = (struct guest_mem){ 0 };
}

static void accept_one(struct peer *peer)
{
	end_connection(peer);
	peer->peer = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
}

static void converse(struct peer *peer)
{
	struct message message;

	if (!receive(peer, &message)) {
		end_connection(peer);
		return;
	}
	answer(peer, &message);
	if (peer->manner == PEER_NAGS && message.request == 18)
		(void)!send(peer->peer, "?", 1, MSG_NOSIGNAL);
}

static void *run(void *data)
{
	struct peer *peer = data;

	for (;;) {
		struct pollfd fds[3 + PEER_QUEUES] = { { peer->stop, POLLIN, 0 },
						       { peer->listener, POLLIN, 0 },
						       { peer->peer, POLLIN, 0 } };

		for (unsigned i = 0; i < PEER_QUEUES; i++)
			fds[3 + i] = (struct pollfd){ peer->queues[i].enabled && !peer->deaf
							      ? peer->queues[i].kick
							      : -1,
						      POLLIN, 0 };
		poll(fds, 3 + PEER_QUEUES, -1);
		if (fds[0].revents)
			break;
		if (fds[1].revents)
			accept_one(peer);
		else if (fds[2].revents)
			converse(peer);
		else
			for (unsigned i = 0; i < PEER_QUEUES; i++)
				if (fds[3 + i].revents)
					serve_queue(peer, &peer->queues[i]);
	}
	end_connection(peer);
	return NULL;
}

void peer_start(struct peer *peer, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err;

	strcpy(address.sun_path, path);
	unlink(path);
	peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	peer->stop = eventfd(0, EFD_CLOEXEC);
	peer->peer = -1;
	memset(peer->queues, 0, sizeof(peer->queues));
	for (unsigned i = 0; i < PEER_QUEUES; i++)
		peer->queues[i].kick = peer->queues[i].call = -1;
	err = bind(peer->listener, (struct sockaddr *)&address, sizeof(address));
	assert(!err);
	err = listen(peer->listener, 4);
	assert(!err);
	err = pthread_create(&peer->thread, NULL, run, peer);
	assert(!err);
}

void peer_stop(struct peer *peer)
{
	eventfd_write(peer->stop, 1);
	pthread_join(peer->thread, NULL);
	close(peer->stop);
	close(peer->listener);
}

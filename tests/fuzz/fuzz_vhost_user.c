// SPDX-License-Identifier: GPL-2.0-only
/*
 * A back end that answers as it likes: of any content and length, in pieces, late, with descriptors, unasked, or not at
 * all; that goes and comes back; and a driver that does what it likes meanwhile. lkvm keeps to the protocol; no queue is
 * the back end's that the driver has taken away; no descriptor stays open; and a sound back end is served in the end.
 *
 * The input's front is actions, four bytes each; its end, read backwards, is how the back end answers (0: as it should).
 * Time is ours: whoever waits for the back end lets it have its turn, in this thread.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "../unit/virtio_rig.h"
#include "virtio/back_end.h"
#include "silence.h"

#define QUEUES   3
#define RING     16
#define FDS_SENT 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct message {
	uint32_t request, flags, size;
	uint64_t payload[40];
};

/* As it is on the wire: the payload follows directly. */
#define WIRE 12

static struct {
	const uint8_t *front, *end; /* of the input */
	int64_t now_ms, due_ms;     /* due: the timer's, 0: none */
	int timer;
	struct sockaddr_un address;
	int listener, fd; /* -1: none */
	bool sound;       /* on this connection, so far */
	uint8_t later[512];
	size_t later_size; /* of an answer, that comes the next time */
	int kicks[QUEUES]; /* -1: not started */
} peer;

/* --- time --- */

int timerfd_create(int clock, int flags)
{
	(void)clock;
	(void)flags;
	peer.timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return peer.timer;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	int64_t delay = new->it_value.tv_sec * 1000 + new->it_value.tv_nsec / 1000000;

	assert(fd == peer.timer && !flags && !old && delay > 0);
	peer.due_ms = peer.now_ms + delay;
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, now);
	*now = (struct timespec){ peer.now_ms / 1000, peer.now_ms % 1000 * 1000000 };
	return 0;
}

static void pass(int64_t ms)
{
	peer.now_ms += ms;
	if (!peer.due_ms || peer.now_ms < peer.due_ms)
		return;
	peer.due_ms = 0;
	eventfd_write(peer.timer, 1);
}

/* --- the back end --- */

static uint8_t take(void)
{
	return peer.end > peer.front ? *--peer.end : 0;
}

static void forget_queue(unsigned index)
{
	if (peer.kicks[index] >= 0)
		close(peer.kicks[index]);
	peer.kicks[index] = -1;
}

static void hang_up(void)
{
	if (peer.fd >= 0)
		close(peer.fd);
	peer.fd = -1;
	peer.later_size = 0;
	for (unsigned i = 0; i < QUEUES; i++)
		forget_queue(i);
}

static void say(const void *bytes, size_t size, bool with_fds)
{
	int fds[FDS_SENT] = { 0, 1, 2 };
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (with_fds) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fds)),
							     .cmsg_level = SOL_SOCKET,
							     .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(fds));
	}
	if (size)
		(void)!sendmsg(peer.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void say_in_two(const uint8_t *bytes, size_t size, size_t first)
{
	first = first < size ? first : size;
	say(bytes, first, false);
	peer.later_size = size - first;
	memcpy(peer.later, bytes + first, peer.later_size);
}

/* An answer that is as it should be but for what the input has it be. */
static void answer(const struct message *asked, const void *payload, uint32_t size)
{
	uint32_t header[3] = { asked->request, 1 | 4, size };
	uint8_t bytes[WIRE + sizeof(asked->payload)], manner = take();

	memcpy(bytes + WIRE, payload, size);
	peer.sound = peer.sound && manner < 8;
	switch (manner % 16) {
	case 8:
		header[2] ^= 1U << take() % 32;
		break;
	case 9:
		header[0] = take();
		break;
	case 10:
		header[1] = take();
		break;
	case 11:
		for (unsigned i = take() % 8; i--;)
			bytes[WIRE + take() % size] = take();
		break;
	case 12:
		memcpy(bytes, header, WIRE);
		say_in_two(bytes, WIRE + size, take());
		return;
	case 13:
		for (unsigned i = take() % 8; i--;)
			say(&(uint8_t){ take() }, 1, false);
		break;
	case 14:
		return;
	case 15:
		hang_up();
		return;
	}
	memcpy(bytes, header, WIRE);
	say(bytes, WIRE + size, manner & 0x80);
}

/* What comes by a message on one queue must be one that the device has. */
static void handle_queue(const struct message *message, int fd)
{
	uint32_t state[2];

	memcpy(state, message->payload, sizeof(state));
	assert(state[0] < vrig.vdev->queue_count);
	switch (message->request) {
	case 11: /* GET_VRING_BASE */
		forget_queue(state[0]);
		answer(message, state, sizeof(state));
		break;
	case 12: /* SET_VRING_KICK */
		forget_queue(state[0]);
		peer.kicks[state[0]] = dup(fd);
		break;
	}
}

static void acknowledge(const struct message *message)
{
	if (message->flags & 8)
		answer(message, &(uint64_t){ take() == 0xff }, 8);
}

static void handle(const struct message *message, int fd)
{
	static const uint32_t sizes[25] = {
		[2] = 8,  [5] = 40, [8] = 8,  [9] = 40, [10] = 8,  [11] = 8,
		[12] = 8, [13] = 8, [16] = 8, [18] = 8, [24] = 72,
	};

	assert(message->request && message->request < 25 && (message->flags & 7) == 1);
	assert(message->size == sizes[message->request]);
	assert((fd >= 0) ==
	       (message->request == 5 || message->request == 12 || message->request == 13));
	switch (message->request) {
	case 1:
	case 15:
		answer(message, &(uint64_t){ UINT64_MAX }, 8);
		break;
	case 17:
		answer(message, &(uint64_t){ QUEUES }, 8);
		break;
	case 24:
		answer(message, message->payload, message->size);
		break;
	case 2:
	case 3:
	case 5:
	case 16:
		acknowledge(message);
		break;
	default:
		handle_queue(message, fd);
		if (message->request != 11)
			acknowledge(message);
		break;
	}
}

/* Takes one message; false: there is none. */
static bool take_message(void)
{
	struct message message;
	struct iovec iov = { &message, WIRE };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(peer.fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (got <= 0) {
		if (!got || errno != EAGAIN)
			hang_up();
		return false;
	}
	assert(got == WIRE);
	if (header.msg_controllen)
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
	assert(message.size <= sizeof(message.payload));
	if (message.size) {
		got = recv(peer.fd, message.payload, message.size, MSG_DONTWAIT);
		assert(got == (ssize_t)message.size);
	}
	handle(&message, fd);
	if (fd >= 0)
		close(fd);
	return peer.fd >= 0;
}

static void turn(void)
{
	if (peer.fd < 0 && peer.listener >= 0) {
		peer.fd = accept4(peer.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		peer.sound = true;
	}
	while (peer.fd >= 0 && take_message())
		;
}

/* lkvm waits for an answer. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int ready;

	assert(count == 1);
	if (peer.later_size) {
		pass(1500);
		say(peer.later, peer.later_size, false);
		peer.later_size = 0;
	} else {
		turn();
	}
	ready = (int)syscall(SYS_ppoll, fds, count, &(struct timespec){ 0 }, NULL, 0);
	if (!ready)
		pass(timeout);
	return ready;
}

static void listen_again(void)
{
	int err;

	if (peer.listener >= 0)
		return;
	peer.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = bind(peer.listener, (struct sockaddr *)&peer.address, sizeof(peer.address));
	assert(!err);
	err = listen(peer.listener, 4);
	assert(!err);
}

static void listen_no_more(void)
{
	if (peer.listener >= 0)
		close(peer.listener);
	peer.listener = -1;
}

/* --- the driver, and what else happens --- */

static void start_driver(uint8_t choice, uint16_t size)
{
	uint64_t features = choice & 1 ? 1ULL << VIRTIO_F_RING_RESET : 0;

	features |= choice & 2 ? 1ULL << VIRTIO_RING_F_EVENT_IDX : 0;
	if (!virtio_rig_negotiate(features))
		return;
	for (unsigned i = 0; i < vrig.vdev->queue_count; i++)
		virtio_rig_set_up_queue(i, size);
	virtio_rig_driver_ok();
}

static void offer(unsigned index, uint8_t where, uint8_t length)
{
	struct virtq_driver *driver = &vrig.queues[index];
	const struct virtq_buffer buffers[] = {
		{ VRIG_RAM + 0x400000 + where * 64ULL, length },
		{ VRIG_RAM + 0x500000 + where * 64ULL, length % 80 },
		{ where == 0xff ? 0 : VRIG_RAM + 0x600000, 1 },
	};

	if (driver->size)
		virtq_driver_add(driver, buffers, length % 2, 1 + length % 2);
	virtio_kick(vrig.vdev, index);
}

/* Who has the memory may write to the used ring, back end or driver. */
static void scribble(unsigned index, uint8_t a, uint8_t b)
{
	struct virtq_driver *driver = &vrig.queues[index];

	if (!driver->size)
		return;
	if (a & 1)
		driver->used->idx = (uint16_t)(driver->used->idx + (int8_t)b);
	else
		driver->avail->idx = (uint16_t)(driver->avail->idx + (int8_t)b);
}

static void drive(uint8_t action, uint8_t a, uint8_t b, uint8_t c)
{
	unsigned index = a % vrig.vdev->queue_count;

	switch (action) {
	case 0:
		virtio_set_status(vrig.vdev, a);
		break;
	case 1:
		virtio_lock(vrig.vdev);
		vrig.vdev->queue_select = index;
		virtio_unlock(vrig.vdev);
		break;
	case 2:
		virtio_queue_set_size(vrig.vdev, b);
		break;
	case 3:
		virtio_queue_set_address(vrig.vdev, a % 3, b & 1, (uint32_t)b << 24 | c << 12);
		break;
	case 4:
		virtio_queue_set_enabled(vrig.vdev, a & 1);
		break;
	case 5:
		virtio_queue_do_reset(vrig.vdev);
		break;
	case 6:
		virtio_queue_set_vector(vrig.vdev, a);
		break;
	case 7:
		start_driver(a, (uint16_t)(1 << b % 5));
		break;
	case 8:
		offer(index, b, c);
		break;
	default:
		scribble(index, b, c);
		break;
	}
}

static void act(uint8_t action, uint8_t a, uint8_t b, uint8_t c)
{
	switch (action % 16) {
	case 10:
		pass(a * 100);
		break;
	case 11:
		hang_up();
		if (a & 1)
			listen_no_more();
		break;
	case 12:
		listen_again();
		break;
	case 13: /* unasked */
		if (peer.fd >= 0)
			say(&b, 1, a & 1);
		peer.sound = false;
		break;
	case 14:
		virtio_rig_pump();
		break;
	case 15:
		virtio_config_read(vrig.vdev, a, 1 << b % 4);
		break;
	default:
		drive(action % 16, a, b, c);
		break;
	}
	turn();
}

/* What the back end thinks that it has, on a connection on which all went well. */
static void check(void)
{
	if (peer.fd < 0 || !peer.sound)
		return;
	for (unsigned i = 0; i < vrig.vdev->queue_count; i++) {
		const struct virtio_queue *queue = &vrig.vdev->queues[i];

		assert(peer.kicks[i] < 0 || (queue->vq.ready && queue->kick_taken));
	}
}

/* From now on all goes well: the driver begins anew, and the back end gets its queues. */
static void heal(void)
{
	peer.end = peer.front;
	listen_again();
	for (int i = 0; i < 8; i++) {
		pass(60000);
		turn();
		virtio_rig_pump();
	}
	start_driver(0, RING);
	turn();
	check();
	for (unsigned i = 0; i < vrig.vdev->queue_count; i++)
		assert(peer.kicks[i] >= 0);
}

static int next_fd(void)
{
	int fd = dup(2);

	close(fd);
	return fd;
}

static void begin(struct virtio_back_end_config *config, uint8_t choice)
{
	const struct guest_mem_config ram = { .base = VRIG_RAM,
					      .size = VRIG_RAM_SIZE,
					      .shared = true };
	int err;

	virtio_rig_begin();
	guest_mem_destroy(&vrig.ram);
	err = guest_mem_create(&vrig.ram, &ram);
	assert(!err);
	peer.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(peer.address.sun_path + 1, &(pid_t){ getpid() }, sizeof(pid_t));
	*config = (struct virtio_back_end_config){
		.fs = choice & 1,
		.queues = 1 + (choice >> 1 & 1),
		.wait = choice >> 2 & 3,
		.tag = "tag",
		.address = peer.address,
	};
	peer.now_ms = 1000000;
	peer.due_ms = 0;
	peer.fd = peer.listener = -1;
	for (unsigned i = 0; i < QUEUES; i++)
		peer.kicks[i] = -1;
	listen_again();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_back_end_config config;
	struct virtio_device *vdev;
	int fd;

	silence();
	fd = next_fd();
	if (!size)
		return 0;
	peer.front = data + 1;
	peer.end = data + size;
	begin(&config, *data);
	if (!back_end_create(&vdev, &config, &vrig.env)) {
		virtio_rig_connect(vdev, *data & 0x80);
		while (peer.end - peer.front >= 4) {
			const uint8_t *at = peer.front;

			peer.front += 4;
			act(at[0], at[1], at[2], at[3]);
			check();
		}
		heal();
	}
	virtio_rig_end();
	hang_up();
	listen_no_more();
	assert(fd == next_fd());
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "aio.h"

#define RING_MAGIC 0xa10a10a1u

/* What a context points to (struct aio_ring of Linux' fs/aio.c): io_getevents(2) of libaio reads it, too. */
struct ring {
	uint32_t id, nr;
	uint32_t head, tail; /* ours, the kernel's */
	uint32_t magic, compat_features, incompat_features, header_length;
	struct io_event events[];
};

_Static_assert(sizeof(struct ring) == 32 && sizeof(struct io_event) == 32, "the kernel's layout");

int aio_create(struct aio *aio, unsigned requests)
{
	int err;

	*aio = (struct aio){ .done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (aio->done_fd < 0)
		return -errno;
	err = io_setup((int)requests, &aio->context);
	if (err)
		aio_destroy(aio);
	return err;
}

void aio_destroy(struct aio *aio)
{
	if (aio->context)
		io_destroy(aio->context);
	if (aio->done_fd >= 0)
		close(aio->done_fd);
	*aio = (struct aio){ .done_fd = -1 };
}

int aio_submit(struct aio *aio, struct iocb **iocbs, unsigned count)
{
	return io_submit(aio->context, count, iocbs);
}

static unsigned ask_kernel(struct aio *aio, struct io_event *events, unsigned min, unsigned max)
{
	struct timespec no_time = { 0 };
	int count;

	do
		count = io_getevents(aio->context, min, max, events, min ? NULL : &no_time);
	while (count == -EINTR);
	return count > 0 ? (unsigned)count : 0;
}

unsigned aio_reap(struct aio *aio, struct io_event *events, unsigned max)
{
	struct ring *ring = (struct ring *)aio->context;
	uint32_t head, tail;
	unsigned count = 0;

	if (ring->magic != RING_MAGIC || ring->incompat_features)
		return ask_kernel(aio, events, 0, max);
	head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
	tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	while (head != tail && count < max) {
		events[count++] = ring->events[head];
		head = head + 1 < ring->nr ? head + 1 : 0;
	}
	if (count)
		__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
	return count;
}

unsigned aio_wait(struct aio *aio, struct io_event *events, unsigned max)
{
	unsigned count = aio_reap(aio, events, max);

	return count ? count : ask_kernel(aio, events, 1, max);
}

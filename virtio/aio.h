/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's asynchronous I/O (io_submit(2)), the one door to it. Completions are read from its ring in this process's
 * memory, without a system call. One user at a time.
 */
#ifndef VIRTIO_AIO_H
#define VIRTIO_AIO_H

#include <libaio.h>
#include <lkvm/loop.h>

struct aio {
	io_context_t context;
	int done_fd; /* an eventfd that counts completions of those that io_set_eventfd() says; -1: none yet */
};

/* For so many requests at a time. -errno. destroy waits for what is in flight, and accepts a zeroed one with done_fd -1. */
int aio_create(struct aio *aio, unsigned requests);
void aio_destroy(struct aio *aio);

/* Begins them in order. Returns how many it has begun, at least one; or -errno: of the first. */
int aio_submit(struct aio *aio, struct iocb **iocbs, unsigned count);

/* Takes what has completed, up to max; res of each is a count or -errno. */
unsigned aio_reap(struct aio *aio, struct io_event *events, unsigned max);
/* Waits until at least one has; something must be in flight. Never 0, but where the context is of no use any more. */
unsigned aio_wait(struct aio *aio, struct io_event *events, unsigned max);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Several packets to or from a tap in one system call. */
#ifndef VIRTIO_TAP_BATCH_H
#define VIRTIO_TAP_BATCH_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "aio.h"

#define TAP_BATCH 16

struct tap_batch {
	struct aio aio;
	bool usable; /* the host's kernel has given us its asynchronous I/O */
	unsigned count;
	struct iocb iocbs[TAP_BATCH];
	ssize_t results[TAP_BATCH]; /* as of readv(2) and writev(2), but -errno */
};

/* What cannot be had is no failure: `usable` says so. destroy accepts one that is not. */
void tap_batch_create(struct tap_batch *batch);
void tap_batch_destroy(struct tap_batch *batch);

/* One more packet, up to TAP_BATCH. The pieces are looked at by tap_batch_run(). fd never blocks. */
void tap_batch_read(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count);
void tap_batch_write(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count);

/* All of them, in their order. Then there are results, how many is returned, and the next batch may be begun. */
unsigned tap_batch_run(struct tap_batch *batch);

#endif

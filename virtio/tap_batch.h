/* SPDX-License-Identifier: GPL-2.0-only */
/* Several packets to or from a tap in one system call. */
#ifndef VIRTIO_TAP_BATCH_H
#define VIRTIO_TAP_BATCH_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "aio.h"

#define TAP_BATCH 16

enum tap_batch_way {
	TAP_BATCH_UNTRIED,
	TAP_BATCH_AIO,
	TAP_BATCH_SINGLY, /* the host's kernel has no asynchronous I/O for us */
};

/* All zero: an empty one. */
struct tap_batch {
	enum tap_batch_way way;
	struct aio aio; /* TAP_BATCH_AIO */
	unsigned count;
	struct iocb iocbs[TAP_BATCH];
	ssize_t results[TAP_BATCH]; /* as of readv(2) and writev(2), but -errno */
};

void tap_batch_destroy(struct tap_batch *batch);

/* One more packet, up to TAP_BATCH. The pieces are looked at by tap_batch_run(). fd never blocks. */
void tap_batch_read(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count);
void tap_batch_write(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count);

/* All of them, in their order. Then there are results, how many is returned, and the next batch may be begun. */
unsigned tap_batch_run(struct tap_batch *batch);

#endif

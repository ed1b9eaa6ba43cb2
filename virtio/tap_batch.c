// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_submit(2) does at once what does not block, one request after the other, and the results are in memory when it
 * returns.
 */
#include <errno.h>
#include "tap_batch.h"

void tap_batch_create(struct tap_batch *batch)
{
	batch->count = 0;
	batch->usable = !aio_create(&batch->aio, TAP_BATCH);
}

void tap_batch_destroy(struct tap_batch *batch)
{
	if (batch->usable)
		aio_destroy(&batch->aio);
	batch->usable = false;
}

void tap_batch_read(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count)
{
	io_prep_preadv(&batch->iocbs[batch->count++], fd, iov, (int)count, 0);
}

void tap_batch_write(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count)
{
	io_prep_pwritev(&batch->iocbs[batch->count++], fd, iov, (int)count, 0);
}

/* Nothing that was begun is left behind: it would write to guest memory later. */
static void collect(struct tap_batch *batch, unsigned begun)
{
	struct io_event events[TAP_BATCH];

	while (begun > 0) {
		unsigned count = aio_wait(&batch->aio, events, TAP_BATCH);

		if (!count)
			return;
		for (unsigned i = 0; i < count; i++)
			batch->results[events[i].obj - batch->iocbs] = (long)events[i].res;
		begun -= count;
	}
}

unsigned tap_batch_run(struct tap_batch *batch)
{
	struct iocb *list[TAP_BATCH];
	unsigned count = batch->count, at = 0;

	for (unsigned i = 0; i < count; i++) {
		list[i] = &batch->iocbs[i];
		batch->results[i] = -EIO;
	}
	while (at < count) {
		int begun = aio_submit(&batch->aio, list + at, count - at);

		/* One that is refused is lost; the others are not. */
		if (begun <= 0)
			batch->results[at++] = begun;
		else
			at += (unsigned)begun;
		collect(batch, begun > 0 ? (unsigned)begun : 0);
	}
	batch->count = 0;
	return count;
}

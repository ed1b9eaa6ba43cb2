// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_submit(2) does at once what does not block, one request after the other, and the results are in memory when it
 * returns. It is set up when two packets are to go at a time for the first time.
 */
#include <errno.h>
#include <string.h>
#include "tap_batch.h"

void tap_batch_destroy(struct tap_batch *batch)
{
	if (batch->way == TAP_BATCH_AIO)
		aio_destroy(&batch->aio);
	memset(batch, 0, sizeof(*batch));
}

void tap_batch_read(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count)
{
	io_prep_preadv(&batch->iocbs[batch->count++], fd, iov, (int)count, 0);
}

void tap_batch_write(struct tap_batch *batch, int fd, const struct iovec *iov, unsigned count)
{
	io_prep_pwritev(&batch->iocbs[batch->count++], fd, iov, (int)count, 0);
}

static ssize_t run_one(const struct iocb *iocb)
{
	const struct iovec *iov = iocb->u.c.buf;
	int count = (int)iocb->u.c.nbytes;
	ssize_t done = iocb->aio_lio_opcode == IO_CMD_PREADV ? readv(iocb->aio_fildes, iov, count)
							     : writev(iocb->aio_fildes, iov, count);

	return done < 0 ? -errno : done;
}

/* Where there is nothing to read, there is nothing behind it either. */
static void run_singly(struct tap_batch *batch, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		batch->results[i] = run_one(&batch->iocbs[i]);
		if (batch->results[i] == -EAGAIN)
			break;
	}
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

/* One that the kernel refuses to begin is lost; the others are not. */
static void run_together(struct tap_batch *batch, unsigned count)
{
	struct iocb *list[TAP_BATCH];
	unsigned at = 0;

	for (unsigned i = 0; i < count; i++)
		list[i] = &batch->iocbs[i];
	while (at < count) {
		int begun = aio_submit(&batch->aio, list + at, count - at);

		if (begun <= 0) {
			batch->results[at++] = begun;
			continue;
		}
		at += (unsigned)begun;
		collect(batch, (unsigned)begun);
	}
}

unsigned tap_batch_run(struct tap_batch *batch)
{
	unsigned count = batch->count;

	for (unsigned i = 0; i < count; i++)
		batch->results[i] = -EAGAIN;
	if (count > 1 && batch->way == TAP_BATCH_UNTRIED)
		batch->way = aio_create(&batch->aio, TAP_BATCH) ? TAP_BATCH_SINGLY : TAP_BATCH_AIO;
	if (count > 1 && batch->way == TAP_BATCH_AIO)
		run_together(batch, count);
	else
		run_singly(batch, count);
	batch->count = 0;
	return count;
}

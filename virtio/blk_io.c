// SPDX-License-Identifier: GPL-2.0-only
/* The way of requests through the host. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <lkvm/report.h>
#include "blk_io.h"

#define REAP_MAX 64
#define SECOND   1000000000ULL

/* --- requests --- */

static struct blk_queue *queue_of(struct blk *blk, const struct virtq *vq)
{
	return &blk->queues[vq->index];
}

static bool writes(const struct blk_request *request)
{
	return request->type != VIRTIO_BLK_T_IN;
}

static struct blk_request *get_request(struct blk *blk)
{
	struct blk_request *request = blk->free;

	if (request)
		blk->free = request->next;
	else if (blk->requests_used < blk->request_count)
		request = &blk->requests[blk->requests_used++];
	return request;
}

static void put_request(struct blk *blk, struct blk_request *request)
{
	request->next = blk->free;
	blk->free = request;
}

uint8_t blk_failed(struct blk *blk, enum blk_complaint complaint, int err)
{
	static const char *const what[] = { "be read", "be written", "be flushed or discarded" };

	report_once(&blk->said[complaint],
		    "%s cannot %s: %s; the guest gets I/O errors as long as that lasts", blk->name,
		    what[complaint], strerror(-err));
	return VIRTIO_BLK_S_IOERR;
}

/* Writes the status where there is room for one; how many bytes were written in all. */
static uint32_t write_status(const struct blk_request *request, uint8_t status)
{
	if (!request->status)
		return 0;
	*request->status = status;
	return status == VIRTIO_BLK_S_OK ? request->written + 1 : 1;
}

/* Hands a request back. */
static void finish(struct blk *blk, struct blk_request *request, uint8_t status)
{
	struct blk_queue *queue = queue_of(blk, request->vq);

	if (!queue->stopping) {
		virtq_push_id(request->vq, request->chain.id, request->chain.slots,
			      write_status(request, status));
		queue->used = true;
	}
	put_request(blk, request);
}

static void finish_begun(struct blk *blk, struct blk_request *request, uint8_t status)
{
	queue_of(blk, request->vq)->in_flight--;
	blk->in_flight--;
	blk->alone = false;
	finish(blk, request, status);
}

/* --- transfers --- */

/* The pieces that make up the next slice: how many; the last of them may be cut. */
static unsigned cut_slice(struct blk_request *request)
{
	uint64_t bytes = 0;
	unsigned count = 0;

	request->cut = 0;
	while (count < request->pieces && bytes < BLK_SLICE)
		bytes += request->iov[count++].iov_len;
	if (bytes > BLK_SLICE) {
		request->cut = bytes - BLK_SLICE;
		request->cut_piece = &request->iov[count - 1];
		request->cut_piece->iov_len -= request->cut;
	}
	return count;
}

static void advance(struct blk_request *request, uint64_t bytes)
{
	if (request->cut)
		request->cut_piece->iov_len += request->cut;
	request->cut = 0;
	request->offset += bytes;
	request->left -= bytes;
	while (bytes && bytes >= request->iov->iov_len) {
		bytes -= request->iov->iov_len;
		request->iov++;
		request->pieces--;
	}
	if (bytes) {
		request->iov->iov_base = (uint8_t *)request->iov->iov_base + bytes;
		request->iov->iov_len -= bytes;
	}
}

static void add_to_batch(struct blk *blk, struct blk_request *request, bool announced)
{
	request->iocb.data = request;
	request->announced = announced;
	if (announced)
		io_set_eventfd(&request->iocb, blk->aio.done_fd);
	blk->batch[blk->batched++] = &request->iocb;
}

/* What goes through the page cache is done within io_submit(2): nobody needs to be told. */
static void add_slice(struct blk *blk, struct blk_request *request, bool aligned)
{
	int fd = aligned ? blk->disk.fd : blk->disk.cached_fd;
	unsigned count = cut_slice(request);

	if (writes(request))
		io_prep_pwritev2(&request->iocb, fd, request->iov, (int)count,
				 (long long)request->offset, blk->writeback ? 0 : RWF_DSYNC);
	else
		io_prep_preadv(&request->iocb, fd, request->iov, (int)count,
			       (long long)request->offset);
	add_to_batch(blk, request, blk->disk.direct && aligned);
}

static void begun(struct blk *blk, struct blk_request *request)
{
	queue_of(blk, request->vq)->in_flight++;
	blk->in_flight++;
}

static bool aligned(const struct blk *blk, const struct blk_request *request)
{
	return disk_aligned(&blk->disk, request->iov, request->pieces, request->offset);
}

/*
 * The page cache and direct I/O keep each other's data only as long as they do not meet in one block. So what has to go
 * through the page cache waits until nothing else is in flight, and what comes after it waits for it.
 */
void blk_transfer(struct blk *blk, struct blk_request *request)
{
	begun(blk, request);
	blk->round -= (int64_t)request->left;
	bucket_take(&blk->bps, request->left);
	if (aligned(blk, request))
		add_slice(blk, request, true);
	else
		blk->misaligned = request;
}

void blk_sync(struct blk *blk, struct blk_request *request)
{
	begun(blk, request);
	request->type = VIRTIO_BLK_T_FLUSH;
	io_prep_fdsync(&request->iocb, blk->disk.fd);
	add_to_batch(blk, request, true);
}

/* The part of the last sector that a file does not have reads as zeros. */
static bool in_last_sector(const struct blk *blk, const struct blk_request *request)
{
	return request->offset == blk->disk.size && request->left < DISK_SECTOR;
}

static void zero_rest(struct blk_request *request)
{
	for (unsigned i = 0; i < request->pieces; i++)
		memset(request->iov[i].iov_base, 0, request->iov[i].iov_len);
}

static uint8_t truncated(struct blk *blk)
{
	report_once(&blk->said[BLK_TRUNCATED],
		    "%s has been truncated; behind its end the guest gets I/O errors", blk->name);
	return VIRTIO_BLK_S_IOERR;
}

/* BLK_PENDING: there is more to transfer, and it is on its way. */
static uint8_t transferred(struct blk *blk, struct blk_request *request, uint64_t bytes)
{
	advance(request, bytes);
	if (!request->left)
		return VIRTIO_BLK_S_OK;
	if (!bytes && !writes(request) && in_last_sector(blk, request)) {
		zero_rest(request);
		return VIRTIO_BLK_S_OK;
	}
	if (!bytes && writes(request))
		return blk_failed(blk, BLK_WRITE_FAILED, -ENOSPC);
	if (!bytes || (!blk->alone && !aligned(blk, request)))
		return truncated(blk);
	add_slice(blk, request, !blk->alone);
	return BLK_PENDING;
}

static uint8_t outcome(struct blk *blk, struct blk_request *request, long result)
{
	if (queue_of(blk, request->vq)->stopping)
		return VIRTIO_BLK_S_IOERR;
	if (request->type == VIRTIO_BLK_T_FLUSH)
		return result < 0 ? blk_failed(blk, BLK_OTHER_FAILED, (int)result)
				  : VIRTIO_BLK_S_OK;
	if (result < 0)
		return blk_failed(blk, writes(request) ? BLK_WRITE_FAILED : BLK_READ_FAILED,
				  (int)result);
	return transferred(blk, request, (uint64_t)result);
}

static void completed(struct blk *blk, struct blk_request *request, long result)
{
	uint8_t status;

	blk->unannounced -= !request->announced;
	status = outcome(blk, request, result);
	if (status != BLK_PENDING)
		finish_begun(blk, request, status);
}

/* --- rounds --- */

static void reap(struct blk *blk, bool wait)
{
	struct io_event events[REAP_MAX];
	unsigned count = wait ? aio_wait(&blk->aio, events, REAP_MAX)
			      : aio_reap(&blk->aio, events, REAP_MAX);

	while (count) {
		for (unsigned i = 0; i < count; i++)
			completed(blk, events[i].data, (long)events[i].res);
		count = count == REAP_MAX ? aio_reap(&blk->aio, events, REAP_MAX) : 0;
	}
}

/* What the kernel does not take has failed, as if it had completed so. */
static void submit(struct blk *blk)
{
	unsigned count = blk->batched, done = 0;

	for (unsigned i = 0; i < count; i++)
		blk->unannounced += !((struct blk_request *)blk->batch[i]->data)->announced;
	blk->batched = 0;
	while (done < count) {
		int begun_now = aio_submit(&blk->aio, blk->batch + done, count - done);

		if (begun_now > 0) {
			done += (unsigned)begun_now;
		} else {
			struct blk_request *request = blk->batch[done++]->data;

			completed(blk, request, begun_now < 0 ? begun_now : -EIO);
		}
	}
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* Whether another request would exceed a limit; the timer then fires when it no longer does. */
static bool throttle(struct blk *blk)
{
	struct itimerspec until = { 0 };
	uint64_t at, iops, bps, wait;

	if (blk->timer.fd < 0)
		return false;
	at = now();
	iops = bucket_wait(&blk->iops, at);
	bps = bucket_wait(&blk->bps, at);
	wait = iops > bps ? iops : bps;
	if (!wait)
		return false;
	until.it_value.tv_sec = (time_t)(wait / SECOND);
	until.it_value.tv_nsec = (long)(wait % SECOND);
	blk->throttled = timerfd_settime(blk->timer.fd, 0, &until, NULL) == 0;
	return blk->throttled;
}

static bool may_begin(const struct blk *blk)
{
	return !blk->misaligned && !blk->alone && !blk->throttled &&
	       (blk->free || blk->requests_used < blk->request_count);
}

/* One request of a queue; false: it has none. */
static bool begin_one(struct blk *blk, struct virtq *vq)
{
	struct blk_request *request = get_request(blk);
	uint8_t status;

	if (virtq_pop(vq, &request->chain) <= 0) {
		put_request(blk, request);
		return false;
	}
	request->vq = vq;
	bucket_take(&blk->iops, 1);
	status = blk_begin(blk, request);
	if (status != BLK_PENDING)
		finish(blk, request, status);
	return true;
}

/* At most as many requests as the ring has entries: the driver may go on adding. */
static void serve_queue(struct blk *blk, unsigned index)
{
	struct virtq *vq = virtio_queue(&blk->vdev, index);

	for (unsigned left = vq->size; left && blk->round > 0; left--) {
		if (!may_begin(blk) || throttle(blk))
			return;
		if (!begin_one(blk, vq)) {
			blk->queues[index].waits = false;
			return;
		}
	}
}

static void serve_queues(struct blk *blk)
{
	unsigned count = blk->vdev.queue_count;

	blk->round = BLK_ROUND;
	for (unsigned i = 0; i < count; i++) {
		unsigned index = (blk->turn + i) % count;

		if (blk->queues[index].waits)
			serve_queue(blk, index);
	}
	if (++blk->turn >= count)
		blk->turn = 0;
}

static void serve_misaligned(struct blk *blk)
{
	struct blk_request *request = blk->misaligned;

	if (!request || blk->in_flight > 1)
		return;
	blk->misaligned = NULL;
	blk->alone = true;
	add_slice(blk, request, false);
}

static void notify(struct blk *blk)
{
	for (unsigned i = 0; i < blk->vdev.queue_count; i++) {
		if (blk->queues[i].used)
			virtio_notify(&blk->vdev, virtio_queue(&blk->vdev, i));
		blk->queues[i].used = false;
	}
}

/* Whether there is something to do that no event will tell of. */
static bool goes_on(const struct blk *blk)
{
	if (blk->batched || (blk->misaligned && blk->in_flight == 1))
		return true;
	for (unsigned i = 0; i < blk->vdev.queue_count; i++)
		if (blk->queues[i].waits && may_begin(blk))
			return true;
	return false;
}

void blk_run(struct blk *blk)
{
	reap(blk, false);
	serve_queues(blk);
	serve_misaligned(blk);
	submit(blk);
	reap(blk, false);
	while (blk->unannounced)
		reap(blk, true);
	notify(blk);
	if (goes_on(blk))
		(void)!eventfd_write(blk->aio.done_fd, 1);
}

static void drop_misaligned(struct blk *blk, const struct virtq *vq)
{
	struct blk_request *request = blk->misaligned;

	if (!request || request->vq != vq)
		return;
	blk->misaligned = NULL;
	finish_begun(blk, request, VIRTIO_BLK_S_IOERR);
}

void blk_drain(struct blk *blk, struct virtq *vq)
{
	struct blk_queue *queue = queue_of(blk, vq);

	queue->waits = false;
	queue->stopping = true;
	drop_misaligned(blk, vq);
	while (queue->in_flight) {
		submit(blk);
		if (queue->in_flight)
			reap(blk, true);
	}
	queue->stopping = false;
	notify(blk);
	(void)!eventfd_write(blk->aio.done_fd, 1);
}

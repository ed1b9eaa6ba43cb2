/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between a block device's registers (blk.c), what its requests mean (blk_request.c), and their way through the host
 * (blk_io.c).
 *
 * A request is popped, begun, and in flight until it is finished, on the spot or when the host's I/O completes. What is
 * begun in one round is submitted in one call, and what has completed by then is handed back in that round, too: I/O
 * through the page cache always has. All of it is under vdev.lock.
 */
#ifndef VIRTIO_BLK_IO_H
#define VIRTIO_BLK_IO_H

#include <stdatomic.h>
#include <linux/virtio_blk.h>
#include "aio.h"
#include "bucket.h"
#include "device.h"
#include "disk.h"

#define BLK_QUEUE_SIZE   VIRTQ_SIZE_MAX
#define BLK_SEGMENTS_MAX (VIRTQ_SIZE_MAX - 2) /* header and status have descriptors of their own */
#define BLK_REQUESTS_MAX 1024                 /* of a disk, in flight; more wait in their queue */
#define BLK_SLICE        (16U << 20) /* bytes of a request that are transferred at a time */
#define BLK_ROUND        (64U << 20) /* bytes, after which other devices have their turn */

/* Discard, write zeroes: limits, for they keep the host busy in one go. */
#define BLK_DISCARD_MAX  (256U << 20) /* bytes of a range */
#define BLK_DISCARD_SEGS 16
#define BLK_ZEROES_SIZE  65536U /* of a buffer of zeros */
#define BLK_ZEROES_MAX   (BLK_ZEROES_SIZE * VIRTQ_SIZE_MAX)

#define BLK_PENDING 0xff /* no status yet */

struct blk_request {
	struct blk_request *next; /* free */
	struct iocb iocb;
	struct virtq *vq;
	uint32_t type;  /* VIRTIO_BLK_T_* */
	bool announced; /* its completion counts up aio.done_fd */
	/* Of a transfer, what is left of it: */
	uint64_t offset, left; /* bytes */
	struct iovec *iov;
	unsigned pieces;
	size_t cut; /* bytes of the current slice's last piece that the next one begins with */
	struct iovec *cut_piece;
	uint8_t *status;  /* in guest memory */
	uint32_t written; /* to the guest, but for the status, if all goes well */
	struct virtq_chain chain;
};

struct blk_queue {
	unsigned in_flight; /* begun and not finished */
	bool waits;         /* there may be requests to pop */
	bool used;          /* finished some since the driver was last notified */
	bool stopping;      /* nothing of it may reach the guest any more */
};

enum blk_complaint {
	BLK_READ_FAILED,
	BLK_WRITE_FAILED,
	BLK_OTHER_FAILED,
	BLK_TRUNCATED,
	BLK_COMPLAINTS,
};

struct blk {
	struct virtio_device vdev;
	struct virtio_blk_config config; /* vdev.config */
	struct virtio_blk_config pristine;
	struct disk disk;
	char *name, serial[VIRTIO_DISK_SERIAL_SIZE];
	bool writeback; /* finished writes may still be in caches of the host's */
	struct blk_queue *queues;
	unsigned queue_count;
	unsigned turn; /* the queue that is first served in the next round */

	struct aio aio;
	struct loop_source done; /* aio.done_fd, edge-triggered: never read */
	struct blk_request *requests, *free;
	unsigned request_count,
		requests_used; /* of requests[]: those from there on were never needed */
	unsigned in_flight;
	struct iocb **batch; /* [request_count], to be submitted */
	unsigned batched;
	unsigned unannounced; /* in the kernel's hands, and not announced */
	int64_t round;        /* bytes left in this one */
	const uint8_t *zeroes;

	/* direct: a request that is not aligned, until nothing else is in flight; one that is in flight. */
	struct blk_request *misaligned;
	bool alone;

	struct bucket iops, bps;
	struct loop_source timer; /* fd -1: no limits */
	bool throttled;           /* until the timer fires */

	atomic_bool said[BLK_COMPLAINTS];
};

/* --- blk_io.c --- */

/* A round: takes what has completed and what waits in queues, submits, and notifies. */
void blk_run(struct blk *blk);
/* Waits for the queue's requests, and drops them. */
void blk_drain(struct blk *blk, struct virtq *vq);

/* For a request that was begun: I/O that blk_io.c finishes it after. A transfer is as offset, left, iov say. */
void blk_transfer(struct blk *blk, struct blk_request *request);
void blk_sync(struct blk *blk, struct blk_request *request);
/* The status of a host's error, which is reported once of its kind. */
uint8_t blk_failed(struct blk *blk, enum blk_complaint complaint, int err);

/* --- blk_request.c --- */

/* Begins a popped request: BLK_PENDING (in flight), or the status it is to be finished with. */
uint8_t blk_begin(struct blk *blk, struct blk_request *request);

#endif

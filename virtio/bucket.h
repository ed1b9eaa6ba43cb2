/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A token bucket: tokens come in at a rate, up to what 100 ms bring. Who finds one may take any number, into debt: so that
 * what is larger than the bucket gets through, and the rate still holds.
 */
#ifndef VIRTIO_BUCKET_H
#define VIRTIO_BUCKET_H

#include <stdint.h>

struct bucket {
	uint64_t rate; /* tokens a second; 0: no limit */
	int64_t level;
	uint64_t filled; /* when level was last brought up to date, in ns */
};

/* Full. */
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t now);
/* How many ns from now on there is a token; 0: there is one. */
uint64_t bucket_wait(struct bucket *bucket, uint64_t now);
/* After a bucket_wait() that said 0. */
void bucket_take(struct bucket *bucket, uint64_t tokens);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include "bucket.h"

#define SECOND   1000000000ULL
#define DEBT_MAX (INT64_MAX / 2)

static int64_t capacity(const struct bucket *bucket)
{
	return bucket->rate >= 10 ? (int64_t)(bucket->rate / 10) : 1;
}

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t now)
{
	*bucket = (struct bucket){ .rate = rate, .filled = now };
	bucket->level = capacity(bucket);
}

/* Only whole tokens come in, and the time of a part of one is kept. */
static void fill(struct bucket *bucket, uint64_t now)
{
	unsigned __int128 tokens =
		(unsigned __int128)(now - bucket->filled) * bucket->rate / SECOND;

	if (tokens >= (unsigned __int128)(capacity(bucket) - bucket->level)) {
		bucket->level = capacity(bucket);
		bucket->filled = now;
	} else if (tokens) {
		bucket->level += (int64_t)tokens;
		bucket->filled += (uint64_t)(tokens * SECOND / bucket->rate);
	}
}

uint64_t bucket_wait(struct bucket *bucket, uint64_t now)
{
	unsigned __int128 wait;

	if (!bucket->rate)
		return 0;
	fill(bucket, now);
	if (bucket->level > 0)
		return 0;
	wait = (unsigned __int128)(1 - bucket->level) * SECOND / bucket->rate + 1;
	return wait < INT64_MAX ? (uint64_t)wait : INT64_MAX;
}

void bucket_take(struct bucket *bucket, uint64_t tokens)
{
	if (!bucket->rate)
		return;
	if (tokens > (uint64_t)DEBT_MAX || bucket->level < (int64_t)tokens - DEBT_MAX)
		bucket->level = -DEBT_MAX;
	else
		bucket->level -= (int64_t)tokens;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In place of virtio/aio.c: I/O that is done when the test says so, with the result it wants. A test has it by calling
 * fake_aio_begin() before a device is made.
 */
#ifndef FAKE_AIO_H
#define FAKE_AIO_H

#include <stdbool.h>
#include "virtio/aio.h"

#define FAKE_AIO_MAX 1024

struct fake_aio {
	bool hold; /* what is submitted waits for fake_aio_finish(); else it is done at once */
	int submit_error; /* -errno of the next aio_submit(), once */
	int take;         /* how many an aio_submit() takes at most; 0: all */
	int create_error; /* -errno of aio_create() */
	unsigned submits, waits,
		announced; /* calls so far; completions that counted up the eventfd */
	struct iocb *pending[FAKE_AIO_MAX];
	unsigned pending_count;
	struct io_event done[FAKE_AIO_MAX];
	unsigned done_count;
};

extern struct fake_aio fake_aio;

#define FAKE_AIO_DO (1L << 40) /* as a result: what the host makes of it */

void fake_aio_begin(void);
/* Completes a pending request, by its place in pending[]. */
void fake_aio_finish(unsigned index, long result);

#endif

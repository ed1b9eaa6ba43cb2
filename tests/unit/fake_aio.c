// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include "fake_aio.h"

#define ANNOUNCED 1u /* IOCB_FLAG_RESFD */

struct fake_aio fake_aio;

void fake_aio_begin(void)
{
	memset(&fake_aio, 0, sizeof(fake_aio));
}

static long perform(const struct iocb *iocb)
{
	const struct iovec *iov = iocb->u.c.buf;
	long result;

	switch (iocb->aio_lio_opcode) {
	case IO_CMD_PREADV:
		result = preadv(iocb->aio_fildes, iov, (int)iocb->u.c.nbytes, iocb->u.c.offset);
		break;
	case IO_CMD_PWRITEV:
		result = pwritev(iocb->aio_fildes, iov, (int)iocb->u.c.nbytes, iocb->u.c.offset);
		break;
	case IO_CMD_FDSYNC:
		result = fdatasync(iocb->aio_fildes);
		break;
	default:
		return -EINVAL;
	}
	return result < 0 ? -errno : result;
}

void fake_aio_finish(unsigned index, long result)
{
	struct iocb *iocb = fake_aio.pending[index];
	struct io_event *event = &fake_aio.done[fake_aio.done_count++];

	assert(index < fake_aio.pending_count);
	if (result == FAKE_AIO_DO)
		result = perform(iocb);
	*event = (struct io_event){ .data = iocb->data, .obj = iocb };
	event->res = (unsigned long)result;
	fake_aio.pending_count--;
	memmove(&fake_aio.pending[index], &fake_aio.pending[index + 1],
		(fake_aio.pending_count - index) * sizeof(fake_aio.pending[0]));
	if (iocb->u.c.flags & ANNOUNCED) {
		fake_aio.announced++;
		(void)!eventfd_write((int)iocb->u.c.resfd, 1);
	}
}

int aio_create(struct aio *aio, unsigned requests)
{
	(void)requests;
	*aio = (struct aio){ .done_fd = -1 };
	if (fake_aio.create_error)
		return fake_aio.create_error;
	aio->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

void aio_destroy(struct aio *aio)
{
	if (aio->done_fd >= 0)
		close(aio->done_fd);
	aio->done_fd = -1;
}

int aio_submit(struct aio *aio, struct iocb **iocbs, unsigned count)
{
	int err = fake_aio.submit_error;

	(void)aio;
	fake_aio.submits++;
	fake_aio.submit_error = 0;
	if (err)
		return err;
	if (fake_aio.take && count > (unsigned)fake_aio.take)
		count = (unsigned)fake_aio.take;
	for (unsigned i = 0; i < count; i++) {
		fake_aio.pending[fake_aio.pending_count++] = iocbs[i];
		if (!fake_aio.hold)
			fake_aio_finish(fake_aio.pending_count - 1, FAKE_AIO_DO);
	}
	return (int)count;
}

unsigned aio_reap(struct aio *aio, struct io_event *events, unsigned max)
{
	unsigned count = fake_aio.done_count < max ? fake_aio.done_count : max;

	(void)aio;
	memcpy(events, fake_aio.done, count * sizeof(*events));
	fake_aio.done_count -= count;
	memmove(fake_aio.done, fake_aio.done + count, fake_aio.done_count * sizeof(*events));
	return count;
}

/* The host gets it done, the last first. */
unsigned aio_wait(struct aio *aio, struct io_event *events, unsigned max)
{
	fake_aio.waits++;
	if (!fake_aio.done_count)
		fake_aio_finish(fake_aio.pending_count - 1, FAKE_AIO_DO);
	return aio_reap(aio, events, max);
}

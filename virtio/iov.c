// SPDX-License-Identifier: GPL-2.0-only
#include <stdint.h>
#include <string.h>
#include "iov.h"

/* What lies behind it works on the copies made before it, never on the guest's memory once more. */
static void copied(void)
{
	__asm__ volatile("" ::: "memory");
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t iov_size(const struct iovec *iov, unsigned count)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}

size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *to, size_t size)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < size; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
		} else {
			size_t part = smaller(iov[i].iov_len - offset, size - done);

			memcpy((uint8_t *)to + done, (const uint8_t *)iov[i].iov_base + offset,
			       part);
			done += part;
			offset = 0;
		}
	}
	copied();
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned count, size_t offset, const void *from,
		 size_t size)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < size; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
		} else {
			size_t part = smaller(iov[i].iov_len - offset, size - done);

			memcpy((uint8_t *)iov[i].iov_base + offset, (const uint8_t *)from + done,
			       part);
			done += part;
			offset = 0;
		}
	}
	return done;
}

unsigned iov_slice(struct iovec *slice, const struct iovec *iov, unsigned count, size_t offset,
		   size_t size)
{
	unsigned pieces = 0;

	for (unsigned i = 0; i < count && size; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
		} else {
			size_t part = smaller(iov[i].iov_len - offset, size);

			slice[pieces].iov_base = (uint8_t *)iov[i].iov_base + offset;
			slice[pieces++].iov_len = part;
			size -= part;
			offset = 0;
		}
	}
	return pieces;
}

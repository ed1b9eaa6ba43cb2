/* SPDX-License-Identifier: GPL-2.0-only */
/* Pieces of guest memory, by byte offsets into all of them together. */
#ifndef VIRTIO_IOV_H
#define VIRTIO_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/* Bytes of all. */
size_t iov_size(const struct iovec *iov, unsigned count);

/*
 * Copies [offset, offset + size) of the pieces to or from memory of ours; less than size where they end before. Each
 * byte is read once. Returns how many were copied.
 */
size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *to, size_t size);
size_t iov_write(const struct iovec *iov, unsigned count, size_t offset, const void *from,
		 size_t size);

/* The pieces that make up [offset, offset + size) of iov[count], into slice[count]; returns how many. */
unsigned iov_slice(struct iovec *slice, const struct iovec *iov, unsigned count, size_t offset,
		   size_t size);

#endif

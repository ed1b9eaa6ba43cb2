/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that become memfds: read from a stream, or unpacked. Private to arm/. */
#ifndef ARM_UNPACK_H
#define ARM_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include <lkvm/image.h>

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

/* By the first bytes of a file; len of them are there. */
enum packing packing_of(const void *head, size_t len);

/*
 * Replaces file by what its bytes [offset, offset + size) unpack to, at most `limit` bytes. Reported as that of
 * `what` path: truncated, corrupt, followed by something else, too large. The file is closed only on success.
 */
int image_file_unpack(struct image_file *file, enum packing packing, uint64_t offset, uint64_t size,
		      const char *what, const char *path, uint64_t limit);

/* A new memfd that may be mapped but not executed, or -errno, reported. */
int memfd_open(const char *name);
/* write(2) in full. */
int write_full(int fd, const void *buf, size_t size);
/* pread(2) in full: -EIO where the file ends before. */
int pread_full(int fd, void *buf, size_t size, uint64_t offset);
/* Reports that `what` path is too large. */
int refuse_too_large(const char *what, const char *path, uint64_t limit);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* A disk's content on the host: a raw file or a block device. What is in it is never looked at. */
#ifndef VIRTIO_DISK_H
#define VIRTIO_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <lkvm/virtio_disk.h>

#define DISK_SECTOR 512

struct disk {
	const char *path; /* the configuration's */
	int fd;           /* O_DIRECT under `direct` */
	int cached_fd; /* direct: the same file through the page cache, for what is not aligned; or -1 */
	bool read_only, direct, device;
	uint64_t size;    /* bytes, as it was when it was opened */
	uint64_t sectors; /* of DISK_SECTOR bytes: size, rounded up */
	uint32_t block; /* bytes: what can be read and written without the rest of it: 512 to 64K */
	uint32_t align; /* direct: of buffers in memory */
	uint32_t
		physical; /* bytes: what can be written without being read first; a multiple of block */
	uint32_t optimal; /* bytes: best size of long transfers; 0: not known */
	bool discards;
};

/*
 * Opens and locks it: who writes it has it alone, also before other processes, if they ask. Reported, with the cure.
 * close accepts one that failed to open, and one with fd and cached_fd -1.
 */
int disk_open(struct disk *disk, const struct virtio_disk_config *config);
void disk_close(struct disk *disk);

/* Whether fd takes these pieces for this offset; else cached_fd must be used, and nothing beside it. */
bool disk_aligned(const struct disk *disk, const struct iovec *iov, unsigned count,
		  uint64_t offset);

/*
 * Within the disk, at once. zero: reads as zeros afterwards, unmap: what is stored there may be given up.
 * -EOPNOTSUPP: it has to be written; -errno.
 */
int disk_discard(const struct disk *disk, uint64_t offset, uint64_t size);
int disk_zero(const struct disk *disk, uint64_t offset, uint64_t size, bool unmap);

#endif

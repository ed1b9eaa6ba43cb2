// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "disk.h"

#define BLOCK_MAX    65536u
#define PHYSICAL_MAX 65536u

static int cannot_open(const struct disk *disk, int error)
{
	switch (error) {
	case ENOENT:
		return refuse(-error, "there is no disk %s; `truncate -s 8G %s` makes one",
			      disk->path, disk->path);
	case EISDIR:
		return refuse(-error, "disk %s is a folder; --9p shares folders", disk->path);
	case EBUSY:
		return refuse(-error,
			      "disk %s is in use: mounted, swap or part of another device "
			      "(`lsblk %s`), or another guest's (`fuser -v %s`)",
			      disk->path, disk->path, disk->path);
	case EACCES:
	case EPERM:
	case EROFS:
	case ETXTBSY:
		if (!disk->read_only)
			return report(-error, "disk %s cannot be written; %s,ro only reads it",
				      disk->path, disk->path);
		break;
	}
	return report(-error, "cannot open disk %s", disk->path);
}

/*
 * O_EXCL: of a block device, that nobody else has it so: a mount, RAID, another guest (open(2)); of a file, nothing.
 * O_NONBLOCK: a FIFO is refused, not waited for.
 */
static int open_file(struct disk *disk)
{
	int flags = disk->read_only ? O_RDONLY : O_RDWR | O_EXCL;
	struct stat st;

	disk->fd = open(disk->path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (disk->fd < 0)
		return cannot_open(disk, errno);
	if (fstat(disk->fd, &st) < 0)
		return report(-errno, "cannot open disk %s", disk->path);
	if (S_ISDIR(st.st_mode))
		return cannot_open(disk, EISDIR);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return refuse(-EINVAL, "disk %s is neither a file nor a block device", disk->path);
	disk->device = S_ISBLK(st.st_mode);
	disk->physical = st.st_blksize > 0 ? (uint32_t)st.st_blksize : 0;
	if (fcntl(disk->fd, F_SETFL, disk->direct ? O_DIRECT : 0) == 0)
		return 0;
	if (disk->direct && errno == EINVAL)
		return refuse(-EINVAL,
			      "disk %s: its file system has no direct I/O; leave out direct",
			      disk->path);
	return report(-errno, "cannot open disk %s", disk->path);
}

/* The lock goes with the open file, not the process: a second -d of the same file is refused, too. */
static int lock_file(const struct disk *disk)
{
	struct flock lock = { .l_type = disk->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(disk->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES) {
		report_info("disk %s: its file system has no locks; nothing keeps others off it",
			    disk->path);
		return 0;
	}
	return refuse(-EBUSY,
		      "disk %s is in use by another that %s it (`fuser -v %s` tells by whom)%s",
		      disk->path, disk->read_only ? "writes" : "reads or writes", disk->path,
		      disk->read_only ? "" : "; any number may read it with ,ro");
}

static int measure(struct disk *disk)
{
	off_t end = lseek(disk->fd, 0, SEEK_END);

	if (end < 0)
		return report(-errno, "cannot tell the size of disk %s", disk->path);
	if (end == 0)
		return refuse(-EINVAL, "disk %s is empty; `truncate -s 8G %s` gives it a size",
			      disk->path, disk->path);
	disk->size = (uint64_t)end;
	disk->sectors = (disk->size + DISK_SECTOR - 1) / DISK_SECTOR;
	return 0;
}

/* Whether a direct read of so many bytes to that place is taken. */
static bool direct_reads(const struct disk *disk, uint8_t *to, uint32_t size)
{
	return pread(disk->fd, to, size, 0) >= 0 || errno != EINVAL;
}

/* statx(2) tells alignments since Linux 6.1 only, and not for all: trying does, always. */
static int try_alignment(struct disk *disk)
{
	uint8_t *buffer = aligned_alloc(BLOCK_MAX, (size_t)2 * BLOCK_MAX);

	if (!buffer)
		return report(-ENOMEM, "disk %s", disk->path);
	while (disk->block < BLOCK_MAX && !direct_reads(disk, buffer, disk->block))
		disk->block *= 2;
	disk->align = DISK_SECTOR;
	while (disk->align < disk->block && !direct_reads(disk, buffer + disk->align, disk->block))
		disk->align *= 2;
	free(buffer);
	if (disk->size % disk->block)
		return refuse(
			-EINVAL,
			"disk %s: direct I/O is in blocks of %u bytes, and its %llu bytes are "
			"not whole blocks; leave out direct, or round it up: "
			"`truncate -s %%%u %s`",
			disk->path, disk->block, (unsigned long long)disk->size, disk->block,
			disk->path);
	return 0;
}

/* The page cache's view. The lock is on the other. */
static int open_cached(struct disk *disk)
{
	int flags = disk->read_only ? O_RDONLY : O_RDWR;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk->fd);
	disk->cached_fd = open(path, flags | O_CLOEXEC);
	return disk->cached_fd < 0 ? report(-errno, "cannot open disk %s once more", disk->path)
				   : 0;
}

/* A range that cannot be discarded, for it is not whole sectors: refused either way, with differing words. */
static bool device_discards(const struct disk *disk)
{
	const uint64_t odd[] = { 1, DISK_SECTOR };

	return ioctl(disk->fd, BLKDISCARD, odd) < 0 && errno == EINVAL;
}

/* Behind the end nothing is lost by it. */
static bool file_discards(const struct disk *disk)
{
	return fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(disk->size + BLOCK_MAX), BLOCK_MAX) == 0;
}

static void ask_device(struct disk *disk)
{
	unsigned value;
	int block;

	if (ioctl(disk->fd, BLKSSZGET, &block) == 0 && block >= DISK_SECTOR &&
	    block <= (int)BLOCK_MAX)
		disk->block = (uint32_t)block;
	if (ioctl(disk->fd, BLKPBSZGET, &value) == 0)
		disk->physical = value;
	if (ioctl(disk->fd, BLKIOOPT, &value) == 0)
		disk->optimal = value;
}

static bool power_of_two(uint32_t value)
{
	return value && !(value & (value - 1));
}

static int learn_blocks(struct disk *disk)
{
	int err = 0;

	disk->block = DISK_SECTOR;
	if (disk->device)
		ask_device(disk);
	if (disk->direct)
		err = try_alignment(disk);
	if (!power_of_two(disk->physical) || disk->physical < disk->block ||
	    disk->physical > PHYSICAL_MAX)
		disk->physical = disk->block;
	if (!disk->read_only)
		disk->discards = disk->device ? device_discards(disk) : file_discards(disk);
	return err;
}

int disk_open(struct disk *disk, const struct virtio_disk_config *config)
{
	int err;

	*disk = (struct disk){
		.path = config->path,
		.fd = -1,
		.cached_fd = -1,
		.read_only = config->read_only,
		.direct = config->direct,
	};
	err = open_file(disk);
	if (!err)
		err = lock_file(disk);
	if (!err)
		err = measure(disk);
	if (!err)
		err = learn_blocks(disk);
	if (!err && disk->direct)
		err = open_cached(disk);
	if (err)
		disk_close(disk);
	return err;
}

void disk_close(struct disk *disk)
{
	if (disk->fd >= 0)
		close(disk->fd);
	if (disk->cached_fd >= 0)
		close(disk->cached_fd);
	disk->fd = disk->cached_fd = -1;
}

bool disk_aligned(const struct disk *disk, const struct iovec *iov, unsigned count, uint64_t offset)
{
	if (!disk->direct)
		return true;
	if (offset % disk->block)
		return false;
	for (unsigned i = 0; i < count; i++)
		if ((uintptr_t)iov[i].iov_base % disk->align || iov[i].iov_len % disk->block)
			return false;
	return true;
}

int disk_discard(const struct disk *disk, uint64_t offset, uint64_t size)
{
	const uint64_t range[] = { offset, size };
	int failed;

	if (disk->device)
		failed = ioctl(disk->fd, BLKDISCARD, range);
	else
		failed = fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)offset, (off_t)size);
	return failed ? -errno : 0;
}

/* Of a block device these are BLKZEROOUT, with leave to unmap and without, where the device does it by itself. */
int disk_zero(const struct disk *disk, uint64_t offset, uint64_t size, bool unmap)
{
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE };
	int failed = -1;

	for (unsigned i = unmap ? 0 : 1; i < 2 && failed; i++)
		failed = fallocate(disk->fd, modes[i] | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				   (off_t)size);
	return failed ? -errno : 0;
}

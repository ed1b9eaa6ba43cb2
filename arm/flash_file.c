// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flash's content: a copy in anonymous memory, which the guest reads and which is written through to the file. A
 * mapping of the file would be less to keep, but a guest with MTE cannot have one in a memory slot, and a store to it
 * raises SIGBUS where pwrite(2) says that the disk is full.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "flash.h"

#define ERASED 0xff

/* O_NONBLOCK: a FIFO is refused, not waited for. */
static int open_file(struct flash *flash)
{
	const int flags = O_CLOEXEC | O_NONBLOCK;

	flash->fd = open(flash->path, O_RDWR | flags);
	if (flash->fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS)) {
		flash->fd = open(flash->path, O_RDONLY | flags);
		flash->read_only = true;
	}
	return flash->fd < 0 ? report(-errno, "cannot open flash file %s", flash->path) : 0;
}

static int measure_file(struct flash *flash)
{
	struct stat st;

	if (fstat(flash->fd, &st) < 0)
		return report(-errno, "cannot read flash file %s", flash->path);
	if (!S_ISREG(st.st_mode))
		return refuse(-EINVAL, "flash file %s is no regular file", flash->path);
	if (st.st_size == 0)
		return refuse(-EINVAL, "flash file %s is empty", flash->path);
	if ((uint64_t)st.st_size > MAP_FLASH_SIZE)
		return refuse(-EFBIG, "flash file %s has %lld bytes, the flash at most %llu",
			      flash->path, (long long)st.st_size, MAP_FLASH_SIZE);
	flash->file_size = (uint64_t)st.st_size;
	flash->size = FLASH_BLOCK_SIZE;
	while (flash->size < flash->file_size)
		flash->size *= 2;
	return 0;
}

static int read_file(struct flash *flash)
{
	uint64_t done = 0;
	ssize_t count;

	flash->data =
		mmap(NULL, flash->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (flash->data == MAP_FAILED) {
		flash->data = NULL;
		return -errno;
	}
	while (done < flash->file_size) {
		count = pread(flash->fd, flash->data + done, flash->file_size - done, (off_t)done);
		if (count <= 0)
			return count < 0 ? -errno : -EIO;
		done += (uint64_t)count;
	}
	memset(flash->data + done, ERASED, flash->size - done);
	return 0;
}

int flash_file_open(struct flash *flash)
{
	int err = open_file(flash);

	if (!err)
		err = measure_file(flash);
	if (err)
		return err;
	err = read_file(flash);
	return err ? report(err, "cannot read flash file %s", flash->path) : 0;
}

void flash_file_close(struct flash *flash)
{
	if (flash->data)
		munmap(flash->data, flash->size);
	if (flash->fd >= 0)
		close(flash->fd);
	flash->data = NULL;
	flash->fd = -1;
}

static int write_file(struct flash *flash, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
	ssize_t written = pwrite(flash->fd, bytes, size, (off_t)offset);

	if (written < 0)
		return -errno;
	if ((uint64_t)written != size)
		return -ENOSPC;
	memcpy(flash->data + offset, bytes, size);
	return 0;
}

int flash_file_program(struct flash *flash, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
	uint8_t merged[FLASH_BUFFER_WORDS * 4];

	if (flash->read_only)
		return -EROFS;
	if (offset + size > flash->file_size)
		return -ENXIO;
	for (uint64_t i = 0; i < size; i++)
		merged[i] = flash->data[offset + i] & bytes[i];
	return write_file(flash, offset, merged, size);
}

/* What lies beyond the file is erased, always. */
int flash_file_erase(struct flash *flash, uint64_t offset)
{
	uint8_t erased[4096];
	uint64_t end = offset + FLASH_BLOCK_SIZE;

	if (flash->read_only)
		return -EROFS;
	if (end > flash->file_size)
		end = flash->file_size;
	memset(erased, ERASED, sizeof(erased));
	while (offset < end) {
		uint64_t size = end - offset < sizeof(erased) ? end - offset : sizeof(erased);
		int err = write_file(flash, offset, erased, size);

		if (err)
			return err;
		offset += size;
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "unpack.h"

#define CHUNK 65536

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3; a kernel that knows it warns of its absence */
#endif

int memfd_open(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC);
	return fd < 0 ? report(-errno, "cannot create a memory file") : fd;
}

int write_full(int fd, const void *buf, size_t size)
{
	const char *from = buf;

	while (size) {
		ssize_t n = write(fd, from, size);

		if (n < 0)
			return -errno;
		from += n;
		size -= n;
	}
	return 0;
}

int pread_full(int fd, void *buf, size_t size, uint64_t offset)
{
	char *to = buf;

	while (size) {
		ssize_t n = pread(fd, to, size, (off_t)offset);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		to += n;
		offset += n;
		size -= n;
	}
	return 0;
}

int refuse_too_large(const char *what, const char *path, uint64_t limit)
{
	return refuse(-EFBIG, "%s %s is larger than %llu KiB, all that fits: see -m", what, path,
		      (unsigned long long)(limit >> 10));
}

/* Reads a stream to its end. */
static int copy_stream(struct image_file *copy, int from, char *chunk, const char *what,
		       const char *path, uint64_t limit)
{
	for (;;) {
		ssize_t n = read(from, chunk, CHUNK);
		int err;

		if (n < 0)
			return report(-errno, "cannot read %s %s", what, path);
		if (n == 0)
			return 0;
		if ((uint64_t)n > limit - copy->size)
			return refuse_too_large(what, path, limit);
		err = write_full(copy->fd, chunk, n);
		if (err)
			return report(err, "cannot store %s %s in memory", what, path);
		copy->size += n;
	}
}

/* Replaces file by a memfd with what can be read from it. */
static int gather(struct image_file *file, const char *what, const char *path, uint64_t limit)
{
	struct image_file copy = { .fd = memfd_open(what) };
	char *chunk;
	int err;

	if (copy.fd < 0)
		return copy.fd;
	chunk = malloc(CHUNK);
	if (chunk)
		err = copy_stream(&copy, file->fd, chunk, what, path, limit);
	else
		err = report(-ENOMEM, "cannot read %s %s", what, path);
	free(chunk);
	if (err) {
		close(copy.fd);
		return err;
	}
	close(file->fd);
	*file = copy;
	return 0;
}

/* The descriptor that a path names; -1: none. */
static int named_fd(const char *path)
{
	static const char folders[][16] = { "/proc/self/fd/", "/dev/fd/" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		size_t len = strlen(folders[i]);
		long number;
		char *end;

		if (strncmp(path, folders[i], len) != 0)
			continue;
		number = strtol(path + len, &end, 10);
		if (end != path + len && !*end && number >= 0 && number <= INT_MAX)
			return (int)number;
	}
	return -1;
}

/*
 * open(), and where a file behind one of our own descriptors cannot be opened anew (a socket; no permission), that
 * descriptor as it is.
 */
static int open_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = -errno, number;

	if (fd >= 0)
		return fd;
	number = named_fd(path);
	if ((err == -ENXIO || err == -EACCES) && number >= 0)
		fd = fcntl(number, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? err : fd;
}

/* Files of /proc and the like have no size, and some file systems cannot map. */
static bool is_mappable(int fd, const struct stat *st)
{
	void *page;

	if (!S_ISREG(st->st_mode) || st->st_size <= 0)
		return false;
	page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (page == MAP_FAILED)
		return false;
	munmap(page, 1);
	return true;
}

static int take_contents(struct image_file *file, const char *path, const char *what,
			 uint64_t limit)
{
	struct stat st;
	int err = 0;

	if (fstat(file->fd, &st) < 0)
		return report(-errno, "Unable to open %s %s", what, path);
	if (S_ISDIR(st.st_mode))
		return refuse(-EISDIR, "%s %s is a directory", what, path);
	if (is_mappable(file->fd, &st))
		file->size = st.st_size;
	else
		err = gather(file, what, path, limit);
	if (err)
		return err;
	if (!file->size)
		return refuse(-ENODATA, "%s %s is empty", what, path);
	return file->size > limit ? refuse_too_large(what, path, limit) : 0;
}

int image_file_open(struct image_file *file, const char *path, const char *what, uint64_t limit)
{
	int err;

	*file = (struct image_file){ .fd = open_path(path) };
	if (file->fd < 0)
		return report(file->fd, "Unable to open %s %s", what, path);
	err = take_contents(file, path, what, limit);
	if (err)
		image_file_close(file);
	return err;
}

void image_file_close(struct image_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct image_file){ .fd = -1 };
}

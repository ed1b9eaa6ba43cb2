// SPDX-License-Identifier: GPL-2.0-only
/* The one door to VFIO's files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "device.h"

int vfio_open_path(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd;
}

int vfio_ioctl_call(int fd, unsigned long request, void *arg)
{
	int result = ioctl(fd, request, arg);

	return result < 0 ? -errno : result;
}

int vfio_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	int result = ioctl(fd, request, value);

	return result < 0 ? -errno : result;
}

int64_t vfio_pread(int fd, void *buf, uint64_t len, uint64_t offset)
{
	ssize_t done = pread(fd, buf, len, (off_t)offset);

	return done < 0 ? -errno : done;
}

int64_t vfio_pwrite(int fd, const void *buf, uint64_t len, uint64_t offset)
{
	ssize_t done = pwrite(fd, buf, len, (off_t)offset);

	return done < 0 ? -errno : done;
}

void *vfio_mmap(int fd, uint64_t len, uint64_t offset, int prot)
{
	void *addr = mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)offset);

	return addr == MAP_FAILED ? NULL : addr;
}

void vfio_munmap(void *addr, uint64_t len)
{
	munmap(addr, len);
}

long vfio_host_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

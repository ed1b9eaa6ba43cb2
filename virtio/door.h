/* SPDX-License-Identifier: GPL-2.0-only */
/* The one door to the host's files that only ioctls know: taps, vhost, the sockets that configure interfaces. */
#ifndef VIRTIO_DOOR_H
#define VIRTIO_DOOR_H

#include <assert.h>
#include <sys/ioctl.h>

/* An fd (open(2) for reading and writing, non-blocking), or -errno. Nothing is reported. */
int virtio_open_path(const char *path);

/* ioctl(2); what it returns, or -errno. */
int virtio_ioctl_call(int fd, unsigned long request, void *arg);
int virtio_ioctl_value(int fd, unsigned long request, unsigned long value);

/* The argument must have the size that the request's number encodes. */
#define virtio_ioctl(fd, request, arg)                                                             \
	({                                                                                         \
		static_assert(_IOC_SIZE(request) == sizeof(*(arg)), #request);                     \
		virtio_ioctl_call(fd, request, arg);                                               \
	})

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* Eventfds that raise interrupts. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <lkvm/irq.h>

/* A device may have more vectors than a process's usual 1024 fds: the soft limit is no one's wish here. */
static bool raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int irq_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0 && errno == EMFILE && raise_fd_limit())
		fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void irq_eventfd_drain(int fd)
{
	eventfd_t count;

	if (fd >= 0)
		(void)!eventfd_read(fd, &count);
}

uint64_t irq_eventfds_counted(const int *fds, unsigned count)
{
	struct pollfd polled[64];
	uint64_t counted = 0;
	bool any = false;

	assert(count <= 64);
	for (unsigned i = 0; i < count; i++) {
		polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
		any |= fds[i] >= 0;
	}
	if (!any || poll(polled, count, 0) <= 0)
		return 0;
	for (unsigned i = 0; i < count; i++)
		if (polled[i].revents & POLLIN)
			counted |= 1ULL << i;
	return counted;
}

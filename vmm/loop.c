// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <lkvm/loop.h>
#include <lkvm/report.h>

static void wake_ready(struct loop_source *source, uint32_t events)
{
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
}

int loop_create(struct loop *loop)
{
	int err;

	loop->end = RUN_GOES_ON;
	loop->wake = (struct loop_source){ .fd = -1, .ready = wake_ready };
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return report(-errno, "cannot create an epoll instance");
	loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake.fd < 0) {
		err = report(-errno, "cannot create an eventfd");
		loop_destroy(loop);
		return err;
	}
	err = loop_add(loop, &loop->wake, EPOLLIN);
	if (err)
		loop_destroy(loop);
	return err;
}

void loop_destroy(struct loop *loop)
{
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->wake.fd = -1;
	loop->epoll_fd = -1;
}

static int loop_control(struct loop *loop, int op, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, op, source->fd, &event) < 0)
		return -errno;
	return 0;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_ADD, source, events);
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	loop_control(loop, EPOLL_CTL_DEL, source, 0);
}

/* One event a wait: a source that another's handler removes is then never called. epoll serves ready fds in turn. */
int loop_run(struct loop *loop)
{
	struct epoll_event event;

	while (atomic_load(&loop->end) == RUN_GOES_ON) {
		int ready = epoll_wait(loop->epoll_fd, &event, 1, -1);

		if (ready < 0 && errno != EINTR)
			return report(-errno, "cannot wait for events");
		if (ready == 1) {
			struct loop_source *source = event.data.ptr;

			source->ready(source, event.events);
		}
	}
	return atomic_load(&loop->end);
}

/* A reset may be followed by another run of the guest, so that whatever else happened meanwhile must not be lost to it. */
static bool outranks(int end, int current)
{
	if (current == RUN_GOES_ON)
		return true;
	return end == RUN_HOST_ERROR || (current == RUN_RESET && end > RUN_HOST_ERROR);
}

void loop_end(struct loop *loop, int end)
{
	const uint64_t one = 1;
	int current = atomic_load(&loop->end);

	while (outranks(end, current) && !atomic_compare_exchange_weak(&loop->end, &current, end))
		;
	(void)!write(loop->wake.fd, &one, sizeof(one));
}

void loop_rewind(struct loop *loop)
{
	atomic_store(&loop->end, RUN_GOES_ON);
}

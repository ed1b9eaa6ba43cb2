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
	int err = 0;

	loop->end = RUN_GOES_ON;
	loop->sources = 0;
	loop->wake = (struct loop_source){ .fd = -1, .ready = wake_ready };
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return report(-errno, "cannot create an epoll instance");
	loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake.fd < 0)
		err = report(-errno, "cannot create an eventfd");
	if (!err) {
		err = loop_add(loop, &loop->wake, EPOLLIN);
		if (err)
			report(err, "cannot wait for an eventfd");
	}
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
	int err = loop_control(loop, EPOLL_CTL_ADD, source, events);

	if (!err)
		loop->sources++;
	return err;
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!loop_control(loop, EPOLL_CTL_DEL, source, 0))
		loop->sources--;
}

/* One event a wait: a source that another's handler removes is then never called. How many were served, or -errno. */
static int serve_one(struct loop *loop, int timeout)
{
	struct epoll_event event;
	int ready = epoll_wait(loop->epoll_fd, &event, 1, timeout);

	if (ready < 0 && errno != EINTR)
		return report(-errno, "cannot wait for events");
	if (ready == 1) {
		struct loop_source *source = event.data.ptr;

		source->ready(source, event.events);
	}
	return ready < 0 ? 0 : ready;
}

/*
 * epoll serves ready fds in turn, so that once the end is known as many waits as there are sources serve each that is
 * ready. A guest that resets itself before we wait at all, over and over, does not keep a signal from being seen.
 */
int loop_run(struct loop *loop)
{
	int served = 0;

	while (served >= 0 && loop_ended(loop) == RUN_GOES_ON)
		served = serve_one(loop, -1);
	for (unsigned left = loop->sources; served >= 0 && left > 0; left--) {
		served = serve_one(loop, 0);
		if (!served)
			break;
	}
	return served < 0 ? served : loop_ended(loop);
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

int loop_ended(struct loop *loop)
{
	return atomic_load(&loop->end);
}

void loop_rewind(struct loop *loop)
{
	atomic_store(&loop->end, RUN_GOES_ON);
}

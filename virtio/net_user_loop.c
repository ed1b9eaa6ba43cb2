// SPDX-License-Identifier: GPL-2.0-only
/*
 * libslirp would like to be asked before each poll(2) what it wants to wait for. The loop's epoll is told after each
 * call of it instead, and only what has changed.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "net_user.h"

#define NO_TIMEOUT   UINT32_MAX
#define NS_PER_S     1000000000LL
#define NS_PER_MS    1000000LL
#define MS_PER_S     1000LL
#define FDS_AT_FIRST 64

static const struct {
	int slirp;
	uint32_t epoll;
} poll_bits[] = {
	{ SLIRP_POLL_IN, EPOLLIN },   { SLIRP_POLL_OUT, EPOLLOUT }, { SLIRP_POLL_PRI, EPOLLPRI },
	{ SLIRP_POLL_ERR, EPOLLERR }, { SLIRP_POLL_HUP, EPOLLHUP },
};

#define POLL_BITS (sizeof(poll_bits) / sizeof(poll_bits[0]))

static int64_t now_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* One shot, at this time of CLOCK_MONOTONIC. */
static void arm(int fd, int64_t milliseconds)
{
	const struct itimerspec at = {
		.it_value = { milliseconds / MS_PER_S, milliseconds % MS_PER_S * NS_PER_MS + 1 },
	};

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void clear(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

/* --- sockets --- */

static void forget(struct user_fd *fd)
{
	if (fd->waited)
		loop_remove(fd->user->net->vdev.env->loop, &fd->source);
	fd->waited = 0;
}

static int ready_of(int index, void *opaque)
{
	const struct net_user *user = opaque;

	return (size_t)index < user->fd_room && user->fds[index] ? user->fds[index]->ready : 0;
}

static void serve(struct net_user *user)
{
	user->library.pollfds_poll(user->slirp, 0, ready_of, user);
}

static void fd_ready(struct loop_source *source, uint32_t events)
{
	struct user_fd *fd = (struct user_fd *)((char *)source - offsetof(struct user_fd, source));

	for (size_t i = 0; i < POLL_BITS; i++)
		if (events & poll_bits[i].epoll)
			fd->ready |= poll_bits[i].slirp;
	user_enter(fd->user);
	serve(fd->user);
	fd->ready = 0;
	user_leave(fd->user);
}

/* The table's entry, made where there is none; NULL: no memory. */
static struct user_fd *entry(struct net_user *user, int number)
{
	size_t room = user->fd_room ? user->fd_room : FDS_AT_FIRST;
	struct user_fd **grown;

	while (room <= (size_t)number)
		room *= 2;
	if (room > user->fd_room) {
		grown = reallocarray(user->fds, room, sizeof(struct user_fd *));
		if (!grown)
			return NULL;
		memset(grown + user->fd_room, 0, (room - user->fd_room) * sizeof(*grown));
		user->fds = grown;
		user->fd_room = room;
	}
	if (!user->fds[number]) {
		struct user_fd *fd = calloc(1, sizeof(*fd));

		if (!fd)
			return NULL;
		*fd = (struct user_fd){ .source = { number, fd_ready }, .user = user };
		user->fds[number] = fd;
	}
	return user->fds[number];
}

static int add_poll(int number, int events, void *opaque)
{
	struct user_fd *fd = entry(opaque, number);

	for (size_t i = 0; fd && i < POLL_BITS; i++)
		if (events & poll_bits[i].slirp)
			fd->wanted |= poll_bits[i].epoll;
	return number;
}

/* Another socket under this number, or none any more. */
static void number_changed(int number, void *opaque)
{
	struct net_user *user = opaque;

	if (number >= 0 && (size_t)number < user->fd_room && user->fds[number])
		forget(user->fds[number]);
}

static void update_fd(struct user_fd *fd)
{
	struct loop *loop = fd->user->net->vdev.env->loop;
	int err = 0;

	if (fd->wanted == fd->waited)
		return;
	if (!fd->wanted)
		loop_remove(loop, &fd->source);
	else if (!fd->waited)
		err = loop_add(loop, &fd->source, fd->wanted);
	else
		err = loop_modify(loop, &fd->source, fd->wanted);
	if (err)
		report_once(&fd->user->net->host_complained,
			    "%s: cannot wait for a socket of libslirp's: %s", fd->user->net->name,
			    strerror(-err));
	fd->waited = err ? 0 : fd->wanted;
}

static void update_timeout(struct net_user *user, uint32_t timeout)
{
	int64_t deadline = now_ns(NULL) / NS_PER_MS + timeout;

	if (timeout == NO_TIMEOUT || (user->deadline && user->deadline <= deadline))
		return;
	user->deadline = deadline;
	arm(user->timeout.fd, deadline);
}

void user_loop_update(struct net_user *user)
{
	uint32_t timeout = NO_TIMEOUT;

	for (size_t i = 0; i < user->fd_room; i++)
		if (user->fds[i])
			user->fds[i]->wanted = 0;
	user->library.pollfds_fill(user->slirp, &timeout, add_poll, user);
	for (size_t i = 0; i < user->fd_room; i++)
		if (user->fds[i])
			update_fd(user->fds[i]);
	update_timeout(user, timeout);
}

/* --- timers --- */

static void timeout_ready(struct loop_source *source, uint32_t events)
{
	struct net_user *user =
		(struct net_user *)((char *)source - offsetof(struct net_user, timeout));

	(void)events;
	clear(source->fd);
	user_enter(user);
	user->deadline = 0;
	serve(user);
	user_leave(user);
}

static void timer_ready(struct loop_source *source, uint32_t events)
{
	struct user_timer *timer =
		(struct user_timer *)((char *)source - offsetof(struct user_timer, source));
	struct net_user *user = timer->user;

	(void)events;
	clear(source->fd);
	user_enter(user);
	timer->expired(timer->opaque);
	user_leave(user);
}

static int watch_timer(struct net_user *user, struct loop_source *source)
{
	int err;

	source->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (source->fd < 0)
		return -errno;
	err = loop_add(user->net->vdev.env->loop, source, EPOLLIN);
	if (err) {
		close(source->fd);
		source->fd = -1;
	}
	return err;
}

static void unwatch_timer(struct net_user *user, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_remove(user->net->vdev.env->loop, source);
	close(source->fd);
	source->fd = -1;
}

/* libslirp cannot be told that there is none: it gets one that never expires. */
static void *timer_new(void (*expired)(void *opaque), void *timer_opaque, void *opaque)
{
	struct net_user *user = opaque;
	struct user_timer *timer = calloc(1, sizeof(*timer));
	int err;

	if (!timer)
		return NULL;
	*timer = (struct user_timer){ .source = { -1, timer_ready },
				      .user = user,
				      .expired = expired,
				      .opaque = timer_opaque,
				      .next = user->timers };
	user->timers = timer;
	err = watch_timer(user, &timer->source);
	if (err)
		report_once(&user->net->host_complained, "%s: cannot create a timer: %s",
			    user->net->name, strerror(-err));
	return timer;
}

static void timer_free(void *opaque_timer, void *opaque)
{
	struct net_user *user = opaque;
	struct user_timer *timer = opaque_timer, **at = &user->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = timer->next;
	unwatch_timer(user, &timer->source);
	free(timer);
}

static void timer_mod(void *opaque_timer, int64_t milliseconds, void *opaque)
{
	struct user_timer *timer = opaque_timer;

	(void)opaque;
	if (timer && timer->source.fd >= 0)
		arm(timer->source.fd, milliseconds);
}

void user_loop_callbacks(struct slirp_callbacks *callbacks)
{
	callbacks->clock_get_ns = now_ns;
	callbacks->timer_new = timer_new;
	callbacks->timer_free = timer_free;
	callbacks->timer_mod = timer_mod;
	callbacks->register_poll_fd = number_changed;
	callbacks->unregister_poll_fd = number_changed;
}

int user_loop_open(struct net_user *user)
{
	user->timeout = (struct loop_source){ -1, timeout_ready };
	return watch_timer(user, &user->timeout);
}

void user_loop_close(struct net_user *user)
{
	for (size_t i = 0; i < user->fd_room; i++) {
		if (user->fds[i])
			forget(user->fds[i]);
		free(user->fds[i]);
	}
	free(user->fds);
	user->fds = NULL;
	user->fd_room = 0;
	for (struct user_timer *timer = user->timers, *next; timer; timer = next) {
		next = timer->next;
		unwatch_timer(user, &timer->source);
		free(timer);
	}
	user->timers = NULL;
	if (user->timeout.ready)
		unwatch_timer(user, &user->timeout);
}

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "machine.h"

static void signal_ready(struct loop_source *source, uint32_t events)
{
	struct lifetime *lifetime =
		(struct lifetime *)((char *)source - offsetof(struct lifetime, signals));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1)
		lifetime->usr1(lifetime);
	else
		loop_end(lifetime->loop, RUN_SIGNAL + (int)info.ssi_signo);
}

static void timer_ready(struct loop_source *source, uint32_t events)
{
	struct lifetime *lifetime =
		(struct lifetime *)((char *)source - offsetof(struct lifetime, timer));

	(void)events;
	loop_end(lifetime->loop, RUN_TIMEOUT);
}

/*
 * A signal that was ignored when lkvm was started (nohup, a shell's background job) stays so: once blocked, it would be
 * queued nevertheless.
 */
static void add_unless_ignored(sigset_t *set, int signal)
{
	struct sigaction action;

	if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
		sigaddset(set, signal);
}

static int catch_signals(struct lifetime *lifetime)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	sigemptyset(&set);
	add_unless_ignored(&set, SIGTERM);
	add_unless_ignored(&set, SIGINT);
	add_unless_ignored(&set, SIGHUP);
	if (lifetime->usr1)
		sigaddset(&set, SIGUSR1);
	if (sigaction(SIGPIPE, &ignore, &lifetime->old_pipe) < 0 ||
	    sigaction(SIGXFSZ, &ignore, &lifetime->old_fsize) < 0)
		return report(-errno, "cannot ignore SIGPIPE and SIGXFSZ");
	pthread_sigmask(SIG_BLOCK, &set, &lifetime->old_mask);
	lifetime->masked = true;
	lifetime->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (lifetime->signals.fd < 0)
		return report(-errno, "cannot create a signalfd");
	return loop_add(lifetime->loop, &lifetime->signals, EPOLLIN);
}

static int set_timer(struct lifetime *lifetime, unsigned timeout)
{
	struct itimerspec spec = { .it_value.tv_sec = timeout };

	if (!timeout)
		return 0;
	lifetime->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (lifetime->timer.fd < 0)
		return report(-errno, "cannot create a timer for --timeout");
	if (timerfd_settime(lifetime->timer.fd, 0, &spec, NULL) < 0)
		return report(-errno, "cannot start the timer for --timeout %u", timeout);
	return loop_add(lifetime->loop, &lifetime->timer, EPOLLIN);
}

int lifetime_create(struct lifetime *lifetime, struct loop *loop, unsigned timeout,
		    void (*usr1)(struct lifetime *lifetime))
{
	int err;

	*lifetime = (struct lifetime){
		.loop = loop,
		.usr1 = usr1,
		.signals = { .fd = -1, .ready = signal_ready },
		.timer = { .fd = -1, .ready = timer_ready },
	};
	err = catch_signals(lifetime);
	if (!err)
		err = set_timer(lifetime, timeout);
	if (err)
		lifetime_destroy(lifetime);
	return err;
}

static void close_source(struct lifetime *lifetime, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_remove(lifetime->loop, source);
	close(source->fd);
	source->fd = -1;
}

void lifetime_destroy(struct lifetime *lifetime)
{
	if (!lifetime->loop)
		return;
	close_source(lifetime, &lifetime->timer);
	close_source(lifetime, &lifetime->signals);
	if (lifetime->masked) {
		sigaction(SIGPIPE, &lifetime->old_pipe, NULL);
		sigaction(SIGXFSZ, &lifetime->old_fsize, NULL);
		pthread_sigmask(SIG_SETMASK, &lifetime->old_mask, NULL);
	}
	*lifetime = (struct lifetime){ 0 };
}

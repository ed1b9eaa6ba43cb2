/* SPDX-License-Identifier: GPL-2.0-only */
/* The main thread's event loop: epoll over sources that belong to their devices. */
#ifndef LKVM_LOOP_H
#define LKVM_LOOP_H

#include <stdatomic.h>
#include <stdint.h>
#include <lkvm/run_end.h>

/* Embedded in whoever waits for fd; ready() runs on the main thread with the EPOLL* bits that are set. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source, uint32_t events);
};

struct loop {
	int epoll_fd;
	struct loop_source wake; /* an eventfd: loop_end() from another thread */
	atomic_int end;          /* enum run_end (+ signal number) */
	unsigned sources;        /* on epoll_fd; main thread only */
};

/* Reported. destroy accepts one whose fds are -1. */
int loop_create(struct loop *loop);
void loop_destroy(struct loop *loop);

/*
 * Waits for `events` (EPOLLIN, ...; 0 parks the source) on source->fd. The source stays its owner's, and must be
 * removed before its fd is closed. -EPERM: the fd is a file epoll cannot wait for (always ready, read it at will).
 */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

/*
 * Dispatches until loop_end(), and then whatever else is ready by now: it may outrank the end. Returns the enum run_end
 * (RUN_SIGNAL + n for signal n), or -errno, reported.
 */
int loop_run(struct loop *loop);

/*
 * From any thread: ends the run. Of several ends the first counts, but a host error outranks all, and a quit, timeout or
 * signal outranks a guest's reset.
 */
void loop_end(struct loop *loop, int end);

/* The end by now, RUN_GOES_ON where there is none: a vCPU may have met another after loop_run() returned. */
int loop_ended(struct loop *loop);

/* Forgets the end, so that the guest may be run once more. */
void loop_rewind(struct loop *loop);

#endif

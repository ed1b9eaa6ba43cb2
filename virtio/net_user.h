/* SPDX-License-Identifier: GPL-2.0-only */
/* User mode: net_user.c is the card, net_user_loop.c libslirp's sockets and timers on the event loop. */
#ifndef VIRTIO_NET_USER_H
#define VIRTIO_NET_USER_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/loop.h>
#include "net.h"
#include "slirp.h"

#define USER_BACKLOG 256 /* packets that wait for the driver's buffers */

struct net_user;

/* A socket of libslirp's. */
struct user_fd {
	struct loop_source source;
	struct net_user *user;
	uint32_t wanted, waited; /* EPOLL*: now, and as the loop knows it; 0: it does not */
	int ready;               /* SLIRP_POLL_* */
};

/* A timer of libslirp's. */
struct user_timer {
	struct loop_source source; /* a timerfd */
	struct net_user *user;
	void (*expired)(void *opaque);
	void *opaque;
	struct user_timer *next;
};

struct user_packet {
	void *data;
	size_t size;
};

struct net_user {
	struct virtio_net *net;
	struct slirp_library library;
	struct slirp_callbacks callbacks; /* libslirp keeps a pointer to them */
	void *slirp;                      /* NULL: not opened yet */
	bool failed;                      /* to be opened */
	uint8_t *packet;                  /* one that the driver sends: NET_PACKET_MAX bytes */
	struct user_packet backlog[USER_BACKLOG]; /* [first, first + waiting), in a circle */
	unsigned first, waiting;
	bool delivered; /* something, since the driver was told */

	struct user_fd **fds; /* by number */
	size_t fd_room;
	struct loop_source timeout; /* a timerfd: for how long libslirp would wait at most */
	int64_t deadline;           /* milliseconds; 0: no timeout is running */
	struct user_timer *timers;
};

/* --- net_user_loop.c; the device's lock is held, on the main thread --- */

/* Callbacks for sockets and timers, `opaque` being the struct net_user. */
void user_loop_callbacks(struct slirp_callbacks *callbacks);
/* -errno, not reported. close accepts what open has failed with. */
int user_loop_open(struct net_user *user);
void user_loop_close(struct net_user *user);
/* After each call of libslirp's: waits for what it wants now. */
void user_loop_update(struct net_user *user);

/* --- net_user.c, for net_user_loop.c --- */

/* Around what the loop has libslirp do. */
void user_enter(struct net_user *user);
void user_leave(struct net_user *user);

#endif

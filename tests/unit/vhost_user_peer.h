/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vhost-user back end in a thread of the test's: it sends back into a chain's in pieces what its out pieces hold, and
 * keeps what it was told. The test sets what it is like before it starts.
 */
#ifndef VHOST_USER_PEER_H
#define VHOST_USER_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "virtio/virtq.h"

#define PEER_QUEUES 4

enum peer_manner {
	PEER_SOUND,
	PEER_SILENT,
	PEER_DRIPS, /* a byte at a time, each soon enough */
	PEER_WRONG_REQUEST,
	PEER_WRONG_SIZE,
	PEER_NAGS,
	PEER_REFUSES_MEMORY
};

struct peer_queue {
	struct virtq vq;
	uint64_t addr[3]; /* desc, avail, used: the front end's */
	unsigned size, base;
	int kick, call;
	bool enabled;
};

struct peer {
	/* Set by the test. */
	uint64_t features, protocol;
	uint64_t queue_count;
	enum peer_manner manner;
	atomic_bool deaf; /* does not serve kicks */
	uint8_t config; /* first byte of a disk's configuration space; each other one is one more */

	/* The thread's, for the test to read when it is stopped. */
	uint64_t accepted;
	unsigned starts; /* of queues */
	struct peer_queue queues[PEER_QUEUES];
	struct guest_mem ram;
	uint64_t user;

	pthread_t thread;
	int listener, peer, stop;
	atomic_uint served; /* chains */
};

/* Listens at path, from when it returns; stop joins the thread, and all connections end. */
void peer_start(struct peer *peer, const char *path);
void peer_stop(struct peer *peer);

#endif

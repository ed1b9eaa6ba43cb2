/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Taps and vhost without a host's kernel: virtio/door.c's functions for tests. A tap's fd is one end of a socket pair that
 * keeps packets apart; the test has the other end. What vhost is told is kept.
 */
#ifndef FAKE_VIRTIO_DOOR_H
#define FAKE_VIRTIO_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include "virtio/tap.h"

#define FAKE_TAPS   16
#define FAKE_VHOSTS 4

struct fake_tap {
	int fd, peer; /* lkvm's end; ours, -1: closed */
	bool attached;
};

struct fake_vring {
	unsigned size, base;
	uint64_t desc, avail, used;
	int kick, call, error, backend;
};

struct fake_vhost {
	int fd;
	bool owned;
	uint64_t cid; /* of vsock's: whose it is, and whether it serves its queues */
	int running;
	uint64_t features, ram_base, ram_size, ram_host;
	struct fake_vring vrings[2];
};

struct fake_host {
	struct fake_tap taps[FAKE_TAPS];
	unsigned tap_count;
	struct fake_vhost vhosts[FAKE_VHOSTS];
	unsigned vhost_count;

	/* What the host can, and how it fails: set by the test. */
	unsigned offloads_known;
	uint64_t vhost_features;
	bool multi_queue;              /* the interface was made so */
	int send_limit;                /* of a tap's queue for lkvm's packets */
	int open_error;                /* of paths, 0: none */
	unsigned long failing_request; /* an ioctl's */
	int failing_error;

	/* What it was told. */
	unsigned offloads;
	int header;
	struct tap_filter filter;
	bool up;
	uint32_t ip;
	uint8_t mac[6];
	char opened[64];
};

extern struct fake_host fake_host;

void fake_host_reset(void);
/* Closes what it has; all of lkvm's fds are closed already. */
void fake_host_end(void);

#endif

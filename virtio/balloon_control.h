/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines from a FIFO: "SIZE[KMGT]" (in MiB without a unit) for the balloon, or "stats". */
#ifndef VIRTIO_BALLOON_CONTROL_H
#define VIRTIO_BALLOON_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/loop.h>

struct balloon_control {
	struct loop_source source; /* fd -1: there is none */
	struct loop *loop;
	const char *path;
	void (*set_size)(struct balloon_control *control, uint64_t bytes);
	void (*ask_stats)(struct balloon_control *control);
	char line[32];
	unsigned length; /* above the line's room: the rest of it is passed over */
};

/* Opens the FIFO and waits for lines; path, set_size and ask_stats are set before. Reported. close: also a zeroed one. */
int balloon_control_open(struct balloon_control *control, struct loop *loop);
void balloon_control_close(struct balloon_control *control);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two halves of the fake VFIO share. */
#ifndef FAKE_VFIO_STATE_H
#define FAKE_VFIO_STATE_H

#include <pthread.h>
#include <sys/types.h>
#include "fake_vfio.h"

#define FAKE_REGION_SHIFT 40
#define FAKE_MEMORY_SIZE  ((uint64_t)16 << FAKE_REGION_SHIFT)
#define FAKE_HANDLES      64
#define FAKE_FAILURES     16
#define FAKE_MAPPINGS     256

enum fake_kind { FAKE_CONTAINER = 1, FAKE_GROUP, FAKE_DEVICE };

/* An fd that was handed out; the inode tells whether the number still means it. */
struct fake_handle {
	enum fake_kind kind;
	int fd;
	ino_t inode;
	void *object;
};

struct fake_failure {
	unsigned long request;
	int err;
	unsigned skip, times;
};

struct fake_mapping {
	void *addr; /* NULL: free */
	uint64_t len;
	struct fake_vfio_device *dev;
};

struct fake_state {
	struct fake_vfio host;
	pthread_mutex_t lock;
	struct fake_handle handles[FAKE_HANDLES];
	unsigned handles_count;
	struct fake_failure failures[FAKE_FAILURES];
	unsigned failures_count;
	struct fake_mapping mappings[FAKE_MAPPINGS];
};

extern struct fake_state fake_state;

struct fake_handle *fake_handle_of(int fd);
bool fake_object_open(const void *object);
int fake_hand_out(enum fake_kind kind, void *object, const char *name);
/* -errno where a failure was asked for. */
int fake_failing(unsigned long request);
int fake_device_ioctl(struct fake_vfio_device *dev, unsigned long request, void *arg);

#endif

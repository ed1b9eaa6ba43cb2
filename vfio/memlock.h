/* SPDX-License-Identifier: GPL-2.0-only */
/* How much memory may be locked for DMA (RLIMIT_MEMLOCK, getrlimit(2)). */
#ifndef VFIO_MEMLOCK_H
#define VFIO_MEMLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define MEMLOCK_INFINITE UINT64_MAX

struct memlock {
	uint64_t soft, hard; /* bytes */
	bool exempt;         /* CAP_IPC_LOCK: the limit does not bind */
	bool may_raise;      /* CAP_SYS_RESOURCE: the hard limit is no limit */
};

void memlock_read(struct memlock *memlock);
/* What the process can come to, raising included. */
uint64_t memlock_reach(const struct memlock *memlock);

/* Raises the limit to `bytes` where it is lower; -ENOMEM, reported with bdf, numbers and cures, where it may not. */
int memlock_raise(uint64_t bytes, const char *bdf);
/* That report alone: for a kernel that refused all the same. Returns -ENOMEM. */
int memlock_refuse(uint64_t bytes, const char *bdf);

/* "512 MiB", "65536 bytes", "unlimited". */
#define SIZE_TEXT 40
const char *size_text(char buf[SIZE_TEXT], uint64_t bytes);

#endif

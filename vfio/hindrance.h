/* SPDX-License-Identifier: GPL-2.0-only */
/* What stands in the way of passing a function through: a cause, and what cures it. One wording for all who tell. */
#ifndef VFIO_HINDRANCE_H
#define VFIO_HINDRANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "memlock.h"
#include "sysfs.h"

struct hindrance {
	char brief[80];  /* a few words, for a table */
	char cause[400]; /* names the function */
	char cure[560];
	bool command; /* the cure is a shell command line for root */
};

#define HINDRANCES 8

struct hindrances {
	struct hindrance list[HINDRANCES];
	unsigned count;
};

/* What can be seen without opening anything, the first thing to cure first. */
void hindrances_find(struct hindrances *found, const struct sysfs_function *function,
		     const struct vfio_host *host);

/* Why opening the group's file, or the container's, failed with -errno `err`. */
void hindrance_of_group(struct hindrances *found, const struct sysfs_function *function,
			const struct vfio_host *host, int err);
void hindrance_of_container(struct hindrances *found, const struct sysfs_function *function,
			    int err);
/* The kernel's own verdict that the group is not viable. */
void hindrance_of_viability(struct hindrances *found, const struct sysfs_function *function);
/* A limit on locked memory that hardly any guest's RAM fits into. */
void hindrance_of_memlock(struct hindrances *found, const struct sysfs_function *function,
			  const struct memlock *memlock);

/* Reports the first of them; returns err. */
int hindrances_refuse(const struct hindrances *found, int err);

#endif

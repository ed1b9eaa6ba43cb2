/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared folders (9P2000.L): what --9p says of one. */
#ifndef LKVM_VIRTIO_9P_H
#define LKVM_VIRTIO_9P_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define VIRTIO_9P_TAG_MAX 31 /* more than enough for a name in `mount -t 9p NAME` */

struct virtio_share_config {
	char dir[PATH_MAX];
	char tag[VIRTIO_9P_TAG_MAX + 1]; /* what the guest mounts it by */
	bool readonly;
};

/*
 * Parses "DIR[,TAG][,ro]" behind the `count` that are there; without TAG it is the last part of DIR's name. A tag that
 * another share has is refused. -EINVAL, reported with what is wrong.
 */
int virtio_share_config_parse(struct virtio_share_config *configs, size_t count, const char *text);

#endif

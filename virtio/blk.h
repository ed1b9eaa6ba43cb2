/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include <lkvm/virtio_disk.h>
#include "device.h"

/* A block device (virtio 1.2, 5.2). Opens the disk; config stays the caller's. Reported. */
int blk_create(struct virtio_device **vdev, const struct virtio_disk_config *config,
	       const struct virtio_env *env);

#endif

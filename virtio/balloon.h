/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory balloon (virtio 1.2, 5.5). */
#ifndef VIRTIO_BALLOON_H
#define VIRTIO_BALLOON_H

#include "device.h"

/*
 * `control` is a FIFO by which the balloon's size is set (see lkvm(1)), or NULL. The string stays the caller's. Reported.
 */
int balloon_create(struct virtio_device **vdev, const char *control, const struct virtio_env *env);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* A folder of the host as a virtio device (the 9P transport of virtio, device ID 9: include/uapi/linux/virtio_9p.h). */
#ifndef VIRTIO_9P_H
#define VIRTIO_9P_H

#include <lkvm/virtio_9p.h>
#include "device.h"

/* Opens the folder. Reported. */
int p9_create(struct virtio_device **vdev, const struct virtio_share_config *config,
	      const struct virtio_env *env);

#endif

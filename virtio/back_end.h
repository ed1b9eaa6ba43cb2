/* SPDX-License-Identifier: GPL-2.0-only */
/* A file system (virtio 1.2, 5.11) or a disk (5.2) that another process serves over vhost-user. */
#ifndef VIRTIO_BACK_END_H
#define VIRTIO_BACK_END_H

#include <lkvm/virtio_vhost_user.h>
#include "device.h"

/* Connects to the back end, which must be there. Reported. */
int back_end_create(struct virtio_device **vdev, const struct virtio_back_end_config *config,
		    const struct virtio_env *env);

/* Answers what waits in a queue of such a device as its kind answers for an error, and interrupts. Lock held. */
void back_end_refuse_requests(struct virtio_device *vdev, struct virtq *vq);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets between host and guest (virtio 1.2, 5.10), served by the host's vhost-vsock. */
#ifndef VIRTIO_VSOCK_H
#define VIRTIO_VSOCK_H

#include <lkvm/virtio_vsock.h>
#include "device.h"

/* Takes the context ID for as long as the device lives. Reported: also that another guest has it. */
int vsock_create(struct virtio_device **vdev, uint32_t cid, const struct virtio_env *env);

#endif

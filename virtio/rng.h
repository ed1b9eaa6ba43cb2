/* SPDX-License-Identifier: GPL-2.0-only */
/* Entropy device (virtio 1.2, 5.4). */
#ifndef VIRTIO_RNG_H
#define VIRTIO_RNG_H

#include "device.h"

/* Most that one request gets; its buffers may be larger. */
#define RNG_REQUEST_MAX 0x10000

/* Reported. */
int rng_create(struct virtio_device **vdev, const struct virtio_env *env);

#endif

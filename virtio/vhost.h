/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Queues that the host's kernel serves (vhost-net, vhost-vsock): it reads the guest's kicks and raises its interrupts by
 * eventfds, and lkvm sleeps. A device that has such queues does the rest itself: its configuration, its other queues, and
 * to tell the back end by an ioctl of its own when to start (after vhost_start_queue()) and stop (before vhost_stop_queue()).
 *
 * Device's lock held, but in open and close, which are on the main thread.
 */
#ifndef VIRTIO_VHOST_H
#define VIRTIO_VHOST_H

#include <stdint.h>
#include <lkvm/loop.h>
#include "device.h"

#define VHOST_VRINGS_MAX 2

struct vhost;

struct vhost_vring {
	struct vhost *vhost;
	struct virtq *vq;         /* NULL: not started */
	struct loop_source call;  /* where the transport has no fd that interrupts: we do it */
	struct loop_source error; /* counted up when the back end gives up on the ring */
};

struct vhost {
	struct virtio_device *vdev;
	int fd;
	unsigned first, count; /* of the device's queues */
	struct vhost_vring vrings[VHOST_VRINGS_MAX];
	/* Whether what the back end could not do with a queue is the host's fault, not the driver's; NULL: never. */
	bool (*excused)(struct vhost *vhost, const struct virtq *vq);
};

/*
 * Opens a back end (/dev/vhost-net) for `count` queues of the device from its queue `first` on: before vhost_close() all
 * else of *vhost is left alone. Reported, with the cure. close accepts what open has failed with, and a second close.
 */
int vhost_open(struct vhost *vhost, struct virtio_device *vdev, const char *path, unsigned first,
	       unsigned count);
void vhost_close(struct vhost *vhost);

/* The features that the back end has, of rings and of its kind. Reported. */
int vhost_features(struct vhost *vhost, uint64_t *features);

/*
 * Tells it the features in force and where guest memory is. When a driver has come, before queues start. Reported.
 */
int vhost_set_up(struct vhost *vhost, uint64_t features);

/* Hands a queue that virtq_start() has accepted over, kick and call with it. Reported. */
int vhost_start_queue(struct vhost *vhost, struct virtq *vq);
/* Takes it back, unless it is not started. Nothing touches it any more. */
void vhost_stop_queue(struct vhost *vhost, struct virtq *vq);
/* virtio_device_class.call_changed */
void vhost_call_changed(struct vhost *vhost, struct virtq *vq);

/* Features of rings that no vhost of the kernel's has: for virtio_device.withheld. */
#define VHOST_LACKS (1ULL << VIRTIO_F_RING_PACKED)

#endif

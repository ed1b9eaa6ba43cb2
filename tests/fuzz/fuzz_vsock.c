// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a driver does to a vsock device's registers, and whenever: the host's vhost serves both queues or none, never
 * one that the driver has taken away, and none of a device that was reset. The input is actions, four bytes each.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/virtio_vsock.h>
#include "../unit/fake_virtio_door.h"
#include "../unit/virtio_rig.h"
#include "virtio/vsock.h"
#include "silence.h"

#define SERVED 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void select_queue(unsigned index)
{
	virtio_lock(vrig.vdev);
	vrig.vdev->queue_select = index;
	virtio_unlock(vrig.vdev);
}

static void negotiate(unsigned word, uint32_t features)
{
	virtio_lock(vrig.vdev);
	vrig.vdev->accepted_select = word;
	virtio_unlock(vrig.vdev);
	virtio_accept_features(vrig.vdev, features);
}

static void act(uint8_t action, uint8_t a, uint8_t b, uint8_t c)
{
	switch (action % 12) {
	case 0:
		virtio_set_status(vrig.vdev, a);
		break;
	case 1:
		negotiate(a, (uint32_t)b << 24 | c);
		break;
	case 2:
		select_queue(a);
		break;
	case 3:
		virtio_queue_set_size(vrig.vdev, (uint32_t)b << 8 | c);
		break;
	case 4:
		virtio_queue_set_address(vrig.vdev, a % 3, b & 1, (uint32_t)b << 24 | c << 12);
		break;
	case 5:
		virtio_queue_set_enabled(vrig.vdev, a & 1);
		break;
	case 6:
		virtio_queue_do_reset(vrig.vdev);
		break;
	case 7:
		virtio_kick(vrig.vdev, a);
		virtio_rig_pump();
		break;
	case 8:
		virtio_queue_set_vector(vrig.vdev, a);
		break;
	case 9:
		virtio_config_write(vrig.vdev, a, 1 << b % 4, c);
		break;
	case 10: /* a driver that does it right */
		if (virtio_rig_negotiate(a & 1 ? 1ULL << VIRTIO_F_RING_RESET : 0))
			for (unsigned i = 0; i < vrig.vdev->queue_count; i++)
				virtio_rig_set_up_queue(i, (uint16_t)(1 << b % 8));
		virtio_rig_driver_ok();
		break;
	default:
		virtio_queue_set_legacy(vrig.vdev, (uint32_t)a << 12 | b, 4096, c);
		break;
	}
}

static void check(const struct fake_vhost *vhost)
{
	assert(vhost->cid == 3 && virtio_config_read(vrig.vdev, 0, 8) == 3);
	for (unsigned i = 0; i < SERVED; i++) {
		const struct virtio_queue *queue = &vrig.vdev->queues[i];
		const struct fake_vring *vring = &vhost->vrings[i];

		assert(!vhost->running || vring->kick == queue->kick.fd);
		assert((vring->kick >= 0) == queue->kick_taken);
		assert(vring->kick < 0 || (queue->vq.ready && vring->size == queue->vq.size));
	}
	assert(!vhost->running || vrig.vdev->active);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fake_vhost *vhost = &fake_host.vhosts[0];
	struct virtio_device *vdev;
	int err;

	silence();
	fake_host_reset();
	fake_host.vhost_features |= 1ULL << VIRTIO_VSOCK_F_SEQPACKET;
	virtio_rig_begin();
	err = vsock_create(&vdev, 3, &vrig.env);
	assert(!err);
	virtio_rig_connect(vdev, size && data[0] & 0x80);
	for (; size >= 4; data += 4, size -= 4) {
		act(data[0], data[1], data[2], data[3]);
		check(vhost);
	}
	virtio_set_status(vdev, 0);
	assert(!vhost->running && vhost->vrings[0].kick < 0 && vhost->vrings[1].kick < 0);
	virtio_rig_end();
	fake_host_end();
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a driver gives a balloon: each chain comes back once, and only pages that it named leave the guest. The input
 * is a byte of features, then requests: queue, how many buffers, and for each of them two bytes for a page and a length.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ring.h>
#include "virtio/balloon.h"
#include "virtio_rig.h"
#include "silence.h"

#define BIT64(n) (1ULL << (n))
#define PAGE     4096ULL
#define LIST     (VRIG_RAM + (4ULL << 20)) /* of pages, out of the input */
#define FIRST    (VRIG_RAM + (8ULL << 20))
#define CANARY   (VRIG_RAM + (31ULL << 20)) /* a page that no list names */
#define BUFFERS  4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lists hold what the input says: pages near FIRST, but for those with the top bit, which are anywhere. */
static void write_list(const uint8_t *data, size_t size)
{
	uint32_t *list = virtio_rig_at(LIST, PAGE);

	for (size_t i = 0; i < PAGE / 4; i++) {
		uint32_t byte = size ? data[i % size] : 0;

		list[i] = byte & 0x80 ? byte * 0x01010101 : (uint32_t)(FIRST / PAGE) + byte;
	}
}

static void request(const uint8_t *at, unsigned size)
{
	struct virtq_driver *driver = &vrig.queues[at[0] % 5];
	unsigned count = at[1] % BUFFERS + 1, out = (at[1] >> 4) % (count + 1), used = 0;
	struct virtq_buffer buffers[BUFFERS];
	int id;

	for (unsigned i = 0; i < count; i++) {
		uint8_t place = at[(2 + 2 * i) % size], length = at[(3 + 2 * i) % size];

		buffers[i] = i < out ? (struct virtq_buffer){ LIST + place, length * 16U }
				     : (struct virtq_buffer){ FIRST + place * (PAGE / 2),
							      length * (PAGE / 2) };
	}
	id = virtq_driver_add(driver, buffers, out, count - out);
	if (id < 0)
		return;
	virtio_rig_kick(at[0] % 5);
	while (virtq_driver_used(driver, NULL, NULL))
		used++;
	assert(used <= 2);
	assert(used || at[0] % 5 == 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_device *vdev;
	uint64_t features = 0;
	int err;

	if (size < 8)
		return 0;
	silence();
	if (data[0] & 1)
		features |= BIT64(VIRTIO_F_RING_PACKED);
	if (data[0] & 2)
		features |= BIT64(VIRTIO_BALLOON_F_STATS_VQ);
	if ((data[0] & 12) == 4)
		features |= BIT64(VIRTIO_BALLOON_F_REPORTING);
	virtio_rig_begin();
	vrig.env.assigned = data[0] & 8;
	vrig.ram.page_size = PAGE << (data[0] >> 4 & 3);
	err = balloon_create(&vdev, NULL, &vrig.env);
	assert(!err);
	virtio_rig_connect(vdev, false);
	virtio_rig_start(features, 0);
	write_list(data + 1, size - 1);
	*(uint8_t *)virtio_rig_at(CANARY, 1) = 1;
	*(uint8_t *)virtio_rig_at(FIRST, 1) = 1;
	for (size_t at = 1; at + 4 <= size; at += 4)
		request(data + at, size - at < 10 ? (unsigned)(size - at) : 10);
	assert(*(uint8_t *)virtio_rig_at(CANARY, 1) == 1);
	assert(!(data[0] & 8) || *(uint8_t *)virtio_rig_at(FIRST, 1) == 1);
	virtio_rig_end();
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtio devices on either transport, by the modern interface (virtio 1.2, 4.1.4, 4.2.2) or, where a device has it, the
 * legacy one (4.1.4.8, 4.2.4), and split virtqueues that the caller fills as it likes.
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "lib.h"

#define VIRTIO_ACKNOWLEDGE 1
#define VIRTIO_DRIVER      2
#define VIRTIO_DRIVER_OK   4
#define VIRTIO_FEATURES_OK 8
#define VIRTIO_NEEDS_RESET 64

#define VIRTIO_F_INDIRECT  (1UL << 28)
#define VIRTIO_F_VERSION_1 (1UL << 32)

#define VIRTIO_NET     1
#define VIRTIO_BLK     2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG     4
#define VIRTIO_BALLOON 5
#define VIRTIO_9P      9

#define VIRTIO_DEVICES_MAX 8
#define VIRTIO_QUEUES_MAX  8 /* that are set up here */
#define VIRTIO_RING        8 /* descriptors of each, but where the device alone says how many */

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct virtq_avail {
	uint16_t flags, idx, ring[];
};

struct virtq_used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[];
};

/* Rings are in RAM_FREE. */
struct virtio_ring {
	struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	uint16_t size;
};

struct virtio_device {
	bool pci, legacy;
	unsigned number; /* of those found */
	uint32_t id;     /* VIRTIO_RNG, ... */
	uint64_t common; /* MMIO, legacy: all registers */
	uint64_t notify, config;
	uint32_t notify_multiplier;
	unsigned queues; /* at most VIRTIO_QUEUES_MAX */
	struct virtio_ring ring[VIRTIO_QUEUES_MAX];
};

/* All devices of both transports; how many. */
unsigned virtio_find(struct virtio_device *devices);

uint8_t virtio_status(const struct virtio_device *device);
/* 0 resets, and waits until it has. */
void virtio_set_status(const struct virtio_device *device, uint8_t status);
uint64_t virtio_offered(const struct virtio_device *device);
void virtio_accept(const struct virtio_device *device, uint64_t features);
uint16_t virtio_queue_max(const struct virtio_device *device, uint16_t queue);
bool virtio_queue_enabled(const struct virtio_device *device, uint16_t queue);
void virtio_queue_set_size(const struct virtio_device *device, uint16_t queue, uint16_t size);
/* part 0: descriptors, 1: driver area, 2: device area; of a modern device */
void virtio_queue_set_address(const struct virtio_device *device, uint16_t queue, unsigned part,
			      uint64_t address);
/* A legacy device is told where its page is; 0: that there is none. */
void virtio_queue_set_page(const struct virtio_device *device, uint16_t queue, uint32_t page);
void virtio_queue_enable(const struct virtio_device *device, uint16_t queue);
void virtio_kick(const struct virtio_device *device, uint16_t queue);

/* Reset, status and features (VERSION_1 and INDIRECT) up to FEATURES_OK, if there is one; whether the device took them. */
bool virtio_negotiate(const struct virtio_device *device);
/* All queues, empty, but not enabled. */
void virtio_queues_set_up(struct virtio_device *device);
/* All of it, up to DRIVER_OK; whether the device is content. */
bool virtio_start(struct virtio_device *device);

/* Makes descriptor chain `head` available and kicks. */
void virtio_offer(struct virtio_device *device, uint16_t queue, uint16_t head);

#endif

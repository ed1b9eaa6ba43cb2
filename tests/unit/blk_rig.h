/* SPDX-License-Identifier: GPL-2.0-only */
/* A block device on the virtio rig, whose disk is a file in the test's folder. */
#ifndef BLK_RIG_H
#define BLK_RIG_H

#include <linux/virtio_blk.h>
#include "files.h"
#include "virtio/blk_io.h"
#include "virtio_rig.h"

#define BLK_RIG_DATA (1 << 20) /* bytes that a request may have */
#define BLK_RIG_SIZE (1 << 20) /* bytes of the disk, if a test does not say otherwise */

struct blk_rig {
	struct virtio_disk_config config;
	uint64_t headers; /* guest-physical: each request has the next */
	unsigned offers;
	uint64_t header, data, status; /* of the last request; data is aligned to 4 KiB */
	uint32_t len;                  /* what the device gave for the last one */
};

extern struct blk_rig blk_rig;

/* setup/teardown of a cmocka test. */
int blk_rig_setup(void **state);
int blk_rig_teardown(void **state);

/* Byte n of a disk as it is made. */
uint8_t blk_rig_byte(uint64_t offset);
/* Makes the disk's file (size 0: as it is), and the device on it with options such as ",ro"; its driver is not there yet. */
struct blk *blk_rig_make(uint64_t size, const char *options);
/* The same, and started. */
struct blk *blk_rig_start(uint64_t size, const char *options, uint64_t features);
/* What the file holds by now. */
void blk_rig_file(uint64_t offset, void *bytes, size_t size);

/*
 * Offers one request with `size` bytes of data on queue 0; the status byte is 0xaa before. out: what to write, NULL: the
 * data is to be read. Returns its id.
 */
int blk_rig_offer(uint32_t type, uint64_t sector, const void *out, uint32_t size);
/* The same, kicks, waits for it; returns the status. What was read is at blk_rig_data(). */
uint8_t blk_rig_request(uint32_t type, uint64_t sector, const void *out, uint32_t size);
/* A discard or write zeroes of one range. */
uint8_t blk_rig_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags);
uint8_t *blk_rig_data(void);
uint8_t blk_rig_status(void);

/* The bytes are those that the disk had there when it was made. */
void blk_rig_assert_original(const uint8_t *bytes, uint64_t offset, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio device on a fake transport, with a loop and RAM, and the driver that uses it. The test makes the device with
 * vrig.env and gives it to virtio_rig_connect(); teardown destroys it.
 */
#ifndef VIRTIO_RIG_H
#define VIRTIO_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "virtio/device.h"
#include "virtq_driver.h"

#define VRIG_RAM      0x80000000ULL
#define VRIG_RAM_SIZE (32ULL << 20)

struct virtio_rig {
	struct loop loop;
	struct guest_mem ram;
	struct virtio_env env;
	struct virtio_device *vdev;
	struct virtq_driver queues[VIRTIO_QUEUES_MAX]; /* set up by virtio_rig_set_up_queue() */
	atomic_uint interrupts[VIRTIO_QUEUES_MAX], config_interrupts; /* that the device raised */
	int call_fds
		[VIRTIO_QUEUES_MAX]; /* what virtio_call_fd() says: -1 until a test changes it */
	uint64_t allocated;          /* bytes, by virtio_rig_alloc() */
};

extern struct virtio_rig vrig;

/* Around each test; files_setup() and files_teardown() are part of them. Or, for fuzz targets, without these. */
int virtio_rig_setup(void **state);
int virtio_rig_teardown(void **state);
void virtio_rig_begin(void);
void virtio_rig_end(void);

/* Puts the transport below a device, which is the rig's from now on. legacy: its driver uses the legacy interface. */
void virtio_rig_connect(struct virtio_device *vdev, bool legacy);
/* Destroys it, before its time. */
void virtio_rig_destroy_device(void);

/*
 * The driver's steps (virtio 1.2, 3.1.1): reset, ACKNOWLEDGE, DRIVER, features (VERSION_1 comes by itself), FEATURES_OK;
 * whether the device took them. Then each queue's place and size, split or packed as negotiated; then DRIVER_OK.
 */
bool virtio_rig_negotiate(uint64_t features);
void virtio_rig_set_up_queue(unsigned index, uint16_t size);
void virtio_rig_driver_ok(void);
/* All of it, each queue of `size` entries (0: as many as it can have); fails the test if the device is not in service then. */
void virtio_rig_start(uint64_t features, uint16_t size);
void virtio_rig_reset(void);

bool virtio_rig_needs_reset(void);

/* The main thread: handles what is ready; how many events that were. */
unsigned virtio_rig_pump(void);
/* The driver kicks a queue whatever the device said, and the main thread handles it. */
void virtio_rig_kick(unsigned queue);
/*
 * The main thread goes on until the device has used another chain of a queue, 10 s at most (the test fails then).
 * Returns the length the device gave; *id is the chain's, unless NULL.
 */
uint32_t virtio_rig_wait_used(unsigned queue, int *id);
/* One request and its answer: offers out buffers and then in, kicks, waits. The length the device gave. */
uint32_t virtio_rig_exchange(unsigned queue, const struct virtq_buffer *buffers, unsigned out,
			     unsigned in);

/* Guest memory: our address of [gpa, gpa + size), which must be RAM; `size` bytes, zeroed, that nothing else uses. */
void *virtio_rig_at(uint64_t gpa, uint64_t size);
uint64_t virtio_rig_alloc(uint64_t size);

/* A field of the configuration space as the driver reads it. */
uint64_t virtio_rig_config(unsigned offset, unsigned size);

#endif

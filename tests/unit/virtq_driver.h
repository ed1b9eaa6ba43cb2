/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The driver's half of a virtqueue, split or packed, in RAM that a test has made. It keeps the rules; a test that breaks
 * them writes into the ring itself (desc, avail, used, ring). One thread at a time; the device may run on another.
 */
#ifndef TESTS_VIRTQ_DRIVER_H
#define TESTS_VIRTQ_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_ring.h>
#include <lkvm/guest_mem.h>
#include "virtio/virtq.h"

/* A buffer in guest memory. */
struct virtq_buffer {
	uint64_t addr;
	uint32_t len;
};

struct virtq_driver {
	const struct guest_mem *ram;
	struct virtq_place place; /* for the device */
	uint16_t size;
	bool packed, event_idx;

	/* Split. */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	/* Packed. */
	struct vring_packed_desc *ring;
	struct vring_packed_desc_event *driver_event, *device_event;

	uint16_t free; /* descriptors that may be used; at most size */
	uint16_t next, last_used, kicked;
	bool next_wrap, used_wrap;
	uint16_t free_head;                 /* split: of the list through next_free[] */
	uint16_t next_free[VIRTQ_SIZE_MAX]; /* packed: of unused buffer IDs */
	uint16_t length[VIRTQ_SIZE_MAX];    /* of a chain, by its id */
};

enum { VIRTQ_DRIVER_PACKED = 1, VIRTQ_DRIVER_EVENT_IDX = 2 };

/* A ring of `size` entries at gpa `at`, zeroed, page-aligned parts; takes virtq_driver_bytes() of RAM. */
void virtq_driver_init(struct virtq_driver *driver, const struct guest_mem *ram, uint64_t at,
		       uint16_t size, unsigned flags);
uint64_t virtq_driver_bytes(void);
/* Sets vq up on the same ring, as a transport does, and starts it. */
void virtq_driver_start(const struct virtq_driver *driver, struct virtq *vq, bool indirect);

/*
 * Makes a chain of `out` buffers to read and then `in` to write available. Returns its id, which used() tells again, or
 * -1: the ring has no room. add_indirect() takes one slot, and the table is put at gpa `table`.
 */
int virtq_driver_add(struct virtq_driver *driver, const struct virtq_buffer *buffers, unsigned out,
		     unsigned in);
int virtq_driver_add_indirect(struct virtq_driver *driver, uint64_t table,
			      const struct virtq_buffer *buffers, unsigned out, unsigned in);

/* Takes the next used chain; false: there is none. id and len may be NULL. */
bool virtq_driver_used(struct virtq_driver *driver, int *id, uint32_t *len);

/* Whether what was added since the last call needs a notification. */
bool virtq_driver_kick(struct virtq_driver *driver);
/* Wants to be interrupted, at the next used chain, or not. With EVENT_IDX split cannot be told no for good. */
void virtq_driver_want_interrupts(struct virtq_driver *driver, bool want);
/* EVENT_IDX: wants to be interrupted when `ahead` more than the next one (packed: slots) are used. */
void virtq_driver_interrupt_at(struct virtq_driver *driver, unsigned ahead);

#endif

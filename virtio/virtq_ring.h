/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two formats of a virtqueue have in common, and what each of them must do. Wire structures and flags are those
 * of <linux/virtio_ring.h>; both ends are little-endian.
 *
 * The guest may write into a ring at any moment. So what is read is read once, and ring indices and flags are acquired or
 * released. Where one side's store must be ordered against its own later load (virtio 1.2,
 * 2.7.7.2, 2.7.10.1, 2.8.10.1), both are sequentially consistent.
 */
#ifndef VIRTIO_VIRTQ_RING_H
#define VIRTIO_VIRTQ_RING_H

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <linux/virtio_ring.h>
#include "virtq.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are read as they are");
static_assert(sizeof(struct vring_desc) == 16 && sizeof(struct vring_packed_desc) == 16,
	      "descriptors (virtio 1.2, 2.7.5, 2.8.13)");

/* A descriptor of 16 bytes, each read once, whatever its alignment. */
void virtq_copy_desc(void *to, const void *from);

/* Breaks the queue; returns -EPROTO. The first reason stays. */
int virtq_break(struct virtq *vq, const char *why);

/* Checks one descriptor's buffer and appends it. -EPROTO: broken. */
int virtq_chain_add(struct virtq *vq, struct virtq_chain *chain, uint64_t addr, uint32_t len,
		    uint16_t flags);
/* The table that a descriptor with VRING_DESC_F_INDIRECT refers to: its host address and entries. -EPROTO: broken. */
int virtq_indirect_table(struct virtq *vq, uint64_t addr, uint32_t len, uint16_t flags,
			 const void **table, unsigned *entries);

/* Of a queue that is ready and not broken; as the functions in virtq.h of the same name. */
int virtq_split_pop(struct virtq *vq, struct virtq_chain *chain);
bool virtq_split_has_chain(struct virtq *vq);
void virtq_split_take_over(struct virtq *vq);
void virtq_split_fill(struct virtq *vq, uint16_t id, uint32_t written, unsigned ahead);
void virtq_split_publish(struct virtq *vq, unsigned count);
bool virtq_split_interrupts(struct virtq *vq, uint32_t used);
void virtq_split_spare_kicks(struct virtq *vq);
void virtq_split_want_kicks(struct virtq *vq);

int virtq_packed_pop(struct virtq *vq, struct virtq_chain *chain);
bool virtq_packed_has_chain(struct virtq *vq);
void virtq_packed_unpop(struct virtq *vq, uint16_t slots);
void virtq_packed_fill(struct virtq *vq, uint16_t id, uint16_t slots, uint32_t written,
		       unsigned ahead);
void virtq_packed_publish(struct virtq *vq);
bool virtq_packed_interrupts(struct virtq *vq, uint32_t used);
void virtq_packed_spare_kicks(struct virtq *vq);
void virtq_packed_want_kicks(struct virtq *vq);

#endif

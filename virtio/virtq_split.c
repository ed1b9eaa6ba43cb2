// SPDX-License-Identifier: GPL-2.0-only
/* Split virtqueues (virtio 1.2, 2.7). */
#include "virtq_ring.h"

static struct vring_avail *avail_ring(const struct virtq *vq)
{
	return vq->driver;
}

static struct vring_used *used_ring(const struct virtq *vq)
{
	return vq->device;
}

/* Behind the available ring: from which used index on the driver wants to be interrupted. */
static const uint16_t *used_event(const struct virtq *vq)
{
	return &avail_ring(vq)->ring[vq->size];
}

/* Behind the used ring: from which available index on we want to be notified. */
static uint16_t *avail_event(const struct virtq *vq)
{
	return (uint16_t *)&used_ring(vq)->ring[vq->size];
}

/*
 * The driver's index has been read. What it offers and what we have not given back are descriptors of one table, so that
 * there are never more of both together than the queue has.
 */
static bool take_avail_idx(struct virtq *vq, uint16_t idx)
{
	if ((uint16_t)(idx - vq->next_used) > vq->size ||
	    (uint16_t)(idx - vq->next_used) < (uint16_t)(vq->next_avail - vq->next_used)) {
		virtq_break(vq, "its available index is ahead by more than the queue's size");
		return false;
	}
	vq->avail_idx = idx;
	return vq->next_avail != idx;
}

bool virtq_split_has_chain(struct virtq *vq)
{
	return vq->next_avail != vq->avail_idx ||
	       take_avail_idx(vq, __atomic_load_n(&avail_ring(vq)->idx, __ATOMIC_SEQ_CST));
}

/* None seen: asks to be notified of the next, unless told not to, and looks once more. */
static bool await_chain(struct virtq *vq)
{
	if (virtq_split_has_chain(vq))
		return true;
	if (vq->broken || vq->no_notify || !vq->event_idx)
		return false;
	virtq_split_want_kicks(vq);
	return virtq_split_has_chain(vq);
}

/*
 * Follows a chain through the descriptor table and, at its end, through an indirect one (virtio 1.2, 2.7.5.3). Each
 * table is visited for as many descriptors as it has: more would be a loop.
 */
static int read_chain(struct virtq *vq, struct virtq_chain *chain, unsigned index)
{
	const void *table = vq->desc;
	unsigned entries = vq->size;
	struct vring_desc desc;
	bool indirect = false;
	int err;

	for (unsigned left = entries; left > 0; left--) {
		if (index >= entries)
			return virtq_break(vq, "a descriptor is outside of its table");
		virtq_copy_desc(&desc, (const struct vring_desc *)table + index);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (indirect)
				return virtq_break(vq,
						   "an indirect descriptor in an indirect table");
			err = virtq_indirect_table(vq, desc.addr, desc.len, desc.flags, &table,
						   &entries);
			if (err)
				return err;
			indirect = true;
			index = 0;
			left = entries + 1;
			continue;
		}
		err = virtq_chain_add(vq, chain, desc.addr, desc.len, desc.flags);
		if (err || !(desc.flags & VRING_DESC_F_NEXT))
			return err;
		index = desc.next;
	}
	return virtq_break(vq, "a chain of descriptors loops");
}

int virtq_split_pop(struct virtq *vq, struct virtq_chain *chain)
{
	const struct vring_avail *avail = avail_ring(vq);
	int err;

	if (!await_chain(vq))
		return vq->broken ? -EPROTO : 0;
	chain->id =
		__atomic_load_n(&avail->ring[vq->next_avail & (vq->size - 1)], __ATOMIC_RELAXED);
	err = read_chain(vq, chain, chain->id);
	if (err)
		return err;
	vq->next_avail++;
	return 1;
}

void virtq_split_fill(struct virtq *vq, uint16_t id, uint32_t written, unsigned ahead)
{
	used_ring(vq)->ring[(vq->next_used + ahead) & (vq->size - 1)] =
		(struct vring_used_elem){ .id = id, .len = written };
}

void virtq_split_publish(struct virtq *vq, unsigned count)
{
	vq->next_used += count;
	__atomic_store_n(&used_ring(vq)->idx, vq->next_used, __ATOMIC_SEQ_CST);
}

bool virtq_split_interrupts(struct virtq *vq, uint32_t used)
{
	uint16_t event;

	if (!vq->event_idx)
		return !(__atomic_load_n(&avail_ring(vq)->flags, __ATOMIC_SEQ_CST) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(used_event(vq), __ATOMIC_SEQ_CST);
	return (uint16_t)(vq->next_used - event - 1) < used;
}

/* With EVENT_IDX the event that the driver has passed already does not come again. */
void virtq_split_spare_kicks(struct virtq *vq)
{
	if (!vq->event_idx)
		__atomic_store_n(&used_ring(vq)->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

void virtq_split_want_kicks(struct virtq *vq)
{
	if (vq->event_idx)
		__atomic_store_n(avail_event(vq), vq->next_avail, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&used_ring(vq)->flags, 0, __ATOMIC_SEQ_CST);
}

void virtq_split_take_over(struct virtq *vq)
{
	vq->next_used = __atomic_load_n(&used_ring(vq)->idx, __ATOMIC_ACQUIRE);
	vq->next_avail = vq->avail_idx = vq->next_used;
	virtq_split_want_kicks(vq);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Packed virtqueues (virtio 1.2, 2.8). */
#include "virtq_ring.h"

#define F_AVAIL (1 << VRING_PACKED_DESC_F_AVAIL)
#define F_USED  (1 << VRING_PACKED_DESC_F_USED)

static struct vring_packed_desc *slot(const struct virtq *vq, unsigned index)
{
	return (struct vring_packed_desc *)vq->desc + index;
}

/* Of our wrap counter's lap, and not yet used (virtio 1.2, 2.8.1). */
static bool is_available(const struct virtq *vq, uint16_t flags)
{
	bool avail = flags & F_AVAIL, used = flags & F_USED;

	return avail == vq->avail_wrap && used != vq->avail_wrap;
}

/* Whether the next slot holds a chain, whose first descriptor has the flags told. */
static bool see_chain(const struct virtq *vq, uint16_t *flags)
{
	*flags = __atomic_load_n(&slot(vq, vq->next_avail)->flags, __ATOMIC_SEQ_CST);
	return is_available(vq, *flags);
}

bool virtq_packed_has_chain(struct virtq *vq)
{
	uint16_t flags;

	return see_chain(vq, &flags);
}

/* None seen: asks to be notified of the next, unless told not to, and looks once more. */
static bool await_chain(struct virtq *vq, uint16_t *flags)
{
	if (see_chain(vq, flags))
		return true;
	if (vq->no_notify || !vq->event_idx)
		return false;
	virtq_packed_want_kicks(vq);
	return see_chain(vq, flags);
}

/* Slots that are not in our hands: as much as a driver can have filled. */
static unsigned free_slots(const struct virtq *vq)
{
	unsigned taken = vq->next_avail - vq->next_used;

	if (vq->avail_wrap != vq->used_wrap)
		taken += vq->size;
	return vq->size - taken;
}

/* All entries of an indirect table are one buffer (virtio 1.2, 2.8.7). */
static int read_table(struct virtq *vq, struct virtq_chain *chain,
		      const struct vring_packed_desc *desc)
{
	struct vring_packed_desc entry;
	const void *table;
	unsigned entries;
	int err = virtq_indirect_table(vq, desc->addr, desc->len, desc->flags, &table, &entries);

	for (unsigned i = 0; i < entries && !err; i++) {
		virtq_copy_desc(&entry, (const struct vring_packed_desc *)table + i);
		if (entry.flags & VRING_DESC_F_INDIRECT)
			return virtq_break(vq, "an indirect descriptor in an indirect table");
		err = virtq_chain_add(vq, chain, entry.addr, entry.len, entry.flags);
	}
	return err;
}

static void advance(const struct virtq *vq, uint16_t *index, bool *wrap, unsigned slots)
{
	unsigned next = *index + slots;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	*index = (uint16_t)next;
}

/* The head's flags were read already, with all that the driver had written before it set them. */
int virtq_packed_pop(struct virtq *vq, struct virtq_chain *chain)
{
	unsigned room = free_slots(vq), slots = 0, index = vq->next_avail;
	struct vring_packed_desc desc;
	uint16_t head_flags;
	int err;

	if (!await_chain(vq, &head_flags))
		return 0;
	do {
		if (slots == room)
			return virtq_break(vq, "a chain of descriptors is longer than the ring");
		virtq_copy_desc(&desc, slot(vq, index));
		if (!slots)
			desc.flags = head_flags;
		if (desc.flags & VRING_DESC_F_INDIRECT)
			err = read_table(vq, chain, &desc);
		else
			err = virtq_chain_add(vq, chain, desc.addr, desc.len, desc.flags);
		if (err)
			return err;
		slots++;
		if (++index == vq->size)
			index = 0;
	} while (desc.flags & VRING_DESC_F_NEXT);
	chain->id = desc.id;
	chain->slots = (uint16_t)slots;
	advance(vq, &vq->next_avail, &vq->avail_wrap, slots);
	return 1;
}

void virtq_packed_unpop(struct virtq *vq, uint16_t slots)
{
	if (vq->next_avail < slots) {
		vq->next_avail += vq->size;
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->next_avail -= slots;
}

/*
 * A used descriptor stands in the first slot of its chain, and the driver reads them in order (virtio 1.2, 2.8.9): the
 * flags of the first withhold all others.
 */
void virtq_packed_fill(struct virtq *vq, uint16_t id, uint16_t slots, uint32_t written,
		       unsigned ahead)
{
	uint16_t index = vq->next_used, flags = written ? VRING_DESC_F_WRITE : 0;
	struct vring_packed_desc *desc;
	bool wrap = vq->used_wrap;

	if (!ahead)
		vq->filled_slots = 0;
	advance(vq, &index, &wrap, vq->filled_slots);
	if (wrap)
		flags |= F_AVAIL | F_USED;
	desc = slot(vq, index);
	desc->id = id;
	desc->len = written;
	if (ahead)
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELEASE);
	else
		vq->filled_flags = flags;
	vq->filled_slots += slots;
}

void virtq_packed_publish(struct virtq *vq)
{
	__atomic_store_n(&slot(vq, vq->next_used)->flags, vq->filled_flags, __ATOMIC_SEQ_CST);
	advance(vq, &vq->next_used, &vq->used_wrap, vq->filled_slots);
}

/* Both halves of an event suppression structure (virtio 1.2, 2.8.14) at once. */
union event {
	struct vring_packed_desc_event parts;
	uint32_t whole;
};

/* Whether the slot that the driver has named is among the last `used` slots. */
bool virtq_packed_interrupts(struct virtq *vq, uint32_t used)
{
	union event event = { .whole = __atomic_load_n((const uint32_t *)vq->driver,
						       __ATOMIC_SEQ_CST) };
	unsigned off = event.parts.off_wrap & 0x7fff, back = vq->next_used;

	if (!vq->event_idx || event.parts.flags != VRING_PACKED_EVENT_FLAG_DESC)
		return event.parts.flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (event.parts.off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR != vq->used_wrap)
		back += vq->size;
	return off < back && back - off <= used;
}

static void tell_driver(struct virtq *vq, uint16_t flags, uint16_t off_wrap)
{
	union event event = { .parts = { .off_wrap = off_wrap, .flags = flags } };

	__atomic_store_n((uint32_t *)vq->device, event.whole, __ATOMIC_SEQ_CST);
}

void virtq_packed_spare_kicks(struct virtq *vq)
{
	tell_driver(vq, VRING_PACKED_EVENT_FLAG_DISABLE, 0);
}

void virtq_packed_want_kicks(struct virtq *vq)
{
	uint16_t wrap = vq->avail_wrap ? 1 << VRING_PACKED_EVENT_F_WRAP_CTR : 0;

	if (vq->event_idx)
		tell_driver(vq, VRING_PACKED_EVENT_FLAG_DESC, vq->next_avail | wrap);
	else
		tell_driver(vq, VRING_PACKED_EVENT_FLAG_ENABLE, 0);
}

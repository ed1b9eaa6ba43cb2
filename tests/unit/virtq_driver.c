// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <stddef.h>
#include <string.h>
#include "virtq_driver.h"

#define PART 0x2000 /* bytes for one part of a ring of up to VIRTQ_SIZE_MAX entries */

#define F_AVAIL (1 << VRING_PACKED_DESC_F_AVAIL)
#define F_USED  (1 << VRING_PACKED_DESC_F_USED)

uint64_t virtq_driver_bytes(void)
{
	return 3 * PART;
}

void virtq_driver_init(struct virtq_driver *driver, const struct guest_mem *ram, uint64_t at,
		       uint16_t size, unsigned flags)
{
	uint8_t *host = guest_mem_range(ram, at, 3 * PART);

	assert(host && size && size <= VIRTQ_SIZE_MAX);
	memset(host, 0, 3 * PART);
	*driver = (struct virtq_driver){
		.ram = ram,
		.place = { at, at + PART, at + 2 * PART },
		.size = size,
		.packed = flags & VIRTQ_DRIVER_PACKED,
		.event_idx = flags & VIRTQ_DRIVER_EVENT_IDX,
		.desc = (void *)host,
		.avail = (void *)(host + PART),
		.used = (void *)(host + 2 * PART),
		.ring = (void *)host,
		.driver_event = (void *)(host + PART),
		.device_event = (void *)(host + 2 * PART),
		.free = size,
		.next_wrap = true,
		.used_wrap = true,
	};
	for (unsigned i = 0; i < size; i++)
		driver->next_free[i] = (uint16_t)(i + 1);
}

void virtq_driver_start(const struct virtq_driver *driver, struct virtq *vq, bool indirect)
{
	int err;

	vq->size = driver->size;
	vq->place = driver->place;
	vq->packed = driver->packed;
	vq->event_idx = driver->event_idx;
	vq->indirect = indirect;
	err = virtq_start(vq, driver->ram);
	assert(!err);
}

static uint16_t desc_flags(unsigned i, unsigned out, unsigned count)
{
	return (i >= out ? VRING_DESC_F_WRITE : 0) | (i + 1 < count ? VRING_DESC_F_NEXT : 0);
}

static int take_id(struct virtq_driver *driver)
{
	uint16_t id = driver->free_head;

	driver->free_head = driver->next_free[id];
	return id;
}

/* Split: the descriptors of next_free's list; its last goes on to the next free one. */
static void split_describe(struct virtq_driver *driver, const struct virtq_buffer *buffers,
			   const uint16_t *flags, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int id = take_id(driver);

		driver->desc[id] = (struct vring_desc){ buffers[i].addr, buffers[i].len, flags[i],
							driver->free_head };
	}
}

static void split_offer(struct virtq_driver *driver, uint16_t head)
{
	__atomic_store_n(&driver->avail->ring[driver->next & (driver->size - 1)], head,
			 __ATOMIC_RELAXED);
	driver->next++;
	__atomic_store_n(&driver->avail->idx, driver->next, __ATOMIC_SEQ_CST);
}

/* Packed: consecutive slots; the head's flags make all of them available. */
static void packed_offer(struct virtq_driver *driver, uint16_t id,
			 const struct virtq_buffer *buffers, const uint16_t *flags, unsigned count)
{
	struct vring_packed_desc *head = &driver->ring[driver->next];
	uint16_t head_flags = 0;

	for (unsigned i = 0; i < count; i++) {
		struct vring_packed_desc *desc = &driver->ring[driver->next];
		uint16_t now = flags[i] | (driver->next_wrap ? F_AVAIL : F_USED);

		desc->addr = buffers[i].addr;
		desc->len = buffers[i].len;
		desc->id = id;
		if (i)
			desc->flags = now;
		else
			head_flags = now;
		if (++driver->next == driver->size) {
			driver->next = 0;
			driver->next_wrap = !driver->next_wrap;
		}
	}
	__atomic_store_n(&head->flags, head_flags, __ATOMIC_SEQ_CST);
}

static int offer(struct virtq_driver *driver, const struct virtq_buffer *buffers,
		 const uint16_t *flags, unsigned count)
{
	uint16_t head = driver->free_head;

	if (count > driver->free)
		return -1;
	driver->free -= count;
	driver->length[head] = (uint16_t)count;
	driver->kicked += count;
	if (driver->packed) {
		take_id(driver);
		packed_offer(driver, head, buffers, flags, count);
	} else {
		split_describe(driver, buffers, flags, count);
		split_offer(driver, head);
	}
	return head;
}

int virtq_driver_add(struct virtq_driver *driver, const struct virtq_buffer *buffers, unsigned out,
		     unsigned in)
{
	uint16_t flags[VIRTQ_SIZE_MAX];

	assert(out + in && out + in <= VIRTQ_SIZE_MAX);
	for (unsigned i = 0; i < out + in; i++)
		flags[i] = desc_flags(i, out, out + in);
	return offer(driver, buffers, flags, out + in);
}

int virtq_driver_add_indirect(struct virtq_driver *driver, uint64_t table,
			      const struct virtq_buffer *buffers, unsigned out, unsigned in)
{
	uint32_t bytes = (out + in) * sizeof(struct vring_desc);
	const struct virtq_buffer all = { table, bytes };
	const uint16_t flags = VRING_DESC_F_INDIRECT;
	uint8_t *host = guest_mem_range(driver->ram, table, bytes);

	assert(host);
	for (unsigned i = 0; i < out + in; i++, host += sizeof(struct vring_desc)) {
		uint16_t of_desc = desc_flags(i, out, out + in);
		const struct vring_packed_desc packed = { buffers[i].addr, buffers[i].len, 0,
							  of_desc & VRING_DESC_F_WRITE };
		const struct vring_desc split = { buffers[i].addr, buffers[i].len, of_desc,
						  (uint16_t)(i + 1) };

		if (driver->packed)
			memcpy(host, &packed, sizeof(packed));
		else
			memcpy(host, &split, sizeof(split));
	}
	return offer(driver, &all, &flags, 1);
}

static bool split_used(struct virtq_driver *driver, int *id, uint32_t *len)
{
	const struct vring_used_elem *elem;

	if (__atomic_load_n(&driver->used->idx, __ATOMIC_SEQ_CST) == driver->last_used)
		return false;
	elem = &driver->used->ring[driver->last_used & (driver->size - 1)];
	*id = (int)elem->id;
	*len = elem->len;
	driver->last_used++;
	return true;
}

static bool packed_used(struct virtq_driver *driver, int *id, uint32_t *len)
{
	const struct vring_packed_desc *desc = &driver->ring[driver->last_used];
	uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_SEQ_CST);

	if (!(flags & F_AVAIL) != !(flags & F_USED) || !(flags & F_USED) == driver->used_wrap)
		return false;
	*id = desc->id;
	*len = flags & VRING_DESC_F_WRITE ? desc->len : 0;
	assert(*id < driver->size);
	driver->last_used += driver->length[*id];
	if (driver->last_used >= driver->size) {
		driver->last_used -= driver->size;
		driver->used_wrap = !driver->used_wrap;
	}
	return true;
}

/* Split: the chain's descriptors are linked as they were taken. */
static void put_back(struct virtq_driver *driver, uint16_t head)
{
	uint16_t last = head;

	assert(driver->length[head]);
	for (unsigned i = 1; i < driver->length[head] && !driver->packed; i++)
		last = driver->desc[last].next;
	driver->next_free[last] = driver->free_head;
	driver->free_head = head;
	driver->free += driver->length[head];
	driver->length[head] = 0;
}

bool virtq_driver_used(struct virtq_driver *driver, int *id, uint32_t *len)
{
	uint32_t some_len;
	int some_id;

	if (!(driver->packed ? packed_used : split_used)(driver, &some_id, &some_len))
		return false;
	assert(some_id >= 0 && some_id < driver->size);
	put_back(driver, (uint16_t)some_id);
	if (id)
		*id = some_id;
	if (len)
		*len = some_len;
	return true;
}

/* As Linux does it: the event's distance from where we are now, modulo 2^16 (virtio 1.2, 2.7.10, 2.8.21). */
static bool passed(uint16_t event, uint16_t now, uint16_t added)
{
	return (uint16_t)(now - event - 1) < added;
}

bool virtq_driver_kick(struct virtq_driver *driver)
{
	uint16_t added = driver->kicked, event;
	uint32_t both;

	driver->kicked = 0;
	if (!driver->packed && driver->event_idx) {
		const uint16_t *at = (const uint16_t *)&driver->used->ring[driver->size];

		return passed(__atomic_load_n(at, __ATOMIC_SEQ_CST), driver->next, added);
	}
	if (!driver->packed)
		return !(__atomic_load_n(&driver->used->flags, __ATOMIC_SEQ_CST) &
			 VRING_USED_F_NO_NOTIFY);
	both = __atomic_load_n((const uint32_t *)driver->device_event, __ATOMIC_SEQ_CST);
	if (both >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return both >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	event = both & 0x7fff;
	if ((both >> 15 & 1) != driver->next_wrap)
		event -= driver->size;
	return passed(event, driver->next, added);
}

static void tell_device(struct virtq_driver *driver, uint16_t flags, unsigned slot, bool wrap)
{
	uint32_t both = (uint32_t)flags << 16 | (wrap ? 0x8000 : 0) | slot;

	__atomic_store_n((uint32_t *)driver->driver_event, both, __ATOMIC_SEQ_CST);
}

void virtq_driver_interrupt_at(struct virtq_driver *driver, unsigned ahead)
{
	unsigned slot = driver->last_used + ahead;

	assert(driver->event_idx);
	if (!driver->packed)
		__atomic_store_n(&driver->avail->ring[driver->size], (uint16_t)slot,
				 __ATOMIC_SEQ_CST);
	else if (slot < driver->size)
		tell_device(driver, VRING_PACKED_EVENT_FLAG_DESC, slot, driver->used_wrap);
	else
		tell_device(driver, VRING_PACKED_EVENT_FLAG_DESC, slot - driver->size,
			    !driver->used_wrap);
}

void virtq_driver_want_interrupts(struct virtq_driver *driver, bool want)
{
	if (driver->event_idx && (want || !driver->packed))
		virtq_driver_interrupt_at(driver, want ? 0 : 0x8000);
	else if (driver->packed)
		tell_device(driver,
			    want ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE,
			    0, false);
	else
		__atomic_store_n(&driver->avail->flags, want ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
				 __ATOMIC_SEQ_CST);
}

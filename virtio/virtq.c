// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <stddef.h>
#include <string.h>
#include "virtq_ring.h"

void virtq_init(struct virtq *vq, unsigned index, uint16_t max)
{
	assert(max && max <= VIRTQ_SIZE_MAX && !(max & (max - 1)));
	*vq = (struct virtq){ .index = index, .max = max };
}

void virtq_reset(struct virtq *vq)
{
	virtq_init(vq, vq->index, vq->max);
}

int virtq_break(struct virtq *vq, const char *why)
{
	if (!vq->broken)
		vq->why = why;
	vq->broken = true;
	return -EPROTO;
}

/* Sizes and alignments of a queue's parts (virtio 1.2, 2.7, 2.8). */
struct part {
	uint64_t at;
	size_t size, align;
	void **host;
	const char *misplaced;
};

static int locate(struct virtq *vq, const struct part *part)
{
	void *host = guest_mem_range(vq->ram, part->at, part->size);

	if (!host || part->at % part->align) {
		vq->why = part->misplaced;
		return -EINVAL;
	}
	*part->host = host;
	return 0;
}

int virtq_start(struct virtq *vq, const struct guest_mem *ram)
{
	size_t event = vq->event_idx ? sizeof(uint16_t) : 0;
	size_t avail = sizeof(struct vring_avail) + vq->size * sizeof(uint16_t) + event;
	size_t used = sizeof(struct vring_used) + vq->size * sizeof(struct vring_used_elem) + event;
	size_t suppression = sizeof(struct vring_packed_desc_event);
	const struct part parts[] = {
		{ vq->place.desc, vq->size * sizeof(struct vring_desc), 16, &vq->desc,
		  "its descriptors are not aligned or not in RAM" },
		{ vq->place.driver, vq->packed ? suppression : avail, vq->packed ? 4 : 2,
		  &vq->driver, "its driver area is not aligned or not in RAM" },
		{ vq->place.device, vq->packed ? suppression : used, 4, &vq->device,
		  "its device area is not aligned or not in RAM" },
	};
	int err = 0;

	vq->ready = false;
	if (!vq->size || vq->size > vq->max || (!vq->packed && vq->size & (vq->size - 1))) {
		vq->why = "its size is not one it can have";
		return -EINVAL;
	}
	vq->ram = ram;
	for (unsigned i = 0; i < 3 && !err; i++)
		err = locate(vq, &parts[i]);
	if (err)
		return err;
	vq->next_avail = vq->next_used = vq->avail_idx = 0;
	vq->avail_wrap = vq->used_wrap = true;
	vq->unsignalled = 0;
	vq->no_notify = vq->broken = false;
	vq->why = NULL;
	vq->ready = true;
	return 0;
}

void virtq_copy_desc(void *to, const void *from)
{
	if ((uintptr_t)from % sizeof(uint64_t)) {
		for (unsigned i = 0; i < sizeof(struct vring_desc); i++)
			((uint8_t *)to)[i] =
				__atomic_load_n((const uint8_t *)from + i, __ATOMIC_RELAXED);
	} else {
		const uint64_t halves[] = {
			__atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED),
			__atomic_load_n((const uint64_t *)from + 1, __ATOMIC_RELAXED),
		};

		memcpy(to, halves, sizeof(halves));
	}
}

int virtq_chain_add(struct virtq *vq, struct virtq_chain *chain, uint64_t addr, uint32_t len,
		    uint16_t flags)
{
	unsigned count = chain->out + chain->in;
	bool in = flags & VRING_DESC_F_WRITE;
	void *host;

	if (!len)
		return 0;
	if (count == VIRTQ_SIZE_MAX)
		return virtq_break(vq, "a chain has too many descriptors");
	if (!in && chain->in)
		return virtq_break(vq, "a buffer to read follows one to write");
	host = guest_mem_range(vq->ram, addr, len);
	if (!host)
		return virtq_break(vq, "a buffer is not in RAM");
	chain->iov[count] = (struct iovec){ .iov_base = host, .iov_len = len };
	if (in) {
		chain->in++;
		chain->in_bytes += len;
	} else {
		chain->out++;
		chain->out_bytes += len;
	}
	return 0;
}

/* VRING_DESC_F_WRITE is ignored here (virtio 1.2, 2.7.5.3.2). */
int virtq_indirect_table(struct virtq *vq, uint64_t addr, uint32_t len, uint16_t flags,
			 const void **table, unsigned *entries)
{
	*entries = len / sizeof(struct vring_desc);
	*table = guest_mem_range(vq->ram, addr, len);
	if (!vq->indirect)
		return virtq_break(vq, "an indirect descriptor that was not negotiated");
	if (flags & VRING_DESC_F_NEXT)
		return virtq_break(vq, "an indirect descriptor is not its chain's last");
	if (!len || len % sizeof(struct vring_desc) || *entries > VIRTQ_SIZE_MAX)
		return virtq_break(vq, "an indirect table has a size it cannot have");
	if (!*table)
		return virtq_break(vq, "an indirect table is not in RAM");
	return 0;
}

static bool serves(const struct virtq *vq)
{
	return vq->ready && !vq->broken;
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	if (!serves(vq))
		return vq->broken ? -EPROTO : 0;
	chain->slots = 1;
	chain->out = chain->in = 0;
	chain->out_bytes = chain->in_bytes = 0;
	return vq->packed ? virtq_packed_pop(vq, chain) : virtq_split_pop(vq, chain);
}

bool virtq_has_chain(struct virtq *vq)
{
	if (!serves(vq))
		return false;
	return vq->packed ? virtq_packed_has_chain(vq) : virtq_split_has_chain(vq);
}

uint16_t virtq_take_over(struct virtq *vq)
{
	assert(!vq->packed);
	if (serves(vq))
		virtq_split_take_over(vq);
	return vq->next_avail;
}

void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain)
{
	if (vq->packed)
		virtq_packed_unpop(vq, chain->slots);
	else
		vq->next_avail--;
}

static void fill(struct virtq *vq, uint16_t id, uint16_t slots, uint32_t written, unsigned ahead)
{
	if (vq->packed)
		virtq_packed_fill(vq, id, slots, written, ahead);
	else
		virtq_split_fill(vq, id, written, ahead);
}

void virtq_fill(struct virtq *vq, const struct virtq_chain *chain, uint32_t written, unsigned ahead)
{
	if (serves(vq))
		fill(vq, chain->id, chain->slots, written, ahead);
}

/* Saturates: a driver that polls for long is then interrupted once too often. */
static void count_used(struct virtq *vq, unsigned used)
{
	if (__builtin_add_overflow(vq->unsignalled, used, &vq->unsignalled))
		vq->unsignalled = UINT32_MAX;
}

void virtq_publish(struct virtq *vq, unsigned count)
{
	if (!serves(vq) || !count)
		return;
	count_used(vq, vq->packed ? vq->filled_slots : count);
	if (vq->packed)
		virtq_packed_publish(vq);
	else
		virtq_split_publish(vq, count);
}

void virtq_push_id(struct virtq *vq, uint16_t id, uint16_t slots, uint32_t written)
{
	if (!serves(vq))
		return;
	fill(vq, id, slots, written, 0);
	virtq_publish(vq, 1);
}

void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written)
{
	virtq_push_id(vq, chain->id, chain->slots, written);
}

bool virtq_interrupts(struct virtq *vq)
{
	uint32_t used = vq->unsignalled;

	vq->unsignalled = 0;
	if (!serves(vq) || !used)
		return false;
	return vq->packed ? virtq_packed_interrupts(vq, used) : virtq_split_interrupts(vq, used);
}

void virtq_spare_kicks(struct virtq *vq)
{
	if (!serves(vq) || vq->no_notify)
		return;
	vq->no_notify = true;
	if (vq->packed)
		virtq_packed_spare_kicks(vq);
	else
		virtq_split_spare_kicks(vq);
}

bool virtq_want_kicks(struct virtq *vq)
{
	if (!serves(vq))
		return false;
	vq->no_notify = false;
	if (vq->packed)
		virtq_packed_want_kicks(vq);
	else
		virtq_split_want_kicks(vq);
	return virtq_has_chain(vq);
}

// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_ring.h>
#include "virtio/virtq.h"
#include "virtq_fuzz.h"

#define BASE     0x80000000ULL
#define RAM_SIZE 0x10000
#define DRIVER   0x2000
#define DEVICE   0x4000
#define TABLE    0x6000
#define ENTRIES  8 /* that an input has of its own; rings may be larger, with zeros there */

/* An address below 4 GiB is an offset into RAM, so that most are near it. */
struct fuzz_ring {
	uint16_t size;
	uint8_t flags; /* bit 0: EVENT_IDX, 1: indirect, 2: addresses are as they are */
	uint8_t places;
	struct vring_desc desc[ENTRIES], table[ENTRIES];
	uint8_t driver[4 + 2 * ENTRIES + 2];
};

struct fuzz {
	struct guest_mem ram;
	struct virtq vq;
	struct virtq_chain chain;
	struct {
		uint16_t id, slots;
	} flight[VIRTQ_SIZE_MAX];
	unsigned in_flight;
};

static void copy_table(struct fuzz *fuzz, size_t at, const struct vring_desc *table, bool as_is)
{
	struct vring_desc desc;

	for (unsigned i = 0; i < ENTRIES; i++) {
		memcpy(&desc, &table[i], sizeof(desc));
		if (!as_is && !(desc.addr >> 32))
			desc.addr += BASE;
		memcpy(fuzz->ram.host + at + i * sizeof(desc), &desc, sizeof(desc));
	}
}

/* The last byte of RAM is the last of an allocation: who goes beyond it is seen. */
static bool start(struct fuzz *fuzz, const struct fuzz_ring *ring, bool packed)
{
	uint64_t skew = ring->places & 1 ? ring->places : 0;

	fuzz->ram = (struct guest_mem){ .base = BASE,
					.size = RAM_SIZE,
					.host = aligned_alloc(4096, RAM_SIZE) };
	assert(fuzz->ram.host);
	memset(fuzz->ram.host, 0, RAM_SIZE);
	copy_table(fuzz, 0, ring->desc, ring->flags & 4);
	copy_table(fuzz, TABLE, ring->table, ring->flags & 4);
	memcpy(fuzz->ram.host + DRIVER, ring->driver, sizeof(ring->driver));
	virtq_init(&fuzz->vq, 0, VIRTQ_SIZE_MAX);
	fuzz->vq.size = ring->size;
	fuzz->vq.packed = packed;
	fuzz->vq.event_idx = ring->flags & 1;
	fuzz->vq.indirect = ring->flags & 2;
	fuzz->vq.place =
		(struct virtq_place){ BASE, BASE + DRIVER, BASE + DEVICE + (skew << 8) + skew / 2 };
	return !virtq_start(&fuzz->vq, &fuzz->ram);
}

static void check_chain(const struct fuzz *fuzz)
{
	const struct virtq_chain *chain = &fuzz->chain;
	uint64_t bytes[2] = { 0, 0 };

	assert(chain->out + chain->in <= VIRTQ_SIZE_MAX);
	assert(chain->slots >= 1 && chain->slots <= fuzz->vq.size);
	for (unsigned i = 0; i < chain->out + chain->in; i++) {
		const struct iovec *iov = &chain->iov[i];
		size_t offset = (size_t)((uint8_t *)iov->iov_base - fuzz->ram.host);

		assert(iov->iov_len && iov->iov_len <= RAM_SIZE);
		assert(offset < RAM_SIZE && offset + iov->iov_len <= RAM_SIZE);
		bytes[i >= chain->out] += iov->iov_len;
	}
	assert(bytes[0] == chain->out_bytes && bytes[1] == chain->in_bytes);
}

static void pop(struct fuzz *fuzz, bool put_back)
{
	bool was_broken = fuzz->vq.broken, seen = virtq_has_chain(&fuzz->vq);
	int result = virtq_pop(&fuzz->vq, &fuzz->chain);

	assert(!was_broken || result == -EPROTO);
	assert(fuzz->vq.broken == (result == -EPROTO) && fuzz->vq.broken == !!fuzz->vq.why);
	assert(!seen || result);
	if (result != 1)
		return;
	check_chain(fuzz);
	if (put_back) {
		virtq_unpop(&fuzz->vq, &fuzz->chain);
		assert(virtq_has_chain(&fuzz->vq));
		return;
	}
	assert(fuzz->in_flight < fuzz->vq.size);
	fuzz->flight[fuzz->in_flight].id = fuzz->chain.id;
	fuzz->flight[fuzz->in_flight++].slots = fuzz->chain.slots;
}

static void push(struct fuzz *fuzz, unsigned which)
{
	if (!fuzz->in_flight)
		return;
	which %= fuzz->in_flight;
	virtq_push_id(&fuzz->vq, fuzz->flight[which].id, fuzz->flight[which].slots, which);
	fuzz->flight[which] = fuzz->flight[--fuzz->in_flight];
}

static void push_all(struct fuzz *fuzz)
{
	unsigned count = fuzz->in_flight;

	for (unsigned i = 0; i < count; i++) {
		fuzz->chain.id = fuzz->flight[i].id;
		fuzz->chain.slots = fuzz->flight[i].slots;
		virtq_fill(&fuzz->vq, &fuzz->chain, i, i);
	}
	virtq_publish(&fuzz->vq, count);
	fuzz->in_flight = 0;
}

/* The driver makes more available, as drivers do. */
static void offer(struct fuzz *fuzz)
{
	struct vring_packed_desc *slot = (void *)fuzz->ram.host;
	struct vring_avail *avail = (void *)(fuzz->ram.host + DRIVER);
	uint16_t wraps[] = { 1 << VRING_PACKED_DESC_F_USED, 1 << VRING_PACKED_DESC_F_AVAIL };

	if (!fuzz->vq.packed) {
		avail->idx++;
	} else {
		slot += fuzz->vq.next_avail;
		slot->flags &= ~(wraps[0] | wraps[1]);
		slot->flags |= wraps[fuzz->vq.avail_wrap];
	}
}

static void act(struct fuzz *fuzz, uint8_t action, const uint8_t *arg)
{
	switch (action % 10) {
	case 0:
	case 1:
		pop(fuzz, action % 10);
		break;
	case 2:
		push(fuzz, action / 10);
		break;
	case 3:
		push_all(fuzz);
		break;
	case 4:
		virtq_interrupts(&fuzz->vq);
		break;
	case 5:
		virtq_spare_kicks(&fuzz->vq);
		break;
	case 6:
		virtq_want_kicks(&fuzz->vq);
		break;
	case 7:
		offer(fuzz);
		break;
	default:
		fuzz->ram.host[(action / 10 % 4 * 0x2000 + arg[0]) % RAM_SIZE] = arg[1];
		break;
	}
}

void virtq_fuzz(const uint8_t *data, size_t size, bool packed)
{
	struct fuzz fuzz = { .in_flight = 0 };
	struct fuzz_ring ring;

	if (size < sizeof(ring) + 2)
		return;
	memcpy(&ring, data, sizeof(ring));
	if (start(&fuzz, &ring, packed))
		for (size_t i = sizeof(ring); i + 2 < size; i++)
			act(&fuzz, data[i], data + i + 1);
	free(fuzz.ram.host);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtqueues (virtio 1.2, 2.6-2.8), split and packed: the only code that reads a descriptor. All that a guest can put
 * into one is checked here; a device gets chains of this process's addresses. Whatever breaks the rules breaks the queue
 * (`broken`), which then yields nothing more until it is set up anew.
 *
 * No lock: the device's guards its queues. No state but struct virtq's, no side effect but on guest memory.
 */
#ifndef VIRTIO_VIRTQ_H
#define VIRTIO_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <lkvm/guest_mem.h>

#define VIRTQ_SIZE_MAX 256 /* descriptors of a ring, of an indirect table, of a chain */

/* A chain the driver made available: out pieces that the device reads, then in pieces that it writes. */
struct virtq_chain {
	uint16_t id;    /* split: index of the head; packed: buffer ID */
	uint16_t slots; /* packed: of the ring, that it takes */
	unsigned out, in;
	uint64_t out_bytes, in_bytes;
	struct iovec iov[VIRTQ_SIZE_MAX]; /* out of them, then in of them; none is empty */
};

/* Where the driver has put a queue's parts: guest-physical. Packed: the ring, driver and device event suppression. */
struct virtq_place {
	uint64_t desc, driver, device;
};

struct virtq {
	unsigned index; /* of the device's queues */
	uint16_t max;   /* entries, a power of two; set at creation */
	uint16_t size;  /* entries that the driver has chosen; 0: not set up */
	struct virtq_place place;
	bool packed, event_idx, indirect; /* as negotiated, taken by virtq_start() */
	bool ready;                       /* started */
	bool broken;
	const char *why; /* what broke it, for a message; static */

	/* Started: host addresses, and where we are. Private to virtq*.c. */
	const struct guest_mem *ram;
	void *desc, *driver, *device;
	uint16_t next_avail; /* split: index; packed: slot */
	uint16_t next_used;
	uint16_t avail_idx;    /* split: of the driver, when it was last read */
	uint16_t filled_slots; /* packed: by virtq_fill() since the last virtq_publish() */
	uint16_t filled_flags; /* packed: of the first of these, which shows them all */
	bool avail_wrap, used_wrap;
	bool no_notify;       /* the driver need not kick */
	uint32_t unsignalled; /* split: entries, packed: slots used since virtq_interrupts() */
};

/* Makes a queue with room for max entries; not set up. */
void virtq_init(struct virtq *vq, unsigned index, uint16_t max);
/* As it was after virtq_init(). */
void virtq_reset(struct virtq *vq);

/*
 * Takes the queue into service: size a power of two (packed: any) up to max, parts aligned, wholly in RAM, disjoint from
 * nothing: the driver may overlap them to its own harm. packed, event_idx, indirect are set by the caller. -EINVAL with
 * why set: refused, not ready.
 */
int virtq_start(struct virtq *vq, const struct guest_mem *ram);

/*
 * Takes the next chain. 1: there is one; 0: none (after which the driver will kick again); -EPROTO: broken, now or
 * before. Every descriptor is read once. A chain has at most VIRTQ_SIZE_MAX pieces, split where guest memory is not
 * contiguous (it is one range). Empty descriptors vanish; a chain may have no piece at all.
 */
int virtq_pop(struct virtq *vq, struct virtq_chain *chain);
/* Whether virtq_pop() would find something; does not ask for kicks. */
bool virtq_has_chain(struct virtq *vq);
/*
 * Split: another process has served the queue and does no more. Goes on where the used ring tells that it got to, as if
 * chains were used in the order they were offered in, and wants kicks. Returns the index of the next available entry.
 */
uint16_t virtq_take_over(struct virtq *vq);
/* Puts the last popped chain back: it is the next once more. Only directly after its virtq_pop(). */
void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain);

/*
 * Gives a chain back with `written` bytes in its in pieces (virtio 1.2, 2.7.8.2). In any order. The driver sees it at
 * once, but virtq_interrupts() tells whether it wants to be interrupted.
 */
void virtq_push(struct virtq *vq, const struct virtq_chain *chain, uint32_t written);
/* The same by what is left of a chain when it has been served: its id and slots. */
void virtq_push_id(struct virtq *vq, uint16_t id, uint16_t slots, uint32_t written);

/*
 * Several chains that the driver must see at once (mergeable receive buffers, virtio 1.2, 5.1.6.4): entry `ahead` places
 * after the next used one is written but not shown; then virtq_publish() shows `count` of them.
 */
void virtq_fill(struct virtq *vq, const struct virtq_chain *chain, uint32_t written,
		unsigned ahead);
void virtq_publish(struct virtq *vq, unsigned count);

/*
 * Whether the driver wants an interrupt for what was pushed since the last call (virtio 1.2, 2.7.7.2, 2.7.10, 2.8.10).
 * Once a batch.
 */
bool virtq_interrupts(struct virtq *vq);

/* The driver need not kick until virtq_want_kicks(), which tells whether something came meanwhile: pop again then. */
void virtq_spare_kicks(struct virtq *vq);
bool virtq_want_kicks(struct virtq *vq);

#endif

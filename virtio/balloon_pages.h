/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which of the guest's pages are in the balloon. Those are pages of 4 KiB (virtio 1.2, 5.5.6), the host's may be larger:
 * one of the host's is given back when all of it is in the balloon.
 */
#ifndef VIRTIO_BALLOON_PAGES_H
#define VIRTIO_BALLOON_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/guest_mem.h>

#define BALLOON_PAGE_SHIFT VIRTIO_BALLOON_PFN_SHIFT

struct balloon_pages {
	const struct guest_mem *ram;
	uint64_t *inside;    /* a bit for each page of RAM; NULL: nothing is ever given back */
	uint64_t start, end; /* guest-physical: to be given back at the next flush */
};

/* -ENOMEM, not reported. fini accepts a zeroed one. */
int balloon_pages_init(struct balloon_pages *pages, const struct guest_mem *ram);
void balloon_pages_fini(struct balloon_pages *pages);

/* Puts a page in, takes one out. False: it is no page of RAM. */
bool balloon_pages_put(struct balloon_pages *pages, uint32_t pfn);
bool balloon_pages_take(struct balloon_pages *pages, uint32_t pfn);
/* After the last of several put: neighbours are given back together. */
void balloon_pages_flush(struct balloon_pages *pages);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <linux/virtio_balloon.h>
#include "balloon_pages.h"

#define WORD 64

int balloon_pages_init(struct balloon_pages *pages, const struct guest_mem *ram)
{
	uint64_t count = ram->size >> BALLOON_PAGE_SHIFT;

	*pages = (struct balloon_pages){ .ram = ram };
	pages->inside = calloc(count / WORD + 1, sizeof(*pages->inside));
	return pages->inside ? 0 : -ENOMEM;
}

void balloon_pages_fini(struct balloon_pages *pages)
{
	free(pages->inside);
	*pages = (struct balloon_pages){ 0 };
}

/* The page's number in RAM, or false. */
static bool find(const struct balloon_pages *pages, uint32_t pfn, uint64_t *page)
{
	uint64_t gpa = (uint64_t)pfn << BALLOON_PAGE_SHIFT;

	if (!guest_mem_range(pages->ram, gpa, 1ULL << BALLOON_PAGE_SHIFT))
		return false;
	*page = (gpa - pages->ram->base) >> BALLOON_PAGE_SHIFT;
	return true;
}

static bool all_inside(const struct balloon_pages *pages, uint64_t first, uint64_t count)
{
	uint64_t mask = (1ULL << (count % WORD)) - 1;

	if (count < WORD)
		return !(~(pages->inside[first / WORD] >> (first % WORD)) & mask);
	for (uint64_t i = 0; i < count / WORD; i++)
		if (~pages->inside[first / WORD + i])
			return false;
	return true;
}

/* RAM that cannot be discarded stays with the guest's process: nothing is lost but the room. */
void balloon_pages_flush(struct balloon_pages *pages)
{
	if (pages->start < pages->end)
		guest_mem_discard(pages->ram, pages->start, pages->end - pages->start);
	pages->start = pages->end = 0;
}

/* Drivers take their pages in rising or in falling order. */
static void add_to_run(struct balloon_pages *pages, uint64_t start, uint64_t end)
{
	if (pages->start < pages->end && start == pages->end) {
		pages->end = end;
	} else if (pages->start < pages->end && end == pages->start) {
		pages->start = start;
	} else {
		balloon_pages_flush(pages);
		pages->start = start;
		pages->end = end;
	}
}

bool balloon_pages_put(struct balloon_pages *pages, uint32_t pfn)
{
	uint64_t count, page, start;

	if (!find(pages, pfn, &page))
		return false;
	pages->inside[page / WORD] |= 1ULL << (page % WORD);
	count = pages->ram->page_size >> BALLOON_PAGE_SHIFT;
	page &= ~(count - 1);
	start = pages->ram->base + (page << BALLOON_PAGE_SHIFT);
	if (all_inside(pages, page, count))
		add_to_run(pages, start, start + pages->ram->page_size);
	return true;
}

bool balloon_pages_take(struct balloon_pages *pages, uint32_t pfn)
{
	uint64_t page;

	if (!find(pages, pfn, &page))
		return false;
	pages->inside[page / WORD] &= ~(1ULL << (page % WORD));
	return true;
}

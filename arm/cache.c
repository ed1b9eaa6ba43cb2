// SPDX-License-Identifier: GPL-2.0-only
#include <stdint.h>
#include <lkvm/cache.h>

#ifdef __aarch64__

/* DminLine of CTR_EL0: log2 of the words in the smallest line of a data cache. */
static size_t line_size(void)
{
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	return (size_t)4 << (ctr >> 16 & 0xf);
}

void cache_clean(const void *at, size_t size)
{
	size_t line = line_size();
	uintptr_t end = (uintptr_t)at + size;

	for (uintptr_t address = (uintptr_t)at & ~(line - 1); address < end; address += line)
		__asm__ volatile("dc cvac, %0" : : "r"(address) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
}

#else /* a build for tests on another machine, where no guest runs */

void cache_clean(const void *at, size_t size)
{
	(void)at;
	(void)size;
}

#endif

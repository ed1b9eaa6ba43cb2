// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest is told in its FDT (Devicetree Specification 0.4, chapter 5): length and checksum of the command line, the
 * seeds, and RAM, both ends of which it touches.
 */
#include "lib.h"

enum { FDT_BEGIN_NODE = 1, FDT_END_NODE = 2, FDT_PROP = 3, FDT_NOP = 4 };
enum { HEADER_STRUCT = 2, HEADER_STRINGS = 3 }; /* words */

static uint32_t be32(const void *p)
{
	return __builtin_bswap32(*(const uint32_t *)p);
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* FNV-1a: enough to tell one value from another. */
static uint32_t checksum(const uint8_t *data, uint32_t size)
{
	uint32_t sum = 2166136261U;

	while (size--)
		sum = (sum ^ *data++) * 16777619U;
	return sum;
}

static void touch_ram(const uint8_t *reg)
{
	uint64_t base = (uint64_t)be32(reg) << 32 | be32(reg + 4);
	uint64_t size = (uint64_t)be32(reg + 8) << 32 | be32(reg + 12);

	print("memory 0x%lx 0x%lx\n", base, size);
	write64(base + size - 8, 0x0123456789abcdef);
	check(read64(base + size - 8) == 0x0123456789abcdef, "the last word of RAM");
	check(read64(base + size) != 0x0123456789abcdef, "RAM ends there");
	read64(base);
}

static void property(const char *name, const uint8_t *value, uint32_t size)
{
	if (equal(name, "bootargs"))
		print("bootargs %u %08x\n", size ? size - 1 : 0,
		      checksum(value, size ? size - 1 : 0));
	else if (equal(name, "kaslr-seed") || equal(name, "rng-seed"))
		print("%s %u %08x\n", name, size, checksum(value, size));
	else if (equal(name, "linux,initrd-start"))
		print("initrd-start 0x%x%08x\n", be32(value), be32(value + 4));
}

void guest_main(const void *fdt)
{
	const uint32_t *header = fdt;
	const uint8_t *p = (const uint8_t *)fdt + be32(header + HEADER_STRUCT);
	const char *strings = (const char *)fdt + be32(header + HEADER_STRINGS);
	bool in_memory = false;

	for (;;) {
		uint32_t token = be32(p);

		p += 4;
		if (token == FDT_BEGIN_NODE) {
			const char *name = (const char *)p;

			in_memory = name[0] == 'm' && name[1] == 'e' && name[2] == 'm';
			while (*p++)
				;
		} else if (token == FDT_PROP) {
			uint32_t size = be32(p);
			const char *name = strings + be32(p + 4);

			p += 8;
			property(name, p, size);
			if (in_memory && equal(name, "reg"))
				touch_ram(p);
			p += size;
		} else if (token != FDT_END_NODE && token != FDT_NOP) {
			break;
		}
		p = (const uint8_t *)(((uint64_t)p + 3) & ~3UL);
	}
}

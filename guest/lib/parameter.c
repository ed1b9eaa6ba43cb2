// SPDX-License-Identifier: GPL-2.0-only
#include "lib.h"

/* The tree is searched as bytes: somewhere it has the command line. */
uint64_t parameter(const void *tree, const char *name, unsigned base)
{
	const char *fdt = tree;
	uint32_t size = __builtin_bswap32(*(const uint32_t *)(fdt + 4));
	uint64_t value = 0;

	for (uint32_t at = 0; at + 64 < size; at++) {
		unsigned n = 0;

		while (name[n] && fdt[at + n] == name[n])
			n++;
		if (name[n])
			continue;
		for (const char *p = fdt + at + n;; p++) {
			unsigned digit =
				*p >= 'a' ? (unsigned)(*p - 'a') + 10 : (unsigned)(*p - '0');

			if (digit >= base)
				return value;
			value = value * base + digit;
		}
	}
	return 0;
}

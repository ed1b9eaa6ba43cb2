// SPDX-License-Identifier: GPL-2.0-only
/* Prints 68 KiB, more than a pipe holds, and nothing else: 1088 lines of 64 bytes, numbered. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	for (unsigned n = 0; n < 1088; n++)
		print("%08x 0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQ\n", n);
	power_off();
}

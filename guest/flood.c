// SPDX-License-Identifier: GPL-2.0-only
/* Prints 1 MiB and nothing else: 16384 lines of 64 bytes, numbered. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	for (unsigned n = 0; n < 16384; n++)
		print("%08x 0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQ\n", n);
	power_off();
}

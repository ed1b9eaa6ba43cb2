// SPDX-License-Identifier: GPL-2.0-only
/* Prints 64 KiB and nothing else: 1024 lines of 64 bytes, numbered. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	for (unsigned n = 0; n < 1024; n++)
		print("%08x 0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQ\n", n);
	power_off();
}

// SPDX-License-Identifier: GPL-2.0-only
/* Never leaves the CPU of its own accord, interrupts masked. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	print("spin\n");
	for (;;)
		asm volatile("" : : : "memory");
}

// SPDX-License-Identifier: GPL-2.0-only
/* Waits for an interrupt that never comes. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	print("hang\n");
	for (;;)
		asm volatile("wfi");
}

// SPDX-License-Identifier: GPL-2.0-only
/* Says that it has panicked, as a kernel does through pvpanic, and goes on for ever. */
#include "lib.h"

#define PVPANIC_PANICKED     0x1
#define PVPANIC_CRASH_LOADED 0x2

void guest_main(const void *fdt)
{
	(void)fdt;
	check(read8(PVPANIC_BASE) == (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED),
	      "events pvpanic knows");
	write8(PVPANIC_BASE, PVPANIC_CRASH_LOADED);
	check(true, "a crash kernel that takes over is no end");
	panic();
}

// SPDX-License-Identifier: GPL-2.0-only
/* PSCI SYSTEM_RESET. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	print("reset\n");
	system_reset();
}

// SPDX-License-Identifier: GPL-2.0-only
/* PSCI SYSTEM_RESET2, an architectural warm reset (DEN 0022, 5.20). */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	print("reset2\n");
	psci(PSCI_SYSTEM_RESET2, 0, 0, 0);
	check(false, "SYSTEM_RESET2 does not return");
}

// SPDX-License-Identifier: GPL-2.0-only
/* The only vCPU goes off: a guest in which nothing runs any more. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	print("cpu-off\n");
	psci(PSCI_CPU_OFF, 0, 0, 0);
	check(false, "CPU_OFF does not return");
}

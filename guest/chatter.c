// SPDX-License-Identifier: GPL-2.0-only
/* Never stops printing. */
#include "lib.h"

void guest_main(const void *fdt)
{
	(void)fdt;
	for (unsigned n = 0;; n++)
		print("chatter %u\n", n);
}

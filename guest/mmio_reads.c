// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the bench: so many loads of one byte from an address, and off. Its command line says which: "reads=20000
 * from=1000007", the address in hexadecimal. It prints nothing and so runs on any machine, wherever its RAM is.
 */
#include "lib.h"

void guest_main(const void *fdt)
{
	uint64_t reads = parameter(fdt, "reads=", 10), from = parameter(fdt, "from=", 16);

	while (reads--)
		read8(from);
	power_off();
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waits for a key, then reads its own image 8 MiB on: the test makes the file that long, and has cut it meanwhile, so that
 * KVM finds no memory behind the page.
 */
#include "lib.h"

void guest_main(const void *fdt)
{
	uint32_t value;

	(void)fdt;
	print("ready\n");
	uart_getc();
	value = read32(RAM_BASE + 0x80000 + 8 * SZ_1M);
	print("read 0x%x\n", value);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Returns its input in upper case, up to a 'q'. */
#include "lib.h"

void guest_main(const void *fdt)
{
	int c;

	(void)fdt;
	print("echo\n");
	while ((c = uart_getc()) != 'q')
		uart_putc((char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
	print("\n");
}

// SPDX-License-Identifier: GPL-2.0-only
#include <lkvm/escape.h>

#define CTRL_A 0x01

unsigned escape_take(struct escape *escape, uint8_t byte, uint8_t bytes[ESCAPE_BYTES])
{
	unsigned count = 0;

	if (!escape->begun && byte == CTRL_A && escape->loop) {
		escape->begun = true;
		return 0;
	}
	if (escape->begun && byte == 'x') {
		escape->begun = false;
		loop_end(escape->loop, RUN_QUIT);
		return 0;
	}
	if (escape->begun && byte != CTRL_A)
		bytes[count++] = CTRL_A;
	escape->begun = false;
	bytes[count++] = byte;
	return count;
}

unsigned escape_end(struct escape *escape, uint8_t bytes[ESCAPE_BYTES])
{
	if (!escape->begun)
		return 0;
	escape->begun = false;
	bytes[0] = CTRL_A;
	return 1;
}

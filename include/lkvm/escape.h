/* SPDX-License-Identifier: GPL-2.0-only */
/* The escape in what a user types: Ctrl-a x ends the run, Ctrl-a Ctrl-a is one Ctrl-a, Ctrl-a and anything else is both. */
#ifndef LKVM_ESCAPE_H
#define LKVM_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/loop.h>

#define ESCAPE_BYTES 2 /* that one byte typed may bring */

struct escape {
	struct loop *loop; /* that Ctrl-a x ends; NULL: nothing is an escape */
	bool begun;        /* a Ctrl-a was typed, what it means is still to come */
};

/* What the guest gets when `byte` is typed, in bytes[]; returns how many. */
unsigned escape_take(struct escape *escape, uint8_t byte, uint8_t bytes[ESCAPE_BYTES]);
/* The same at the input's end: a Ctrl-a that was last is the guest's. */
unsigned escape_end(struct escape *escape, uint8_t bytes[ESCAPE_BYTES]);

#endif

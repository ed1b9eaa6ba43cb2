/* SPDX-License-Identifier: GPL-2.0-only */
/* Results as TAP, on standard output. */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>

/* One test. Returns whether it is ok. */
bool ok(bool good, const char *name, ...) __attribute__((format(printf, 2, 3)));

/* One test: a call that returns 0 or -errno returned this. */
bool returns(int got, int wanted, const char *name, ...) __attribute__((format(printf, 3, 4)));

/* Prints the plan. Returns the exit status: 0 if all tests were ok. */
int tap_end(void);

/* The tests cannot go on: something they need is missing. */
void bail_out(const char *why, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

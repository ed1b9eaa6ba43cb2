// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tap.h"

static int tests;
static int failed;

static void result(bool good, const char *name, va_list ap)
{
	tests++;
	failed += !good;
	printf("%sok %d - ", good ? "" : "not ", tests);
	vprintf(name, ap);
	putchar('\n');
}

bool ok(bool good, const char *name, ...)
{
	va_list ap;

	va_start(ap, name);
	result(good, name, ap);
	va_end(ap);
	return good;
}

bool returns(int got, int wanted, const char *name, ...)
{
	va_list ap;

	va_start(ap, name);
	result(got == wanted, name, ap);
	va_end(ap);
	if (got != wanted)
		printf("# got: %s, wanted: %s\n", got < 0 ? strerror(-got) : "success",
		       wanted < 0 ? strerror(-wanted) : "success");
	return got == wanted;
}

int tap_end(void)
{
	printf("1..%d\n", tests);
	return failed || !tests;
}

void bail_out(const char *why, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, why);
	vprintf(why, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

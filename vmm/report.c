// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <lkvm/report.h>

/* One write(2) a message, so that messages of several threads do not mix. */
static void print_line(const char *label, const char *cause, const char *fmt, va_list args)
{
	char text[1024];
	int len = vsnprintf(text, sizeof(text), fmt, args);

	if (len < 0)
		return;
	if (cause)
		fprintf(stderr, "  %s: %s: %s\n", label, text, cause);
	else
		fprintf(stderr, "  %s: %s\n", label, text);
}

static bool level_wants(int priority)
{
	return setlogmask(0) & LOG_MASK(priority);
}

int report(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_line("Fatal", strerror(-err), fmt, args);
	va_end(args);
	return err;
}

int refuse(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_line("Fatal", NULL, fmt, args);
	va_end(args);
	return err;
}

void report_warning(const char *fmt, ...)
{
	va_list args;

	if (!level_wants(LOG_WARNING))
		return;
	va_start(args, fmt);
	print_line("Warning", NULL, fmt, args);
	va_end(args);
}

void report_info(const char *fmt, ...)
{
	va_list args;

	if (!level_wants(LOG_INFO))
		return;
	va_start(args, fmt);
	print_line("Info", NULL, fmt, args);
	va_end(args);
}

void report_debug(const char *fmt, ...)
{
	va_list args;

	if (!level_wants(LOG_DEBUG))
		return;
	va_start(args, fmt);
	print_line("Debug", NULL, fmt, args);
	va_end(args);
}

void report_once(atomic_bool *said, const char *fmt, ...)
{
	va_list args;

	if (!level_wants(LOG_WARNING) || atomic_exchange(said, true))
		return;
	va_start(args, fmt);
	print_line("Warning", NULL, fmt, args);
	va_end(args);
}

void report_set_level(int priority)
{
	setlogmask(LOG_UPTO(priority));
}

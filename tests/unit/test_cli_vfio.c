// SPDX-License-Identifier: GPL-2.0-only
/* The vfio verb: how it may be called; test_vfio_check tells what it prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../cli/cli.h"
#include "files.h"

/* Words separated by blanks. */
static int call(const char *line)
{
	char text[200], *argv[8], *save = NULL;
	int argc = 0;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	return cli_vfio(argc, argv);
}

static void wrong_calls_are_usage_errors(void **state)
{
	static const char *const cases[][2] = {
		{ "vfio", "list, check or irqs?" },
		{ "vfio frobnicate", "no such command: frobnicate" },
		{ "vfio list 00:01.0", "lkvm vfio list takes no argument, not 00:01.0" },
		{ "vfio check", "which function?" },
		{ "vfio check --json", "which function?" },
		{ "vfio check 00:01.0 00:02.0", "takes one function, not also 00:02.0" },
		{ "vfio check 00:01.0 --xml", "xml" },
		{ "vfio check 00:01.0,guest=1", "is no PCI address" },
		{ "vfio irqs", "takes the name of a report, which?" },
		{ "vfio irqs one two", "takes the name of a report, and nothing else" },
		{ "vfio check --json eth0", "eth0 is no PCI address" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stderr_keep();
		assert_int_equal(call(cases[i][0]), EXIT_STATUS_USAGE);
		assert_reported(cases[i][1]);
	}
}

static void help_can_be_asked_for_anywhere(void **state)
{
	static const char *const cases[] = { "vfio --help", "vfio -h", "vfio help",
					     "vfio list --help", "vfio check --help" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(call(cases[i]), 0);
}

/* No host has a domain of this number. */
static void a_function_that_is_not_there_is_not_ready(void **state)
{
	(void)state;
	assert_int_equal(call("vfio check abcdef0:ff:1f.7"), EXIT_STATUS_ERROR);
	assert_int_equal(call("vfio check --json abcdef0:ff:1f.7"), EXIT_STATUS_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_calls_are_usage_errors),
		cmocka_unit_test(help_can_be_asked_for_anywhere),
		cmocka_unit_test(a_function_that_is_not_there_is_not_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* lkvm run --console: which console the machine gets, and what it and its ports are connected to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "run_rig.h"

static char seen[256];

static void see(const char *name, const char *in, const char *out)
{
	size_t len = strlen(seen);

	snprintf(seen + len, sizeof(seen) - len, "%s<%s>%s ", name, in ? in : "-", out ? out : "-");
}

static void see_console(const struct machine_config *config)
{
	seen[0] = 0;
	see(config->console_virtio ? "virtio" : "serial", config->console_in, config->console_out);
	for (unsigned n = 0; n < config->port_count; n++)
		see(config->ports[n].name, config->ports[n].in, config->ports[n].out);
}

static int setup(void **state)
{
	int err = run_setup(state);

	made.inspect = see_console;
	return err;
}

static void consoles_are_what_is_asked_for(void **state)
{
	static const char *const cases[][2] = {
		{ "serial", "serial<->- " },
		{ "serial,out=log", "serial<->log " },
		{ "serial,in=fd:3", "serial<fd:3>- " },
		{ "serial,out=a=b,in=c d", "serial<c d>a=b " },
		{ "serial,in=x,in=y", "serial<y>- " },
		{ "virtio", "virtio<->- " },
		{ "virtio,in=x,out=y", "virtio<x>y " },
		{ "virtio,port=a", "virtio<->- a<->- " },
		{ "virtio,out=o,port=a,in=1,port=b,in=2,out=3", "virtio<->o a<1>- b<2>3 " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(RUN_IMAGE("--console", cases[i][0]), 0);
		assert_string_equal(seen, cases[i][1]);
	}
}

static void what_is_none_is_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "", "is neither serial nor virtio" },
		{ "x", "x is neither serial nor virtio" },
		{ "hvc", "hvc is neither" },
		{ "serials", "serials is neither" },
		{ "serial out=x", "is neither" },
		{ "serial,", "is none of out=FILE" },
		{ "serial,,", "is none of" },
		{ "serial,out", "out is none of" },
		{ "serial,out=", "out= is none of" },
		{ "serial,in=", "in= is none of" },
		{ "serial,in=a,", "is none of" },
		{ "serial,to=x", "to=x is none of" },
		{ "serial,port=a", "a serial console has no ports" },
		{ "virtio,port=", "is no port's name" },
		{ "virtio,port=a/b", "is no port's name" },
		{ "virtio,port=0123456789012345678901234567890123456789012345678901234567890123",
		  "is no port's name" },
		{ "virtio,port=1,port=2,port=3,port=4,port=5,port=6,port=7,port=8",
		  "more than 7 ports" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stderr_keep();
		assert_int_equal(RUN_IMAGE("--console", cases[i][0]), EXIT_STATUS_USAGE);
		assert_reported(cases[i][1]);
	}
	assert_int_equal(made.created, 0);
}

static void last_one_counts_all_of_it(void **state)
{
	(void)state;
	assert_int_equal(RUN_IMAGE("--console", "virtio,out=x,port=a,in=y", "--console", "serial",
				   "-c", "1"),
			 0);
	assert_string_equal(seen, "serial<->- ");
}

static void uart_0_on_a_pty_excludes_files_for_a_serial_console(void **state)
{
	(void)state;
	assert_int_equal(RUN_IMAGE("--console", "virtio,out=x", "--tty", "0"), 0);
	stderr_keep();
	assert_int_equal(RUN_IMAGE("--console", "serial,out=x", "--tty", "0"), EXIT_STATUS_USAGE);
	assert_reported("exclude each other");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(consoles_are_what_is_asked_for),
		TEST(what_is_none_is_refused),
		TEST(last_one_counts_all_of_it),
		TEST(uart_0_on_a_pty_excludes_files_for_a_serial_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

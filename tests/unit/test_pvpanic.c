// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include <lkvm/pvpanic.h>
#include <lkvm/report.h>
#include "files.h"

static struct mmio_bus mmio;
static struct loop loop;
static struct pvpanic pvpanic;

static int setup(void **state)
{
	report_set_level(LOG_WARNING);
	return files_setup(state) || mmio_bus_create(&mmio) || loop_create(&loop) ||
			       pvpanic_create(&pvpanic, &mmio, &loop)
		       ? -1
		       : 0;
}

static int teardown(void **state)
{
	pvpanic_destroy(&pvpanic);
	pvpanic_destroy(&pvpanic);
	assert_int_equal(mmio.count, 0);
	loop_destroy(&loop);
	mmio_bus_destroy(&mmio);
	return files_teardown(state);
}

static void write_at(uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(mmio_bus_write(&mmio, MAP_PVPANIC_BASE + offset, size, value));
}

static void tells_what_it_knows(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(mmio_bus_read(&mmio, MAP_PVPANIC_BASE, 1, &value));
	assert_int_equal(value, 3);
	assert_true(mmio_bus_read(&mmio, MAP_PVPANIC_BASE + 1, 1, &value));
	assert_int_equal(value, 0);
}

static void events(void **state)
{
	static const struct {
		uint64_t offset;
		unsigned size;
		uint64_t value;
		int end;
	} table[] = {
		{ 0, 1, 0, RUN_GOES_ON },   { 0, 1, 0xfc, RUN_GOES_ON }, { 0, 1, 2, RUN_GOES_ON },
		{ 1, 1, 1, RUN_GOES_ON },   { 8, 8, 1, RUN_GOES_ON },    { 0, 1, 1, RUN_PANIC },
		{ 0, 4, 0xff1, RUN_PANIC }, { 0, 1, 3, RUN_PANIC },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		write_at(table[i].offset, table[i].size, table[i].value);
		assert_int_equal(loop.end, table[i].end);
		loop_rewind(&loop);
	}
}

static void a_crash_kernel_is_mentioned(void **state)
{
	(void)state;
	report_set_level(LOG_INFO);
	stderr_keep();
	write_at(0, 1, 2);
	assert_reported("crash kernel");
	report_set_level(LOG_WARNING);
}

static void an_address_that_is_taken(void **state)
{
	struct pvpanic second;

	(void)state;
	stderr_keep();
	assert_int_equal(pvpanic_create(&second, &mmio, &loop), -EEXIST);
	assert_reported("pvpanic");
	pvpanic_destroy(&second);
	assert_int_equal(mmio.count, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tells_what_it_knows),
		TEST(events),
		TEST(a_crash_kernel_is_mentioned),
		TEST(an_address_that_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

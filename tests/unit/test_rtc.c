// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include <lkvm/rtc.h>
#include "files.h"

static struct mmio_bus mmio;
static struct rtc rtc;

static int setup(void **state)
{
	return files_setup(state) || mmio_bus_create(&mmio) || rtc_create(&rtc, &mmio) ? -1 : 0;
}

static int teardown(void **state)
{
	rtc_destroy(&rtc);
	rtc_destroy(&rtc);
	assert_int_equal(mmio.count, 0);
	mmio_bus_destroy(&mmio);
	return files_teardown(state);
}

static uint64_t read_at(uint64_t offset, unsigned size)
{
	uint64_t value;

	assert_true(mmio_bus_read(&mmio, MAP_RTC_BASE + offset, size, &value));
	return value;
}

static void write_at(uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(mmio_bus_write(&mmio, MAP_RTC_BASE + offset, size, value));
}

static unsigned get(uint8_t index)
{
	write_at(0, 1, index);
	return (unsigned)read_at(1, 1);
}

static void put(uint8_t index, uint8_t value)
{
	write_at(0, 1, index);
	write_at(1, 1, value);
}

static unsigned get_number(uint8_t index)
{
	unsigned bcd = get(index);

	assert_true((bcd & 0xf) < 10 && bcd >> 4 < 10);
	return (bcd >> 4) * 10 + (bcd & 0xf);
}

/* As a driver does: read again if the second has changed meanwhile. */
static time_t read_time(int *day_of_week)
{
	struct tm tm;

	do {
		tm = (struct tm){
			.tm_sec = (int)get_number(0),
			.tm_min = (int)get_number(2),
			.tm_hour = (int)get_number(4),
			.tm_mday = (int)get_number(7),
			.tm_mon = (int)get_number(8) - 1,
			.tm_year = (int)(get_number(9) + 100 * get_number(0x32)) - 1900,
		};
		*day_of_week = (int)get_number(6);
	} while ((int)get_number(0) != tm.tm_sec);
	return timegm(&tm);
}

static void tells_the_hosts_time_in_utc(void **state)
{
	time_t before = time(NULL), told;
	int day_of_week;
	struct tm tm;

	(void)state;
	told = read_time(&day_of_week);
	assert_true(told >= before && told <= time(NULL));
	gmtime_r(&told, &tm);
	assert_int_equal(day_of_week, tm.tm_wday + 1);
}

static void control_registers(void **state)
{
	static const struct {
		uint8_t index, initial, written, read;
	} table[] = {
		{ 10, 0x26, 0xff, 0x7f }, /* A: UIP is never set */
		{ 11, 0x02, 0xff, 0x82 }, /* B: BCD, 24 hours, no interrupts */
		{ 11, 0x82, 0x00, 0x02 },   { 12, 0x00, 0xff, 0x00 },
		{ 13, 0x80, 0x00, 0x80 },   { 1, 0x00, 0x59, 0x59 }, /* the alarm is only memory */
		{ 0x7f, 0x00, 0xa5, 0xa5 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(get(table[i].index), table[i].initial);
		put(table[i].index, table[i].written);
		assert_int_equal(get(table[i].index), table[i].read);
	}
}

static void the_time_cannot_be_set(void **state)
{
	static const uint8_t registers[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };
	time_t before;
	int day;

	(void)state;
	before = read_time(&day);
	for (size_t i = 0; i < sizeof(registers); i++)
		put(registers[i], 0xff);
	assert_true(read_time(&day) - before < 60);
}

/* The index has seven bits (the eighth masked NMIs once); other offsets and wide accesses are harmless. */
static void hostile_accesses(void **state)
{
	(void)state;
	put(0xff, 0x12);
	assert_int_equal(get(0x7f), 0x12);
	assert_int_equal(read_at(0, 1), 0);
	for (uint64_t offset = 0; offset <= MAP_RTC_SIZE - 8; offset++) {
		write_at(offset, 8, UINT64_MAX);
		read_at(offset, 8);
	}
	assert_int_equal(read_at(2, 4), 0);
	assert_int_equal(rtc.index, 0x7f);
}

static void an_address_that_is_taken(void **state)
{
	struct rtc second;

	(void)state;
	stderr_keep();
	assert_int_equal(rtc_create(&second, &mmio), -EEXIST);
	assert_reported("RTC");
	rtc_destroy(&second);
	assert_int_equal(mmio.count, 1);
}

static void *vcpu(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		put(0x40, (uint8_t)i);
		get(0);
	}
	return arg;
}

static void two_vcpus_at_once(void **state)
{
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, vcpu, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(get_number(0) < 60);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tells_the_hosts_time_in_utc), TEST(control_registers),
		TEST(the_time_cannot_be_set),      TEST(hostile_accesses),
		TEST(an_address_that_is_taken),    TEST(two_vcpus_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

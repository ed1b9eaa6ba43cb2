// SPDX-License-Identifier: GPL-2.0-only
/* The region bus: who answers where, at the edges, and while regions come and go under vCPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/mmio.h>

static struct mmio_bus bus;

/* A device that remembers the last access and reads as a pattern no wider access would be right for. */
struct probe {
	struct mmio_region region;
	uint64_t offset, value;
	unsigned size, reads, writes;
};

#define PATTERN 0x8877665544332211ULL

static uint64_t probe_read(void *device, uint64_t offset, unsigned size)
{
	struct probe *probe = device;

	probe->reads++;
	probe->offset = offset;
	probe->size = size;
	return PATTERN;
}

static void probe_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct probe *probe = device;

	probe->writes++;
	probe->offset = offset;
	probe->size = size;
	probe->value = value;
}

static const struct mmio_ops probe_ops = { probe_read, probe_write };

static struct probe *probe_at(struct probe *probe, uint64_t base, uint64_t size)
{
	*probe = (struct probe){ .region = { "probe", base, size, &probe_ops, probe } };
	return probe;
}

static int setup(void **state)
{
	(void)state;
	return mmio_bus_create(&bus);
}

static int teardown(void **state)
{
	(void)state;
	mmio_bus_destroy(&bus);
	return 0;
}

static void an_access_reaches_its_region_at_an_offset(void **state)
{
	static const struct {
		unsigned size;
		uint64_t mask;
	} cases[] = { { 1, 0xff }, { 2, 0xffff }, { 4, 0xffffffff }, { 8, ~0ULL } };
	struct probe probe;
	uint64_t value;

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&probe, 0x1000, 0x100)->region), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(mmio_bus_read(&bus, 0x1010, cases[i].size, &value));
		assert_int_equal(value, PATTERN & cases[i].mask);
		assert_true(mmio_bus_write(&bus, 0x1020, cases[i].size, ~0ULL));
		assert_int_equal(probe.value, cases[i].mask);
		assert_int_equal(probe.size, cases[i].size);
		assert_int_equal(probe.offset, 0x20);
	}
}

/* Regions at [0x1000, 0x1010) and, with a gap of 8 bytes, [0x1018, 0x1020). */
static void accesses_at_the_edges_reach_whom_they_lie_in(void **state)
{
	static const struct {
		uint64_t gpa;
		unsigned size;
		int who; /* 0: nobody */
	} cases[] = {
		{ 0xfff, 1, 0 },  { 0xffc, 4, 0 },  { 0xffc, 8, 0 },  { 0x1000, 1, 1 },
		{ 0x1008, 8, 1 }, { 0x100f, 1, 1 }, { 0x100f, 2, 0 }, { 0x100c, 8, 0 },
		{ 0x1010, 1, 0 }, { 0x1010, 8, 0 }, { 0x1014, 8, 0 }, { 0x1017, 1, 0 },
		{ 0x1018, 8, 2 }, { 0x101f, 1, 2 }, { 0x101f, 4, 0 }, { 0x1020, 1, 0 },
		{ 0, 8, 0 },      { ~0ULL, 1, 0 },  { ~0ULL, 8, 0 },
	};
	struct probe one, two;
	uint64_t value;

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&two, 0x1018, 8)->region), 0);
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&one, 0x1000, 0x10)->region), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		one.reads = one.writes = two.reads = two.writes = 0;
		value = 1;
		assert_int_equal(mmio_bus_read(&bus, cases[i].gpa, cases[i].size, &value),
				 cases[i].who != 0);
		assert_int_equal(mmio_bus_write(&bus, cases[i].gpa, cases[i].size, 0),
				 cases[i].who != 0);
		assert_int_equal(one.reads + one.writes, cases[i].who == 1 ? 2 : 0);
		assert_int_equal(two.reads + two.writes, cases[i].who == 2 ? 2 : 0);
		if (!cases[i].who)
			assert_int_equal(value, 0);
	}
}

static void regions_may_lie_at_both_ends_of_the_address_space(void **state)
{
	struct probe first, last;
	uint64_t value;

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&last, ~0ULL - 7, 8)->region), 0);
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&first, 0, 8)->region), 0);
	assert_true(mmio_bus_read(&bus, ~0ULL - 7, 8, &value));
	assert_true(mmio_bus_read(&bus, ~0ULL, 1, &value));
	assert_int_equal(last.offset, 7);
	assert_false(mmio_bus_read(&bus, ~0ULL, 2, &value));
	assert_true(mmio_bus_read(&bus, 0, 8, &value));
	assert_int_equal(first.reads, 1);
	assert_int_equal(last.reads, 2);
}

/* Beside a region at [0x1000, 0x2000). */
static void a_region_that_cannot_be_is_refused(void **state)
{
	static const struct {
		uint64_t base, size;
		int err;
	} cases[] = {
		{ 0x1000, 0x1000, -EEXIST }, { 0x0, 0x1001, -EEXIST },
		{ 0x0, 0x10000, -EEXIST },   { 0x1fff, 1, -EEXIST },
		{ 0x1800, 8, -EEXIST },      { 0x1fff, 0x1000, -EEXIST },
		{ 0x0, ~0ULL, -EEXIST },     { 0x0, 0, -EINVAL },
		{ 0x3000, 0, -EINVAL },      { 0x3000, ~0ULL, -EINVAL },
		{ ~0ULL, 2, -EINVAL },       { 0x2000, 0x1000, 0 },
		{ 0x0, 0x1000, 0 },          { 0x3000, ~0ULL - 0x2fff, 0 },
	};
	struct probe there, probes[sizeof(cases) / sizeof(cases[0])];

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&there, 0x1000, 0x1000)->region), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct probe *probe = probe_at(&probes[i], cases[i].base, cases[i].size);

		assert_int_equal(mmio_bus_add(&bus, &probe->region), cases[i].err);
	}
	assert_int_equal(bus.count, 4);
}

static void the_bus_grows_with_its_regions(void **state)
{
	static struct probe probes[300];
	uint64_t value;

	(void)state;
	/* 7 and 300 have no common divisor: every slot once, in no order. */
	for (unsigned i = 0; i < 300; i++) {
		struct probe *probe = probe_at(&probes[i], (i * 7 % 300) * 0x10, 8);

		assert_int_equal(mmio_bus_add(&bus, &probe->region), 0);
	}
	for (unsigned i = 0; i < 300; i++) {
		assert_true(mmio_bus_read(&bus, probes[i].region.base + 4, 4, &value));
		assert_int_equal(probes[i].reads, 1);
		assert_false(mmio_bus_read(&bus, probes[i].region.base + 8, 4, &value));
	}
}

static void a_removed_region_answers_no_more_and_makes_room(void **state)
{
	struct probe one, same, other;
	uint64_t value;

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&one, 0x1000, 0x10)->region), 0);
	mmio_bus_remove(&bus, &probe_at(&same, 0x1000, 0x10)->region);
	assert_true(mmio_bus_read(&bus, 0x1000, 4, &value));
	mmio_bus_remove(&bus, &one.region);
	mmio_bus_remove(&bus, &one.region);
	assert_false(mmio_bus_read(&bus, 0x1000, 4, &value));
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&other, 0x1008, 0x10)->region), 0);
	assert_true(mmio_bus_read(&bus, 0x1008, 4, &value));
	assert_int_equal(other.reads, 1);
}

/* A PCI window without a BAR there aborts the access: all ones (PCIe 5.0, 2.3.2). */
static void what_nobody_claims_in_a_window_reads_as_ones(void **state)
{
	struct probe probe;
	uint64_t value;

	(void)state;
	mmio_bus_add_hole(&bus, 0x10000, 0x1000);
	mmio_bus_add_hole(&bus, ~0ULL - 0xfff, 0x1000);
	assert_int_equal(mmio_bus_add(&bus, &probe_at(&probe, 0x10010, 8)->region), 0);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t ones = size == 8 ? ~0ULL : (1ULL << 8 * size) - 1;

		assert_false(mmio_bus_read(&bus, 0x10000, size, &value));
		assert_int_equal(value, ones);
		assert_false(mmio_bus_read(&bus, ~0ULL - 7, size, &value));
		assert_int_equal(value, ones);
		assert_false(mmio_bus_read(&bus, 0xfff0, size, &value));
		assert_int_equal(value, 0);
		assert_false(mmio_bus_read(&bus, 0x11000, size, &value));
		assert_int_equal(value, 0);
		assert_false(mmio_bus_write(&bus, 0x10000, size, 0));
	}
	assert_false(mmio_bus_read(&bus, 0x10014, 8, &value)); /* straddles the region's end */
	assert_int_equal(value, ~0ULL);
	assert_true(mmio_bus_read(&bus, 0x10014, 4, &value));
	assert_int_equal(value, PATTERN & 0xffffffff);
}

/* A device that takes itself off the bus while it answers, as a BAR that the guest turns off through itself. */
static void remove_myself(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct probe *probe = device;

	(void)offset;
	(void)size;
	(void)value;
	mmio_bus_remove(&bus, &probe->region);
}

static void a_device_may_change_the_bus_while_it_answers(void **state)
{
	static const struct mmio_ops ops = { probe_read, remove_myself };
	struct probe probe;

	(void)state;
	probe_at(&probe, 0x1000, 8)->region.ops = &ops;
	assert_int_equal(mmio_bus_add(&bus, &probe.region), 0);
	assert_true(mmio_bus_write(&bus, 0x1000, 4, 0));
	assert_false(mmio_bus_write(&bus, 0x1000, 4, 0));
}

static uint64_t count_read(void *device, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	atomic_fetch_add((atomic_uint *)device, 1);
	return 7;
}

static void count_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)value;
	count_read(device, offset, size);
}

static const struct mmio_ops count_ops = { count_read, count_write };

static void *access_for_a_while(void *stop)
{
	struct mmio_cache cache = { 0 };
	uintptr_t wrong = 0;

	while (!atomic_load((atomic_bool *)stop)) {
		uint64_t value = 0;

		wrong += !mmio_bus_read(&bus, 0x1000, 4, &value) || value != 7;
		if (mmio_bus_read(&bus, 0x2000, 4, &value))
			wrong += value != 7;
		mmio_bus_write(&bus, 0x2000, 4, 0);
		for (uint64_t gpa = 0x1000; gpa <= 0x2000; gpa += 0x1000)
			for (int again = 0; again < 2; again++)
				if (mmio_cache_read(&cache, &bus, gpa, 4, &value))
					wrong += value != 7;
	}
	return (void *)wrong;
}

/* One vCPU moves a BAR (its base changes while it is off the bus) under the accesses of two others. */
static void a_region_moves_under_the_accesses_of_other_threads(void **state)
{
	atomic_uint answered = 0;
	struct mmio_region stays = { "stays", 0x1000, 4, &count_ops, &answered };
	struct mmio_region moves = { "moves", 0x2000, 4, &count_ops, &answered };
	atomic_bool stop = false;
	pthread_t threads[2];
	void *wrong;

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, &stays), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, access_for_a_while, &stop);
	for (int round = 0; round < 2000; round++) {
		moves.base = round % 2 ? 0x2000 : 0x800;
		assert_int_equal(mmio_bus_add(&bus, &moves), 0);
		mmio_bus_remove(&bus, &moves);
	}
	while (!atomic_load(&answered))
		;
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

/* Whatever a vCPU found before, it finds what is there now: other regions, none, one that has come or moved. */
static void a_cache_never_remembers_wrongly(void **state)
{
	struct mmio_cache cache = { 0 };
	struct probe first, second;
	uint64_t value;

	(void)state;
	probe_at(&first, 0x1000, 0x10);
	probe_at(&second, 0x1010, 0x10);
	assert_false(mmio_cache_read(&cache, &bus, 0, 1, &value));
	assert_false(mmio_cache_read(&cache, &bus, 0x1000, 4, &value));
	assert_int_equal(mmio_bus_add(&bus, &first.region), 0);
	assert_true(mmio_cache_read(&cache, &bus, 0x1000, 4, &value));
	assert_true(mmio_cache_read(&cache, &bus, 0x100c, 4, &value));
	assert_int_equal(first.reads, 2);
	assert_int_equal(first.offset, 0xc);
	assert_false(mmio_cache_read(&cache, &bus, 0x100e, 4, &value));
	assert_false(mmio_cache_write(&cache, &bus, 0xffe, 4, 0));
	assert_int_equal(mmio_bus_add(&bus, &second.region), 0);
	assert_true(mmio_cache_write(&cache, &bus, 0x1010, 4, 0x1ffffffff));
	assert_int_equal(second.value, 0xffffffff);
	assert_true(mmio_cache_write(&cache, &bus, 0x1000, 1, 0));
	mmio_bus_remove(&bus, &first.region);
	assert_false(mmio_cache_write(&cache, &bus, 0x1000, 1, 0));
	first.region.base = 0x2000;
	assert_int_equal(mmio_bus_add(&bus, &first.region), 0);
	assert_false(mmio_cache_read(&cache, &bus, 0x1000, 1, &value));
	assert_true(mmio_cache_read(&cache, &bus, 0x2008, 8, &value));
	assert_int_equal(first.reads, 3);
	assert_int_equal(first.writes, 1);
}

static void a_zeroed_bus_can_be_destroyed(void **state)
{
	struct mmio_bus zeroed;

	(void)state;
	memset(&zeroed, 0, sizeof(zeroed));
	mmio_bus_destroy(&zeroed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_access_reaches_its_region_at_an_offset),
		TEST(accesses_at_the_edges_reach_whom_they_lie_in),
		TEST(regions_may_lie_at_both_ends_of_the_address_space),
		TEST(a_region_that_cannot_be_is_refused),
		TEST(the_bus_grows_with_its_regions),
		TEST(a_removed_region_answers_no_more_and_makes_room),
		TEST(what_nobody_claims_in_a_window_reads_as_ones),
		TEST(a_device_may_change_the_bus_while_it_answers),
		TEST(a_region_moves_under_the_accesses_of_other_threads),
		TEST(a_cache_never_remembers_wrongly),
		TEST(a_zeroed_bus_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

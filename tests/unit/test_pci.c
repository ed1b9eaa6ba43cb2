// SPDX-License-Identifier: GPL-2.0-only
/* The root bus: ECAM, and who gets which function, address and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/pci.h>
#include "files.h"

#define ECAM    0x40000000ULL
#define MEM32   0x50000000ULL
#define MEM64   0x100000000ULL
#define MEM64_G 64
#define GIB     (1ULL << 30)
#define MIB     (1ULL << 20)

#define IO   PCI_BASE_ADDRESS_SPACE_IO
#define B64  PCI_BASE_ADDRESS_MEM_TYPE_64
#define PREF PCI_BASE_ADDRESS_MEM_PREFETCH

static const struct pci_layout layout = {
	.ecam = { ECAM, 0x10000000 },
	.io = { 0, 0x10000 },
	.mem32 = { MEM32, 0x30000000 },
	.mem64 = { MEM64, MEM64_G *GIB },
};

static const struct pci_function_class class = { 0 };
static struct mmio_bus mmio;
static struct pci_bus bus;
static struct pci_function functions[PCI_FUNCTIONS];
static char names[PCI_FUNCTIONS][8];

static int setup(void **state)
{
	if (files_setup(state) || mmio_bus_create(&mmio) || pci_bus_create(&bus, &mmio, &layout))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < PCI_FUNCTIONS; i++)
		pci_function_destroy(&functions[i]);
	pci_bus_destroy(&bus);
	mmio_bus_destroy(&mmio);
	return files_teardown(state);
}

/* Function i, called "f" i. */
static struct pci_function *make(unsigned i)
{
	snprintf(names[i], sizeof(names[i]), "f%u", i);
	assert_int_equal(pci_function_init(&functions[i], &class, names[i]), 0);
	pci_put(functions[i].config, PCI_VENDOR_ID, 4, 0x10000 + i);
	return &functions[i];
}

static struct pci_function *add(unsigned i, int devfn)
{
	assert_int_equal(pci_bus_add(&bus, make(i), devfn), 0);
	return &functions[i];
}

static void set_bar(struct pci_function *function, unsigned n, uint64_t size, uint32_t flags)
{
	assert_int_equal(pci_function_set_bar(function, n, size, flags), 0);
}

static uint64_t read_at(uint64_t gpa, unsigned size)
{
	uint64_t value = 0xdeadbeef;

	mmio_bus_read(&mmio, gpa, size, &value);
	return value;
}

static void ecam_answers_for_bus_0(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t value;
	} table[] = {
		{ 0x00000, 0x10000 },     { 0x08000, 0x10001 },      { 0xff000, 0x10002 },
		{ 0x01000, 0xffffffff },  { 0xfe000, 0xffffffff },   { 0x100000, 0xffffffff },
		{ 0x108000, 0xffffffff }, { 0xffff000, 0xffffffff },
	};

	(void)state;
	add(0, 0x00);
	add(1, 0x08);
	add(2, 0xff);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		mmio_bus_write(&mmio, ECAM + table[i].offset, 4, 0);
		assert_int_equal(read_at(ECAM + table[i].offset, 4), table[i].value);
	}
	assert_int_equal(read_at(ECAM + 0xffffff8, 8), UINT64_MAX);
	assert_int_equal(read_at(ECAM, 8), UINT64_MAX);
}

static void windows_read_as_ones(void **state)
{
	static const struct {
		uint64_t gpa, value;
	} table[] = {
		{ 0, 0xffff },
		{ 0xfffe, 0xffff },
		{ 0x10000, 0 },
		{ MEM32, 0xffff },
		{ MEM32 + 0x2ffffffe, 0xffff },
		{ MEM32 + 0x30000000, 0 },
		{ MEM64, 0xffff },
		{ MEM64 + MEM64_G * GIB - 2, 0xffff },
		{ MEM64 - 2, 0 },
		{ MEM64 + MEM64_G * GIB, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(read_at(table[i].gpa, 2), table[i].value);
}

static void an_ecam_that_is_in_the_way(void **state)
{
	struct pci_bus second;

	(void)state;
	stderr_keep();
	assert_int_equal(pci_bus_create(&second, &mmio, &layout), -EEXIST);
	assert_reported("ECAM at 0x40000000");
	pci_bus_destroy(&second);
	assert_int_equal(mmio.ones_count, 3);
}

static void slots_and_functions(void **state)
{
	(void)state;
	assert_int_equal(add(0, -1)->devfn, 0x00);
	assert_int_equal(add(1, 0x0a)->devfn, 0x0a); /* makes slot 1 not free */
	assert_int_equal(add(2, -1)->devfn, 0x10);
	assert_int_equal(add(3, 0x07)->devfn, 0x07);
	assert_int_equal(functions[0].config[PCI_HEADER_TYPE], 0x80);
	assert_int_equal(functions[1].config[PCI_HEADER_TYPE], 0);
	assert_int_equal(functions[2].config[PCI_HEADER_TYPE], 0);
	assert_int_equal(functions[3].config[PCI_HEADER_TYPE], 0);
	make(4)->config[PCI_HEADER_TYPE] = 0x80; /* as the host's device was */
	assert_int_equal(pci_bus_add(&bus, &functions[4], 0x18), 0);
	assert_int_equal(functions[4].config[PCI_HEADER_TYPE], 0);
	add(5, 0x08);
	assert_int_equal(functions[5].config[PCI_HEADER_TYPE], 0x80);
}

/* Who comes last does not get between the others, as long as there is room behind them. */
static void the_last_slot_is_behind_all_others(void **state)
{
	(void)state;
	assert_int_equal(pci_bus_last_devfn(&bus), 0);
	add(0, 0x0b);
	assert_int_equal(pci_bus_last_devfn(&bus), 0x10);
	add(1, 0xf0);
	assert_int_equal(pci_bus_last_devfn(&bus), 0xf8);
	add(2, 0xff);
	assert_int_equal(pci_bus_last_devfn(&bus), 0);
	bus.spoken_for = 1;
	assert_int_equal(pci_bus_last_devfn(&bus), 0x10);
	for (unsigned i = 3; i < 31; i++)
		add(i, -1);
	assert_int_equal(pci_bus_last_devfn(&bus), -ENOSPC);
}

static void functions_that_have_no_place(void **state)
{
	(void)state;
	add(0, 0x08);
	make(1);
	stderr_keep();
	assert_int_equal(pci_bus_add(&bus, &functions[1], 0x08), -EBUSY);
	assert_reported("f1: the guest's 01.0 is f0 already");
	stderr_keep();
	assert_int_equal(pci_bus_add(&bus, &functions[1], 256), -EINVAL);
	assert_reported("f1");
	for (unsigned i = 2; i < 33; i++)
		add(i, -1);
	stderr_keep();
	assert_int_equal(pci_bus_add(&bus, &functions[1], -1), -ENOSPC);
	assert_reported("f1: the guest's PCI bus has no free slot");
	assert_null(functions[1].bus);
}

static void lines_go_to_those_with_a_pin(void **state)
{
	(void)state;
	add(0, 0x18)->config[PCI_INTERRUPT_PIN] = 1;
	add(1, 0x08)->config[PCI_INTERRUPT_PIN] = 2;
	add(2, 0x10);
	add(3, 0x09)->config[PCI_INTERRUPT_PIN] = 1;
	assert_int_equal(pci_bus_assign_lines(&bus, 4, 988), 3);
	assert_int_equal(functions[1].intx_line, 4);
	assert_int_equal(functions[3].intx_line, 5);
	assert_int_equal(functions[0].intx_line, 6);
	assert_int_equal(pci_bus_assign_lines(&bus, 985, 988), 3);
	stderr_keep();
	assert_int_equal(pci_bus_assign_lines(&bus, 986, 988), -ENOSPC);
	assert_reported("f0: no wired interrupt");
}

static void no_functions_no_addresses(void **state)
{
	(void)state;
	assert_int_equal(pci_bus_assign(&bus), 0);
	assert_int_equal(pci_bus_assign_lines(&bus, 0, 0), 0);
}

static void addresses_of_every_kind(void **state)
{
	struct pci_function *function;

	(void)state;
	function = add(0, 0x00);
	set_bar(function, 0, 0x4000, B64);
	set_bar(function, 2, 0x20, IO);
	set_bar(function, 3, 0x1000, 0);
	set_bar(function, 4, 16 * GIB, B64 | PREF);
	function = add(1, 0x08);
	set_bar(function, 0, 0x100, IO);
	set_bar(function, 1, 256 * MIB, PREF);
	set_bar(function, 2, GIB, B64); /* larger than the 32-bit window */
	set_bar(function, 4, 16, B64 | PREF);
	assert_int_equal(pci_bus_assign(&bus), 0);
	assert_int_equal(pci_bar_address(&functions[1], 1), MEM32);
	assert_int_equal(pci_bar_address(&functions[0], 3), MEM32 + 256 * MIB);
	assert_int_equal(pci_bar_address(&functions[1], 0), 0x1000);
	assert_int_equal(pci_bar_address(&functions[0], 2), 0x1100);
	assert_int_equal(pci_bar_address(&functions[0], 4), 16 * GIB);
	assert_int_equal(pci_bar_address(&functions[1], 2), MEM64);
	assert_int_equal(pci_bar_address(&functions[0], 0), MEM32 + 256 * MIB + 0x10000);
	assert_int_equal(pci_bar_address(&functions[1], 4), MEM64 + GIB);
	assert_int_equal(pci_get(functions[0].config, PCI_BASE_ADDRESS_4, 4), B64 | PREF);
	assert_int_equal(pci_get(functions[0].config, PCI_BASE_ADDRESS_5, 4), 4);
	assert_int_equal(pci_get(functions[0].config, PCI_COMMAND, 2), 0);
	assert_false(functions[0].bar[0].mapped);
}

static void without_a_64_bit_window(void **state)
{
	struct pci_function *function;

	(void)state;
	bus.layout.mem64.size = 0;
	function = add(0, 0x00);
	set_bar(function, 0, 512 * MIB, B64 | PREF);
	set_bar(function, 2, 64 * MIB, B64);
	assert_int_equal(pci_bus_assign(&bus), 0);
	assert_int_equal(pci_bar_address(function, 0), 0x60000000);
	assert_int_equal(pci_bar_address(function, 2), MEM32); /* below it, where there is room */
}

static void what_does_not_fit_is_named(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t flags;
		const char *text;
	} table[] = {
		{ GIB, 0, "f1: no room for BAR 0 of 1073741824 bytes" },
		{ 512 * MIB, 0, "f1: no room for BAR 0 of 536870912 bytes" },
		{ 0x10000, IO, "f1: no room for BAR 0 of 65536 bytes" },
		{ 128 * GIB, B64 | PREF, "64-bit: 65536 MiB" },
		{ 1ULL << 63, B64, "f1: no room for BAR 0 of 9223372036854775808 bytes" },
	};

	(void)state;
	set_bar(add(0, 0x00), 0, 512 * MIB, 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		set_bar(add(1, 0x08), 0, table[i].size, table[i].flags);
		stderr_keep();
		assert_int_equal(pci_bus_assign(&bus), -ENOSPC);
		assert_reported(table[i].text);
		pci_function_destroy(&functions[1]);
	}
	assert_int_equal(pci_bus_assign(&bus), 0);
}

static void a_slot_that_is_spoken_for_goes_to_who_names_it(void **state)
{
	(void)state;
	bus.spoken_for = 1u << 0 | 1u << 2 | 1u << 31;
	assert_int_equal(add(0, -1)->devfn, 0x08);
	assert_int_equal(add(1, -1)->devfn, 0x18);
	assert_int_equal(add(2, 0x10)->devfn, 0x10);
	assert_int_equal(add(3, 0xf8)->devfn, 0xf8);
	assert_int_equal(add(4, 0x00)->devfn, 0x00);
}

/* --- the shadow --- */

static const uint8_t *shadow_changed;
static unsigned shadow_changes, shadow_ends;

static void changed(void *arg, const void *at, size_t size)
{
	assert_ptr_equal(arg, &bus);
	assert_int_equal(size, PCI_CONFIG_SIZE);
	shadow_changed = at;
	shadow_changes++;
}

static void end(void *arg)
{
	assert_ptr_equal(arg, &bus);
	shadow_ends++;
}

static const struct pci_shadow_ops shadow_ops = { changed, end };

static void a_shadow_follows_configuration_space(void **state)
{
	const uint8_t *shadow;

	(void)state;
	add(0, 0x08)->direct = true;
	add(1, 0x19)->direct = true;
	shadow_changes = shadow_ends = 0;
	shadow = pci_bus_shadow(&bus, &shadow_ops, &bus);
	assert_non_null(shadow);
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		uint32_t id = pci_get(shadow + devfn * PCI_CONFIG_SIZE, PCI_VENDOR_ID, 4);

		assert_int_equal(id, devfn == 0x08   ? 0x10000
				     : devfn == 0x19 ? 0x10001
						     : 0xffffffff);
	}
	assert_int_equal(shadow_changes, 2);
	pci_config_write(&functions[1], PCI_INTERRUPT_LINE, 1, 0x55);
	assert_int_equal(shadow[0x19 * PCI_CONFIG_SIZE + PCI_INTERRUPT_LINE], 0x55);
	assert_int_equal(shadow_changes, 3);
	assert_ptr_equal(shadow_changed, shadow + 0x19 * PCI_CONFIG_SIZE);

	pci_bus_end_shadow(&bus);
	pci_bus_end_shadow(&bus);
	assert_int_equal(shadow_ends, 1);
	pci_config_write(&functions[1], PCI_INTERRUPT_LINE, 1, 0x66);
	assert_int_equal(shadow_changes, 3);

	/* The next VM's. */
	assert_ptr_equal(pci_bus_shadow(&bus, &shadow_ops, &bus), shadow);
	assert_int_equal(shadow[0x19 * PCI_CONFIG_SIZE + PCI_INTERRUPT_LINE], 0x66);
}

static void there_is_no_shadow_where_reads_have_effects(void **state)
{
	(void)state;
	assert_null(pci_bus_shadow(&bus, &shadow_ops, &bus)); /* nor of nobody */
	add(0, 0x08)->direct = true;
	add(1, 0x10);
	assert_null(pci_bus_shadow(&bus, &shadow_ops, &bus));
	pci_bus_end_shadow(&bus);
}

static void a_slot_without_function_0(void **state)
{
	(void)state;
	add(0, 0x0b);
	stderr_keep();
	assert_int_equal(pci_bus_assign(&bus), -EINVAL);
	assert_reported("f0: no guest finds its 01.3 without a function 01.0");
	add(1, 0x08);
	assert_int_equal(pci_bus_assign(&bus), 0);
}

struct range {
	uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

static const struct pci_window *window_of(uint64_t gpa, uint32_t flags)
{
	if (flags & IO)
		return &layout.io;
	return gpa < MEM64 ? &layout.mem32 : &layout.mem64;
}

/* Whatever the functions are: aligned, in a window, on pages of their own, and the same each time. */
static void check_assignment(void)
{
	static struct range ranges[PCI_FUNCTIONS * PCI_BARS];
	size_t count = 0;

	for (unsigned i = 0; i < PCI_FUNCTIONS * PCI_BARS; i++) {
		const struct pci_function *function = bus.functions[i / PCI_BARS];
		const struct pci_bar *bar = function ? &function->bar[i % PCI_BARS] : NULL;
		uint64_t gpa, extent;

		if (!bar || !bar->size)
			continue;
		gpa = pci_bar_address(function, i % PCI_BARS);
		extent = bar->flags & IO || bar->size > 0x10000 ? bar->size : 0x10000;
		assert_int_equal(gpa % extent, 0);
		assert_true(gpa >= window_of(gpa, bar->flags)->base);
		assert_true(gpa + extent <=
			    window_of(gpa, bar->flags)->base + window_of(gpa, bar->flags)->size);
		assert_true(gpa < MEM64 || bar->flags & B64);
		assert_true(gpa >= 0x1000);
		ranges[count++] = (struct range){ gpa, gpa + extent };
	}
	qsort(ranges, count, sizeof(ranges[0]), by_start);
	for (size_t i = 1; i < count; i++)
		assert_true(ranges[i - 1].end <= ranges[i].start);
}

static void random_functions(void **state)
{
	static const uint32_t kinds[] = { IO, 0, PREF, B64, B64 | PREF };
	uint64_t first[PCI_BARS];
	uint32_t seed = 4711;

	(void)state;
	for (int round = 0; round < 100; round++) {
		unsigned count = 1 + (seed >> 8) % 20;

		for (unsigned i = 0; i < count; i++) {
			struct pci_function *function = add(i, -1);

			for (unsigned n = 0; n < 5; n++) {
				uint32_t flags;

				seed = seed * 1103515245 + 12345;
				flags = kinds[(seed >> 8) % 5];
				set_bar(function, n,
					flags & IO ? 4ULL << (seed >> 16) % 6
						   : 16ULL << (seed >> 16) % 18,
					flags);
				n += flags & B64 ? 1 : 0;
			}
		}
		assert_int_equal(pci_bus_assign(&bus), 0);
		check_assignment();
		for (unsigned n = 0; n < PCI_BARS; n++)
			first[n] = pci_bar_address(&functions[0], n);
		assert_int_equal(pci_bus_assign(&bus), 0);
		for (unsigned n = 0; n < PCI_BARS; n++)
			assert_int_equal(pci_bar_address(&functions[0], n), first[n]);
		for (unsigned i = 0; i < count; i++)
			pci_function_destroy(&functions[i]);
	}
}

static void a_full_bus(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
		struct pci_function *function = add(i, (int)i);

		for (unsigned n = 0; n < PCI_BARS; n++)
			set_bar(function, n, n == 5 ? 16 : 0x1000, n == 5 ? IO : 0);
		function->config[PCI_INTERRUPT_PIN] = 1;
	}
	assert_int_equal(pci_bus_assign(&bus), 0);
	assert_int_equal(pci_bus_assign_lines(&bus, 4, 988), 256);
	check_assignment();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ecam_answers_for_bus_0),
		TEST(windows_read_as_ones),
		TEST(an_ecam_that_is_in_the_way),
		TEST(slots_and_functions),
		TEST(the_last_slot_is_behind_all_others),
		TEST(functions_that_have_no_place),
		TEST(lines_go_to_those_with_a_pin),
		TEST(no_functions_no_addresses),
		TEST(addresses_of_every_kind),
		TEST(without_a_64_bit_window),
		TEST(what_does_not_fit_is_named),
		TEST(a_slot_that_is_spoken_for_goes_to_who_names_it),
		TEST(a_shadow_follows_configuration_space),
		TEST(there_is_no_shadow_where_reads_have_effects),
		TEST(a_slot_without_function_0),
		TEST(random_functions),
		TEST(a_full_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Where BARs go, and where not, as the guest programs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>
#include "files.h"
#include "pci_rig.h"

static void decode_bits_map_and_unmap(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	declare_bar(&dev_a, 1, 0x20, FLAG_IO);
	declare_bar(&dev_a, 2, 0x4000, FLAG_64 | FLAG_PREF);
	cfg_put(&dev_a, BAR(0), MEM32 + 0x5000);
	cfg_put(&dev_a, BAR(1), 0x2000);
	cfg_put(&dev_a, BAR(2), 0x8000);
	cfg_put(&dev_a, BAR(3), 0x3);
	assert_int_equal(dev_a.maps, 0);
	cfg_decode(&dev_a, PCI_COMMAND_MEMORY);
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x5000);
	assert_int_equal(bar_place(&dev_a, 1), NOWHERE);
	assert_int_equal(bar_place(&dev_a, 2), 0x300008000);
	assert_int_equal(pci_bar_address(&dev_a.function, 2), 0x300008000);
	cfg_decode(&dev_a, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	assert_int_equal(bar_place(&dev_a, 0), NOWHERE);
	assert_int_equal(bar_place(&dev_a, 1), IO + 0x2000);
	assert_int_equal(bar_place(&dev_a, 2), NOWHERE);
	cfg_decode(&dev_a, DECODE);
	cfg_decode(&dev_a, DECODE | PCI_COMMAND_MASTER);
	assert_int_equal(dev_a.maps, 5);
	assert_int_equal(dev_a.unmaps, 2);
	pci_function_reset(&dev_a.function);
	assert_int_equal(dev_a.unmaps, 5);
	assert_int_equal(cfg_get(&dev_a, PCI_COMMAND), 0);
	assert_int_equal(cfg_get(&dev_a, BAR(0)), MEM32 + 0x5000);
}

static void accesses_reach_the_owner(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	declare_bar(&dev_a, 4, 0x1000, FLAG_64);
	cfg_put(&dev_a, BAR(0), MEM32);
	cfg_put(&dev_a, BAR(4), MEM32 + 0x1000);
	cfg_decode(&dev_a, DECODE);
	assert_int_equal(guest_read(MEM32 + 0x12, 2), 0x1112);
	assert_int_equal(guest_read(MEM32 + 0x1ff8, 8), 0x55555555555555f8);
	guest_write(MEM32 + 8, 8, 0x0123456789abcdef);
	assert_int_equal(dev_a.last_write, 0x0123456789abcdef);
	/* Straddling its end, and where nothing is. */
	assert_int_equal(guest_read(MEM32 + 0xffc, 8), UINT64_MAX);
	assert_int_equal(guest_read(MEM32 + 0x2000, 4), UINT32_MAX);
	cfg_decode(&dev_a, 0);
	assert_int_equal(guest_read(MEM32, 4), UINT32_MAX);
	guest_write(MEM32, 4, 5);
	assert_int_equal(dev_a.last_write, 0x0123456789abcdef);
}

static void moving_while_decoded(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), MEM32);
	cfg_decode(&dev_a, DECODE);
	cfg_put(&dev_a, BAR(0), MEM32 + 0x8000);
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x8000);
	assert_int_equal(guest_read(MEM32, 4), UINT32_MAX);
	assert_int_equal(guest_read(MEM32 + 0x8000, 1), 0x00);
	cfg_put(&dev_a, BAR(0), 0xffffffff); /* sizing */
	assert_int_equal(bar_place(&dev_a, 0), NOWHERE);
	cfg_put(&dev_a, BAR(0), MEM32 + 0x8000);
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x8000);
	guest_write(cfg_address(&dev_a, BAR(0) + 2), 1, 0x01); /* a byte of it */
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x18000);
	cfg_put(&dev_a, BAR(0), MEM32 + 0x8000);
	assert_int_equal(dev_a.maps, dev_a.unmaps + 1);
}

static void only_inside_a_window(void **state)
{
	static const struct {
		uint32_t flags;
		uint64_t size, address;
		bool mapped;
	} table[] = {
		{ 0, 0x1000, MEM32, true },
		{ 0, 0x1000, MEM32 + 0x30000000 - 0x1000, true },
		{ 0, 0x1000, MEM32 + 0x30000000, false }, /* RAM */
		{ 0, 0x1000, MEM32 - 0x1000, false },
		{ 0, 0x1000, 0x01000000, false }, /* a UART's place */
		{ 0, 0x1000, 0x3fff0000, false }, /* the GIC's */
		{ 0, 0x1000, ECAM, false },
		{ 0, 0x1000, 0, false },
		{ 0, 0x1000, 0xfffff000, false },
		{ 0, 0x10000000, MEM32 + 0x20000000, true },
		{ 0, 0x20000000, MEM32 + 0x10000000, true },
		{ 0, 0x40000000, 0x40000000, false }, /* over everything */
		{ FLAG_64, 0x1000, MEM32, true },
		{ FLAG_64, 0x1000, MEM64, true },
		{ FLAG_64, 0x1000, MEM64 + 0x1000000000 - 0x1000, true },
		{ FLAG_64, 0x1000, MEM64 + 0x1000000000, false },
		{ FLAG_64, 0x1000, RAM + 0x1000, false },
		{ FLAG_64, 0x1000, ~0xfffULL, false },
		{ FLAG_64, 1ULL << 62, 1ULL << 63, false },
		{ FLAG_64, 1ULL << 63, 1ULL << 63, false },
		{ FLAG_IO, 0x20, 0xffe0, true },
		{ FLAG_IO, 0x20, 0x10000, false },
		{ FLAG_IO, 0x20, MEM32, false },
		{ FLAG_IO, 0x20, 0xffffffe0, false },
	};

	(void)state;
	mmio_bus_remove(&pci_mmio, &pci_other);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		pci_function_destroy(&dev_a.function);
		dev_make(&dev_a, "a", 0x08);
		declare_bar(&dev_a, 0, table[i].size, table[i].flags);
		cfg_put(&dev_a, BAR(0), (uint32_t)table[i].address);
		cfg_put(&dev_a, BAR(1), (uint32_t)(table[i].address >> 32));
		cfg_decode(&dev_a, DECODE);
		if (bar_place(&dev_a, 0) != (table[i].mapped ? table[i].address : NOWHERE))
			fail_msg("case %zu is mapped at 0x%llx", i,
				 (unsigned long long)bar_place(&dev_a, 0));
		assert_int_equal(guest_read(RAM + 0x1000, 1), 0x77);
	}
}

static void the_halves_of_64_bits_move_one_by_one(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x4000, FLAG_64 | FLAG_PREF);
	cfg_put(&dev_a, BAR(0), MEM32 + 0x4000);
	cfg_decode(&dev_a, DECODE);
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x4000);
	cfg_put(&dev_a, BAR(1), 2);
	assert_int_equal(bar_place(&dev_a, 0), 0x200000000 + MEM32 + 0x4000);
	cfg_put(&dev_a, BAR(0), 0);
	assert_int_equal(bar_place(&dev_a, 0), 0x200000000);
	cfg_put(&dev_a, BAR(1), 0);
	assert_int_equal(bar_place(&dev_a, 0), NOWHERE);
	assert_int_equal(bar_place(&dev_a, 1), NOWHERE);
}

/* Never over what is there already: it stays, the newcomer reads as ones until there is room. */
static void overlaps(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x4000, 0);
	declare_bar(&dev_b, 0, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), MEM32);
	cfg_put(&dev_b, BAR(0), MEM32 + 0x2000);
	cfg_decode(&dev_a, DECODE);
	stderr_keep();
	cfg_decode(&dev_b, DECODE);
	cfg_decode(&dev_b, 0);
	cfg_decode(&dev_b, DECODE);
	assert_reported("0000:02:00.0: the guest's BAR 0 at 0x50002000");
	assert_int_equal(bar_place(&dev_b, 0), NOWHERE);
	assert_int_equal(bar_place(&dev_a, 0), MEM32);
	cfg_put(&dev_a, BAR(0), MEM32 + 0x10000); /* gone: b appears */
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x10000);
	assert_int_equal(bar_place(&dev_b, 0), MEM32 + 0x2000);
	stderr_keep();
	cfg_put(&dev_a, BAR(0), MEM32);
	assert_reported("0000:01:00.0");
	assert_int_equal(bar_place(&dev_a, 0), NOWHERE);
	cfg_decode(&dev_b, 0);
	assert_int_equal(bar_place(&dev_a, 0), MEM32);
	cfg_decode(&dev_a, 0);
	cfg_decode(&dev_b, DECODE);
	assert_int_equal(bar_place(&dev_b, 0), MEM32 + 0x2000);
}

static void swapping_two_that_are_decoded(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	declare_bar(&dev_b, 0, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), MEM32);
	cfg_put(&dev_b, BAR(0), MEM32 + 0x1000);
	cfg_decode(&dev_a, DECODE);
	cfg_decode(&dev_b, DECODE);
	stderr_keep();
	cfg_put(&dev_a, BAR(0), MEM32 + 0x1000);
	cfg_put(&dev_b, BAR(0), MEM32);
	assert_reported("0000:01:00.0");
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x1000);
	assert_int_equal(bar_place(&dev_b, 0), MEM32);
}

static void over_another_device_or_a_sibling(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	declare_bar(&dev_a, 1, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), OTHER);
	cfg_put(&dev_a, BAR(1), MEM32);
	stderr_keep();
	cfg_decode(&dev_a, DECODE);
	cfg_put(&dev_a, BAR(0), MEM32);
	assert_reported("another is there");
	assert_int_equal(bar_place(&dev_a, 0), NOWHERE);
	assert_int_equal(bar_place(&dev_a, 1), MEM32);
	assert_int_equal(guest_read(OTHER, 1), 0x77);
	cfg_put(&dev_a, BAR(1), MEM32 + 0x1000);
	assert_int_equal(bar_place(&dev_a, 0), MEM32);
}

static void an_owner_that_cannot_map(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), MEM32);
	dev_a.map_result = -ENOSPC;
	cfg_decode(&dev_a, DECODE);
	assert_int_equal(dev_a.maps, 1);
	assert_int_equal(guest_read(MEM32, 4), UINT32_MAX);
	dev_a.map_result = 0;
	for (int i = 0; i < 10; i++) { /* not again and again: each would be reported */
		cfg_decode(&dev_a, 0);
		cfg_decode(&dev_a, DECODE);
		cfg_put(&dev_a, BAR(0), MEM32 + 0x1000 * (unsigned)i);
	}
	assert_int_equal(dev_a.maps, 1);
	assert_int_equal(dev_a.unmaps, 0);
	pci_function_reset(&dev_a.function);
	cfg_decode(&dev_a, DECODE);
	assert_int_equal(bar_place(&dev_a, 0), MEM32 + 0x9000);
}

static void destroying_takes_the_bars_along(void **state)
{
	(void)state;
	declare_bar(&dev_a, 0, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), MEM32);
	cfg_decode(&dev_a, DECODE);
	declare_bar(&dev_b, 0, 0x1000, 0);
	cfg_put(&dev_b, BAR(0), MEM32 + 0x1000);
	cfg_decode(&dev_b, DECODE);
	pci_function_destroy(&dev_a.function);
	assert_int_equal(dev_a.unmaps, 1);
	assert_int_equal(guest_read(MEM32, 4), UINT32_MAX);
	pci_bus_destroy(&pci_root);
	assert_int_equal(dev_b.unmaps, 1);
	assert_null(dev_b.function.bus);
	cfg_decode(&dev_b, DECODE);
	pci_config_write(&dev_b.function, PCI_COMMAND, 2, DECODE); /* nowhere to be decoded */
	assert_int_equal(dev_b.maps, 1);
}

/* Two vCPUs at the configuration space and the BARs of one function and its neighbour. */
static void *hostile_vcpu(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;

	for (int i = 0; i < 20000; i++) {
		struct rig_device *device = seed & 0x80000000 ? &dev_a : &dev_b;
		uint64_t gpa = MEM32 + (seed >> 8 & 0x7ff8);

		seed = seed * 1103515245 + 12345;
		switch (seed >> 16 & 7) {
		case 0:
			cfg_decode(device, seed >> 8 & DECODE);
			break;
		case 1:
			cfg_put(device, BAR(0), MEM32 + (seed & 0x7000));
			break;
		case 2:
			cfg_put(device, BAR(2), MEM32 + (seed & 0x7000));
			break;
		case 3:
			cfg_put(device, BAR(2), 0xffffffff);
			break;
		case 4:
			guest_write(gpa, 8, seed);
			break;
		case 5:
			cfg_get(device, BAR(seed >> 8 & 3));
			break;
		default:
			guest_read(gpa, 4);
		}
	}
	return NULL;
}

static void two_vcpus_at_once(void **state)
{
	uint32_t seeds[2] = { 1, 77777 };
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig_device *device = i ? &dev_b : &dev_a;

		declare_bar(device, 0, 0x1000, 0);
		declare_bar(device, 2, 0x2000, FLAG_64);
		device->function.complained = true;
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, hostile_vcpu, &seeds[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		bar_place(i ? &dev_b : &dev_a, 0);
		bar_place(i ? &dev_b : &dev_a, 2);
	}
	cfg_decode(&dev_a, 0);
	cfg_decode(&dev_b, 0);
	assert_int_equal(dev_a.maps, dev_a.unmaps);
	assert_int_equal(dev_b.maps, dev_b.unmaps);
	assert_int_equal(pci_mmio.count, 3);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, pci_rig_setup, pci_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(decode_bits_map_and_unmap),
		TEST(accesses_reach_the_owner),
		TEST(moving_while_decoded),
		TEST(only_inside_a_window),
		TEST(the_halves_of_64_bits_move_one_by_one),
		TEST(overlaps),
		TEST(swapping_two_that_are_decoded),
		TEST(over_another_device_or_a_sibling),
		TEST(an_owner_that_cannot_map),
		TEST(destroying_takes_the_bars_along),
		TEST(two_vcpus_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A function's configuration space: what the guest may change, and what it reads when it sizes BARs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "files.h"
#include "pci_rig.h"

static const struct pci_function_class bare_class = { 0 };

/* --- the header --- */

static void only_writable_bits_change(void **state)
{
	static const struct {
		unsigned offset, size;
		uint32_t written, read;
	} table[] = {
		{ PCI_VENDOR_ID, 4, 0xffffffff, 0x56781234 },
		{ PCI_COMMAND, 2, 0xffff, 0x0547 },
		{ PCI_COMMAND, 4, 0xffff0000, 0 },
		{ PCI_STATUS, 2, 0xffff, 0 },
		{ PCI_CLASS_REVISION, 4, 0xffffffff, 0 },
		{ PCI_CACHE_LINE_SIZE, 4, 0xffffffff, 0x0000ffff },
		{ PCI_HEADER_TYPE, 1, 0xff, 0 },
		{ PCI_BASE_ADDRESS_0, 4, 0xffffffff, 0 },
		{ PCI_SUBSYSTEM_VENDOR_ID, 4, 0xffffffff, 0 },
		{ PCI_ROM_ADDRESS, 4, 0xffffffff, 0 },
		{ PCI_CAPABILITY_LIST, 1, 0xff, 0 },
		{ PCI_INTERRUPT_LINE, 4, 0xffffffff, 0x000000ff },
		{ 0x44, 4, 0xffffffff, 0 },
		{ 0xffc, 4, 0xffffffff, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t gpa = cfg_address(&dev_a, table[i].offset);

		guest_write(gpa, table[i].size, table[i].written);
		if (guest_read(gpa, table[i].size) != table[i].read)
			fail_msg("register 0x%x reads 0x%llx", table[i].offset,
				 (unsigned long long)guest_read(gpa, table[i].size));
	}
}

static void a_write_touches_its_bytes_only(void **state)
{
	(void)state;
	memset(dev_a.function.writable + 0x50, 0xff, 8);
	cfg_put(&dev_a, 0x50, 0x11223344);
	cfg_put(&dev_a, 0x54, 0x55667788);
	guest_write(cfg_address(&dev_a, 0x51), 1, 0xaa);
	guest_write(cfg_address(&dev_a, 0x56), 2, 0xbbcc);
	assert_int_equal(cfg_get(&dev_a, 0x50), 0x1122aa44);
	assert_int_equal(cfg_get(&dev_a, 0x54), 0xbbcc7788);
	assert_int_equal(dev_a.written_offset, 0x56);
	assert_int_equal(dev_a.written_size, 2);
	assert_int_equal(dev_a.written_value, 0xbbcc);
	assert_int_equal(guest_read(cfg_address(&dev_a, 0x53), 1), 0x11);
	pci_config_write(&dev_a.function, 0x51, 1, 0xffffffee);
	assert_int_equal(dev_a.written_value, 0xee);
	assert_int_equal(pci_config_read(&dev_a.function, 0x50, 4), 0x1122ee44);
	assert_int_equal(pci_config_read(&dev_a.function, 0x40, 1), 0xa5);
}

/* bad inputs: odd sizes and offsets read as ones and are ignored. */
static void accesses_that_are_none(void **state)
{
	static const struct {
		unsigned offset, size;
	} table[] = { { 0x51, 2 }, { 0x52, 4 },  { 0x53, 2 }, { 0x51, 4 },
		      { 0x50, 8 }, { 0xffe, 4 }, { 0xfff, 2 } };

	(void)state;
	memset(dev_a.function.writable, 0xff, PCI_CONFIG_SIZE);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t gpa = cfg_address(&dev_a, table[i].offset);

		assert_int_equal(guest_read(gpa, table[i].size),
				 UINT64_MAX >> (64 - 8 * table[i].size));
		guest_write(gpa, table[i].size, 0);
		assert_int_equal(dev_a.written_size, 0);
	}
	assert_int_equal(pci_config_read(&dev_a.function, PCI_CONFIG_SIZE, 4), UINT32_MAX);
	assert_int_equal(pci_config_read(&dev_a.function, 0, 0), UINT32_MAX);
	assert_int_equal(pci_config_read(&dev_a.function, 0, 3), UINT32_MAX);
	assert_int_equal(pci_config_read(&dev_a.function, UINT32_MAX - 3, 4), UINT32_MAX);
	pci_config_write(&dev_a.function, PCI_CONFIG_SIZE, 4, 0);
	pci_config_write(&dev_a.function, UINT32_MAX - 3, 4, 0);
	assert_int_equal(dev_a.written_size, 0);
}

static void hooks_may_answer_and_take_the_lock_again(void **state)
{
	(void)state;
	assert_int_equal(cfg_get(&dev_a, 0x40), 0xa5a5a5a5);
	assert_int_equal(guest_read(cfg_address(&dev_a, 0x40), 1), 0xa5);
	declare_bar(&dev_a, 0, 0x1000, 0);
	cfg_put(&dev_a, BAR(0), MEM32);
	cfg_decode(&dev_a, DECODE);
	dev_a.reset_when_written = true;
	cfg_put(&dev_a, 0x50, 1);
	assert_int_equal(bar_place(&dev_a, 0), NOWHERE);
	assert_int_equal(cfg_get(&dev_a, PCI_COMMAND), 0);
	assert_int_equal(cfg_get(&dev_a, BAR(0)), MEM32);
}

static void a_function_without_hooks(void **state)
{
	struct rig_device c = { 0 };

	(void)state;
	assert_int_equal(pci_function_init(&c.function, &bare_class, "bare"), 0);
	assert_int_equal(pci_bus_add(&pci_root, &c.function, 0x20), 0);
	declare_bar(&c, 0, 0x1000, 0);
	cfg_put(&c, BAR(0), MEM32);
	cfg_decode(&c, DECODE);
	assert_true(c.function.bar[0].mapped);
	assert_int_equal(guest_read(MEM32, 8), UINT64_MAX);
	guest_write(MEM32, 8, 1);
	pci_function_destroy(&c.function);
	assert_null(pci_root.functions[0x20]);
	assert_int_equal(guest_read(cfg_address(&c, 0), 4), UINT32_MAX);
}

static void declarations_that_cannot_be(void **state)
{
	static const struct {
		unsigned n;
		uint64_t size;
		uint32_t flags;
		int result;
		const char *reason;
	} table[] = {
		{ 6, 0x1000, 0, -EINVAL, "no such BAR" },
		{ 0, 0, 0, -EINVAL, "power of two" },
		{ 0, 0x1800, 0, -EINVAL, "power of two" },
		{ 0, 8, 0, -EINVAL, "too small" },
		{ 0, 2, FLAG_IO, -EINVAL, "too small" },
		{ 5, 0x1000, FLAG_64, -EINVAL, "next one" },
		{ 1, 0x1000, FLAG_64, -EINVAL, "next one" },
		{ 4, 0x1000, 0, -EINVAL, "upper half" },
		{ 0, 1ULL << 32, 0, -ERANGE, "address space" },
		{ 0, 0x20000, FLAG_IO, -ERANGE, "address space" },
	};

	(void)state;
	declare_bar(&dev_a, 2, 0x1000, 0);
	declare_bar(&dev_a, 3, 0x1000, FLAG_64);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		stderr_keep();
		assert_int_equal(pci_function_set_bar(&dev_a.function, table[i].n, table[i].size,
						      table[i].flags),
				 table[i].result);
		assert_reported(table[i].reason);
	}
	assert_int_equal(cfg_get(&dev_a, BAR(0)), 0);
}

static void sizing_reads_the_mask(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t flags, low, high;
	} table[] = {
		{ 16, 0, 0xfffffff0, 0 },
		{ 0x1000, FLAG_PREF, 0xfffff008, 0 },
		{ 1ULL << 31, 0, 0x80000000, 0 },
		{ 4, FLAG_IO, 0xfffffffd, 0 },
		{ 0x100, FLAG_IO, 0xffffff01, 0 },
		{ 0x10000, FLAG_IO, 0xffff0001, 0 },
		{ 0x4000, FLAG_64, 0xffffc004, 0xffffffff },
		{ 1ULL << 32, FLAG_64 | FLAG_PREF, 0x0000000c, 0xffffffff },
		{ 1ULL << 40, FLAG_64 | FLAG_PREF, 0x0000000c, 0xffffff00 },
		{ 1ULL << 63, FLAG_64, 0x00000004, 0x80000000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		pci_function_destroy(&dev_a.function);
		dev_make(&dev_a, "a", 0x08);
		declare_bar(&dev_a, 1, table[i].size, table[i].flags);
		cfg_decode(&dev_a, DECODE); /* some firmware leaves it on */
		cfg_put(&dev_a, BAR(1), 0xffffffff);
		cfg_put(&dev_a, BAR(2), 0xffffffff);
		assert_int_equal(cfg_get(&dev_a, BAR(1)), table[i].low);
		assert_int_equal(cfg_get(&dev_a, BAR(2)), table[i].high);
		assert_int_equal(cfg_get(&dev_a, BAR(0)), 0);
		cfg_put(&dev_a, BAR(1), 0);
		cfg_put(&dev_a, BAR(2), 0);
		assert_int_equal(cfg_get(&dev_a, BAR(1)), table[i].flags);
		assert_int_equal(cfg_get(&dev_a, BAR(2)), 0);
		assert_int_equal(bar_place(&dev_a, 1), table[i].flags & FLAG_IO ? IO : NOWHERE);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, pci_rig_setup, pci_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_writable_bits_change), TEST(a_write_touches_its_bytes_only),
		TEST(accesses_that_are_none),    TEST(hooks_may_answer_and_take_the_lock_again),
		TEST(a_function_without_hooks),  TEST(declarations_that_cannot_be),
		TEST(sizing_reads_the_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A function's configuration space: what the guest may change, and where its BARs go as it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/pci.h>
#include "files.h"

#define ECAM   0x40000000ULL
#define IO     0x0ULL
#define MEM32  0x50000000ULL
#define MEM64  0x100000000ULL
#define RAM    0x80000000ULL
#define OTHER  (MEM32 + 0x100000) /* something else on the MMIO bus */
#define BAR(n) (PCI_BASE_ADDRESS_0 + 4 * (n))

#define FLAG_IO   PCI_BASE_ADDRESS_SPACE_IO
#define FLAG_64   PCI_BASE_ADDRESS_MEM_TYPE_64
#define FLAG_PREF PCI_BASE_ADDRESS_MEM_PREFETCH
#define NOWHERE   UINT64_MAX
#define DECODE    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)

static const struct pci_layout layout = {
	.ecam = { ECAM, 0x10000000 },
	.io = { IO, 0x10000 },
	.mem32 = { MEM32, 0x30000000 },
	.mem64 = { MEM64, 0x1000000000 },
};

/* A function that remembers what its owner is told. */
struct device {
	struct pci_function function;
	uint64_t mapped_at[PCI_BARS];
	unsigned maps, unmaps;
	int map_result;
	unsigned written_offset, written_size;
	uint32_t written_value;
	bool reset_when_written;
	atomic_ullong last_write; /* of a BAR */
};

static uint64_t bar_read(struct pci_function *function, unsigned bar, uint64_t offset,
			 unsigned size)
{
	assert_true(offset + size <= function->bar[bar].size);
	return 0x1111111111111100ULL * (bar + 1) + (offset & 0xff);
}

static void bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct device *device = (struct device *)function;

	assert_true(offset + size <= function->bar[bar].size);
	atomic_store(&device->last_write, value);
}

static int bar_map(struct pci_function *function, unsigned bar, uint64_t gpa)
{
	struct device *device = (struct device *)function;

	assert_int_equal(device->mapped_at[bar], NOWHERE);
	device->maps++;
	if (device->map_result)
		return device->map_result;
	device->mapped_at[bar] = gpa;
	return 0;
}

static void bar_unmap(struct pci_function *function, unsigned bar)
{
	struct device *device = (struct device *)function;

	assert_int_not_equal(device->mapped_at[bar], NOWHERE);
	device->unmaps++;
	device->mapped_at[bar] = NOWHERE;
}

static void config_written(struct pci_function *function, unsigned offset, unsigned size,
			   uint32_t value)
{
	struct device *device = (struct device *)function;

	device->written_offset = offset;
	device->written_size = size;
	device->written_value = value;
	if (device->reset_when_written) /* takes the lock once more */
		pci_function_reset(function);
}

static uint32_t config_read(struct pci_function *function, unsigned offset, unsigned size)
{
	return offset == 0x40 ? 0xa5a5a5a5 : pci_get(function->config, offset, size);
}

static const struct pci_function_class class = {
	.config_read = config_read,
	.config_written = config_written,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_map = bar_map,
	.bar_unmap = bar_unmap,
};
static const struct pci_function_class bare_class = { 0 };

static struct mmio_bus mmio;
static struct pci_bus bus;
static struct device a, b;
static struct mmio_region ram, other;

static uint64_t none_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0x77;
}

static void none_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct mmio_ops none_ops = { none_read, none_write };

static void make(struct device *device, const char *name, int devfn)
{
	memset(device, 0, sizeof(*device));
	memset(device->mapped_at, 0xff, sizeof(device->mapped_at));
	assert_int_equal(pci_function_init(&device->function, &class, name), 0);
	pci_put(device->function.config, PCI_VENDOR_ID, 4, 0x56781234);
	assert_int_equal(pci_bus_add(&bus, &device->function, devfn), 0);
}

static int setup(void **state)
{
	ram = (struct mmio_region){ "RAM", RAM, 0x40000000, &none_ops, NULL };
	other = (struct mmio_region){ "other", OTHER, 0x1000, &none_ops, NULL };
	if (files_setup(state) || mmio_bus_create(&mmio) || mmio_bus_add(&mmio, &ram) ||
	    mmio_bus_add(&mmio, &other) || pci_bus_create(&bus, &mmio, &layout))
		return -1;
	make(&a, "0000:01:00.0", 0x08);
	make(&b, "0000:02:00.0", 0x10);
	return 0;
}

static int teardown(void **state)
{
	pci_function_destroy(&a.function);
	pci_function_destroy(&a.function);
	pci_bus_destroy(&bus);
	pci_bus_destroy(&bus);
	pci_function_destroy(&b.function);
	mmio_bus_destroy(&mmio);
	return files_teardown(state);
}

static uint64_t cfg(const struct device *device, unsigned offset)
{
	return ECAM + ((uint64_t)device->function.devfn << 12) + offset;
}

static uint64_t read_at(uint64_t gpa, unsigned size)
{
	uint64_t value = 0xdeadbeef;

	mmio_bus_read(&mmio, gpa, size, &value);
	return value;
}

static void write_at(uint64_t gpa, unsigned size, uint64_t value)
{
	mmio_bus_write(&mmio, gpa, size, value);
}

static uint32_t get(const struct device *device, unsigned offset)
{
	return (uint32_t)read_at(cfg(device, offset), 4);
}

static void put(const struct device *device, unsigned offset, uint32_t value)
{
	write_at(cfg(device, offset), 4, value);
}

static void decode(const struct device *device, uint32_t command)
{
	write_at(cfg(device, PCI_COMMAND), 2, command);
}

static void set_bar(struct device *device, unsigned n, uint64_t size, uint32_t flags)
{
	assert_int_equal(pci_function_set_bar(&device->function, n, size, flags), 0);
}

/* Where it answers. */
static uint64_t mapped(const struct device *device, unsigned n)
{
	const struct pci_bar *bar = &device->function.bar[n];

	assert_int_equal(device->mapped_at[n], bar->mapped ? bar->region.base : NOWHERE);
	return device->mapped_at[n];
}

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
		uint64_t gpa = cfg(&a, table[i].offset);

		write_at(gpa, table[i].size, table[i].written);
		if (read_at(gpa, table[i].size) != table[i].read)
			fail_msg("register 0x%x reads 0x%llx", table[i].offset,
				 (unsigned long long)read_at(gpa, table[i].size));
	}
}

static void a_write_touches_its_bytes_only(void **state)
{
	(void)state;
	memset(a.function.writable + 0x50, 0xff, 8);
	put(&a, 0x50, 0x11223344);
	put(&a, 0x54, 0x55667788);
	write_at(cfg(&a, 0x51), 1, 0xaa);
	write_at(cfg(&a, 0x56), 2, 0xbbcc);
	assert_int_equal(get(&a, 0x50), 0x1122aa44);
	assert_int_equal(get(&a, 0x54), 0xbbcc7788);
	assert_int_equal(a.written_offset, 0x56);
	assert_int_equal(a.written_size, 2);
	assert_int_equal(a.written_value, 0xbbcc);
	assert_int_equal(read_at(cfg(&a, 0x53), 1), 0x11);
}

/* bad inputs: odd sizes and offsets read as ones and are ignored. */
static void accesses_that_are_none(void **state)
{
	static const struct {
		unsigned offset, size;
	} table[] = { { 0x51, 2 }, { 0x52, 4 },  { 0x53, 2 }, { 0x51, 4 },
		      { 0x50, 8 }, { 0xffe, 4 }, { 0xfff, 2 } };

	(void)state;
	memset(a.function.writable, 0xff, PCI_CONFIG_SIZE);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t gpa = cfg(&a, table[i].offset);

		assert_int_equal(read_at(gpa, table[i].size),
				 UINT64_MAX >> (64 - 8 * table[i].size));
		write_at(gpa, table[i].size, 0);
		assert_int_equal(a.written_size, 0);
	}
	assert_int_equal(pci_config_read(&a.function, PCI_CONFIG_SIZE, 4), UINT32_MAX);
	assert_int_equal(pci_config_read(&a.function, 0, 0), UINT32_MAX);
	assert_int_equal(pci_config_read(&a.function, 0, 3), UINT32_MAX);
	assert_int_equal(pci_config_read(&a.function, UINT32_MAX - 3, 4), UINT32_MAX);
	pci_config_write(&a.function, PCI_CONFIG_SIZE, 4, 0);
	pci_config_write(&a.function, UINT32_MAX - 3, 4, 0);
	assert_int_equal(a.written_size, 0);
}

static void hooks_may_answer_and_take_the_lock_again(void **state)
{
	(void)state;
	assert_int_equal(get(&a, 0x40), 0xa5a5a5a5);
	assert_int_equal(read_at(cfg(&a, 0x40), 1), 0xa5);
	set_bar(&a, 0, 0x1000, 0);
	put(&a, BAR(0), MEM32);
	decode(&a, DECODE);
	a.reset_when_written = true;
	put(&a, 0x50, 1);
	assert_int_equal(mapped(&a, 0), NOWHERE);
	assert_int_equal(get(&a, PCI_COMMAND), 0);
	assert_int_equal(get(&a, BAR(0)), MEM32);
}

static void a_function_without_hooks(void **state)
{
	struct device c = { 0 };

	(void)state;
	assert_int_equal(pci_function_init(&c.function, &bare_class, "bare"), 0);
	assert_int_equal(pci_bus_add(&bus, &c.function, 0x20), 0);
	set_bar(&c, 0, 0x1000, 0);
	put(&c, BAR(0), MEM32);
	decode(&c, DECODE);
	assert_true(c.function.bar[0].mapped);
	assert_int_equal(read_at(MEM32, 8), UINT64_MAX);
	write_at(MEM32, 8, 1);
	pci_function_destroy(&c.function);
	assert_null(bus.functions[0x20]);
	assert_int_equal(read_at(cfg(&c, 0), 4), UINT32_MAX);
}

/* --- BARs --- */

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
	set_bar(&a, 2, 0x1000, 0);
	set_bar(&a, 3, 0x1000, FLAG_64);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		stderr_keep();
		assert_int_equal(pci_function_set_bar(&a.function, table[i].n, table[i].size,
						      table[i].flags),
				 table[i].result);
		assert_reported(table[i].reason);
	}
	assert_int_equal(get(&a, BAR(0)), 0);
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
		pci_function_destroy(&a.function);
		make(&a, "a", 0x08);
		set_bar(&a, 1, table[i].size, table[i].flags);
		decode(&a, DECODE); /* some firmware leaves it on */
		put(&a, BAR(1), 0xffffffff);
		put(&a, BAR(2), 0xffffffff);
		assert_int_equal(get(&a, BAR(1)), table[i].low);
		assert_int_equal(get(&a, BAR(2)), table[i].high);
		assert_int_equal(get(&a, BAR(0)), 0);
		put(&a, BAR(1), 0);
		put(&a, BAR(2), 0);
		assert_int_equal(get(&a, BAR(1)), table[i].flags);
		assert_int_equal(get(&a, BAR(2)), 0);
		assert_int_equal(mapped(&a, 1), table[i].flags & FLAG_IO ? IO : NOWHERE);
	}
}

static void decode_bits_map_and_unmap(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	set_bar(&a, 1, 0x20, FLAG_IO);
	set_bar(&a, 2, 0x4000, FLAG_64 | FLAG_PREF);
	put(&a, BAR(0), MEM32 + 0x5000);
	put(&a, BAR(1), 0x2000);
	put(&a, BAR(2), 0x8000);
	put(&a, BAR(3), 0x3);
	assert_int_equal(a.maps, 0);
	decode(&a, PCI_COMMAND_MEMORY);
	assert_int_equal(mapped(&a, 0), MEM32 + 0x5000);
	assert_int_equal(mapped(&a, 1), NOWHERE);
	assert_int_equal(mapped(&a, 2), 0x300008000);
	assert_int_equal(pci_bar_address(&a.function, 2), 0x300008000);
	decode(&a, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	assert_int_equal(mapped(&a, 0), NOWHERE);
	assert_int_equal(mapped(&a, 1), IO + 0x2000);
	assert_int_equal(mapped(&a, 2), NOWHERE);
	decode(&a, DECODE);
	decode(&a, DECODE | PCI_COMMAND_MASTER);
	assert_int_equal(a.maps, 5);
	assert_int_equal(a.unmaps, 2);
	pci_function_reset(&a.function);
	assert_int_equal(a.unmaps, 5);
	assert_int_equal(get(&a, PCI_COMMAND), 0);
	assert_int_equal(get(&a, BAR(0)), MEM32 + 0x5000);
}

static void accesses_reach_the_owner(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	set_bar(&a, 4, 0x1000, FLAG_64);
	put(&a, BAR(0), MEM32);
	put(&a, BAR(4), MEM32 + 0x1000);
	decode(&a, DECODE);
	assert_int_equal(read_at(MEM32 + 0x12, 2), 0x1112);
	assert_int_equal(read_at(MEM32 + 0x1ff8, 8), 0x55555555555555f8);
	write_at(MEM32 + 8, 8, 0x0123456789abcdef);
	assert_int_equal(a.last_write, 0x0123456789abcdef);
	/* Straddling its end, and where nothing is. */
	assert_int_equal(read_at(MEM32 + 0xffc, 8), UINT64_MAX);
	assert_int_equal(read_at(MEM32 + 0x2000, 4), UINT32_MAX);
	decode(&a, 0);
	assert_int_equal(read_at(MEM32, 4), UINT32_MAX);
	write_at(MEM32, 4, 5);
	assert_int_equal(a.last_write, 0x0123456789abcdef);
}

static void moving_while_decoded(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	put(&a, BAR(0), MEM32);
	decode(&a, DECODE);
	put(&a, BAR(0), MEM32 + 0x8000);
	assert_int_equal(mapped(&a, 0), MEM32 + 0x8000);
	assert_int_equal(read_at(MEM32, 4), UINT32_MAX);
	assert_int_equal(read_at(MEM32 + 0x8000, 1), 0x00);
	put(&a, BAR(0), 0xffffffff); /* sizing */
	assert_int_equal(mapped(&a, 0), NOWHERE);
	put(&a, BAR(0), MEM32 + 0x8000);
	assert_int_equal(mapped(&a, 0), MEM32 + 0x8000);
	write_at(cfg(&a, BAR(0) + 2), 1, 0x01); /* a byte of it */
	assert_int_equal(mapped(&a, 0), MEM32 + 0x18000);
	put(&a, BAR(0), MEM32 + 0x8000);
	assert_int_equal(a.maps, a.unmaps + 1);
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
	mmio_bus_remove(&mmio, &other);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		pci_function_destroy(&a.function);
		make(&a, "a", 0x08);
		set_bar(&a, 0, table[i].size, table[i].flags);
		put(&a, BAR(0), (uint32_t)table[i].address);
		put(&a, BAR(1), (uint32_t)(table[i].address >> 32));
		decode(&a, DECODE);
		if (mapped(&a, 0) != (table[i].mapped ? table[i].address : NOWHERE))
			fail_msg("case %zu is mapped at 0x%llx", i,
				 (unsigned long long)mapped(&a, 0));
		assert_int_equal(read_at(RAM + 0x1000, 1), 0x77);
	}
}

static void the_halves_of_64_bits_move_one_by_one(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x4000, FLAG_64 | FLAG_PREF);
	put(&a, BAR(0), MEM32 + 0x4000);
	decode(&a, DECODE);
	assert_int_equal(mapped(&a, 0), MEM32 + 0x4000);
	put(&a, BAR(1), 2);
	assert_int_equal(mapped(&a, 0), 0x200000000 + MEM32 + 0x4000);
	put(&a, BAR(0), 0);
	assert_int_equal(mapped(&a, 0), 0x200000000);
	put(&a, BAR(1), 0);
	assert_int_equal(mapped(&a, 0), NOWHERE);
	assert_int_equal(mapped(&a, 1), NOWHERE);
}

/* Never over what is there already: it stays, the newcomer reads as ones until there is room. */
static void overlaps(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x4000, 0);
	set_bar(&b, 0, 0x1000, 0);
	put(&a, BAR(0), MEM32);
	put(&b, BAR(0), MEM32 + 0x2000);
	decode(&a, DECODE);
	stderr_keep();
	decode(&b, DECODE);
	decode(&b, 0);
	decode(&b, DECODE);
	assert_reported("0000:02:00.0: the guest's BAR 0 at 0x50002000");
	assert_int_equal(mapped(&b, 0), NOWHERE);
	assert_int_equal(mapped(&a, 0), MEM32);
	put(&a, BAR(0), MEM32 + 0x10000); /* gone: b appears */
	assert_int_equal(mapped(&a, 0), MEM32 + 0x10000);
	assert_int_equal(mapped(&b, 0), MEM32 + 0x2000);
	stderr_keep();
	put(&a, BAR(0), MEM32);
	assert_reported("0000:01:00.0");
	assert_int_equal(mapped(&a, 0), NOWHERE);
	decode(&b, 0);
	assert_int_equal(mapped(&a, 0), MEM32);
	decode(&a, 0);
	decode(&b, DECODE);
	assert_int_equal(mapped(&b, 0), MEM32 + 0x2000);
}

static void swapping_two_that_are_decoded(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	set_bar(&b, 0, 0x1000, 0);
	put(&a, BAR(0), MEM32);
	put(&b, BAR(0), MEM32 + 0x1000);
	decode(&a, DECODE);
	decode(&b, DECODE);
	stderr_keep();
	put(&a, BAR(0), MEM32 + 0x1000);
	put(&b, BAR(0), MEM32);
	assert_reported("0000:01:00.0");
	assert_int_equal(mapped(&a, 0), MEM32 + 0x1000);
	assert_int_equal(mapped(&b, 0), MEM32);
}

static void over_another_device_or_a_sibling(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	set_bar(&a, 1, 0x1000, 0);
	put(&a, BAR(0), OTHER);
	put(&a, BAR(1), MEM32);
	stderr_keep();
	decode(&a, DECODE);
	put(&a, BAR(0), MEM32);
	assert_reported("another is there");
	assert_int_equal(mapped(&a, 0), NOWHERE);
	assert_int_equal(mapped(&a, 1), MEM32);
	assert_int_equal(read_at(OTHER, 1), 0x77);
	put(&a, BAR(1), MEM32 + 0x1000);
	assert_int_equal(mapped(&a, 0), MEM32);
}

static void an_owner_that_cannot_map(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	put(&a, BAR(0), MEM32);
	a.map_result = -ENOSPC;
	decode(&a, DECODE);
	assert_int_equal(a.maps, 1);
	assert_int_equal(read_at(MEM32, 4), UINT32_MAX);
	a.map_result = 0;
	for (int i = 0; i < 10; i++) { /* not again and again: each would be reported */
		decode(&a, 0);
		decode(&a, DECODE);
		put(&a, BAR(0), MEM32 + 0x1000 * (unsigned)i);
	}
	assert_int_equal(a.maps, 1);
	assert_int_equal(a.unmaps, 0);
	pci_function_reset(&a.function);
	decode(&a, DECODE);
	assert_int_equal(mapped(&a, 0), MEM32 + 0x9000);
}

static void destroying_takes_the_bars_along(void **state)
{
	(void)state;
	set_bar(&a, 0, 0x1000, 0);
	put(&a, BAR(0), MEM32);
	decode(&a, DECODE);
	set_bar(&b, 0, 0x1000, 0);
	put(&b, BAR(0), MEM32 + 0x1000);
	decode(&b, DECODE);
	pci_function_destroy(&a.function);
	assert_int_equal(a.unmaps, 1);
	assert_int_equal(read_at(MEM32, 4), UINT32_MAX);
	pci_bus_destroy(&bus);
	assert_int_equal(b.unmaps, 1);
	assert_null(b.function.bus);
	decode(&b, DECODE);
	pci_config_write(&b.function, PCI_COMMAND, 2, DECODE); /* nowhere to be decoded */
	assert_int_equal(b.maps, 1);
}

/* Two vCPUs at the configuration space and the BARs of one function and its neighbour. */
static void *hostile_vcpu(void *arg)
{
	uint32_t seed = *(uint32_t *)arg;

	for (int i = 0; i < 20000; i++) {
		struct device *device = seed & 0x80000000 ? &a : &b;
		uint64_t gpa = MEM32 + (seed >> 8 & 0x7ff8);

		seed = seed * 1103515245 + 12345;
		switch (seed >> 16 & 7) {
		case 0:
			decode(device, seed >> 8 & DECODE);
			break;
		case 1:
			put(device, BAR(0), MEM32 + (seed & 0x7000));
			break;
		case 2:
			put(device, BAR(2), MEM32 + (seed & 0x7000));
			break;
		case 3:
			put(device, BAR(2), 0xffffffff);
			break;
		case 4:
			write_at(gpa, 8, seed);
			break;
		case 5:
			get(device, BAR(seed >> 8 & 3));
			break;
		default:
			read_at(gpa, 4);
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
		struct device *device = i ? &b : &a;

		set_bar(device, 0, 0x1000, 0);
		set_bar(device, 2, 0x2000, FLAG_64);
		device->function.complained = true;
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, hostile_vcpu, &seeds[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		mapped(i ? &b : &a, 0);
		mapped(i ? &b : &a, 2);
	}
	decode(&a, 0);
	decode(&b, 0);
	assert_int_equal(a.maps, a.unmaps);
	assert_int_equal(b.maps, b.unmaps);
	assert_int_equal(mmio.count, 3);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_writable_bits_change),
		TEST(a_write_touches_its_bytes_only),
		TEST(accesses_that_are_none),
		TEST(hooks_may_answer_and_take_the_lock_again),
		TEST(a_function_without_hooks),
		TEST(declarations_that_cannot_be),
		TEST(sizing_reads_the_mask),
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

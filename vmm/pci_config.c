// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function's configuration space: the type 0 header (PCIe 5.0, 7.5.1), and its BARs coming and going in guest-physical
 * address space with what the guest writes there.
 */
#include <errno.h>
#include <string.h>
#include <lkvm/report.h>
#include "pci.h"

#define PCI_IO_SPACE_SIZE 0x10000ULL
#define PCI_BARS_END      (PCI_BASE_ADDRESS_0 + 4 * PCI_BARS)

/* Registers of the type 0 header that every function has, and what of them the guest may write. */
static const struct {
	uint8_t offset, size;
	uint32_t writable;
} header_registers[] = {
	{ PCI_COMMAND, 2,
	  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
		  PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE },
	{ PCI_CACHE_LINE_SIZE, 1, 0xff },
	{ PCI_LATENCY_TIMER, 1, 0xff },
	{ PCI_INTERRUPT_LINE, 1, 0xff },
};

uint32_t pci_get(const uint8_t *config, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)config[offset + i] << (8 * i);
	return value;
}

void pci_put(uint8_t *config, unsigned offset, unsigned size, uint32_t value)
{
	for (unsigned i = 0; i < size; i++)
		config[offset + i] = (uint8_t)(value >> (8 * i));
}

/* --- BARs; under the lock --- */

static unsigned bar_offset(unsigned n)
{
	return PCI_BASE_ADDRESS_0 + 4 * n;
}

static bool is_io(const struct pci_bar *bar)
{
	return bar->flags & PCI_BASE_ADDRESS_SPACE_IO;
}

static bool is_64bit(const struct pci_bar *bar)
{
	return bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

static uint64_t io_base(const struct pci_function *function)
{
	return function->bus ? function->bus->layout.io.base : 0;
}

uint64_t pci_bar_address(const struct pci_function *function, unsigned n)
{
	const struct pci_bar *bar = &function->bar[n];
	uint64_t address = pci_get(function->config, bar_offset(n), 4);

	if (is_io(bar))
		return io_base(function) + (address & PCI_BASE_ADDRESS_IO_MASK);
	if (is_64bit(bar))
		address |= (uint64_t)pci_get(function->config, bar_offset(n + 1), 4) << 32;
	return address & PCI_BASE_ADDRESS_MEM_MASK;
}

static bool in_window(const struct pci_window *window, uint64_t gpa, uint64_t size)
{
	return size <= window->size && gpa - window->base <= window->size - size;
}

/* Whether the guest wants the BAR decoded at gpa, and the host bridge forwards what is there. */
static bool bar_wanted(const struct pci_function *function, const struct pci_bar *bar, uint64_t gpa)
{
	uint32_t command = pci_get(function->config, PCI_COMMAND, 2);
	const struct pci_layout *layout;

	if (!function->bus || bar->failed)
		return false;
	layout = &function->bus->layout;
	if (is_io(bar))
		return command & PCI_COMMAND_IO && in_window(&layout->io, gpa, bar->size);
	return command & PCI_COMMAND_MEMORY && (in_window(&layout->mem32, gpa, bar->size) ||
						in_window(&layout->mem64, gpa, bar->size));
}

static void bar_unmap(struct pci_function *function, unsigned n)
{
	struct pci_bar *bar = &function->bar[n];

	if (function->class->bar_unmap)
		function->class->bar_unmap(function, n);
	mmio_bus_remove(function->bus->mmio, &bar->region);
	bar->mapped = false;
	atomic_store(&function->bus->released, true);
}

/* On the MMIO bus first: what overlaps there never reaches the owner. Of two BARs in one place the one there first stays. */
static void bar_map(struct pci_function *function, unsigned n, uint64_t gpa)
{
	struct pci_bar *bar = &function->bar[n];
	int err;

	bar->region.base = gpa;
	err = mmio_bus_add(function->bus->mmio, &bar->region);
	bar->blocked = err;
	if (err) {
		report_once(&function->complained,
			    "%s: the guest's BAR %u at 0x%llx is not mapped: %s", function->name, n,
			    (unsigned long long)gpa,
			    err == -EEXIST ? "another is there" : strerror(-err));
		return;
	}
	bar->mapped = true;
	if (function->class->bar_map && function->class->bar_map(function, n, gpa) < 0) {
		mmio_bus_remove(function->bus->mmio, &bar->region);
		bar->mapped = false;
		bar->failed = true;
	}
}

/* Makes the BAR decoded where and if the guest has it now. */
static void bar_update(struct pci_function *function, unsigned n)
{
	struct pci_bar *bar = &function->bar[n];
	uint64_t gpa = pci_bar_address(function, n);
	bool wanted = bar->size && bar_wanted(function, bar, gpa);

	if (bar->mapped && (!wanted || gpa != bar->region.base))
		bar_unmap(function, n);
	if (!wanted)
		bar->blocked = false;
	else if (!bar->mapped)
		bar_map(function, n, gpa);
}

static void bars_update(struct pci_function *function)
{
	for (unsigned n = 0; n < PCI_BARS; n++)
		bar_update(function, n);
}

void pci_bar_place(struct pci_function *function, unsigned n, uint64_t gpa)
{
	struct pci_bar *bar = &function->bar[n];
	uint64_t address = is_io(bar) ? gpa - io_base(function) : gpa;

	pthread_mutex_lock(&function->lock);
	pci_put(function->config, bar_offset(n), 4, (uint32_t)address | bar->flags);
	if (is_64bit(bar))
		pci_put(function->config, bar_offset(n + 1), 4, (uint32_t)(address >> 32));
	bar_update(function, n);
	pthread_mutex_unlock(&function->lock);
}

void pci_function_retry(struct pci_function *function)
{
	pthread_mutex_lock(&function->lock);
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (function->bar[n].blocked)
			bar_update(function, n);
	pthread_mutex_unlock(&function->lock);
}

/* --- what the guest reads and writes in a BAR --- */

static uint64_t bar_region_read(void *device, uint64_t offset, unsigned size)
{
	struct pci_bar *bar = device;
	struct pci_function *function = bar->function;

	if (!function->class->bar_read)
		return UINT64_MAX;
	return function->class->bar_read(function, (unsigned)(bar - function->bar), offset, size);
}

static void bar_region_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_bar *bar = device;
	struct pci_function *function = bar->function;

	if (function->class->bar_write)
		function->class->bar_write(function, (unsigned)(bar - function->bar), offset, size,
					   value);
}

static const struct mmio_ops bar_region_ops = { bar_region_read, bar_region_write };

/* --- declaration --- */

int pci_function_init(struct pci_function *function, const struct pci_function_class *class,
		      const char *name)
{
	pthread_mutexattr_t attr;
	int err;

	memset(function, 0, sizeof(*function));
	err = pthread_mutexattr_init(&attr);
	if (err)
		return report(-err, "%s: cannot create a lock", name);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	err = pthread_mutex_init(&function->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	if (err)
		return report(-err, "%s: cannot create a lock", name);
	function->class = class;
	function->name = name;
	for (unsigned i = 0; i < sizeof(header_registers) / sizeof(header_registers[0]); i++)
		pci_put(function->writable, header_registers[i].offset, header_registers[i].size,
			header_registers[i].writable);
	return 0;
}

void pci_function_destroy(struct pci_function *function)
{
	if (!function->class)
		return;
	pci_function_reset(function);
	if (function->bus)
		function->bus->functions[function->devfn] = NULL;
	pthread_mutex_destroy(&function->lock);
	memset(function, 0, sizeof(*function));
}

/* Why the BAR cannot be as declared; NULL if it can. */
static const char *bar_flaw(const struct pci_function *function, unsigned n, uint64_t size,
			    uint32_t flags)
{
	uint64_t least = flags & PCI_BASE_ADDRESS_SPACE_IO ? 4 : 16;

	if (n >= PCI_BARS)
		return "there is no such BAR";
	if (!size || size & (size - 1))
		return "the size is no power of two";
	if (size < least)
		return "it is too small";
	if (flags & PCI_BASE_ADDRESS_MEM_TYPE_64 &&
	    (n == PCI_BARS - 1 || function->bar[n + 1].size))
		return "a 64-bit BAR needs the next one too";
	if (n > 0 && is_64bit(&function->bar[n - 1]))
		return "it is the upper half of the one before";
	return NULL;
}

static uint64_t largest_bar(uint32_t flags)
{
	if (flags & PCI_BASE_ADDRESS_SPACE_IO)
		return PCI_IO_SPACE_SIZE;
	return flags & PCI_BASE_ADDRESS_MEM_TYPE_64 ? 1ULL << 63 : 1ULL << 31;
}

int pci_function_set_bar(struct pci_function *function, unsigned n, uint64_t size, uint32_t flags)
{
	const char *flaw = bar_flaw(function, n, size, flags);
	uint64_t mask = ~(size - 1);

	if (flaw)
		return refuse(-EINVAL, "%s: BAR %u of %llu bytes: %s", function->name, n,
			      (unsigned long long)size, flaw);
	if (size > largest_bar(flags))
		return refuse(-ERANGE, "%s: BAR %u of %llu bytes is larger than its address space",
			      function->name, n, (unsigned long long)size);
	function->bar[n] = (struct pci_bar){
		.size = size,
		.flags = flags,
		.region = { function->name, 0, size, &bar_region_ops, &function->bar[n] },
		.function = function,
	};
	pci_put(function->config, bar_offset(n), 4, flags);
	pci_put(function->writable, bar_offset(n), 4, (uint32_t)mask);
	if (flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		pci_put(function->writable, bar_offset(n + 1), 4, (uint32_t)(mask >> 32));
	return 0;
}

/* --- the guest's accesses --- */

static bool access_valid(unsigned offset, unsigned size)
{
	return (size == 1 || size == 2 || size == 4) && offset < PCI_CONFIG_SIZE &&
	       offset % size == 0;
}

static uint32_t low_bytes(uint32_t value, unsigned size)
{
	return size == 4 ? value : value & ((1U << (8 * size)) - 1);
}

uint32_t pci_config_read(struct pci_function *function, unsigned offset, unsigned size)
{
	uint32_t value;

	if (!access_valid(offset, size))
		return UINT32_MAX;
	pthread_mutex_lock(&function->lock);
	if (function->class->config_read)
		value = function->class->config_read(function, offset, size);
	else
		value = pci_get(function->config, offset, size);
	pthread_mutex_unlock(&function->lock);
	return low_bytes(value, size);
}

void pci_config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
	uint32_t mask, merged;

	if (!access_valid(offset, size))
		return;
	value = low_bytes(value, size);
	pthread_mutex_lock(&function->lock);
	mask = pci_get(function->writable, offset, size);
	merged = (pci_get(function->config, offset, size) & ~mask) | (value & mask);
	pci_put(function->config, offset, size, merged);
	if (offset / 4 == PCI_COMMAND / 4 ||
	    (offset >= PCI_BASE_ADDRESS_0 && offset < PCI_BARS_END))
		bars_update(function);
	if (function->class->config_written)
		function->class->config_written(function, offset, size, value);
	pci_shadow_update(function);
	pthread_mutex_unlock(&function->lock);
}

void pci_function_reset(struct pci_function *function)
{
	pthread_mutex_lock(&function->lock);
	pci_put(function->config, PCI_COMMAND, 2, 0);
	bars_update(function);
	for (unsigned n = 0; n < PCI_BARS; n++)
		function->bar[n].failed = false;
	pci_shadow_update(function);
	pthread_mutex_unlock(&function->lock);
}

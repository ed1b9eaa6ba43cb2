// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a guest does to configuration space and BARs: BARs are decoded inside their windows only, never over anything
 * else, where the guest has put them, and owners are told of every change exactly once.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/pci.h>

#define ECAM      0x40000000ULL
#define MEM32     0x50000000ULL
#define RAM       0x80000000ULL
#define MEM64     0x100000000ULL
#define FUNCTIONS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pci_layout layout = {
	.ecam = { ECAM, 0x10000000 },
	.io = { 0, 0x10000 },
	.mem32 = { MEM32, 0x30000000 },
	.mem64 = { MEM64, 0x1000000000 },
};

struct device {
	struct pci_function function;
	bool mapped[PCI_BARS];
};

struct world {
	struct mmio_bus mmio;
	struct pci_bus bus;
	struct mmio_region ram, other;
	struct device devices[FUNCTIONS];
};

static const struct {
	uint8_t devfn, bar;
	uint32_t flags;
	uint64_t size;
} bars[] = {
	{ 0x00, 0, 0, 0x1000 },
	{ 0x00, 1, PCI_BASE_ADDRESS_SPACE_IO, 0x20 },
	{ 0x00, 2, PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, 0x100000000 },
	{ 0x00, 4, PCI_BASE_ADDRESS_MEM_TYPE_64, 0x4000 },
	{ 0x08, 0, PCI_BASE_ADDRESS_MEM_TYPE_64, 0x10000000 },
	{ 0x08, 5, PCI_BASE_ADDRESS_SPACE_IO, 4 },
	{ 0x09, 0, 0, 16 },
	{ 0x09, 1, PCI_BASE_ADDRESS_MEM_PREFETCH, 0x80000000 },
	{ 0xff, 3, PCI_BASE_ADDRESS_MEM_TYPE_64, 1ULL << 63 },
};

static uint64_t bar_read(struct pci_function *function, unsigned bar, uint64_t offset,
			 unsigned size)
{
	assert(offset + size <= function->bar[bar].size);
	return offset;
}

static void bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	(void)value;
	assert(offset + size <= function->bar[bar].size);
}

/* The guest decides whether its owner can map it. */
static int bar_map(struct pci_function *function, unsigned bar, uint64_t gpa)
{
	struct device *device = (struct device *)function;

	assert(!device->mapped[bar]);
	assert(gpa == pci_bar_address(function, bar));
	if (function->config[0x43] == 0xee)
		return -1;
	device->mapped[bar] = true;
	return 0;
}

static void bar_unmap(struct pci_function *function, unsigned bar)
{
	struct device *device = (struct device *)function;

	assert(device->mapped[bar]);
	device->mapped[bar] = false;
}

/* A function-level reset, as a guest's write to a capability brings about. */
static void config_written(struct pci_function *function, unsigned offset, unsigned size,
			   uint32_t value)
{
	if (offset == 0x40 && size == 2 && value & 0x8000)
		pci_function_reset(function);
}

static const struct pci_function_class class = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_map = bar_map,
	.bar_unmap = bar_unmap,
	.config_written = config_written,
};

static uint64_t region_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)size;
	return offset;
}

static void region_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct mmio_ops region_ops = { region_read, region_write };

static void create(struct world *world)
{
	static const uint8_t devfns[FUNCTIONS] = { 0x00, 0x08, 0x09, 0xff };

	mmio_bus_create(&world->mmio);
	world->ram = (struct mmio_region){ "RAM", RAM, 0x40000000, &region_ops, NULL };
	world->other = (struct mmio_region){ "other", MEM32 + 0x3000, 0x1000, &region_ops, NULL };
	assert(!mmio_bus_add(&world->mmio, &world->ram));
	assert(!mmio_bus_add(&world->mmio, &world->other));
	assert(!pci_bus_create(&world->bus, &world->mmio, &layout));
	for (int i = 0; i < FUNCTIONS; i++) {
		struct pci_function *function = &world->devices[i].function;

		assert(!pci_function_init(function, &class, "device"));
		function->complained = true;
		memset(function->writable + 0x40, 0xff, 0x40);
		for (size_t n = 0; n < sizeof(bars) / sizeof(bars[0]); n++)
			if (bars[n].devfn == devfns[i])
				assert(!pci_function_set_bar(function, bars[n].bar, bars[n].size,
							     bars[n].flags));
		assert(!pci_bus_add(&world->bus, function, devfns[i]));
	}
}

static bool inside(const struct pci_window *window, uint64_t gpa, uint64_t size)
{
	return gpa >= window->base && gpa - window->base < window->size &&
	       size <= window->size - (gpa - window->base);
}

static void check_bar(const struct device *device, unsigned n)
{
	const struct pci_function *function = &device->function;
	const struct pci_bar *bar = &function->bar[n];
	bool io = bar->flags & PCI_BASE_ADDRESS_SPACE_IO;
	uint32_t command = pci_get(function->config, PCI_COMMAND, 2);
	uint64_t gpa = bar->region.base;

	assert(device->mapped[n] == bar->mapped);
	assert((pci_get(function->config, PCI_BASE_ADDRESS_0 + 4 * n, 4) & (io ? 3 : 15)) ==
		       bar->flags ||
	       !bar->size);
	if (!bar->mapped)
		return;
	assert(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
	assert(gpa == pci_bar_address(function, n) && gpa % bar->size == 0);
	assert(inside(io ? &layout.io : &layout.mem32, gpa, bar->size) ||
	       (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64 &&
		inside(&layout.mem64, gpa, bar->size)));
}

static void check(struct world *world)
{
	const struct mmio_bus *mmio = &world->mmio;

	for (int i = 0; i < FUNCTIONS; i++)
		for (unsigned n = 0; n < PCI_BARS; n++)
			check_bar(&world->devices[i], n);
	for (size_t i = 1; i < mmio->count; i++)
		assert(mmio->regions[i - 1]->base + mmio->regions[i - 1]->size - 1 <
		       mmio->regions[i]->base);
}

/* What does not come out of the input is zero. */
static uint64_t take(const uint8_t **data, size_t *size, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && *size; i++, (*size)--)
		value |= (uint64_t) * (*data)++ << (8 * i);
	return value;
}

/*
 * One access: a byte of kind (bits 0-1: size, 2: write, 3-4: the place), 3 bytes of offset, a write's value. In
 * configuration space a byte chooses the function, so that an input finds one.
 */
static void step(struct world *world, const uint8_t **data, size_t *size)
{
	static const uint64_t places[4] = { ECAM, MEM32, MEM64, 0 };
	static const uint8_t devfns[] = { 0x00, 0x08, 0x09, 0xff, 0x10 };
	uint8_t kind = (uint8_t)take(data, size, 1);
	unsigned bytes = 1U << (kind & 3);
	uint64_t gpa = places[kind >> 3 & 3], value;

	if (kind >> 3 & 3)
		gpa += take(data, size, 3) << (kind >> 5);
	else
		gpa += (uint64_t)devfns[take(data, size, 1) % sizeof(devfns)] << 12 |
		       take(data, size, 2) % (kind & 0x80 ? 0x1000 : 0x48);
	if (kind & 4)
		mmio_bus_write(&world->mmio, gpa, bytes, take(data, size, bytes));
	else
		mmio_bus_read(&world->mmio, gpa, bytes, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *world = calloc(1, sizeof(*world));

	create(world);
	while (size) {
		step(world, &data, &size);
		check(world);
	}
	for (int i = 0; i < FUNCTIONS; i++)
		pci_function_destroy(&world->devices[i].function);
	assert(world->mmio.count == 3);
	pci_bus_destroy(&world->bus);
	mmio_bus_destroy(&world->mmio);
	free(world);
	return 0;
}

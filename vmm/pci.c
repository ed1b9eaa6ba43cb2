// SPDX-License-Identifier: GPL-2.0-only
/* The host bridge: ECAM (PCIe 5.0, 7.2.2), and where functions, BARs and interrupt lines go before the guest starts. */
#include <errno.h>
#include <stdlib.h>
#include <lkvm/report.h>
#include "pci.h"

#define ECAM_BUS_SIZE  0x100000ULL /* one bus */
#define IO_FIRST_PORT  0x1000ULL   /* below it lies what ISA had */
#define BAR_PAGE       0x10000ULL  /* the largest page of an arm64 host */
#define PCI_SLOT_SIZE  8
#define MULTI_FUNCTION 0x80 /* of PCI_HEADER_TYPE */

/* --- ECAM --- */

static struct pci_function *ecam_function(const struct pci_bus *bus, uint64_t offset)
{
	return offset < ECAM_BUS_SIZE ? bus->functions[offset / PCI_CONFIG_SIZE] : NULL;
}

/* Nobody there, more than four bytes: a master abort (the rest is pci_config_read()'s). */
static uint64_t ecam_read(void *device, uint64_t offset, unsigned size)
{
	struct pci_function *function = ecam_function(device, offset);

	if (!function || size > 4)
		return UINT64_MAX;
	return pci_config_read(function, offset % PCI_CONFIG_SIZE, size);
}

static void ecam_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_bus *bus = device;
	struct pci_function *function = ecam_function(bus, offset);

	if (!function || size > 4)
		return;
	pci_config_write(function, offset % PCI_CONFIG_SIZE, size, (uint32_t)value);
	if (!atomic_exchange(&bus->released, false))
		return;
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++)
		if (bus->functions[devfn])
			pci_function_retry(bus->functions[devfn]);
}

static const struct mmio_ops ecam_ops = { ecam_read, ecam_write };

int pci_bus_create(struct pci_bus *bus, struct mmio_bus *mmio, const struct pci_layout *layout)
{
	const struct pci_window *const windows[] = { &layout->io, &layout->mem32, &layout->mem64 };
	int err;

	*bus = (struct pci_bus){
		.mmio = mmio,
		.layout = *layout,
		.ecam = { "PCI ECAM", layout->ecam.base, layout->ecam.size, &ecam_ops, bus },
	};
	err = mmio_bus_add(mmio, &bus->ecam);
	if (err) {
		bus->mmio = NULL;
		return report(err, "cannot put the PCI ECAM at 0x%llx",
			      (unsigned long long)layout->ecam.base);
	}
	for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		if (windows[i]->size)
			mmio_bus_add_hole(mmio, windows[i]->base, windows[i]->size);
	return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
	if (!bus->mmio)
		return;
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (!bus->functions[devfn])
			continue;
		pci_function_reset(bus->functions[devfn]);
		bus->functions[devfn]->bus = NULL;
	}
	pci_shadow_free(bus);
	mmio_bus_remove(bus->mmio, &bus->ecam);
	*bus = (struct pci_bus){ 0 };
}

/* --- functions --- */

static bool slot_has_function(const struct pci_bus *bus, unsigned slot, unsigned first)
{
	for (unsigned fn = first; fn < PCI_SLOT_SIZE; fn++)
		if (bus->functions[PCI_DEVFN_OF(slot, fn)])
			return true;
	return false;
}

static int free_slot(const struct pci_bus *bus)
{
	for (unsigned slot = 0; slot < PCI_FUNCTIONS / PCI_SLOT_SIZE; slot++)
		if (!slot_has_function(bus, slot, 0) && !(bus->spoken_for & 1u << slot))
			return PCI_DEVFN_OF(slot, 0);
	return -ENOSPC;
}

int pci_bus_last_devfn(const struct pci_bus *bus)
{
	unsigned slot = PCI_FUNCTIONS / PCI_SLOT_SIZE;

	while (slot > 0 && !slot_has_function(bus, slot - 1, 0))
		slot--;
	return slot < PCI_FUNCTIONS / PCI_SLOT_SIZE ? (int)PCI_DEVFN_OF(slot, 0) : free_slot(bus);
}

static void mark_multi_function(struct pci_bus *bus, unsigned slot)
{
	struct pci_function *first = bus->functions[PCI_DEVFN_OF(slot, 0)];

	if (!first)
		return;
	first->config[PCI_HEADER_TYPE] &= (uint8_t)~MULTI_FUNCTION;
	if (slot_has_function(bus, slot, 1))
		first->config[PCI_HEADER_TYPE] |= MULTI_FUNCTION;
}

int pci_bus_add(struct pci_bus *bus, struct pci_function *function, int devfn)
{
	if (devfn < 0)
		devfn = free_slot(bus);
	if (devfn < 0)
		return refuse(-ENOSPC, "%s: the guest's PCI bus has no free slot", function->name);
	if (devfn >= PCI_FUNCTIONS)
		return refuse(-EINVAL, "%s: the guest's PCI bus has no function 0x%x",
			      function->name, (unsigned)devfn);
	if (bus->functions[devfn])
		return refuse(-EBUSY, "%s: the guest's %02x.%x is %s already", function->name,
			      (unsigned)devfn / PCI_SLOT_SIZE, (unsigned)devfn % PCI_SLOT_SIZE,
			      bus->functions[devfn]->name);
	function->bus = bus;
	function->devfn = (uint8_t)devfn;
	bus->functions[devfn] = function;
	mark_multi_function(bus, (unsigned)devfn / PCI_SLOT_SIZE);
	return 0;
}

int pci_bus_assign_lines(struct pci_bus *bus, uint32_t first, uint32_t limit)
{
	uint32_t line = first;

	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		struct pci_function *function = bus->functions[devfn];

		if (!function || !function->config[PCI_INTERRUPT_PIN])
			continue;
		if (line >= limit)
			return refuse(-ENOSPC, "%s: no wired interrupt is left for its INTx",
				      function->name);
		function->intx_line = line++;
	}
	return (int)(line - first);
}

/* --- addresses --- */

/* A BAR on its way to an address; it takes up [gpa, gpa + extent). */
struct placement {
	struct pci_function *function;
	unsigned n;
	uint64_t extent, gpa;
};

static const struct pci_bar *placement_bar(const struct placement *placement)
{
	return &placement->function->bar[placement->n];
}

/* Those first that only one window can hold, then large ones; the order of functions and BARs breaks ties. */
static int placement_order(const void *a, const void *b)
{
	const struct placement *left = a, *right = b;
	uint32_t left_64 = placement_bar(left)->flags & PCI_BASE_ADDRESS_MEM_TYPE_64;
	uint32_t right_64 = placement_bar(right)->flags & PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (left_64 != right_64)
		return left_64 ? 1 : -1;
	if (left->extent != right->extent)
		return left->extent > right->extent ? -1 : 1;
	if (left->function != right->function)
		return left->function->devfn - right->function->devfn;
	return (int)left->n - (int)right->n;
}

static size_t gather_function(struct pci_function *function, struct placement *placements)
{
	size_t count = 0;

	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *bar = &function->bar[n];
		bool io = bar->flags & PCI_BASE_ADDRESS_SPACE_IO;

		if (!bar->size)
			continue;
		placements[count++] = (struct placement){
			.function = function,
			.n = n,
			.extent = io || bar->size > BAR_PAGE ? bar->size : BAR_PAGE,
		};
	}
	return count;
}

static size_t gather_bars(const struct pci_bus *bus, struct placement *placements)
{
	size_t count = 0;

	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++)
		if (bus->functions[devfn])
			count += gather_function(bus->functions[devfn], placements + count);
	return count;
}

/* The lowest address in the window that is aligned, at least `first`, and taken by none of `done`; 0 if there is none. */
static uint64_t find_room(const struct pci_window *window, uint64_t first, uint64_t extent,
			  const struct placement *done, size_t count)
{
	uint64_t gpa = (first + extent - 1) & ~(extent - 1);
	bool moved = true;

	if (extent > window->size)
		return 0;
	while (moved) { /* past one may be into another that was looked at before */
		moved = false;
		for (size_t i = 0; i < count; i++) {
			uint64_t end = done[i].gpa + done[i].extent;

			if (gpa >= end || done[i].gpa >= gpa + extent)
				continue;
			gpa = (end + extent - 1) & ~(extent - 1);
			moved = true;
		}
	}
	return gpa - window->base <= window->size - extent ? gpa : 0;
}

static uint64_t choose_address(const struct pci_layout *layout, const struct placement *placement,
			       const struct placement *done, size_t count)
{
	const struct pci_bar *bar = placement_bar(placement);
	const struct pci_window *windows[2] = { &layout->mem32, NULL };
	uint64_t gpa = 0;

	if (bar->flags & PCI_BASE_ADDRESS_SPACE_IO)
		return find_room(&layout->io, layout->io.base + IO_FIRST_PORT, placement->extent,
				 done, count);
	if (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64) {
		bool prefetch = bar->flags & PCI_BASE_ADDRESS_MEM_PREFETCH;

		windows[prefetch ? 0 : 1] = &layout->mem64;
		windows[prefetch ? 1 : 0] = &layout->mem32;
	}
	for (unsigned i = 0; i < 2 && windows[i] && !gpa; i++)
		gpa = find_room(windows[i], windows[i]->base, placement->extent, done, count);
	return gpa;
}

static int refuse_bar(const struct pci_layout *layout, const struct placement *placement)
{
	return refuse(-ENOSPC,
		      "%s: no room for BAR %u of %llu bytes in the guest's PCI windows "
		      "(I/O: %llu bytes, 32-bit: %llu MiB, 64-bit: %llu MiB)",
		      placement->function->name, placement->n,
		      (unsigned long long)placement_bar(placement)->size,
		      (unsigned long long)layout->io.size,
		      (unsigned long long)layout->mem32.size >> 20,
		      (unsigned long long)layout->mem64.size >> 20);
}

static int check_functions_zero(const struct pci_bus *bus)
{
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		unsigned slot = devfn / PCI_SLOT_SIZE;

		if (bus->functions[devfn] && !bus->functions[PCI_DEVFN_OF(slot, 0)])
			return refuse(
				-EINVAL, "%s: no guest finds its %02x.%x without a function %02x.0",
				bus->functions[devfn]->name, slot, devfn % PCI_SLOT_SIZE, slot);
	}
	return 0;
}

int pci_bus_assign(struct pci_bus *bus)
{
	struct placement placements[PCI_FUNCTIONS * PCI_BARS];
	size_t count = gather_bars(bus, placements);
	int err = check_functions_zero(bus);

	if (err)
		return err;
	qsort(placements, count, sizeof(placements[0]), placement_order);
	for (size_t i = 0; i < count; i++) {
		struct placement *placement = &placements[i];

		placement->gpa = choose_address(&bus->layout, placement, placements, i);
		if (!placement->gpa)
			return refuse_bar(&bus->layout, placement);
		pci_bar_place(placement->function, placement->n, placement->gpa);
	}
	return 0;
}

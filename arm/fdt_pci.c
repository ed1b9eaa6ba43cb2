// SPDX-License-Identifier: GPL-2.0-only
#include <lkvm/memory_map.h>
#include "fdt_tree.h"

/* phys.hi of a PCI address (IEEE 1275 PCI bus binding, 2.2.1.1). */
#define PCI_SPACE_IO    0x01000000u
#define PCI_SPACE_MEM32 0x02000000u
#define PCI_SPACE_MEM64 0x03000000u
#define PCI_PREFETCH    0x40000000u
#define PCI_DEVFN_SHIFT 8

#define RANGE_CELLS   7
#define INTMAP_CELLS  10
#define PCI_INTX_PINS 4

static size_t add_range(uint32_t *cells, uint32_t space, uint64_t bus,
			const struct pci_window *window)
{
	if (!window->size)
		return 0;
	cells[0] = space;
	cells[1] = bus >> 32;
	cells[2] = (uint32_t)bus;
	cells[3] = window->base >> 32;
	cells[4] = (uint32_t)window->base;
	cells[5] = window->size >> 32;
	cells[6] = (uint32_t)window->size;
	return RANGE_CELLS;
}

static void ranges(struct tree *tree)
{
	const struct pci_layout *layout = &tree->config->pci->layout;
	uint32_t cells[3 * RANGE_CELLS];
	size_t count = 0;

	count += add_range(cells + count, PCI_SPACE_IO, 0, &layout->io);
	count += add_range(cells + count, PCI_SPACE_MEM32, layout->mem32.base, &layout->mem32);
	count += add_range(cells + count, PCI_SPACE_MEM64 | PCI_PREFETCH, layout->mem64.base,
			   &layout->mem64);
	tree_cells(tree, "ranges", cells, count);
}

/* A line of its own for each function with a pin: the mask keeps device and function number. */
static void interrupt_map(struct tree *tree)
{
	struct pci_function *const *functions = tree->config->pci->functions;
	uint32_t map[PCI_FUNCTIONS * INTMAP_CELLS];
	size_t count = 0;

	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		uint8_t pin = functions[devfn] ? functions[devfn]->config[PCI_INTERRUPT_PIN] : 0;

		if (pin < 1 || pin > PCI_INTX_PINS)
			continue;
		map[count++] = devfn << PCI_DEVFN_SHIFT;
		map[count++] = 0;
		map[count++] = 0;
		map[count++] = pin;
		map[count++] = PHANDLE_GIC;
		map[count++] = 0; /* the GIC's unit address: it has #address-cells 2 */
		map[count++] = 0;
		map[count++] = GIC_SPI;
		map[count++] = functions[devfn]->intx_line;
		map[count++] = IRQ_LEVEL_HIGH;
	}
	if (!count)
		return;
	TREE_CELLS(tree, "#interrupt-cells", 1);
	TREE_CELLS(tree, "interrupt-map-mask", (PCI_FUNCTIONS - 1) << PCI_DEVFN_SHIFT, 0, 0, 7);
	tree_cells(tree, "interrupt-map", map, count);
}

static bool has_functions(const struct pci_bus *bus)
{
	for (unsigned devfn = 0; bus && devfn < PCI_FUNCTIONS; devfn++)
		if (bus->functions[devfn])
			return true;
	return false;
}

void fdt_pci_node(struct tree *tree)
{
	const struct pci_bus *bus = tree->config->pci;

	if (!has_functions(bus))
		return;
	tree_begin_at(tree, "pci", bus->layout.ecam.base);
	tree_string(tree, "compatible", "pci-host-ecam-generic");
	tree_string(tree, "device_type", "pci");
	TREE_CELLS(tree, "#address-cells", 3);
	TREE_CELLS(tree, "#size-cells", 2);
	TREE_CELLS64(tree, "reg", bus->layout.ecam.base, bus->layout.ecam.size);
	TREE_CELLS(tree, "bus-range", 0, 0);
	TREE_CELLS(tree, "linux,pci-domain", 0);
	ranges(tree);
	tree_empty(tree, "dma-coherent");
	interrupt_map(tree);
	if (tree->config->gic->msi_size)
		TREE_CELLS(tree, "msi-map", 0, PHANDLE_MSI, 0, PCI_FUNCTIONS);
	tree_end(tree);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the bench: the first function with MSI-X has so many of its vectors armed, as Linux does it: all are given their
 * messages, then they are unmasked one after the other. "vectors=64" on the command line. Then off.
 */
#include "gic.h"
#include "pci.h"

#define MSIX_CONTROL  2
#define MSIX_TABLE    4
#define MSIX_ENABLE   0x8000
#define MSIX_MASK_ALL 0x4000

static void arm(unsigned devfn, unsigned vectors)
{
	unsigned cap = pci_find_cap(devfn, PCI_CAP_MSIX);
	uint64_t control = pci_config(devfn, cap + MSIX_CONTROL), doorbell, table;
	uint32_t where = read32(pci_config(devfn, cap + MSIX_TABLE));
	struct pci_function function;

	if (!check(vectors <= (read16(control) & 0x7ffU) + 1 && (where & 7) <= 5,
		   "the function has %u vectors", vectors))
		return;
	pci_survey(&function, devfn);
	table = function.bar[where & 7].address + (where & ~7U);
	gic_init();
	doorbell = its_init();
	its_map_device(devfn, vectors);
	write16(control, MSIX_ENABLE | MSIX_MASK_ALL);
	for (unsigned vector = 0; vector < vectors; vector++)
		write32(table + 16 * vector + 12, 1);
	write16(control, MSIX_ENABLE);
	for (unsigned vector = 0; vector < vectors; vector++) {
		uint64_t entry = table + 16 * vector;

		its_map_event(devfn, vector, vector);
		write32(entry, (uint32_t)doorbell);
		write32(entry + 4, (uint32_t)(doorbell >> 32));
		write32(entry + 8, vector);
	}
	for (unsigned vector = 0; vector < vectors; vector++)
		write32(table + 16 * vector + 12, 0);
}

void guest_main(const void *fdt)
{
	unsigned vectors = (unsigned)parameter(fdt, "vectors=", 10);

	pci_for_each(devfn)
	{
		if (!pci_find_cap(devfn, PCI_CAP_MSIX))
			continue;
		if (vectors)
			arm(devfn, vectors);
		return;
	}
	check(false, "there is a function with MSI-X");
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets the machine 100 times, which it counts in RAM that survives, and powers off. Each time, every PCI function gets a
 * BAR moved, and one that has MSI-X all its vectors armed, which the reset finds so. It waits for a key at two counts, at
 * which the test looks at lkvm.
 */
#include "gic.h"
#include "pci.h"

#define RESETS      100
#define FIRST_LOOK  10
#define SECOND_LOOK (RESETS - 1)
#define MAGIC       0x7265736574636e74UL

#define MSIX_CONTROL 2
#define MSIX_TABLE   4
#define MSIX_ENABLE  0x8000

static void arm_msix(const struct pci_function *function, uint64_t doorbell)
{
	unsigned cap = pci_find_cap(function->devfn, PCI_CAP_MSIX);
	uint64_t control = pci_config(function->devfn, cap + MSIX_CONTROL);
	uint32_t where = read32(pci_config(function->devfn, cap + MSIX_TABLE));
	unsigned vectors = (read16(control) & 0x7ffU) + 1;
	bool clear = true;

	if (!cap || (where & 7) > 5)
		return;
	check(!(read16(control) & MSIX_ENABLE), "MSI-X is off after a reset");
	its_map_device(function->devfn, vectors);
	for (unsigned vector = 0; vector < vectors; vector++) {
		uint64_t entry = function->bar[where & 7].address + (where & ~7U) + 16 * vector;

		clear &= !read64(entry) && !read32(entry + 8) && read32(entry + 12) == 1;
		its_map_event(function->devfn, vector, vector);
		write32(entry, (uint32_t)doorbell);
		write32(entry + 4, (uint32_t)(doorbell >> 32));
		write32(entry + 8, vector);
		write32(entry + 12, 0);
	}
	check(clear, "vectors are masked, and without a message");
	write16(control, MSIX_ENABLE);
}

static void use_devices(void)
{
	uint64_t doorbell;
	unsigned moved = 0;

	if (pci_next(0) == PCI_DEVFNS)
		return;
	gic_init();
	doorbell = its_init();
	pci_for_each(devfn)
	{
		struct pci_function function;
		struct bar *bar;

		check(!(read16(pci_config(devfn, PCI_COMMAND)) & 7),
		      "decoding is off after a reset");
		pci_survey(&function, devfn);
		if (!check(pci_answers(&function), "device %02x answers", devfn))
			continue;
		bar = &function.bar[function.probe];
		if (bar->address < RAM_BASE) {
			bar->address = RAM_BASE - (++moved) * 16 * SZ_1M;
			pci_restore(&function);
			check(pci_answers(&function), "device %02x answers elsewhere", devfn);
		}
		arm_msix(&function, doorbell);
	}
}

void guest_main(const void *fdt)
{
	uint64_t count = 0;

	(void)fdt;
	if (read64(RAM_KEPT) == MAGIC)
		count = read64(RAM_KEPT + 8) + 1;
	write64(RAM_KEPT, MAGIC);
	write64(RAM_KEPT + 8, count);
	print("resets %lu\n", count);
	if (count == RESETS)
		return;
	use_devices();
	if (count == FIRST_LOOK || count == SECOND_LOOK) {
		print("waiting at %lu\n", count);
		uart_getc();
	}
	system_reset();
}

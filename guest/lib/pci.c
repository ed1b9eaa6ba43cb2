// SPDX-License-Identifier: GPL-2.0-only
#include "pci.h"

unsigned pci_next(unsigned devfn)
{
	while (devfn < PCI_DEVFNS && !pci_present(devfn))
		devfn++;
	return devfn;
}

unsigned pci_find(uint32_t id)
{
	pci_for_each(devfn)
	{
		if (pci_id(devfn) == id)
			return devfn;
	}
	return PCI_DEVFNS;
}

unsigned pci_find_cap(unsigned devfn, unsigned id)
{
	unsigned offset = read8(pci_config(devfn, PCI_CAPABILITY)) & ~3U;

	if (!(read16(pci_config(devfn, PCI_STATUS)) & PCI_STATUS_CAP_LIST))
		return 0;
	for (unsigned i = 0; offset >= 0x40 && i < 48; i++) {
		if (read8(pci_config(devfn, offset)) == id)
			return offset;
		offset = read8(pci_config(devfn, offset + 1)) & ~3U;
	}
	return 0;
}

uint64_t pci_bar_get(unsigned devfn, unsigned n, bool is_64)
{
	uint64_t low = read32(pci_config(devfn, PCI_BAR0 + 4 * n));

	return is_64 ? low | (uint64_t)read32(pci_config(devfn, PCI_BAR0 + 4 * n + 4)) << 32 : low;
}

void pci_bar_set(unsigned devfn, unsigned n, bool is_64, uint64_t address)
{
	write32(pci_config(devfn, PCI_BAR0 + 4 * n), (uint32_t)address);
	if (is_64)
		write32(pci_config(devfn, PCI_BAR0 + 4 * n + 4), (uint32_t)(address >> 32));
}

struct bar pci_bar_probe(unsigned devfn, unsigned n)
{
	uint32_t low = read32(pci_config(devfn, PCI_BAR0 + 4 * n));
	struct bar bar = { .io = low & PCI_BAR_IO };
	uint64_t flag_bits = bar.io ? 0x3 : 0xf;
	uint64_t old, mask;

	bar.is_64 = !bar.io && (low & 0x6) == PCI_BAR_64 && n < 5;
	bar.flags = low & (uint32_t)flag_bits;
	old = pci_bar_get(devfn, n, bar.is_64);
	pci_bar_set(devfn, n, bar.is_64, ~0UL);
	mask = pci_bar_get(devfn, n, bar.is_64) & ~flag_bits;
	pci_bar_set(devfn, n, bar.is_64, old);
	if (!bar.is_64 && mask)
		mask |= ~0UL << 32;
	if (bar.io && mask)
		mask |= 0xffff0000;
	bar.present = mask != 0;
	bar.address = old & ~flag_bits;
	bar.size = ~mask + 1;
	return bar;
}

void pci_survey(struct pci_function *function, unsigned devfn)
{
	uint64_t command = pci_config(devfn, PCI_COMMAND);

	*function = (struct pci_function){ .devfn = devfn, .probe = -1 };
	write16(command, 0);
	for (unsigned n = 0; n < 6; n++) {
		function->bar[n] = pci_bar_probe(devfn, n);
		n += function->bar[n].is_64;
	}
	write16(command, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	function->command = read16(command);
	for (int n = 0; n < 6 && function->probe < 0; n++) {
		const struct bar *bar = &function->bar[n];

		if (!bar->present || bar->io)
			continue;
		function->value = read32(bar->address);
		if (function->value && ~function->value && read32(bar->address) == function->value)
			function->probe = n;
	}
}

void pci_restore(const struct pci_function *function)
{
	uint64_t command = pci_config(function->devfn, PCI_COMMAND);

	write16(command, 0);
	for (unsigned n = 0; n < 6; n++) {
		const struct bar *bar = &function->bar[n];

		if (bar->present)
			pci_bar_set(function->devfn, n, bar->is_64, bar->address);
	}
	write16(command, function->command);
}

bool pci_answers(const struct pci_function *function)
{
	return function->probe >= 0 &&
	       read32(function->bar[function->probe].address) == function->value;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile use of configuration space and BARs, on every function of the bus. Whatever a guest writes, RAM and the rest of
 * the machine stay as they are, and the function answers again when all is put back.
 */
#include "pci.h"

#define SLOT(devfn) ((devfn) >> 3), ((devfn)&7)
#define BDF         "00:%02x.%u"

#define PATTERN 0x5ca1ab1edeadbeefUL

/* --- configuration space --- */
static void unknown_functions(void)
{
	bool all_ones = true;

	for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++) {
		if (pci_present(devfn))
			continue;
		write32(pci_config(devfn, PCI_COMMAND), ~0U);
		all_ones &= read32(pci_config(devfn, PCI_COMMAND)) == ~0U;
		all_ones &= read8(pci_config(devfn, 0xfff)) == 0xff;
	}
	check(all_ones, "functions that are not there read as ones");
}

static void read_only_registers(unsigned devfn)
{
	static const unsigned dwords[] = { PCI_VENDOR_ID, PCI_REVISION, PCI_SUBSYSTEM,
					   PCI_CAPABILITY };
	bool kept = true;

	for (unsigned i = 0; i < sizeof(dwords) / sizeof(dwords[0]); i++) {
		uint64_t reg = pci_config(devfn, dwords[i]);
		uint32_t before = read32(reg);

		write32(reg, ~before);
		kept &= read32(reg) == before;
		write8(reg + 1, (uint8_t) ~(before >> 8));
		kept &= read32(reg) == before;
	}
	check(kept, "read-only registers " BDF, SLOT(devfn));
}

/* Only aligned accesses of 1, 2 and 4 bytes are configuration requests; others are no access, or read what is there. */
static void odd_accesses(unsigned devfn)
{
	uint64_t base = pci_config(devfn, 0);
	uint64_t dwords = read32(base) | (uint64_t)read32(base + 4) << 32;
	bool reads = true, writes = true;

	for (unsigned size = 2; size <= 8; size *= 2) {
		for (unsigned offset = size < 8; offset + size <= 8; offset++) {
			uint64_t value;

			if (size < 8 && offset % size == 0)
				continue;
			value = read_size(base + offset, size);
			reads &= value == ones(size) ||
				 value == (dwords >> (8 * offset) & ones(size));
			write_size(base + offset, size, 0);
			writes &= read32(base + 4) == dwords >> 32;
			write_size(base + offset, size, ones(size));
			writes &= read32(base + 4) == dwords >> 32;
		}
	}
	check(reads, "odd reads " BDF, SLOT(devfn));
	check(writes, "odd writes " BDF, SLOT(devfn));
	read_size(base + 0xfff, 4);
	write_size(base + 0xfff, 4, ~0UL);
	check(read32(base) == (uint32_t)dwords, "access across the end " BDF, SLOT(devfn));
}

static void capabilities(unsigned devfn)
{
	unsigned offset = read8(pci_config(devfn, PCI_CAPABILITY)), count = 0;

	print("caps " BDF, SLOT(devfn));
	for (; offset && count < 48; count++) {
		if (offset < 0x40 || offset & 3)
			break;
		print(" %02x@%02x", read8(pci_config(devfn, offset)), offset);
		offset = read8(pci_config(devfn, offset + 1));
	}
	print("\n");
	check(!offset, "the capability list ends " BDF, SLOT(devfn));
}

/* What a guest must not see: SR-IOV, ATS, page requests, PASID, resizable BARs. */
static bool is_unsafe_capability(unsigned id)
{
	return id == 0x10 || id == 0x0f || id == 0x13 || id == 0x1b || id == 0x15;
}

static void extended_capabilities(unsigned devfn)
{
	unsigned offset = 0x100, count = 0;
	bool safe = true;

	if (!read32(pci_config(devfn, offset)) || !~read32(pci_config(devfn, offset)))
		return;
	print("extended-caps " BDF, SLOT(devfn));
	for (; offset && count < 960; count++) {
		uint32_t header = read32(pci_config(devfn, offset));

		if (offset < 0x100 || offset & 3)
			break;
		print(" %04x@%03x", header & 0xffff, offset);
		safe &= !is_unsafe_capability(header & 0xffff);
		offset = header >> 20;
	}
	print("\n");
	check(!offset, "the extended capability list ends " BDF, SLOT(devfn));
	check(safe, "no extended capability that is the host's business " BDF, SLOT(devfn));
}

static void command_register(unsigned devfn)
{
	uint64_t command = pci_config(devfn, PCI_COMMAND);
	uint16_t before = read16(command);

	write16(command, 0xffff);
	check((read16(command) & 0xf800) == 0, "reserved bits of COMMAND " BDF, SLOT(devfn));
	write16(command, before);
}

/* --- BARs --- */
static void bar_sizing(const struct pci_function *function)
{
	for (unsigned n = 0; n < 6; n++) {
		const struct bar *bar = &function->bar[n];
		unsigned devfn = function->devfn;
		struct bar again;

		if (!bar->present)
			continue;
		print("bar " BDF " %u size 0x%lx flags 0x%x\n", SLOT(devfn), n, bar->size,
		      bar->flags);
		again = pci_bar_probe(devfn, n); /* while it decodes */
		check(!(bar->size & (bar->size - 1)) && bar->address % bar->size == 0 &&
			      again.size == bar->size && again.address == bar->address,
		      "BAR %u sizing " BDF, n, SLOT(devfn));
		if (!bar->is_64)
			continue;
		write32(pci_config(devfn, PCI_BAR0 + 4 * n + 4), ~0U);
		check((pci_bar_get(devfn, n, true) & ~0xfUL) ==
			      (((~bar->size + 1) & ~0UL << 32) | (uint32_t)bar->address),
		      "BAR %u upper half " BDF, n, SLOT(devfn));
		pci_bar_set(devfn, n, true, bar->address);
		n++;
	}
	check(pci_answers(function), "answers after sizing " BDF, SLOT(function->devfn));
}

/* Another place for BAR n in its window that no BAR is at: right below the end of the 32-bit one, or higher up. */
static uint64_t elsewhere(const struct bar *bar)
{
	return bar->address < RAM_BASE ? RAM_BASE - bar->size : bar->address + 16 * bar->size;
}

static void bar_moved(const struct pci_function *function)
{
	const struct bar *bar = &function->bar[function->probe];
	unsigned devfn = function->devfn, n = (unsigned)function->probe;
	uint64_t to = elsewhere(bar);

	pci_bar_set(devfn, n, bar->is_64, to);
	check(read32(to) == function->value, "BAR %u moved while it decodes " BDF, n, SLOT(devfn));
	check(read32(bar->address) == ~0U, "nothing is left where BAR %u was " BDF, n, SLOT(devfn));
	pci_restore(function);
	check(pci_answers(function), "answers when moved back " BDF, SLOT(devfn));
}

static void decoding(const struct pci_function *function)
{
	uint64_t command = pci_config(function->devfn, PCI_COMMAND);
	bool right = true;

	for (unsigned i = 0; i < 100; i++) {
		write16(command, 0);
		right &= read32(function->bar[function->probe].address) == ~0U;
		write16(command, PCI_COMMAND_MEMORY);
		right &= pci_answers(function);
	}
	check(right, "decodes when told to " BDF, SLOT(function->devfn));
	pci_restore(function);
}

/* RAM under a BAR stays RAM, first and last word, the guest's own code included. */
static void bars_over_ram(const struct pci_function *function)
{
	for (unsigned n = 0; n < 6; n++) {
		const struct bar *bar = &function->bar[n];
		uint64_t to = (RAM_FREE + bar->size - 1) & ~(bar->size - 1);
		uint64_t last = to + bar->size - 8;
		bool intact;

		if (!bar->present || bar->io || to >= RAM_FREE + 128 * SZ_1M)
			continue;
		write64(to, PATTERN);
		write64(last, ~PATTERN);
		pci_bar_set(function->devfn, n, bar->is_64, to);
		intact = read64(to) == PATTERN && read64(last) == ~PATTERN;
		write64(to, ~PATTERN);
		intact &= read64(to) == ~PATTERN;
		check(intact, "BAR %u over RAM " BDF, n, SLOT(function->devfn));
		pci_bar_set(function->devfn, n, bar->is_64, RAM_BASE);
		check(true, "BAR %u over the guest's code " BDF, n, SLOT(function->devfn));
		pci_restore(function);
		check(read64(to) == ~PATTERN && read64(last) == ~PATTERN && pci_answers(function),
		      "RAM and BAR %u afterwards " BDF, n, SLOT(function->devfn));
	}
}

/* Places that are no place for a BAR, and a register there that must go on reading the same. */
static const struct place {
	const char *name;
	uint64_t address, reg;
} places[] = {
	{ "0", 0, 0 },
	{ "UART", UART_BASE, 0 },
	{ "distributor", GICD_BASE, GICD_BASE + 0xffe8 /* GICD_PIDR2 */ },
	{ "redistributor", GICD_BASE - GICR_SIZE, GICD_BASE - GICR_SIZE + 0xffe8 },
	{ "ECAM", ECAM_BASE, ECAM_BASE },
	{ "end of ECAM", PCI_MEM_BASE - 0x1000, ECAM_BASE },
	{ "top of 4 GiB", 0xffffffff, 0 },
	{ "top of 2^64", ~0UL, 0 },
	{ "a window, but for the upper half", 0x150000000, 0 },
	{ "beyond the guest's address space", 1UL << 52, 0 },
};

static void bars_anywhere(const struct pci_function *function)
{
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint32_t before = places[i].reg ? read32(places[i].reg) : 0;
		bool good = true;

		for (unsigned n = 0; n < 6; n++) {
			const struct bar *bar = &function->bar[n];

			if (!bar->present || bar->io)
				continue;
			pci_bar_set(function->devfn, n, bar->is_64, places[i].address);
			good &= !places[i].reg || read32(places[i].reg) == before;
			read32(bar->address);
			pci_restore(function);
			good &= pci_answers(function);
		}
		check(good, "BARs at %s " BDF, places[i].name, SLOT(function->devfn));
	}
}

/* Two BARs at one address: the same one answers each time, and both answer when they are apart again. */
static void bar_over_bar(const struct pci_function *one, const struct pci_function *other)
{
	const struct bar *bar = &one->bar[one->probe];
	uint64_t there = other->bar[other->probe].address & ~(bar->size - 1);
	uint32_t first;

	pci_bar_set(one->devfn, (unsigned)one->probe, bar->is_64, there);
	first = read32(other->bar[other->probe].address);
	check(read32(other->bar[other->probe].address) == first, "BAR of " BDF " over that of " BDF,
	      SLOT(one->devfn), SLOT(other->devfn));
	pci_restore(one);
	check(pci_answers(one) && pci_answers(other), "both answer when apart " BDF " " BDF,
	      SLOT(one->devfn), SLOT(other->devfn));
}

static void io_bars(const struct pci_function *function)
{
	for (unsigned n = 0; n < 6; n++) {
		const struct bar *bar = &function->bar[n];
		uint64_t command = pci_config(function->devfn, PCI_COMMAND);

		if (!bar->present || !bar->io)
			continue;
		check(read32(bar->address) == ~0U, "I/O BAR %u is silent at first " BDF, n,
		      SLOT(function->devfn));
		write16(command, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
		for (uint64_t port = 0; port < bar->size; port++)
			read_size(bar->address + port, 1U << (port % 3));
		pci_bar_set(function->devfn, n, false, 0xffffffff);
		read32(0xfffc);
		pci_bar_set(function->devfn, n, false, 0);
		read32(0);
		pci_restore(function);
		check(read32(bar->address) == ~0U && pci_answers(function),
		      "I/O BAR %u survives " BDF, n, SLOT(function->devfn));
	}
}

/* --- power and reset --- */
#define PMCSR       4
#define PMCSR_D3HOT 3
#define PCIE_DEVCAP 4
#define DEVCAP_FLR  (1U << 28)
#define PCIE_DEVCTL 8
#define DEVCTL_FLR  0x8000
#define SETTLE_MS   120

static void sleep_ms(uint64_t ms)
{
	(void)wait_until(false, ms);
}

/* A function that sleeps does not answer; that is its guest's affair. */
static void power_states(const struct pci_function *function)
{
	unsigned cap = pci_find_cap(function->devfn, PCI_CAP_PM);
	uint64_t reg = pci_config(function->devfn, cap + PMCSR);

	if (!cap)
		return;
	write16(reg, PMCSR_D3HOT);
	for (unsigned n = 0; n < 6; n++) {
		if (function->bar[n].present && !function->bar[n].io) {
			write32(function->bar[n].address + function->bar[n].size - 4, 0);
			read32(function->bar[n].address);
		}
	}
	write16(reg, 0);
	sleep_ms(SETTLE_MS);
	pci_restore(function);
	check(pci_answers(function), "answers after D3hot " BDF, SLOT(function->devfn));
}

static void function_level_reset(const struct pci_function *function)
{
	unsigned cap = pci_find_cap(function->devfn, PCI_CAP_PCIE);

	if (!cap || !(read32(pci_config(function->devfn, cap + PCIE_DEVCAP)) & DEVCAP_FLR))
		return;
	write16(pci_config(function->devfn, cap + PCIE_DEVCTL), DEVCTL_FLR);
	read32(function->bar[function->probe].address);
	sleep_ms(SETTLE_MS);
	pci_restore(function);
	check(pci_answers(function), "answers after a function level reset " BDF,
	      SLOT(function->devfn));
}

/* Ones and zeros into every register there is. What they were goes back last. */
static void storm(const struct pci_function *function)
{
	static uint32_t saved[0x400];

	for (unsigned i = 0; i < 0x400; i++)
		saved[i] = read32(pci_config(function->devfn, 4 * i));
	for (unsigned i = 0; i < 0x400; i++) {
		write32(pci_config(function->devfn, 4 * i), ~0U);
		write32(pci_config(function->devfn, 4 * i), 0);
		write32(pci_config(function->devfn, 4 * i), saved[i]);
	}
	sleep_ms(SETTLE_MS);
	pci_restore(function);
	check(read32(pci_config(function->devfn, 0)) == saved[0],
	      "configuration space after ones and zeros everywhere " BDF, SLOT(function->devfn));
	check(pci_answers(function), "answers after ones and zeros everywhere " BDF,
	      SLOT(function->devfn));
}

#define FUNCTIONS 8

void guest_main(const void *fdt)
{
	static struct pci_function functions[FUNCTIONS];
	unsigned count = 0;

	(void)fdt;
	mmu_on();
	unknown_functions();
	pci_for_each(devfn)
	{
		if (count == FUNCTIONS)
			break;
		pci_survey(&functions[count], devfn);
		print("function " BDF " %08x\n", SLOT(devfn), pci_id(devfn));
		read_only_registers(devfn);
		odd_accesses(devfn);
		capabilities(devfn);
		extended_capabilities(devfn);
		command_register(devfn);
		if (check(functions[count].probe >= 0, "has a register to ask " BDF, SLOT(devfn)))
			count++;
	}
	for (unsigned i = 0; i < count; i++) {
		bar_sizing(&functions[i]);
		bar_moved(&functions[i]);
		decoding(&functions[i]);
		bars_over_ram(&functions[i]);
		bars_anywhere(&functions[i]);
		io_bars(&functions[i]);
		if (count > 1)
			bar_over_bar(&functions[i], &functions[(i + 1) % count]);
		power_states(&functions[i]);
		function_level_reset(&functions[i]);
		storm(&functions[i]);
	}
	print("functions %u\n", count);
}

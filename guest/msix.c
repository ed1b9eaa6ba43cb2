// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile use of MSI-X tables and PBAs (PCIe 5.0, 7.7.2), on every function that has them: accesses of every size, across
 * entries and ends, vectors that lead nowhere or into RAM. The guest goes on, RAM stays as it is, the function answers.
 */
#include "pci.h"

#define SLOT(devfn) ((devfn) >> 3), ((devfn)&7)
#define BDF         "00:%02x.%u"

#define MSIX_CONTROL  2
#define MSIX_TABLE    4
#define MSIX_PBA      8
#define MSIX_ENABLE   0x8000
#define MSIX_MASK_ALL 0x4000
#define MSIX_SIZE     0x7ff
#define ENTRY_SIZE    16
#define ENTRY_DATA    8
#define ENTRY_CONTROL 12
#define ENTRY_MASKED  1

struct msix {
	struct pci_function function;
	uint64_t control, table, pba;
	unsigned vectors;
};

static bool find_msix(struct msix *msix, unsigned devfn)
{
	unsigned cap = pci_find_cap(devfn, PCI_CAP_MSIX);
	uint32_t table = read32(pci_config(devfn, cap + MSIX_TABLE));
	uint32_t pba = read32(pci_config(devfn, cap + MSIX_PBA));

	pci_survey(&msix->function, devfn);
	if (!cap || (table & 7) > 5 || (pba & 7) > 5)
		return false;
	msix->control = pci_config(devfn, cap + MSIX_CONTROL);
	msix->table = msix->function.bar[table & 7].address + (table & ~7U);
	msix->pba = msix->function.bar[pba & 7].address + (pba & ~7U);
	msix->vectors = (read16(msix->control) & MSIX_SIZE) + 1;
	return true;
}

static uint64_t entry(const struct msix *msix, unsigned vector)
{
	return msix->table + ENTRY_SIZE * vector;
}

static void set_vector(const struct msix *msix, unsigned vector, uint64_t address, uint32_t data,
		       uint32_t control)
{
	write32(entry(msix, vector), (uint32_t)address);
	write32(entry(msix, vector) + 4, (uint32_t)(address >> 32));
	write32(entry(msix, vector) + ENTRY_DATA, data);
	write32(entry(msix, vector) + ENTRY_CONTROL, control);
}

static void set_all(const struct msix *msix, uint64_t address, uint32_t control)
{
	for (unsigned vector = 0; vector < msix->vectors; vector++)
		set_vector(msix, vector, address, vector, control);
}

/* What the specification asks for: aligned DWORDs, masked at first, reserved bits that do not stick. */
static void proper_accesses(const struct msix *msix)
{
	unsigned devfn = msix->function.devfn, last = msix->vectors - 1;
	bool masked = true;

	for (unsigned vector = 0; vector < msix->vectors; vector++)
		masked &= read32(entry(msix, vector) + ENTRY_CONTROL) == ENTRY_MASKED;
	check(masked, "all vectors masked at first " BDF, SLOT(devfn));
	set_vector(msix, last, 0x123456780, 0x9abcdef0, ENTRY_MASKED);
	check(read32(entry(msix, last)) == 0x23456780 && read32(entry(msix, last) + 4) == 1 &&
		      read32(entry(msix, last) + ENTRY_DATA) == 0x9abcdef0,
	      "the last vector keeps what is written " BDF, SLOT(devfn));
	write64(entry(msix, last), 0xfee1dead00000040);
	check(read64(entry(msix, last)) == 0xfee1dead00000040, "QWORD access " BDF, SLOT(devfn));
	write32(entry(msix, last), 0xffffffff);
	check(!(read32(entry(msix, last)) & 3), "address is aligned " BDF, SLOT(devfn));
}

/* Anything else: ignored or all ones, or what the bytes are; DWORDs beside it are not touched. */
static void odd_accesses(const struct msix *msix)
{
	unsigned devfn = msix->function.devfn;
	uint64_t base = entry(msix, 0);
	bool reads = true, kept;

	set_vector(msix, 0, 0x1122334455667788, 0x99aabbcc, ENTRY_MASKED);
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned offset = 0; offset + size <= 8; offset++) {
			uint64_t value = read_size(base + offset, size);

			reads &= value == ones(size) ||
				 value == (0x1122334455667788UL >> (8 * offset) & ones(size));
		}
	}
	check(reads, "odd reads " BDF, SLOT(devfn));
	for (unsigned offset = 0; offset < 12; offset++) {
		write_size(base + offset, 1, 0);
		write_size(base + offset, 2, 0);
		if (offset % 4)
			write_size(base + offset, 4, 0);
		if (offset % 8)
			write_size(base + offset, 8, 0);
	}
	kept = read32(base) == 0x55667788 && read32(base + 4) == 0x11223344 &&
	       read32(base + ENTRY_DATA) == 0x99aabbcc &&
	       read32(base + ENTRY_CONTROL) == ENTRY_MASKED;
	check(kept, "odd writes change nothing " BDF, SLOT(devfn));
}

/* Before, across and after the table's and the PBA's ends. */
static void edges(const struct msix *msix)
{
	unsigned devfn = msix->function.devfn;
	uint64_t ends[] = { msix->table + ENTRY_SIZE * msix->vectors, msix->pba,
			    msix->pba + 8 * ((msix->vectors + 63) / 64) };

	set_vector(msix, msix->vectors - 1, 0x8000, 0x42, ENTRY_MASKED);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (unsigned size = 2; size <= 8; size *= 2) {
			for (unsigned before = 1; before < size; before++)
				read_size(ends[i] - before, size);
		}
	}
	check(read32(entry(msix, msix->vectors - 1) + ENTRY_DATA) == 0x42,
	      "reads across the ends " BDF, SLOT(devfn));
	write64(entry(msix, msix->vectors) - 4, ~0UL);
	write_size(entry(msix, msix->vectors) - 1, 8, ~0UL);
	check(read32(entry(msix, msix->vectors - 1) + ENTRY_CONTROL) == ENTRY_MASKED,
	      "writes across the end " BDF, SLOT(devfn));
	write64(msix->pba, ~0UL);
	write32(msix->pba, ~0U);
	check(read64(msix->pba) == 0, "the PBA is read-only " BDF, SLOT(devfn));
}

/* Where a vector must not lead to: RAM (the pattern there stays), the void, lkvm's own frames. */
static void hostile_targets(const struct msix *msix)
{
	static const uint64_t targets[] = { RAM_FREE,     0,         UART_BASE,
					    PVPANIC_BASE, GICD_BASE, 0xfffffffffffffffc,
					    1UL << 52,    ECAM_BASE };
	unsigned devfn = msix->function.devfn;
	bool intact = true;

	for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		write64(RAM_FREE, 0x5ca1ab1e);
		set_all(msix, targets[i], 0);
		write16(msix->control, MSIX_ENABLE);
		for (unsigned vector = 0; vector < msix->vectors; vector++)
			write32(entry(msix, vector) + ENTRY_DATA, ~vector); /* while armed */
		intact &= read64(RAM_FREE) == 0x5ca1ab1e;
		write16(msix->control, 0);
	}
	check(intact, "vectors that lead where they must not " BDF, SLOT(devfn));
	set_all(msix, 0, ENTRY_MASKED);
	check(pci_answers(&msix->function), "answers afterwards " BDF, SLOT(devfn));
}

/* Every order of enabling, masking and unmasking, over and over. */
static void toggling(const struct msix *msix)
{
	unsigned devfn = msix->function.devfn;

	for (unsigned i = 0; i < 50; i++) {
		write32(entry(msix, i % msix->vectors) + ENTRY_CONTROL, i & 1);
		write16(msix->control, (uint16_t)(i << 14)); /* enable and mask-all, each way */
		write32(entry(msix, 0) + ENTRY_CONTROL, ~i & 1);
		write16(pci_config(devfn, PCI_COMMAND), i & 4 ? PCI_COMMAND_MEMORY : 0x406);
	}
	write16(msix->control, 0);
	pci_restore(&msix->function);
	set_all(msix, 0, ENTRY_MASKED);
	write16(msix->control, 0xffff);
	check((read16(msix->control) & ~(MSIX_ENABLE | MSIX_MASK_ALL)) == (int)msix->vectors - 1,
	      "only enable and mask stick in the control word " BDF, SLOT(devfn));
	write16(msix->control, 0);
	check(pci_answers(&msix->function), "answers after toggling " BDF, SLOT(devfn));
}

/* Enabled, then the BAR with the table goes away, moves over RAM and comes back. */
static void moving(const struct msix *msix)
{
	const struct pci_function *function = &msix->function;

	set_all(msix, RAM_FREE, 0);
	write16(msix->control, MSIX_ENABLE);
	for (unsigned n = 0; n < 6; n++) {
		if (!function->bar[n].present || function->bar[n].io)
			continue;
		write16(pci_config(function->devfn, PCI_COMMAND), 0);
		write32(msix->table, 0);
		write16(pci_config(function->devfn, PCI_COMMAND), function->command);
		pci_bar_set(function->devfn, n, function->bar[n].is_64, RAM_BASE);
		write32(msix->table, 0);
		pci_restore(function);
	}
	check(read16(msix->control) & MSIX_ENABLE, "stays enabled when its BAR moves " BDF,
	      SLOT(function->devfn));
	write16(msix->control, 0);
	check(pci_answers(function), "answers after moving " BDF, SLOT(function->devfn));
}

void guest_main(const void *fdt)
{
	unsigned found = 0;

	(void)fdt;
	mmu_on();
	pci_for_each(devfn)
	{
		struct msix msix;
		uint32_t id = pci_id(devfn);

		if (!find_msix(&msix, devfn))
			continue;
		found++;
		print("msix " BDF " %u vectors\n", SLOT(devfn), msix.vectors);
		proper_accesses(&msix);
		odd_accesses(&msix);
		edges(&msix);
		hostile_targets(&msix);
		toggling(&msix);
		moving(&msix);
		check(pci_id(devfn) == id, "configuration space " BDF, SLOT(devfn));
	}
	print("functions %u\n", found);
}

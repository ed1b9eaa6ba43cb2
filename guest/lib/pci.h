/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions of the root bus, by ECAM (PCIe 5.0, 7.2.2). */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include "lib.h"

#define PCI_VENDOR_ID   0x00
#define PCI_COMMAND     0x04
#define PCI_STATUS      0x06
#define PCI_REVISION    0x08
#define PCI_HEADER_TYPE 0x0e
#define PCI_BAR0        0x10
#define PCI_SUBSYSTEM   0x2c
#define PCI_ROM         0x30
#define PCI_CAPABILITY  0x34
#define PCI_INTX_PIN    0x3d

#define PCI_COMMAND_IO           0x001
#define PCI_COMMAND_MEMORY       0x002
#define PCI_COMMAND_MASTER       0x004
#define PCI_COMMAND_INTX_DISABLE 0x400
#define PCI_STATUS_CAP_LIST      0x10

#define PCI_CAP_PM   0x01
#define PCI_CAP_MSI  0x05
#define PCI_CAP_PCIE 0x10
#define PCI_CAP_MSIX 0x11

#define PCI_BAR_IO       0x1U
#define PCI_BAR_64       0x4U
#define PCI_BAR_PREFETCH 0x8U

#define PCI_DEVFNS 256

static inline uint64_t pci_config(unsigned devfn, unsigned offset)
{
	return ECAM_BASE + ((uint64_t)devfn << 12) + offset;
}

static inline bool pci_present(unsigned devfn)
{
	return read32(pci_config(devfn, PCI_VENDOR_ID)) != ~0U;
}

/* The function's vendor and device, as 0xDDDDVVVV. */
static inline uint32_t pci_id(unsigned devfn)
{
	return read32(pci_config(devfn, PCI_VENDOR_ID));
}

/* devfn of the first function from `devfn` on, or PCI_DEVFNS. */
unsigned pci_next(unsigned devfn);
#define pci_for_each(devfn)                                                                        \
	for (unsigned devfn = pci_next(0); devfn < PCI_DEVFNS; devfn = pci_next(devfn + 1))
/* devfn of the first function with this ID, or PCI_DEVFNS. */
unsigned pci_find(uint32_t id);

/* Offset of a capability, 0 if there is none; bounded, whatever the list looks like. */
unsigned pci_find_cap(unsigned devfn, unsigned id);

struct bar {
	bool present, io, is_64;
	uint32_t flags;
	uint64_t address, size;
};

uint64_t pci_bar_get(unsigned devfn, unsigned n, bool is_64);
void pci_bar_set(unsigned devfn, unsigned n, bool is_64, uint64_t address);
/* Sizes BAR n; the function should not decode meanwhile. Its contents are as before. */
struct bar pci_bar_probe(unsigned devfn, unsigned n);

/* A function as found at start, so that it can be put back after any mistreatment and asked whether it still answers. */
struct pci_function {
	unsigned devfn;
	uint16_t command;
	struct bar bar[6];
	/* A register that reads the same each time, neither zeros nor ones, in memory BAR `probe`; -1: there is none. */
	int probe;
	uint32_t value;
};

/* Sizes all BARs; leaves memory decoding and bus mastering on. */
void pci_survey(struct pci_function *function, unsigned devfn);
/* Puts BARs and COMMAND back. */
void pci_restore(const struct pci_function *function);
bool pci_answers(const struct pci_function *function);

#endif

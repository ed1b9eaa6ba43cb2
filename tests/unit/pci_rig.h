/* SPDX-License-Identifier: GPL-2.0-only */
/* A root bus with two functions that remember what happens to them, next to RAM and another device. */
#ifndef PCI_RIG_H
#define PCI_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <lkvm/pci.h>

#define ECAM   0x40000000ULL
#define IO     0x0ULL
#define MEM32  0x50000000ULL
#define MEM64  0x100000000ULL
#define RAM    0x80000000ULL
#define OTHER  (MEM32 + 0x100000) /* something else on the MMIO bus */
#define BAR(n) (PCI_BASE_ADDRESS_0 + 4 * (n))

#define FLAG_IO   PCI_BASE_ADDRESS_SPACE_IO
#define FLAG_64   PCI_BASE_ADDRESS_MEM_TYPE_64
#define FLAG_PREF PCI_BASE_ADDRESS_MEM_PREFETCH
#define NOWHERE   UINT64_MAX
#define DECODE    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)

/* A function that remembers what its owner is told. */
struct rig_device {
	struct pci_function function;
	uint64_t mapped_at[PCI_BARS];
	unsigned maps, unmaps;
	int map_result;
	unsigned written_offset, written_size;
	uint32_t written_value;
	bool reset_when_written;
	atomic_ullong last_write; /* of a BAR */
};

extern struct mmio_bus pci_mmio;
extern struct pci_bus pci_root;
extern struct rig_device dev_a, dev_b;
extern struct mmio_region pci_other;

/* Around each test; dev_a is function 01.0, dev_b 02.0. */
int pci_rig_setup(void **state);
int pci_rig_teardown(void **state);
void dev_make(struct rig_device *device, const char *name, int devfn);
void declare_bar(struct rig_device *device, unsigned n, uint64_t size, uint32_t flags);

/* The guest's accesses: anywhere, and to a function's configuration space. */
uint64_t guest_read(uint64_t gpa, unsigned size);
void guest_write(uint64_t gpa, unsigned size, uint64_t value);
uint64_t cfg_address(const struct rig_device *device, unsigned offset);
uint32_t cfg_get(const struct rig_device *device, unsigned offset);
void cfg_put(const struct rig_device *device, unsigned offset, uint32_t value);
void cfg_decode(const struct rig_device *device, uint32_t command);

/* Where a BAR answers, as its owner was told, or NOWHERE. */
uint64_t bar_place(const struct rig_device *device, unsigned n);

#endif

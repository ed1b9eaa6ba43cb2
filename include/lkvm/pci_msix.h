/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSI-X of an emulated function (PCIe 5.0, 6.1.4, 7.7.2): table and Pending Bit Array in a BAR of its own, an eventfd a
 * vector. While a vector may be delivered an irqfd leads from its eventfd to the guest; while it is masked the eventfd
 * counts, which is the pending bit.
 */
#ifndef LKVM_PCI_MSIX_H
#define LKVM_PCI_MSIX_H

#include <stdatomic.h>
#include <lkvm/irq.h>
#include <lkvm/pci.h>
#include <lkvm/pci_msix_table.h>

struct pci_msix_vector {
	int eventfd;
	bool attached; /* the eventfd raises the GSI */
};

/* All under function->lock, but for `enabled` and the eventfds, which stay as long as this does. */
struct pci_msix {
	struct pci_function *function;
	uint8_t cap; /* offset in configuration space */
	struct pci_msix_table table;
	struct pci_msix_vector *vectors;
	atomic_bool enabled;
	struct irq_routes *routes; /* of the VM it is attached to, or NULL */
	bool msi;                  /* its interrupt controller delivers MSIs */
	uint32_t first_gsi;
	bool gsis_allocated;
	bool refused; /* GSIs or an irqfd: no further tries before the next attach */
};

/*
 * Writes the capability (PCI_CAP_MSIX_SIZEOF bytes) at `cap` of function's configuration space, without linking it into the
 * list, and makes the eventfds. table: vectors and places are set; its memory is made here. function outlives it.
 * Reported. destroy accepts a zeroed object; detached.
 */
int pci_msix_create(struct pci_msix *msix, struct pci_function *function, uint8_t cap,
		    const struct pci_msix_table *table);
void pci_msix_destroy(struct pci_msix *msix);

/* Connects it with a VM's interrupts. detach: disabled, as a reset leaves it, nothing pending. */
void pci_msix_attach(struct pci_msix *msix, struct irq_routes *routes, struct irq_controller *irq);
void pci_msix_detach(struct pci_msix *msix);

/* For the function's hooks: after a write to configuration space; a BAR's access that pci_msix_table_covers(). */
void pci_msix_config_written(struct pci_msix *msix, unsigned offset, unsigned size);
uint64_t pci_msix_read(struct pci_msix *msix, unsigned bar, uint64_t offset, unsigned size);
void pci_msix_write(struct pci_msix *msix, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t value);

/* Any thread, without the lock. Whether MSI-X is enabled: INTx is silent then. */
static inline bool pci_msix_enabled(const struct pci_msix *msix)
{
	return atomic_load(&msix->enabled);
}

/* Sends the vector's message, now or when it is unmasked. vector < table.vectors; ignored while MSI-X is off. */
void pci_msix_raise(struct pci_msix *msix, unsigned vector);

#endif

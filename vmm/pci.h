/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the bus (pci.c) and a function's configuration space (pci_config.c). */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include <lkvm/pci.h>

/* Writes an address to BAR n, as the guest would: a CPU address, also for I/O. Takes the lock. */
void pci_bar_place(struct pci_function *function, unsigned n, uint64_t gpa);

/* Maps what of the function's BARs was blocked and is no longer. Takes the lock; call it with no function's lock held. */
void pci_function_retry(struct pci_function *function);

/* pci_shadow.c: after a function's config[] has changed, with its lock held; and with the bus. */
void pci_shadow_update(const struct pci_function *function);
void pci_shadow_free(struct pci_bus *bus);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An MSI-X table (PCIe 5.0, 7.7.2) as memory of ours: what a guest may do to it, whoever then delivers its messages. The
 * owner's lock guards it.
 */
#ifndef LKVM_PCI_MSIX_TABLE_H
#define LKVM_PCI_MSIX_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/irq.h>
#include <lkvm/pci.h>

#define PCI_MSIX_VECTORS_MAX 2048 /* 7.7.2.2 */

struct pci_msix_table {
	unsigned vectors;
	uint8_t bar, pba_bar;
	uint32_t offset, pba_offset; /* bytes in the BAR, multiples of 8 */
	uint8_t *entries;            /* [vectors * PCI_MSIX_ENTRY_SIZE] */
	bool *written;               /* [vectors]: the guest has given it a message */
	bool changed;                /* a message did, since pci_msix_table_route() */
};

/* Memory for `vectors` entries, as a reset leaves them; the rest is the caller's. -ENOMEM, unreported. free: zeroed is fine. */
int pci_msix_table_alloc(struct pci_msix_table *table);
void pci_msix_table_free(struct pci_msix_table *table);
/* As a reset leaves it: every entry masked, no message. */
void pci_msix_table_reset(struct pci_msix_table *table);

/* Bytes of the table, and of its Pending Bit Array, which comes in whole quadwords (7.7.2.9). */
uint64_t pci_msix_table_size(const struct pci_msix_table *table);
uint64_t pci_msix_pba_size(const struct pci_msix_table *table);

/* The message the guest has given a vector. */
void pci_msix_table_message(const struct pci_msix_table *table, unsigned vector, uint64_t *address,
			    uint32_t *data);
/* Whether a vector may be delivered: it has a message, and neither it nor, by Message Control, the function is masked. */
bool pci_msix_table_deliverable(const struct pci_msix_table *table, unsigned vector,
				uint32_t control);
/*
 * Routes of all messages the guest has written, not only of the vector it unmasks: drivers write them all before they
 * unmask the first, and KVM only knows how to replace its whole table. Vector n's GSI is first_gsi + n.
 */
void pci_msix_table_route(struct pci_msix_table *table, struct irq_routes *routes,
			  uint32_t first_gsi, uint32_t devid);

/* Whether [offset, offset + size) of the BAR touches the table or the PBA. */
bool pci_msix_table_covers(const struct pci_msix_table *table, unsigned bar, uint64_t offset,
			   unsigned size);
/* Whether the access is one software may make there: an aligned double word or quadword (7.7.2). If not, reported once. */
bool pci_msix_access_proper(struct pci_function *function, uint64_t offset, unsigned size);
/* Of a proper access: whether it is to the table; it is to the PBA otherwise. */
bool pci_msix_table_holds(const struct pci_msix_table *table, unsigned bar, uint64_t offset);
/* A proper access to the table, by its offset in the BAR. write: the vector, and whether its message changed. */
uint64_t pci_msix_table_read(const struct pci_msix_table *table, uint64_t offset, unsigned size);
unsigned pci_msix_table_write(struct pci_msix_table *table, uint64_t offset, unsigned size,
			      uint64_t value, bool *message_changed);
/* Of a proper access to the PBA: the first vector, and how many vectors (up to 64, 0: none) the bits stand for. */
unsigned pci_msix_pba_vectors(const struct pci_msix_table *table, uint64_t offset, unsigned size,
			      unsigned *first);

/*
 * GSIs for `count` vectors of the function. -ENOSPC: the routing table has no room, reported once, with what it has.
 */
int pci_msi_alloc_gsis(struct pci_function *function, struct irq_routes *routes, unsigned count,
		       uint32_t *first_gsi);

#endif

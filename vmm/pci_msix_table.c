// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/pci_msix_table.h>
#include <lkvm/report.h>

static uint32_t field(const struct pci_msix_table *table, unsigned vector, unsigned offset)
{
	return pci_get(table->entries, vector * PCI_MSIX_ENTRY_SIZE + offset, 4);
}

uint64_t pci_msix_table_size(const struct pci_msix_table *table)
{
	return (uint64_t)table->vectors * PCI_MSIX_ENTRY_SIZE;
}

uint64_t pci_msix_pba_size(const struct pci_msix_table *table)
{
	return ((uint64_t)table->vectors + 63) / 64 * 8;
}

int pci_msix_table_alloc(struct pci_msix_table *table)
{
	if (!table->vectors)
		return 0;
	table->entries = calloc(table->vectors, PCI_MSIX_ENTRY_SIZE);
	table->written = calloc(table->vectors, sizeof(*table->written));
	if (!table->entries || !table->written) {
		pci_msix_table_free(table);
		return -ENOMEM;
	}
	pci_msix_table_reset(table);
	return 0;
}

void pci_msix_table_free(struct pci_msix_table *table)
{
	free(table->entries);
	free(table->written);
	table->entries = NULL;
	table->written = NULL;
	table->vectors = 0;
}

void pci_msix_table_reset(struct pci_msix_table *table)
{
	for (unsigned i = 0; i < table->vectors; i++) {
		uint8_t *entry = table->entries + i * PCI_MSIX_ENTRY_SIZE;

		memset(entry, 0, PCI_MSIX_ENTRY_SIZE);
		pci_put(entry, PCI_MSIX_ENTRY_VECTOR_CTRL, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
		table->written[i] = false;
	}
	table->changed = false;
}

void pci_msix_table_message(const struct pci_msix_table *table, unsigned vector, uint64_t *address,
			    uint32_t *data)
{
	uint64_t high = field(table, vector, PCI_MSIX_ENTRY_UPPER_ADDR);

	*address = high << 32 | field(table, vector, PCI_MSIX_ENTRY_LOWER_ADDR);
	*data = field(table, vector, PCI_MSIX_ENTRY_DATA);
}

/* An entry that never got a message has nowhere to go, masked or not. */
bool pci_msix_table_deliverable(const struct pci_msix_table *table, unsigned vector,
				uint32_t control)
{
	return table->written[vector] && !(control & PCI_MSIX_FLAGS_MASKALL) &&
	       !(field(table, vector, PCI_MSIX_ENTRY_VECTOR_CTRL) & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void pci_msix_table_route(struct pci_msix_table *table, struct irq_routes *routes,
			  uint32_t first_gsi, uint32_t devid)
{
	if (!table->changed)
		return;
	for (unsigned i = 0; i < table->vectors; i++) {
		uint64_t address;
		uint32_t data;

		pci_msix_table_message(table, i, &address, &data);
		if (table->written[i])
			irq_routes_set_msi(routes, first_gsi + i, address, data, devid);
	}
	table->changed = false;
}

/* --- the guest's accesses --- */

static bool touches(uint64_t offset, unsigned size, uint64_t start, uint64_t length)
{
	return offset < start + length && start < offset + size;
}

bool pci_msix_table_covers(const struct pci_msix_table *table, unsigned bar, uint64_t offset,
			   unsigned size)
{
	return (bar == table->bar &&
		touches(offset, size, table->offset, pci_msix_table_size(table))) ||
	       (bar == table->pba_bar &&
		touches(offset, size, table->pba_offset, pci_msix_pba_size(table)));
}

/* Table and PBA are aligned to a quadword, so that a proper access lies within one of them altogether. */
bool pci_msix_access_proper(struct pci_function *function, uint64_t offset, unsigned size)
{
	if ((size == 4 || size == 8) && offset % size == 0)
		return true;
	report_once(&function->complained,
		    "%s: the guest accesses the MSI-X table or PBA with %u bytes at an offset of "
		    "0x%llx",
		    function->name, size, (unsigned long long)offset);
	return false;
}

bool pci_msix_table_holds(const struct pci_msix_table *table, unsigned bar, uint64_t offset)
{
	return bar == table->bar && offset >= table->offset &&
	       offset - table->offset < pci_msix_table_size(table);
}

uint64_t pci_msix_table_read(const struct pci_msix_table *table, uint64_t offset, unsigned size)
{
	unsigned at = (unsigned)(offset - table->offset);
	uint64_t value = pci_get(table->entries, at, 4);

	if (size == 8)
		value |= (uint64_t)pci_get(table->entries, at + 4, 4) << 32;
	return value;
}

/* Returns whether the message changed. */
static bool write_dword(struct pci_msix_table *table, unsigned at, uint32_t value)
{
	unsigned vector = at / PCI_MSIX_ENTRY_SIZE, offset = at % PCI_MSIX_ENTRY_SIZE;
	bool changes;

	if (offset == PCI_MSIX_ENTRY_LOWER_ADDR)
		value &= ~3U; /* a message is a double word, aligned (7.7.2.5) */
	if (offset == PCI_MSIX_ENTRY_VECTOR_CTRL)
		value &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	changes = pci_get(table->entries, at, 4) != value;
	pci_put(table->entries, at, 4, value);
	if (offset == PCI_MSIX_ENTRY_VECTOR_CTRL || (table->written[vector] && !changes))
		return false;
	table->written[vector] = true;
	table->changed = true;
	return true;
}

unsigned pci_msix_table_write(struct pci_msix_table *table, uint64_t offset, unsigned size,
			      uint64_t value, bool *message_changed)
{
	unsigned at = (unsigned)(offset - table->offset);

	*message_changed = write_dword(table, at, (uint32_t)value);
	if (size == 8)
		*message_changed |= write_dword(table, at + 4, (uint32_t)(value >> 32));
	return at / PCI_MSIX_ENTRY_SIZE;
}

unsigned pci_msix_pba_vectors(const struct pci_msix_table *table, uint64_t offset, unsigned size,
			      unsigned *first)
{
	unsigned left;

	*first = (unsigned)(offset - table->pba_offset) * 8;
	if (*first >= table->vectors)
		return 0;
	left = table->vectors - *first;
	return left < size * 8 ? left : size * 8;
}

/* --- GSIs --- */

/* The largest run of free GSIs, by trying: what the message should name is rarely worth a function of the table's. */
static unsigned gsis_left(struct irq_routes *routes, unsigned below)
{
	unsigned low = 0, high = below;
	uint32_t gsi;

	while (low < high) {
		unsigned middle = low + (high - low + 1) / 2;

		if (irq_routes_alloc(routes, middle, &gsi) == 0) {
			irq_routes_free(routes, gsi, middle);
			low = middle;
		} else {
			high = middle - 1;
		}
	}
	return low;
}

int pci_msi_alloc_gsis(struct pci_function *function, struct irq_routes *routes, unsigned count,
		       uint32_t *first_gsi)
{
	int err = irq_routes_alloc(routes, count, first_gsi);

	if (err < 0)
		report_once(&function->complained,
			    "%s wants %u interrupt vectors, %u are left of KVM's %u routes",
			    function->name, count, gsis_left(routes, count), IRQ_GSI_LIMIT);
	return err;
}

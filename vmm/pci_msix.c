// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <lkvm/pci_msix.h>
#include <lkvm/report.h>

/* --- vectors --- */

static void detach_vector(struct pci_msix *msix, unsigned vector)
{
	struct pci_msix_vector *v = &msix->vectors[vector];

	if (!v->attached)
		return;
	irq_routes_detach(msix->routes, msix->first_gsi + vector, v->eventfd);
	v->attached = false;
}

static void attach_vector(struct pci_msix *msix, unsigned vector)
{
	struct pci_msix_vector *v = &msix->vectors[vector];

	if (v->attached || msix->refused)
		return;
	pci_msix_table_route(&msix->table, msix->routes, msix->first_gsi, msix->function->devfn);
	if (irq_routes_attach(msix->routes, msix->first_gsi + vector, v->eventfd, -1) < 0)
		msix->refused = true; /* the controller reports each failure: let there be one */
	else
		v->attached = true;
}

static uint32_t control(const struct pci_msix *msix)
{
	return pci_get(msix->function->config, msix->cap + PCI_MSIX_FLAGS, 2);
}

static void update_vector(struct pci_msix *msix, unsigned vector)
{
	if (pci_msix_table_deliverable(&msix->table, vector, control(msix)))
		attach_vector(msix, vector);
	else
		detach_vector(msix, vector);
}

static void update(struct pci_msix *msix)
{
	for (unsigned i = 0; i < msix->table.vectors; i++)
		update_vector(msix, i);
}

/* What was raised before belongs to no vector of the guest's. */
static void forget_pending(struct pci_msix *msix)
{
	for (unsigned i = 0; i < msix->table.vectors; i++)
		irq_eventfd_drain(msix->vectors[i].eventfd);
}

/* --- enabled and disabled --- */

static bool ready(struct pci_msix *msix)
{
	if (!msix->routes || msix->refused)
		return false;
	if (!msix->msi)
		report_once(&msix->function->complained,
			    "%s: the guest enabled MSIs, which its interrupt controller lacks",
			    msix->function->name);
	else if (!msix->gsis_allocated)
		msix->gsis_allocated = !pci_msi_alloc_gsis(msix->function, msix->routes,
							   msix->table.vectors, &msix->first_gsi);
	msix->refused = !msix->gsis_allocated;
	return !msix->refused;
}

static void enable(struct pci_msix *msix)
{
	forget_pending(msix);
	atomic_store(&msix->enabled, true);
	if (ready(msix))
		update(msix);
}

static void disable(struct pci_msix *msix)
{
	atomic_store(&msix->enabled, false);
	for (unsigned i = 0; i < msix->table.vectors; i++)
		detach_vector(msix, i);
	forget_pending(msix);
}

void pci_msix_config_written(struct pci_msix *msix, unsigned offset, unsigned size)
{
	bool wanted = control(msix) & PCI_MSIX_FLAGS_ENABLE;
	unsigned at = msix->cap;

	if (offset >= at + PCI_CAP_MSIX_SIZEOF || offset + size <= at)
		return;
	if (wanted && !pci_msix_enabled(msix))
		enable(msix);
	else if (!wanted && pci_msix_enabled(msix))
		disable(msix);
	else if (wanted && msix->gsis_allocated)
		update(msix);
}

void pci_msix_raise(struct pci_msix *msix, unsigned vector)
{
	assert(vector < msix->table.vectors);
	if (pci_msix_enabled(msix))
		(void)eventfd_write(msix->vectors[vector].eventfd, 1);
}

/* --- the guest's accesses --- */

static uint64_t read_pba(const struct pci_msix *msix, uint64_t offset, unsigned size)
{
	unsigned first, count = pci_msix_pba_vectors(&msix->table, offset, size, &first);
	int fds[64];

	for (unsigned i = 0; i < count; i++) {
		const struct pci_msix_vector *v = &msix->vectors[first + i];

		fds[i] = v->attached ? -1 : v->eventfd;
	}
	return irq_eventfds_counted(fds, count);
}

uint64_t pci_msix_read(struct pci_msix *msix, unsigned bar, uint64_t offset, unsigned size)
{
	if (!pci_msix_access_proper(msix->function, offset, size))
		return ~0ULL;
	if (pci_msix_table_holds(&msix->table, bar, offset))
		return pci_msix_table_read(&msix->table, offset, size);
	return read_pba(msix, offset, size);
}

void pci_msix_write(struct pci_msix *msix, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t value)
{
	bool message_changed;
	unsigned vector;

	if (!pci_msix_access_proper(msix->function, offset, size) ||
	    !pci_msix_table_holds(&msix->table, bar, offset))
		return;
	vector = pci_msix_table_write(&msix->table, offset, size, value, &message_changed);
	if (!pci_msix_enabled(msix) || !msix->gsis_allocated)
		return;
	/* A message changed while unmasked is the guest's mistake; KVM's rule still is: no new route under an irqfd. */
	if (message_changed)
		detach_vector(msix, vector);
	update_vector(msix, vector);
}

/* --- creation --- */

static int make_eventfds(struct pci_msix *msix)
{
	for (unsigned i = 0; i < msix->table.vectors; i++) {
		int fd = irq_eventfd();

		if (fd < 0)
			return report(fd, "%s: no eventfd for interrupt vector %u",
				      msix->function->name, i);
		msix->vectors[i].eventfd = fd;
	}
	return 0;
}

static void write_capability(struct pci_function *function, uint8_t cap,
			     const struct pci_msix_table *table)
{
	pci_put(function->config, cap, 1, PCI_CAP_ID_MSIX);
	pci_put(function->config, cap + PCI_MSIX_FLAGS, 2, table->vectors - 1);
	pci_put(function->writable, cap + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_put(function->config, cap + PCI_MSIX_TABLE, 4, table->offset | table->bar);
	pci_put(function->config, cap + PCI_MSIX_PBA, 4, table->pba_offset | table->pba_bar);
}

int pci_msix_create(struct pci_msix *msix, struct pci_function *function, uint8_t cap,
		    const struct pci_msix_table *table)
{
	int err;

	assert(table->vectors && table->vectors <= PCI_MSIX_VECTORS_MAX);
	assert(table->offset % 8 == 0 && table->pba_offset % 8 == 0);
	*msix = (struct pci_msix){ .function = function, .cap = cap, .table = *table };
	err = pci_msix_table_alloc(&msix->table);
	if (!err)
		msix->vectors = calloc(table->vectors, sizeof(*msix->vectors));
	if (err || !msix->vectors) {
		pci_msix_destroy(msix);
		return report(-ENOMEM, "no memory for the interrupts of %s", function->name);
	}
	for (unsigned i = 0; i < table->vectors; i++)
		msix->vectors[i].eventfd = -1;
	write_capability(function, cap, table);
	err = make_eventfds(msix);
	if (err)
		pci_msix_destroy(msix);
	return err;
}

void pci_msix_destroy(struct pci_msix *msix)
{
	for (unsigned i = 0; msix->vectors && i < msix->table.vectors; i++)
		if (msix->vectors[i].eventfd >= 0)
			close(msix->vectors[i].eventfd);
	free(msix->vectors);
	pci_msix_table_free(&msix->table);
	*msix = (struct pci_msix){ 0 };
}

void pci_msix_attach(struct pci_msix *msix, struct irq_routes *routes, struct irq_controller *irq)
{
	msix->routes = routes;
	msix->msi = irq->msi;
	msix->refused = false;
	assert(!msix->gsis_allocated);
}

void pci_msix_detach(struct pci_msix *msix)
{
	uint8_t *config = msix->function->config;

	disable(msix);
	pci_put(config, msix->cap + PCI_MSIX_FLAGS, 2, msix->table.vectors - 1);
	pci_msix_table_reset(&msix->table);
	if (msix->gsis_allocated)
		irq_routes_free(msix->routes, msix->first_gsi, msix->table.vectors);
	msix->gsis_allocated = false;
	msix->routes = NULL;
}

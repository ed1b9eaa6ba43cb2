// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vectors of edu (MSI) and e1000e (MSI-X) while they are masked and unmasked, disabled and enabled. It waits for a
 * key now and then, so that the host can look at what the devices hold: after "armed", and after "cycled" for each round.
 * The key c is for a long round, r for a reset, q for the end, any other for a short round.
 */
#include "gic.h"
#include "pci.h"

#define ID_EDU    0x11e81234
#define ID_E1000E 0x10d38086

#define LONG  1000
#define SHORT 10
#define EVERY 50 /* so many cycles the device raises an interrupt */

static uint64_t doorbell;
static unsigned next_lpi;

struct vector {
	uint64_t control; /* of the capability */
	uint16_t enable;
	unsigned lpi;
	bool (*raise)(const struct vector *vector);
	uint64_t registers, entry; /* of an MSI-X table, if there is one */
};

static bool arrives(const struct vector *vector, unsigned before)
{
	return wait_until(gic_lpis_taken[vector->lpi] != before, 20000);
}

/* --- edu (QEMU, docs/specs/edu) --- */
static bool edu_raise(const struct vector *edu)
{
	unsigned before = gic_lpis_taken[edu->lpi];
	bool arrived;

	write32(edu->registers + 0x60, 1);
	arrived = arrives(edu, before);
	write32(edu->registers + 0x64, 1);
	return arrived;
}

/* --- e1000e (Intel 82574 datasheet, 10.2): the cause "other", to vector 0 --- */
#define CAUSE (1U << 24)

static bool nic_raise(const struct vector *nic)
{
	unsigned before = gic_lpis_taken[nic->lpi];

	write32(nic->registers + 0xe4, 8U << 16); /* IVAR */
	write32(nic->registers + 0xc0, ~0U);      /* ICR */
	write32(nic->registers + 0xd0, CAUSE);    /* IMS */
	write32(nic->registers + 0xc8, CAUSE);    /* ICS */
	return arrives(nic, before);
}

/* --- vectors (PCIe 5.0, 7.7.1 and 7.7.2) --- */
#define CONTROL     2
#define MSI_ADDRESS 4
#define MSI_DATA    12
#define MSIX_TABLE  4

static void arm(struct vector *vector, unsigned devfn)
{
	struct pci_function function;
	unsigned cap = pci_find_cap(devfn, vector->entry ? PCI_CAP_MSIX : PCI_CAP_MSI);
	uint64_t address = pci_config(devfn, cap + MSI_ADDRESS);
	uint64_t data = pci_config(devfn, cap + MSI_DATA);

	pci_survey(&function, devfn);
	vector->registers = function.bar[0].address;
	vector->control = pci_config(devfn, cap + CONTROL);
	vector->lpi = next_lpi++;
	its_map_device(devfn, 8);
	its_map_event(devfn, 0, vector->lpi);
	if (vector->entry) {
		uint32_t table = read32(pci_config(devfn, cap + MSIX_TABLE));

		vector->entry = function.bar[table & 7].address + (table & ~7U);
		address = vector->entry;
		data = vector->entry + 8;
		write32(vector->entry + 12, 0);
	}
	write32(address, (uint32_t)doorbell);
	write32(address + 4, (uint32_t)(doorbell >> 32));
	write32(data, 0);
	write16(vector->control, vector->enable);
	check(vector->raise(vector), "an interrupt of device %02x", devfn);
}

/* Vectors that cannot be masked are disabled, as MSI-X is, too, now and then. */
static void cycle(const struct vector *vector, unsigned n)
{
	bool all = true;

	for (unsigned i = 1; i <= n; i++) {
		if (vector->entry && i % EVERY) {
			write32(vector->entry + 12, 1);
			write32(vector->entry + 12, 0);
		} else {
			write16(vector->control, 0);
			write16(vector->control, vector->enable);
		}
		if (i % EVERY == 0 || i == n)
			all &= vector->raise(vector);
	}
	check(all, "interrupts after %u cycles", n);
}

void guest_main(const void *fdt)
{
	struct vector vectors[8];
	unsigned count = 0;
	int key;

	(void)fdt;
	gic_init();
	doorbell = its_init();
	irqs_on();
	pci_for_each(devfn)
	{
		struct vector edu = { .enable = 1, .raise = edu_raise };
		struct vector nic = { .enable = 0x8000, .raise = nic_raise, .entry = 1 };

		if (count == 8 || (pci_id(devfn) != ID_EDU && pci_id(devfn) != ID_E1000E))
			continue;
		vectors[count] = pci_id(devfn) == ID_EDU ? edu : nic;
		arm(&vectors[count++], devfn);
	}
	print("doorbell 0x%lx\narmed %u\n", doorbell, count);
	while ((key = uart_getc()) != 'q') {
		if (key == 'r')
			system_reset();
		for (unsigned i = 0; i < count; i++)
			cycle(&vectors[i], key == 'c' ? LONG : SHORT);
		print("cycled %u\n", key == 'c' ? LONG : SHORT);
	}
	check(gic_others_taken == 0, "no interrupt from nowhere");
}

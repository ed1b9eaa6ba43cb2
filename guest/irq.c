// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts and DMA of passed-through devices that can be told to raise one: QEMU's edu (MSI, INTx, a DMA engine) and
 * the 82574 NIC, e1000e (MSI-X, by its Interrupt Cause Set register). Each one raised arrives, once.
 */
#include "gic.h"
#include "pci.h"

#define ID_EDU    0x11e81234
#define ID_E1000E 0x10d38086

#define MSIS  10000
#define MSIXS 1000
#define INTXS 200

static uint64_t doorbell;

/* --- edu (QEMU, docs/specs/edu) --- */
enum {
	EDU_LIVENESS = 0x04,
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_IRQ_STATUS = 0x24,
	EDU_IRQ_RAISE = 0x60,
	EDU_IRQ_ACK = 0x64,
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_DESTINATION = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
};

#define EDU_DMA_BUFFER 0x40000
#define EDU_DMA_RUN    0x1
#define EDU_DMA_TO_RAM 0x2

/* MSI capability (PCIe 5.0, 7.7.1). */
#define MSI_CONTROL 2
#define MSI_ADDRESS 4
#define MSI_DATA_32 8
#define MSI_DATA_64 12
#define MSI_ENABLE  0x1
#define MSI_64      0x80

static volatile uint64_t edu;
static volatile unsigned edu_spi;

/* The line falls when the device is told that its interrupt was seen. */
static void edu_ack(unsigned spi)
{
	edu_spi = spi;
	write32(edu + EDU_IRQ_ACK, read32(edu + EDU_IRQ_STATUS));
}

static void edu_msi(unsigned devfn)
{
	unsigned cap = pci_find_cap(devfn, PCI_CAP_MSI), n = 0;
	uint16_t control = read16(pci_config(devfn, cap + MSI_CONTROL));

	if (!check(cap, "edu has MSI"))
		return;
	its_map_device(devfn, 1);
	its_map_event(devfn, 0, devfn);
	write32(pci_config(devfn, cap + MSI_ADDRESS), (uint32_t)doorbell);
	if (control & MSI_64)
		write32(pci_config(devfn, cap + MSI_ADDRESS + 4), (uint32_t)(doorbell >> 32));
	write16(pci_config(devfn, cap + (control & MSI_64 ? MSI_DATA_64 : MSI_DATA_32)), 0);
	write16(pci_config(devfn, cap + MSI_CONTROL), control | MSI_ENABLE);
	for (n = 0; n < MSIS; n++) {
		write32(edu + EDU_IRQ_RAISE, 1);
		if (!wait_until(gic_lpis_taken[devfn] == n + 1, 20000))
			break;
		write32(edu + EDU_IRQ_ACK, 1);
	}
	check(n == MSIS && gic_lpis_taken[devfn] == MSIS, "edu: %u MSIs, %u of %u arrived",
	      gic_lpis_taken[devfn], n, MSIS);
	write16(pci_config(devfn, cap + MSI_CONTROL), control);
}

static unsigned spis_taken(void)
{
	unsigned sum = 0;

	for (unsigned spi = 0; spi < 32; spi++)
		sum += gic_spis_taken[spi];
	return sum;
}

static void edu_intx(unsigned devfn)
{
	uint64_t command = pci_config(devfn, PCI_COMMAND);
	uint16_t enabled = read16(command);
	unsigned n;

	gic_spi_hook = edu_ack;
	for (unsigned spi = 4; spi < 32; spi++)
		gic_enable_spi(spi);
	for (n = 0; n < INTXS; n++) {
		write32(edu + EDU_IRQ_RAISE, 1);
		if (!wait_until(spis_taken() == n + 1, 20000))
			break;
	}
	check(n == INTXS, "edu: INTx %u of %u times on SPI %u", n, INTXS, edu_spi);
	write16(command, enabled | PCI_COMMAND_INTX_DISABLE);
	write32(edu + EDU_IRQ_RAISE, 1);
	check(!wait_until(spis_taken() != n, 200), "edu: INTx is silent while disabled");
	write16(command, enabled);
	check(wait_until(spis_taken() == n + 1, 20000), "edu: INTx comes when enabled again");
}

static bool edu_dma(uint64_t source, uint64_t destination, uint32_t count, uint32_t flags)
{
	write64(edu + EDU_DMA_SOURCE, source);
	write64(edu + EDU_DMA_DESTINATION, destination);
	write64(edu + EDU_DMA_COUNT, count);
	write64(edu + EDU_DMA_COMMAND, EDU_DMA_RUN | flags);
	return wait_until(!(read64(edu + EDU_DMA_COMMAND) & EDU_DMA_RUN), 20000);
}

static void edu_copy(void)
{
	uint64_t from = RAM_FREE, to = RAM_FREE + SZ_1M;
	bool same = true;

	for (unsigned i = 0; i < 4096; i += 8) {
		write64(from + i, i * 0x9e3779b97f4a7c15UL);
		write64(to + i, 0);
	}
	check(edu_dma(from, EDU_DMA_BUFFER, 4096, 0), "edu: DMA from RAM ends");
	check(edu_dma(EDU_DMA_BUFFER, to, 4096, EDU_DMA_TO_RAM), "edu: DMA to RAM ends");
	for (unsigned i = 0; i < 4096; i += 8)
		same &= read64(to + i) == i * 0x9e3779b97f4a7c15UL;
	check(same, "edu: DMA brings the same 4096 bytes back");
}

static void test_edu(unsigned devfn)
{
	struct pci_function function;

	pci_survey(&function, devfn);
	edu = function.bar[0].address;
	write32(edu + EDU_LIVENESS, 0x12345678);
	check(read32(edu + EDU_LIVENESS) == ~0x12345678U, "edu is alive");
	write32(edu + EDU_FACTORIAL, 10);
	check(wait_until(!(read32(edu + EDU_STATUS) & 1), 20000) &&
		      read32(edu + EDU_FACTORIAL) == 3628800,
	      "edu: 10! = 3628800");
	edu_msi(devfn);
	edu_intx(devfn);
	edu_copy();
}

/* --- e1000e (Intel 82574 datasheet, 10.2) --- */
enum {
	E1000_ICR = 0xc0,
	E1000_ICS = 0xc8,
	E1000_IMS = 0xd0,
	E1000_IVAR = 0xe4,
};

#define CAUSE(vector) (1U << (20 + (vector))) /* RxQ0, RxQ1, TxQ0, TxQ1, other */
#define IVAR_ONE_EACH 0xcba98                 /* cause n goes to vector n, valid */
#define E1000_VECTORS 5

#define MSIX_CONTROL  2
#define MSIX_TABLE    4
#define MSIX_PBA      8
#define MSIX_ENABLE   0x8000
#define MSIX_MASK_ALL 0x4000

static uint64_t nic, nic_table, nic_pba, nic_control;
static unsigned nic_lpi;

/* The device raises its interrupts at intervals, and again for a cause that is still there: this is the only one. */
static void nic_raise(unsigned vector)
{
	write32(nic + E1000_IMS, CAUSE(vector));
	write32(nic + E1000_ICR, ~0U);
	write32(nic + E1000_ICS, CAUSE(vector));
}

static void nic_quiet(void)
{
	write32(nic + E1000_ICR, ~0U);
	(void)wait_until(false, 20);
}

static void nic_mask(unsigned vector, bool masked)
{
	write32(nic_table + 16 * vector + 12, masked);
}

static bool nic_pending(unsigned vector)
{
	return read64(nic_pba) >> vector & 1;
}

static bool nic_start(unsigned devfn)
{
	unsigned cap = pci_find_cap(devfn, PCI_CAP_MSIX);
	uint32_t table = read32(pci_config(devfn, cap + MSIX_TABLE));
	uint32_t pba = read32(pci_config(devfn, cap + MSIX_PBA));
	struct pci_function function;

	if (!check(cap, "e1000e has MSI-X"))
		return false;
	pci_survey(&function, devfn);
	nic = function.bar[0].address;
	nic_table = function.bar[table & 7].address + (table & ~7U);
	nic_pba = function.bar[pba & 7].address + (pba & ~7U);
	nic_control = pci_config(devfn, cap + MSIX_CONTROL);
	nic_lpi = 256 + devfn * 8;
	its_map_device(devfn, E1000_VECTORS);
	for (unsigned vector = 0; vector < E1000_VECTORS; vector++) {
		its_map_event(devfn, vector, nic_lpi + vector);
		write32(nic_table + 16 * vector, (uint32_t)doorbell);
		write32(nic_table + 16 * vector + 4, (uint32_t)(doorbell >> 32));
		write32(nic_table + 16 * vector + 8, vector);
		nic_mask(vector, false);
	}
	write16(nic_control, MSIX_ENABLE);
	write32(nic + E1000_IVAR, IVAR_ONE_EACH);
	return true;
}

/* A masked vector waits in the PBA, and comes when it is unmasked: by itself, then with all others. */
static void nic_masking(void)
{
	volatile unsigned *taken = &gic_lpis_taken[nic_lpi + 1];
	unsigned before;

	nic_quiet();
	before = *taken;
	check(!nic_pending(1), "e1000e: nothing pending");
	nic_mask(1, true);
	nic_raise(1);
	check(!wait_until(*taken != before, 200), "e1000e: a masked vector is silent");
	check(nic_pending(1), "e1000e: a masked vector is pending");
	nic_mask(1, false);
	check(wait_until(*taken > before, 20000), "e1000e: it comes when unmasked");
	check(!nic_pending(1), "e1000e: and is pending no more");

	nic_quiet();
	before = *taken;
	write16(nic_control, MSIX_ENABLE | MSIX_MASK_ALL);
	nic_raise(1);
	check(!wait_until(*taken != before, 200), "e1000e: silent while all are masked");
	check(nic_pending(1), "e1000e: pending while all are masked");
	write16(nic_control, MSIX_ENABLE);
	check(wait_until(*taken > before, 20000), "e1000e: comes when all are unmasked");
}

/* The guest leads a vector to another event while it is masked (PCIe 5.0, 6.1.4.2). */
static void nic_moving(void)
{
	nic_quiet();
	nic_mask(0, true);
	write32(nic_table + 8, 4);
	nic_mask(0, false);
	gic_lpis_taken[nic_lpi] = 0;
	gic_lpis_taken[nic_lpi + 4] = 0;
	nic_raise(0);
	check(wait_until(gic_lpis_taken[nic_lpi + 4], 20000) && !gic_lpis_taken[nic_lpi],
	      "e1000e: a vector follows its event");
}

static void test_e1000e(unsigned devfn)
{
	unsigned n;

	if (!nic_start(devfn))
		return;
	for (unsigned vector = 0; vector < E1000_VECTORS; vector++) {
		nic_quiet();
		nic_raise(vector);
		check(wait_until(gic_lpis_taken[nic_lpi + vector], 20000),
		      "e1000e: vector %u arrives", vector);
	}
	for (n = 0; n < MSIXS; n++) {
		unsigned before = gic_lpis_taken[nic_lpi];

		nic_raise(0);
		if (!wait_until(gic_lpis_taken[nic_lpi] != before, 20000))
			break;
	}
	check(n == MSIXS, "e1000e: %u of %u MSI-X interrupts arrive", n, MSIXS);
	nic_masking();
	nic_moving();
	write16(nic_control, 0);
}

void guest_main(const void *fdt)
{
	unsigned tested = 0;

	(void)fdt;
	gic_init();
	doorbell = its_init();
	irqs_on();
	pci_for_each(devfn)
	{
		if (pci_id(devfn) == ID_EDU)
			test_edu(devfn);
		else if (pci_id(devfn) == ID_E1000E)
			test_e1000e(devfn);
		else
			continue;
		tested++;
	}
	check(gic_others_taken == 0, "no interrupt from nowhere");
	print("devices %u\n", tested);
}

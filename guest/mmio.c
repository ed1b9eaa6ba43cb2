// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses of every size, aligned or not, to every emulated frame, to their edges and to the holes between them. What is
 * nobody's reads as zero, or as all ones in a PCI window; whatever is written, the guest goes on.
 */
#include "lib.h"

#define KERNEL_PAGE 0x1000

enum expectation { ANYTHING, ZERO, ONES };

static const struct frame {
	const char *name;
	uint64_t base, size;
	enum expectation reads;
	bool no_writes;
} frames[] = {
	{ "I/O ports", 0x0, 0x10000, ONES, false },
	{ "hole after the I/O ports", 0x10000, 0x10000, ZERO, false },
	{ "hole before the UARTs", UART_BASE - 0x1000, 0x1000, ZERO, false },
	{ "hole after the registers of UART 0", UART_BASE + 0x100, 0x100, ZERO, false },
	{ "UART 1", UART_BASE + 0x1000, 8, ANYTHING, false },
	{ "UART 2", UART_BASE + 0x2000, 8, ANYTHING, false },
	{ "UART 3", UART_BASE + 0x3000, 8, ANYTHING, false },
	{ "hole after the UARTs", UART_BASE + 0x4000, 0x1000, ZERO, false },
	{ "RTC", RTC_BASE, 2, ANYTHING, false },
	{ "hole after the RTC", RTC_BASE + 0x1000, 0x1000, ZERO, false },
	/* Steal time is RAM, where it is offered. */
	{ "steal time", PVTIME_BASE, 0x10000, ANYTHING, false },
	/* A write with bit 0 set would be the end. */
	{ "pvpanic", PVPANIC_BASE, 8, ANYTHING, true },
	{ "hole after pvpanic", PVPANIC_BASE + 0x1000, 0x1000, ZERO, false },
	{ "flash that is not there", FLASH_BASE, 0x1000000, ZERO, false },
	{ "virtio-mmio without a device", VIRTIO_BASE, 0x200, ZERO, false },
	{ "hole below the GIC", 0x20000000, 0x10000000, ZERO, false },
	{ "GIC distributor", GICD_BASE, 0x10000, ANYTHING, true },
	{ "GIC redistributor", GICD_BASE - GICR_SIZE, GICR_SIZE, ANYTHING, true },
	{ "ITS", GICD_BASE - GICR_SIZE - ITS_SIZE, ITS_SIZE, ANYTHING, true },
	{ "ECAM, no function", ECAM_BASE + (31 << 15), 0x1000, ONES, false },
	{ "ECAM, bus 1", ECAM_BASE + SZ_1M, SZ_1M, ONES, false },
	{ "ECAM, bus 255", ECAM_BASE + 255 * SZ_1M, SZ_1M, ONES, false },
	{ "PCI window", PCI_MEM_BASE, 0x30000000, ONES, false },
};

/*
 * What lies right below the distributor on a GICv2 is the real CPU interface: an access that is not aligned is the guest's
 * own fault there.
 */
static bool is_gicv2_interface(const struct frame *frame)
{
	uint64_t features;

	__asm__("mrs %0, id_aa64pfr0_el1" : "=r"(features));
	return !(features >> 24 & 0xf) && frame->base < GICD_BASE &&
	       frame->base >= GICD_BASE - GICR_SIZE - ITS_SIZE;
}

static bool as_expected(const struct frame *frame, uint64_t value, unsigned size)
{
	return frame->reads == ANYTHING || value == (frame->reads == ZERO ? 0 : ones(size));
}

/* Every size at, and one byte beside, both ends and the middle. */
static bool probe(const struct frame *frame)
{
	const uint64_t spots[] = { 0, 1, 2, 3, frame->size / 2, frame->size / 2 + 5 };
	bool good = true;

	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned i = 0; i < sizeof(spots) / sizeof(spots[0]) + 2; i++) {
			uint64_t spot = i < 6 ? spots[i] : frame->size - size - (i == 7);

			if (spot + size > frame->size)
				continue;
			if (!frame->no_writes)
				write_size(frame->base + spot, size, ~0UL);
			good &= as_expected(frame, read_size(frame->base + spot, size), size);
		}
	}
	return good;
}

/* Accesses that begin in one frame and end in the next. */
static void straddle(uint64_t boundary)
{
	for (unsigned size = 2; size <= 8; size *= 2) {
		for (unsigned before = 1; before < size; before++) {
			read_size(boundary - before, size);
			write_size(boundary - before, size, 0);
		}
	}
}

/* All of UART 0's registers take anything; then it works as before. */
static void abuse_uart(void)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned offset = 1; offset < 16; offset++) {
			write_size(UART_BASE + offset, size, 0);
			write_size(UART_BASE + offset, size, ~0UL);
			read_size(UART_BASE + offset, size);
		}
	}
	write8(UART_BASE + 4, 0); /* MCR: no loopback */
	write8(UART_BASE + 3, 0x83);
	write8(UART_BASE + 0, 1);
	write8(UART_BASE + 1, 0); /* the divisor, then out of DLAB */
	uart_init();
	write8(UART_BASE + 1, 0); /* IER */
}

static void abuse_pvpanic(void)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned offset = 0; offset < 16; offset++)
			write_size(PVPANIC_BASE + offset, size, 0xfefefefefefefefeUL);
	}
}

void guest_main(const void *fdt)
{
	(void)fdt;
	mmu_on();
	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		if (!is_gicv2_interface(&frames[i]))
			check(probe(&frames[i]), "%s", frames[i].name);
	}
	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		if (frames[i].base && !frames[i].no_writes && frames[i].base != RTC_BASE)
			straddle(frames[i].base);
	}
	abuse_uart();
	check(true, "UART 0 takes anything");
	abuse_pvpanic();
	check(true, "pvpanic takes everything but bit 0");
}

// SPDX-License-Identifier: GPL-2.0-only
/* Power (Arm DEN 0022), time, and accesses of any size. */
#include "lib.h"

int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = a;
	register uint64_t x2 asm("x2") = b;
	register uint64_t x3 asm("x3") = c;

	asm volatile("dsb sy\n\thvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	/* The 32-bit calls answer in w0. */
	return function & 0x40000000U ? (int64_t)x0 : (int32_t)x0;
}

void power_off(void)
{
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		asm volatile("wfi");
}

void system_reset(void)
{
	psci(PSCI_SYSTEM_RESET, 0, 0, 0);
	for (;;)
		asm volatile("wfi");
}

void panic(void)
{
	write8(PVPANIC_BASE, 1);
	for (;;)
		asm volatile("wfi");
}

uint64_t cpu_mpidr(unsigned cpu)
{
	return (cpu & 0xf) | (uint64_t)(cpu >> 4) << 8;
}

unsigned cpu_count(void)
{
	unsigned cpu = 0;

	while (psci(PSCI_AFFINITY_INFO, cpu_mpidr(cpu), 0, 0) >= 0)
		cpu++;
	return cpu;
}

uint64_t time_ms(void)
{
	return sysreg_read(cntvct_el0) / (sysreg_read(cntfrq_el0) / 1000);
}

uint64_t read_size(uint64_t addr, unsigned size)
{
	switch (size) {
	case 1:
		return read8(addr);
	case 2:
		return read16(addr);
	case 4:
		return read32(addr);
	default:
		return read64(addr);
	}
}

void write_size(uint64_t addr, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		write8(addr, (uint8_t)value);
		break;
	case 2:
		write16(addr, (uint16_t)value);
		break;
	case 4:
		write32(addr, (uint32_t)value);
		break;
	default:
		write64(addr, value);
	}
}

/* The compiler calls these by itself. */
void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);

void *memset(void *to, int byte, size_t size)
{
	for (volatile uint8_t *p = to; size; size--)
		*p++ = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	const uint8_t *q = from;

	for (volatile uint8_t *p = to; size; size--)
		*p++ = *q++;
	return to;
}

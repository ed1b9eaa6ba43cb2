/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the bare-metal test guests share. A guest is a flat binary at RAM + 0x80000: guest_main() runs at EL1 on vCPU 0
 * with the MMU off and interrupts masked; when it returns, the guest says how many checks it has made and powers off.
 * One result a line on UART 0: "ok TEXT" or "not ok TEXT", at the end "done N".
 */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The memory map as guests know it: not shared with lkvm, so that a change there does not pass unnoticed. */
#define PCI_IO_BASE  0x0UL
#define UART_BASE    0x1000000UL
#define RTC_BASE     0x1010000UL
#define PVTIME_BASE  0x1020000UL
#define PVPANIC_BASE 0x1030000UL
#define FLASH_BASE   0x2000000UL
#define VIRTIO_BASE  0x3000000UL
#define GICD_BASE    0x3fff0000UL
#define GICR_SIZE    0x20000UL /* a vCPU, right below the distributor */
#define ITS_SIZE     0x20000UL /* right below the redistributors */
#define ECAM_BASE    0x40000000UL
#define PCI_MEM_BASE 0x50000000UL
#define RAM_BASE     0x80000000UL

#define SZ_1M 0x100000UL

/* RAM by use: what a guest keeps across resets, tables of the GIC, memory to play with. The image ends below. */
#define RAM_KEPT (RAM_BASE + 16 * SZ_1M)
#define RAM_GIC  (RAM_BASE + 24 * SZ_1M)
#define RAM_FREE (RAM_BASE + 32 * SZ_1M)

/* --- start.S and fault.c --- */
void guest_main(const void *fdt);
/* Entry point for CPU_ON; the context argument is the top of a stack. Runs guest_secondary() with interrupts masked. */
void secondary_start(void);
void guest_secondary(void);

/* The faults the guest has taken and survived; any that is not expected ends the guest with a panic. */
struct fault {
	unsigned count;
	uint64_t esr, far;
};

extern volatile struct fault fault;
extern volatile bool fault_expected;

/* Does STATEMENT, in which synchronous exceptions are counted and skipped; how many there were. */
#define faults_in(statement)                                                                       \
	({                                                                                         \
		fault.count = 0;                                                                   \
		fault_expected = true;                                                             \
		statement;                                                                         \
		fault_expected = false;                                                            \
		fault.count;                                                                       \
	})

#define ESR_EC(esr)  ((unsigned)((esr) >> 26) & 0x3f)
#define ESR_FSC(esr) ((unsigned)(esr)&0x3f)

/* Identity map of the first 512 GiB as Normal memory, where accesses need not be aligned. */
void mmu_on(void);

/* --- console.c --- */
void uart_init(void);
void uart_putc(char c);
int uart_getc(void); /* waits for input */
/* %s %c, %u %x and %lu %lx, zero-padded widths as in %08x. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints a result and returns the condition. */
bool check(bool condition, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void done(void) __attribute__((noreturn));

/* --- parameter.c: the number after a word of the kernel command line, as in "reads="; 0 if there is none. --- */
uint64_t parameter(const void *fdt, const char *name, unsigned base);

/* --- psci.c: by HVC (Arm DEN 0022) --- */
#define PSCI_VERSION       0x84000000U
#define PSCI_CPU_OFF       0x84000002U
#define PSCI_CPU_ON        0xc4000003U
#define PSCI_AFFINITY_INFO 0xc4000004U
#define PSCI_MIGRATE_TYPE  0x84000006U
#define PSCI_SYSTEM_OFF    0x84000008U
#define PSCI_SYSTEM_RESET  0x84000009U
#define PSCI_FEATURES      0x8400000aU
#define PSCI_SYSTEM_RESET2 0xc4000012U

#define PSCI_NOT_SUPPORTED      (-1)
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_ALREADY_ON         (-4)
#define PSCI_INVALID_ADDRESS    (-9)

#define PSCI_AFFINITY_ON  0
#define PSCI_AFFINITY_OFF 1

int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c);
void power_off(void) __attribute__((noreturn));
void system_reset(void) __attribute__((noreturn));
void panic(void) __attribute__((noreturn));
uint64_t cpu_mpidr(unsigned cpu); /* affinity fields, as KVM numbers vCPUs: 16 to a cluster */
unsigned cpu_count(void);

/* --- Accesses of one size by one instruction that KVM can decode --- */
static inline uint8_t read8(uint64_t addr)
{
	uint32_t value;

	asm volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

static inline uint16_t read16(uint64_t addr)
{
	uint32_t value;

	asm volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

static inline uint32_t read32(uint64_t addr)
{
	uint32_t value;

	asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

static inline uint64_t read64(uint64_t addr)
{
	uint64_t value;

	asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(addr) : "memory");
	return value;
}

static inline void write8(uint64_t addr, uint8_t value)
{
	asm volatile("strb %w0, [%1]" : : "r"(value), "r"(addr) : "memory");
}

static inline void write16(uint64_t addr, uint16_t value)
{
	asm volatile("strh %w0, [%1]" : : "r"(value), "r"(addr) : "memory");
}

static inline void write32(uint64_t addr, uint32_t value)
{
	asm volatile("str %w0, [%1]" : : "r"(value), "r"(addr) : "memory");
}

static inline void write64(uint64_t addr, uint64_t value)
{
	asm volatile("str %0, [%1]" : : "r"(value), "r"(addr) : "memory");
}

/* The same with the size, 1, 2, 4 or 8 bytes, as an argument. */
uint64_t read_size(uint64_t addr, unsigned size);
void write_size(uint64_t addr, unsigned size, uint64_t value);

static inline uint64_t ones(unsigned size)
{
	return ~0UL >> (64 - 8 * size);
}

#define sysreg_read(name)                                                                          \
	({                                                                                         \
		uint64_t value_;                                                                   \
		asm volatile("mrs %0, " #name : "=r"(value_));                                     \
		value_;                                                                            \
	})

#define sysreg_write(name, value)                                                                  \
	asm volatile("msr " #name ", %0\n\tisb" : : "r"((uint64_t)(value)) : "memory")

/* Waits some time; returns false after the condition has not come true for `ms` milliseconds. */
uint64_t time_ms(void);
#define wait_until(condition, ms)                                                                  \
	({                                                                                         \
		uint64_t end_ = time_ms() + (ms);                                                  \
		bool met_;                                                                         \
		while (!(met_ = (condition)) && time_ms() < end_)                                  \
			;                                                                          \
		met_;                                                                              \
	})

#endif

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses to emulated space by instructions that KVM cannot decode: each is a synchronous external abort in the guest
 * (Arm ARM, D24.2.40: EC 0x25, DFSC 0x10), and neither the guest's nor lkvm's end.
 */
#include "lib.h"

#define EC_DATA_ABORT        0x25
#define EC_INSTRUCTION_ABORT 0x21
#define FSC_EXTERNAL         0x10
#define FSC_EXTERNAL_WALK    0x14 /* to 0x17, by level */
#define HOLE                 (VIRTIO_BASE + 0x800000)

static const uint64_t targets[] = { HOLE, UART_BASE + 0x1000, RTC_BASE, PCI_MEM_BASE, ECAM_BASE };
static const char *const names[] = { "a hole", "UART 1", "RTC", "PCI window", "ECAM" };

static void aborted(unsigned faults, uint64_t addr, const char *what, const char *where)
{
	check(faults == 1 && ESR_EC(fault.esr) == EC_DATA_ABORT &&
		      ESR_FSC(fault.esr) == FSC_EXTERNAL && fault.far == addr,
	      "%s to %s", what, where);
}

/* An instruction that accesses *%0, alone between counting faults. */
#define try(what, instruction)                                                                     \
	aborted(faults_in(({                                                                       \
			uint64_t base_ = addr;                                                     \
			asm volatile(instruction : "+r"(base_) : : "x8", "x9", "memory");          \
		})),                                                                               \
		addr, what, where)

static void access_without_syndrome(uint64_t addr, const char *where)
{
	try("ldp", "ldp x8, x9, [%0]");
	try("stp", "stp xzr, xzr, [%0]");
	try("ldr, post-indexed", "ldr w8, [%0], #4");
	try("str, pre-indexed", "str wzr, [%0, #0]!");
	try("ldxr", "ldxr w8, [%0]");
	try("ldr of a vector register", "ldr q0, [%0]");
	try("ld1 of two registers", "ld1 {v0.16b, v1.16b}, [%0]");
}

/* Fetching instructions from emulated space. */
static void execute(uint64_t addr, const char *where)
{
	unsigned faults = faults_in(asm volatile("blr %0" : : "r"(addr) : "x30", "memory"));

	check(faults == 1 && ESR_EC(fault.esr) == EC_INSTRUCTION_ABORT, "call into %s", where);
}

#define TCR_T0SZ_MASK 0x3fUL
#define TCR_EPD1      (1UL << 23)
#define TCR_T1SZ_39   (25UL << 16)
#define TCR_TG1_4K    (2UL << 30)
#define HIGH_HALF     0xffffff8000000000UL

/* Page tables in emulated space: the walk aborts. */
static void walk(uint64_t addr, const char *where)
{
	unsigned faults;

	sysreg_write(ttbr1_el1, addr);
	sysreg_write(tcr_el1, (sysreg_read(tcr_el1) & ~TCR_EPD1) | TCR_T1SZ_39 | TCR_TG1_4K);
	faults = faults_in(read32(HIGH_HALF));
	check(faults == 1 && ESR_EC(fault.esr) == EC_DATA_ABORT, "page tables in %s (DFSC 0x%x)",
	      where, ESR_FSC(fault.esr));
	sysreg_write(tcr_el1, sysreg_read(tcr_el1) | TCR_EPD1);
	asm volatile("tlbi vmalle1\n\tdsb sy\n\tisb" : : : "memory");
}

/* Beyond the guest's physical address space. */
static void beyond(void)
{
	unsigned faults = faults_in(read32((1UL << 39) - 8));

	check(faults <= 1, "last word of 512 GiB (%u faults)", faults);
}

void guest_main(const void *fdt)
{
	(void)fdt;
	sysreg_write(cpacr_el1, 3UL << 20); /* FP and SIMD */
	for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		access_without_syndrome(targets[i], names[i]);
	mmu_on();
	for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		execute(targets[i], names[i]);
		walk(targets[i], names[i]);
	}
	beyond();
	check(read32(HOLE) == 0, "a plain access goes on as before");
}

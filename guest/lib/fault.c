// SPDX-License-Identifier: GPL-2.0-only
/* Exceptions: interrupts go to irq(), faults that a guest has provoked are counted and skipped. */
#include "gic.h"
#include "lib.h"

struct frame {
	uint64_t x[19], x30, elr, spsr;
};

/* Vectors of the current exception level on its own stack (Arm ARM, D1.4.1). */
enum { VECTOR_SYNC = 4, VECTOR_IRQ = 5 };

#define EC_INSTRUCTION_ABORT 0x21

volatile struct fault fault;
volatile bool fault_expected;

void exception(uint64_t vector, struct frame *frame);

void exception(uint64_t vector, struct frame *frame)
{
	uint64_t esr = sysreg_read(esr_el1), far = sysreg_read(far_el1);

	if (vector == VECTOR_IRQ) {
		gic_take_irq();
		return;
	}
	if (vector != VECTOR_SYNC || !fault_expected) {
		fault_expected = false;
		print("not ok unexpected exception: vector %lu esr 0x%lx far 0x%lx elr 0x%lx\n",
		      vector, esr, far, frame->elr);
		panic();
	}
	fault.count++;
	fault.esr = esr;
	fault.far = far;
	/* A call into the void returns to its caller. */
	frame->elr = ESR_EC(esr) == EC_INSTRUCTION_ABORT ? frame->x30 : frame->elr + 4;
}

#define DESC_BLOCK      0x1UL /* valid, block */
#define DESC_AF         (1UL << 10)
#define DESC_SH_OUTER   (2UL << 8)
#define MAIR_NORMAL_NC  0x44UL
#define TCR_T0SZ_39_BIT 25UL
#define TCR_EPD1        (1UL << 23)
#define TCR_IPS_SHIFT   32
#define SCTLR_M         0x1UL
#define SCTLR_A         0x2UL

void mmu_on(void)
{
	static uint64_t table[512] __attribute__((aligned(4096)));
	uint64_t pa_range = sysreg_read(id_aa64mmfr0_el1) & 0xf;

	for (uint64_t i = 0; i < 512; i++)
		table[i] = i << 30 | DESC_AF | DESC_SH_OUTER | DESC_BLOCK;
	asm volatile("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb" : : : "memory");
	sysreg_write(mair_el1, MAIR_NORMAL_NC);
	sysreg_write(tcr_el1,
		     TCR_T0SZ_39_BIT | TCR_EPD1 | (pa_range > 5 ? 5 : pa_range) << TCR_IPS_SHIFT);
	sysreg_write(ttbr0_el1, (uint64_t)table);
	sysreg_write(sctlr_el1, (sysreg_read(sctlr_el1) | SCTLR_M) & ~SCTLR_A);
}

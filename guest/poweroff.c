// SPDX-License-Identifier: GPL-2.0-only
/* What the guest finds when it starts (Documentation/arch/arm64/booting), and the shortest way out: PSCI SYSTEM_OFF. */
#include "lib.h"

#define FDT_MAGIC_LE 0xedfe0dd0U
#define DAIF_MASKED  0x3c0

void guest_main(const void *fdt)
{
	check(sysreg_read(CurrentEL) == 1 << 2, "runs at EL1");
	check(!(sysreg_read(sctlr_el1) & 1), "MMU off");
	check(sysreg_read(daif) == DAIF_MASKED, "exceptions masked");
	check(sysreg_read(mpidr_el1) << 40 == 0, "is vCPU 0");
	check((uint64_t)fdt % 8 == 0 && *(const uint32_t *)fdt == FDT_MAGIC_LE, "x0 is the FDT");
}

// SPDX-License-Identifier: GPL-2.0-only
/* PSCI (Arm DEN 0022): every vCPU is brought up, says hello and goes off, twice; bad calls get the error they ask for. */
#include "lib.h"

#define STACK_SIZE 0x1000

static uint8_t stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile uint64_t hello_from;

#define MPIDR_AFFINITY 0xff00ffffffUL

void guest_secondary(void)
{
	hello_from = (sysreg_read(mpidr_el1) & MPIDR_AFFINITY) + 1;
	psci(PSCI_CPU_OFF, 0, 0, 0);
	check(false, "CPU_OFF does not return");
}

static int64_t cpu_on(uint64_t target)
{
	return psci(PSCI_CPU_ON, target, (uint64_t)secondary_start, (uint64_t)(stack + STACK_SIZE));
}

static int64_t affinity_info(uint64_t target)
{
	return psci(PSCI_AFFINITY_INFO, target, 0, 0);
}

/* One at a time, so that they can share the stack. */
static void visit(unsigned cpu, const char *when)
{
	uint64_t mpidr = cpu_mpidr(cpu);
	int64_t on;

	hello_from = 0;
	on = cpu_on(mpidr);
	check(on == 0 && wait_until(hello_from == mpidr + 1, 30000), "vCPU %u says hello %s", cpu,
	      when);
	check(wait_until(affinity_info(mpidr) == PSCI_AFFINITY_OFF, 30000), "vCPU %u is off %s",
	      cpu, when);
}

static void bad_calls(void)
{
	check(cpu_on(0x7f00) == PSCI_INVALID_PARAMETERS, "CPU_ON of a vCPU that is not there");
	check(cpu_on(~0UL) == PSCI_INVALID_PARAMETERS, "CPU_ON of ~0");
	check(cpu_on(cpu_mpidr(0)) == PSCI_ALREADY_ON, "CPU_ON of oneself");
	check(affinity_info(0x7f00) == PSCI_INVALID_PARAMETERS,
	      "AFFINITY_INFO of a vCPU that is not there");
	check(psci(PSCI_AFFINITY_INFO, 0, 9, 0) == PSCI_INVALID_PARAMETERS,
	      "AFFINITY_INFO of level 9");
	check(psci(PSCI_FEATURES, 0xc400ffff, 0, 0) == PSCI_NOT_SUPPORTED,
	      "PSCI_FEATURES of no function");
	check(psci(0x8400ffff, 0, 0, 0) == PSCI_NOT_SUPPORTED, "a call that is none");
}

void guest_main(const void *fdt)
{
	uint32_t version = (uint32_t)psci(PSCI_VERSION, 0, 0, 0);
	unsigned cpus = cpu_count();

	(void)fdt;
	print("cpus %u\n", cpus);
	check(version >> 16 == 1, "PSCI_VERSION %u.%u", version >> 16, version & 0xffff);
	check(psci(PSCI_FEATURES, PSCI_CPU_ON, 0, 0) == 0, "PSCI_FEATURES of CPU_ON");
	check(psci(PSCI_FEATURES, PSCI_SYSTEM_RESET2, 0, 0) == 0, "PSCI_FEATURES of SYSTEM_RESET2");
	check(affinity_info(cpu_mpidr(0)) == PSCI_AFFINITY_ON, "vCPU 0 is on");
	for (unsigned cpu = 1; cpu < cpus; cpu++)
		check(affinity_info(cpu_mpidr(cpu)) == PSCI_AFFINITY_OFF, "vCPU %u waits", cpu);
	for (unsigned cpu = 1; cpu < cpus; cpu++)
		visit(cpu, "once");
	for (unsigned cpu = 1; cpu < cpus; cpu++)
		visit(cpu, "again");
	bad_calls();
}

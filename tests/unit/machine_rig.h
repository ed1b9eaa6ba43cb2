/* SPDX-License-Identifier: GPL-2.0-only */
/* A whole machine on the fake KVM: what its tests have in common. */
#ifndef MACHINE_RIG_H
#define MACHINE_RIG_H

#include <lkvm/machine.h>
#include "fake_kvm.h"
#include "files.h"

#define RIG_RAM_SIZE (64 * SZ_1M)
#define RIG_ENTRY    (MAP_RAM_BASE + 0x80000) /* of a flat binary */

/* setup/teardown of a cmocka test; the latter also minds the process's signals. */
int machine_rig_setup(void **state);
int machine_rig_teardown(void **state);

extern struct fake_kvm *rig_kvm;

/* A flat kernel ("guest code"), one vCPU, 64 MiB; the console reads /dev/null and writes the file rig_console() reads. */
struct machine_config rig_config(void);
const char *rig_console(void);

/* Creates, runs and destroys a machine whose vCPU 0 does `exits`; how it ended, or -errno of what failed. */
int rig_run(const struct machine_config *config, const struct fake_kvm_exit *exits, size_t count);

/* The guest's memory as a VM's slots have it; NULL: there is none at gpa. For hooks of exits. */
void *rig_memory(unsigned vm, uint64_t gpa);
/* vCPU 0's x0 and pc in a VM. */
uint64_t rig_x0(unsigned vm);
uint64_t rig_pc(unsigned vm);

/* Descriptors of this process. */
unsigned rig_descriptors(void);

#endif

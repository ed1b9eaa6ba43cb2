/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU and its thread. */
#ifndef LKVM_VCPU_H
#define LKVM_VCPU_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <lkvm/loop.h>
#include <lkvm/mmio.h>
#include <lkvm/vm.h>

/* One for all vCPUs of a VM. */
struct vcpu_features {
	bool aarch32; /* EL1 runs AArch32 */
	bool pmu;     /* PMUv3 */
	bool sve;
	bool pauth;
	bool pvtime;         /* steal time, at MAP_PVTIME_BASE + 64 * index */
	unsigned sve_max_vl; /* bits, a multiple of 128; 0: the host's own */
};

/*
 * Turns what the user asked for (`wanted`: aarch32, pmu, pvtime, sve_max_vl; sve and pauth are taken where the host has
 * them) into what this VM's vCPUs get. Something asked for that the host lacks is reported: -ENOTSUP.
 */
int vcpu_features_choose(struct vcpu_features *features, const struct vm *vm,
			 const struct vcpu_features *wanted);

struct vcpu {
	struct vm *vm;
	struct mmio_bus *mmio;
	struct mmio_cache mmio_cache; /* its thread's */
	struct loop *loop;            /* is told how the guest ended */
	unsigned index;
	int fd;
	struct kvm_run *run;
	const cpu_set_t *affinity; /* the machine's; NULL: anywhere */
	pthread_t thread;
	bool started;
	atomic_bool stop;
	atomic_bool left;       /* the thread has left the guest for good, and ends by itself */
	atomic_bool complained; /* report_once() */
};

/* Creates and initialises vCPU `index`; all but 0 wait for PSCI CPU_ON. Reported. destroy accepts a zeroed object. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index,
		const struct vcpu_features *features);
void vcpu_destroy(struct vcpu *vcpu);

/* After the interrupt controller is ready: what needs it (PMU interrupt, steal time). Reported. */
int vcpu_finish(struct vcpu *vcpu, const struct vcpu_features *features);

/* Where vCPU 0 begins: pc, and x0 = fdt (AArch32: r0 = 0, r1 = ~0, r2 = fdt). Reported. */
int vcpu_set_entry(struct vcpu *vcpu, const struct vcpu_features *features, uint64_t pc,
		   uint64_t fdt);

/*
 * Starts the thread; it runs the guest until it is asked to stop, or ends when it has told the loop how the guest ended.
 * Asking interrupts KVM_RUN and blocking system calls; ask all, then join each. All three by the main thread; a vCPU
 * that was not started is left alone.
 */
int vcpu_start(struct vcpu *vcpu);
void vcpu_request_stop(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

/* Installs the handler of the signal that interrupts vCPU threads; once a process, before the first vcpu_start(). */
int vcpu_signal_setup(void);

/* Its program counter, 0 where KVM does not tell. Only while its thread is not in KVM_RUN. */
uint64_t vcpu_pc(const struct vcpu *vcpu);

/* MPIDR_EL1 affinity fields of vCPU `index` as KVM numbers them (16 to a cluster). */
uint64_t vcpu_mpidr(unsigned index);

#endif

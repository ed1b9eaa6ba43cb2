// SPDX-License-Identifier: GPL-2.0-only
/* vCPUs: registers, and KVM_RUN as the script has it. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include "fake_kvm_state.h"

#define SVE_VLS_BYTES 64

static struct fake_kvm_vcpu *vcpu_of(const struct fake_kvm_handle *handle)
{
	return &fake_kvm_state.host.vms[handle->vm].vcpus[handle->number];
}

static bool has_feature(const struct fake_kvm_vcpu *vcpu, unsigned feature)
{
	return vcpu->init.features[feature / 32] >> (feature % 32) & 1;
}

static int init_vcpu(struct fake_kvm_vcpu *vcpu, const struct kvm_vcpu_init *init)
{
	static const struct {
		unsigned feature, capability;
	} needs[] = {
		{ KVM_ARM_VCPU_EL1_32BIT, KVM_CAP_ARM_EL1_32BIT },
		{ KVM_ARM_VCPU_PMU_V3, KVM_CAP_ARM_PMU_V3 },
		{ KVM_ARM_VCPU_SVE, KVM_CAP_ARM_SVE },
		{ KVM_ARM_VCPU_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_ADDRESS },
		{ KVM_ARM_VCPU_PTRAUTH_GENERIC, KVM_CAP_ARM_PTRAUTH_GENERIC },
	};

	if (init->target != KVM_ARM_TARGET_GENERIC_V8)
		return -EINVAL;
	vcpu->init = *init;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (has_feature(vcpu, needs[i].feature) &&
		    !fake_kvm_state.caps[needs[i].capability])
			return -EINVAL;
	if (has_feature(vcpu, KVM_ARM_VCPU_PTRAUTH_ADDRESS) !=
	    has_feature(vcpu, KVM_ARM_VCPU_PTRAUTH_GENERIC))
		return -EINVAL;
	vcpu->inited = true;
	vcpu->sve_vls[0] = fake_kvm_state.host.sve_vls;
	return 0;
}

static int finalize(struct fake_kvm_vcpu *vcpu, int feature)
{
	if (feature != KVM_ARM_VCPU_SVE || !has_feature(vcpu, KVM_ARM_VCPU_SVE))
		return -EINVAL;
	if (vcpu->finalized)
		return -EPERM;
	vcpu->finalized = true;
	return 0;
}

/* "The set must be all vector lengths of the host up to the largest": api.rst, KVM_REG_ARM64_SVE_VLS. */
static int access_sve_vls(struct fake_kvm_vcpu *vcpu, uint64_t *words, bool set)
{
	uint64_t all = fake_kvm_state.host.sve_vls, wanted = words[0];

	if (!has_feature(vcpu, KVM_ARM_VCPU_SVE))
		return -ENOENT;
	if (!set) {
		memcpy(words, vcpu->sve_vls, SVE_VLS_BYTES);
		return 0;
	}
	if (vcpu->finalized)
		return -EPERM;
	if (!wanted || wanted != (all & (~0ULL >> __builtin_clzll(wanted))))
		return -EINVAL;
	memcpy(vcpu->sve_vls, words, SVE_VLS_BYTES);
	return 0;
}

static int access_register(struct fake_kvm_vcpu *vcpu, const struct kvm_one_reg *reg, bool set,
			   struct fake_kvm_call *call)
{
	uint64_t *value = (uint64_t *)reg->addr;
	unsigned at = 0;

	call->attr = reg->id;
	if (!vcpu->inited)
		return -ENOEXEC;
	if (reg->id == KVM_REG_ARM64_SVE_VLS)
		return access_sve_vls(vcpu, value, set);
	if (has_feature(vcpu, KVM_ARM_VCPU_SVE) && !vcpu->finalized)
		return -EPERM;
	while (at < vcpu->registers_count && vcpu->registers[at].id != reg->id)
		at++;
	assert(at < sizeof(vcpu->registers) / sizeof(vcpu->registers[0]));
	if (!set) {
		*value = at < vcpu->registers_count ? vcpu->registers[at].value : 0;
		return 0;
	}
	call->value = *value;
	vcpu->registers[at].id = reg->id;
	vcpu->registers[at].value = *value;
	if (at == vcpu->registers_count)
		vcpu->registers_count++;
	return 0;
}

int fake_kvm_vcpu_ioctl(const struct fake_kvm_handle *handle, unsigned long request,
			unsigned long value, struct fake_kvm_call *call)
{
	struct fake_kvm_vcpu *vcpu = vcpu_of(handle);

	switch (request) {
	case KVM_ARM_VCPU_INIT:
		return init_vcpu(vcpu, (void *)value);
	case KVM_ARM_VCPU_FINALIZE:
		return finalize(vcpu, *(int *)value);
	case KVM_SET_ONE_REG:
		return access_register(vcpu, (void *)value, true, call);
	case KVM_GET_ONE_REG:
		return access_register(vcpu, (void *)value, false, call);
	case KVM_SET_VCPU_EVENTS:
		vcpu->aborts += ((struct kvm_vcpu_events *)value)->exception.ext_dabt_pending;
		return 0;
	default:
		return -ENOTTY;
	}
}

/* --- KVM_RUN --- */

void fake_kvm_play(unsigned vcpu, const struct fake_kvm_exit *exits, size_t count)
{
	unsigned at = 0;

	assert(vcpu < FAKE_KVM_VCPUS);
	while (fake_kvm_state.script[vcpu][at].count)
		at++;
	assert(at < sizeof(fake_kvm_state.script[0]) / sizeof(fake_kvm_state.script[0][0]));
	fake_kvm_state.script[vcpu][at].exits = exits;
	fake_kvm_state.script[vcpu][at].count = count;
}

static struct fake_kvm_exit next_exit(unsigned vcpu)
{
	static const struct fake_kvm_exit over = GUEST_WAITS;

	for (unsigned i = 0;
	     i < sizeof(fake_kvm_state.script[0]) / sizeof(fake_kvm_state.script[0][0]); i++) {
		if (!fake_kvm_state.script[vcpu][i].count)
			continue;
		fake_kvm_state.script[vcpu][i].count--;
		return *fake_kvm_state.script[vcpu][i].exits++;
	}
	return over;
}

/* As KVM does: immediate_exit counts on entry only; from then on, and just before, a signal does. */
static int wait_for_signal(struct kvm_run *run)
{
	sigset_t all, old;
	int exit;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	exit = __atomic_load_n(&run->immediate_exit, __ATOMIC_RELAXED);
	if (!exit)
		ppoll(NULL, 0, NULL, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

static void fill_run(struct fake_kvm_vcpu *vcpu, const struct fake_kvm_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = exit->reason;
	switch (exit->reason) {
	case KVM_EXIT_MMIO:
		run->mmio.phys_addr = exit->address;
		run->mmio.len = exit->len;
		run->mmio.is_write = exit->is_write;
		memset(run->mmio.data, 0xa5, sizeof(run->mmio.data));
		if (exit->is_write)
			memcpy(run->mmio.data, &exit->data, exit->len);
		vcpu->read_pending = !exit->is_write;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		run->system_event.type = exit->event;
		break;
	case KVM_EXIT_ARM_NISV:
		run->arm_nisv.fault_ipa = exit->address;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		run->internal.suberror = exit->event;
		break;
	case KVM_EXIT_FAIL_ENTRY:
		run->fail_entry.hardware_entry_failure_reason = exit->event;
		break;
	default:
		break;
	}
}

/* The load of the last exit is done: what it gave goes into the guest's register. */
static void take_read(struct fake_kvm_vcpu *vcpu)
{
	if (!vcpu->read_pending)
		return;
	vcpu->read_pending = false;
	assert(vcpu->reads_count < sizeof(vcpu->reads) / sizeof(vcpu->reads[0]));
	memcpy(&vcpu->reads[vcpu->reads_count++], vcpu->run->mmio.data, vcpu->run->mmio.len);
}

int fake_kvm_run(const struct fake_kvm_handle *handle)
{
	struct fake_kvm_vcpu *vcpu = vcpu_of(handle);
	struct fake_kvm_exit exit;

	pthread_mutex_lock(&fake_kvm_state.lock);
	__atomic_fetch_add(&vcpu->runs, 1, __ATOMIC_RELAXED);
	take_read(vcpu);
	if (!vcpu->inited || (has_feature(vcpu, KVM_ARM_VCPU_SVE) && !vcpu->finalized) ||
	    __atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_RELAXED)) {
		pthread_mutex_unlock(&fake_kvm_state.lock);
		return vcpu->inited ? -EINTR : -ENOEXEC;
	}
	do
		exit = next_exit(handle->number);
	while (exit.reason == KVM_EXIT_MMIO && exit.is_write &&
	       fake_kvm_store_is_kick(handle, exit.address, exit.len, exit.data));
	pthread_mutex_unlock(&fake_kvm_state.lock);
	if (exit.hook)
		exit.hook(exit.arg);
	if (exit.wait)
		return wait_for_signal(vcpu->run);
	if (exit.err)
		return -exit.err;
	fill_run(vcpu, &exit);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's creation and its registers; vcpu_run.c has its life. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/kvm.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include <lkvm/vcpu.h>

#define PVTIME_STRIDE   64 /* bytes of a stolen-time structure (Arm DEN0057A, 3.2.2) */
#define VQ_BITS         128
#define PPI_INTID_FIRST 16

#define CORE_REG(field)                                                                            \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                                     \
	 (offsetof(struct kvm_regs, field) / sizeof(uint32_t)))

static int choose_sve(struct vcpu_features *features, const struct vm *vm,
		      const struct vcpu_features *wanted)
{
	features->sve = !wanted->aarch32 && kvm_check(vm->fd, KVM_CAP_ARM_SVE) > 0;
	if (wanted->sve_max_vl && wanted->aarch32)
		return refuse(-ENOTSUP, "--sve-max-vl: a 32-bit guest has no SVE");
	if (wanted->sve_max_vl && !features->sve)
		return refuse(-ENOTSUP, "--sve-max-vl: this host's KVM offers no SVE");
	return 0;
}

int vcpu_features_choose(struct vcpu_features *features, const struct vm *vm,
			 const struct vcpu_features *wanted)
{
	*features = *wanted;
	if (wanted->aarch32 && kvm_check(vm->fd, KVM_CAP_ARM_EL1_32BIT) <= 0)
		return refuse(-ENOTSUP, "--aarch32: this host's CPUs have no AArch32 at EL1");
	if (wanted->pmu && kvm_check(vm->fd, KVM_CAP_ARM_PMU_V3) <= 0)
		return refuse(-ENOTSUP, "--pmu: this host's KVM offers no PMUv3");
	features->pauth = !wanted->aarch32 && kvm_check(vm->fd, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
			  kvm_check(vm->fd, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0;
	/* Steal time is a favour of the host's: a guest without it only knows less. */
	features->pvtime =
		wanted->pvtime && !wanted->aarch32 && kvm_check(vm->fd, KVM_CAP_STEAL_TIME) > 0;
	return choose_sve(features, vm, wanted);
}

static void set_feature(struct kvm_vcpu_init *init, unsigned feature, bool on)
{
	if (on)
		init->features[feature / 32] |= 1u << (feature % 32);
}

static int init_registers(struct vcpu *vcpu, const struct vcpu_features *features)
{
	struct kvm_vcpu_init init = { 0 };
	int err = kvm_ioctl(vcpu->vm->fd, KVM_ARM_PREFERRED_TARGET, &init);

	if (err < 0)
		return err;
	set_feature(&init, KVM_ARM_VCPU_PSCI_0_2, true);
	set_feature(&init, KVM_ARM_VCPU_POWER_OFF, vcpu->index > 0);
	set_feature(&init, KVM_ARM_VCPU_EL1_32BIT, features->aarch32);
	set_feature(&init, KVM_ARM_VCPU_PMU_V3, features->pmu);
	set_feature(&init, KVM_ARM_VCPU_SVE, features->sve);
	set_feature(&init, KVM_ARM_VCPU_PTRAUTH_ADDRESS, features->pauth);
	set_feature(&init, KVM_ARM_VCPU_PTRAUTH_GENERIC, features->pauth);
	err = kvm_ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init);
	return err < 0 ? err : 0;
}

/* Leaves the guest the host's vector lengths up to max_vl bits (KVM_REG_ARM64_SVE_VLS: bit n is (n + 1) * 128). */
static int limit_vector_length(struct vcpu *vcpu, unsigned max_vl)
{
	uint64_t lengths[KVM_ARM64_SVE_VLS_WORDS] = { 0 };
	struct kvm_one_reg reg = { .id = KVM_REG_ARM64_SVE_VLS, .addr = (uintptr_t)lengths };
	int err = kvm_ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg);

	if (err < 0)
		return err;
	for (unsigned bit = max_vl / VQ_BITS; bit < 64 * KVM_ARM64_SVE_VLS_WORDS; bit++)
		lengths[bit / 64] &= ~(1ULL << (bit % 64));
	err = kvm_ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg);
	return err < 0 ? err : 0;
}

static int finalize_sve(struct vcpu *vcpu, const struct vcpu_features *features)
{
	int feature = KVM_ARM_VCPU_SVE;
	int err = 0;

	if (!features->sve)
		return 0;
	if (features->sve_max_vl)
		err = limit_vector_length(vcpu, features->sve_max_vl);
	if (!err)
		err = kvm_ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &feature);
	return err < 0 ? err : 0;
}

int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index,
		const struct vcpu_features *features)
{
	int err;

	*vcpu = (struct vcpu){ .vm = vm, .index = index };
	vcpu->fd = kvm_call_value(vm->fd, KVM_CREATE_VCPU, index, "KVM_CREATE_VCPU");
	if (vcpu->fd < 0)
		return vcpu->fd;
	vcpu->run = kvm_map_run(vcpu->fd, vm->host->run_size);
	err = vcpu->run ? 0 : report(-errno, "cannot map the state of vCPU %u", index);
	if (!err)
		err = init_registers(vcpu, features);
	if (!err)
		err = finalize_sve(vcpu, features);
	if (err)
		vcpu_destroy(vcpu);
	return err;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->vm)
		return;
	if (vcpu->run)
		kvm_unmap_run(vcpu->run, vcpu->vm->host->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	*vcpu = (struct vcpu){ .fd = -1 };
}

static int finish_pmu(struct vcpu *vcpu)
{
	int irq = PPI_INTID_FIRST + PPI_PMU;
	int err = kvm_set_attr(vcpu->fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &irq,
			       "KVM_ARM_VCPU_PMU_V3_IRQ");

	if (err)
		return err;
	return kvm_set_attr(vcpu->fd, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL,
			    "KVM_ARM_VCPU_PMU_V3_INIT");
}

int vcpu_finish(struct vcpu *vcpu, const struct vcpu_features *features)
{
	uint64_t stolen = MAP_PVTIME_BASE + (uint64_t)vcpu->index * PVTIME_STRIDE;
	int err = features->pmu ? finish_pmu(vcpu) : 0;

	if (err || !features->pvtime || stolen >= MAP_PVTIME_BASE + MAP_PVTIME_SIZE)
		return err;
	return kvm_set_attr(vcpu->fd, KVM_ARM_VCPU_PVTIME_CTRL, KVM_ARM_VCPU_PVTIME_IPA, &stolen,
			    "KVM_ARM_VCPU_PVTIME_IPA");
}

static int set_register(struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };
	int err = kvm_ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg);

	return err < 0 ? err : 0;
}

/* Documentation/arch/arm64/booting.rst, and for AArch32 Documentation/arch/arm/booting.rst with a DTB. */
int vcpu_set_entry(struct vcpu *vcpu, const struct vcpu_features *features, uint64_t pc,
		   uint64_t fdt)
{
	int err = set_register(vcpu, CORE_REG(regs.pc), pc);

	if (!features->aarch32)
		return err ? err : set_register(vcpu, CORE_REG(regs.regs[0]), fdt);
	if (!err)
		err = set_register(vcpu, CORE_REG(regs.regs[0]), 0);
	if (!err)
		err = set_register(vcpu, CORE_REG(regs.regs[1]), ~0u);
	if (!err)
		err = set_register(vcpu, CORE_REG(regs.regs[2]), fdt);
	return err;
}

uint64_t vcpu_mpidr(unsigned index)
{
	return (index & 0xf) | (uint64_t)((index >> 4) & 0xff) << 8 |
	       (uint64_t)((index >> 12) & 0xff) << 16;
}

uint64_t vcpu_pc(const struct vcpu *vcpu)
{
	uint64_t pc = 0;
	struct kvm_one_reg reg = { .id = CORE_REG(regs.pc), .addr = (uintptr_t)&pc };

	kvm_try(vcpu->fd, KVM_GET_ONE_REG, &reg);
	return pc;
}

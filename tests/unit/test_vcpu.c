// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU up to its first instruction: features, creation, registers. test_vcpu_run.c has its life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <lkvm/kvm.h>
#include <lkvm/memory_map.h>
#include <lkvm/vcpu.h>
#include "fake_kvm.h"
#include "files.h"

#define CORE_U64 (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE)
#define REG_X(n) (CORE_U64 | 2 * (n)) /* in units of 4 bytes: struct kvm_regs */
#define REG_PC   (CORE_U64 | 64)

static struct fake_kvm *kvm;
static struct fake_kvm_vcpu *fake_vcpus;
static struct kvm_host host;
static struct vm vm;

static int setup(void **state)
{
	kvm = fake_kvm_begin();
	fake_vcpus = kvm->vms[0].vcpus;
	return files_setup(state) || kvm_host_open(&host) || vm_create(&vm, &host, 40) ? -1 : 0;
}

static int teardown(void **state)
{
	int left;

	vm_destroy(&vm);
	kvm_host_close(&host);
	left = fake_kvm_end();
	return files_teardown(state) ? -1 : left;
}

#define ANY 0x7fffffff /* a capability that is left alone */

static void features_are_what_is_wanted_and_to_be_had(void **state)
{
	static const struct vcpu_features none = { 0 };
	static const struct {
		struct vcpu_features wanted, got;
		unsigned lacks;   /* a capability the host has not */
		const char *told; /* NULL: it works */
	} cases[] = {
		{ { 0 }, { .sve = true, .pauth = true }, ANY, NULL },
		{ { .pmu = true, .pvtime = true },
		  { .pmu = true, .pvtime = true, .sve = true, .pauth = true },
		  ANY,
		  NULL },
		{ { .sve_max_vl = 256 },
		  { .sve_max_vl = 256, .sve = true, .pauth = true },
		  ANY,
		  NULL },
		{ { 0 }, { .pauth = true }, KVM_CAP_ARM_SVE, NULL },
		{ { 0 }, { .sve = true }, KVM_CAP_ARM_PTRAUTH_ADDRESS, NULL },
		{ { 0 }, { .sve = true }, KVM_CAP_ARM_PTRAUTH_GENERIC, NULL },
		{ { .pvtime = true }, { .sve = true, .pauth = true }, KVM_CAP_STEAL_TIME, NULL },
		{ { .aarch32 = true, .pvtime = true, .pmu = true },
		  { .aarch32 = true, .pmu = true },
		  ANY,
		  NULL },
		{ { .pmu = true }, none, KVM_CAP_ARM_PMU_V3, "--pmu: this host's KVM offers" },
		{ { .aarch32 = true }, none, KVM_CAP_ARM_EL1_32BIT, "--aarch32: this host's CPUs" },
		{ { .sve_max_vl = 128 }, none, KVM_CAP_ARM_SVE, "--sve-max-vl: this host's KVM" },
		{ { .sve_max_vl = 128, .aarch32 = true },
		  none,
		  ANY,
		  "--sve-max-vl: a 32-bit guest has no SVE" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu_features got;
		int err;

		fake_kvm_cap(KVM_CAP_ARM_EL1_32BIT, 1);
		if (cases[i].lacks != ANY)
			fake_kvm_cap(cases[i].lacks, 0);
		stderr_keep();
		err = vcpu_features_choose(&got, &vm, &cases[i].wanted);
		if (cases[i].told)
			assert_reported(cases[i].told);
		else
			assert_string_equal(stderr_text(), "");
		assert_int_equal(err, cases[i].told ? -ENOTSUP : 0);
		if (!err) {
			assert_int_equal(got.aarch32, cases[i].got.aarch32);
			assert_int_equal(got.pmu, cases[i].got.pmu);
			assert_int_equal(got.sve, cases[i].got.sve);
			assert_int_equal(got.pauth, cases[i].got.pauth);
			assert_int_equal(got.pvtime, cases[i].got.pvtime);
			assert_int_equal(got.sve_max_vl, cases[i].got.sve_max_vl);
		}
		if (cases[i].lacks != ANY)
			fake_kvm_cap(cases[i].lacks, 1);
	}
}

static void features_become_those_of_kvm(void **state)
{
	static const struct {
		struct vcpu_features features;
		unsigned index;
		uint32_t bits;
	} cases[] = {
		{ { 0 }, 0, 1u << KVM_ARM_VCPU_PSCI_0_2 },
		{ { 0 }, 1, 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF },
		{ { .pmu = true }, 0, 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_PMU_V3 },
		{ { .pauth = true },
		  0,
		  1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS |
			  1u << KVM_ARM_VCPU_PTRAUTH_GENERIC },
		{ { .aarch32 = true },
		  0,
		  1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_EL1_32BIT },
		{ { .sve = true }, 0, 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_SVE },
		/* neither is a feature of the vCPU's own */
		{ { .pvtime = true, .sve_max_vl = 128 }, 0, 1u << KVM_ARM_VCPU_PSCI_0_2 },
	};

	(void)state;
	fake_kvm_cap(KVM_CAP_ARM_EL1_32BIT, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_kvm_vcpu *fake = &fake_vcpus[cases[i].index];
		struct vcpu vcpu;

		*fake = (struct fake_kvm_vcpu){ 0 };
		assert_int_equal(vcpu_create(&vcpu, &vm, cases[i].index, &cases[i].features), 0);
		assert_int_equal(fake->init.features[0], cases[i].bits);
		assert_int_equal(fake->finalized, cases[i].features.sve);
		assert_ptr_equal(vcpu.run, fake->run);
		vcpu_destroy(&vcpu);
	}
}

/* The fake host has vectors of 128, 256, 512 and 2048 bits. */
static void vectors_are_as_long_as_the_guest_may_have(void **state)
{
	static const struct {
		unsigned max_vl;
		uint64_t lengths;
	} cases[] = {
		{ 0, 0x800b }, { 128, 0x1 },  { 256, 0x3 },     { 384, 0x3 },
		{ 512, 0xb },  { 1920, 0xb }, { 2048, 0x800b },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu_features features = { .sve = true, .sve_max_vl = cases[i].max_vl };
		struct vcpu vcpu;

		fake_vcpus[0] = (struct fake_kvm_vcpu){ 0 };
		assert_int_equal(vcpu_create(&vcpu, &vm, 0, &features), 0);
		assert_int_equal(fake_vcpus[0].sve_vls[0], cases[i].lengths);
		assert_true(fake_vcpus[0].finalized);
		vcpu_destroy(&vcpu);
	}
}

static void a_vcpu_that_cannot_be_created_leaves_nothing(void **state)
{
	static const struct vcpu_features features = { .sve = true, .sve_max_vl = 128 };
	static const struct {
		unsigned long request;
		const char *told;
	} cases[] = {
		{ KVM_CREATE_VCPU, "KVM_CREATE_VCPU failed: Too many" },
		{ FAKE_KVM_MAP_RUN, "cannot map the state of vCPU 3: Too many" },
		{ KVM_ARM_PREFERRED_TARGET, "KVM_ARM_PREFERRED_TARGET failed" },
		{ KVM_ARM_VCPU_INIT, "KVM_ARM_VCPU_INIT failed" },
		{ KVM_GET_ONE_REG, "KVM_GET_ONE_REG failed" },
		{ KVM_SET_ONE_REG, "KVM_SET_ONE_REG failed" },
		{ KVM_ARM_VCPU_FINALIZE, "KVM_ARM_VCPU_FINALIZE failed" },
	};
	unsigned fds = fake_kvm_fds();
	struct vcpu vcpu;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err;

		fake_vcpus[3] = (struct fake_kvm_vcpu){ 0 };
		fake_kvm_fail(cases[i].request, EMFILE, 0, 1);
		stderr_keep();
		err = vcpu_create(&vcpu, &vm, 3, &features);
		assert_reported(cases[i].told);
		assert_int_equal(err, -EMFILE);
		vcpu_destroy(&vcpu);
		assert_int_equal(fake_kvm_fds(), fds);
		assert_null(fake_vcpus[3].run);
	}
	vcpu = (struct vcpu){ 0 };
	vcpu_destroy(&vcpu);
}

/* KVM wants both after the GIC, and steal time in memory that is there. */
static void what_needs_the_gic_comes_after_it(void **state)
{
	static const struct vcpu_features features = { .pmu = true, .pvtime = true };
	void *pvtime = mmap(NULL, MAP_PVTIME_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t values[3] = { 0 };
	unsigned attrs = 0;
	struct vcpu vcpu;

	(void)state;
	assert_int_equal(vcpu_create(&vcpu, &vm, 5, &features), 0);
	kvm->vms[0].gic_inited = true;
	assert_true(vm_slot_add(&vm, MAP_PVTIME_BASE, MAP_PVTIME_SIZE, pvtime, 0) >= 0);
	assert_int_equal(vcpu_finish(&vcpu, &features), 0);
	for (unsigned i = 0; i < kvm->calls_count; i++) {
		const struct fake_kvm_call *call = &kvm->calls[i];

		if (call->request != KVM_SET_DEVICE_ATTR)
			continue;
		assert_int_equal(call->kind, FAKE_KVM_VCPU);
		assert_int_equal(call->result, 0);
		values[attrs++] = call->value;
	}
	assert_int_equal(attrs, 3);
	assert_int_equal(values[0], 16 + PPI_PMU);
	assert_int_equal(values[1], 0); /* KVM_ARM_VCPU_PMU_V3_INIT */
	assert_int_equal(values[2], MAP_PVTIME_BASE + 5 * 64);
	vcpu_destroy(&vcpu);
	munmap(pvtime, MAP_PVTIME_SIZE);
}

static void steal_time_ends_where_its_memory_does(void **state)
{
	static const struct vcpu_features features = { .pvtime = true };
	static const struct {
		unsigned index, told;
	} cases[] = { { 0, 1 }, { 1023, 1 }, { 1024, 0 }, { ~0u, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu vcpu;

		kvm->calls_count = 0;
		fake_vcpus[0] = (struct fake_kvm_vcpu){ 0 };
		assert_int_equal(vcpu_create(&vcpu, &vm, 0, &features), 0);
		vcpu.index = cases[i].index;
		kvm->vms[0].slots[0] =
			(struct kvm_userspace_memory_region){ .guest_phys_addr = MAP_PVTIME_BASE,
							      .memory_size = MAP_PVTIME_SIZE };
		assert_int_equal(vcpu_finish(&vcpu, &features), 0);
		assert_int_equal(fake_kvm_count(KVM_SET_DEVICE_ATTR), cases[i].told);
		vcpu_destroy(&vcpu);
	}
}

static void what_cannot_be_finished_is_reported_by_name(void **state)
{
	static const struct vcpu_features features = { .pmu = true, .pvtime = true };
	static const char *const told[] = { "KVM_ARM_VCPU_PMU_V3_IRQ failed",
					    "KVM_ARM_VCPU_PMU_V3_INIT failed",
					    "KVM_ARM_VCPU_PVTIME_IPA failed" };
	struct vcpu vcpu;

	(void)state;
	assert_int_equal(vcpu_create(&vcpu, &vm, 0, &features), 0);
	kvm->vms[0].gic_inited = true;
	for (unsigned n = 0; n < 3; n++) {
		int err;

		fake_kvm_fail(KVM_SET_DEVICE_ATTR, EIO, n, 1);
		stderr_keep();
		err = vcpu_finish(&vcpu, &features);
		assert_reported(told[n]);
		assert_int_equal(err, -EIO);
	}
	vcpu_destroy(&vcpu);
}

/* Documentation/arch/arm64/booting.rst: x0 = FDT, the others 0, as KVM leaves them. */
static void a_64_bit_guest_finds_its_fdt_in_x0(void **state)
{
	static const struct vcpu_features features = { .sve = true };
	struct vcpu vcpu;

	(void)state;
	assert_int_equal(vcpu_create(&vcpu, &vm, 0, &features), 0);
	assert_int_equal(vcpu_set_entry(&vcpu, &features, 0x80080000, 0x8fe00000), 0);
	assert_int_equal(fake_vcpus[0].registers_count, 2);
	assert_int_equal(fake_kvm_register(&fake_vcpus[0], REG_PC), 0x80080000);
	assert_int_equal(fake_kvm_register(&fake_vcpus[0], REG_X(0)), 0x8fe00000);
	assert_int_equal(vcpu_pc(&vcpu), 0x80080000);
	fake_kvm_fail(KVM_GET_ONE_REG, EIO, 0, 1);
	assert_int_equal(vcpu_pc(&vcpu), 0);
	vcpu_destroy(&vcpu);
}

/* Documentation/arch/arm/booting.rst: r0 = 0, r1 = machine type, r2 = FDT. */
static void a_32_bit_guest_finds_its_fdt_in_r2(void **state)
{
	static const struct vcpu_features features = { .aarch32 = true };
	struct vcpu vcpu;

	(void)state;
	fake_kvm_cap(KVM_CAP_ARM_EL1_32BIT, 1);
	assert_int_equal(vcpu_create(&vcpu, &vm, 0, &features), 0);
	assert_int_equal(vcpu_set_entry(&vcpu, &features, 0x80008000, 0x88000000), 0);
	assert_int_equal(fake_vcpus[0].registers_count, 4);
	assert_int_equal(fake_kvm_register(&fake_vcpus[0], REG_PC), 0x80008000);
	assert_int_equal(fake_kvm_register(&fake_vcpus[0], REG_X(0)), 0);
	assert_int_equal(fake_kvm_register(&fake_vcpus[0], REG_X(1)), 0xffffffff);
	assert_int_equal(fake_kvm_register(&fake_vcpus[0], REG_X(2)), 0x88000000);
	vcpu_destroy(&vcpu);
}

static void an_entry_that_cannot_be_set_is_reported_once(void **state)
{
	static const struct {
		bool aarch32;
		unsigned registers;
	} cases[] = { { false, 2 }, { true, 4 } };

	(void)state;
	fake_kvm_cap(KVM_CAP_ARM_EL1_32BIT, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu_features features = { .aarch32 = cases[i].aarch32 };
		struct vcpu vcpu;

		fake_vcpus[0] = (struct fake_kvm_vcpu){ 0 };
		assert_int_equal(vcpu_create(&vcpu, &vm, 0, &features), 0);
		for (unsigned n = 0; n < cases[i].registers; n++) {
			int err;

			fake_kvm_fail(KVM_SET_ONE_REG, EIO, n, 1);
			stderr_keep();
			err = vcpu_set_entry(&vcpu, &features, 0x80000000, 0x81000000);
			assert_reported("KVM_SET_ONE_REG failed");
			assert_int_equal(err, -EIO);
		}
		vcpu_destroy(&vcpu);
	}
}

/* arch/arm64/kvm/sys_regs.c, reset_mpidr(). */
static void affinities_are_those_that_kvm_gives(void **state)
{
	static const struct {
		unsigned index;
		uint64_t mpidr;
	} cases[] = {
		{ 0, 0 },          { 1, 1 },
		{ 15, 0xf },       { 16, 0x100 },
		{ 17, 0x101 },     { 255, 0xf0f },
		{ 511, 0x1f0f },   { 4095, 0xff0f },
		{ 4096, 0x10000 }, { 0xfffff, 0xffff0f },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(vcpu_mpidr(cases[i].index), cases[i].mpidr);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(features_are_what_is_wanted_and_to_be_had),
		TEST(features_become_those_of_kvm),
		TEST(vectors_are_as_long_as_the_guest_may_have),
		TEST(a_vcpu_that_cannot_be_created_leaves_nothing),
		TEST(what_needs_the_gic_comes_after_it),
		TEST(steal_time_ends_where_its_memory_does),
		TEST(what_cannot_be_finished_is_reported_by_name),
		TEST(a_64_bit_guest_finds_its_fdt_in_x0),
		TEST(a_32_bit_guest_finds_its_fdt_in_r2),
		TEST(an_entry_that_cannot_be_set_is_reported_once),
		TEST(affinities_are_those_that_kvm_gives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A machine from its configuration to the guest's first instruction. test_machine_life.c has how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <libfdt.h>
#include <cmocka.h>
#include "machine_rig.h"

static const struct fake_kvm_exit power_off[] = { GUEST_POWERS_OFF };

/* --- what is refused before there is a guest --- */

static void assert_not_created(const struct machine_config *config, int err, const char *told)
{
	struct machine *machine;
	int result;

	stderr_keep();
	result = machine_create(&machine, config);
	if (!result)
		machine_destroy(machine);
	assert_reported(told);
	assert_int_equal(result, err);
}

static void the_hosts_limits_come_before_the_files(void **state)
{
	struct machine_config config = rig_config();

	(void)state;
	config.kernel = "/nowhere";
	assert_not_created(&config, -ENOENT, "Fatal: Unable to open kernel /nowhere");
	config.initrd = "/nowhere";
	config.irqchip = IRQCHIP_GICV2;
	rig_kvm->devices &= ~(1u << KVM_DEV_TYPE_ARM_VGIC_V2);
	assert_not_created(&config, -ENOTSUP, "no irqchip gicv2; it offers: gicv3-its gicv3");
	config.features.pmu = true;
	fake_kvm_cap(KVM_CAP_ARM_PMU_V3, 0);
	assert_not_created(&config, -ENOTSUP, "--pmu: ");
	config.ram_base = 0;
	assert_not_created(&config, -EINVAL, "--mem: RAM cannot start at 0");
	rig_kvm->api_version = 1;
	assert_not_created(&config, -ENOTSUP, "API version 1");
}

static void files_that_cannot_be_used_are_refused(void **state)
{
	struct machine_config config = rig_config();

	(void)state;
	config.initrd = "/nowhere";
	assert_not_created(&config, -ENOENT, "/nowhere");
	config = rig_config();
	config.flash = "/nowhere";
	assert_not_created(&config, -ENOENT, "/nowhere");
	config = rig_config();
	config.hugetlbfs = "/nowhere";
	assert_not_created(&config, -ENOENT, "cannot use /nowhere for guest memory");
	config = rig_config();
	config.console_out = "/nowhere/console";
	assert_not_created(&config, -ENOENT, "cannot open /nowhere/console for the console");
	config = rig_config();
	config.kernel = NULL;
	config.firmware = "/nowhere";
	assert_not_created(&config, -ENOENT, "/nowhere");
}

static void ram_lies_where_the_host_and_the_map_let_it(void **state)
{
	static const struct {
		uint64_t base, size;
		int host_bits;
		const char *told; /* NULL: it works, */
		unsigned bits;    /* in an address space of these */
	} cases[] = {
		{ MAP_RAM_BASE, SZ_64K * 256, 40, NULL, 40 },
		{ MAP_RAM_BASE, 64 * SZ_1M, 36, NULL, 36 },
		{ MAP_RAM_BASE, 64 * SZ_1M, 52, NULL, 40 },
		{ 1ULL << 39, 64 * SZ_1M, 48, NULL, 41 },
		{ 1ULL << 39, 64 * SZ_1M, 40, NULL, 40 },
		{ 1ULL << 47, 64 * SZ_1M, 48, NULL, 48 },
		{ (1ULL << 40) - 64 * SZ_1M, 64 * SZ_1M, 40, NULL, 40 },
		{ (1ULL << 40) - 64 * SZ_1M, 66 * SZ_1M, 40,
		  "do not fit: this host's guests have 40", 0 },
		{ 1ULL << 40, 64 * SZ_1M, 40, "do not fit", 0 },
		{ 1ULL << 63, 64 * SZ_1M, 52, "do not fit", 0 },
		{ MAP_RAM_BASE, -SZ_64K, 52, "do not fit", 0 },
		{ -SZ_2M, SZ_2M, 52, "do not fit", 0 },
		{ MAP_RAM_BASE, 1ULL << 48, 48, "do not fit", 0 },
		{ MAP_RAM_BASE, 1ULL << 48, 52, "cannot reserve 268435456 MiB", 0 },
		{ 0, 64 * SZ_1M, 40, "RAM cannot start at 0", 0 },
		{ MAP_RAM_BASE - SZ_2M, 64 * SZ_1M, 40, "cannot start at 0x7fe00000", 0 },
		{ MAP_RAM_BASE + SZ_64K, 64 * SZ_1M, 40, "cannot start at 0x80010000", 0 },
		{ MAP_RAM_BASE, 64 * SZ_1M + 4096, 40, "must be a multiple of 64 KiB", 0 },
		{ MAP_RAM_BASE, 1, 40, "must be a multiple of 64 KiB", 0 },
		{ MAP_RAM_BASE, SZ_1M, 40, "MiB of guest memory: see -m", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine_config config = rig_config();
		struct machine *machine;

		rig_kvm = fake_kvm_begin();
		fake_kvm_cap(KVM_CAP_ARM_VM_IPA_SIZE, cases[i].host_bits);
		config.ram_base = cases[i].base;
		config.ram_size = cases[i].size;
		stderr_keep();
		if (!machine_create(&machine, &config))
			machine_destroy(machine);
		if (cases[i].told)
			assert_reported(cases[i].told);
		else
			assert_string_equal(stderr_text(), "");
		if (!cases[i].told)
			assert_int_equal(rig_kvm->vms[0].type, cases[i].bits);
	}
}

static void vcpus_beyond_kvms_maximum_are_cut_with_a_warning(void **state)
{
	struct machine_config config = rig_config();
	int end;

	(void)state;
	config.cpus = 2147483647;
	config.ram_size = 0;
	stderr_keep();
	end = rig_run(&config, power_off, 1);
	assert_reported("Warning: --cpus 2147483647: this host's KVM runs at most 16 vCPUs");
	assert_int_equal(end, RUN_POWEROFF);
	assert_int_equal(fake_kvm_count(KVM_CREATE_VCPU), 16);
	assert_int_equal(fake_kvm_count(KVM_ARM_VCPU_INIT), 16);
}

static uint64_t ram_seen;

static void see_ram(void *arg)
{
	(void)arg;
	ram_seen = rig_kvm->vms[0].slots[0].memory_size;
}

/* Nobody asked for more than there may be: nobody is told. */
static void defaults_follow_the_host(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .err = EINTR, .hook = see_ram },
						      GUEST_POWERS_OFF };
	unsigned online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	for (unsigned max = 1; max <= FAKE_KVM_VCPUS; max *= 2) {
		struct machine_config config = rig_config();
		unsigned cpus = online < max ? online : max;
		int end;

		rig_kvm = fake_kvm_begin();
		fake_kvm_cap(KVM_CAP_MAX_VCPUS, (int)max);
		config.cpus = 0;
		config.ram_size = 0;
		stderr_keep();
		end = rig_run(&config, exits, 2);
		assert_string_equal(stderr_text(), "");
		assert_int_equal(end, RUN_POWEROFF);
		assert_int_equal(fake_kvm_count(KVM_CREATE_VCPU), cpus);
		assert_int_equal(ram_seen, 64 * SZ_1M * (cpus + 3));
	}
}

static void an_affinity_for_a_vcpu_that_is_not_there_is_told(void **state)
{
	struct vcpu_affinity affinity[] = { { .vcpu = -1 }, { .vcpu = 1 } };
	struct machine_config config = rig_config();
	int end;

	(void)state;
	sched_getaffinity(0, sizeof(affinity[0].cpus), &affinity[0].cpus);
	affinity[1].cpus = affinity[0].cpus;
	config.affinity = affinity;
	config.affinity_count = 2;
	stderr_keep();
	end = rig_run(&config, power_off, 1);
	assert_reported("Warning: --vcpu-affinity: there is no vCPU 1 among 1");
	assert_int_equal(end, RUN_POWEROFF);
}

/* --- the guest's first instruction --- */

static char fdt_copy[65536], bootargs_seen[256], code_seen[16], initrd_seen[16];
static uint64_t kaslr_seen;

static void see_guest(void *arg)
{
	const uint64_t *initrd;
	const void *fdt = rig_memory(0, rig_x0(0));
	int chosen, len;

	(void)arg;
	memcpy(code_seen, rig_memory(0, rig_pc(0)), 10);
	if (fdt_check_header(fdt) || fdt_totalsize(fdt) > sizeof(fdt_copy))
		return;
	memcpy(fdt_copy, fdt, fdt_totalsize(fdt));
	chosen = fdt_path_offset(fdt, "/chosen");
	snprintf(bootargs_seen, sizeof(bootargs_seen), "%s",
		 (const char *)fdt_getprop(fdt, chosen, "bootargs", NULL));
	kaslr_seen = fdt64_ld(fdt_getprop(fdt, chosen, "kaslr-seed", NULL));
	initrd = fdt_getprop(fdt, chosen, "linux,initrd-start", &len);
	if (initrd)
		memcpy(initrd_seen, rig_memory(0, fdt64_ld(initrd)), 6);
}

static const struct fake_kvm_exit look[] = { { .err = EINTR, .hook = see_guest },
					     GUEST_POWERS_OFF };

static void everything_is_in_place_when_vcpu_0_starts(void **state)
{
	struct machine_config config = rig_config();
	char initrd[128];

	(void)state;
	memset(fdt_copy, 0, sizeof(fdt_copy));
	strcpy(initrd, file_make("initrd", "initrd", 6));
	config.initrd = initrd;
	config.params = "quiet";
	config.kaslr_seed_given = true;
	config.kaslr_seed = 0x1122334455667788;
	config.cpus = 2;
	assert_int_equal(rig_run(&config, look, 2), RUN_POWEROFF);
	assert_int_equal(rig_pc(0), RIG_ENTRY);
	assert_string_equal(code_seen, "guest code");
	assert_int_equal(fdt_check_header(fdt_copy), 0);
	assert_true(fdt_path_offset(fdt_copy, "/cpus/cpu@1") > 0);
	assert_string_equal(bootargs_seen, "console=ttyS0 quiet");
	assert_int_equal(kaslr_seen, 0x1122334455667788);
	assert_string_equal(initrd_seen, "initrd");
}

static void command_lines_are_verbatim_where_that_is_asked_for(void **state)
{
	static const struct {
		const char *params, *bootargs;
		bool nodefaults;
	} cases[] = {
		{ NULL, "console=ttyS0", false },
		{ "", "console=ttyS0", false },
		{ "a  b ", "console=ttyS0 a  b ", false },
		{ NULL, "", true },
		{ "a  b ", "a  b ", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine_config config = rig_config();

		rig_kvm = fake_kvm_begin();
		config.params = cases[i].params;
		config.nodefaults = cases[i].nodefaults;
		assert_int_equal(rig_run(&config, look, 2), RUN_POWEROFF);
		assert_string_equal(bootargs_seen, cases[i].bootargs);
	}
}

static void the_device_tree_can_be_dumped(void **state)
{
	struct machine_config config = rig_config();
	char path[128], dumped[sizeof(fdt_copy)];
	FILE *file;
	size_t len;
	int end;

	(void)state;
	strcpy(path, file_path("dtb"));
	config.dump_dtb = path;
	assert_int_equal(rig_run(&config, look, 2), RUN_POWEROFF);
	file = fopen(path, "r");
	assert_non_null(file);
	len = fread(dumped, 1, sizeof(dumped), file);
	fclose(file);
	assert_int_equal(len, fdt_totalsize(fdt_copy));
	assert_memory_equal(dumped, fdt_copy, len);

	config.dump_dtb = "/nowhere/dtb";
	stderr_keep();
	end = rig_run(&config, look, 2);
	assert_reported("cannot create /nowhere/dtb for the device tree");
	assert_int_equal(end, -ENOENT);
	config.dump_dtb = "/dev/full";
	stderr_keep();
	end = rig_run(&config, look, 2);
	assert_reported("cannot write the device tree to /dev/full: No space left");
	assert_int_equal(end, -ENOSPC);
}

static void features_reach_every_vcpu(void **state)
{
	struct machine_config config = rig_config();

	(void)state;
	fake_kvm_cap(KVM_CAP_ARM_MTE, 1);
	config.cpus = 3;
	config.features = (struct vcpu_features){ .pmu = true, .pvtime = true };
	assert_int_equal(rig_run(&config, power_off, 1), RUN_POWEROFF);
	assert_true(rig_kvm->vms[0].mte);
	assert_true(rig_kvm->vms[0].nisv);
	for (unsigned n = 0; n < 3; n++) {
		uint32_t features = rig_kvm->vms[0].vcpus[n].init.features[0];

		assert_int_equal(features >> KVM_ARM_VCPU_POWER_OFF & 1, n > 0);
		assert_int_equal(features >> KVM_ARM_VCPU_PMU_V3 & 1, 1);
		assert_int_equal(features >> KVM_ARM_VCPU_SVE & 1, 1);
	}
	assert_int_equal(fake_kvm_count(KVM_ARM_VCPU_FINALIZE), 3);
}

/* Tags need private anonymous memory of 64-bit guests. */
static void memory_has_tags_only_where_it_may(void **state)
{
	static const struct {
		bool host, disabled, aarch32, mte;
	} cases[] = {
		{ true, false, false, true },
		{ false, false, false, false },
		{ true, true, false, false },
		{ true, false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine_config config = rig_config();

		rig_kvm = fake_kvm_begin();
		fake_kvm_cap(KVM_CAP_ARM_MTE, cases[i].host);
		fake_kvm_cap(KVM_CAP_ARM_EL1_32BIT, 1);
		config.disable_mte = cases[i].disabled;
		config.features.aarch32 = cases[i].aarch32;
		assert_int_equal(rig_run(&config, power_off, 1), RUN_POWEROFF);
		assert_int_equal(rig_kvm->vms[0].mte, cases[i].mte);
	}
}

/* The n-th request of each kind fails, for every n that a run makes. */
static void a_machine_that_cannot_boot_leaves_nothing_and_says_why_once(void **state)
{
	static const unsigned long requests[] = {
		FAKE_KVM_OPEN,       KVM_GET_API_VERSION,   KVM_GET_VCPU_MMAP_SIZE,
		KVM_CREATE_VM,       KVM_ENABLE_CAP,        KVM_SET_USER_MEMORY_REGION,
		KVM_CREATE_VCPU,     FAKE_KVM_MAP_RUN,      KVM_ARM_PREFERRED_TARGET,
		KVM_ARM_VCPU_INIT,   KVM_ARM_VCPU_FINALIZE, KVM_CREATE_DEVICE,
		KVM_SET_DEVICE_ATTR, KVM_SET_ONE_REG,
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (unsigned n = 0; n < 16; n++) {
			struct machine_config config = rig_config();
			const char *told;
			int end;

			fake_kvm_cap(KVM_CAP_ARM_MTE, 1);
			fake_kvm_fail(requests[i], EIO, n, 1);
			config.cpus = 2;
			config.features = (struct vcpu_features){ .pmu = true, .pvtime = true };
			stderr_keep();
			end = rig_run(&config, power_off, 1);
			told = stderr_text();
			assert_int_equal(machine_rig_teardown(state), 0);
			assert_int_equal(machine_rig_setup(state), 0);
			if (end == RUN_POWEROFF) /* there is no n-th, or doing without is fine */
				continue;
			assert_true(end == -EIO || end == -ENOTSUP);
			assert_ptr_equal(strchr(told, '\n'), told + strlen(told) - 1);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_rig_setup, machine_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_hosts_limits_come_before_the_files),
		TEST(files_that_cannot_be_used_are_refused),
		TEST(ram_lies_where_the_host_and_the_map_let_it),
		TEST(vcpus_beyond_kvms_maximum_are_cut_with_a_warning),
		TEST(defaults_follow_the_host),
		TEST(an_affinity_for_a_vcpu_that_is_not_there_is_told),
		TEST(everything_is_in_place_when_vcpu_0_starts),
		TEST(command_lines_are_verbatim_where_that_is_asked_for),
		TEST(the_device_tree_can_be_dumped),
		TEST(features_reach_every_vcpu),
		TEST(memory_has_tags_only_where_it_may),
		TEST(a_machine_that_cannot_boot_leaves_nothing_and_says_why_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

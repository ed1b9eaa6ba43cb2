// SPDX-License-Identifier: GPL-2.0-only
/* lkvm run: what each option makes of the machine, what is refused before there is one, and the exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include "run_rig.h"

/* Nothing was created, and one line says why. */
static void assert_usage_error(const char *const *argv, const char *told)
{
	unsigned created = made.created;
	int status;

	stderr_keep();
	status = run(argv);
	assert_reported(told);
	assert_int_equal(status, EXIT_STATUS_USAGE);
	assert_int_equal(made.created, created);
}

/* --- exit status --- */

static void each_end_has_its_exit_status(void **state)
{
	static const struct {
		int end, status;
	} cases[] = {
		{ RUN_POWEROFF, 0 },
		{ RUN_QUIT, 0 },
		{ RUN_HOST_ERROR, 1 },
		{ -EIO, 1 },
		{ -1, 1 },
		{ RUN_RESET, 32 },
		{ RUN_CRASH, 33 },
		{ RUN_PANIC, 34 },
		{ RUN_SIGNAL + SIGHUP, 129 },
		{ RUN_SIGNAL + SIGINT, 130 },
		{ RUN_SIGNAL + SIGTERM, 143 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		made.end = cases[i].end;
		assert_int_equal(RUN("Image"), cases[i].status);
		assert_int_equal(made.created, i + 1);
		assert_int_equal(made.destroyed, i + 1);
	}
}

static void a_timeout_is_124_and_says_so(void **state)
{
	int status;

	(void)state;
	made.end = RUN_TIMEOUT;
	stderr_keep();
	status = RUN("Image", "--timeout", "7");
	assert_reported("the guest ran for 7 seconds: --timeout ends it");
	assert_int_equal(status, 124);
	assert_int_equal(made.config.timeout, 7);
}

static void a_machine_that_cannot_be_is_1(void **state)
{
	(void)state;
	made.create_fails = -ENOENT;
	assert_int_equal(RUN("Image"), 1);
	assert_int_equal(made.destroyed, 0);
}

/* --- options --- */

static void inspect_defaults(const struct machine_config *config)
{
	assert_string_equal(config->kernel, "Image");
	assert_null(config->firmware);
	assert_null(config->initrd);
	assert_null(config->flash);
	assert_null(config->params);
	assert_null(config->dump_dtb);
	assert_null(config->hugetlbfs);
	assert_null(config->console_in);
	assert_null(config->console_out);
	assert_int_equal(config->ram_base, MAP_RAM_BASE);
	assert_int_equal(config->ram_size | config->firmware_address | config->kaslr_seed, 0);
	assert_int_equal(config->cpus | config->timeout | config->features.sve_max_vl, 0);
	assert_int_equal(config->affinity_count | config->vfio_count, 0);
	assert_int_equal(config->irqchip, IRQCHIP_AUTO);
	assert_true(config->features.pvtime);
	assert_false(config->features.pmu || config->features.aarch32);
	assert_false(config->nodefaults || config->disable_mte || config->restart_on_reset);
	assert_false(config->tty[0] || config->tty[1] || config->tty[2] || config->tty[3]);
	assert_false(config->kaslr_seed_given);
}

static void what_is_not_asked_for_is_left_to_the_machine(void **state)
{
	(void)state;
	made.inspect = inspect_defaults;
	assert_int_equal(RUN("Image"), 0);
	assert_int_equal(RUN("-k", "Image"), 0);
	assert_int_equal(RUN("--name", "guest", "--", "Image"), 0);
}

static void inspect_all(const struct machine_config *config)
{
	assert_string_equal(config->kernel, "K");
	assert_string_equal(config->initrd, "I");
	assert_string_equal(config->flash, "F");
	assert_string_equal(config->params, "a b=c d");
	assert_string_equal(config->hugetlbfs, "/huge");
	assert_string_equal(config->dump_dtb, "D");
	assert_int_equal(config->cpus, 3);
	assert_int_equal(config->ram_size, 512 * SZ_1M);
	assert_int_equal(config->ram_base, SZ_4G);
	assert_int_equal(config->irqchip, IRQCHIP_GICV2M);
	assert_true(config->features.pmu);
	assert_false(config->features.pvtime);
	assert_false(config->features.aarch32);
	assert_int_equal(config->features.sve_max_vl, 256);
	assert_true(config->disable_mte);
	assert_true(config->map_images);
	assert_true(config->kaslr_seed_given);
	assert_int_equal(config->kaslr_seed, 0xfedcba9876543210);
	assert_false(config->tty[0]);
	assert_true(config->tty[1]);
	assert_true(config->tty[3]);
	assert_true(config->restart_on_reset);
	assert_true(config->nodefaults);
}

static void every_option_reaches_the_machine(void **state)
{
	(void)state;
	made.inspect = inspect_all;
	assert_int_equal(RUN("-k", "K", "-i", "I", "-F", "F", "-p", "a b=c", "-p", "d",
			     "--hugetlbfs", "/huge", "--dump-dtb", "D", "-c", "3", "-m",
			     "512M@0x100000000", "--irqchip", "gicv2m", "--pmu", "--no-pvtime",
			     "--sve-max-vl", "256", "--disable-mte", "--map-images", "--kaslr-seed",
			     "0xfedcba9876543210", "--tty", "1", "--tty", "3", "--on-reset",
			     "restart", "--nodefaults", "--loglevel", "warning"),
			 0);
}

static void inspect_firmware(const struct machine_config *config)
{
	assert_null(config->kernel);
	assert_string_equal(config->firmware, "F");
	assert_int_equal(config->firmware_address, 0x90000000);
	assert_true(config->features.aarch32);
}

static void firmware_takes_the_kernels_place(void **state)
{
	(void)state;
	made.inspect = inspect_firmware;
	assert_int_equal(RUN("-f", "F", "--firmware-address", "0x90000000", "--aarch32"), 0);
}

static const struct {
	const char *text;
	uint64_t size, base;
} good_sizes[] = {
	{ "1", SZ_1M, MAP_RAM_BASE },
	{ "512", 512 * SZ_1M, MAP_RAM_BASE },
	{ "0512", 512 * SZ_1M, MAP_RAM_BASE },
	{ "0x200", 512 * SZ_1M, MAP_RAM_BASE },
	{ "65536B", SZ_64K, MAP_RAM_BASE },
	{ "64k", SZ_64K, MAP_RAM_BASE },
	{ "64K", SZ_64K, MAP_RAM_BASE },
	{ "3G", 3 * SZ_1G, MAP_RAM_BASE },
	{ "2t", 2ULL << 40, MAP_RAM_BASE },
	{ "1P", 1ULL << 50, MAP_RAM_BASE },
	{ "16383P", 16383ULL << 50, MAP_RAM_BASE },
	{ "17592186044415M", -SZ_1M, MAP_RAM_BASE },
	{ "18446744073709551615B", ~0ULL, MAP_RAM_BASE },
	{ "1G@0", SZ_1G, 0 },
	{ "1G@0xc0000000", SZ_1G, 0xc0000000 },
	{ "1G@3G", SZ_1G, 3 * SZ_1G },
	{ "1G@3221225472", SZ_1G, 3 * SZ_1G },
	{ "256@16383p", 256 * SZ_1M, 16383ULL << 50 },
};
static const char *const bad_sizes[] = {
	"",
	"x",
	"M",
	"-1",
	"-1M",
	"+1M",
	" 1M",
	"1M ",
	"1 ",
	"1 M",
	"1MB",
	"1Mi",
	"1X",
	"1E",
	"1.5G",
	"1,5G",
	"0x",
	"0",
	"0G",
	"0@1G",
	"16384P",
	"99999999999999999999",
	"17592186044416M",
	"1G@",
	"1G@x",
	"1G@-1",
	"1G@ 1",
	"1G@1 ",
	"1G@1GB",
	"1G@1X",
	"1G@1G@1G",
	"1G@16384P",
	"1G@99999999999999999999",
	"@1G",
	"1G 2G",
	"1M@0x",
	"1@1\t",
	"1\t",
};

static void sizes_of_ram_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good_sizes) / sizeof(good_sizes[0]); i++) {
		assert_int_equal(RUN("Image", "-m", good_sizes[i].text), 0);
		assert_int_equal(made.config.ram_size, good_sizes[i].size);
		assert_int_equal(made.config.ram_base, good_sizes[i].base);
	}
	for (size_t i = 0; i < sizeof(bad_sizes) / sizeof(bad_sizes[0]); i++) {
		const char *const argv[] = { "lkvm", "run", "Image", "--mem", bad_sizes[i], NULL };

		assert_usage_error(argv, "--mem: ");
	}
}

static cpu_set_t cpus_seen;
static int vcpu_seen;
static size_t affinities_seen;

static void inspect_affinity(const struct machine_config *config)
{
	affinities_seen = config->affinity_count;
	cpus_seen = config->affinity[affinities_seen - 1].cpus;
	vcpu_seen = config->affinity[affinities_seen - 1].vcpu;
}

static const struct {
	const char *text;
	int vcpu, count, first, last;
} good_lists[] = {
	{ "0", -1, 1, 0, 0 },
	{ "0-3", -1, 4, 0, 3 },
	{ "0-3,8", -1, 5, 0, 8 },
	{ "8,0-3", -1, 5, 0, 8 },
	{ "7,7,7", -1, 1, 7, 7 },
	{ "0-1023", -1, 1024, 0, 1023 },
	{ "2=5", 2, 1, 5, 5 },
	{ "0=1-2,4-5", 0, 4, 1, 5 },
	{ "2147483647=0", 2147483647, 1, 0, 0 },
	{ "0x1-0xa", -1, 10, 1, 10 },
};
static const char *const bad_lists[] = {
	"",
	"x",
	"-1",
	"1-",
	"-",
	"1-2-3",
	"3-1",
	"1,",
	",1",
	"1,,2",
	"1;2",
	"0 ",
	" 0",
	"0-1024",
	"1024",
	"1=",
	"=0",
	"x=0",
	"-1=0",
	"+1=0",
	" 1=0",
	"1=0=1",
	"1 =0",
	"2147483648=0",
	"1=x",
	"18446744073709551616",
	"99999999999999999999999=0",
	"0-99999999999999999999",
};

static void lists_of_cpus_are_checked(void **state)
{
	(void)state;
	made.inspect = inspect_affinity;
	for (size_t i = 0; i < sizeof(good_lists) / sizeof(good_lists[0]); i++) {
		assert_int_equal(RUN("Image", "--vcpu-affinity", good_lists[i].text), 0);
		assert_int_equal(affinities_seen, 1);
		assert_int_equal(vcpu_seen, good_lists[i].vcpu);
		assert_int_equal(CPU_COUNT(&cpus_seen), good_lists[i].count);
		assert_true(CPU_ISSET(good_lists[i].first, &cpus_seen));
		assert_true(CPU_ISSET(good_lists[i].last, &cpus_seen));
	}
	for (size_t i = 0; i < sizeof(bad_lists) / sizeof(bad_lists[0]); i++) {
		const char *const argv[] = { "lkvm",       "run", "Image", "--vcpu-affinity",
					     bad_lists[i], NULL };

		assert_usage_error(argv, "--vcpu-affinity: ");
	}
	assert_int_equal(RUN("Image", "--vcpu-affinity", "0-1", "--vcpu-affinity", "1=0"), 0);
	assert_int_equal(affinities_seen, 2);
}

static size_t devices_seen;
static struct vfio_device_config device_seen;

static void inspect_devices(const struct machine_config *config)
{
	devices_seen = config->vfio_count;
	device_seen = config->vfio[config->vfio_count - 1];
}

static void devices_are_gathered(void **state)
{
	(void)state;
	made.inspect = inspect_devices;
	assert_int_equal(
		RUN("Image", "--vfio-pci", "01:00.0", "--vfio-pci", "0002:03:04.5,guest=6.7"), 0);
	assert_int_equal(devices_seen, 2);
	assert_string_equal(device_seen.bdf, "0002:03:04.5");
	assert_int_equal(device_seen.guest_devfn, 6 << 3 | 7);
}

static void mistakes_of_the_command_line_are_usage_errors(void **state)
{
	static const struct {
		const char *argv[8], *told;
	} cases[] = {
		{ { "lkvm", "run" }, "lkvm run needs a kernel (-k FILE) or firmware (-f FILE)" },
		{ { "lkvm", "run", "-k", "K", "-f", "F" }, "--kernel and --firmware exclude" },
		{ { "lkvm", "run", "K", "L" }, "two kernels: K and L" },
		{ { "lkvm", "run", "-f", "F", "-i", "I" }, "--initrd needs --kernel" },
		{ { "lkvm", "run", "K", "--firmware-address", "1" }, "needs --firmware" },
		{ { "lkvm", "run", "K", "--tty", "0", "--console", "serial,out=x" }, "--tty 0" },
		{ { "lkvm", "run", "K", "--msi-doorbell", "0" },
		  "--msi-doorbell: 0 is neither auto nor kernel nor an address but 0" },
		{ { "lkvm", "run", "K", "--msi-doorbell", "guest" }, "guest is neither auto" },
		{ { "lkvm", "run", "K", "--tty", "4" }, "--tty: 4 is no UART: 0 to 3" },
		{ { "lkvm", "run", "K", "--tty", "-1" }, "--tty: -1 is no UART" },
		{ { "lkvm", "run", "K", "--tty", "01" }, "--tty: 01 is no UART" },
		{ { "lkvm", "run", "K", "--tty", "" }, "--tty:  is no UART" },
		{ { "lkvm", "run", "K", "--irqchip", "gicv4" },
		  "--irqchip: gicv4 is none of auto" },
		{ { "lkvm", "run", "K", "--irqchip", "" }, "--irqchip:  is none of auto" },
		{ { "lkvm", "run", "K", "--sve-max-vl", "0" }, "--sve-max-vl: 0 is out of range" },
		{ { "lkvm", "run", "K", "--sve-max-vl", "127" }, "127 is no vector length" },
		{ { "lkvm", "run", "K", "--sve-max-vl", "2176" }, "2176 is no vector length" },
		{ { "lkvm", "run", "K", "--kaslr-seed", "-1" }, "--kaslr-seed: -1 is no number" },
		{ { "lkvm", "run", "K", "--on-reset", "halt" },
		  "halt is neither exit nor restart" },
		{ { "lkvm", "run", "K", "--on-reset", "" }, "is neither exit nor restart" },
		{ { "lkvm", "run", "K", "--loglevel", "all" }, "--loglevel: all is none of error" },
		{ { "lkvm", "run", "K", "--timeout", "0" }, "--timeout: 0 is out of range" },
		{ { "lkvm", "run", "K", "--cpus", "0" }, "--cpus: 0 is out of range" },
		{ { "lkvm", "run", "K", "--cpus", "-1" }, "--cpus: -1 is no number" },
		{ { "lkvm", "run", "K", "--vfio-pci", "0:0" }, "0:0" },
		{ { "lkvm", "run", "K", "--vfio-pci", "" }, "--vfio-pci" },
		{ { "lkvm", "run", "K", "-p" }, "--params needs a value" },
		{ { "lkvm", "run", "K", "--c=1" }, "--c is ambiguous" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_usage_error(cases[i].argv, cases[i].told);
}

static char params_seen[4096];

static void inspect_params(const struct machine_config *config)
{
	snprintf(params_seen, sizeof(params_seen), "%s", config->params);
}

/* COMMAND_LINE_SIZE with its NUL is 2048 in an arm64 kernel, 1024 in a 32-bit one; what the machine puts before counts, too. */
static void command_lines_end_where_the_kernels_memory_does(void **state)
{
	static const struct {
		size_t length;
		const char *option;
		bool fits;
	} cases[] = {
		{ 2047 - sizeof("console=ttyS0"), "--pmu", true },
		{ 2048 - sizeof("console=ttyS0"), "--pmu", false },
		{ 1023 - sizeof("console=ttyS0"), "--aarch32", true },
		{ 1024 - sizeof("console=ttyS0"), "--aarch32", false },
		{ 2047, "--nodefaults", true },
		{ 2048, "--nodefaults", false },
		{ 65536, "--nodefaults", false },
	};
	static char text[65537];

	(void)state;
	made.inspect = inspect_params;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const argv[] = {
			"lkvm", "run", "K", "-p", text, cases[i].option, NULL
		};

		memset(text, 'x', cases[i].length);
		text[cases[i].length] = '\0';
		if (!cases[i].fits) {
			assert_usage_error(argv, "command line is longer than");
			continue;
		}
		assert_int_equal(run(argv), 0);
		assert_string_equal(params_seen, text);
	}
	assert_int_equal(RUN("K", "-p", "", "-p", "a", "-p", "", "-p", "b"), 0);
	assert_string_equal(params_seen, "a b");
}

static void sixty_four_kibibytes_do_no_harm(void **state)
{
	static const char *const options[] = {
		"--mem",        "--cpus",     "--irqchip",  "--vcpu-affinity", "--console",
		"--tty",        "--vfio-pci", "--on-reset", "--loglevel",      "--kaslr-seed",
		"--sve-max-vl", "--timeout",  "--params",
	};
	static char text[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *const argv[] = { "lkvm", "run", "K", options[i], text, NULL };

		memset(text, i % 2 ? '1' : ',', sizeof(text) - 1);
		assert_usage_error(argv, options[i]);
	}
}

static void the_log_level_is_set(void **state)
{
	(void)state;
	assert_int_equal(RUN("K", "--loglevel", "debug"), 0);
	stderr_keep();
	report_debug("d");
	assert_reported("Debug: d");
	assert_int_equal(RUN("K", "--loglevel", "error"), 0);
	stderr_keep();
	report_warning("w");
	assert_string_equal(stderr_text(), "");
	assert_int_equal(RUN("K"), 0);
	stderr_keep();
	report_warning("w");
	report_info("i");
	assert_reported("Warning: w");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, run_setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_end_has_its_exit_status),
		TEST(a_timeout_is_124_and_says_so),
		TEST(a_machine_that_cannot_be_is_1),
		TEST(what_is_not_asked_for_is_left_to_the_machine),
		TEST(every_option_reaches_the_machine),
		TEST(firmware_takes_the_kernels_place),
		TEST(sizes_of_ram_are_checked),
		TEST(lists_of_cpus_are_checked),
		TEST(devices_are_gathered),
		TEST(mistakes_of_the_command_line_are_usage_errors),
		TEST(command_lines_end_where_the_kernels_memory_does),
		TEST(sixty_four_kibibytes_do_no_harm),
		TEST(the_log_level_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

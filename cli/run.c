// SPDX-License-Identifier: GPL-2.0-only
/* `lkvm run`: from options to a machine, and from its end to an exit status. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "run.h"
#include "run_devices.h"

#define FIELD(member) offsetof(struct run_options, member)

/* COMMAND_LINE_SIZE of the kernels, its NUL included. */
#define ARM64_COMMAND_LINE 2048
#define ARM_COMMAND_LINE   1024

static const struct cli_option run_options[] = {
	{ 'k', "kernel", "FILE", "Kernel: an arm64 Image (also .gz, .zst) or a flat binary",
	  cli_take_string, FIELD(machine.kernel) },
	{ 'i', "initrd", "FILE", "Initial RAM disk", cli_take_string, FIELD(machine.initrd) },
	{ 0, "map-images", NULL, "Map kernel and initrd from their files, do not read them",
	  cli_take_true, FIELD(machine.map_images) },
	{ 'p', "params", "TEXT", "Kernel command line", run_take_params, 0 },
	{ 'f', "firmware", "FILE", "Firmware to run in place of a kernel", cli_take_string,
	  FIELD(machine.firmware) },
	{ 0, "firmware-address", "ADDR", "Where firmware is loaded (the start of RAM)",
	  cli_take_u64, FIELD(machine.firmware_address) },
	{ 'F', "flash", "FILE", "CFI flash for firmware", cli_take_string, FIELD(machine.flash) },
	{ 'c', "cpus", "N", "Number of vCPUs (as many as the host's CPUs)", cli_take_unsigned,
	  FIELD(machine.cpus) },
	{ 'm', "mem", "SIZE[BKMGTP][@ADDR]",
	  "Guest RAM, in MiB without a unit (64 MiB * (vCPUs + 3))", run_take_mem, 0 },
	{ 0, "hugetlbfs", "DIR", "Guest RAM in huge pages of this hugetlbfs mount", cli_take_string,
	  FIELD(machine.hugetlbfs) },
	{ 0, "vfio-pci", "[DOMAIN:]BUS:DEV.FN[,guest=SLOT[.FN]][,doorbell=auto|kernel|IOVA]",
	  "Pass a PCI function of the host to the guest; repeatable", run_take_vfio, 0 },
	{ 0, "msi-doorbell", "auto|kernel|IOVA",
	  "Where devices write their MSIs to, behind the host's IOMMU (auto)", run_take_doorbell,
	  0 },
	{ 0, "virtio-transport", "pci|pci-legacy|mmio|mmio-legacy",
	  "How the guest reaches its virtio devices (pci)", run_take_virtio_transport, 0 },
	{ 'd', "disk", "FILE[,ro][,direct][,serial=TEXT][,queues=N][,iops=N][,bps=N]",
	  "Give the guest a disk: a raw image or a block device; repeatable", run_take_disk, 0 },
	{ 'n', "network", "KEY=VALUE,...",
	  "Network card: mode=tap|user|none and what lkvm(1) lists; repeatable (mode=user)",
	  run_take_network, 0 },
	{ 0, "no-dhcp", NULL, "User-mode networks give guests no address", cli_take_true,
	  FIELD(no_dhcp) },
	{ 0, "9p", "DIR[,TAG][,ro]", "Share a folder with the guest over 9p; repeatable",
	  run_take_share, 0 },
	{ 0, "vsock", "CID", "Sockets between host and guest, whose context ID this is",
	  run_take_vsock, 0 },
	{ 0, "vhost-user", "fs|blk,socket=PATH[,tag=TAG][,queues=N][,wait=SECONDS]",
	  "A file system or disk that another process serves; repeatable", run_take_back_end, 0 },
	{ 0, "rng", NULL, "Give the guest a source of random numbers", cli_take_true,
	  FIELD(machine.virtio.rng) },
	{ 0, "balloon", NULL, "Give the guest a balloon, by which it gives memory back",
	  cli_take_true, FIELD(machine.virtio.balloon) },
	{ 0, "balloon-control", "FIFO",
	  "The same, and read from FIFO how much it shall give back: SIZE[KMGT] or stats",
	  cli_take_string, FIELD(machine.virtio.balloon_control) },
	{ 0, "irq-report", "FILE",
	  "Write how devices' interrupts reach the guest: at the end, on SIGUSR1", cli_take_string,
	  FIELD(machine.irq_report) },
	{ 0, "console",
	  "serial|virtio[,out=FILE|fd:N][,in=FILE|fd:N][,port=NAME[,out=...][,in=...]]...",
	  "The guest's console, and what it is connected to (serial; stdin and stdout)",
	  run_take_console, 0 },
	{ 0, "tty", "N", "Connect UART N to a pty", run_take_tty, 0 },
	{ 0, "irqchip", "auto|gicv3-its|gicv3|gicv2m|gicv2",
	  "Interrupt controller (auto: the first the host has)", run_take_irqchip, 0 },
	{ 0, "vcpu-affinity", "LIST|N=LIST", "Host CPUs of all vCPUs, or of vCPU N; repeatable",
	  run_take_affinity, 0 },
	{ 0, "pmu", NULL, "Give the guest a PMUv3", cli_take_true, FIELD(machine.features.pmu) },
	{ 0, "sve-max-vl", "BITS", "Longest SVE vector the guest may use", run_take_sve, 0 },
	{ 0, "aarch32", NULL, "Run a 32-bit guest", cli_take_true,
	  FIELD(machine.features.aarch32) },
	{ 0, "disable-mte", NULL, "No Memory Tagging Extension", cli_take_true,
	  FIELD(machine.disable_mte) },
	{ 0, "no-pvtime", NULL, "No steal time", cli_take_false, FIELD(machine.features.pvtime) },
	{ 0, "kaslr-seed", "N", "Seed of the guest kernel's address layout (random)",
	  run_take_kaslr, 0 },
	{ 0, "on-reset", "exit|restart", "What a guest's reset does (exit, with status 32)",
	  run_take_on_reset, 0 },
	{ 0, "timeout", "SECONDS", "End the run after this time, with status 124",
	  cli_take_unsigned, FIELD(machine.timeout) },
	{ 0, "dump-dtb", "FILE", "Write the guest's device tree to a file", cli_take_string,
	  FIELD(machine.dump_dtb) },
	{ 0, "nodefaults", NULL, "Kernel command line verbatim, no device unasked", cli_take_true,
	  FIELD(machine.nodefaults) },
	{ 0, "name", "NAME", "The guest's name", cli_take_string, FIELD(name) },
	{ 0, "loglevel", "error|warning|info|debug", "How much is told on stderr (warning)",
	  run_take_loglevel, 0 },
	{ 0 },
};

static int take_kernel(void *target, const char *text)
{
	struct run_options *options = target;

	if (options->machine.kernel)
		return refuse(-EINVAL, "two kernels: %s and %s", options->machine.kernel, text);
	options->machine.kernel = text;
	return 0;
}

/* A kernel cuts off what it has no room for, without a word. */
static int check_params(const struct machine_config *machine)
{
	size_t limit = machine->features.aarch32 ? ARM_COMMAND_LINE : ARM64_COMMAND_LINE;
	size_t len = machine->params ? strlen(machine->params) : 0;

	if (machine_console_params(machine))
		len += strlen(machine_console_params(machine)) + 1;
	if (len < limit)
		return 0;
	return refuse(-E2BIG,
		      "--params: the command line is longer than the %zu bytes a kernel keeps",
		      limit - 1);
}

static int check(const struct run_options *options)
{
	const struct machine_config *machine = &options->machine;

	if (!machine->kernel == !machine->firmware)
		return refuse(-EINVAL,
			      machine->kernel
				      ? "--kernel and --firmware exclude each other"
				      : "lkvm run needs a kernel (-k FILE) or firmware (-f FILE)");
	if (machine->firmware && machine->initrd)
		return refuse(-EINVAL, "--initrd needs --kernel: firmware finds its own");
	if (machine->firmware_address && !machine->firmware)
		return refuse(-EINVAL, "--firmware-address needs --firmware");
	if (machine->tty[0] && !machine->console_virtio &&
	    (machine->console_in || machine->console_out))
		return refuse(-EINVAL, "--tty 0 and --console's in= and out= exclude each other");
	return check_params(machine);
}

static int exit_status(int end)
{
	if (end < 0)
		return EXIT_STATUS_ERROR;
	if (end > RUN_SIGNAL)
		return EXIT_STATUS_SIGNAL + end - RUN_SIGNAL;
	switch ((enum run_end)end) {
	case RUN_POWEROFF:
	case RUN_QUIT:
		return EXIT_STATUS_POWEROFF;
	case RUN_RESET:
		return EXIT_STATUS_RESET;
	case RUN_PANIC:
		return EXIT_STATUS_PANIC;
	case RUN_CRASH:
		return EXIT_STATUS_CRASH;
	case RUN_TIMEOUT:
		return EXIT_STATUS_TIMEOUT;
	default:
		return EXIT_STATUS_ERROR;
	}
}

static int run(const struct run_options *options)
{
	struct machine *machine;
	int end;

	if (machine_create(&machine, &options->machine))
		return EXIT_STATUS_ERROR;
	end = machine_run(machine);
	machine_destroy(machine);
	if (end == RUN_TIMEOUT)
		refuse(-ETIME, "the guest ran for %u seconds: --timeout ends it",
		       options->machine.timeout);
	return exit_status(end);
}

static int print_help(void)
{
	puts("usage: lkvm run [OPTIONS] [KERNEL]\n");
	cli_print_options(stdout, run_options);
	return 0;
}

int cli_run(int argc, char **argv)
{
	struct run_options options = {
		.machine = { .ram_base = MAP_RAM_BASE, .features = { .pvtime = true } },
	};
	int err, status = EXIT_STATUS_USAGE;

	err = cli_parse(argc, argv, run_options, &options, take_kernel);
	if (!err)
		err = run_devices_finish(&options);
	if (err == 1)
		status = print_help();
	else if (!err && !check(&options))
		status = run(&options);
	run_options_free(&options);
	return status;
}

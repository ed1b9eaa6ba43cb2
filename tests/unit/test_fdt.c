// SPDX-License-Identifier: GPL-2.0-only
/* The device tree, as a guest reads it and as dtc judges it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <libfdt.h>
#include <cmocka.h>
#include <lkvm/fdt.h>
#include <lkvm/memory_map.h>
#include "files.h"

static uint8_t buf[FDT_MAX_SIZE];
static struct boot_layout layout;
static struct gic gic;
static struct pci_bus bus;
static struct pci_function functions[3];
static struct fdt_config config;

static struct gic gic_of(enum irqchip kind, unsigned vcpus)
{
	bool v3 = kind == IRQCHIP_GICV3 || kind == IRQCHIP_GICV3_ITS;
	struct gic result = { .kind = kind, .vcpus = vcpus };

	result.redist_size = v3 ? vcpus * MAP_GICR_SIZE : MAP_GICC_SIZE;
	result.redist_base = MAP_GICD_BASE - result.redist_size;
	if (kind == IRQCHIP_GICV3_ITS)
		result.msi_size = MAP_ITS_SIZE;
	if (kind == IRQCHIP_GICV2M)
		result.msi_size = MAP_GICV2M_SIZE;
	result.msi_base = result.redist_base - result.msi_size;
	result.v2m_first = 96;
	result.v2m_count = 64;
	return result;
}

static int setup(void **state)
{
	gic = gic_of(IRQCHIP_GICV3_ITS, 4);
	layout = (struct boot_layout){ .initrd = 0x82e00000, .initrd_size = 0x7c3201 };
	memset(&bus, 0, sizeof(bus));
	bus.layout = (struct pci_layout){
		.ecam = { MAP_ECAM_BASE, MAP_ECAM_SIZE },
		.io = { MAP_PCI_IO_BASE, MAP_PCI_IO_SIZE },
		.mem32 = { MAP_PCI_MEM_BASE, MAP_PCI_MEM_SIZE },
		.mem64 = { 0x100000000, 0xff00000000 },
	};
	memset(functions, 0, sizeof(functions));
	config = (struct fdt_config){
		.bootargs = "console=ttyS0 quiet",
		.layout = &layout,
		.ram_base = MAP_RAM_BASE,
		.ram_size = 0x10000000,
		.vcpus = 4,
		.gic = &gic,
		.kaslr_seed = 0x0123456789abcdef,
		.stdout_uart = true,
		.pci = &bus,
	};
	for (size_t i = 0; i < sizeof(config.rng_seed); i++)
		config.rng_seed[i] = i * 3;
	return files_setup(state);
}

/* Two functions with an INTx pin, one of them not at function 0, and one without. */
static void add_functions(void)
{
	functions[0].config[PCI_INTERRUPT_PIN] = 1;
	functions[0].intx_line = 4;
	functions[1].config[PCI_INTERRUPT_PIN] = 3;
	functions[1].intx_line = 5;
	bus.functions[PCI_DEVFN_OF(0, 0)] = &functions[0];
	bus.functions[PCI_DEVFN_OF(31, 2)] = &functions[1];
	bus.functions[PCI_DEVFN_OF(4, 0)] = &functions[2];
}

/* Lines that dtc has to say on the tree; said: what they are. Many, where dtc fails. */
static int dtc_complains(size_t size, char *said, size_t room)
{
	const char *path = file_make("dtb", buf, size);
	char command[256], line[256];
	int lines = 0;
	FILE *dtc;

	snprintf(command, sizeof(command), "dtc -I dtb -O dtb -o /dev/null %s 2>&1", path);
	dtc = popen(command, "r");
	assert_non_null(dtc);
	*said = '\0';
	while (fgets(line, sizeof(line), dtc)) {
		strncat(said, line, room - strlen(said) - 1);
		lines++;
	}
	return pclose(dtc) ? 1000 : lines;
}

static void build(void)
{
	int size = fdt_build(&config, buf, sizeof(buf));
	char said[1024];

	assert_true(size > 0);
	assert_int_equal(size, fdt_totalsize(buf));
	assert_int_equal(fdt_check_full(buf, size), 0);
	if (dtc_complains(size, said, sizeof(said)))
		fail_msg("dtc: %s", said);
}

static const void *property(const char *path, const char *name, int *len)
{
	int node = fdt_path_offset(buf, path);
	const void *value = node < 0 ? NULL : fdt_getprop(buf, node, name, len);

	if (!value)
		fail_msg("no %s in %s", name, path);
	return value;
}

static void assert_cells(const char *path, const char *name, const uint32_t *cells, size_t count)
{
	const fdt32_t *found;
	int len;

	found = property(path, name, &len);
	assert_int_equal(len, count * 4);
	for (size_t i = 0; i < count; i++)
		if (fdt32_ld(found + i) != cells[i])
			fail_msg("%s of %s: cell %zu is 0x%x, not 0x%x", name, path, i,
				 fdt32_ld(found + i), cells[i]);
}

#define CELLS(path, name, ...)                                                                     \
	assert_cells(path, name, (const uint32_t[]){ __VA_ARGS__ },                                \
		     sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

/* list: strings with their NULs, but for the last one's. */
static void assert_strings(const char *path, const char *name, const char *list, size_t size)
{
	int len;
	const char *found = property(path, name, &len);

	assert_int_equal(len, size);
	assert_memory_equal(found, list, size);
}

#define STRINGS(path, name, list) assert_strings(path, name, list, sizeof(list))

static bool has_node(const char *path)
{
	return fdt_path_offset(buf, path) >= 0;
}

static bool has_property(const char *path, const char *name)
{
	int node = fdt_path_offset(buf, path);

	return node >= 0 && fdt_getprop(buf, node, name, NULL);
}

#define GIC_NODE "/interrupt-controller@3fff0000"
#define PCI_NODE "/pci@40000000"

static void dtc_has_words_for_a_bad_tree(void **state)
{
	int size = fdt_build(&config, buf, sizeof(buf));
	int node = fdt_path_offset(buf, "/serial@1000000");
	char said[1024];

	(void)state;
	assert_int_equal(fdt_setprop_inplace_u32(buf, node, "clock-frequency", 1), 0);
	assert_int_equal(dtc_complains(size, said, sizeof(said)), 0);
	assert_int_equal(fdt_setprop_inplace_u32(buf, 0, "#address-cells", 1), 0);
	assert_true(dtc_complains(size, said, sizeof(said)) > 0);
}

static void every_irqchip_makes_a_valid_tree(void **state)
{
	static const enum irqchip kinds[] = { IRQCHIP_GICV2, IRQCHIP_GICV2M, IRQCHIP_GICV3,
					      IRQCHIP_GICV3_ITS };

	(void)state;
	config.pmu = true;
	config.flash_size = MAP_FLASH_SIZE;
	for (size_t i = 0; i < 4; i++) {
		gic = gic_of(kinds[i], 4);
		memset(bus.functions, 0, sizeof(bus.functions));
		build();
		add_functions();
		build();
	}
}

static void root_and_chosen(void **state)
{
	int len;

	(void)state;
	build();
	STRINGS("/", "compatible", "linux,dummy-virt");
	CELLS("/", "#address-cells", 2);
	CELLS("/", "#size-cells", 2);
	STRINGS("/chosen", "bootargs", "console=ttyS0 quiet");
	STRINGS("/chosen", "stdout-path", "/serial@1000000");
	CELLS("/chosen", "linux,initrd-start", 0, 0x82e00000);
	CELLS("/chosen", "linux,initrd-end", 0, 0x835c3201);
	CELLS("/chosen", "kaslr-seed", 0x01234567, 0x89abcdef);
	CELLS("/chosen", "linux,pci-probe-only", 0);
	assert_memory_equal(property("/chosen", "rng-seed", &len), config.rng_seed,
			    FDT_RNG_SEED_SIZE);
	assert_int_equal(len, FDT_RNG_SEED_SIZE);
}

static void what_there_is_not_is_not_told(void **state)
{
	(void)state;
	layout.initrd_size = 0;
	config.stdout_uart = false;
	config.pci = NULL;
	build();
	assert_false(has_property("/chosen", "linux,initrd-start"));
	assert_false(has_property("/chosen", "linux,initrd-end"));
	assert_false(has_property("/chosen", "stdout-path"));
	assert_false(has_node("/pmu"));
	assert_false(has_node("/flash@2000000"));
	assert_false(has_node(PCI_NODE));
	config.pci = &bus;
	build();
	assert_false(has_node(PCI_NODE));
}

static void memory_may_be_above_4_gib(void **state)
{
	(void)state;
	config.ram_base = 0x123400000000;
	config.ram_size = 0x2340000000;
	build();
	STRINGS("/memory@123400000000", "device_type", "memory");
	CELLS("/memory@123400000000", "reg", 0x1234, 0, 0x23, 0x40000000);
}

/* KVM numbers 16 vCPUs to a cluster. */
static void cpus_are_named_by_their_mpidr(void **state)
{
	(void)state;
	config.vcpus = 512;
	build();
	STRINGS("/cpus/cpu@0", "device_type", "cpu");
	STRINGS("/cpus/cpu@0", "compatible", "arm,armv8");
	STRINGS("/cpus/cpu@f", "enable-method", "psci");
	CELLS("/cpus/cpu@f", "reg", 0xf);
	CELLS("/cpus/cpu@100", "reg", 0x100);
	CELLS("/cpus/cpu@1f0f", "reg", 0x1f0f);
	assert_false(has_node("/cpus/cpu@10"));
}

static void psci_timer_and_pmu(void **state)
{
	(void)state;
	config.pmu = true;
	build();
	STRINGS("/psci", "compatible", "arm,psci-1.0\0arm,psci-0.2");
	STRINGS("/psci", "method", "hvc");
	STRINGS("/timer", "compatible", "arm,armv8-timer");
	CELLS("/timer", "interrupts", 1, 13, 8, 1, 14, 8, 1, 11, 8, 1, 10, 8);
	assert_true(has_property("/timer", "always-on"));
	STRINGS("/pmu", "compatible", "arm,armv8-pmuv3");
	CELLS("/pmu", "interrupts", 1, 7, 4);
	config.aarch32 = true;
	build();
	STRINGS("/timer", "compatible", "arm,armv7-timer");
}

/* A GICv2's PPIs have a mask of CPUs, of which there are eight at most. */
static void a_gicv2s_ppis_name_their_cpus(void **state)
{
	(void)state;
	gic = gic_of(IRQCHIP_GICV2, 4);
	config.pmu = true;
	config.vcpus = 3;
	build();
	CELLS("/timer", "interrupts", 1, 13, 0x708, 1, 14, 0x708, 1, 11, 0x708, 1, 10, 0x708);
	CELLS("/pmu", "interrupts", 1, 7, 0x704);
	config.vcpus = 8;
	build();
	CELLS("/pmu", "interrupts", 1, 7, 0xff04);
}

static void gicv3_with_its(void **state)
{
	(void)state;
	build();
	STRINGS(GIC_NODE, "compatible", "arm,gic-v3");
	CELLS(GIC_NODE, "reg", 0, 0x3fff0000, 0, 0x10000, 0, 0x3ff70000, 0, 0x80000);
	CELLS(GIC_NODE, "#interrupt-cells", 3);
	CELLS(GIC_NODE, "phandle", 1);
	STRINGS(GIC_NODE "/msi-controller@3ff50000", "compatible", "arm,gic-v3-its");
	CELLS(GIC_NODE "/msi-controller@3ff50000", "reg", 0, 0x3ff50000, 0, 0x20000);
	CELLS(GIC_NODE "/msi-controller@3ff50000", "#msi-cells", 1);
	assert_true(has_property(GIC_NODE "/msi-controller@3ff50000", "msi-controller"));
	gic = gic_of(IRQCHIP_GICV3, 4);
	build();
	assert_int_equal(fdt_first_subnode(buf, fdt_path_offset(buf, GIC_NODE)), -FDT_ERR_NOTFOUND);
}

static void gicv2_with_its_frame(void **state)
{
	(void)state;
	gic = gic_of(IRQCHIP_GICV2M, 4);
	build();
	STRINGS(GIC_NODE, "compatible", "arm,cortex-a15-gic");
	CELLS(GIC_NODE, "reg", 0, 0x3fff0000, 0, 0x10000, 0, 0x3ffe0000, 0, 0x10000);
	STRINGS(GIC_NODE "/v2m@3ffd0000", "compatible", "arm,gic-v2m-frame");
	CELLS(GIC_NODE "/v2m@3ffd0000", "reg", 0, 0x3ffd0000, 0, 0x10000);
	CELLS(GIC_NODE "/v2m@3ffd0000", "arm,msi-base-spi", 96);
	CELLS(GIC_NODE "/v2m@3ffd0000", "arm,msi-num-spis", 64);
	assert_true(has_property(GIC_NODE "/v2m@3ffd0000", "msi-controller"));
	gic = gic_of(IRQCHIP_GICV2, 4);
	build();
	assert_int_equal(fdt_first_subnode(buf, fdt_path_offset(buf, GIC_NODE)), -FDT_ERR_NOTFOUND);
}

static void platform_devices(void **state)
{
	(void)state;
	config.flash_size = 0x400000;
	build();
	STRINGS("/aliases", "serial0", "/serial@1000000");
	STRINGS("/aliases", "serial3", "/serial@1003000");
	STRINGS("/serial@1000000", "compatible", "ns16550a");
	CELLS("/serial@1003000", "reg", 0, 0x1003000, 0, 8);
	CELLS("/serial@1003000", "interrupts", 0, 3, 4);
	CELLS("/serial@1003000", "clock-frequency", 1843200);
	STRINGS("/rtc@1010000", "compatible", "motorola,mc146818");
	CELLS("/rtc@1010000", "reg", 0, 0x1010000, 0, 0x1000);
	STRINGS("/pvpanic@1030000", "compatible", "qemu,pvpanic-mmio");
	CELLS("/pvpanic@1030000", "reg", 0, 0x1030000, 0, 0x1000);
	STRINGS("/flash@2000000", "compatible", "cfi-flash");
	CELLS("/flash@2000000", "reg", 0, 0x2000000, 0, 0x400000);
	CELLS("/flash@2000000", "bank-width", 4);
}

static void host_bridge(void **state)
{
	(void)state;
	add_functions();
	build();
	STRINGS(PCI_NODE, "compatible", "pci-host-ecam-generic");
	STRINGS(PCI_NODE, "device_type", "pci");
	CELLS(PCI_NODE, "reg", 0, 0x40000000, 0, 0x10000000);
	CELLS(PCI_NODE, "bus-range", 0, 0);
	CELLS(PCI_NODE, "ranges", 0x01000000, 0, 0, 0, 0, 0, 0x10000, 0x02000000, 0, 0x50000000, 0,
	      0x50000000, 0, 0x30000000, 0x43000000, 1, 0, 1, 0, 0xff, 0);
	assert_true(has_property(PCI_NODE, "dma-coherent"));
	CELLS(PCI_NODE, "msi-map", 0, 2, 0, 256);
	CELLS(GIC_NODE "/msi-controller@3ff50000", "phandle", 2);
}

/* Device and function number of each, so that functions of one device do not share a line. */
static void interrupt_map_of_each_function_with_a_pin(void **state)
{
	(void)state;
	add_functions();
	build();
	CELLS(PCI_NODE, "#interrupt-cells", 1);
	CELLS(PCI_NODE, "interrupt-map-mask", 0xff00, 0, 0, 7);
	CELLS(PCI_NODE, "interrupt-map", 0, 0, 0, 1, 1, 0, 0, 0, 4, 4, 0xfa00, 0, 0, 3, 1, 0, 0, 0,
	      5, 4);
}

static void functions_without_a_pin_need_no_interrupt_map(void **state)
{
	(void)state;
	bus.functions[0] = &functions[2];
	build();
	assert_true(has_node(PCI_NODE));
	assert_false(has_property(PCI_NODE, "interrupt-map"));
	assert_false(has_property(PCI_NODE, "interrupt-map-mask"));
	/* A pin that PCI does not have is none. */
	functions[2].config[PCI_INTERRUPT_PIN] = 5;
	build();
	assert_false(has_property(PCI_NODE, "interrupt-map"));
}

static void the_whole_bus_fits(void **state)
{
	int len;

	(void)state;
	functions[0].config[PCI_INTERRUPT_PIN] = 1;
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++)
		bus.functions[devfn] = &functions[0];
	config.vcpus = 512;
	build();
	property(PCI_NODE, "interrupt-map", &len);
	assert_int_equal(len, 256 * 10 * 4);
}

static void without_an_msi_controller_there_is_no_msi_map(void **state)
{
	(void)state;
	add_functions();
	gic = gic_of(IRQCHIP_GICV3, 4);
	build();
	assert_false(has_property(PCI_NODE, "msi-map"));
	gic = gic_of(IRQCHIP_GICV2M, 4);
	build();
	CELLS(PCI_NODE, "msi-map", 0, 2, 0, 256);
}

/* A window that is not there (RAM up to the end of the address space) has no range. */
static void a_window_of_no_size_has_no_range(void **state)
{
	(void)state;
	add_functions();
	bus.layout.mem64 = (struct pci_window){ 0 };
	build();
	CELLS(PCI_NODE, "ranges", 0x01000000, 0, 0, 0, 0, 0, 0x10000, 0x02000000, 0, 0x50000000, 0,
	      0x50000000, 0, 0x30000000);
}

static void the_same_input_makes_the_same_bytes(void **state)
{
	uint8_t *first = malloc(sizeof(buf));
	int size;

	(void)state;
	add_functions();
	memset(buf, 0x00, sizeof(buf));
	size = fdt_build(&config, buf, sizeof(buf));
	memcpy(first, buf, size);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(fdt_build(&config, buf, sizeof(buf)), size);
	assert_memory_equal(first, buf, size);
	/* Nor does the room that there was matter. */
	memset(buf, 0x55, sizeof(buf));
	assert_int_equal(fdt_build(&config, buf, size + 16), size);
	assert_memory_equal(first, buf, size);
	free(first);
}

static void a_tree_that_does_not_fit_is_refused(void **state)
{
	char *bootargs = malloc(FDT_MAX_SIZE + 1);
	int size = fdt_build(&config, buf, sizeof(buf));

	(void)state;
	for (int room = 0; room < size; room += room < 256 ? 1 : 97) {
		uint8_t *exact = malloc(room);

		stderr_keep();
		assert_int_equal(fdt_build(&config, exact, room), -ENOSPC);
		assert_reported("the device tree does not fit into");
		free(exact);
	}
	memset(bootargs, 'x', FDT_MAX_SIZE);
	bootargs[FDT_MAX_SIZE] = '\0';
	config.bootargs = bootargs;
	stderr_keep();
	assert_int_equal(fdt_build(&config, buf, sizeof(buf)), -ENOSPC);
	assert_reported("does not fit into 2048 KiB: is the kernel command line too long?");
	/* 64 KiB of it are fine as far as the tree is concerned. */
	bootargs[65535] = '\0';
	build();
	free(bootargs);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, files_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(dtc_has_words_for_a_bad_tree),
		TEST(every_irqchip_makes_a_valid_tree),
		TEST(root_and_chosen),
		TEST(what_there_is_not_is_not_told),
		TEST(memory_may_be_above_4_gib),
		TEST(cpus_are_named_by_their_mpidr),
		TEST(psci_timer_and_pmu),
		TEST(a_gicv2s_ppis_name_their_cpus),
		TEST(gicv3_with_its),
		TEST(gicv2_with_its_frame),
		TEST(platform_devices),
		TEST(host_bridge),
		TEST(interrupt_map_of_each_function_with_a_pin),
		TEST(functions_without_a_pin_need_no_interrupt_map),
		TEST(the_whole_bus_fits),
		TEST(without_an_msi_controller_there_is_no_msi_map),
		TEST(a_window_of_no_size_has_no_range),
		TEST(the_same_input_makes_the_same_bytes),
		TEST(a_tree_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

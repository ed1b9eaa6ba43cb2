// SPDX-License-Identifier: GPL-2.0-only
/* What is read of the host: of a real one, and of one whose files hold anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/pci.h>
#include "../../vfio/bdf.h"
#include "../../vfio/pci_class.h"
#include "files.h"
#include "host_tree.h"

#define NIC "0000:01:00.0"

static const struct vfio_host *host;

static int setup(void **state)
{
	(void)state;
	host = host_tree_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	host_tree_end();
	return 0;
}

/* --- PCI addresses and --vfio-pci --- */

static void addresses_become_canonical(void **state)
{
	static const struct {
		const char *text, *bdf;
		int devfn;
	} cases[] = {
		{ "01:00.0", "0000:01:00.0", -1 },
		{ "0000:01:00.0", "0000:01:00.0", -1 },
		{ "1:2.3", "0000:01:02.3", -1 },
		{ "AB:1F.7", "0000:ab:1f.7", -1 },
		{ "10000:e1:00.0", "10000:e1:00.0", -1 },
		{ "fffffff:ff:1f.7", "fffffff:ff:1f.7", -1 },
		{ "1:2.3,guest=0", "0000:01:02.3", 0 },
		{ "1:2.3,guest=31.7", "0000:01:02.3", 255 },
		{ "1:2.3,guest=0x1f", "0000:01:02.3", 248 },
		{ "0:1:2.3,guest=10.1", "0000:01:02.3", 81 },
	};
	struct vfio_device_config config;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(vfio_device_config_parse(&config, cases[i].text), 0);
		assert_string_equal(config.bdf, cases[i].bdf);
		assert_int_equal(config.guest_devfn, cases[i].devfn);
	}
}

static void wrong_addresses_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "", "[DOMAIN:]BUS:DEV.FN" },
		{ "nvme0", "[DOMAIN:]BUS:DEV.FN" },
		{ "01:00", "[DOMAIN:]BUS:DEV.FN" },
		{ "01.0", "[DOMAIN:]BUS:DEV.FN" },
		{ ":01:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "01::00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "0:0:01:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "-1:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "0x01:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ " 01:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "01:00.", "[DOMAIN:]BUS:DEV.FN" },
		{ "12345678:01:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "99999999999999999999:01:00.0", "[DOMAIN:]BUS:DEV.FN" },
		{ "100:00.0", "bus is above ff" },
		{ "01:20.0", "device is above 1f" },
		{ "01:00.8", "function is above 7" },
		{ "01:00.0 ", "followed by something else" },
		{ "01:00.0/../..", "followed by something else" },
		{ "01:00.0,", "only guest=SLOT" },
		{ "01:00.0,slot=1", "only guest=SLOT" },
		{ "01:00.0,guest=", "guest= takes SLOT[.FN]" },
		{ "01:00.0,guest=a", "guest= takes SLOT[.FN]" },
		{ "01:00.0,guest=1.", "guest= takes SLOT[.FN]" },
		{ "01:00.0,guest=0x", "guest= takes SLOT[.FN]" },
		{ "01:00.0,guest=-1", "guest= takes SLOT[.FN]" },
		{ "01:00.0,guest=1.0,", "only guest=SLOT[.FN] and doorbell=" },
		{ "01:00.0,guest=32", "slots 0 to 31" },
		{ "01:00.0,guest=1.8", "functions 0 to 7" },
		{ "01:00.0,doorbell=", "doorbell= takes auto, kernel, or an address" },
		{ "01:00.0,doorbell=0", "doorbell= takes" },
		{ "01:00.0,doorbell=0x0", "doorbell= takes" },
		{ "01:00.0,doorbell=none", "doorbell= takes" },
		{ "01:00.0,doorbell=-4096", "doorbell= takes" },
		{ "01:00.0,doorbell=0x", "doorbell= takes" },
		{ "01:00.0,doorbell=0x1000 ", "doorbell= takes" },
		{ "01:00.0,doorbell=0x10000000000000000", "doorbell= takes" },
	};
	struct vfio_device_config config;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stderr_keep();
		assert_int_equal(vfio_device_config_parse(&config, cases[i][0]), -EINVAL);
		assert_reported(cases[i][1]);
	}
}

static void an_address_of_64_kib_is_refused(void **state)
{
	size_t size = 65536;
	char *text = malloc(size + 1);
	struct vfio_device_config config;

	(void)state;
	memset(text, '0', size);
	text[size] = 0;
	stderr_keep();
	assert_int_equal(vfio_device_config_parse(&config, text), -EINVAL);
	assert_non_null(strstr(stderr_text(), "Fatal"));
	free(text);
}

/* --- functions and groups --- */

static struct sysfs_function read_function(const char *bdf)
{
	struct sysfs_function function;

	assert_int_equal(sysfs_function_read(&function, host, bdf), 0);
	return function;
}

static void a_function_is_read(void **state)
{
	struct sysfs_function function;

	(void)state;
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "e1000e", 5);
	function = read_function(NIC);
	assert_true(function.exists);
	assert_int_equal(function.vendor, 0x8086);
	assert_int_equal(function.device, 0x10d3);
	assert_int_equal(function.class, 0x020000);
	assert_string_equal(function.driver, "e1000e");
	assert_int_equal(function.group, 5);
	assert_false(function.noiommu);
	assert_int_equal(function.members_count, 1);
	assert_string_equal(function.members[0].name, NIC);
	assert_string_equal(function.members[0].driver, "e1000e");
	sysfs_function_release(&function);
}

static void what_is_not_there_is_told(void **state)
{
	struct sysfs_function function = read_function(NIC);

	(void)state;
	assert_false(function.exists);
	assert_int_equal(function.group, -1);
	host_function(NIC, 0x8086, 0x10d3, 0x020000, NULL, -1);
	function = read_function(NIC);
	assert_true(function.exists);
	assert_string_equal(function.driver, "");
	assert_int_equal(function.group, -1);
	assert_int_equal(function.members_count, 0);
	sysfs_function_release(&function);
}

static void members_come_in_order_with_drivers(void **state)
{
	struct sysfs_function function;

	(void)state;
	host_function("0000:01:00.1", 0x8086, 1, 0x040300, "snd_hda_intel", 2);
	host_function("0000:00:01.0", 0x1b36, 0xc, 0x060400, "pcieport", 2);
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "vfio-pci", 2);
	host_link("sys/kernel/iommu_groups/2/devices/arm-dma.0", "../../../../devices/none");
	function = read_function(NIC);
	assert_int_equal(function.members_count, 4);
	assert_string_equal(function.members[0].name, "0000:00:01.0");
	assert_true(function.members[0].bridge);
	assert_true(sysfs_member_is_harmless(&function.members[0]));
	assert_string_equal(function.members[1].name, NIC);
	assert_true(sysfs_member_is_harmless(&function.members[1]));
	assert_string_equal(function.members[2].driver, "snd_hda_intel");
	assert_false(function.members[2].bridge);
	assert_false(sysfs_member_is_harmless(&function.members[2]));
	assert_string_equal(function.members[3].name, "arm-dma.0");
	assert_true(sysfs_member_is_harmless(&function.members[3]));
	sysfs_function_release(&function);
}

static void groups_of_noiommu_mode_are_known(void **state)
{
	struct sysfs_function function;

	(void)state;
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "vfio-pci", 0);
	host_text("sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
	function = read_function(NIC);
	assert_true(function.noiommu);
	sysfs_function_release(&function);
	host_remove("sys/kernel/iommu_groups/0/name");
	host_text("dev/vfio/noiommu-0", "");
	function = read_function(NIC);
	assert_true(function.noiommu);
	sysfs_function_release(&function);
}

static void strange_files_are_survived(void **state)
{
	char longest[300];
	struct sysfs_function function;

	(void)state;
	memset(longest, 'd', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	host_function(NIC, 0x8086, 0x10d3, 0x020000, NULL, -1);
	host_text("sys/bus/pci/devices/" NIC "/vendor", "what is this?\n");
	host_text("sys/bus/pci/devices/" NIC "/device", "");
	host_text("sys/bus/pci/devices/" NIC "/class", "0xffffffffffffffffffffffffffffffffffff\n");
	host_link("sys/bus/pci/devices/" NIC "/driver", longest);
	host_link("sys/bus/pci/devices/" NIC "/iommu_group", "../groups/12cats");
	function = read_function(NIC);
	assert_int_equal(function.vendor, 0);
	assert_int_equal(function.device, 0);
	assert_int_equal(function.class, 0xffffff);
	assert_int_equal(strlen(function.driver), SYSFS_NAME - 1);
	assert_int_equal(function.group, -1);
	sysfs_function_release(&function);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const groups[] = { "/-1", "/99999999999999999999", "/" };

		host_link("sys/bus/pci/devices/" NIC "/iommu_group", groups[i]);
		function = read_function(NIC);
		assert_int_equal(function.group, -1);
		sysfs_function_release(&function);
	}
}

static void a_group_of_thousands_is_cut(void **state)
{
	struct sysfs_function function;

	(void)state;
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "vfio-pci", 1);
	for (unsigned i = 0; i < SYSFS_MEMBERS + 10; i++) {
		char path[80];

		snprintf(path, sizeof(path), "sys/kernel/iommu_groups/1/devices/x%u", i);
		host_link(path, "nowhere");
	}
	function = read_function(NIC);
	assert_int_equal(function.members_count, SYSFS_MEMBERS);
	sysfs_function_release(&function);
}

static void vfio_drivers_are_known_by_name(void **state)
{
	(void)state;
	assert_true(sysfs_driver_is_vfio("vfio-pci"));
	assert_true(sysfs_driver_is_vfio("mlx5_vfio_pci"));
	assert_true(sysfs_driver_is_vfio("hisi-acc-vfio-pci"));
	assert_false(sysfs_driver_is_vfio("nvme"));
	assert_false(sysfs_driver_is_vfio(""));
}

/* --- details --- */

static void put_config(const uint8_t *config, size_t size)
{
	host_file("sys/bus/pci/devices/" NIC "/config", config, size);
}

static void vectors_and_bars_are_read(void **state)
{
	uint8_t config[256] = { 0 };
	struct sysfs_details details;

	(void)state;
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "vfio-pci", 1);
	config[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	config[PCI_CAPABILITY_LIST] = 0x40;
	memcpy(config + 0x40, (uint8_t[]){ PCI_CAP_ID_MSI, 0x50, 0x86, 0x01 }, 4);
	memcpy(config + 0x50, (uint8_t[]){ PCI_CAP_ID_MSIX, 0x00, 0xff, 0x87 }, 4);
	config[PCI_INTERRUPT_PIN] = 1;
	put_config(config, sizeof(config));
	host_text("sys/bus/pci/devices/" NIC "/reset_method", "flr pm bus\n");
	host_text("sys/bus/pci/devices/" NIC "/resource",
		  "0x0000000010000000 0x000000001001ffff 0x0000000000040200\n"
		  "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		  "0x0000000000001000 0x000000000000101f 0x0000000000040101\n"
		  "0x0000008000000000 0x00000080ffffffff 0x000000000014220c\n");
	sysfs_details_read(&details, host, NIC);
	assert_true(details.capabilities_known);
	assert_int_equal(details.msi_vectors, 8);
	assert_int_equal(details.msix_vectors, 2048);
	assert_true(details.intx);
	assert_string_equal(details.reset_methods, "flr pm bus");
	assert_int_equal(details.bars[0].size, 0x20000);
	assert_int_equal(details.bars[1].size, 0);
	assert_true(details.bars[2].io);
	assert_int_equal(details.bars[2].size, 32);
	assert_true(details.bars[3].is64 && details.bars[3].prefetch);
	assert_int_equal(details.bars[3].size, 0x100000000);
	assert_int_equal(details.bars[4].size, 0);
}

static void others_see_64_bytes_of_configuration_space(void **state)
{
	uint8_t config[64] = { [PCI_STATUS] = PCI_STATUS_CAP_LIST, [PCI_CAPABILITY_LIST] = 0x40 };
	struct sysfs_details details;

	(void)state;
	put_config(config, sizeof(config));
	sysfs_details_read(&details, host, NIC);
	assert_false(details.capabilities_known);
	assert_int_equal(details.msi_vectors, 0);
	assert_false(details.intx);
}

static void wild_capability_lists_end(void **state)
{
	uint8_t config[256];
	struct sysfs_details details;

	(void)state;
	for (unsigned next = 0; next < 256; next++) {
		memset(config, (int)next, sizeof(config));
		put_config(config, sizeof(config));
		sysfs_details_read(&details, host, NIC);
	}
	/* A list that leads to the last bytes of a file that was cut short. */
	memset(config, 0xff, sizeof(config));
	config[PCI_CAPABILITY_LIST] = 0x7c;
	for (size_t size = 0x78; size <= 0x80; size++) {
		put_config(config, size);
		sysfs_details_read(&details, host, NIC);
		assert_int_equal(details.msix_vectors, 0);
	}
}

static void strange_bars_are_none(void **state)
{
	struct sysfs_details details;

	(void)state;
	host_text("sys/bus/pci/devices/" NIC "/resource", "cats\n"
							  "0x2000 0x1000 0x200\n"
							  "0x0 0xffffffffffffffff 0x200\n"
							  "0x1000 0x1fff\n"
							  "0x1000 0x1fff 0x0\n"
							  "0x1000 0x1fff 0x200");
	sysfs_details_read(&details, host, NIC);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(details.bars[i].size, 0);
	assert_int_equal(details.bars[5].size, 0x1000);
}

/* --- reserved regions --- */

static void reserved_regions_are_read(void **state)
{
	struct sysfs_reserved reserved[SYSFS_RESERVED_MAX];

	(void)state;
	assert_int_equal(sysfs_reserved_read(reserved, SYSFS_RESERVED_MAX, host, 3), 0);
	host_text("sys/kernel/iommu_groups/3/reserved_regions",
		  "0x0000000008000000 0x00000000080fffff msi\n"
		  "0x00000000fee00000 0x00000000feefffff direct-relaxable\n"
		  "lots of cats\n"
		  "0x2000 0x1000 reserved\n"
		  "0x1000 0xffffffffffffffff reserved\n");
	assert_int_equal(sysfs_reserved_read(reserved, SYSFS_RESERVED_MAX, host, 3), 3);
	assert_int_equal(reserved[0].start, 0x8000000);
	assert_int_equal(reserved[0].end, 0x80fffff);
	assert_string_equal(reserved[0].type, "msi");
	assert_true(sysfs_reserved_blocks(&reserved[0]));
	assert_false(sysfs_reserved_blocks(&reserved[1]));
	assert_true(reserved[2].end == UINT64_MAX);
	assert_int_equal(sysfs_reserved_read(reserved, 1, host, 3), 1);
}

static void long_lists_of_regions_are_cut(void **state)
{
	struct sysfs_reserved reserved[SYSFS_RESERVED_MAX];
	char text[SYSFS_RESERVED_MAX * 2 * 24] = "";

	(void)state;
	for (unsigned i = 0; i < SYSFS_RESERVED_MAX * 2; i++)
		strcat(text, "0x1000 0x1fff msi\n");
	host_text("sys/kernel/iommu_groups/3/reserved_regions", text);
	assert_int_equal(sysfs_reserved_read(reserved, SYSFS_RESERVED_MAX, host, 3),
			 SYSFS_RESERVED_MAX);
	memset(text, 'x', sizeof(text));
	host_file("sys/kernel/iommu_groups/3/reserved_regions", text, sizeof(text));
	assert_int_equal(sysfs_reserved_read(reserved, SYSFS_RESERVED_MAX, host, 3), 0);
}

/* --- all functions, and who holds a group --- */

static void functions_come_in_order(void **state)
{
	char(*bdfs)[VFIO_BDF_SIZE];

	(void)state;
	host_function("10000:00:00.0", 1, 1, 0, NULL, -1);
	host_function("0000:ff:00.0", 1, 1, 0, NULL, -1);
	host_function("0000:00:02.0", 1, 1, 0, NULL, -1);
	host_text("sys/bus/pci/devices/not a function/vendor", "");
	assert_int_equal(sysfs_functions(&bdfs, host), 3);
	assert_string_equal(bdfs[0], "0000:00:02.0");
	assert_string_equal(bdfs[1], "0000:ff:00.0");
	assert_string_equal(bdfs[2], "10000:00:00.0");
	free(bdfs);
	host_remove("sys/bus/pci/devices");
	stderr_keep();
	assert_int_equal(sysfs_functions(&bdfs, host), -ENOENT);
	assert_reported("cannot list the host's PCI functions");
	assert_null(bdfs);
}

static void the_holder_of_a_group_is_found(void **state)
{
	char target[200], name[SYSFS_NAME];

	(void)state;
	assert_int_equal(sysfs_group_holder(host, 7, name), -ENOENT);
	snprintf(target, sizeof(target), "%s/vfio/70", host->dev);
	host_link("proc/41/fd/3", target);
	host_link("proc/self/fd/3", target);
	host_text("proc/meminfo", "");
	assert_int_equal(sysfs_group_holder(host, 7, name), -ENOENT);
	snprintf(target, sizeof(target), "%s/vfio/7", host->dev);
	host_link("proc/42/fd/0", "pipe:[1]");
	host_link("proc/42/fd/9", target);
	host_text("proc/42/comm", "qemu-system-aar\n");
	assert_int_equal(sysfs_group_holder(host, 7, name), 42);
	assert_string_equal(name, "qemu-system-aar");
}

static void classes_have_names(void **state)
{
	(void)state;
	assert_string_equal(pci_class_name(0x010802), "NVM controller");
	assert_string_equal(pci_class_name(0x020000), "Ethernet controller");
	assert_string_equal(pci_class_name(0x02ab00), "Network controller");
	assert_string_equal(pci_class_name(0x00ff00), "Unclassified");
	assert_string_equal(pci_class_name(0xff0000), "Unassigned class");
	assert_string_equal(pci_class_name(0x550000), "Unknown class");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_become_canonical),
		cmocka_unit_test(wrong_addresses_are_refused),
		cmocka_unit_test(an_address_of_64_kib_is_refused),
		TEST(a_function_is_read),
		TEST(what_is_not_there_is_told),
		TEST(members_come_in_order_with_drivers),
		TEST(groups_of_noiommu_mode_are_known),
		TEST(strange_files_are_survived),
		TEST(a_group_of_thousands_is_cut),
		cmocka_unit_test(vfio_drivers_are_known_by_name),
		TEST(vectors_and_bars_are_read),
		TEST(others_see_64_bytes_of_configuration_space),
		TEST(wild_capability_lists_end),
		TEST(strange_bars_are_none),
		TEST(reserved_regions_are_read),
		TEST(long_lists_of_regions_are_cut),
		TEST(functions_come_in_order),
		TEST(the_holder_of_a_group_is_found),
		cmocka_unit_test(classes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

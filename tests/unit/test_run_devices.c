// SPDX-License-Identifier: GPL-2.0-only
/* lkvm run: the options of virtio devices, as the machine gets them. Each kind's own parser has tests of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>
#include "run_rig.h"

/* Strings are good until run() returns. */
static char disk_seen[64], share_seen[64], control_seen[64];
static unsigned dhcp_withheld;

static void see_devices(const struct machine_config *config)
{
	const struct virtio_config *virtio = &config->virtio;

	for (size_t i = 0; i < virtio->disk_count; i++)
		strncpy(disk_seen, virtio->disks[i].path, sizeof(disk_seen) - 1);
	for (size_t i = 0; i < virtio->share_count; i++)
		strncpy(share_seen, virtio->shares[i].tag, sizeof(share_seen) - 1);
	for (size_t i = 0; i < virtio->network_count; i++)
		dhcp_withheld += virtio->networks[i].no_dhcp;
	if (virtio->balloon_control)
		strncpy(control_seen, virtio->balloon_control, sizeof(control_seen) - 1);
}

static int setup(void **state)
{
	int err = run_setup(state);

	made.inspect = see_devices;
	dhcp_withheld = 0;
	return err;
}

static void a_transport_has_a_name(void **state)
{
	static const struct {
		const char *name;
		enum virtio_transport transport;
	} cases[] = {
		{ "pci", VIRTIO_PCI },
		{ "pci-legacy", VIRTIO_PCI_LEGACY },
		{ "mmio", VIRTIO_MMIO },
		{ "mmio-legacy", VIRTIO_MMIO_LEGACY },
	};
	static const char *const bad[] = { "", "p", "PCI", "mmio-", "pci-modern", "mmio,pci" };

	(void)state;
	assert_int_equal(RUN_IMAGE("--nodefaults"), 0);
	assert_int_equal(made.config.virtio.transport, VIRTIO_PCI);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(RUN_IMAGE("--virtio-transport", cases[i].name), 0);
		assert_int_equal(made.config.virtio.transport, cases[i].transport);
	}
	made.created = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		stderr_keep();
		assert_int_equal(RUN_IMAGE("--virtio-transport", bad[i]), EXIT_STATUS_USAGE);
		assert_reported("is none of pci|pci-legacy|mmio|mmio-legacy");
	}
	assert_int_equal(made.created, 0);
}

static void a_machine_has_the_devices_it_was_asked_for(void **state)
{
	(void)state;
	assert_int_equal(RUN_IMAGE("--nodefaults"), 0);
	assert_false(made.config.virtio.rng || made.config.virtio.balloon ||
		     made.config.virtio.balloon_control);
	assert_int_equal(made.config.virtio.disk_count + made.config.virtio.share_count +
				 made.config.virtio.network_count,
			 0);
	assert_int_equal(RUN_IMAGE("--rng", "--balloon"), 0);
	assert_true(made.config.virtio.rng && made.config.virtio.balloon);
	assert_int_equal(RUN_IMAGE("--balloon-control", "fifo"), 0);
	assert_string_equal(control_seen, "fifo");
}

static void devices_add_up(void **state)
{
	(void)state;
	assert_int_equal(RUN_IMAGE("-d", "one", "--disk", "two,ro", "-d", "three"), 0);
	assert_int_equal(made.config.virtio.disk_count, 3);
	assert_string_equal(disk_seen, "three");
	assert_int_equal(RUN_IMAGE("--9p", "/tmp", "--9p", "/,root,ro"), 0);
	assert_int_equal(made.config.virtio.share_count, 2);
	assert_string_equal(share_seen, "root");
	assert_int_equal(RUN_IMAGE("-n", "mode=user", "--no-dhcp", "--network", "mode=user"), 0);
	assert_int_equal(made.config.virtio.network_count, 2);
	assert_int_equal(dhcp_withheld, 2);
}

static void one_that_cannot_be_parsed_leaves_nothing(void **state)
{
	static const char *const bad[][2] = {
		{ "-d", "disk,serial=longer than twenty bytes" },
		{ "-n", "mode=carrier-pigeon" },
		{ "--9p", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		stderr_keep();
		assert_int_equal(RUN_IMAGE("-d", "one", "-n", "mode=user", "--9p", "/tmp",
					   bad[i][0], bad[i][1]),
				 EXIT_STATUS_USAGE);
		assert_reported("Fatal: ");
	}
	assert_int_equal(made.created, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_transport_has_a_name),
		TEST(a_machine_has_the_devices_it_was_asked_for),
		TEST(devices_add_up),
		TEST(one_that_cannot_be_parsed_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

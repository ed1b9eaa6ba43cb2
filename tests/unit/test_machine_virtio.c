// SPDX-License-Identifier: GPL-2.0-only
/* A machine with virtio devices: where the guest finds them, and what a restart does to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <libfdt.h>
#include <cmocka.h>
#include "machine_rig.h"

#define REG(n, reg)      (MAP_VIRTIO_BASE + (n)*MAP_VIRTIO_STRIDE + (reg))
#define CONFIG(slot)     (MAP_ECAM_BASE + ((slot) << 15))
#define VENDOR_ID_REDHAT 0x1af4

/* All that can be made without a file. */
static struct machine_config config_on(enum virtio_transport transport)
{
	struct machine_config config = rig_config();

	config.virtio.transport = transport;
	config.virtio.rng = true;
	config.virtio.balloon = true;
	return config;
}

static uint64_t read_of(unsigned vm, unsigned n)
{
	assert_true(n < rig_kvm->vms[vm].vcpus[0].reads_count);
	return rig_kvm->vms[vm].vcpus[0].reads[n];
}

/* --- on the MMIO bus --- */

/* Interrupts and addresses of the nodes, as the guest finds them at its start. */
static struct {
	unsigned nodes;
	uint64_t reg[4];
	uint32_t line[4], flags[4];
	bool coherent[4], pci;
} seen;

static void look_at_tree(void *arg)
{
	const void *fdt = rig_memory(0, rig_x0(0));
	int node = -1;

	(void)arg;
	memset(&seen, 0, sizeof(seen));
	seen.pci = fdt_path_offset(fdt, "/pci@40000000") >= 0;
	while ((node = fdt_node_offset_by_compatible(fdt, node, "virtio,mmio")) >= 0) {
		const fdt64_t *reg = fdt_getprop(fdt, node, "reg", NULL);
		const fdt32_t *interrupts = fdt_getprop(fdt, node, "interrupts", NULL);
		unsigned n = seen.nodes++;

		assert_true(n < 4);
		seen.reg[n] = fdt64_ld(reg);
		assert_int_equal(fdt64_ld(reg + 1), MAP_VIRTIO_STRIDE);
		assert_int_equal(fdt32_ld(interrupts), 0);
		seen.line[n] = fdt32_ld(interrupts + 1);
		seen.flags[n] = fdt32_ld(interrupts + 2);
		seen.coherent[n] = fdt_getprop(fdt, node, "dma-coherent", NULL);
	}
}

static void devices_on_the_mmio_bus_are_in_the_device_tree(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		{ .reason = KVM_EXIT_MMIO,
		  .address = REG(0, VIRTIO_MMIO_DEVICE_ID),
		  .len = 4,
		  .hook = look_at_tree },
		GUEST_LOADS(REG(1, VIRTIO_MMIO_DEVICE_ID), 4),
		GUEST_LOADS(REG(1, VIRTIO_MMIO_VERSION), 4),
		GUEST_LOADS(REG(2, VIRTIO_MMIO_MAGIC_VALUE), 4),
		GUEST_POWERS_OFF,
	};
	struct machine_config config = config_on(VIRTIO_MMIO_LEGACY);

	(void)state;
	assert_int_equal(rig_run(&config, exits, 5), RUN_POWEROFF);
	assert_int_equal(seen.nodes, 2);
	assert_false(seen.pci);
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(seen.line[n], SPI_DEVICE_BASE + n);
		assert_int_equal(seen.flags[n], 4);
		assert_true(seen.coherent[n]);
	}
	assert_int_equal(read_of(0, 0), VIRTIO_ID_RNG);
	assert_int_equal(read_of(0, 1), VIRTIO_ID_BALLOON);
	assert_int_equal(read_of(0, 2), 1);
	assert_int_equal(read_of(0, 3), 0);
}

static void kicks_do_not_exit(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		GUEST_STORES(REG(0, VIRTIO_MMIO_QUEUE_NOTIFY), 0, 4),
		GUEST_STORES(REG(1, VIRTIO_MMIO_QUEUE_NOTIFY), 1, 4),
		GUEST_STORES(REG(1, VIRTIO_MMIO_QUEUE_NOTIFY), 99, 4), /* of no queue */
		GUEST_POWERS_OFF,
	};
	struct machine_config config = config_on(VIRTIO_MMIO);

	(void)state;
	assert_int_equal(rig_run(&config, exits, 4), RUN_POWEROFF);
	assert_int_equal(rig_kvm->vms[0].vcpus[0].runs, 2);
	assert_int_equal(rig_kvm->vms[0].ioeventfds_count, 0); /* taken off before the VM went */
}

/* --- on the PCI bus --- */

static void devices_on_the_pci_bus_come_first(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		{ .reason = KVM_EXIT_MMIO, .address = CONFIG(0), .len = 4, .hook = look_at_tree },
		GUEST_LOADS(CONFIG(1), 4),
		GUEST_LOADS(CONFIG(2), 4),
		GUEST_POWERS_OFF,
	};
	static const struct {
		enum virtio_transport transport;
		uint32_t ids[2];
	} cases[] = {
		{ VIRTIO_PCI, { 0x1040 + VIRTIO_ID_RNG, 0x1040 + VIRTIO_ID_BALLOON } },
		{ VIRTIO_PCI_LEGACY, { 0x1005, 0x1002 } },
	};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct machine_config config = config_on(cases[i].transport);

		fake_kvm_begin();
		assert_int_equal(rig_run(&config, exits, 4), RUN_POWEROFF);
		assert_int_equal(seen.nodes, 0);
		assert_true(seen.pci);
		for (unsigned n = 0; n < 2; n++)
			assert_int_equal(read_of(0, n), VENDOR_ID_REDHAT | cases[i].ids[n] << 16);
		assert_int_equal(read_of(0, 2), UINT32_MAX);
	}
}

/* --- restarts --- */

static void a_restart_finds_devices_as_they_were(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		GUEST_STORES(REG(0, VIRTIO_MMIO_STATUS), 3, 4),
		GUEST_STORES(REG(0, VIRTIO_MMIO_DRIVER_FEATURES_SEL), 1, 4),
		GUEST_STORES(REG(0, VIRTIO_MMIO_DRIVER_FEATURES), 1, 4),
		GUEST_STORES(REG(0, VIRTIO_MMIO_STATUS), 0xb, 4),
		GUEST_STORES(REG(0, VIRTIO_MMIO_STATUS), 0xf, 4),
		GUEST_LOADS(REG(0, VIRTIO_MMIO_STATUS), 4),
		GUEST_STORES(REG(0, VIRTIO_MMIO_QUEUE_NOTIFY), 0, 4),
		GUEST_RESETS,
		GUEST_LOADS(REG(0, VIRTIO_MMIO_STATUS), 4),
		GUEST_STORES(REG(0, VIRTIO_MMIO_STATUS), 3, 4),
		GUEST_LOADS(REG(0, VIRTIO_MMIO_STATUS), 4),
		GUEST_POWERS_OFF,
	};
	struct machine_config config = config_on(VIRTIO_MMIO);
	unsigned descriptors = rig_descriptors();

	(void)state;
	config.restart_on_reset = true;
	assert_int_equal(rig_run(&config, exits, sizeof(exits) / sizeof(exits[0])), RUN_POWEROFF);
	assert_int_equal(rig_kvm->vms_count, 2);
	assert_int_equal(read_of(0, 0), 0xf);
	assert_int_equal(read_of(1, 0), 0);
	assert_int_equal(read_of(1, 1), 3);
	assert_int_equal(rig_descriptors(), descriptors);
}

/* --- what cannot be --- */

static void a_device_that_cannot_be_made_ends_it_all(void **state)
{
	const struct virtio_disk_config disk = { .path = "/nowhere", .queues = 1 };
	struct machine_config config = config_on(VIRTIO_PCI);
	unsigned descriptors = rig_descriptors();
	int err;

	(void)state;
	config.virtio.disks = &disk;
	config.virtio.disk_count = 1;
	stderr_keep();
	err = rig_run(&config, NULL, 0);
	assert_reported("/nowhere");
	assert_int_equal(err, -ENOENT);
	assert_int_equal(rig_descriptors(), descriptors);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_rig_setup, machine_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(devices_on_the_mmio_bus_are_in_the_device_tree),
		TEST(kicks_do_not_exit),
		TEST(devices_on_the_pci_bus_come_first),
		TEST(a_restart_finds_devices_as_they_were),
		TEST(a_device_that_cannot_be_made_ends_it_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

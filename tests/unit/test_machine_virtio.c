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
#include <linux/virtio_pci.h>
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

/* --- the network that nobody asked for --- */

static struct virtio_network_config unasked_network(void)
{
	return (struct virtio_network_config){
		.mode = VIRTIO_NETWORK_USER, .fd = -1, .pairs = 1, .unasked = true
	};
}

static void an_unasked_card_is_the_last_device(void **state)
{
	static const struct fake_kvm_exit on_mmio[] = {
		{ .reason = KVM_EXIT_MMIO,
		  .address = REG(2, VIRTIO_MMIO_DEVICE_ID),
		  .len = 4,
		  .hook = look_at_tree },
		GUEST_POWERS_OFF,
	};
	static const struct fake_kvm_exit on_pci[] = { GUEST_LOADS(CONFIG(2), 4),
						       GUEST_POWERS_OFF };
	const struct virtio_network_config network = unasked_network();
	struct machine_config config = config_on(VIRTIO_MMIO);

	(void)state;
	config.virtio.networks = &network;
	config.virtio.network_count = 1;
	assert_int_equal(rig_run(&config, on_mmio, 2), RUN_POWEROFF);
	assert_int_equal(read_of(0, 0), VIRTIO_ID_NET);
	assert_int_equal(seen.nodes, 3);
	assert_int_equal(seen.line[2], SPI_DEVICE_BASE + 2);
	assert_int_equal(seen.reg[2], REG(2, 0));
	config.virtio.transport = VIRTIO_PCI;
	fake_kvm_begin();
	assert_int_equal(rig_run(&config, on_pci, 2), RUN_POWEROFF);
	assert_int_equal(read_of(0, 0), VENDOR_ID_REDHAT | (0x1040 + VIRTIO_ID_NET) << 16);
}

/* Who did not ask for the card is not told that there is no room for it. */
static void an_unasked_card_gives_way_on_a_full_bus(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_LOADS(CONFIG(31), 4),
						      GUEST_POWERS_OFF };
	const struct virtio_network_config network = unasked_network();
	struct machine_config config = config_on(VIRTIO_PCI);
	struct virtio_share_config shares[30];

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		shares[i] = (struct virtio_share_config){ .dir = "/", .tag = "tag" };
	config.virtio.networks = &network;
	config.virtio.network_count = 1;
	config.virtio.shares = shares;
	config.virtio.share_count = 30;
	stderr_keep();
	assert_int_equal(rig_run(&config, exits, 2), RUN_POWEROFF);
	assert_string_equal(stderr_text(), "");
	assert_int_equal(read_of(0, 0), VENDOR_ID_REDHAT | (0x1040 + VIRTIO_ID_BALLOON) << 16);
}

/* Where reads of configuration space have no effect, KVM answers them. */
static const struct kvm_userspace_memory_region *shadow_slot(unsigned vm)
{
	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++)
		if (rig_kvm->vms[vm].slots[i].guest_phys_addr == MAP_ECAM_BASE &&
		    rig_kvm->vms[vm].slots[i].memory_size)
			return &rig_kvm->vms[vm].slots[i];
	return NULL;
}

static void look_at_shadow(void *wanted)
{
	const struct kvm_userspace_memory_region *slot = shadow_slot(rig_kvm->vms_count - 1);
	const uint8_t *shadow;

	assert_int_equal(slot != NULL, wanted != NULL);
	if (!slot)
		return;
	assert_int_equal(slot->flags, KVM_MEM_READONLY);
	assert_int_equal(slot->memory_size, PCI_SHADOW_SIZE);
	shadow = (const uint8_t *)(uintptr_t)slot->userspace_addr;
	assert_int_equal(pci_get(shadow, PCI_VENDOR_ID, 2), VENDOR_ID_REDHAT);
	assert_int_equal(pci_get(shadow + 0x10000, PCI_VENDOR_ID, 4), UINT32_MAX);
	assert_int_equal(pci_get(shadow, PCI_INTERRUPT_LINE, 1), *(uint8_t *)wanted);
}

/* The offset register of the window into the BAR (virtio 1.2, 4.1.4.9), which the driver is to write next. */
static void find_window(void *store)
{
	const uint8_t *shadow = (const uint8_t *)(uintptr_t)shadow_slot(1)->userspace_addr;
	uint8_t at = shadow[PCI_CAPABILITY_LIST];

	while (shadow[at] != PCI_CAP_ID_VNDR ||
	       shadow[at + VIRTIO_PCI_CAP_CFG_TYPE] != VIRTIO_PCI_CAP_PCI_CFG)
		at = shadow[at + VIRTIO_PCI_CAP_NEXT];
	((struct fake_kvm_exit *)store)->address = CONFIG(0) + at + VIRTIO_PCI_CAP_OFFSET;
}

static void reads_of_configuration_space_do_not_exit(void **state)
{
	static uint8_t first = 0, second = 0x77;
	struct fake_kvm_exit exits[] = {
		GUEST_STORES(CONFIG(0) + PCI_INTERRUPT_LINE, 0x77, 1),
		GUEST_STORES(CONFIG(1) + PCI_INTERRUPT_LINE, 0x77, 1),
		GUEST_RESETS,
		GUEST_STORES(CONFIG(1) + PCI_INTERRUPT_LINE, 0x77, 1),
		GUEST_STORES(CONFIG(1) + PCI_INTERRUPT_LINE, 0x77, 1),
		GUEST_STORES(0, 0, 4), /* to the window: from now on reads have effects */
		GUEST_STORES(CONFIG(0) + PCI_INTERRUPT_LINE, 0x77, 1),
		GUEST_POWERS_OFF,
	};
	struct machine_config config = config_on(VIRTIO_PCI);

	(void)state;
	config.restart_on_reset = true;
	exits[0].hook = exits[1].hook = exits[3].hook = look_at_shadow;
	exits[0].arg = exits[3].arg = &first;
	exits[1].arg = &second;
	exits[4].hook = find_window;
	exits[4].arg = &exits[5];
	exits[6].hook = look_at_shadow;
	assert_int_equal(rig_run(&config, exits, 8), RUN_POWEROFF);
	assert_int_equal(rig_kvm->vms_count, 2);
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
		TEST(an_unasked_card_is_the_last_device),
		TEST(an_unasked_card_gives_way_on_a_full_bus),
		TEST(reads_of_configuration_space_do_not_exit),
		TEST(a_restart_finds_devices_as_they_were),
		TEST(a_device_that_cannot_be_made_ends_it_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

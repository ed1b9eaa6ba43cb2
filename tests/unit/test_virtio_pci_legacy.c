// SPDX-License-Identifier: GPL-2.0-only
/*
 * The other ways to a virtio PCI function's registers: the window in configuration space (virtio 1.2, 4.1.4.9) and the
 * legacy interface (4.1.4.10).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "virtio_pci_rig.h"

#define COMMON VIRTIO_PCI_CAP_COMMON_CFG
#define DEVICE VIRTIO_PCI_CAP_DEVICE_CFG
#define DATA   sizeof(struct virtio_pci_cap) /* pci_cfg_data */

/* --- the window into the BARs --- */

static void window_set(uint32_t bar, uint32_t offset, uint32_t length)
{
	config_put(prig.window + VIRTIO_PCI_CAP_BAR, 1, bar);
	config_put(prig.window + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	config_put(prig.window + VIRTIO_PCI_CAP_LENGTH, 4, length);
}

static void window_reaches_the_structures(void **state)
{
	uint32_t common, device;

	(void)state;
	virtio_pci_rig_make(0, false);
	config_put(PCI_COMMAND, 2, 0);
	common = prig.place[COMMON].offset;
	device = prig.place[DEVICE].offset;
	window_set(prig.place[COMMON].bar, common + VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(config_get(prig.window + DATA, 2), ECHO_QUEUES);
	window_set(prig.place[COMMON].bar, common + VIRTIO_PCI_COMMON_STATUS, 1);
	config_put(prig.window + DATA, 1, 3);
	assert_int_equal(virtio_status(vrig.vdev), 3);
	window_set(prig.place[DEVICE].bar, device, 4);
	assert_int_equal(config_get(prig.window + DATA, 4), 0x13121110);
	config_put(prig.window + DATA, 4, 0xcafebabe);
	assert_int_equal(virtio_rig_config(0, 4), 0xcafebabe);
	window_set(prig.place[COMMON].bar,
		   config_get(prig.msix + PCI_MSIX_TABLE, 4) & PCI_MSIX_TABLE_OFFSET, 4);
	config_put(prig.window + DATA, 4, 0x12345678);
	assert_int_equal(config_get(prig.window + DATA, 4), 0x12345678);
}

static void window_beyond_a_bar_shows_nothing(void **state)
{
	static const struct {
		uint32_t bar, offset, length;
	} nowhere[] = {
		{ 6, 0, 4 },   { 255, 0, 4 }, { 1, 0, 4 },          { 0, 0, 0 },
		{ 0, 0, 3 },   { 0, 0, 8 },   { 0, 2, 4 },          { 0, 0x1000, 4 },
		{ 0, ~3U, 4 }, { 0, 0, ~0U }, { 0, 0x80000000, 4 }, { 0, 0xfff, 2 },
	};

	(void)state;
	virtio_pci_rig_make(0, false);
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		window_set(nowhere[i].bar, nowhere[i].offset, nowhere[i].length);
		config_put(prig.window + DATA, 4, 0x11111111);
		assert_int_equal(config_get(prig.window + DATA, 4), 0x11111111);
	}
	assert_int_equal(virtio_status(vrig.vdev), 0);
}

/* --- the legacy interface --- */

static void legacy_driver_finds_its_way(void **state)
{
	(void)state;
	virtio_pci_rig_make(VIRTIO_ID_NET, true);
	legacy_start();
	assert_true(prig.echo->vdev.legacy);
	port_put(VIRTIO_PCI_QUEUE_SEL, 2, 1);
	assert_int_equal(port_get(VIRTIO_PCI_QUEUE_PFN, 4), vrig.queues[1].place.desc >> 12);
	assert_int_equal(port_get(VIRTIO_PCI_QUEUE_SEL, 2), 1);
	echo_request(1);
	assert_true(prig.irqs.level[PRIG_LINE]);
	assert_int_equal(port_get(VIRTIO_PCI_ISR, 1), 1);
	assert_false(prig.irqs.level[PRIG_LINE]);
	assert_int_equal(port_get(VIRTIO_PCI_CONFIG_OFF(false), 4), 0x13121110);
	port_put(VIRTIO_PCI_CONFIG_OFF(false), 4, 0x01020304);
	assert_int_equal(port_get(VIRTIO_PCI_CONFIG_OFF(false), 4), 0x01020304);
	port_put(VIRTIO_PCI_QUEUE_PFN, 4, 0);
	assert_int_equal(port_get(VIRTIO_PCI_QUEUE_PFN, 4), 0);
	port_put(VIRTIO_PCI_QUEUE_SEL, 2, ECHO_QUEUES);
	assert_int_equal(port_get(VIRTIO_PCI_QUEUE_NUM, 2), 0);
	assert_int_equal(port_get(VIRTIO_PCI_QUEUE_PFN, 4), 0);
	port_put(VIRTIO_PCI_STATUS, 1, 0);
	assert_int_equal(port_get(VIRTIO_PCI_STATUS, 1), 0);
}

static void legacy_vectors_move_the_configuration(void **state)
{
	(void)state;
	virtio_pci_rig_make(VIRTIO_ID_NET, true);
	msix_on();
	assert_int_equal(port_get(VIRTIO_PCI_CONFIG_OFF(true), 4), 0x13121110);
	legacy_start();
	port_put(VIRTIO_MSI_CONFIG_VECTOR, 2, 0);
	port_put(VIRTIO_PCI_QUEUE_SEL, 2, 0);
	port_put(VIRTIO_MSI_QUEUE_VECTOR, 2, 9);
	assert_int_equal(port_get(VIRTIO_MSI_QUEUE_VECTOR, 2), 0xffff);
	port_put(VIRTIO_MSI_QUEUE_VECTOR, 2, 2);
	assert_int_equal(port_get(VIRTIO_MSI_QUEUE_VECTOR, 2), 2);
	assert_int_equal(port_get(VIRTIO_MSI_CONFIG_VECTOR, 2), 0);
	echo_request(0);
	assert_int_equal(msix_injected_of(2), 1);
}

static void transitional_device_serves_a_modern_driver(void **state)
{
	(void)state;
	virtio_pci_rig_make(VIRTIO_ID_NET, true);
	assert_int_equal(port_get(VIRTIO_PCI_HOST_FEATURES, 4) & ECHO_FEATURE, ECHO_FEATURE);
	assert_true(prig.echo->vdev.legacy);
	modern_start(false);
	assert_false(prig.echo->vdev.legacy);
	echo_request(0);
	port_get(VIRTIO_PCI_ISR, 1);
	port_put(VIRTIO_PCI_QUEUE_PFN, 4, 0);
	assert_false(prig.echo->vdev.legacy);
	echo_request(1);
}

static void legacy_registers_have_their_widths(void **state)
{
	static const struct {
		unsigned offset, size;
	} odd[] = { { VIRTIO_PCI_QUEUE_NUM, 4 }, { VIRTIO_PCI_QUEUE_NUM, 1 },
		    { VIRTIO_PCI_STATUS, 2 },    { VIRTIO_PCI_QUEUE_SEL, 4 },
		    { VIRTIO_PCI_STATUS, 4 },    { VIRTIO_PCI_HOST_FEATURES, 8 } };

	(void)state;
	virtio_pci_rig_make(VIRTIO_ID_NET, true);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		port_put(odd[i].offset, odd[i].size, 0x0101010101010101);
		assert_int_equal(port_get(odd[i].offset, odd[i].size), 0);
	}
	assert_int_equal(port_get(VIRTIO_PCI_STATUS, 1), 0);
	assert_int_equal(port_get(VIRTIO_PCI_QUEUE_SEL, 2), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, virtio_pci_rig_setup, virtio_pci_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(window_reaches_the_structures),
		T(window_beyond_a_bar_shows_nothing),
		T(legacy_driver_finds_its_way),
		T(legacy_vectors_move_the_configuration),
		T(transitional_device_serves_a_modern_driver),
		T(legacy_registers_have_their_widths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "virtio_pci_rig.h"

#define DOORBELL 0x3ffd0040u

struct virtio_pci_rig prig;

/* --- around a test --- */

void virtio_pci_rig_begin(void)
{
	int err;

	memset(&prig, 0, sizeof(prig));
	virtio_rig_begin();
	prig.kvm = fake_kvm_begin();
	err = kvm_host_open(&prig.kvm_host);
	assert_int_equal(err, 0);
	err = vm_create(&prig.vm, &prig.kvm_host, 40);
	assert_int_equal(err, 0);
	fake_irqs_init(&prig.irqs);
	err = irq_routes_create(&prig.routes, &prig.irqs.base, 64);
	assert_int_equal(err, 0);
}

void virtio_pci_rig_end(void)
{
	if (prig.pci)
		virtio_pci_detach(prig.pci);
	assert_int_equal(fake_irqs_attached(&prig.irqs), 0);
	assert_int_equal(prig.kvm->vms[0].ioeventfds_count, 0);
	virtio_pci_destroy(prig.pci);
	virtio_rig_end();
	irq_routes_destroy(&prig.routes);
	vm_destroy(&prig.vm);
	kvm_host_close(&prig.kvm_host);
	assert_int_equal(fake_kvm_end(), 0);
}

int virtio_pci_rig_setup(void **state)
{
	int err = pci_rig_setup(state);

	if (!err)
		virtio_pci_rig_begin();
	return err;
}

int virtio_pci_rig_teardown(void **state)
{
	virtio_pci_rig_end();
	return pci_rig_teardown(state);
}

void virtio_pci_rig_find(void)
{
	unsigned at = config_get(PCI_CAPABILITY_LIST, 1);

	prig.msix = prig.window = 0;
	memset(prig.place, 0, sizeof(prig.place));
	for (unsigned n = 0; at; n++) {
		unsigned id = config_get(at, 1), type = config_get(at + VIRTIO_PCI_CAP_CFG_TYPE, 1);

		assert_true(n < 16);
		if (id == PCI_CAP_ID_MSIX)
			prig.msix = at;
		if (id == PCI_CAP_ID_VNDR) {
			assert_in_range(type, 1, VIRTIO_PCI_CAP_PCI_CFG);
			assert_int_equal(prig.place[type].length, 0);
			prig.place[type].bar = (uint8_t)config_get(at + VIRTIO_PCI_CAP_BAR, 1);
			prig.place[type].offset = config_get(at + VIRTIO_PCI_CAP_OFFSET, 4);
			prig.place[type].length = config_get(at + VIRTIO_PCI_CAP_LENGTH, 4);
		}
		if (id == PCI_CAP_ID_VNDR && type == VIRTIO_PCI_CAP_PCI_CFG)
			prig.window = at;
		if (id == PCI_CAP_ID_VNDR && type == VIRTIO_PCI_CAP_NOTIFY_CFG)
			prig.multiplier = config_get(at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		at = config_get(at + PCI_CAP_LIST_NEXT, 1);
	}
}

void virtio_pci_rig_make(uint32_t id, bool legacy)
{
	int err;

	prig.echo = echo_create(id, &vrig.env);
	vrig.vdev = &prig.echo->vdev;
	err = virtio_pci_create(&prig.pci, vrig.vdev, &pci_root, -1, legacy);
	assert_int_equal(err, 0);
	prig.function = &prig.pci->function;
	prig.function->intx_line = PRIG_LINE;
	err = pci_bus_assign(&pci_root);
	assert_int_equal(err, 0);
	err = virtio_pci_attach(prig.pci, &prig.vm, &prig.routes, &prig.irqs.base);
	assert_int_equal(err, 0);
	config_put(PCI_COMMAND, 2, DECODE | PCI_COMMAND_MASTER);
	virtio_pci_rig_find();
}

/* --- the driver --- */

uint64_t area_get(unsigned type, unsigned offset, unsigned size)
{
	return guest_read(pci_bar_address(prig.function, prig.place[type].bar) +
				  prig.place[type].offset + offset,
			  size);
}

void area_put(unsigned type, unsigned offset, unsigned size, uint64_t value)
{
	guest_write(pci_bar_address(prig.function, prig.place[type].bar) + prig.place[type].offset +
			    offset,
		    size, value);
}

uint64_t port_get(unsigned offset, unsigned size)
{
	return guest_read(pci_bar_address(prig.function, 0) + offset, size);
}

void port_put(unsigned offset, unsigned size, uint64_t value)
{
	guest_write(pci_bar_address(prig.function, 0) + offset, size, value);
}

uint32_t config_get(unsigned offset, unsigned size)
{
	return (uint32_t)guest_read(ECAM + ((uint64_t)prig.function->devfn << 12) + offset, size);
}

void config_put(unsigned offset, unsigned size, uint32_t value)
{
	guest_write(ECAM + ((uint64_t)prig.function->devfn << 12) + offset, size, value);
}

void msix_on(void)
{
	uint32_t table = config_get(prig.msix + PCI_MSIX_TABLE, 4);
	unsigned vectors = (config_get(prig.msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
	uint64_t entry = pci_bar_address(prig.function, table & PCI_MSIX_TABLE_BIR) +
			 (table & PCI_MSIX_TABLE_OFFSET);

	config_put(prig.msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned i = 0; i < vectors; i++, entry += PCI_MSIX_ENTRY_SIZE) {
		guest_write(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, DOORBELL);
		guest_write(entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
		guest_write(entry + PCI_MSIX_ENTRY_DATA, 4, i);
		guest_write(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	}
}

unsigned msix_injected_of(unsigned vector)
{
	fake_irqs_run(&prig.irqs);
	return prig.irqs.injected[prig.pci->msix.first_gsi + vector];
}

static void add_status(uint8_t bit)
{
	common_put(VIRTIO_PCI_COMMON_STATUS, 1, common_get(VIRTIO_PCI_COMMON_STATUS, 1) | bit);
}

void modern_negotiate(uint64_t features)
{
	common_put(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	add_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(VIRTIO_CONFIG_S_DRIVER);
	features |= 1ULL << VIRTIO_F_VERSION_1;
	for (unsigned word = 0; word < 2; word++) {
		common_put(VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		common_put(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * word)));
	}
	add_status(VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(common_get(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK);
}

void modern_set_up_queue(unsigned index, bool vectors)
{
	struct virtq_driver *driver = &vrig.queues[index];

	virtq_driver_init(driver, &vrig.ram, VRIG_RAM + index * 0x8000, ECHO_SIZE, 0);
	common_put(VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	common_put(VIRTIO_PCI_COMMON_Q_SIZE, 2, ECHO_SIZE);
	if (vectors)
		common_put(VIRTIO_PCI_COMMON_Q_MSIX, 2, index + 1);
	common_put(VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)driver->place.desc);
	common_put(VIRTIO_PCI_COMMON_Q_DESCHI, 4, driver->place.desc >> 32);
	common_put(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, driver->place.driver);
	common_put(VIRTIO_PCI_COMMON_Q_USEDLO, 8, driver->place.device);
	common_put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void modern_start(bool vectors)
{
	modern_negotiate(0);
	if (vectors)
		common_put(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		modern_set_up_queue(i, vectors);
	add_status(VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(prig.echo->vdev.active);
}

static void port_status(uint8_t bit)
{
	port_put(VIRTIO_PCI_STATUS, 1, port_get(VIRTIO_PCI_STATUS, 1) | bit);
}

void legacy_start(void)
{
	port_put(VIRTIO_PCI_STATUS, 1, 0);
	port_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	port_status(VIRTIO_CONFIG_S_DRIVER);
	port_put(VIRTIO_PCI_GUEST_FEATURES, 4, 0);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		struct virtq_driver *driver = &vrig.queues[i];
		uint8_t *base;

		virtq_driver_init(driver, &vrig.ram, VRIG_RAM + i * 0x8000, ECHO_SIZE, 0);
		base = (uint8_t *)driver->desc;
		driver->avail = (void *)(base + sizeof(struct vring_desc) * ECHO_SIZE);
		driver->used = (void *)(base + VIRTIO_PCI_VRING_ALIGN);
		port_put(VIRTIO_PCI_QUEUE_SEL, 2, i);
		assert_int_equal(port_get(VIRTIO_PCI_QUEUE_NUM, 2), ECHO_SIZE);
		port_put(VIRTIO_PCI_QUEUE_PFN, 4, driver->place.desc >> 12);
	}
	port_status(VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(prig.echo->vdev.active);
}

void echo_request(unsigned queue)
{
	uint64_t gpa = virtio_rig_alloc(16);
	const struct virtq_buffer buffers[] = { { gpa, 8 }, { gpa + 8, 8 } };

	memcpy(virtio_rig_at(gpa, 8), "question", 8);
	assert_true(virtq_driver_add(&vrig.queues[queue], buffers, 1, 1) >= 0);
	if (prig.echo->vdev.legacy)
		port_put(VIRTIO_PCI_QUEUE_NOTIFY, 2, queue);
	else
		area_put(VIRTIO_PCI_CAP_NOTIFY_CFG, queue * prig.multiplier, 2, queue);
	assert_int_equal(virtio_rig_wait_used(queue, NULL), 8);
	assert_memory_equal(virtio_rig_at(gpa + 8, 8), "question", 8);
}

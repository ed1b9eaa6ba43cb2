// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a driver does to the PCI function of a virtio device, modern or transitional: its registers, its MSI-X table,
 * its configuration space and the window in it, its rings. Routes never change under an irqfd, and KVM knows of
 * notifications only where a BAR is decoded (both are the fakes' to tell).
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "../unit/virtio_pci_rig.h"
#include "silence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct action {
	uint8_t kind, size;
	uint16_t offset;
	uint32_t value;
};

static_assert(sizeof(struct action) == 8, "as the corpus has it");

/* An address where a ring may lie; else an input would hardly find RAM. */
static uint64_t place(uint32_t value)
{
	return VRIG_RAM + (value & 0x3fff0);
}

static void set_up_queue(const struct action *action)
{
	common_put(VIRTIO_PCI_COMMON_Q_SELECT, 2, action->offset % (ECHO_QUEUES + 1));
	common_put(VIRTIO_PCI_COMMON_Q_DESCLO, 8, place(action->value));
	common_put(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, place(action->value) + 0x1000);
	common_put(VIRTIO_PCI_COMMON_Q_USEDLO, 8, place(action->value) + 0x2000);
	common_put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void act(const struct action *action)
{
	unsigned size = 1U << (action->size & 3);
	uint64_t value = action->value * 0x100000001ULL;

	switch (action->kind % 12) {
	case 0:
	case 1:
		common_put(action->offset % 0x40, size, value);
		break;
	case 2:
		common_get(action->offset % 0x40, size);
		break;
	case 3:
		config_put(action->offset & 0xff, size, action->value);
		break;
	case 4:
		config_get(action->offset & 0xff, size);
		break;
	case 5:
		port_put(action->offset % 0x30, size, value);
		break;
	case 6:
		port_get(action->offset % 0x30, size);
		break;
	case 7:
		area_put(VIRTIO_PCI_CAP_COMMON_CFG, action->offset & 0xfff, size, value);
		area_get(VIRTIO_PCI_CAP_COMMON_CFG, action->offset & 0xfff, size);
		break;
	case 8:
		set_up_queue(action);
		break;
	case 9:
		memcpy(virtio_rig_at(place(action->value) + (action->offset & 0x2fff), 8), action,
		       8);
		break;
	case 10:
		prig.echo->hold = action->size & 1;
		echo_release(prig.echo);
		break;
	default:
		virtio_lock(vrig.vdev);
		virtio_config_changed(vrig.vdev);
		virtio_unlock(vrig.vdev);
		virtio_rig_pump();
		fake_irqs_run(&prig.irqs);
		break;
	}
}

static const struct pci_layout layout = {
	.ecam = { ECAM, 0x10000000 },
	.io = { IO, 0x10000 },
	.mem32 = { MEM32, 0x30000000 },
};

/* Features a driver would take, so that an input gets to rings of either kind. */
static void begin(uint8_t how)
{
	int err = mmio_bus_create(&pci_mmio);

	assert(!err);
	err = pci_bus_create(&pci_root, &pci_mmio, &layout);
	assert(!err);
	virtio_pci_rig_begin();
	virtio_pci_rig_make(VIRTIO_ID_NET, how & 1);
	if (how & 2)
		msix_on();
	if (how & 4)
		modern_negotiate(how & 8 ? 1ULL << VIRTIO_F_RING_PACKED : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	silence();
	begin(data[0]);
	for (size_t at = 1; at + sizeof(struct action) <= size; at += sizeof(struct action)) {
		struct action action;

		memcpy(&action, data + at, sizeof(action));
		act(&action);
		assert(!prig.irqs.route_changed_live);
	}
	virtio_pci_rig_end();
	pci_bus_destroy(&pci_root);
	mmio_bus_destroy(&pci_mmio);
	return 0;
}

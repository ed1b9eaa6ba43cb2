// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile device below and a hostile guest above: the input's first bytes are the device's configuration space from 0x30
 * on, the rest is what the guest does, and what the device sends meanwhile, eight bytes an action.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "../unit/vfio_rig.h"
#include "silence.h"

#define CONFIG_BYTES 0x120

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct action {
	uint8_t kind, size;
	uint16_t offset;
	uint32_t value;
};

static_assert(sizeof(struct action) == 8, "as the corpus has it");

/* BAR 0: registers, MSI-X table and PBA where the input says so; BAR 2: I/O ports; BAR 4: 64 bits, sparse. */
static void make_device(struct vfio_rig *rig, const uint8_t *bytes, size_t size)
{
	fake_vfio_region(rig->hw, 0, 0x8000, RIG_MMAP, 0);
	fake_vfio_region(rig->hw, 2, 0x40, RIG_TRAP, PCI_BASE_ADDRESS_SPACE_IO);
	fake_vfio_region(rig->hw, 4, 0x10000, RIG_MMAP, PCI_BASE_ADDRESS_MEM_TYPE_64);
	rig->hw->regions[4].sparse[0] = (struct vfio_region_sparse_mmap_area){ 0x1000, 0x4000 };
	rig->hw->regions[4].sparse_count = 1;
	rig->hw->irqs[VFIO_PCI_MSI_IRQ_INDEX].count = 32;
	rig->hw->irqs[VFIO_PCI_MSI_IRQ_INDEX].flags =
		VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
	rig->hw->irqs[VFIO_PCI_MSIX_IRQ_INDEX].count = 64;
	rig->hw->irqs[VFIO_PCI_MSIX_IRQ_INDEX].flags =
		VFIO_IRQ_INFO_EVENTFD | (bytes[0] & 1 ? VFIO_IRQ_INFO_NORESIZE : 0);
	memcpy(rig->hw->config + 0x30, bytes, size);
	rig->hw->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

/* Straight to the hooks: the bus would only let the guest's own layout through. */
static void act(struct vfio_rig *rig, const struct action *action)
{
	unsigned size = 1U << (action->size & 3), bar = (action->kind >> 4) % PCI_BARS;
	uint64_t offset = action->offset, value = action->value * 0x100000001ULL;

	switch (action->kind & 7) {
	case 0:
	case 1:
		guest_config_write(rig, offset % PCI_CONFIG_SIZE, size, action->value);
		break;
	case 2:
		guest_config_read(rig, offset % PCI_CONFIG_SIZE, size);
		break;
	case 3:
	case 4:
		vfio_bar_write(rig->function, bar, offset, size, value);
		break;
	case 5:
		vfio_bar_read(rig->function, bar, offset, size);
		break;
	case 6:
		fake_vfio_trigger(rig->hw, action->size % 3, action->offset % 64);
		break;
	default:
		fake_irqs_run(&rig->irqs);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t config = size < CONFIG_BYTES ? size : CONFIG_BYTES;
	struct vfio_rig *rig;
	void *state;

	if (!size)
		return 0;
	silence();
	rig_setup(&state);
	rig = state;
	make_device(rig, data, config);
	rig_build(rig);
	for (size_t at = config; at + sizeof(struct action) <= size; at += sizeof(struct action)) {
		struct action action;

		memcpy(&action, data + at, sizeof(action));
		act(rig, &action);
		assert(!rig->irqs.route_changed_live);
	}
	rig_teardown(&state);
	return 0;
}

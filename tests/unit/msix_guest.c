// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "msix_guest.h"

void msix_build(struct vfio_rig *rig, unsigned vectors, bool noresize)
{
	fake_vfio_region(rig->hw, 0, 0x40000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, CAP, vectors, 0, TABLE, 0, PBA);
	if (!noresize)
		rig->hw->irqs[INDEX].flags &= ~(uint32_t)VFIO_IRQ_INFO_NORESIZE;
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	rig->hw->set_irqs_count = 0;
}

void msix_control(struct vfio_rig *rig, unsigned bits)
{
	guest_config_write(rig, CAP + PCI_MSIX_FLAGS, 2, bits);
}

void msix_message(struct vfio_rig *rig, unsigned vector, uint32_t data)
{
	uint64_t entry = TABLE + 16ULL * vector;

	guest_bar_write(rig, 0, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, RIG_DOORBELL);
	guest_bar_write(rig, 0, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	guest_bar_write(rig, 0, entry + PCI_MSIX_ENTRY_DATA, 4, data);
}

void msix_mask(struct vfio_rig *rig, unsigned vector, bool masked)
{
	guest_bar_write(rig, 0, TABLE + 16ULL * vector + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

uint32_t msix_gsi(const struct vfio_rig *rig, unsigned vector)
{
	return rig->dev->irq.first_gsi + vector;
}

bool msix_attached(const struct vfio_rig *rig, unsigned vector)
{
	return rig->dev->irq.gsis_allocated && rig->irqs.trigger[msix_gsi(rig, vector)] >= 0;
}

unsigned msix_injected(struct vfio_rig *rig, unsigned vector)
{
	fake_irqs_run(&rig->irqs);
	return rig->irqs.injected[msix_gsi(rig, vector)];
}

bool msix_device_sends(struct vfio_rig *rig, unsigned vector)
{
	return fake_vfio_trigger(rig->hw, INDEX, vector);
}

const struct fake_vfio_set_irqs *msix_last_set_irqs(const struct vfio_rig *rig)
{
	assert_true(rig->hw->set_irqs_count > 0);
	return &rig->hw->set_irqs[rig->hw->set_irqs_count - 1];
}

void msix_build_connected(struct vfio_rig *rig, unsigned vectors)
{
	msix_build(rig, vectors, true);
	msix_control(rig, ENABLE);
	msix_message(rig, 0, 0);
	msix_mask(rig, 0, false);
}

void msix_bring_up(struct vfio_rig *rig, unsigned vectors)
{
	msix_control(rig, ENABLE | MASK);
	for (unsigned i = 0; i < vectors; i++)
		msix_mask(rig, i, true);
	for (unsigned i = 0; i < vectors; i++)
		msix_message(rig, i, i);
	msix_control(rig, ENABLE);
	for (unsigned i = 0; i < vectors; i++)
		msix_mask(rig, i, false);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* What a guest does with the MSI-X of a rig's function; its table lies among registers in BAR 0. */
#ifndef MSIX_GUEST_H
#define MSIX_GUEST_H

#include "vfio_rig.h"

#define CAP    0x70
#define INDEX  VFIO_PCI_MSIX_IRQ_INDEX
#define ENABLE PCI_MSIX_FLAGS_ENABLE
#define MASK   PCI_MSIX_FLAGS_MASKALL
#define TABLE  0x10000
#define PBA    0x18000

/* BAR 0 with registers, table and PBA; the guest decodes it. noresize: what the kernel says of its vectors. */
void msix_build(struct vfio_rig *rig, unsigned vectors, bool noresize);
/* The same, MSI-X enabled and vector 0 connected. */
void msix_build_connected(struct vfio_rig *rig, unsigned vectors);
/* Message Control; an entry's message; its mask. */
void msix_control(struct vfio_rig *rig, unsigned bits);
void msix_message(struct vfio_rig *rig, unsigned vector, uint32_t data);
void msix_mask(struct vfio_rig *rig, unsigned vector, bool masked);
/* As Linux does it: all messages are written before the first vector is unmasked. */
void msix_bring_up(struct vfio_rig *rig, unsigned vectors);

uint32_t msix_gsi(const struct vfio_rig *rig, unsigned vector);
bool msix_attached(const struct vfio_rig *rig, unsigned vector);
/* How many interrupts the guest has got of it so far. */
unsigned msix_injected(struct vfio_rig *rig, unsigned vector);
bool msix_device_sends(struct vfio_rig *rig, unsigned vector);
const struct fake_vfio_set_irqs *msix_last_set_irqs(const struct vfio_rig *rig);

#endif

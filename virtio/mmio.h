/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtio over MMIO (virtio 1.2, 4.2): a device as a block of registers, version 2 or, legacy, 1. */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include <lkvm/irq.h>
#include <lkvm/mmio.h>
#include <lkvm/vm.h>
#include "device.h"

#define VIRTIO_MMIO_SIZE 0x200 /* bytes of guest-physical address space */

struct virtio_mmio;

/*
 * Puts the device's registers on the bus at `base`. legacy: version 1 (virtio 1.2, 4.2.4), where the kind has a legacy
 * interface; the others are version 2 all the same. The device outlives it. Sets vdev's transport. Reported; a failure
 * leaves nothing behind. destroy(NULL) is fine.
 */
int virtio_mmio_create(struct virtio_mmio **mmio, struct virtio_device *vdev, struct mmio_bus *bus,
		       uint64_t base, bool legacy);
void virtio_mmio_destroy(struct virtio_mmio *mmio);

/* Its wired interrupt; before attach. */
void virtio_mmio_set_line(struct virtio_mmio *mmio, uint32_t line);
/* For the device tree. */
void virtio_mmio_where(const struct virtio_mmio *mmio, uint64_t *base, uint32_t *line);

/* Connects it with a VM. No vCPU runs. */
void virtio_mmio_attach(struct virtio_mmio *mmio, struct vm *vm, struct irq_controller *irq);
/* Takes it off again: the device is reset, the registers are as they were. No vCPU runs. */
void virtio_mmio_detach(struct virtio_mmio *mmio);

#endif

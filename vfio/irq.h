/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What irq.c gives the modes (msix.c, msi.c, intx.c), and they give it. All under function.lock.
 *
 * A mode is entered when the guest enables it and left when the guest disables it or enables one that goes before it
 * (MSI-X before MSI before INTx); update() follows what the guest changes in between.
 */
#ifndef VFIO_IRQ_H
#define VFIO_IRQ_H

#include "device.h"

/*
 * VFIO_DEVICE_SET_IRQS with eventfds for [start, start + count). action: VFIO_IRQ_SET_ACTION_*. Returns 0, -errno, or
 * how many vectors the host has where it has fewer.
 */
int vfio_irq_set_eventfds(struct vfio_device *dev, uint32_t index, uint32_t action, uint32_t start,
			  uint32_t count, const int32_t *fds);
/* Takes the whole index out of force on the host. */
void vfio_irq_disable(struct vfio_device *dev, uint32_t index);

/* Whether MSIs can be delivered, with a GSI for each vector; what stands in the way was reported. */
bool vfio_vectors_ready(struct vfio_device *dev);
/* The vector's eventfd, made when there is none. -errno, reported. */
int vfio_vector_open(struct vfio_device *dev, unsigned vector);
/* From now on a count on the vector's eventfd raises its GSI, a count that is there at once. -errno, reported. */
int vfio_vector_attach(struct vfio_device *dev, unsigned vector);
/* A message from now on stays counted in the eventfd. */
void vfio_vector_detach(struct vfio_device *dev, unsigned vector);
/* Bit n: a message of vector first + n came while it was armed but not attached. count: up to 64. */
uint64_t vfio_vectors_pending(const struct vfio_device *dev, unsigned first, unsigned count);
/* All vectors detached, the index disabled on the host, nothing pending. */
void vfio_vectors_disarm(struct vfio_device *dev, uint32_t index);
/* The one message about SET_IRQS failing (err < 0) or the host having too few vectors (err > 0). */
void vfio_vectors_complain(struct vfio_device *dev, int err, unsigned wanted);

void vfio_msix_enter(struct vfio_device *dev);
void vfio_msix_leave(struct vfio_device *dev);
void vfio_msix_update(struct vfio_device *dev);

/* The message the guest has given a vector. */
void vfio_msi_message(const struct vfio_device *dev, unsigned vector, uint64_t *address,
		      uint32_t *data);

void vfio_msi_enter(struct vfio_device *dev);
void vfio_msi_leave(struct vfio_device *dev);
void vfio_msi_update(struct vfio_device *dev);
/* Bytes of the MSI capability whose Message Control is `control`. */
unsigned vfio_msi_size(uint16_t control);
/* Offset of the Mask Bits register (Pending Bits follow) in such a capability; 0: it has none. */
unsigned vfio_msi_mask_offset(uint16_t control);
/* The Pending Bits register. */
uint32_t vfio_msi_pending(const struct vfio_device *dev);

void vfio_intx_enter(struct vfio_device *dev);
void vfio_intx_leave(struct vfio_device *dev);

/*
 * config_build.c: offset of the first capability `id` in the 256 bytes at raw; 0: none, or its `length` bytes are not all
 * there. Ends on any list.
 */
unsigned vfio_capability_find(const uint8_t *raw, uint8_t id, unsigned length);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VFIO: MSI doorbell pages, mapped on behalf of the kernel
 *
 * For drivers of VFIO devices. The device must be open: its container and the domains in that
 * are stable from open_device() until close_device() returns. These functions take the
 * container's locks, under which user memory is pinned: call them with no lock held that a page
 * fault may take.
 */
#ifndef VFIO_MSI_DOORBELL_H
#define VFIO_MSI_DOORBELL_H

#include <linux/types.h>

struct vfio_device;

/* 0, or -EOPNOTSUPP if the device is not in a container whose IOMMU driver maps doorbells. */
int vfio_msi_doorbell_supported(struct vfio_device *device);

/*
 * Map the page at @iova to the page at @phys, for writes only. Each success is undone by one
 * vfio_msi_doorbell_unmap(). -EINVAL if @iova is not one that the container may map, -EEXIST if
 * something else is mapped there, -ENOSPC if the container maps too many doorbells, -ENOMEM.
 */
int vfio_msi_doorbell_map(struct vfio_device *device, dma_addr_t iova, phys_addr_t phys);
void vfio_msi_doorbell_unmap(struct vfio_device *device, dma_addr_t iova);

#endif

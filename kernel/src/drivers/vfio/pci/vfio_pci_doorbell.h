/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VFIO PCI: the MSI doorbell of a device, chosen by userspace
 */
#ifndef VFIO_PCI_DOORBELL_H
#define VFIO_PCI_DOORBELL_H

#include <linux/types.h>

#include "../vfio_doorbell.h"

struct vfio_device;
struct vfio_pci_core_device;

#ifdef CONFIG_VFIO_MSI_DOORBELL
int vfio_pci_doorbell_feature(struct vfio_device *device, u32 flags, void __user *arg,
			      size_t argsz);

/*
 * Have the vectors just allocated use the doorbell chosen, if one is. For whoever allocates
 * vectors, before the first request_irq(), under igate and between
 * vfio_pci_memory_lock_and_enable() and vfio_pci_memory_unlock_and_restore(). The vectors must
 * be freed if this fails.
 */
int vfio_pci_doorbell_apply(struct vfio_pci_core_device *vdev);

/* Forget the doorbell chosen. The last user closes the device, which has no vectors any more. */
void vfio_pci_doorbell_release(struct vfio_pci_core_device *vdev);
#else
static inline int vfio_pci_doorbell_feature(struct vfio_device *device, u32 flags, void __user *arg,
					    size_t argsz)
{
	return -ENOTTY;
}

static inline int vfio_pci_doorbell_apply(struct vfio_pci_core_device *vdev)
{
	return 0;
}

static inline void vfio_pci_doorbell_release(struct vfio_pci_core_device *vdev)
{
}
#endif

#endif

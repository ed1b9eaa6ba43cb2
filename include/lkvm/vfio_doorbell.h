/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The MSI doorbell of a VFIO PCI device, chosen by userspace.
 *
 * Shared by the kernel series in kernel/ and by lkvm: the one description of the interface. The
 * longer one is kernel/src/Documentation/driver-api/vfio-msi-doorbell.rst.
 */
#ifndef LKVM_VFIO_DOORBELL_H
#define LKVM_VFIO_DOORBELL_H

#include <linux/types.h>

/*
 * The index for VFIO_DEVICE_FEATURE: private to this series, far above those of mainline. A kernel
 * without the series answers PROBE, GET and SET with -ENOTTY.
 */
#define VFIO_DEVICE_FEATURE_MSI_DOORBELL 0xd00b

/*
 * Where the MSI and MSI-X vectors of a device write to, behind its IOMMU.
 *
 * SET: @iova is the IOVA of the page that the kernel maps to the page of the physical doorbell;
 * all vectors of the device use it from the next time they are enabled. The mapping is made at
 * once and lasts until the next SET or until the device is closed. 0 returns to the kernel's own
 * choice. All other fields must be zero. Devices may share a page if they share the physical
 * doorbell. A SET that fails changes nothing:
 *   EINVAL      @iova is not page aligned, beyond the aperture or in a reserved region (the
 *               kernel's own MSI window is one), or another field is not zero
 *   EEXIST      memory or the doorbell of another interrupt controller is mapped at @iova
 *   ERANGE      @iova is 4 GiB or above and the device's MSI capability has 32 address bits
 *   EBUSY       INTx, MSI or MSI-X of the device is enabled
 *   ENOSPC      the container maps VFIO_MSI_DOORBELL_MAX doorbell pages already
 *   EOPNOTSUPP  see PROBE
 * As long as the page is mapped, VFIO_IOMMU_MAP_DMA over it fails with EEXIST and
 * VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE leaves it out.
 *
 * GET: all fields are filled in. Nothing is known (@flags has no VFIO_MSI_DOORBELL_KNOWN and the
 * addresses are zero) when the kernel chooses while INTx is enabled.
 *
 * PROBE: EOPNOTSUPP if the device has no MSI, its MSIs are not translated by an IOMMU, or it is not
 * in a container with a type1 IOMMU (noiommu, iommufd).
 */
struct vfio_device_feature_msi_doorbell {
	__aligned_u64 iova; /* of the doorbell's page */
	__aligned_u64 phys; /* physical address of the doorbell's page */
	__u32 offset;       /* of the doorbell in its page: vectors hold iova + offset */
	__u32 flags;
#define VFIO_MSI_DOORBELL_USER  (1 << 0) /* userspace chose the IOVA, not the kernel */
#define VFIO_MSI_DOORBELL_KNOWN (1 << 1) /* iova, phys and offset are valid */
#define VFIO_MSI_DOORBELL_LIVE  (1 << 2) /* MSI or MSI-X is enabled */
};

/* Doorbell pages in one container. */
#define VFIO_MSI_DOORBELL_MAX 64

#endif

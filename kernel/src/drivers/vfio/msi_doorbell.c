// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO: from a device to the IOMMU driver that maps its MSI doorbell
 */

#include <linux/export.h>
#include <linux/vfio.h>

#include "msi_doorbell.h"
#include "vfio.h"

/*
 * The device's group stays in its container as long as the device is open. One that is managed
 * by an iommufd has no container.
 */
static const struct vfio_iommu_driver_ops *doorbell_driver(struct vfio_device *device,
							   void **iommu_data)
{
	const struct vfio_iommu_driver_ops *ops;
	struct vfio_group *group = device->group;

	if (group->type != VFIO_IOMMU || !group->container)
		return NULL;

	ops = vfio_container_iommu_driver(group->container, iommu_data);
	return ops && ops->map_doorbell ? ops : NULL;
}

int vfio_msi_doorbell_supported(struct vfio_device *device)
{
	void *iommu_data;

	return doorbell_driver(device, &iommu_data) ? 0 : -EOPNOTSUPP;
}
EXPORT_SYMBOL_GPL(vfio_msi_doorbell_supported);

int vfio_msi_doorbell_map(struct vfio_device *device, dma_addr_t iova, phys_addr_t phys)
{
	const struct vfio_iommu_driver_ops *ops;
	void *iommu_data;

	ops = doorbell_driver(device, &iommu_data);
	return ops ? ops->map_doorbell(iommu_data, iova, phys) : -EOPNOTSUPP;
}
EXPORT_SYMBOL_GPL(vfio_msi_doorbell_map);

void vfio_msi_doorbell_unmap(struct vfio_device *device, dma_addr_t iova)
{
	const struct vfio_iommu_driver_ops *ops;
	void *iommu_data;

	ops = doorbell_driver(device, &iommu_data);
	if (ops)
		ops->unmap_doorbell(iommu_data, iova);
}
EXPORT_SYMBOL_GPL(vfio_msi_doorbell_unmap);

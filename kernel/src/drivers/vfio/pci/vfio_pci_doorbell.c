// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO PCI: the MSI doorbell of a device, chosen by userspace
 *
 * Where MSIs go through an IOMMU, the interrupt controller's driver notes in each MSI descriptor
 * the IOVA at which the doorbell is mapped for the device, and every message composed from then
 * on holds it. That is done when vectors are allocated. A doorbell chosen by userspace replaces
 * the noted IOVA right afterwards, so all later messages hold that: when a vector is requested
 * again, when a reset restores the messages, when affinity changes (irqchips behind an IOMMU do
 * not rewrite the message for that).
 *
 * The physical doorbell is what the kernel itself has mapped for the device. It takes a vector to
 * know: one is allocated for the moment, as long as the device has none.
 *
 * Locks: vdev->igate, then vdev->memory_lock, then the MSI descriptors. The container's lock,
 * which is held while user memory is pinned, nests in igate, but memory_lock nests in it by way
 * of mmap_lock: nothing is mapped or unmapped under memory_lock.
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/irq.h>
#include <linux/mm.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "../msi_doorbell.h"
#include "vfio_pci_doorbell.h"
#include "vfio_pci_priv.h"

struct vfio_pci_doorbell {
	dma_addr_t iova;
	phys_addr_t phys;
	unsigned int offset;
};

/*
 * The doorbell chosen is a resource of the device: the layout of struct vfio_pci_core_device, which
 * other modules are built against, stays as it is. Written under igate or on the last close; the
 * mapping it stands for is undone by vfio_pci_doorbell_release().
 */
static void vfio_pci_doorbell_devres(struct device *dev, void *res)
{
}

static struct vfio_pci_doorbell *doorbell_chosen(struct vfio_pci_core_device *vdev)
{
	return devres_find(&vdev->pdev->dev, vfio_pci_doorbell_devres, NULL, NULL);
}

static bool doorbell_live(struct vfio_pci_core_device *vdev)
{
	return vdev->irq_type == VFIO_PCI_MSI_IRQ_INDEX ||
	       vdev->irq_type == VFIO_PCI_MSIX_IRQ_INDEX;
}

static bool doorbell_idle(struct vfio_pci_core_device *vdev)
{
	return vdev->irq_type == VFIO_PCI_NUM_IRQS;
}

static int doorbell_supported(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	struct iommu_domain *domain;

	if (!pci_msi_enabled() || !(pdev->msi_cap || pdev->msix_cap))
		return -EOPNOTSUPP;

	/* The cookie is where the kernel keeps the doorbells that it has mapped in a domain. */
	domain = iommu_get_domain_for_dev(&pdev->dev);
	if (!domain || !domain->iova_cookie)
		return -EOPNOTSUPP;

	return vfio_msi_doorbell_supported(&vdev->vdev);
}

/* What the messages of a descriptor hold, and what that is mapped to. */
static int doorbell_of_desc(struct vfio_pci_core_device *vdev, struct msi_desc *desc,
			    struct vfio_pci_doorbell *doorbell)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&vdev->pdev->dev);
	struct msi_msg msg;

	/* Not translated, or in other units than the page that is mapped. */
	if (!domain || desc->iommu_msi_shift != PAGE_SHIFT)
		return -EOPNOTSUPP;

	doorbell->iova = (u64)desc->iommu_msi_iova << PAGE_SHIFT;
	doorbell->phys = iommu_iova_to_phys(domain, doorbell->iova);
	if (!doorbell->phys)
		return -EOPNOTSUPP;

	get_cached_msi_msg(desc->irq, &msg);
	doorbell->offset = offset_in_page(msg.address_lo);
	return 0;
}

/* The doorbell of the vectors that the device has, all of which use the same. */
static int doorbell_in_use(struct vfio_pci_core_device *vdev, struct vfio_pci_doorbell *doorbell)
{
	struct device *dev = &vdev->pdev->dev;
	struct msi_desc *desc;
	int ret = -ENODEV;

	msi_lock_descs(dev);
	desc = msi_first_desc(dev, MSI_DESC_ASSOCIATED);
	if (desc)
		ret = doorbell_of_desc(vdev, desc, doorbell);
	msi_unlock_descs(dev);

	return ret;
}

/* The doorbell that the kernel gives a device without vectors. */
static int doorbell_probe(struct vfio_pci_core_device *vdev, struct vfio_pci_doorbell *doorbell)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret;
	u16 cmd;

	cmd = vfio_pci_memory_lock_and_enable(vdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX | PCI_IRQ_MSI);
	if (ret > 0) {
		ret = doorbell_in_use(vdev, doorbell);
		pci_free_irq_vectors(pdev);
	}
	/* This restores the INTx Disable bit as well, which MSIs have changed. */
	vfio_pci_memory_unlock_and_restore(vdev, cmd);

	return ret;
}

static int doorbell_apply_desc(struct vfio_pci_core_device *vdev, struct msi_desc *desc,
			       const struct vfio_pci_doorbell *chosen)
{
	struct vfio_pci_doorbell own;
	struct msi_msg msg;
	int ret;

	ret = doorbell_of_desc(vdev, desc, &own);
	if (ret)
		return ret;
	/* A vector added to those that use the doorbell already */
	if (own.iova == chosen->iova)
		return 0;
	if (own.phys != chosen->phys)
		return -ENXIO;

	msi_desc_set_iommu_msi_iova(desc, chosen->iova, PAGE_SHIFT);

	/* The message was composed and written when the vector was allocated. */
	get_cached_msi_msg(desc->irq, &msg);
	msg.address_hi = upper_32_bits(chosen->iova);
	msg.address_lo = lower_32_bits(chosen->iova) | own.offset;
	pci_write_msi_msg(desc->irq, &msg);
	return 0;
}

int vfio_pci_doorbell_apply(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_doorbell *chosen = doorbell_chosen(vdev);
	struct device *dev = &vdev->pdev->dev;
	struct msi_desc *desc;
	int ret = 0;

	lockdep_assert_held(&vdev->igate);
	lockdep_assert_held_write(&vdev->memory_lock);

	if (!chosen)
		return 0;

	/* Several MSI vectors have one descriptor, as they have one message. */
	msi_lock_descs(dev);
	msi_for_each_desc(desc, dev, MSI_DESC_ASSOCIATED) {
		ret = doorbell_apply_desc(vdev, desc, chosen);
		if (ret)
			break;
	}
	msi_unlock_descs(dev);

	return ret;
}

void vfio_pci_doorbell_release(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_doorbell *chosen = doorbell_chosen(vdev);

	if (!chosen)
		return;

	vfio_msi_doorbell_unmap(&vdev->vdev, chosen->iova);
	devres_destroy(&vdev->pdev->dev, vfio_pci_doorbell_devres, NULL, NULL);
}

/* The new doorbell is mapped before the old one is given up, so a failure changes nothing. */
static int doorbell_choose(struct vfio_pci_core_device *vdev, dma_addr_t iova)
{
	struct vfio_pci_doorbell *chosen = NULL;
	int ret;

	if (!doorbell_idle(vdev))
		return -EBUSY;

	if (iova) {
		chosen =
			devres_alloc(vfio_pci_doorbell_devres, sizeof(*chosen), GFP_KERNEL_ACCOUNT);
		if (!chosen)
			return -ENOMEM;

		ret = doorbell_probe(vdev, chosen);
		if (!ret) {
			chosen->iova = iova;
			ret = vfio_msi_doorbell_map(&vdev->vdev, iova, chosen->phys);
		}
		if (ret) {
			devres_free(chosen);
			return ret;
		}
	}

	vfio_pci_doorbell_release(vdev);
	if (chosen)
		devres_add(&vdev->pdev->dev, chosen);
	return 0;
}

static int doorbell_set(struct vfio_pci_core_device *vdev,
			const struct vfio_device_feature_msi_doorbell *feature)
{
	int ret;

	if (feature->phys || feature->offset || feature->flags)
		return -EINVAL;
	if (feature->iova != (dma_addr_t)feature->iova || !PAGE_ALIGNED(feature->iova))
		return -EINVAL;
	/* The PCI core takes a device with a 32-bit MSI capability for one without 64-bit MSI-X. */
	if (upper_32_bits(feature->iova) && vdev->pdev->no_64bit_msi)
		return -ERANGE;

	mutex_lock(&vdev->igate);
	ret = doorbell_choose(vdev, feature->iova);
	mutex_unlock(&vdev->igate);

	return ret;
}

static void doorbell_get(struct vfio_pci_core_device *vdev,
			 struct vfio_device_feature_msi_doorbell *feature)
{
	struct vfio_pci_doorbell doorbell, *chosen;
	int ret = -EBUSY;

	mutex_lock(&vdev->igate);
	chosen = doorbell_chosen(vdev);
	if (chosen) {
		doorbell = *chosen;
		feature->flags |= VFIO_MSI_DOORBELL_USER;
		ret = 0;
	} else if (doorbell_live(vdev)) {
		ret = doorbell_in_use(vdev, &doorbell);
	} else if (doorbell_idle(vdev)) {
		ret = doorbell_probe(vdev, &doorbell);
	}
	if (doorbell_live(vdev))
		feature->flags |= VFIO_MSI_DOORBELL_LIVE;
	mutex_unlock(&vdev->igate);

	if (ret)
		return;
	feature->flags |= VFIO_MSI_DOORBELL_KNOWN;
	feature->iova = doorbell.iova;
	feature->phys = doorbell.phys;
	feature->offset = doorbell.offset;
}

int vfio_pci_doorbell_feature(struct vfio_device *device, u32 flags, void __user *arg, size_t argsz)
{
	struct vfio_pci_core_device *vdev = container_of(device, struct vfio_pci_core_device, vdev);
	struct vfio_device_feature_msi_doorbell feature = {};
	int ret, todo;

	todo = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
				  sizeof(feature));
	if (todo < 0)
		return todo;

	ret = doorbell_supported(vdev);
	if (ret || !todo)
		return ret;

	if (flags & VFIO_DEVICE_FEATURE_SET) {
		if (copy_from_user(&feature, arg, sizeof(feature)))
			return -EFAULT;
		return doorbell_set(vdev, &feature);
	}

	doorbell_get(vdev, &feature);
	return copy_to_user(arg, &feature, sizeof(feature)) ? -EFAULT : 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO: MSI doorbell pages in a type1 container
 *
 * Part of vfio_iommu_type1.c, which includes this file: it works on that file's structures under
 * iommu->lock, like everything else that maps something in the container.
 *
 * A doorbell page and the user's memory never overlap. Whoever comes second is refused before the
 * IOMMU driver is asked, because page table code answers a mapping over another one with a WARN.
 */

#include "msi_doorbell.h"
#include "vfio_doorbell.h"

/* To the rest of the container a doorbell is a reserved region that it made itself. */
struct vfio_doorbell {
	struct iommu_resv_region region;
	phys_addr_t phys;
	unsigned int users;
};

static int vfio_iommu_iova_build_caps(struct list_head *iova_list, struct vfio_info_cap *caps);

/* The first doorbell page that has an address from @start to @end, which is the last one. */
static struct vfio_doorbell *vfio_doorbell_find(struct vfio_iommu *iommu, dma_addr_t start,
						dma_addr_t end)
{
	struct vfio_doorbell *doorbell;

	list_for_each_entry(doorbell, &iommu->doorbells, region.list) {
		dma_addr_t first = doorbell->region.start;

		if (first <= end && start <= first + (PAGE_SIZE - 1))
			return doorbell;
	}

	return NULL;
}

static bool vfio_doorbell_overlaps(struct vfio_iommu *iommu, dma_addr_t start, size_t size)
{
	return vfio_doorbell_find(iommu, start, start + size - 1);
}

/*
 * Would a domain that is to join the container, for a group with reserved regions, leave no
 * place for a doorbell that is mapped?
 */
static bool vfio_doorbell_conflict(struct vfio_iommu *iommu, struct iommu_domain *domain,
				   struct list_head *resv_regions)
{
	struct iommu_domain_geometry *geo = &domain->geometry;
	struct iommu_resv_region *resv;
	struct vfio_doorbell *doorbell;

	list_for_each_entry(doorbell, &iommu->doorbells, region.list) {
		dma_addr_t first = doorbell->region.start;

		if (first < geo->aperture_start || first + (PAGE_SIZE - 1) > geo->aperture_end)
			return true;
		if (__ffs(domain->pgsize_bitmap) > PAGE_SHIFT)
			return true;
	}

	list_for_each_entry(resv, resv_regions, list) {
		if (resv->type != IOMMU_RESV_DIRECT_RELAXABLE && resv->length &&
		    vfio_doorbell_overlaps(iommu, resv->start, resv->length))
			return true;
	}

	return false;
}

/*
 * Map all doorbells into a new domain. It is not in the container yet: who called frees it, with
 * all that is mapped in it, on failure.
 */
static int vfio_doorbell_replay(struct vfio_iommu *iommu, struct iommu_domain *domain)
{
	struct vfio_doorbell *doorbell;
	int ret;

	list_for_each_entry(doorbell, &iommu->doorbells, region.list) {
		ret = vfio_doorbell_map_page(domain, doorbell->region.start, doorbell->phys);
		if (ret)
			return ret;
	}

	return 0;
}

/* The IOVA ranges that the user may map: the container's valid ones without the doorbells. */
static int vfio_doorbell_iova_build_caps(struct vfio_iommu *iommu, struct vfio_info_cap *caps)
{
	LIST_HEAD(ranges);
	int ret;

	ret = vfio_iommu_iova_get_copy(iommu, &ranges);
	if (!ret && !list_empty(&iommu->doorbells))
		ret = vfio_iommu_resv_exclude(&ranges, &iommu->doorbells);
	if (!ret)
		ret = vfio_iommu_iova_build_caps(&ranges, caps);

	vfio_iommu_iova_free(&ranges);
	return ret;
}

static int vfio_doorbell_map_all(struct vfio_iommu *iommu, dma_addr_t iova, phys_addr_t phys)
{
	struct vfio_domain *d;
	int ret;

	list_for_each_entry(d, &iommu->domain_list, next) {
		ret = vfio_doorbell_map_page(d->domain, iova, phys);
		if (ret)
			goto unwind;
	}

	return 0;

unwind:
	list_for_each_entry_continue_reverse(d, &iommu->domain_list, next)
		iommu_unmap(d->domain, iova, PAGE_SIZE);

	return ret;
}

/* May the page become a doorbell, and is there room for one more? */
static int vfio_doorbell_check(struct vfio_iommu *iommu, dma_addr_t iova)
{
	/* An IOMMU with larger pages than the CPU's cannot map the doorbell alone. */
	if (__ffs(iommu->pgsize_bitmap) > PAGE_SHIFT)
		return -EOPNOTSUPP;
	if (!vfio_iommu_iova_dma_valid(iommu, iova, iova + (PAGE_SIZE - 1)))
		return -EINVAL;
	if (vfio_find_dma(iommu, iova, PAGE_SIZE))
		return -EEXIST;
	if (list_count_nodes(&iommu->doorbells) >= VFIO_MSI_DOORBELL_MAX)
		return -ENOSPC;
	return 0;
}

static int vfio_doorbell_add(struct vfio_iommu *iommu, dma_addr_t iova, phys_addr_t phys)
{
	struct vfio_doorbell *doorbell;
	int ret;

	ret = vfio_doorbell_check(iommu, iova);
	if (ret)
		return ret;

	doorbell = kzalloc(sizeof(*doorbell), GFP_KERNEL_ACCOUNT);
	if (!doorbell)
		return -ENOMEM;

	doorbell->region.start = iova;
	doorbell->region.length = PAGE_SIZE;
	doorbell->region.type = IOMMU_RESV_RESERVED;
	doorbell->phys = phys;
	doorbell->users = 1;

	ret = vfio_doorbell_map_all(iommu, iova, phys);
	if (ret) {
		kfree(doorbell);
		return ret;
	}

	list_add_tail(&doorbell->region.list, &iommu->doorbells);
	return 0;
}

static int vfio_iommu_type1_map_doorbell(void *iommu_data, dma_addr_t iova, phys_addr_t phys)
{
	struct vfio_iommu *iommu = iommu_data;
	struct vfio_doorbell *doorbell;
	int ret = 0;

	if (!PAGE_ALIGNED(iova) || !PAGE_ALIGNED(phys))
		return -EINVAL;

	mutex_lock(&iommu->lock);
	doorbell = vfio_doorbell_find(iommu, iova, iova);
	if (!doorbell)
		ret = vfio_doorbell_add(iommu, iova, phys);
	else if (doorbell->phys != phys)
		ret = -EEXIST;
	else
		doorbell->users++;
	mutex_unlock(&iommu->lock);

	return ret;
}

static void vfio_iommu_type1_unmap_doorbell(void *iommu_data, dma_addr_t iova)
{
	struct vfio_iommu *iommu = iommu_data;
	struct vfio_doorbell *doorbell;
	struct vfio_domain *d;

	mutex_lock(&iommu->lock);
	doorbell = vfio_doorbell_find(iommu, iova, iova);
	if (doorbell && !--doorbell->users) {
		list_for_each_entry(d, &iommu->domain_list, next)
			iommu_unmap(d->domain, iova, PAGE_SIZE);
		list_del(&doorbell->region.list);
		kfree(doorbell);
	}
	mutex_unlock(&iommu->lock);
}

/* The container is going away, and its domains with all that is mapped in them. */
static void vfio_doorbell_release_all(struct vfio_iommu *iommu)
{
	struct vfio_doorbell *doorbell, *next;

	list_for_each_entry_safe(doorbell, next, &iommu->doorbells, region.list) {
		list_del(&doorbell->region.list);
		kfree(doorbell);
	}
}

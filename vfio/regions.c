// SPDX-License-Identifier: GPL-2.0-only
/*
 * BARs of a passed-through function. What VFIO lets be mapped is put into the guest's address space as memory slots, so
 * that the guest's accesses reach the device without an exit; the rest is trapped: I/O ports, what VFIO keeps back, and
 * always the host pages that hold the MSI-X table and PBA.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <lkvm/report.h>
#include "device.h"

struct span {
	uint64_t start, end;
};

static uint64_t page_size(void)
{
	return (uint64_t)vfio_host_page_size();
}

static uint64_t page_down(uint64_t value)
{
	return value & ~(page_size() - 1);
}

static uint64_t page_up(uint64_t value)
{
	return page_down(value + page_size() - 1);
}

/* --- what VFIO says of a region --- */

/* With its capabilities; free() it. Never shorter than the structure. */
static struct vfio_region_info *query(struct vfio_device *dev, unsigned index, int *err)
{
	struct vfio_region_info *info = NULL, *bigger;
	uint32_t size = sizeof(*info);

	for (;;) {
		bigger = realloc(info, size);
		*err = bigger ? 0 : -ENOMEM;
		if (!bigger)
			break;
		info = bigger;
		memset(info, 0, size);
		info->argsz = size;
		info->index = index;
		*err = vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_REGION_INFO, info);
		if (*err < 0)
			break;
		if (info->argsz <= size) {
			info->argsz = size;
			return info;
		}
		size = info->argsz;
	}
	free(info);
	return NULL;
}

static const void *find_capability(const struct vfio_region_info *info, uint16_t id)
{
	uint32_t at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;

	while (at) {
		const struct vfio_info_cap_header *header =
			(const void *)((const uint8_t *)info + at);

		if (header->id == id)
			return header;
		at = header->next;
	}
	return NULL;
}

/* VFIO has fewer regions for some functions: those it does not know are not there. */
static int load_info(struct vfio_device *dev, unsigned index, struct vfio_region_info **info)
{
	struct vfio_region *region = &dev->regions[index];
	int err;

	*info = query(dev, index, &err);
	if (!*info && err != -EINVAL)
		return report(err, "cannot query region %u of %s", index, dev->function.name);
	*region = (struct vfio_region){ 0 };
	if (*info) {
		region->size = (*info)->size;
		region->offset = (*info)->offset;
		region->flags = (*info)->flags;
	}
	return 0;
}

int vfio_region_info(struct vfio_device *dev, unsigned index)
{
	struct vfio_region_info *info;
	int ret = load_info(dev, index, &info);

	free(info);
	return ret;
}

/* --- areas that can be mapped --- */

static void add_area(struct vfio_region *region, uint64_t start, uint64_t end)
{
	if (start >= end || region->areas_count == VFIO_AREAS)
		return; /* one too many is trapped: slow, but right */
	region->areas[region->areas_count++] =
		(struct vfio_area){ .offset = start, .size = end - start, .slot = -1 };
}

static void add_around(struct vfio_region *region, uint64_t start, uint64_t end,
		       const struct span *holes, unsigned count)
{
	if (!count) {
		add_area(region, start, end);
	} else if (start >= end || holes->start >= end || holes->end <= start) {
		add_around(region, start, end, holes + 1, count - 1);
	} else {
		add_around(region, start, holes->start, holes + 1, count - 1);
		add_around(region, holes->end, end, holes + 1, count - 1);
	}
}

/* Host pages of the MSI-X table and PBA, where they lie in this BAR. */
static unsigned find_holes(const struct vfio_device *dev, unsigned bar, struct span holes[2])
{
	const struct vfio_irq *irq = &dev->irq;
	unsigned count = 0;
	const struct pci_msix_table *msix = &irq->msix;
	uint64_t end;

	if (!irq->msix_cap)
		return 0;
	if (bar == msix->bar) {
		end = msix->offset + pci_msix_table_size(msix);
		holes[count++] = (struct span){ page_down(msix->offset), page_up(end) };
	}
	if (bar == msix->pba_bar) {
		end = msix->pba_offset + pci_msix_pba_size(msix);
		holes[count++] = (struct span){ page_down(msix->pba_offset), page_up(end) };
	}
	return count;
}

/*
 * The whole region, or what a sparse capability names. MSIX_MAPPABLE would allow the table's pages to be mapped along with
 * the rest; they are cut out in any case, and a kernel without it gets no mmap() across them. A BAR smaller than a host
 * page that VFIO lets be mapped has the page to itself.
 */
static void find_areas(struct vfio_device *dev, unsigned bar, const struct vfio_region_info *info)
{
	const uint32_t needed = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_READ |
				VFIO_REGION_INFO_FLAG_WRITE;
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	struct vfio_region *region = &dev->regions[bar];
	uint64_t limit = page_up(region->size);
	struct span holes[2];
	unsigned count = find_holes(dev, bar, holes);

	if (!region->size || limit < region->size || (region->flags & needed) != needed)
		return;
	sparse = find_capability(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	if (!sparse) {
		add_around(region, 0, limit, holes, count);
		return;
	}
	for (uint32_t i = 0; i < sparse->nr_areas; i++) {
		uint64_t start = sparse->areas[i].offset, end = start + sparse->areas[i].size;

		if (end <= limit)
			add_around(region, page_up(start), page_down(end), holes, count);
	}
}

/* A region that cannot be mapped after all still works, access by access. */
static void map_areas(struct vfio_device *dev, unsigned bar)
{
	struct vfio_region *region = &dev->regions[bar];
	unsigned kept = 0;

	for (unsigned i = 0; i < region->areas_count; i++) {
		struct vfio_area *area = &region->areas[i];

		area->host = vfio_mmap(dev->fd, area->size, region->offset + area->offset,
				       PROT_READ | PROT_WRITE);
		if (area->host)
			region->areas[kept++] = *area;
		else
			report_warning("cannot map BAR %u of %s (%s): it will be slow", bar,
				       dev->function.name, strerror(errno));
	}
	region->areas_count = kept;
}

static bool fits(const struct vfio_device *dev, unsigned bar, uint64_t offset, uint64_t size)
{
	return bar < PCI_BARS && offset + size <= dev->regions[bar].size;
}

/* A table or PBA outside of its BAR is a broken device's; it works without MSI-X, if at all. */
static void check_msix(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	if (!irq->msix_cap ||
	    (fits(dev, irq->msix.bar, irq->msix.offset, pci_msix_table_size(&irq->msix)) &&
	     fits(dev, irq->msix.pba_bar, irq->msix.pba_offset, pci_msix_pba_size(&irq->msix))))
		return;
	report_warning("%s: its MSI-X table or PBA lies outside of its BARs: MSI-X is hidden",
		       dev->function.name);
	vfio_irq_keep(dev, irq->msi_cap, false);
}

int vfio_regions_probe(struct vfio_device *dev)
{
	struct vfio_region_info *info[PCI_BARS] = { 0 };
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < PCI_BARS; i++)
		ret = load_info(dev, i, &info[i]);
	if (ret == 0) {
		check_msix(dev);
		for (unsigned i = 0; i < PCI_BARS; i++) {
			if (!info[i])
				continue;
			find_areas(dev, i, info[i]);
			map_areas(dev, i);
		}
	}
	for (unsigned i = 0; i < PCI_BARS; i++)
		free(info[i]);
	return ret;
}

void vfio_regions_release(struct vfio_device *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct vfio_region *region = &dev->regions[i];

		for (unsigned j = 0; j < region->areas_count; j++)
			vfio_munmap(region->areas[j].host, region->areas[j].size);
		region->areas_count = 0;
	}
}

/* --- BARs --- */

/* As large as the host's page where it can be mapped: a smaller one could share its page with another in the guest. */
static uint64_t bar_size(const struct vfio_region *region)
{
	if (region->areas_count && region->size < page_size())
		return page_size();
	return region->size;
}

int vfio_regions_set_bars(struct vfio_device *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint32_t value = vfio_hw_config_read(dev, PCI_BASE_ADDRESS_0 + 4 * i, 4);
		uint32_t flags = PCI_BASE_ADDRESS_SPACE_IO;
		int ret;

		if (!dev->regions[i].size)
			continue;
		if (!(value & PCI_BASE_ADDRESS_SPACE_IO))
			flags = value &
				(PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
		ret = pci_function_set_bar(&dev->function, i, bar_size(&dev->regions[i]), flags);
		if (ret < 0)
			return ret;
		if (flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
			i++;
	}
	return 0;
}

static void remove_slots(struct vfio_device *dev, struct vfio_region *region)
{
	for (unsigned i = 0; i < region->areas_count; i++) {
		struct vfio_area *area = &region->areas[i];

		if (area->slot >= 0)
			vm_slot_remove(dev->vm, area->slot, area->gpa);
		area->slot = -1;
	}
}

/* All areas or none: half a BAR would only hide what failed. */
static int add_slots(struct vfio_device *dev, struct vfio_region *region)
{
	for (unsigned i = 0; i < region->areas_count; i++) {
		struct vfio_area *area = &region->areas[i];

		area->gpa = region->gpa + area->offset;
		area->slot = vm_slot_add(dev->vm, area->gpa, area->size, area->host, 0);
		if (area->slot < 0) {
			int ret = area->slot;

			remove_slots(dev, region);
			return ret;
		}
	}
	return 0;
}

/* In a power state below D0 everything is trapped: the host's kernel lets no one touch a mapping then. */
int vfio_bar_map(struct pci_function *function, unsigned bar, uint64_t gpa)
{
	struct vfio_device *dev = (struct vfio_device *)function;
	struct vfio_region *region = &dev->regions[bar];
	int ret = 0;

	assert(dev->vm && !region->decoded);
	region->gpa = gpa;
	if (region->areas_count && gpa == page_down(gpa) && vfio_config_powered(dev))
		ret = add_slots(dev, region);
	region->decoded = ret == 0;
	return ret;
}

void vfio_bar_unmap(struct pci_function *function, unsigned bar)
{
	struct vfio_device *dev = (struct vfio_device *)function;

	remove_slots(dev, &dev->regions[bar]);
	dev->regions[bar].decoded = false;
}

void vfio_regions_suspend(struct vfio_device *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		remove_slots(dev, &dev->regions[i]);
}

/* What cannot be mapped again was reported, once, and is trapped until the guest decodes it anew. */
void vfio_regions_resume(struct vfio_device *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct vfio_region *region = &dev->regions[i];

		if (region->decoded && region->areas_count &&
		    region->gpa == page_down(region->gpa) && region->areas[0].slot < 0)
			region->decoded = add_slots(dev, region) == 0;
	}
}

/* --- trapped accesses --- */

uint64_t vfio_region_read(struct vfio_device *dev, unsigned region, uint64_t offset, unsigned size)
{
	const struct vfio_region *r = &dev->regions[region];
	uint64_t value = 0;

	assert(size <= sizeof(value));
	if (offset > r->size || size > r->size - offset ||
	    vfio_pread(dev->fd, &value, size, r->offset + offset) != (int64_t)size)
		return ~0ULL;
	return le64toh(value);
}

void vfio_region_write(struct vfio_device *dev, unsigned region, uint64_t offset, unsigned size,
		       uint64_t value)
{
	const struct vfio_region *r = &dev->regions[region];

	value = htole64(value);
	if (offset <= r->size && size <= r->size - offset)
		(void)vfio_pwrite(dev->fd, &value, size, r->offset + offset);
}

uint64_t vfio_bar_read(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size)
{
	struct vfio_device *dev = (struct vfio_device *)function;
	uint64_t value;

	if (!vfio_msix_covers(dev, bar, offset, size))
		return vfio_region_read(dev, bar, offset, size);
	pthread_mutex_lock(&function->lock);
	value = vfio_msix_read(dev, bar, offset, size);
	pthread_mutex_unlock(&function->lock);
	return value;
}

void vfio_bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t value)
{
	struct vfio_device *dev = (struct vfio_device *)function;

	if (!vfio_msix_covers(dev, bar, offset, size)) {
		vfio_region_write(dev, bar, offset, size, value);
		return;
	}
	pthread_mutex_lock(&function->lock);
	vfio_msix_write(dev, bar, offset, size, value);
	pthread_mutex_unlock(&function->lock);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A host's VFIO in memory; fake_vfio.h tells what it does. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include "../../vfio/device.h"
#include "fake_vfio.h"

#define REGION_SHIFT     40
#define MEMORY_SIZE      ((uint64_t)16 << REGION_SHIFT)
#define HANDLES          64
#define FAILURES         16
#define EVENTFD_AND_KIND (VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)

enum kind { CONTAINER = 1, GROUP, DEVICE };

/* An fd that was handed out; the inode tells whether the number still means it. */
struct handle {
	enum kind kind;
	int fd;
	ino_t inode;
	void *object;
};

struct failure {
	unsigned long request;
	int err;
	unsigned skip, times;
};

static struct {
	struct fake_vfio host;
	pthread_mutex_t lock;
	struct handle handles[HANDLES];
	unsigned handles_count;
	struct failure failures[FAILURES];
	unsigned failures_count;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static bool handle_open(const struct handle *handle)
{
	return inode_of(handle->fd) == handle->inode;
}

static struct handle *handle_of(int fd)
{
	for (unsigned i = fake.handles_count; i-- > 0;)
		if (fake.handles[i].fd == fd && handle_open(&fake.handles[i]))
			return &fake.handles[i];
	return NULL;
}

static bool object_open(const void *object)
{
	for (unsigned i = 0; i < fake.handles_count; i++)
		if (fake.handles[i].object == object && handle_open(&fake.handles[i]))
			return true;
	return false;
}

/* Slots of closed handles are used again. */
static int hand_out(enum kind kind, void *object, const char *name)
{
	unsigned i = 0;
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert(fd >= 0);
	while (i < fake.handles_count && handle_open(&fake.handles[i]))
		i++;
	assert(i < HANDLES);
	if (i == fake.handles_count)
		fake.handles_count++;
	fake.handles[i] = (struct handle){ kind, fd, inode_of(fd), object };
	return fd;
}

unsigned fake_vfio_fds(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake.handles_count; i++)
		count += handle_open(&fake.handles[i]);
	return count;
}

void fake_vfio_fail(unsigned long request, int err, unsigned skip, unsigned times)
{
	assert(fake.failures_count < FAILURES);
	fake.failures[fake.failures_count++] = (struct failure){ request, err, skip, times };
}

static int failing(unsigned long request)
{
	for (unsigned i = 0; i < fake.failures_count; i++) {
		struct failure *failure = &fake.failures[i];

		if (failure->request != request || !failure->times)
			continue;
		if (failure->skip) {
			failure->skip--;
			continue;
		}
		failure->times--;
		return -failure->err;
	}
	return 0;
}

struct fake_vfio *fake_vfio_begin(void)
{
	struct fake_vfio *host = &fake.host;

	for (unsigned i = 0; i < host->devices_count; i++) {
		munmap(host->devices[i].config, 4096);
		close(host->devices[i].memory);
	}
	memset(host, 0, sizeof(*host));
	fake.handles_count = 0;
	fake.failures_count = 0;
	host->page_size = 4096;
	host->type1v2 = true;
	host->iommu_info = true;
	host->iova_ranges[0] = (struct vfio_iova_range){ 0, 0x7ffffff };
	host->iova_ranges[1] = (struct vfio_iova_range){ 0x8100000, 0xffffffffffff };
	host->iova_ranges_count = 2;
	return host;
}

void fake_vfio_end(void)
{
	assert(fake_vfio_fds() == 0);
	assert(fake.host.maps_count == 0);
	for (unsigned i = 0; i < fake.host.devices_count; i++)
		assert(fake.host.devices[i].mappings == 0);
	fake_vfio_begin();
}

/* --- what the host has --- */

static struct fake_vfio_group *group_numbered(int number)
{
	for (unsigned i = 0; i < fake.host.groups_count; i++)
		if (fake.host.groups[i].number == number)
			return &fake.host.groups[i];
	return NULL;
}

struct fake_vfio_device *fake_vfio_device(const char *bdf)
{
	for (unsigned i = 0; i < fake.host.devices_count; i++)
		if (!strcmp(fake.host.devices[i].bdf, bdf))
			return &fake.host.devices[i];
	return NULL;
}

struct fake_vfio_device *fake_vfio_device_of_fd(int fd)
{
	struct handle *handle = handle_of(fd);

	return handle && handle->kind == DEVICE ? handle->object : NULL;
}

static void add_irq(struct fake_vfio_device *dev, unsigned index, uint32_t count, uint32_t flags)
{
	dev->irqs[index].count = count;
	dev->irqs[index].flags = flags;
}

struct fake_vfio_device *fake_vfio_add(const char *bdf, int group, uint16_t vendor, uint16_t device)
{
	struct fake_vfio *host = &fake.host;
	struct fake_vfio_device *dev = &host->devices[host->devices_count++];

	assert(host->devices_count <= FAKE_VFIO_DEVICES);
	if (!group_numbered(group)) {
		assert(host->groups_count < FAKE_VFIO_GROUPS);
		host->groups[host->groups_count++] =
			(struct fake_vfio_group){ .number = group, .viable = true, .fd = -1 };
	}
	snprintf(dev->bdf, sizeof(dev->bdf), "%s", bdf);
	dev->group = group;
	dev->fd = -1;
	dev->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	dev->num_regions = VFIO_PCI_NUM_REGIONS;
	dev->num_irqs = VFIO_PCI_NUM_IRQS;
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		memset(dev->irqs[i].trigger, -1, sizeof(dev->irqs[i].trigger));
		dev->irqs[i].unmask_fd = -1;
	}
	dev->memory = memfd_create("fake device memory", MFD_CLOEXEC);
	assert(dev->memory >= 0 && !ftruncate(dev->memory, MEMORY_SIZE));
	fake_vfio_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, 4096,
			 VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, 0);
	dev->config = fake_vfio_memory(dev, VFIO_PCI_CONFIG_REGION_INDEX, 4096);
	fake_vfio_config_put(dev, PCI_VENDOR_ID, 2, vendor);
	fake_vfio_config_put(dev, PCI_DEVICE_ID, 2, device);
	fake_vfio_config_put(dev, PCI_CLASS_REVISION, 4, 0x02000001);
	fake_vfio_config_put(dev, PCI_INTERRUPT_PIN, 1, 1);
	add_irq(dev, VFIO_PCI_INTX_IRQ_INDEX, 1,
		VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED);
	add_irq(dev, VFIO_PCI_ERR_IRQ_INDEX, 1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
	add_irq(dev, VFIO_PCI_REQ_IRQ_INDEX, 1, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
	return dev;
}

void fake_vfio_region(struct fake_vfio_device *dev, unsigned index, uint64_t size, uint32_t flags,
		      uint32_t bar_bits)
{
	dev->regions[index].size = size;
	dev->regions[index].flags = flags;
	if (index <= VFIO_PCI_BAR5_REGION_INDEX)
		fake_vfio_config_put(dev, PCI_BASE_ADDRESS_0 + 4 * index, 4, bar_bits);
}

uint8_t *fake_vfio_memory(struct fake_vfio_device *dev, unsigned index, uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->memory,
			    (off_t)index << REGION_SHIFT);

	assert(memory != MAP_FAILED);
	return memory;
}

uint32_t fake_vfio_config_get(const struct fake_vfio_device *dev, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)dev->config[offset + i] << (8 * i);
	return value;
}

void fake_vfio_config_put(struct fake_vfio_device *dev, unsigned offset, unsigned size,
			  uint32_t value)
{
	for (unsigned i = 0; i < size && dev->config; i++)
		dev->config[offset + i] = (uint8_t)(value >> (8 * i));
}

void fake_vfio_capability(struct fake_vfio_device *dev, uint8_t offset, uint8_t id)
{
	unsigned link = PCI_CAPABILITY_LIST;

	for (unsigned hops = 0; dev->config[link] && hops < 48; hops++)
		link = dev->config[link] + PCI_CAP_LIST_NEXT;
	dev->config[link] = offset;
	dev->config[offset] = id;
	dev->config[offset + PCI_CAP_LIST_NEXT] = 0;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

void fake_vfio_msix(struct fake_vfio_device *dev, uint8_t offset, unsigned vectors,
		    unsigned table_bar, uint32_t table_offset, unsigned pba_bar,
		    uint32_t pba_offset)
{
	fake_vfio_capability(dev, offset, PCI_CAP_ID_MSIX);
	fake_vfio_config_put(dev, offset + PCI_MSIX_FLAGS, 2, vectors - 1);
	fake_vfio_config_put(dev, offset + PCI_MSIX_TABLE, 4, table_offset | table_bar);
	fake_vfio_config_put(dev, offset + PCI_MSIX_PBA, 4, pba_offset | pba_bar);
	add_irq(dev, VFIO_PCI_MSIX_IRQ_INDEX, vectors,
		VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
}

void fake_vfio_msi(struct fake_vfio_device *dev, uint8_t offset, unsigned vectors, bool is64,
		   bool maskable)
{
	unsigned order = 0;

	while (1u << order < vectors)
		order++;
	fake_vfio_capability(dev, offset, PCI_CAP_ID_MSI);
	fake_vfio_config_put(dev, offset + PCI_MSI_FLAGS, 2,
			     order << 1 | (is64 ? PCI_MSI_FLAGS_64BIT : 0) |
				     (maskable ? PCI_MSI_FLAGS_MASKBIT : 0));
	add_irq(dev, VFIO_PCI_MSI_IRQ_INDEX, vectors,
		VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
}

/* --- containers and groups --- */

static int container_get_info(struct vfio_iommu_type1_info *info, bool iommu_info)
{
	struct fake_vfio *host = &fake.host;
	struct vfio_iommu_type1_info_cap_iova_range *cap;
	uint32_t needed = sizeof(*info) + sizeof(*cap) +
			  host->iova_ranges_count * sizeof(struct vfio_iova_range);

	if (info->argsz < offsetof(struct vfio_iommu_type1_info, cap_offset))
		return -EINVAL;
	info->flags = VFIO_IOMMU_INFO_PGSIZES;
	info->iova_pgsizes = (uint64_t)host->page_size;
	if (!iommu_info)
		return 0;
	info->flags |= VFIO_IOMMU_INFO_CAPS;
	if (info->argsz < needed) {
		info->argsz = needed;
		if (info->argsz >= sizeof(*info))
			info->cap_offset = 0;
		return 0;
	}
	cap = (void *)(info + 1);
	info->cap_offset = sizeof(*info);
	cap->header = (struct vfio_info_cap_header){ VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0 };
	cap->nr_iovas = host->iova_ranges_count;
	cap->reserved = 0;
	memcpy(cap->iova_ranges, host->iova_ranges,
	       host->iova_ranges_count * sizeof(struct vfio_iova_range));
	return 0;
}

static bool iova_allowed(uint64_t iova, uint64_t size)
{
	for (unsigned i = 0; i < fake.host.iova_ranges_count; i++)
		if (iova >= fake.host.iova_ranges[i].start &&
		    iova + size - 1 <= fake.host.iova_ranges[i].end)
			return true;
	return false;
}

static int container_map(const struct vfio_iommu_type1_dma_map *map)
{
	struct fake_vfio *host = &fake.host;
	uint64_t mask = (uint64_t)host->page_size - 1;

	if (map->argsz < sizeof(*map) || !map->size ||
	    ((map->iova | map->size | map->vaddr) & mask) || map->iova + map->size - 1 < map->iova)
		return -EINVAL;
	if (!host->iommu_set || !iova_allowed(map->iova, map->size))
		return -EINVAL;
	for (unsigned i = 0; i < host->maps_count; i++)
		if (map->iova < host->maps[i].iova + host->maps[i].size &&
		    host->maps[i].iova < map->iova + map->size)
			return -EEXIST;
	assert(host->maps_count < 16);
	host->maps[host->maps_count++] =
		(struct fake_vfio_map){ map->iova, map->size, map->vaddr, map->flags };
	host->maps_ever++;
	return 0;
}

/* type1v2: a mapping is undone as a whole or not at all. */
static int container_unmap(struct vfio_iommu_type1_dma_unmap *unmap)
{
	struct fake_vfio *host = &fake.host;

	if (unmap->argsz < sizeof(*unmap))
		return -EINVAL;
	for (unsigned i = 0; i < host->maps_count; i++) {
		if (host->maps[i].iova != unmap->iova || host->maps[i].size != unmap->size)
			continue;
		host->maps[i] = host->maps[--host->maps_count];
		return 0;
	}
	unmap->size = 0;
	return 0;
}

static bool any_group_attached(void)
{
	for (unsigned i = 0; i < fake.host.groups_count; i++)
		if (fake.host.groups[i].in_container && object_open(&fake.host.groups[i]))
			return true;
	return false;
}

static int container_ioctl(unsigned long request, void *arg, unsigned long value)
{
	struct fake_vfio *host = &fake.host;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return value == VFIO_TYPE1_IOMMU || (value == VFIO_TYPE1v2_IOMMU && host->type1v2);
	case VFIO_SET_IOMMU:
		if (!any_group_attached())
			return -EINVAL;
		if (host->iommu_set || value != VFIO_TYPE1v2_IOMMU || !host->type1v2)
			return -ENODEV;
		host->iommu_set = true;
		return 0;
	case VFIO_IOMMU_GET_INFO:
		return host->iommu_set ? container_get_info(arg, host->iommu_info) : -EINVAL;
	case VFIO_IOMMU_MAP_DMA:
		return container_map(arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return container_unmap(arg);
	default:
		return -ENOTTY;
	}
}

static int group_get_device(struct fake_vfio_group *group, const char *bdf)
{
	struct fake_vfio_device *dev = fake_vfio_device(bdf);

	if (!group->in_container || !fake.host.iommu_set)
		return -EINVAL;
	if (!dev || dev->group != group->number)
		return -ENODEV;
	return fake_vfio_open_device(dev);
}

static int group_ioctl(struct fake_vfio_group *group, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	struct handle *container;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		if (status->argsz < sizeof(*status))
			return -EINVAL;
		status->flags = (group->viable ? VFIO_GROUP_FLAGS_VIABLE : 0) |
				(group->in_container ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		container = handle_of(*(int *)arg);
		if (!container || container->kind != CONTAINER)
			return -EBADF;
		if (group->in_container)
			return -EINVAL;
		if (!group->viable)
			return -EPERM;
		group->in_container = true;
		return 0;
	case VFIO_GROUP_UNSET_CONTAINER:
		if (!group->in_container)
			return -EINVAL;
		for (unsigned i = 0; i < fake.host.devices_count; i++)
			if (fake.host.devices[i].group == group->number &&
			    object_open(&fake.host.devices[i]))
				return -EBUSY;
		group->in_container = false;
		fake.host.iommu_set = any_group_attached();
		if (!fake.host.iommu_set)
			fake.host.maps_count = 0;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device(group, arg);
	default:
		return -ENOTTY;
	}
}

/* --- devices --- */

int fake_vfio_open_device(struct fake_vfio_device *dev)
{
	if (object_open(dev))
		return -EBUSY;
	dev->opens++;
	dev->open = true;
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		dev->irqs[i].enabled = false;
		dev->irqs[i].masked = false;
		dev->irqs[i].unmask_fd = -1;
		memset(dev->irqs[i].trigger, -1, sizeof(dev->irqs[i].trigger));
	}
	dev->fd = hand_out(DEVICE, dev, dev->bdf);
	return dev->fd;
}

static uint32_t region_caps_size(const struct fake_vfio_region *region)
{
	uint32_t size = 0;

	if (region->sparse_count)
		size += sizeof(struct vfio_region_info_cap_sparse_mmap) +
			region->sparse_count * sizeof(region->sparse[0]);
	if (region->msix_mappable)
		size += sizeof(struct vfio_info_cap_header);
	return size;
}

static void put_region_caps(const struct fake_vfio_region *region, struct vfio_region_info *info)
{
	struct vfio_region_info_cap_sparse_mmap *sparse;
	struct vfio_info_cap_header *header;
	uint32_t at = sizeof(*info);

	info->cap_offset = at;
	if (region->msix_mappable) {
		header = (void *)((uint8_t *)info + at);
		at += sizeof(*header);
		*header = (struct vfio_info_cap_header){ VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1,
							 region->sparse_count ? at : 0 };
	}
	if (region->sparse_count) {
		sparse = (void *)((uint8_t *)info + at);
		sparse->header =
			(struct vfio_info_cap_header){ VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0 };
		sparse->nr_areas = region->sparse_count;
		sparse->reserved = 0;
		memcpy(sparse->areas, region->sparse,
		       region->sparse_count * sizeof(region->sparse[0]));
	}
}

static int device_region_info(struct fake_vfio_device *dev, struct vfio_region_info *info)
{
	const struct fake_vfio_region *region;
	uint32_t caps;

	if (info->argsz < offsetof(struct vfio_region_info, offset) + 8 ||
	    info->index >= dev->num_regions || info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	region = &dev->regions[info->index];
	caps = region_caps_size(region);
	info->flags = region->flags;
	info->cap_offset = 0;
	info->size = region->size;
	info->offset = (uint64_t)info->index << REGION_SHIFT;
	if (!caps)
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz < sizeof(*info) + caps)
		info->argsz = sizeof(*info) + caps;
	else
		put_region_caps(region, info);
	return 0;
}

static int device_irq_info(struct fake_vfio_device *dev, struct vfio_irq_info *info)
{
	if (info->argsz < sizeof(*info) || info->index >= dev->num_irqs ||
	    info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	/* The kernel knows no ERR interrupt for a function that is not PCI Express. */
	if (info->index == VFIO_PCI_ERR_IRQ_INDEX && !dev->irqs[info->index].count)
		return -EINVAL;
	info->flags = dev->irqs[info->index].flags;
	info->count = dev->irqs[info->index].count;
	return 0;
}

static void irq_disable(struct fake_vfio_irq *irq)
{
	irq->enabled = false;
	irq->enabled_count = 0;
	irq->unmask_fd = -1;
	irq->masked = false;
	memset(irq->trigger, -1, sizeof(irq->trigger));
}

static bool other_mode_enabled(const struct fake_vfio_device *dev, uint32_t index)
{
	for (uint32_t i = VFIO_PCI_INTX_IRQ_INDEX; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		if (i != index && dev->irqs[i].enabled)
			return true;
	return false;
}

static int set_msi(struct fake_vfio_device *dev, const struct vfio_irq_set *set)
{
	struct fake_vfio_irq *irq = &dev->irqs[set->index];
	const int32_t *fds = (const void *)set->data;
	bool eventfd = set->flags & VFIO_IRQ_SET_DATA_EVENTFD;

	if ((set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	if (irq->enabled && !set->count && (set->flags & VFIO_IRQ_SET_DATA_NONE)) {
		irq_disable(irq);
		return 0;
	}
	if (other_mode_enabled(dev, set->index))
		return -EINVAL;
	if (!eventfd)
		return irq->enabled && set->start + set->count <= irq->enabled_count ? 0 : -EINVAL;
	if (!irq->enabled) {
		irq->enabled = true;
		irq->enabled_count = set->start + set->count;
	}
	if (set->start + set->count > irq->enabled_count) {
		if (irq->flags & VFIO_IRQ_INFO_NORESIZE)
			return -EINVAL;
		irq->enabled_count = set->start + set->count;
	}
	for (uint32_t i = 0; i < set->count; i++)
		irq->trigger[set->start + i] = fds[i];
	return 0;
}

static int set_intx_trigger(struct fake_vfio_device *dev, const struct vfio_irq_set *set)
{
	struct fake_vfio_irq *irq = &dev->irqs[set->index];

	if (irq->enabled && !set->count && (set->flags & VFIO_IRQ_SET_DATA_NONE)) {
		irq_disable(irq);
		return 0;
	}
	if (other_mode_enabled(dev, set->index) || set->start || set->count != 1)
		return -EINVAL;
	if (!(set->flags & VFIO_IRQ_SET_DATA_EVENTFD))
		return irq->enabled ? 0 : -EINVAL;
	memcpy(&irq->trigger[0], set->data, sizeof(int32_t));
	irq->enabled = irq->trigger[0] >= 0;
	return 0;
}

static int set_intx(struct fake_vfio_device *dev, const struct vfio_irq_set *set)
{
	struct fake_vfio_irq *irq = &dev->irqs[set->index];
	uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;

	if (action == VFIO_IRQ_SET_ACTION_TRIGGER)
		return set_intx_trigger(dev, set);
	if (!irq->enabled || set->start || set->count != 1)
		return -EINVAL;
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (action == VFIO_IRQ_SET_ACTION_MASK)
			return -ENOTTY;
		memcpy(&irq->unmask_fd, set->data, sizeof(int32_t));
		return 0;
	}
	irq->masked = action == VFIO_IRQ_SET_ACTION_MASK;
	return 0;
}

/* ERR and REQ: one eventfd each. */
static int set_single(struct fake_vfio_irq *irq, const struct vfio_irq_set *set)
{
	if ((set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	if (set->start || set->count > 1)
		return -EINVAL;
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		memcpy(&irq->trigger[0], set->data, sizeof(int32_t));
	else if (!set->count)
		irq->trigger[0] = -1;
	irq->enabled = irq->trigger[0] >= 0;
	return 0;
}

/* As vfio_set_irqs_validate_and_prepare(). */
static int set_irqs_valid(const struct fake_vfio_device *dev, const struct vfio_irq_set *set)
{
	uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	uint64_t each = data == VFIO_IRQ_SET_DATA_EVENTFD ? 4
			: data == VFIO_IRQ_SET_DATA_BOOL  ? 1
							  : 0;

	if (set->argsz < sizeof(*set) || set->index >= dev->num_irqs ||
	    set->index >= VFIO_PCI_NUM_IRQS || (set->flags & ~EVENTFD_AND_KIND) ||
	    __builtin_popcount(data) != 1 || __builtin_popcount(action) != 1)
		return -EINVAL;
	if ((uint64_t)set->start + set->count > dev->irqs[set->index].count)
		return -EINVAL;
	return set->argsz - sizeof(*set) < each * set->count ? -EINVAL : 0;
}

static int device_set_irqs(struct fake_vfio_device *dev, const struct vfio_irq_set *set)
{
	struct fake_vfio_set_irqs *log;
	int result = set_irqs_valid(dev, set);

	if (!result)
		result = failing(VFIO_DEVICE_SET_IRQS);
	if (!result && set->index == VFIO_PCI_INTX_IRQ_INDEX)
		result = set_intx(dev, set);
	else if (!result && set->index <= VFIO_PCI_MSIX_IRQ_INDEX)
		result = set_msi(dev, set);
	else if (!result)
		result = set_single(&dev->irqs[set->index], set);
	if (dev->set_irqs_count < FAKE_VFIO_LOG) {
		log = &dev->set_irqs[dev->set_irqs_count];
		*log = (struct fake_vfio_set_irqs){ set->flags, set->index, set->start,
						    set->count, -1,         result };
		if (set->count && (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) &&
		    set->argsz >= sizeof(*set) + 4)
			memcpy(&log->first_fd, set->data, 4);
	}
	dev->set_irqs_count++;
	return result;
}

static void put_dependent(struct vfio_pci_dependent_device *dependent, const char *bdf, int group)
{
	unsigned domain, bus, slot, fn;

	assert(sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) == 4);
	*dependent = (struct vfio_pci_dependent_device){ (uint32_t)group, (uint16_t)domain,
							 (uint8_t)bus, (uint8_t)(slot << 3 | fn) };
}

static int device_hot_reset_info(struct fake_vfio_device *dev, struct vfio_pci_hot_reset_info *info)
{
	unsigned count = dev->hot_reset_others + 1;

	if (!dev->hot_reset)
		return -ENODEV;
	if (info->argsz < sizeof(*info))
		return -EINVAL;
	info->flags = 0;
	info->count = count;
	if (info->argsz < sizeof(*info) + count * sizeof(info->devices[0]))
		return -ENOSPC;
	put_dependent(&info->devices[0], dev->bdf, dev->group);
	for (unsigned i = 0; i < dev->hot_reset_others; i++)
		put_dependent(&info->devices[i + 1], dev->hot_reset_with[i],
			      dev->hot_reset_groups[i]);
	return 0;
}

static bool group_given(const struct vfio_pci_hot_reset *reset, int number)
{
	for (uint32_t i = 0; i < reset->count; i++) {
		struct handle *handle = handle_of(reset->group_fds[i]);

		if (handle && handle->kind == GROUP &&
		    ((struct fake_vfio_group *)handle->object)->number == number)
			return true;
	}
	return false;
}

static int device_hot_reset(struct fake_vfio_device *dev, const struct vfio_pci_hot_reset *reset)
{
	if (!dev->hot_reset || reset->argsz < sizeof(*reset) + 4 * reset->count || reset->flags)
		return -EINVAL;
	if (!group_given(reset, dev->group))
		return -EINVAL;
	for (unsigned i = 0; i < dev->hot_reset_others; i++)
		if (!group_given(reset, dev->hot_reset_groups[i]))
			return -EINVAL;
	dev->hot_resets++;
	fake_vfio_config_put(dev, PCI_COMMAND, 2, 0);
	return 0;
}

static int device_reset(struct fake_vfio_device *dev)
{
	if (!(dev->flags & VFIO_DEVICE_FLAGS_RESET))
		return -EINVAL;
	dev->resets++;
	fake_vfio_config_put(dev, PCI_COMMAND, 2, 0);
	return 0;
}

static int device_ioctl(struct fake_vfio_device *dev, unsigned long request, void *arg)
{
	struct vfio_device_info *info = arg;

	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		if (info->argsz < offsetof(struct vfio_device_info, num_irqs) + 4)
			return -EINVAL;
		info->flags = dev->flags;
		info->num_regions = dev->num_regions;
		info->num_irqs = dev->num_irqs;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return device_region_info(dev, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return device_irq_info(dev, arg);
	case VFIO_DEVICE_SET_IRQS:
		return device_set_irqs(dev, arg);
	case VFIO_DEVICE_RESET:
		return device_reset(dev);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return device_hot_reset_info(dev, arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return device_hot_reset(dev, arg);
	default:
		return -ENOTTY;
	}
}

bool fake_vfio_trigger(struct fake_vfio_device *dev, uint32_t index, uint32_t vector)
{
	struct fake_vfio_irq *irq = &dev->irqs[index];
	bool raised = false;

	pthread_mutex_lock(&fake.lock);
	if (vector < FAKE_VFIO_VECTORS && irq->trigger[vector] >= 0 && !irq->masked) {
		raised = eventfd_write(irq->trigger[vector], 1) == 0;
		irq->masked = index == VFIO_PCI_INTX_IRQ_INDEX;
	}
	pthread_mutex_unlock(&fake.lock);
	return raised;
}

/* --- the door --- */

static int open_group(int number)
{
	struct fake_vfio_group *group = group_numbered(number);

	if (!group)
		return -ENOENT;
	if (object_open(group))
		return -EBUSY;
	group->opens++;
	group->in_container = false;
	group->fd = hand_out(GROUP, group, "group");
	return group->fd;
}

/* Any path that ends in /vfio/vfio or /vfio/NUMBER, so that a test's /dev may lie anywhere. */
int vfio_open_path(const char *path)
{
	const char *name = strrchr(path, '/');
	char *end;
	long number;
	int result;

	assert(name);
	pthread_mutex_lock(&fake.lock);
	result = failing(FAKE_VFIO_OPEN);
	number = strtol(name + 1, &end, 10);
	if (!result && !strcmp(name, "/vfio")) {
		fake.host.containers_opened++;
		fake.host.iommu_set = false;
		result = hand_out(CONTAINER, &fake.host, "container");
	} else if (!result) {
		result = *end ? -ENOENT : open_group((int)number);
	}
	pthread_mutex_unlock(&fake.lock);
	return result;
}

static int dispatch(int fd, unsigned long request, void *arg, unsigned long value)
{
	struct handle *handle;
	int result = -EBADF;

	pthread_mutex_lock(&fake.lock);
	handle = handle_of(fd);
	if (_IOC_TYPE(request) == VFIO_TYPE && _IOC_NR(request) >= VFIO_BASE &&
	    _IOC_NR(request) < VFIO_BASE + 64)
		fake.host.calls[_IOC_NR(request) - VFIO_BASE]++;
	if (handle)
		/* SET_IRQS asks later, to have the call in its log. */
		result = request == VFIO_DEVICE_SET_IRQS ? 0 : failing(request);
	if (handle && !result && handle->kind == CONTAINER)
		result = container_ioctl(request, arg, value);
	else if (handle && !result && handle->kind == GROUP)
		result = group_ioctl(handle->object, request, arg);
	else if (handle && !result)
		result = device_ioctl(handle->object, request, arg);
	pthread_mutex_unlock(&fake.lock);
	return result;
}

int vfio_ioctl_call(int fd, unsigned long request, void *arg)
{
	return dispatch(fd, request, arg, 0);
}

int vfio_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	return dispatch(fd, request, NULL, value);
}

/* The kernel reads and writes up to a region's end; beyond it there is nothing. */
static int64_t access_region(int fd, void *buf, uint64_t len, uint64_t offset, bool write)
{
	struct fake_vfio_device *dev = fake_vfio_device_of_fd(fd);
	uint64_t index = offset >> REGION_SHIFT, at = offset & (((uint64_t)1 << REGION_SHIFT) - 1);
	int64_t done;

	if (!dev)
		return -EBADF;
	if (index >= VFIO_PCI_NUM_REGIONS || at >= dev->regions[index].size)
		return -EINVAL;
	if (!(dev->regions[index].flags &
	      (write ? VFIO_REGION_INFO_FLAG_WRITE : VFIO_REGION_INFO_FLAG_READ)))
		return -EINVAL;
	if (len > dev->regions[index].size - at)
		len = dev->regions[index].size - at;
	done = write ? pwrite(dev->memory, buf, len, (off_t)offset)
		     : pread(dev->memory, buf, len, (off_t)offset);
	if (dev->accesses_count < FAKE_VFIO_LOG) {
		struct fake_vfio_access *log = &dev->accesses[dev->accesses_count];

		*log = (struct fake_vfio_access){ write, (uint32_t)index, at, len, 0 };
		memcpy(&log->value, buf, len < 8 ? len : 8);
	}
	dev->accesses_count++;
	return done < 0 ? -errno : done;
}

int64_t vfio_pread(int fd, void *buf, uint64_t len, uint64_t offset)
{
	int64_t result;

	pthread_mutex_lock(&fake.lock);
	result = failing(FAKE_VFIO_PREAD);
	if (!result)
		result = access_region(fd, buf, len, offset, false);
	pthread_mutex_unlock(&fake.lock);
	return result;
}

int64_t vfio_pwrite(int fd, const void *buf, uint64_t len, uint64_t offset)
{
	int64_t result;

	pthread_mutex_lock(&fake.lock);
	result = failing(FAKE_VFIO_PWRITE);
	if (!result)
		result = access_region(fd, (void *)buf, len, offset, true);
	pthread_mutex_unlock(&fake.lock);
	return result;
}

static int mmap_allowed(const struct fake_vfio_region *region, uint64_t at, uint64_t len)
{
	uint64_t mask = (uint64_t)fake.host.page_size - 1;

	if (!(region->flags & VFIO_REGION_INFO_FLAG_MMAP) || !len || ((at | len) & mask) ||
	    at >= region->size || len > region->size - at)
		return -EINVAL;
	if (!region->sparse_count)
		return 0;
	for (unsigned i = 0; i < region->sparse_count; i++)
		if (at >= region->sparse[i].offset &&
		    at + len <= region->sparse[i].offset + region->sparse[i].size)
			return 0;
	return -EINVAL;
}

static int map_region(int fd, uint64_t len, uint64_t offset, int prot, void **addr)
{
	struct fake_vfio_device *dev = fake_vfio_device_of_fd(fd);
	uint64_t index = offset >> REGION_SHIFT, at = offset & (((uint64_t)1 << REGION_SHIFT) - 1);
	int result = failing(FAKE_VFIO_MMAP);

	if (result)
		return result;
	if (!dev)
		return -EBADF;
	if (index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	result = mmap_allowed(&dev->regions[index], at, len);
	if (result)
		return result;
	*addr = mmap(NULL, len, prot, MAP_SHARED, dev->memory, (off_t)offset);
	if (*addr == MAP_FAILED)
		return -errno;
	dev->mappings++;
	dev->mapped_ever++;
	return 0;
}

void *vfio_mmap(int fd, uint64_t len, uint64_t offset, int prot)
{
	void *addr = NULL;
	int result;

	pthread_mutex_lock(&fake.lock);
	result = map_region(fd, len, offset, prot, &addr);
	pthread_mutex_unlock(&fake.lock);
	if (result) {
		errno = -result;
		return NULL;
	}
	return addr;
}

/* Which device a mapping is of is not kept: an unmap beyond all mappings is what end() would miss. */
void vfio_munmap(void *addr, uint64_t len)
{
	pthread_mutex_lock(&fake.lock);
	assert(!munmap(addr, len));
	for (unsigned i = 0; i < fake.host.devices_count; i++) {
		if (fake.host.devices[i].mappings) {
			fake.host.devices[i].mappings--;
			break;
		}
	}
	pthread_mutex_unlock(&fake.lock);
}

long vfio_host_page_size(void)
{
	return fake.host.page_size;
}

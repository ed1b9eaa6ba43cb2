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
#include "fake_vfio_state.h"

struct fake_state fake_state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static bool handle_open(const struct fake_handle *handle)
{
	return inode_of(handle->fd) == handle->inode;
}

struct fake_handle *fake_handle_of(int fd)
{
	for (unsigned i = fake_state.handles_count; i-- > 0;)
		if (fake_state.handles[i].fd == fd && handle_open(&fake_state.handles[i]))
			return &fake_state.handles[i];
	return NULL;
}

bool fake_object_open(const void *object)
{
	for (unsigned i = 0; i < fake_state.handles_count; i++)
		if (fake_state.handles[i].object == object && handle_open(&fake_state.handles[i]))
			return true;
	return false;
}

/* Slots of closed handles are used again. */
int fake_hand_out(enum fake_kind kind, void *object, const char *name)
{
	unsigned i = 0;
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert(fd >= 0);
	while (i < fake_state.handles_count && handle_open(&fake_state.handles[i]))
		i++;
	assert(i < FAKE_HANDLES);
	if (i == fake_state.handles_count)
		fake_state.handles_count++;
	fake_state.handles[i] = (struct fake_handle){ kind, fd, inode_of(fd), object };
	return fd;
}

unsigned fake_vfio_fds(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake_state.handles_count; i++)
		count += handle_open(&fake_state.handles[i]);
	return count;
}

void fake_vfio_fail(unsigned long request, int err, unsigned skip, unsigned times)
{
	assert(fake_state.failures_count < FAKE_FAILURES);
	fake_state.failures[fake_state.failures_count++] =
		(struct fake_failure){ request, err, skip, times };
}

int fake_failing(unsigned long request)
{
	for (unsigned i = 0; i < fake_state.failures_count; i++) {
		struct fake_failure *failure = &fake_state.failures[i];

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
	struct fake_vfio *host = &fake_state.host;

	for (unsigned i = 0; i < host->devices_count; i++) {
		munmap(host->devices[i].config, 4096);
		close(host->devices[i].memory);
	}
	memset(host, 0, sizeof(*host));
	memset(fake_state.mappings, 0, sizeof(fake_state.mappings));
	fake_state.handles_count = 0;
	fake_state.failures_count = 0;
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
	assert(fake_state.host.maps_count == 0);
	for (unsigned i = 0; i < fake_state.host.devices_count; i++)
		assert(fake_state.host.devices[i].mappings == 0);
	fake_vfio_begin();
}

/* --- what the host has --- */

static struct fake_vfio_group *group_numbered(int number)
{
	for (unsigned i = 0; i < fake_state.host.groups_count; i++)
		if (fake_state.host.groups[i].number == number)
			return &fake_state.host.groups[i];
	return NULL;
}

struct fake_vfio_device *fake_vfio_device(const char *bdf)
{
	for (unsigned i = 0; i < fake_state.host.devices_count; i++)
		if (!strcmp(fake_state.host.devices[i].bdf, bdf))
			return &fake_state.host.devices[i];
	return NULL;
}

struct fake_vfio_device *fake_vfio_device_of_fd(int fd)
{
	struct fake_handle *handle = fake_handle_of(fd);

	return handle && handle->kind == FAKE_DEVICE ? handle->object : NULL;
}

static void add_irq(struct fake_vfio_device *dev, unsigned index, uint32_t count, uint32_t flags)
{
	dev->irqs[index].count = count;
	dev->irqs[index].flags = flags;
}

struct fake_vfio_device *fake_vfio_add(const char *bdf, int group, uint16_t vendor, uint16_t device)
{
	struct fake_vfio *host = &fake_state.host;
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
	assert(dev->memory >= 0 && !ftruncate(dev->memory, FAKE_MEMORY_SIZE));
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
			    (off_t)index << FAKE_REGION_SHIFT);

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
	struct fake_vfio *host = &fake_state.host;
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
	for (unsigned i = 0; i < fake_state.host.iova_ranges_count; i++)
		if (iova >= fake_state.host.iova_ranges[i].start &&
		    iova + size - 1 <= fake_state.host.iova_ranges[i].end)
			return true;
	return false;
}

static int container_map(const struct vfio_iommu_type1_dma_map *map)
{
	struct fake_vfio *host = &fake_state.host;
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
	struct fake_vfio *host = &fake_state.host;

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
	for (unsigned i = 0; i < fake_state.host.groups_count; i++)
		if (fake_state.host.groups[i].in_container &&
		    fake_object_open(&fake_state.host.groups[i]))
			return true;
	return false;
}

static int container_ioctl(unsigned long request, void *arg, unsigned long value)
{
	struct fake_vfio *host = &fake_state.host;

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

	if (!group->in_container || !fake_state.host.iommu_set)
		return -EINVAL;
	if (!dev || dev->group != group->number)
		return -ENODEV;
	return fake_vfio_open_device(dev);
}

static int group_ioctl(struct fake_vfio_group *group, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	struct fake_handle *container;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		if (status->argsz < sizeof(*status))
			return -EINVAL;
		status->flags = (group->viable ? VFIO_GROUP_FLAGS_VIABLE : 0) |
				(group->in_container ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		container = fake_handle_of(*(int *)arg);
		if (!container || container->kind != FAKE_CONTAINER)
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
		for (unsigned i = 0; i < fake_state.host.devices_count; i++)
			if (fake_state.host.devices[i].group == group->number &&
			    fake_object_open(&fake_state.host.devices[i]))
				return -EBUSY;
		group->in_container = false;
		fake_state.host.iommu_set = any_group_attached();
		if (!fake_state.host.iommu_set)
			fake_state.host.maps_count = 0;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device(group, arg);
	default:
		return -ENOTTY;
	}
}

/* --- the door --- */

static int open_group(int number)
{
	struct fake_vfio_group *group = group_numbered(number);

	if (!group)
		return -ENOENT;
	if (fake_object_open(group))
		return -EBUSY;
	group->opens++;
	group->in_container = false;
	group->fd = fake_hand_out(FAKE_GROUP, group, "group");
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
	pthread_mutex_lock(&fake_state.lock);
	result = fake_failing(FAKE_VFIO_OPEN);
	number = strtol(name + 1, &end, 10);
	if (!result && !strcmp(name, "/vfio")) {
		fake_state.host.containers_opened++;
		fake_state.host.iommu_set = false;
		result = fake_hand_out(FAKE_CONTAINER, &fake_state.host, "container");
	} else if (!result) {
		result = *end ? -ENOENT : open_group((int)number);
	}
	pthread_mutex_unlock(&fake_state.lock);
	return result;
}

static int dispatch(int fd, unsigned long request, void *arg, unsigned long value)
{
	struct fake_handle *handle;
	int result = -EBADF;

	pthread_mutex_lock(&fake_state.lock);
	handle = fake_handle_of(fd);
	if (_IOC_TYPE(request) == VFIO_TYPE && _IOC_NR(request) >= VFIO_BASE &&
	    _IOC_NR(request) < VFIO_BASE + 64)
		fake_state.host.calls[_IOC_NR(request) - VFIO_BASE]++;
	if (handle)
		/* SET_IRQS asks later, to have the call in its log. */
		result = request == VFIO_DEVICE_SET_IRQS ? 0 : fake_failing(request);
	if (handle && !result && handle->kind == FAKE_CONTAINER)
		result = container_ioctl(request, arg, value);
	else if (handle && !result && handle->kind == FAKE_GROUP)
		result = group_ioctl(handle->object, request, arg);
	else if (handle && !result)
		result = fake_device_ioctl(handle->object, request, arg);
	pthread_mutex_unlock(&fake_state.lock);
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

long vfio_host_page_size(void)
{
	return fake_state.host.page_size;
}

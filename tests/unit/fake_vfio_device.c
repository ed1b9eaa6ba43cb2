// SPDX-License-Identifier: GPL-2.0-only
/* The devices of the fake VFIO: their ioctls, regions and mappings. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <lkvm/vfio_doorbell.h>
#include "../../vfio/device.h"
#include "fake_vfio_state.h"

#define EVENTFD_AND_KIND (VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)

/* --- devices --- */

int fake_vfio_open_device(struct fake_vfio_device *dev)
{
	if (fake_object_open(dev))
		return -EBUSY;
	dev->opens++;
	dev->open = true;
	dev->doorbell = 0;
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		dev->irqs[i].enabled = false;
		dev->irqs[i].masked = false;
		dev->irqs[i].unmask_fd = -1;
		memset(dev->irqs[i].trigger, -1, sizeof(dev->irqs[i].trigger));
	}
	dev->fd = fake_hand_out(FAKE_DEVICE, dev, dev->bdf);
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
	info->offset = (uint64_t)info->index << FAKE_REGION_SHIFT;
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
		result = fake_failing(VFIO_DEVICE_SET_IRQS);
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
		struct fake_handle *handle = fake_handle_of(reset->group_fds[i]);

		if (handle && handle->kind == FAKE_GROUP &&
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

static bool live(const struct fake_vfio_device *dev)
{
	return dev->irqs[VFIO_PCI_MSI_IRQ_INDEX].enabled ||
	       dev->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled;
}

static bool may_be_doorbell(uint64_t iova)
{
	const struct fake_vfio *host = &fake_state.host;
	uint64_t page = (uint64_t)host->page_size;

	for (unsigned i = 0; i < host->iova_ranges_count && !(iova & (page - 1)); i++)
		if (iova >= host->iova_ranges[i].start &&
		    iova + page - 1 <= host->iova_ranges[i].end)
			return true;
	return false;
}

static int doorbell_set(struct fake_vfio_device *dev,
			const struct vfio_device_feature_msi_doorbell *doorbell)
{
	const struct fake_vfio *host = &fake_state.host;

	if (doorbell->phys || doorbell->offset || doorbell->flags ||
	    (doorbell->iova && !may_be_doorbell(doorbell->iova)))
		return -EINVAL;
	if (live(dev) || dev->irqs[VFIO_PCI_INTX_IRQ_INDEX].enabled)
		return -EBUSY;
	for (unsigned i = 0; i < host->maps_count; i++)
		if (doorbell->iova - host->maps[i].iova < host->maps[i].size)
			return -EEXIST;
	dev->doorbell = doorbell->iova;
	dev->doorbell_sets++;
	return 0;
}

static void doorbell_get(const struct fake_vfio_device *dev,
			 struct vfio_device_feature_msi_doorbell *doorbell)
{
	*doorbell = (struct vfio_device_feature_msi_doorbell){
		.flags = (dev->doorbell ? VFIO_MSI_DOORBELL_USER : 0) |
			 (live(dev) ? VFIO_MSI_DOORBELL_LIVE : 0),
	};
	if (!dev->doorbell && dev->irqs[VFIO_PCI_INTX_IRQ_INDEX].enabled)
		return;
	doorbell->flags |= VFIO_MSI_DOORBELL_KNOWN;
	doorbell->iova = dev->doorbell ? dev->doorbell : FAKE_VFIO_DOORBELL_IOVA;
	doorbell->phys = FAKE_VFIO_DOORBELL_PHYS;
	doorbell->offset = 0x40;
}

static int device_feature(struct fake_vfio_device *dev, struct vfio_device_feature *feature)
{
	struct vfio_device_feature_msi_doorbell *doorbell = (void *)feature->data;
	bool has_msi =
		dev->irqs[VFIO_PCI_MSI_IRQ_INDEX].count || dev->irqs[VFIO_PCI_MSIX_IRQ_INDEX].count;

	if (!fake_state.host.doorbell ||
	    (feature->flags & VFIO_DEVICE_FEATURE_MASK) != VFIO_DEVICE_FEATURE_MSI_DOORBELL)
		return -ENOTTY;
	if (!has_msi || dev->msi_untranslated)
		return -EOPNOTSUPP;
	if (feature->flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (feature->argsz < sizeof(*feature) + sizeof(*doorbell))
		return -EINVAL;
	if (feature->flags & VFIO_DEVICE_FEATURE_SET)
		return doorbell_set(dev, doorbell);
	doorbell_get(dev, doorbell);
	return 0;
}

int fake_device_ioctl(struct fake_vfio_device *dev, unsigned long request, void *arg)
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
	case VFIO_DEVICE_FEATURE:
		return device_feature(dev, arg);
	default:
		return -ENOTTY;
	}
}

bool fake_vfio_trigger(struct fake_vfio_device *dev, uint32_t index, uint32_t vector)
{
	struct fake_vfio_irq *irq = &dev->irqs[index];
	bool raised = false;

	pthread_mutex_lock(&fake_state.lock);
	if (vector < FAKE_VFIO_VECTORS && irq->trigger[vector] >= 0 && !irq->masked) {
		raised = eventfd_write(irq->trigger[vector], 1) == 0;
		irq->masked = index == VFIO_PCI_INTX_IRQ_INDEX;
	}
	pthread_mutex_unlock(&fake_state.lock);
	return raised;
}

static int64_t access_region(int fd, void *buf, uint64_t len, uint64_t offset, bool write)
{
	struct fake_vfio_device *dev = fake_vfio_device_of_fd(fd);
	uint64_t index = offset >> FAKE_REGION_SHIFT,
		 at = offset & (((uint64_t)1 << FAKE_REGION_SHIFT) - 1);
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

	pthread_mutex_lock(&fake_state.lock);
	result = fake_failing(FAKE_VFIO_PREAD);
	if (!result)
		result = access_region(fd, buf, len, offset, false);
	pthread_mutex_unlock(&fake_state.lock);
	return result;
}

int64_t vfio_pwrite(int fd, const void *buf, uint64_t len, uint64_t offset)
{
	int64_t result;

	pthread_mutex_lock(&fake_state.lock);
	result = fake_failing(FAKE_VFIO_PWRITE);
	if (!result)
		result = access_region(fd, (void *)buf, len, offset, true);
	pthread_mutex_unlock(&fake_state.lock);
	return result;
}

/* A region smaller than a page has the rest of its page (vfio_pci_core_mmap()). */
static int mmap_allowed(const struct fake_vfio_region *region, uint64_t at, uint64_t len)
{
	uint64_t mask = (uint64_t)fake_state.host.page_size - 1;
	uint64_t size = (region->size + mask) & ~mask;

	if (!(region->flags & VFIO_REGION_INFO_FLAG_MMAP) || !len || ((at | len) & mask) ||
	    at >= size || len > size - at)
		return -EINVAL;
	if (!region->sparse_count)
		return 0;
	for (unsigned i = 0; i < region->sparse_count; i++)
		if (at >= region->sparse[i].offset &&
		    at + len <= region->sparse[i].offset + region->sparse[i].size)
			return 0;
	return -EINVAL;
}

static void remember_mapping(struct fake_vfio_device *dev, void *addr, uint64_t len)
{
	struct fake_mapping *mapping = fake_state.mappings;

	while (mapping->addr)
		assert(++mapping < fake_state.mappings + FAKE_MAPPINGS);
	*mapping = (struct fake_mapping){ addr, len, dev };
	dev->mappings++;
	dev->mapped_ever++;
}

static int map_region(int fd, uint64_t len, uint64_t offset, int prot, void **addr)
{
	struct fake_vfio_device *dev = fake_vfio_device_of_fd(fd);
	uint64_t index = offset >> FAKE_REGION_SHIFT,
		 at = offset & (((uint64_t)1 << FAKE_REGION_SHIFT) - 1);
	int result = fake_failing(FAKE_VFIO_MMAP);

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
	remember_mapping(dev, *addr, len);
	return 0;
}

void *vfio_mmap(int fd, uint64_t len, uint64_t offset, int prot)
{
	void *addr = NULL;
	int result;

	pthread_mutex_lock(&fake_state.lock);
	result = map_region(fd, len, offset, prot, &addr);
	pthread_mutex_unlock(&fake_state.lock);
	if (result) {
		errno = -result;
		return NULL;
	}
	return addr;
}

/* Only what was mapped, and as it was mapped. */
void vfio_munmap(void *addr, uint64_t len)
{
	struct fake_mapping *mapping = fake_state.mappings;

	pthread_mutex_lock(&fake_state.lock);
	while (mapping->addr != addr)
		assert(++mapping < fake_state.mappings + FAKE_MAPPINGS);
	assert(mapping->len == len && !munmap(addr, len));
	mapping->dev->mappings--;
	mapping->addr = NULL;
	pthread_mutex_unlock(&fake_state.lock);
}

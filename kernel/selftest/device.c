// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/pci_regs.h>
#include "device.h"
#include "tap.h"

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

static void must(int ret, const char *what, const char *which)
{
	if (ret < 0)
		bail_out("%s of %s: %s", what, which, strerror(-ret));
}

int container_new(void)
{
	int fd = result(open("/dev/vfio/vfio", O_RDWR));

	must(fd, "open", "/dev/vfio/vfio");
	return fd;
}

int group_open(const char *bdf)
{
	char path[64], link[256];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		bail_out("%s has no IOMMU group", bdf);
	link[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	if (access(path, F_OK)) /* VFIO has made up a group for a device without IOMMU. */
		snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", strrchr(link, '/') + 1);
	return result(open(path, O_RDWR));
}

int group_join(int group, int container)
{
	int ret = result(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));

	/* For the first group only; EINVAL for those that follow. */
	if (!ret)
		ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	return ret;
}

int group_leave(int group)
{
	return result(ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
}

int group_device(int group, const char *bdf)
{
	return result(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf));
}

void device_open(struct device *dev, const char *bdf, int container)
{
	dev->bdf = bdf;
	dev->group = group_open(bdf);
	must(dev->group, "open of the group", bdf);
	must(group_join(dev->group, container), "VFIO_GROUP_SET_CONTAINER", bdf);
	dev->fd = group_device(dev->group, bdf);
	must(dev->fd, "VFIO_GROUP_GET_DEVICE_FD", bdf);
}

void device_close(struct device *dev)
{
	close(dev->fd);
	if (dev->group >= 0)
		close(dev->group);
}

int container_map(int container, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = iova,
		.size = size,
	};
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (memory == MAP_FAILED)
		bail_out("no memory");
	map.vaddr = (uintptr_t)memory;
	ret = result(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
	/* What is mapped stays pinned. */
	munmap(memory, size);
	return ret;
}

static int unmap(int container, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.iova = iova,
		.size = size,
	};

	return result(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
}

int container_unmap(int container, uint64_t iova, uint64_t size)
{
	return unmap(container, iova, size, 0);
}

int container_unmap_all(int container)
{
	return unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}

static bool in_ranges(const struct vfio_iommu_type1_info_cap_iova_range *cap, uint64_t iova)
{
	uint32_t i;

	for (i = 0; i < cap->nr_iovas; i++) {
		if (iova <= cap->iova_ranges[i].end && iova + 0xfff >= cap->iova_ranges[i].start)
			return true;
	}
	return false;
}

bool container_offers(int container, uint64_t iova)
{
	char buffer[16384] = { 0 };
	struct vfio_iommu_type1_info *info = (void *)buffer;
	uint32_t offset;

	info->argsz = sizeof(buffer);
	must(result(ioctl(container, VFIO_IOMMU_GET_INFO, info)), "VFIO_IOMMU_GET_INFO",
	     "container");
	for (offset = info->cap_offset; offset;) {
		struct vfio_info_cap_header *header = (void *)(buffer + offset);

		if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			return in_ranges((void *)header, iova);
		offset = header->next;
	}
	bail_out("the container has no IOVA ranges");
}

int doorbell_feature(const struct device *dev, uint32_t flags, const void *data, uint32_t size)
{
	char buffer[256] = { 0 };
	struct vfio_device_feature *feature = (void *)buffer;
	int ret;

	feature->argsz = sizeof(*feature) + size;
	feature->flags = VFIO_DEVICE_FEATURE_MSI_DOORBELL | flags;
	if (data)
		memcpy(feature->data, data, size);
	ret = result(ioctl(dev->fd, VFIO_DEVICE_FEATURE, feature));
	if (!ret && data && flags == VFIO_DEVICE_FEATURE_GET)
		memcpy((void *)data, feature->data, size);
	return ret;
}

int doorbell_probe(const struct device *dev)
{
	return doorbell_feature(
		dev, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
		NULL, 0);
}

int doorbell_set(const struct device *dev, uint64_t iova)
{
	struct vfio_device_feature_msi_doorbell doorbell = { .iova = iova };

	return doorbell_feature(dev, VFIO_DEVICE_FEATURE_SET, &doorbell, sizeof(doorbell));
}

int doorbell_get(const struct device *dev, struct vfio_device_feature_msi_doorbell *doorbell)
{
	memset(doorbell, 0, sizeof(*doorbell));
	return doorbell_feature(dev, VFIO_DEVICE_FEATURE_GET, doorbell, sizeof(*doorbell));
}

int irq_count(const struct device *dev, int index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = (uint32_t)index };
	int ret = result(ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info));

	return ret ? ret : (int)info.count;
}

static int set_irqs(const struct device *dev, int index, int start, int n, const int *eventfds)
{
	char buffer[sizeof(struct vfio_irq_set) + 2048 * sizeof(int)] = { 0 };
	struct vfio_irq_set *set = (void *)buffer;

	set->argsz = sizeof(*set) + n * sizeof(int);
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		     (eventfds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = n;
	if (eventfds)
		memcpy(set->data, eventfds, n * sizeof(int));
	return result(ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, set));
}

int irq_enable(const struct device *dev, int index, int n, const int *eventfds)
{
	return set_irqs(dev, index, 0, n, eventfds);
}

int irq_signal(const struct device *dev, int index, int vector, int eventfd)
{
	return set_irqs(dev, index, vector, 1, &eventfd);
}

int irq_disable(const struct device *dev, int index)
{
	return set_irqs(dev, index, 0, 0, NULL);
}

void device_reset(const struct device *dev)
{
	must(result(ioctl(dev->fd, VFIO_DEVICE_RESET)), "VFIO_DEVICE_RESET", dev->bdf);
}

static off_t region(const struct device *dev, int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = (uint32_t)index };

	must(result(ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info)), "a region", dev->bdf);
	return info.offset;
}

static void access_region(bool write, const struct device *dev, off_t at, void *data, size_t size)
{
	ssize_t ret = write ? pwrite(dev->fd, data, size, at) : pread(dev->fd, data, size, at);

	if (ret != (ssize_t)size)
		bail_out("%s cannot be accessed at %#llx", dev->bdf, (unsigned long long)at);
}

void device_start(const struct device *dev)
{
	off_t at = region(dev, VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND;
	uint16_t command;

	access_region(false, dev, at, &command, sizeof(command));
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	access_region(true, dev, at, &command, sizeof(command));
}

uint32_t bar_read(const struct device *dev, int bar, uint64_t offset)
{
	uint32_t value;

	access_region(false, dev, region(dev, bar) + (off_t)offset, &value, sizeof(value));
	return value;
}

void bar_write(const struct device *dev, int bar, uint64_t offset, uint32_t value)
{
	access_region(true, dev, region(dev, bar) + (off_t)offset, &value, sizeof(value));
}

/* What the host itself sees of the device: nothing that VFIO virtualizes. */
static int sysfs_open(const struct device *dev, const char *name, int flags)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dev->bdf, name);
	fd = result(open(path, flags));
	must(fd, "open", path);
	return fd;
}

static uint32_t config_read(int config, int offset, size_t size)
{
	uint32_t value = 0;

	if (pread(config, &value, size, offset) != (ssize_t)size)
		bail_out("configuration space cannot be read at %#x", (unsigned int)offset);
	return value;
}

static int capability(int config, uint8_t id)
{
	int at;

	for (at = config_read(config, PCI_CAPABILITY_LIST, 1); at;
	     at = config_read(config, at + PCI_CAP_LIST_NEXT, 1)) {
		if (config_read(config, at, 1) == id)
			return at;
	}
	bail_out("no capability %#x", id);
}

uint64_t msi_address(const struct device *dev)
{
	int config = sysfs_open(dev, "config", O_RDONLY);
	int at = capability(config, PCI_CAP_ID_MSI);
	uint64_t address = config_read(config, at + PCI_MSI_ADDRESS_LO, 4);

	if (config_read(config, at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_64BIT)
		address |= (uint64_t)config_read(config, at + PCI_MSI_ADDRESS_HI, 4) << 32;
	close(config);
	return address;
}

uint64_t msix_address(const struct device *dev, int vector)
{
	int config = sysfs_open(dev, "config", O_RDONLY);
	uint32_t table =
		config_read(config, capability(config, PCI_CAP_ID_MSIX) + PCI_MSIX_TABLE, 4);
	uint64_t offset = (table & PCI_MSIX_TABLE_OFFSET) + vector * PCI_MSIX_ENTRY_SIZE;
	long page = sysconf(_SC_PAGESIZE);
	volatile uint32_t *entry;
	char name[16], *memory;
	uint64_t address;
	int bar;

	close(config);
	snprintf(name, sizeof(name), "resource%u", table & PCI_MSIX_TABLE_BIR);
	bar = sysfs_open(dev, name, O_RDWR | O_SYNC);
	memory = mmap(NULL, page, PROT_READ, MAP_SHARED, bar, offset & -page);
	close(bar);
	if (memory == MAP_FAILED)
		bail_out("the MSI-X table of %s cannot be mapped: %s", dev->bdf, strerror(errno));
	entry = (void *)(memory + (offset & (page - 1)));
	address = entry[0] | (uint64_t)entry[1] << 32;
	munmap(memory, page);
	return address;
}

int host_irq(const struct device *dev, const char *kind, int vector)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[512], name[64];
	int irq, found = -1;

	if (!file)
		bail_out("no /proc/interrupts");
	snprintf(name, sizeof(name), "vfio-%s[%d](%s)", kind, vector, dev->bdf);
	while (fgets(line, sizeof(line), file)) {
		if (strstr(line, name) && sscanf(line, "%d:", &irq) == 1)
			found = irq;
	}
	fclose(file);
	return found;
}

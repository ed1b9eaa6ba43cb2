// SPDX-License-Identifier: GPL-2.0-only
/* Who chooses the IOVA of a device's MSI doorbell, and whether that can be had. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include <lkvm/sizes.h>
#include "doorbell.h"
#include "irq.h"

/* Why an IOVA cannot be had: what completes "the MSI doorbell of DEVICE cannot be at IOVA ...: ". */
struct conflict {
	int err;
	char text[320];
};

static int __attribute__((format(printf, 3, 4)))
found(struct conflict *conflict, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(conflict->text, sizeof(conflict->text), fmt, args);
	va_end(args);
	conflict->err = err;
	return err;
}

/* --- VFIO_DEVICE_FEATURE --- */

static int feature(int fd, uint32_t operation, struct vfio_device_feature_msi_doorbell *doorbell)
{
	union {
		struct vfio_device_feature header;
		uint8_t bytes[sizeof(struct vfio_device_feature) + sizeof(*doorbell)];
	} arg = { .header = { sizeof(arg), operation | VFIO_DEVICE_FEATURE_MSI_DOORBELL } };
	uint8_t *data = arg.bytes + sizeof(arg.header);
	int err;

	memcpy(data, doorbell, sizeof(*doorbell));
	err = vfio_ioctl_call(fd, VFIO_DEVICE_FEATURE, &arg);
	memcpy(doorbell, data, sizeof(*doorbell));
	return err < 0 ? err : 0;
}

int vfio_doorbell_probe(int device_fd)
{
	struct vfio_device_feature_msi_doorbell none = { 0 };

	return feature(device_fd,
		       VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			       VFIO_DEVICE_FEATURE_SET,
		       &none);
}

int vfio_doorbell_get(const struct vfio_device *dev,
		      struct vfio_device_feature_msi_doorbell *doorbell)
{
	int err;

	*doorbell = (struct vfio_device_feature_msi_doorbell){ 0 };
	err = feature(dev->fd, VFIO_DEVICE_FEATURE_GET, doorbell);
	if (!err && !(doorbell->flags & VFIO_MSI_DOORBELL_KNOWN))
		err = -ENODATA;
	return err;
}

/* --- what may be in the way --- */

static bool overlap(uint64_t start, uint64_t end, uint64_t other, uint64_t other_end)
{
	return start <= other_end && other <= end;
}

static int check_reserved(const struct vfio *vfio, uint64_t start, uint64_t end,
			  struct conflict *conflict)
{
	struct sysfs_reserved reserved[SYSFS_RESERVED_MAX];

	for (size_t g = 0; g < vfio->groups_count; g++) {
		const struct vfio_group *group = &vfio->groups[g];
		size_t count = sysfs_reserved_read(reserved, SYSFS_RESERVED_MAX, vfio->host,
						   group->number);

		for (size_t i = 0; i < count; i++)
			if (sysfs_reserved_blocks(&reserved[i]) &&
			    overlap(start, end, reserved[i].start, reserved[i].end))
				return found(conflict, -EEXIST,
					     "it overlaps 0x%llx-0x%llx, which the host reserves "
					     "(%s) in IOMMU group %d of %s: choose another",
					     (unsigned long long)reserved[i].start,
					     (unsigned long long)reserved[i].end, reserved[i].type,
					     group->number, group->bdf);
	}
	return 0;
}

/* The place itself, whatever device it is for. */
static int check_place(const struct vfio *vfio, uint64_t iova, uint64_t ram, uint64_t ram_size,
		       struct conflict *conflict)
{
	uint64_t page = (uint64_t)vfio_host_page_size(), end = iova + page - 1, low, high;
	int err;

	if (overlap(iova, end, ram, ram + ram_size - 1))
		return found(conflict, -EEXIST,
			     "it overlaps guest RAM, 0x%llx-0x%llx: choose another, or move RAM "
			     "with `-m SIZE@ADDR`",
			     (unsigned long long)ram, (unsigned long long)(ram + ram_size - 1));
	err = check_reserved(vfio, iova, end, conflict);
	if (err)
		return err;
	if (vfio_iova_fits(vfio, iova, page, &low, &high))
		return 0;
	return found(conflict, -ERANGE,
		     "that is beyond what the IOMMU can map (0x%llx-0x%llx, without what the host "
		     "reserves there): choose another",
		     (unsigned long long)low, (unsigned long long)high);
}

static int why_not_probed(int err, struct conflict *conflict)
{
	if (err == -ENOTTY)
		return found(conflict, err, VFIO_DOORBELL_MISSING);
	if (err == -EOPNOTSUPP)
		return found(conflict, err, "the host's IOMMU does not translate its MSIs");
	return found(conflict, err, "VFIO does not tell whether it can: %s", strerror(-err));
}

/* Such a capability has no upper half of the address (PCIe 5.0, 7.7.1); the kernel asks for it even where there is MSI-X. */
static bool has_32bit_msi(struct vfio_device *dev)
{
	uint8_t raw[256];
	unsigned cap;

	if (vfio_region_info(dev, VFIO_PCI_CONFIG_REGION_INDEX) < 0 ||
	    vfio_pread(dev->fd, raw, sizeof(raw),
		       dev->regions[VFIO_PCI_CONFIG_REGION_INDEX].offset) != (int64_t)sizeof(raw))
		return false;
	cap = vfio_capability_find(raw, PCI_CAP_ID_MSI, PCI_MSI_ADDRESS_LO);
	return cap && !(pci_get(raw, cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_64BIT);
}

static int check(struct vfio_device *dev, uint64_t iova, uint64_t ram, uint64_t ram_size,
		 struct conflict *conflict)
{
	uint64_t page = (uint64_t)vfio_host_page_size();
	int err;

	if (!iova)
		return found(conflict, -ENODEV, "the guest has no MSIs");
	if (iova & (page - 1))
		return found(conflict, -EINVAL,
			     "the host's pages are of 0x%llx bytes: choose a "
			     "multiple of that",
			     (unsigned long long)page);
	err = vfio_doorbell_probe(dev->fd);
	if (err)
		return why_not_probed(err, conflict);
	if (iova >= SZ_4G && has_32bit_msi(dev))
		return found(conflict, -ERANGE,
			     "its MSI capability has 32 address bits: choose one below 4 GiB");
	return check_place(dev->vfio, iova, ram, ram_size, conflict);
}

/* --- planning and setting --- */

static int refuse_given(const struct vfio_device *dev, const struct conflict *conflict)
{
	return refuse(conflict->err, "the MSI doorbell of %s cannot be at IOVA 0x%llx: %s",
		      dev->config.bdf, (unsigned long long)dev->doorbell.iova, conflict->text);
}

/* Auto's other way. */
static void leave_to_kernel(struct vfio_device *dev, const struct conflict *conflict)
{
	report_info("%s: the host's kernel chooses the IOVA of its MSI doorbell, not the guest "
		    "(0x%llx): %s",
		    dev->config.bdf, (unsigned long long)dev->doorbell.iova, conflict->text);
	dev->doorbell = (struct vfio_doorbell){ .chosen = VFIO_DOORBELL_KERNEL };
}

static bool has_vectors(const struct vfio_device *dev, uint32_t index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	return vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) >= 0 && info.count > 0;
}

static int plan(struct vfio_device *dev, uint64_t ram, uint64_t ram_size)
{
	const struct vfio_doorbell_choice *choice =
		dev->config.doorbell.mode ? &dev->config.doorbell : &dev->vfio->doorbell;
	bool given = choice->mode == VFIO_DOORBELL_GIVEN;
	struct conflict conflict;

	dev->doorbell = (struct vfio_doorbell){ .chosen = VFIO_DOORBELL_KERNEL };
	if (choice->mode == VFIO_DOORBELL_KERNEL)
		return 0;
	if (!has_vectors(dev, VFIO_PCI_MSI_IRQ_INDEX) && !has_vectors(dev, VFIO_PCI_MSIX_IRQ_INDEX))
		return 0;
	dev->doorbell.chosen = given ? VFIO_DOORBELL_GIVEN : VFIO_DOORBELL_AUTO;
	dev->doorbell.iova = given ? choice->iova : dev->vfio->guest_doorbell;
	if (!check(dev, dev->doorbell.iova, ram, ram_size, &conflict))
		return 0;
	if (given)
		return refuse_given(dev, &conflict);
	leave_to_kernel(dev, &conflict);
	return 0;
}

int vfio_doorbells_plan(struct vfio *vfio, uint64_t base, uint64_t size)
{
	int err = 0;

	for (size_t i = 0; i < vfio->count && !err; i++)
		err = plan(&vfio->devices[i], base, size);
	return err;
}

static void why_not_set(int err, struct conflict *conflict)
{
	switch (err) {
	case -EEXIST:
		found(conflict, err,
		      "the page is mapped to something else, such as the doorbell of another "
		      "interrupt controller: choose another for this device (doorbell=)");
		break;
	case -EBUSY:
		found(conflict, err, "an interrupt of it is enabled in the host");
		break;
	case -ENOSPC:
		found(conflict, err,
		      "the host maps no more than %d doorbells: let devices share one",
		      VFIO_MSI_DOORBELL_MAX);
		break;
	case -ERANGE:
		found(conflict, err, "its MSIs have 32 address bits: choose one below 4 GiB");
		break;
	case -EOPNOTSUPP:
		why_not_probed(err, conflict);
		break;
	default:
		found(conflict, err, "the host's kernel refuses it: %s", strerror(-err));
	}
}

static int set(struct vfio_device *dev)
{
	struct vfio_device_feature_msi_doorbell doorbell = { .iova = dev->doorbell.iova };
	bool given = dev->doorbell.chosen == VFIO_DOORBELL_GIVEN;
	struct conflict conflict;
	int err;

	if (dev->doorbell.chosen == VFIO_DOORBELL_KERNEL)
		return 0;
	err = feature(dev->fd, VFIO_DEVICE_FEATURE_SET, &doorbell);
	if (!err) {
		report_info("%s: its MSI doorbell is at IOVA 0x%llx, %s", dev->config.bdf,
			    (unsigned long long)dev->doorbell.iova,
			    given ? "as given" : "the guest's own");
		return 0;
	}
	why_not_set(err, &conflict);
	if (given)
		return refuse_given(dev, &conflict);
	leave_to_kernel(dev, &conflict);
	return 0;
}

int vfio_doorbells_set(struct vfio *vfio)
{
	int err = 0;

	for (size_t i = 0; i < vfio->count && !err; i++)
		err = set(&vfio->devices[i]);
	return err;
}

void vfio_want_doorbell(struct vfio *vfio, const struct vfio_doorbell_choice *choice,
			uint64_t guest)
{
	vfio->doorbell = *choice;
	vfio->guest_doorbell = guest;
}

/* --- asking, for who wants to know beforehand --- */

static int offered_in_group(int container, int group, const char *bdf)
{
	char name[VFIO_BDF_SIZE];
	int device, err = vfio_ioctl_call(group, VFIO_GROUP_SET_CONTAINER, &container);

	if (err < 0)
		return err;
	err = vfio_ioctl_value(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (err >= 0) {
		snprintf(name, sizeof(name), "%s", bdf);
		device = vfio_ioctl_call(group, VFIO_GROUP_GET_DEVICE_FD, name);
		err = device < 0 ? device : vfio_doorbell_probe(device);
		if (device >= 0)
			close(device);
	}
	vfio_ioctl_value(group, VFIO_GROUP_UNSET_CONTAINER, 0);
	return err;
}

int vfio_doorbell_offered(const struct vfio_host *host, const char *bdf, int group)
{
	char path[PATH_MAX];
	int container, group_fd, err;

	snprintf(path, sizeof(path), "%s/vfio/vfio", host->dev);
	container = vfio_open_path(path);
	if (container < 0)
		return container;
	snprintf(path, sizeof(path), "%s/vfio/%d", host->dev, group);
	group_fd = vfio_open_path(path);
	err = group_fd < 0 ? group_fd : offered_in_group(container, group_fd, bdf);
	if (group_fd >= 0)
		close(group_fd);
	close(container);
	return err;
}

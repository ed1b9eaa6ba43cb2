// SPDX-License-Identifier: GPL-2.0-only
/* VFIO's group and container interface with the type 1 IOMMU, version 2 (linux/vfio.h). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include "container.h"
#include "doorbell.h"
#include "hindrance.h"
#include "memlock.h"

int vfio_container_open(struct vfio *vfio, const struct sysfs_function *function)
{
	struct hindrances found = { 0 };
	char path[PATH_MAX];
	int version;

	snprintf(path, sizeof(path), "%s/vfio/vfio", vfio->host->dev);
	vfio->fd = vfio_open_path(path);
	if (vfio->fd < 0) {
		hindrance_of_container(&found, function, vfio->fd);
		return hindrances_refuse(&found, vfio->fd);
	}
	version = vfio_ioctl_value(vfio->fd, VFIO_GET_API_VERSION, 0);
	if (version != VFIO_API_VERSION)
		return refuse(-ENOTSUP,
			      "%s cannot be used: the host's VFIO speaks API version %d, lkvm %d",
			      function->bdf, version, VFIO_API_VERSION);
	if (vfio_ioctl_value(vfio->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		return refuse(-ENOTSUP,
			      "%s cannot be used: the host's VFIO does not offer the type1v2 "
			      "IOMMU: run `modprobe vfio_iommu_type1`",
			      function->bdf);
	return 0;
}

const struct vfio_group *vfio_group_numbered(const struct vfio *vfio, int number)
{
	for (size_t i = 0; i < vfio->groups_count; i++)
		if (vfio->groups[i].number == number)
			return &vfio->groups[i];
	return NULL;
}

/* The kernel's own word on viability counts: a driver may have come since sysfs was read. */
static int check_status(const struct vfio_group *group, const struct sysfs_function *function)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct hindrances found = { 0 };
	int err = vfio_ioctl_call(group->fd, VFIO_GROUP_GET_STATUS, &status);

	if (err < 0)
		return report(err, "cannot ask for the state of IOMMU group %d of %s",
			      group->number, group->bdf);
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	hindrance_of_viability(&found, function);
	return hindrances_refuse(&found, -EPERM);
}

static int set_iommu_failed(const struct vfio_group *group, int err)
{
	if (err == -EPERM)
		return refuse(err,
			      "%s cannot be used: the host cannot isolate its MSIs from those of "
			      "other devices: if you trust the guest, run `echo 1 > "
			      "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts`",
			      group->bdf);
	return report(err, "cannot give %s (IOMMU group %d) the type1v2 IOMMU", group->bdf,
		      group->number);
}

/* The first group decides on the IOMMU; the others join. */
static int join_container(struct vfio *vfio, struct vfio_group *group)
{
	int err = vfio_ioctl_call(group->fd, VFIO_GROUP_SET_CONTAINER, &vfio->fd);

	if (err == -EPERM && vfio->groups_count > 1)
		return set_iommu_failed(group, err);
	if (err < 0)
		return report(err, "cannot put %s (IOMMU group %d) into a VFIO container",
			      group->bdf, group->number);
	if (vfio->groups_count > 1)
		return 0;
	err = vfio_ioctl_value(vfio->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	return err < 0 ? set_iommu_failed(group, err) : 0;
}

int vfio_group_open(struct vfio *vfio, const struct sysfs_function *function, const char *bdf)
{
	struct vfio_group *group = &vfio->groups[vfio->groups_count];
	struct hindrances found = { 0 };
	char path[PATH_MAX];
	int err;

	if (vfio_group_numbered(vfio, function->group))
		return 0;
	snprintf(path, sizeof(path), "%s/vfio/%d", vfio->host->dev, function->group);
	group->fd = vfio_open_path(path);
	if (group->fd < 0) {
		hindrance_of_group(&found, function, vfio->host, group->fd);
		return hindrances_refuse(&found, group->fd);
	}
	vfio->groups_count++;
	group->number = function->group;
	group->bdf = bdf;
	err = check_status(group, function);
	return err < 0 ? err : join_container(vfio, group);
}

/* --- DMA --- */

/* The lowest multiple of 1 GiB, from RAM's base up, that keeps RAM clear of all that is reserved; 0: there is none. */
static uint64_t better_base(const struct sysfs_reserved *reserved, size_t count, uint64_t base,
			    uint64_t size)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (size_t i = 0; i < count; i++) {
			if (!sysfs_reserved_blocks(&reserved[i]) ||
			    reserved[i].start > base + size - 1 || reserved[i].end < base)
				continue;
			if (reserved[i].end > UINT64_MAX - SZ_1G - size)
				return 0;
			base = (reserved[i].end + SZ_1G) & ~(SZ_1G - 1);
			moved = true;
		}
	}
	return base;
}

static int refuse_overlap(const struct vfio_group *group, const struct sysfs_reserved *all,
			  size_t count, size_t which, uint64_t base, uint64_t size)
{
	uint64_t better = better_base(all, count, base, size);
	char text[SIZE_TEXT] = "SIZE";

	if (!(size & (SZ_1M - 1)))
		snprintf(text, sizeof(text), "%lluM", (unsigned long long)(size / SZ_1M));
	if (!better)
		return refuse(-ERANGE,
			      "guest RAM 0x%llx-0x%llx overlaps 0x%llx-0x%llx, which the host "
			      "reserves (%s) in IOMMU group %d of %s: make it smaller (`-m SIZE`)",
			      (unsigned long long)base, (unsigned long long)(base + size - 1),
			      (unsigned long long)all[which].start,
			      (unsigned long long)all[which].end, all[which].type, group->number,
			      group->bdf);
	return refuse(
		-ERANGE,
		"guest RAM 0x%llx-0x%llx overlaps 0x%llx-0x%llx, which the host reserves (%s) "
		"in IOMMU group %d of %s: run with `-m %s@0x%llx`",
		(unsigned long long)base, (unsigned long long)(base + size - 1),
		(unsigned long long)all[which].start, (unsigned long long)all[which].end,
		all[which].type, group->number, group->bdf, text, (unsigned long long)better);
}

static int check_reserved(const struct vfio *vfio, uint64_t base, uint64_t size)
{
	struct sysfs_reserved reserved[SYSFS_RESERVED_MAX];

	for (size_t g = 0; g < vfio->groups_count; g++) {
		const struct vfio_group *group = &vfio->groups[g];
		size_t count = sysfs_reserved_read(reserved, SYSFS_RESERVED_MAX, vfio->host,
						   group->number);

		for (size_t i = 0; i < count; i++)
			if (sysfs_reserved_blocks(&reserved[i]) &&
			    reserved[i].start <= base + size - 1 && reserved[i].end >= base)
				return refuse_overlap(group, reserved, count, i, base, size);
	}
	return 0;
}

/* The whole of VFIO_IOMMU_GET_INFO, capabilities included; NULL where it cannot be had. To be freed. */
static struct vfio_iommu_type1_info *iommu_info(const struct vfio *vfio)
{
	uint32_t size = sizeof(struct vfio_iommu_type1_info);

	for (unsigned tries = 0; tries < 3; tries++) {
		struct vfio_iommu_type1_info *info = calloc(1, size);

		if (!info)
			return NULL;
		info->argsz = size;
		if (vfio_ioctl_call(vfio->fd, VFIO_IOMMU_GET_INFO, info) < 0 ||
		    info->argsz > SZ_1M) {
			free(info);
			return NULL;
		}
		if (info->argsz <= size) {
			info->argsz = size;
			return info;
		}
		size = info->argsz;
		free(info);
	}
	return NULL;
}

static const struct vfio_iommu_type1_info_cap_iova_range *
iova_capability(const struct vfio_iommu_type1_info *info)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	while (at >= sizeof(*info) && at <= info->argsz - sizeof(struct vfio_info_cap_header)) {
		const struct vfio_info_cap_header *header =
			(const void *)((const uint8_t *)info + at);
		const struct vfio_iommu_type1_info_cap_iova_range *cap = (const void *)header;

		if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE &&
		    info->argsz - at >= sizeof(*cap) &&
		    (info->argsz - at - sizeof(*cap)) / sizeof(cap->iova_ranges[0]) >=
			    cap->nr_iovas)
			return cap;
		if (header->next <= at)
			break;
		at = header->next;
	}
	return NULL;
}

/* A kernel before 5.4 does not tell. */
bool vfio_iova_fits(const struct vfio *vfio, uint64_t base, uint64_t size, uint64_t *low,
		    uint64_t *high)
{
	struct vfio_iommu_type1_info *info = iommu_info(vfio);
	const struct vfio_iommu_type1_info_cap_iova_range *cap =
		info ? iova_capability(info) : NULL;
	bool fits = !cap || !cap->nr_iovas;

	*low = UINT64_MAX;
	*high = 0;
	for (uint32_t i = 0; cap && i < cap->nr_iovas; i++) {
		const struct vfio_iova_range *range = &cap->iova_ranges[i];

		fits = fits || (base >= range->start && base + size - 1 <= range->end);
		*low = range->start < *low ? range->start : *low;
		*high = range->end > *high ? range->end : *high;
	}
	free(info);
	return fits;
}

static int check_iova_ranges(const struct vfio *vfio, uint64_t base, uint64_t size)
{
	uint64_t low, high;

	if (vfio_iova_fits(vfio, base, size, &low, &high))
		return 0;
	return refuse(-ERANGE,
		      "guest RAM 0x%llx-0x%llx is not all within what the IOMMU of %s can map "
		      "(0x%llx-0x%llx, without what the host reserves there; `lkvm vfio check %s` "
		      "lists that): choose another place with `-m SIZE@ADDR`",
		      (unsigned long long)base, (unsigned long long)(base + size - 1),
		      vfio->groups[0].bdf, (unsigned long long)low, (unsigned long long)high,
		      vfio->groups[0].bdf);
}

static int map_failed(const struct vfio *vfio, uint64_t base, uint64_t size, int err)
{
	const char *bdf = vfio->groups[0].bdf;
	struct memlock memlock;
	char text[SIZE_TEXT];

	memlock_read(&memlock);
	size_text(text, size);
	if (err == -ENOMEM && !memlock.exempt && memlock.soft != MEMLOCK_INFINITE)
		return memlock_refuse(size, bdf);
	if (err == -ENOMEM)
		return refuse(err,
			      "the host has not %s of memory to spare that guest RAM needs for DMA "
			      "by %s: it is pinned as a whole, so use a smaller `-m SIZE`",
			      text, bdf);
	if (err == -EPERM)
		return refuse(err,
			      "the host does not let this process map guest RAM for DMA by %s: a "
			      "security policy or a mount of its own forbids it; `dmesg` and the "
			      "audit log tell which",
			      bdf);
	return report(err, "cannot map guest RAM (%s at 0x%llx) for DMA by %s", text,
		      (unsigned long long)base, bdf);
}

static int map_ram(struct vfio *vfio, const struct guest_mem *ram)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)ram->host,
		.iova = ram->base,
		.size = ram->size,
	};
	int err = vfio_ioctl_call(vfio->fd, VFIO_IOMMU_MAP_DMA, &map);

	if (err < 0)
		return map_failed(vfio, ram->base, ram->size, err);
	vfio->ram_mapped = true;
	vfio->ram_base = ram->base;
	vfio->ram_size = ram->size;
	return 0;
}

int vfio_map_ram(struct vfio *vfio, const struct guest_mem *ram)
{
	int err = check_reserved(vfio, ram->base, ram->size);

	if (!err)
		err = check_iova_ranges(vfio, ram->base, ram->size);
	if (!err)
		err = vfio_doorbells_plan(vfio, ram->base, ram->size);
	if (!err)
		err = memlock_raise(ram->size, vfio->groups[0].bdf);
	if (!err)
		err = map_ram(vfio, ram);
	return err ? err : vfio_doorbells_set(vfio);
}

static void unmap_ram(struct vfio *vfio)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = vfio->ram_base,
		.size = vfio->ram_size,
	};
	int err;

	if (!vfio->ram_mapped)
		return;
	err = vfio_ioctl_call(vfio->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
	if (err < 0)
		report(err, "cannot unmap guest RAM from the IOMMU of %s", vfio->groups[0].bdf);
	vfio->ram_mapped = false;
}

void vfio_container_close(struct vfio *vfio)
{
	unmap_ram(vfio);
	for (size_t i = vfio->groups_count; i-- > 0;) {
		vfio_ioctl_value(vfio->groups[i].fd, VFIO_GROUP_UNSET_CONTAINER, 0);
		close(vfio->groups[i].fd);
	}
	vfio->groups_count = 0;
	if (vfio->fd >= 0)
		close(vfio->fd);
	vfio->fd = -1;
}

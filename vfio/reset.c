// SPDX-License-Identifier: GPL-2.0-only
/* Resetting a device: by its own function reset, else by its bus or slot where no stranger is on it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "bdf.h"
#include "container.h"

#define RESET_TRIES                                                                                \
	50 /* times 10 ms: whoever holds the device's lock, such as a reader of sysfs, is soon done */
#define RESET_WAIT_US  10000
#define AFFECTED_LIMIT 4096

static int function_reset(struct vfio_device *dev)
{
	int err = -ENOTTY;

	if (!(dev->info.flags & VFIO_DEVICE_FLAGS_RESET))
		return err;
	for (unsigned tries = 0; tries < RESET_TRIES; tries++) {
		err = vfio_ioctl_value(dev->fd, VFIO_DEVICE_RESET, 0);
		if (err != -EAGAIN)
			break;
		usleep(RESET_WAIT_US);
	}
	return err;
}

/* Everything a hot reset would reset. NULL: there is no hot reset. To be freed. */
static struct vfio_pci_hot_reset_info *hot_reset_info(const struct vfio_device *dev)
{
	struct vfio_pci_hot_reset_info *info = NULL, *grown;
	uint32_t count = 8;
	int err = -ENOSPC;

	while (err == -ENOSPC && count <= AFFECTED_LIMIT) {
		size_t size = sizeof(*info) + count * sizeof(info->devices[0]);

		grown = realloc(info, size);
		if (!grown)
			break;
		info = grown;
		memset(info, 0, size);
		info->argsz = (uint32_t)size;
		err = vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
		if (err >= 0 && info->count <= count)
			return info;
		count = info->count > count ? info->count : count * 2;
	}
	free(info);
	return NULL;
}

static int perform_hot_reset(const struct vfio_device *dev,
			     const struct vfio_pci_hot_reset_info *info)
{
	const struct vfio *vfio = dev->vfio;
	struct vfio_pci_hot_reset *reset;
	int err = 0;

	reset = calloc(1, sizeof(*reset) + vfio->groups_count * sizeof(reset->group_fds[0]));
	if (!reset)
		return -ENOMEM;
	for (uint32_t i = 0; i < info->count && !err; i++) {
		const struct vfio_group *group =
			vfio_group_numbered(vfio, (int)info->devices[i].group_id);
		uint32_t given = 0;

		while (group && given < reset->count && reset->group_fds[given] != group->fd)
			given++;
		if (!group)
			err = -EPERM;
		else if (given == reset->count)
			reset->group_fds[reset->count++] = group->fd;
	}
	reset->argsz = (uint32_t)(sizeof(*reset) + reset->count * sizeof(reset->group_fds[0]));
	if (!err)
		err = vfio_ioctl_call(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, reset);
	free(reset);
	return err;
}

/* A hot reset is slow, and has reset others of ours as well. */
static void mark_clean(const struct vfio *vfio, const struct vfio_pci_dependent_device *affected)
{
	struct bdf bdf = { affected->segment, affected->bus, affected->devfn >> 3,
			   affected->devfn & 7 };
	char text[VFIO_BDF_SIZE];

	bdf_format(text, &bdf);
	for (size_t i = 0; i < vfio->count; i++)
		if (!strcmp(vfio->devices[i].config.bdf, text))
			vfio->devices[i].clean = true;
}

static int hot_reset(struct vfio_device *dev)
{
	struct vfio_pci_hot_reset_info *info = hot_reset_info(dev);
	int err;

	if (!info)
		return -ENOTTY;
	err = perform_hot_reset(dev, info);
	for (uint32_t i = 0; i < info->count && err >= 0; i++)
		mark_clean(dev->vfio, &info->devices[i]);
	free(info);
	return err;
}

/* What is left where a device cannot be reset: it starts no more DMA. */
static void clear_bus_master(struct vfio_device *dev)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint8_t command[2];

	if (vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 ||
	    vfio_pread(dev->fd, command, 2, info.offset + PCI_COMMAND) != 2)
		return;
	command[0] &= (uint8_t)~PCI_COMMAND_MASTER;
	vfio_pwrite(dev->fd, command, 2, info.offset + PCI_COMMAND);
}

int vfio_device_reset(struct vfio_device *dev)
{
	int err;

	if (dev->clean)
		return 0;
	err = function_reset(dev);
	if (err >= 0) {
		dev->clean = true;
		report_debug("%s: function reset", dev->config.bdf);
		return 0;
	}
	if (hot_reset(dev) >= 0) {
		report_debug("%s: hot reset", dev->config.bdf);
		return 0;
	}
	clear_bus_master(dev);
	if (err == -ENOTTY)
		report_info("%s has no reset that is lkvm's to use: it keeps its state, and only "
			    "its DMA is stopped",
			    dev->config.bdf);
	else
		report_warning("%s could not be reset (%s): it keeps its state, and only its DMA "
			       "is stopped",
			       dev->config.bdf, strerror(-err));
	return -ENOTTY;
}

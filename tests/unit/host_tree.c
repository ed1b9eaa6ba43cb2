// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host_tree.h"

static struct {
	char root[64], sys[80], dev[80], proc[80];
	struct vfio_host host;
} tree;

static const char *full(const char *path)
{
	static char text[PATH_MAX];

	snprintf(text, sizeof(text), "%s/%s", tree.root, path);
	return text;
}

static void make_folders(const char *path)
{
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "%s", full(path));
	for (char *slash = strchr(text + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		assert(!mkdir(text, 0755) || errno == EEXIST);
		*slash = '/';
	}
}

void host_file(const char *path, const void *bytes, size_t size)
{
	int fd;

	make_folders(path);
	fd = open(full(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

void host_text(const char *path, const char *text)
{
	host_file(path, text, strlen(text));
}

void host_link(const char *path, const char *target)
{
	make_folders(path);
	unlink(full(path));
	assert(!symlink(target, full(path)));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void host_remove(const char *path)
{
	nftw(full(path), remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const struct vfio_host *host_tree_begin(void)
{
	strcpy(tree.root, "/tmp/lkvm-host-XXXXXX");
	assert(mkdtemp(tree.root));
	snprintf(tree.sys, sizeof(tree.sys), "%s/sys", tree.root);
	snprintf(tree.dev, sizeof(tree.dev), "%s/dev", tree.root);
	snprintf(tree.proc, sizeof(tree.proc), "%s/proc", tree.root);
	tree.host = (struct vfio_host){ tree.sys, tree.dev, tree.proc };
	make_folders("sys/bus/pci/devices/");
	make_folders("sys/bus/pci/drivers/vfio-pci/");
	make_folders("proc/");
	host_text("dev/vfio/vfio", "");
	return &tree.host;
}

void host_tree_end(void)
{
	host_remove("");
}

void host_bind(const char *bdf, const char *driver)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", bdf);
	if (!driver) {
		host_remove(path);
		return;
	}
	snprintf(target, sizeof(target), "../../../../bus/pci/drivers/%s", driver);
	host_link(path, target);
}

static void add_value(const char *bdf, const char *name, unsigned value)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", bdf, name);
	snprintf(text, sizeof(text), "0x%04x\n", value);
	host_text(path, text);
}

static void join_group(const char *bdf, const char *driver, int group)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", bdf);
	snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%d", group);
	host_link(path, target);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices/%s", group, bdf);
	snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", bdf);
	host_link(path, target);
	if (driver && sysfs_driver_is_vfio(driver)) {
		snprintf(path, sizeof(path), "dev/vfio/%d", group);
		host_text(path, "");
	}
}

void host_function(const char *bdf, unsigned vendor, unsigned device, unsigned class,
		   const char *driver, int group)
{
	add_value(bdf, "vendor", vendor);
	add_value(bdf, "device", device);
	add_value(bdf, "class", class);
	host_bind(bdf, driver);
	if (group >= 0)
		join_group(bdf, driver, group);
}

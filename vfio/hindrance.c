// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include "hindrance.h"

/* Below this a limit on locked memory is worth a word before the guest's size is known. */
#define USEFUL_RAM (256 * SZ_1M)

/* How many members of a group are named at once; curing those brings up the rest. */
#define NAMED_MEMBERS 8

#define ENABLE_IOMMU                                                                               \
	"enable the SMMU in the host's firmware settings and boot a kernel with its driver "       \
	"(CONFIG_ARM_SMMU_V3); `dmesg | grep -i -e smmu -e iommu` tells what that found"

static struct hindrance *add(struct hindrances *found)
{
	struct hindrance *hindrance = &found->list[found->count];

	if (found->count < HINDRANCES - 1)
		found->count++;
	*hindrance = (struct hindrance){ .command = true };
	return hindrance;
}

static void __attribute__((format(printf, 2, 3)))
cause(struct hindrance *hindrance, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(hindrance->cause, sizeof(hindrance->cause), fmt, args);
	va_end(args);
}

static void __attribute__((format(printf, 2, 3)))
cure(struct hindrance *hindrance, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(hindrance->cure, sizeof(hindrance->cure), fmt, args);
	va_end(args);
}

/* A cure in words. */
#define advice(hindrance, ...) (cure(hindrance, __VA_ARGS__), (hindrance)->command = false)

#define brief(hindrance, ...) snprintf((hindrance)->brief, sizeof((hindrance)->brief), __VA_ARGS__)

static void no_device(struct hindrances *found, const char *bdf)
{
	struct hindrance *hindrance = add(found);

	brief(hindrance, "no such function");
	cause(hindrance, "this host has no PCI function %s", bdf);
	advice(hindrance, "`lkvm vfio list` shows those it has");
}

static void is_bridge(struct hindrances *found, const char *bdf)
{
	struct hindrance *hindrance = add(found);

	brief(hindrance, "a bridge");
	cause(hindrance, "%s is a bridge, which cannot be passed through", bdf);
	advice(hindrance, "pass the functions behind it instead");
}

static void no_iommu(struct hindrances *found, const char *bdf)
{
	struct hindrance *hindrance = add(found);

	brief(hindrance, "no IOMMU");
	cause(hindrance, "no IOMMU translates the DMA of %s: it has no IOMMU group", bdf);
	advice(hindrance, ENABLE_IOMMU);
}

static void noiommu_mode(struct hindrances *found, const struct sysfs_function *function)
{
	struct hindrance *hindrance = add(found);

	brief(hindrance, "no IOMMU (noiommu mode)");
	cause(hindrance,
	      "VFIO drives %s in its noiommu mode (group %d): the guest's DMA could reach all of "
	      "the host's memory, so lkvm does not use it",
	      function->bdf, function->group);
	advice(hindrance, ENABLE_IOMMU);
}

static void no_module(struct hindrances *found, const char *bdf)
{
	struct hindrance *hindrance = add(found);

	brief(hindrance, "vfio-pci is not loaded");
	cause(hindrance, "the host's kernel has not loaded the vfio-pci driver, which %s needs",
	      bdf);
	cure(hindrance, "modprobe vfio-pci");
}

static void wrong_driver(struct hindrances *found, const struct sysfs_function *function)
{
	struct hindrance *hindrance = add(found);
	const char *bdf = function->bdf;

	if (function->driver[0]) {
		brief(hindrance, "bound to %.60s", function->driver);
		cause(hindrance, "%s is bound to the host's driver %s, not to vfio-pci", bdf,
		      function->driver);
		cure(hindrance,
		     "echo vfio-pci > /sys/bus/pci/devices/%s/driver_override; "
		     "echo %s > /sys/bus/pci/devices/%s/driver/unbind; "
		     "echo %s > /sys/bus/pci/drivers_probe",
		     bdf, bdf, bdf, bdf);
	} else {
		brief(hindrance, "bound to no driver");
		cause(hindrance, "%s is bound to no driver; it needs vfio-pci", bdf);
		cure(hindrance,
		     "echo vfio-pci > /sys/bus/pci/devices/%s/driver_override; "
		     "echo %s > /sys/bus/pci/drivers_probe",
		     bdf, bdf);
	}
}

/* "A (driver x), B (driver y)" and "A B": the members that keep the group from being viable, without the function. */
static unsigned list_blocking(const struct sysfs_function *function, char *described, size_t size,
			      char *names, size_t names_size)
{
	size_t at = 0, names_at = 0;
	unsigned count = 0;

	described[0] = names[0] = 0;
	for (size_t i = 0; i < function->members_count; i++) {
		const struct sysfs_member *member = &function->members[i];

		if (sysfs_member_is_harmless(member) || !strcmp(member->name, function->bdf))
			continue;
		if (++count > NAMED_MEMBERS || at + 60 > size || names_at + 40 > names_size)
			continue;
		at += (size_t)snprintf(described + at, size - at, "%s%.32s (%.16s)", at ? ", " : "",
				       member->name, member->driver);
		names_at += (size_t)snprintf(names + names_at, names_size - names_at, "%s%.32s",
					     names_at ? " " : "", member->name);
	}
	return count;
}

void hindrance_of_viability(struct hindrances *found, const struct sysfs_function *function)
{
	char described[300], names[200];
	unsigned count =
		list_blocking(function, described, sizeof(described), names, sizeof(names));
	struct hindrance *hindrance = add(found);

	brief(hindrance, "group is not viable");
	if (!count) {
		cause(hindrance,
		      "the kernel says that IOMMU group %d of %s is not viable: a driver of the "
		      "host still uses one of its devices",
		      function->group, function->bdf);
		cure(hindrance, "ls -l /sys/kernel/iommu_groups/%d/devices/*/driver",
		     function->group);
		return;
	}
	cause(hindrance, "IOMMU group %d of %s is not viable: the host itself uses %s",
	      function->group, function->bdf, described);
	cure(hindrance,
	     "for d in %s; do echo vfio-pci > /sys/bus/pci/devices/$d/driver_override; "
	     "echo $d > /sys/kernel/iommu_groups/%d/devices/$d/driver/unbind; "
	     "echo $d > /sys/bus/pci/drivers_probe; done",
	     names, function->group);
}

static void check_viability(struct hindrances *found, const struct sysfs_function *function)
{
	char described[300], names[200];

	if (list_blocking(function, described, sizeof(described), names, sizeof(names)))
		hindrance_of_viability(found, function);
}

void hindrance_of_container(struct hindrances *found, const struct sysfs_function *function,
			    int err)
{
	struct hindrance *hindrance = add(found);

	if (err == -EACCES || err == -EPERM) {
		brief(hindrance, "no access to /dev/vfio/vfio");
		cause(hindrance, "user %u may not open /dev/vfio/vfio, which %s needs",
		      (unsigned)geteuid(), function->bdf);
		cure(hindrance, "chmod 666 /dev/vfio/vfio");
	} else if (err == -ENOENT || err == -ENODEV || err == -ENXIO) {
		brief(hindrance, "no /dev/vfio/vfio");
		cause(hindrance,
		      "there is no /dev/vfio/vfio, which %s needs: the host's kernel has "
		      "not loaded VFIO",
		      function->bdf);
		cure(hindrance, "modprobe vfio-pci");
	} else {
		brief(hindrance, "/dev/vfio/vfio: %s", strerror(-err));
		cause(hindrance, "cannot open /dev/vfio/vfio for %s: %s", function->bdf,
		      strerror(-err));
		advice(hindrance, "`dmesg | grep -i vfio` may tell more");
	}
}

static void group_in_use(struct hindrances *found, const struct sysfs_function *function,
			 const struct vfio_host *host)
{
	struct hindrance *hindrance = add(found);
	char name[SYSFS_NAME];
	int pid = sysfs_group_holder(host, function->group, name);

	if (pid > 0) {
		brief(hindrance, "in use by process %d (%.32s)", pid, name);
		cause(hindrance, "%s is in use: process %d (%s) holds its IOMMU group %d",
		      function->bdf, pid, name, function->group);
		cure(hindrance, "kill %d", pid);
	} else {
		brief(hindrance, "in use");
		cause(hindrance, "%s is in use: another process holds its IOMMU group %d",
		      function->bdf, function->group);
		cure(hindrance, "fuser -v /dev/vfio/%d", function->group);
	}
}

void hindrance_of_group(struct hindrances *found, const struct sysfs_function *function,
			const struct vfio_host *host, int err)
{
	struct hindrance *hindrance;
	int group = function->group;

	if (err == -EBUSY) {
		group_in_use(found, function, host);
		return;
	}
	hindrance = add(found);
	if (err == -EACCES || err == -EPERM) {
		brief(hindrance, "no access to /dev/vfio/%d", group);
		cause(hindrance, "user %u may not open /dev/vfio/%d, the IOMMU group of %s",
		      (unsigned)geteuid(), group, function->bdf);
		cure(hindrance, "chown %u /dev/vfio/%d", (unsigned)geteuid(), group);
	} else if (err == -ENOENT || err == -ENODEV || err == -ENXIO) {
		brief(hindrance, "no /dev/vfio/%d", group);
		cause(hindrance,
		      "there is no /dev/vfio/%d for %s although a VFIO driver has it: /dev is not "
		      "the host's, or its udev is late",
		      group, function->bdf);
		advice(hindrance, "give this environment the host's /dev/vfio, or run `udevadm "
				  "settle` first");
	} else {
		brief(hindrance, "/dev/vfio/%d: %s", group, strerror(-err));
		cause(hindrance, "cannot open /dev/vfio/%d, the IOMMU group of %s: %s", group,
		      function->bdf, strerror(-err));
		advice(hindrance, "`dmesg | grep -i vfio` may tell more");
	}
}

void hindrance_of_memlock(struct hindrances *found, const struct sysfs_function *function,
			  const struct memlock *memlock)
{
	uint64_t reach = memlock_reach(memlock);
	struct hindrance *hindrance;
	char size[SIZE_TEXT];

	if (reach >= USEFUL_RAM)
		return;
	hindrance = add(found);
	size_text(size, reach);
	brief(hindrance, "memlock limit is %s", size);
	cause(hindrance,
	      "guest RAM is locked for DMA by %s, and the limit on locked memory "
	      "(RLIMIT_MEMLOCK) is %s",
	      function->bdf, size);
	cure(hindrance, "prlimit --memlock=unlimited --pid $PPID");
	if (getppid() > 1)
		cure(hindrance, "prlimit --memlock=unlimited --pid %d", (int)getppid());
}

/* The files VFIO makes, as far as looking at them tells. */
static void check_files(struct hindrances *found, const struct sysfs_function *function,
			const struct vfio_host *host)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/vfio/vfio", host->dev);
	if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0)
		hindrance_of_container(found, function, -errno);
	if (!sysfs_driver_is_vfio(function->driver))
		return;
	snprintf(path, sizeof(path), "%s/vfio/%d", host->dev, function->group);
	if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0)
		hindrance_of_group(found, function, host, -errno);
}

void hindrances_find(struct hindrances *found, const struct sysfs_function *function,
		     const struct vfio_host *host)
{
	bool vfio = sysfs_driver_is_vfio(function->driver);
	char path[PATH_MAX];

	found->count = 0;
	if (!function->exists) {
		no_device(found, function->bdf);
		return;
	}
	if (sysfs_class_is_bridge(function->class)) {
		is_bridge(found, function->bdf);
		return;
	}
	if (function->noiommu) {
		noiommu_mode(found, function);
		return;
	}
	if (function->group < 0 && !function->unknown)
		no_iommu(found, function->bdf);
	snprintf(path, sizeof(path), "%s/bus/pci/drivers/vfio-pci", host->sys);
	if (!vfio && access(path, F_OK) < 0)
		no_module(found, function->bdf);
	if (!vfio)
		wrong_driver(found, function);
	if (function->group < 0)
		return;
	check_viability(found, function);
	check_files(found, function, host);
}

int hindrances_refuse(const struct hindrances *found, int err)
{
	const struct hindrance *first = &found->list[0];

	if (first->command)
		return refuse(err, "%s: run `%s`", first->cause, first->cure);
	return refuse(err, "%s: %s", first->cause, first->cure);
}

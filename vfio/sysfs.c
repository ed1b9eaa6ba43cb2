// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <lkvm/report.h>
#include "bdf.h"
#include "sysfs.h"

/* Reads up to size bytes of a file; how many, or -errno. */
static ssize_t __attribute__((format(printf, 3, 4)))
read_file(void *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list args;
	ssize_t len;
	int fd, err;

	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	len = read(fd, buf, size);
	err = errno;
	close(fd);
	return len < 0 ? -err : len;
}

/* A one-line file as a string without its newline; "" where it cannot be read. */
#define read_line(buf, fmt, ...) end_line(buf, read_file(buf, sizeof(buf) - 1, fmt, __VA_ARGS__))

static void end_line(char *buf, ssize_t len)
{
	buf[len < 0 ? 0 : len] = 0;
	buf[strcspn(buf, "\n")] = 0;
}

/* A file of one hexadecimal number; 0 where it is none. */
static uint32_t read_hex(const struct vfio_host *host, const char *bdf, const char *name)
{
	char text[32];

	read_line(text, "%s/bus/pci/devices/%s/%s", host->sys, bdf, name);
	return (uint32_t)strtoul(text, NULL, 16);
}

/* The last component of what a symbolic link points to; "" where it is no link. */
static void __attribute__((format(printf, 2, 3)))
link_name(char name[SYSFS_NAME], const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	va_list args;
	ssize_t len;

	name[0] = 0;
	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0)
		return;
	target[len] = 0;
	last = strrchr(target, '/');
	snprintf(name, SYSFS_NAME, "%.*s", SYSFS_NAME - 1, last ? last + 1 : target);
}

/* The next name in a folder that does not start with a dot; NULL at its end, and for a folder that is not there. */
static const char *next_name(DIR *dir)
{
	struct dirent *entry;

	do {
		/* cppcheck-suppress readdirCalled ; POSIX.1-2024: safe on a stream of one's own */
		entry = dir ? readdir(dir) : NULL;
	} while (entry && entry->d_name[0] == '.');
	return entry ? entry->d_name : NULL;
}

bool sysfs_class_is_bridge(uint32_t class)
{
	switch (class >> 8) {
	case 0x0600: /* host */
	case 0x0604: /* PCI-to-PCI */
	case 0x0607: /* CardBus */
	case 0x0609: /* semi-transparent PCI-to-PCI */
		return true;
	default:
		return false;
	}
}

bool sysfs_driver_is_vfio(const char *driver)
{
	return strstr(driver, "vfio-pci") || strstr(driver, "vfio_pci");
}

/* The kernel marks such drivers driver_managed_dma; there are no more of them for PCI. */
bool sysfs_member_is_harmless(const struct sysfs_member *member)
{
	return !member->driver[0] || !strcmp(member->driver, "pcieport") ||
	       !strcmp(member->driver, "pci-stub") || sysfs_driver_is_vfio(member->driver);
}

static int parse_group(const char *name)
{
	char *end;
	long group = strtol(name, &end, 10);

	return isdigit((unsigned char)name[0]) && !*end && group >= 0 && group <= INT_MAX
		       ? (int)group
		       : -1;
}

static int add_member(struct sysfs_function *function, const struct vfio_host *host,
		      const char *name)
{
	struct sysfs_member *grown, *member;
	char class[32];

	grown = realloc(function->members, (function->members_count + 1) * sizeof(*grown));
	if (!grown)
		return report(-ENOMEM, "cannot list the members of IOMMU group %d",
			      function->group);
	function->members = grown;
	member = &grown[function->members_count++];
	snprintf(member->name, sizeof(member->name), "%.*s", SYSFS_NAME - 1, name);
	link_name(member->driver, "%s/kernel/iommu_groups/%d/devices/%s/driver", host->sys,
		  function->group, name);
	read_line(class, "%s/kernel/iommu_groups/%d/devices/%s/class", host->sys, function->group,
		  name);
	member->bridge = sysfs_class_is_bridge((uint32_t)strtoul(class, NULL, 16));
	return 0;
}

static int compare_members(const void *a, const void *b)
{
	const struct sysfs_member *one = a, *other = b;

	return strcmp(one->name, other->name);
}

static int read_members(struct sysfs_function *function, const struct vfio_host *host)
{
	char path[PATH_MAX];
	const char *name;
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices", host->sys,
		 function->group);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (!err && function->members_count < SYSFS_MEMBERS && (name = next_name(dir)))
		err = add_member(function, host, name);
	closedir(dir);
	if (function->members_count > 1)
		qsort(function->members, function->members_count, sizeof(*function->members),
		      compare_members);
	return err;
}

/* VFIO makes groups of its own for devices without an IOMMU, if told to. */
static bool group_is_noiommu(const struct vfio_host *host, int group)
{
	char name[SYSFS_NAME], path[PATH_MAX];

	read_line(name, "%s/kernel/iommu_groups/%d/name", host->sys, group);
	if (!strcmp(name, "vfio-noiommu"))
		return true;
	snprintf(path, sizeof(path), "%s/vfio/noiommu-%d", host->dev, group);
	return access(path, F_OK) == 0;
}

static bool has_iommu(const struct vfio_host *host)
{
	char path[PATH_MAX];
	bool found;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/class/iommu", host->sys);
	dir = opendir(path);
	found = next_name(dir);
	if (dir)
		closedir(dir);
	return found;
}

/* Without a driver a function may have no group yet; after vfio-pci was asked to take it in vain, it has none. */
static bool group_unknown(const struct sysfs_function *function, const struct vfio_host *host)
{
	char override[SYSFS_NAME];

	if (function->driver[0] || !has_iommu(host))
		return false;
	read_line(override, "%s/bus/pci/devices/%s/driver_override", host->sys, function->bdf);
	return strcmp(override, "vfio-pci") != 0;
}

int sysfs_function_read(struct sysfs_function *function, const struct vfio_host *host,
			const char *bdf)
{
	char path[PATH_MAX], group[SYSFS_NAME];

	*function = (struct sysfs_function){ .group = -1 };
	snprintf(function->bdf, sizeof(function->bdf), "%s", bdf);
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", host->sys, bdf);
	function->exists = access(path, F_OK) == 0;
	if (!function->exists)
		return 0;
	function->vendor = (uint16_t)read_hex(host, bdf, "vendor");
	function->device = (uint16_t)read_hex(host, bdf, "device");
	function->class = read_hex(host, bdf, "class") & 0xffffff;
	link_name(function->driver, "%s/driver", path);
	link_name(group, "%s/iommu_group", path);
	function->group = parse_group(group);
	if (function->group < 0) {
		function->unknown = group_unknown(function, host);
		return 0;
	}
	function->noiommu = group_is_noiommu(host, function->group);
	return read_members(function, host);
}

void sysfs_function_release(struct sysfs_function *function)
{
	free(function->members);
	*function = (struct sysfs_function){ .group = -1 };
}

/* Walks the capability list (PCI 3.0, 6.7); a list that loops ends after as many hops as there is room for. */
static void read_capabilities(struct sysfs_details *details, const uint8_t *config, size_t len)
{
	unsigned at = config[PCI_CAPABILITY_LIST] & ~3u;

	if (!(config[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return;
	for (unsigned hops = 0; at >= PCI_STD_HEADER_SIZEOF && at + 4 <= len && hops < 48; hops++) {
		unsigned flags = config[at + 2] | (unsigned)config[at + 3] << 8;
		unsigned order = (flags & PCI_MSI_FLAGS_QMASK) >> 1;

		if (config[at] == PCI_CAP_ID_MSI && order <= 5)
			details->msi_vectors = 1u << order;
		if (config[at] == PCI_CAP_ID_MSIX)
			details->msix_vectors = (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
		at = config[at + PCI_CAP_LIST_NEXT] & ~3u;
	}
}

/* The hexadecimal number that a line goes on with, which is then behind it. */
static bool take_number(const char **line, uint64_t *number)
{
	char *end;

	*number = strtoull(*line, &end, 16);
	if (end == *line)
		return false;
	*line = end;
	return true;
}

/* Lines of "START END FLAGS", one a BAR, then the ROM; flags are the kernel's IORESOURCE_*. */
static void read_bars(struct sysfs_details *details, char *text)
{
	enum { IO = 0x100, MEM = 0x200, PREFETCH = 0x2000, MEM_64 = 0x100000 };
	char *save = NULL, *line = strtok_r(text, "\n", &save);

	for (unsigned i = 0; line && i < SYSFS_BARS; i++, line = strtok_r(NULL, "\n", &save)) {
		const char *at = line;
		uint64_t start, end, flags;

		if (!take_number(&at, &start) || !take_number(&at, &end) ||
		    !take_number(&at, &flags))
			continue;
		if (!(flags & (IO | MEM)) || end < start || end - start == UINT64_MAX)
			continue;
		details->bars[i] = (struct sysfs_bar){
			.start = start,
			.size = end - start + 1,
			.io = flags & IO,
			.is64 = flags & MEM_64,
			.prefetch = flags & PREFETCH,
		};
	}
}

void sysfs_details_read(struct sysfs_details *details, const struct vfio_host *host,
			const char *bdf)
{
	uint8_t config[PCI_CFG_SPACE_SIZE] = { 0 };
	char resource[4096];
	ssize_t len;

	*details = (struct sysfs_details){ 0 };
	read_line(details->reset_methods, "%s/bus/pci/devices/%s/reset_method", host->sys, bdf);
	len = read_file(config, sizeof(config), "%s/bus/pci/devices/%s/config", host->sys, bdf);
	if (len >= PCI_STD_HEADER_SIZEOF)
		details->intx = config[PCI_INTERRUPT_PIN] != 0;
	details->capabilities_known = len > PCI_STD_HEADER_SIZEOF;
	if (details->capabilities_known)
		read_capabilities(details, config, (size_t)len);
	len = read_file(resource, sizeof(resource) - 1, "%s/bus/pci/devices/%s/resource", host->sys,
			bdf);
	resource[len < 0 ? 0 : len] = 0;
	read_bars(details, resource);
}

static bool take_word(const char *line, char (*word)[SYSFS_NAME])
{
	const char *start = line + strspn(line, " ");
	size_t len = strcspn(start, " ");

	if (!len || len >= sizeof(*word))
		return false;
	memcpy(*word, start, len);
	(*word)[len] = 0;
	return true;
}

size_t sysfs_reserved_read(struct sysfs_reserved *reserved, size_t max,
			   const struct vfio_host *host, int group)
{
	char text[4096], *line, *save = NULL;
	size_t count = 0;
	ssize_t len = read_file(text, sizeof(text) - 1,
				"%s/kernel/iommu_groups/%d/reserved_regions", host->sys, group);

	text[len < 0 ? 0 : len] = 0;
	for (line = strtok_r(text, "\n", &save); line && count < max;
	     line = strtok_r(NULL, "\n", &save)) {
		struct sysfs_reserved *one = &reserved[count];
		const char *at = line;

		if (take_number(&at, &one->start) && take_number(&at, &one->end) &&
		    take_word(at, &one->type) && one->start <= one->end)
			count++;
	}
	return count;
}

bool sysfs_reserved_blocks(const struct sysfs_reserved *reserved)
{
	return strcmp(reserved->type, "direct-relaxable") != 0;
}

/* Domains may have more than four digits, the larger ones. */
static int compare_bdfs(const void *a, const void *b)
{
	size_t one = strlen(a), other = strlen(b);

	return one != other ? (one > other) - (one < other) : strcmp(a, b);
}

ssize_t sysfs_functions(char (**bdfs)[VFIO_BDF_SIZE], const struct vfio_host *host)
{
	char path[PATH_MAX], (*grown)[VFIO_BDF_SIZE];
	const char *name;
	size_t count = 0;
	DIR *dir;

	*bdfs = NULL;
	snprintf(path, sizeof(path), "%s/bus/pci/devices", host->sys);
	dir = opendir(path);
	if (!dir)
		return report(-errno, "cannot list the host's PCI functions in %s", path);
	while ((name = next_name(dir))) {
		const char *end, *why;
		struct bdf bdf;

		if (bdf_parse(&bdf, name, 0, &end, &why) < 0)
			continue;
		grown = realloc(*bdfs, (count + 1) * sizeof(*grown));
		if (!grown) {
			closedir(dir);
			free(*bdfs);
			*bdfs = NULL;
			return report(-ENOMEM, "cannot list the host's PCI functions");
		}
		*bdfs = grown;
		bdf_format(grown[count++], &bdf);
	}
	closedir(dir);
	if (count > 1)
		qsort(*bdfs, count, sizeof(**bdfs), compare_bdfs);
	return (ssize_t)count;
}

/* Whether /proc/PID/fd has the group's file among its links. */
static bool process_holds(const struct vfio_host *host, const char *pid, const char *wanted)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *name;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s/fd", host->proc, pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (name = next_name(dir))) {
		ssize_t len = readlinkat(dirfd(dir), name, target, sizeof(target) - 1);

		if (len <= 0)
			continue;
		target[len] = 0;
		found = !strcmp(target, wanted);
	}
	closedir(dir);
	return found;
}

int sysfs_group_holder(const struct vfio_host *host, int group, char name[SYSFS_NAME])
{
	char wanted[PATH_MAX], comm[SYSFS_NAME];
	const char *entry;
	int pid = -ENOENT;
	DIR *dir = opendir(host->proc);

	if (!dir)
		return -ENOENT;
	snprintf(wanted, sizeof(wanted), "%s/vfio/%d", host->dev, group);
	while (pid < 0 && (entry = next_name(dir))) {
		int number = parse_group(entry);

		if (number <= 0 || !process_holds(host, entry, wanted))
			continue;
		pid = number;
		read_line(comm, "%s/%s/comm", host->proc, entry);
		memcpy(name, comm, SYSFS_NAME);
	}
	closedir(dir);
	return pid;
}

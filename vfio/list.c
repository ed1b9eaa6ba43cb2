// SPDX-License-Identifier: GPL-2.0-only
/* lkvm vfio list: the host's PCI functions, one a line. Nothing is opened. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "container.h"
#include "hindrance.h"
#include "pci_class.h"

struct line {
	struct sysfs_function function;
	char status[sizeof(((struct hindrance *)0)->brief)];
};

static int look_at(struct line *line, const struct vfio_host *host, const char *bdf)
{
	struct hindrances found;
	char name[SYSFS_NAME];
	int pid, err = sysfs_function_read(&line->function, host, bdf);

	if (err)
		return err;
	hindrances_find(&found, &line->function, host);
	pid = found.count ? -ENOENT : sysfs_group_holder(host, line->function.group, name);
	if (found.count)
		memcpy(line->status, found.list[0].brief, sizeof(line->status));
	else if (pid > 0)
		snprintf(line->status, sizeof(line->status), "in use by process %d (%.32s)", pid,
			 name);
	else
		snprintf(line->status, sizeof(line->status), "ready");
	return 0;
}

static int wider(int width, const char *text)
{
	int length = (int)strlen(text);

	return length > width ? length : width;
}

static void print_lines(const struct line *lines, size_t count, FILE *out)
{
	int class = 5, driver = 6;

	for (size_t i = 0; i < count; i++) {
		class = wider(class, pci_class_name(lines[i].function.class));
		driver = wider(driver, lines[i].function.driver);
	}
	fprintf(out, "%-12s  %-9s  %-*s  %-*s  %5s  %s\n", "FUNCTION", "ID", class, "CLASS", driver,
		"DRIVER", "GROUP", "STATUS");
	for (size_t i = 0; i < count; i++) {
		const struct sysfs_function *function = &lines[i].function;
		char group[16];

		snprintf(group, sizeof(group), function->unknown ? "?" : "-");
		if (function->group >= 0)
			snprintf(group, sizeof(group), "%d", function->group);
		fprintf(out, "%-12s  %04x:%04x  %-*s  %-*s  %5s  %s\n", function->bdf,
			function->vendor, function->device, class, pci_class_name(function->class),
			driver, function->driver[0] ? function->driver : "-", group,
			lines[i].status);
	}
}

int vfio_list_on(const struct vfio_host *host, FILE *out)
{
	char(*bdfs)[VFIO_BDF_SIZE];
	ssize_t count = sysfs_functions(&bdfs, host);
	struct line *lines;
	int err = 0;

	if (count < 0)
		return (int)count;
	lines = calloc(count ? (size_t)count : 1, sizeof(*lines));
	if (!lines)
		err = report(-ENOMEM, "cannot list %zd PCI functions", count);
	for (ssize_t i = 0; i < count && !err; i++)
		err = look_at(&lines[i], host, bdfs[i]);
	if (!err)
		print_lines(lines, (size_t)count, out);
	for (ssize_t i = 0; lines && i < count; i++)
		sysfs_function_release(&lines[i].function);
	free(lines);
	free(bdfs);
	return err;
}

// SPDX-License-Identifier: GPL-2.0-only
/* lkvm vfio check: all that decides whether a function can be passed through. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "bdf.h"
#include "container.h"
#include "doorbell.h"
#include "hindrance.h"
#include "json.h"
#include "pci_class.h"

/* What is known of one function. */
struct findings {
	struct sysfs_function function;
	struct sysfs_details details;
	struct sysfs_reserved reserved[SYSFS_RESERVED_MAX];
	size_t reserved_count;
	struct memlock memlock;
	struct hindrances hindrances;
	bool viable;
	int doorbell; /* vfio_doorbell_offered(); another -errno: not asked */
};

/* Only opening the group tells whether someone else has it; nothing is done with it. */
static void try_group(struct findings *findings, const struct vfio_host *host)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/vfio/%d", host->dev, findings->function.group);
	fd = vfio_open_path(path);
	if (fd >= 0)
		close(fd);
	else
		hindrance_of_group(&findings->hindrances, &findings->function, host, fd);
}

static int find(struct findings *findings, const struct vfio_host *host, const char *bdf)
{
	struct sysfs_function *function = &findings->function;
	int err = sysfs_function_read(function, host, bdf);

	if (err)
		return err;
	sysfs_details_read(&findings->details, host, bdf);
	if (function->group >= 0)
		findings->reserved_count = sysfs_reserved_read(
			findings->reserved, SYSFS_RESERVED_MAX, host, function->group);
	memlock_read(&findings->memlock);
	findings->viable = function->group >= 0 && !function->noiommu;
	for (size_t i = 0; i < function->members_count; i++)
		findings->viable =
			findings->viable && sysfs_member_is_harmless(&function->members[i]);
	hindrances_find(&findings->hindrances, function, host);
	findings->doorbell = -EAGAIN;
	if (!findings->hindrances.count)
		try_group(findings, host);
	if (!findings->hindrances.count)
		findings->doorbell = vfio_doorbell_offered(host, bdf, function->group);
	if (function->exists)
		hindrance_of_memlock(&findings->hindrances, function, &findings->memlock);
	return 0;
}

/* --- as text --- */

static void print_group(const struct findings *findings, FILE *out)
{
	const struct sysfs_function *function = &findings->function;

	if (function->group < 0) {
		fprintf(out, "  IOMMU group  %s\n",
			function->unknown ? "not known before a driver is bound" : "none");
		return;
	}
	fprintf(out, "  IOMMU group  %d, %s\n", function->group,
		findings->viable ? "viable" : "not viable");
	for (size_t i = 0; i < function->members_count; i++) {
		const struct sysfs_member *member = &function->members[i];

		fprintf(out, "    %-12s %s%s%s\n", member->name,
			member->driver[0] ? member->driver : "no driver",
			member->bridge ? ", bridge" : "",
			sysfs_member_is_harmless(member) ? "" : ", in the way");
	}
}

static void print_interrupts(const struct sysfs_details *details, FILE *out)
{
	fputs("  interrupts   ", out);
	if (!details->capabilities_known) {
		fprintf(out, "%sMSI and MSI-X: only root can see them\n",
			details->intx ? "INTx; " : "");
		return;
	}
	if (details->msix_vectors)
		fprintf(out, "MSI-X %u%s", details->msix_vectors,
			details->msi_vectors || details->intx ? ", " : "");
	if (details->msi_vectors)
		fprintf(out, "MSI %u%s", details->msi_vectors, details->intx ? ", " : "");
	if (details->intx)
		fputs("INTx", out);
	if (!details->msix_vectors && !details->msi_vectors && !details->intx)
		fputs("none", out);
	putc('\n', out);
}

static void print_bars(const struct sysfs_details *details, FILE *out)
{
	char size[SIZE_TEXT];

	for (unsigned i = 0; i < SYSFS_BARS; i++) {
		const struct sysfs_bar *bar = &details->bars[i];

		if (!bar->size)
			continue;
		if (i == SYSFS_ROM)
			fputs("  ROM          ", out);
		else
			fprintf(out, "  BAR %u        ", i);
		fprintf(out, "0x%" PRIx64 ", %s, %s%s%s\n", bar->start, size_text(size, bar->size),
			bar->io ? "I/O" : "memory", bar->is64 ? " 64-bit" : "",
			bar->prefetch ? " prefetchable" : "");
	}
}

static void print_reserved(const struct findings *findings, FILE *out)
{
	for (size_t i = 0; i < findings->reserved_count; i++)
		fprintf(out, "  %-11s  0x%" PRIx64 "-0x%" PRIx64 " %s\n", i ? "" : "reserved",
			findings->reserved[i].start, findings->reserved[i].end,
			findings->reserved[i].type);
}

static const char *doorbell_word(const struct findings *findings)
{
	switch (findings->doorbell) {
	case 0:
		return "any";
	case -ENOTTY:
		return "kernel";
	case -EOPNOTSUPP:
		return "none";
	default:
		return NULL;
	}
}

static void print_doorbell(const struct findings *findings, FILE *out)
{
	const char *word = doorbell_word(findings);

	fputs("  MSI doorbell ", out);
	if (!word)
		fputs("not known whether its IOVA can be chosen, before the function is ready\n",
		      out);
	else if (!findings->doorbell)
		fputs("its IOVA can be chosen (--msi-doorbell)\n", out);
	else if (findings->doorbell == -ENOTTY)
		fputs("the kernel chooses its IOVA; the modules of lkvm's kernel/README.md let "
		      "lkvm choose\n",
		      out);
	else
		fputs("the host's IOMMU translates no MSIs of this function\n", out);
}

static void print_memlock(const struct memlock *memlock, FILE *out)
{
	char soft[SIZE_TEXT], hard[SIZE_TEXT];

	fprintf(out, "  memlock      %s, at most %s%s\n", size_text(soft, memlock->soft),
		size_text(hard, memlock->hard),
		memlock->exempt      ? "; does not bind this user"
		: memlock->may_raise ? "; this user may raise it"
				     : "");
}

static void print_hindrances(const struct hindrances *found, FILE *out)
{
	fprintf(out, "  %s\n", found->count ? "NOT READY" : "ready");
	for (unsigned i = 0; i < found->count; i++)
		fprintf(out, "  - %s\n    %s%s\n", found->list[i].cause,
			found->list[i].command ? "# " : "", found->list[i].cure);
}

static void print_text(const struct findings *findings, FILE *out)
{
	const struct sysfs_function *function = &findings->function;

	fprintf(out, "%s", function->bdf);
	if (function->exists) {
		fprintf(out, " %04x:%04x %s\n", function->vendor, function->device,
			pci_class_name(function->class));
		fprintf(out, "  driver       %s\n",
			function->driver[0] ? function->driver : "none");
		print_group(findings, out);
		fprintf(out, "  reset        %s\n",
			findings->details.reset_methods[0] ? findings->details.reset_methods
							   : "none of its own");
		print_interrupts(&findings->details, out);
		print_bars(&findings->details, out);
		print_reserved(findings, out);
		print_doorbell(findings, out);
		print_memlock(&findings->memlock, out);
	} else {
		putc('\n', out);
	}
	print_hindrances(&findings->hindrances, out);
}

/* --- as JSON --- */

static void json_id(struct json *json, const char *key, unsigned value)
{
	char text[8];

	snprintf(text, sizeof(text), "%04x", value & 0xffff);
	json_string(json, key, text);
}

static void json_or_null(struct json *json, const char *key, bool known, uint64_t value)
{
	if (known)
		json_number(json, key, value);
	else
		json_string(json, key, NULL);
}

static void json_group(struct json *json, const struct findings *findings)
{
	const struct sysfs_function *function = &findings->function;

	json_or_null(json, "iommu_group", function->group >= 0, (uint64_t)function->group);
	json_bool(json, "iommu_group_known", !function->unknown);
	json_bool(json, "noiommu", function->noiommu);
	json_bool(json, "viable", findings->viable);
	json_open(json, "group_members", '[');
	for (size_t i = 0; i < function->members_count; i++) {
		const struct sysfs_member *member = &function->members[i];

		json_open(json, NULL, '{');
		json_string(json, "name", member->name);
		json_string(json, "driver", member->driver[0] ? member->driver : NULL);
		json_bool(json, "bridge", member->bridge);
		json_bool(json, "in_the_way", !sysfs_member_is_harmless(member));
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_reset_methods(struct json *json, const struct sysfs_details *details)
{
	char methods[SYSFS_NAME], *save = NULL;

	memcpy(methods, details->reset_methods, sizeof(methods));
	json_open(json, "reset_methods", '[');
	for (char *one = strtok_r(methods, " ", &save); one; one = strtok_r(NULL, " ", &save))
		json_string(json, NULL, one);
	json_close(json, ']');
}

static void json_bars(struct json *json, const struct sysfs_details *details)
{
	json_open(json, "bars", '[');
	for (unsigned i = 0; i < SYSFS_ROM; i++) {
		const struct sysfs_bar *bar = &details->bars[i];

		if (!bar->size)
			continue;
		json_open(json, NULL, '{');
		json_number(json, "index", i);
		json_hex(json, "address", bar->start);
		json_number(json, "size", bar->size);
		json_string(json, "type", bar->io ? "io" : bar->is64 ? "memory64" : "memory32");
		json_bool(json, "prefetchable", bar->prefetch);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_reserved(struct json *json, const struct findings *findings)
{
	json_open(json, "reserved_regions", '[');
	for (size_t i = 0; i < findings->reserved_count; i++) {
		json_open(json, NULL, '{');
		json_hex(json, "start", findings->reserved[i].start);
		json_hex(json, "end", findings->reserved[i].end);
		json_string(json, "type", findings->reserved[i].type);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_memlock(struct json *json, const struct memlock *memlock)
{
	json_open(json, "memlock", '{');
	json_or_null(json, "soft", memlock->soft != MEMLOCK_INFINITE, memlock->soft);
	json_or_null(json, "hard", memlock->hard != MEMLOCK_INFINITE, memlock->hard);
	json_bool(json, "exempt", memlock->exempt);
	json_bool(json, "may_raise", memlock->may_raise);
	json_close(json, '}');
}

static void json_hindrances(struct json *json, const struct hindrances *found)
{
	json_open(json, "hindrances", '[');
	for (unsigned i = 0; i < found->count; i++) {
		json_open(json, NULL, '{');
		json_string(json, "cause", found->list[i].cause);
		json_string(json, "cure", found->list[i].cure);
		json_bool(json, "cure_is_command", found->list[i].command);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void print_json(const struct findings *findings, FILE *out)
{
	const struct sysfs_function *function = &findings->function;
	const struct sysfs_details *details = &findings->details;
	struct json json = { .out = out };

	json_open(&json, NULL, '{');
	json_string(&json, "bdf", function->bdf);
	json_bool(&json, "ready", !findings->hindrances.count);
	json_bool(&json, "exists", function->exists);
	if (function->exists) {
		json_id(&json, "vendor", function->vendor);
		json_id(&json, "device", function->device);
		json_id(&json, "class", function->class >> 8);
		json_string(&json, "class_name", pci_class_name(function->class));
		json_string(&json, "driver", function->driver[0] ? function->driver : NULL);
		json_group(&json, findings);
		json_reset_methods(&json, details);
		json_bool(&json, "intx", details->intx);
		json_or_null(&json, "msi_vectors", details->capabilities_known,
			     details->msi_vectors);
		json_or_null(&json, "msix_vectors", details->capabilities_known,
			     details->msix_vectors);
		json_bars(&json, details);
		json_reserved(&json, findings);
		json_string(&json, "msi_doorbell", doorbell_word(findings));
		json_memlock(&json, &findings->memlock);
	}
	json_hindrances(&json, &findings->hindrances);
	json_close(&json, '}');
}

int vfio_check_on(const struct vfio_host *host, const char *bdf, bool json, FILE *out)
{
	struct findings findings = { 0 };
	char canonical[VFIO_BDF_SIZE];
	int err = bdf_canonical(canonical, bdf);

	if (!err)
		err = find(&findings, host, canonical);
	if (!err && json)
		print_json(&findings, out);
	else if (!err)
		print_text(&findings, out);
	sysfs_function_release(&findings.function);
	return err ? err : findings.hindrances.count != 0;
}

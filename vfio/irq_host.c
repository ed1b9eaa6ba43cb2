// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "irq_host.h"

#define KMSG_RECORD 16384 /* the kernel refuses to write a record into less than it takes */

/* Opens what may not block; NULL where it cannot be read. */
static FILE *open_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

/* --- /proc/interrupts --- */

/* "vfio-msix[3](0000:01:00.0)" or "vfio-intx(0000:01:00.0)" of this function. */
static bool parse_name(const char *text, const char *bdf, const char **kind, unsigned *vector)
{
	static const char *const kinds[] = { "msix", "msi", "intx" };
	const char *at = strstr(text, "vfio-");
	size_t i = 0, len = strlen(bdf);
	char *end;

	if (!at)
		return false;
	at += 5;
	while (i < sizeof(kinds) / sizeof(kinds[0]) && strncmp(at, kinds[i], strlen(kinds[i])) != 0)
		i++;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return false;
	*kind = kinds[i];
	*vector = 0;
	at += strlen(kinds[i]);
	if (*at == '[') {
		*vector = (unsigned)strtoul(at + 1, &end, 10);
		if (end == at + 1 || *end != ']')
			return false;
		at = end + 1;
	}
	return at[0] == '(' && !strncmp(at + 1, bdf, len) && at[1 + len] == ')';
}

/* "  45:  12  0 ..." : the number, and the sum of the columns that are numbers. */
static bool parse_counts(const char *line, struct host_irq *irq)
{
	char *at;
	long number = strtol(line, &at, 10);

	if (at == line || *at != ':' || number < 0 || number > INT_MAX)
		return false;
	*irq = (struct host_irq){ .number = (int)number };
	for (at++;;) {
		char *end;
		uint64_t count = strtoull(at, &end, 10);

		if (end == at || !isspace((unsigned char)*end))
			return true;
		irq->count += count;
		at = end;
	}
}

int host_irqs_read(const struct vfio_host *host, const char *bdf,
		   void (*seen)(void *ctx, const char *kind, unsigned vector,
				const struct host_irq *irq),
		   void *ctx)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/interrupts", host->proc);
	file = open_text(path);
	if (!file)
		return -errno;
	while (getline(&line, &size, file) > 0) {
		const char *kind;
		struct host_irq irq;
		unsigned vector;

		if (parse_name(line, bdf, &kind, &vector) && parse_counts(line, &irq))
			seen(ctx, kind, vector, &irq);
	}
	free(line);
	fclose(file);
	return 0;
}

/* --- debugfs --- */

enum host_answer host_irq_forwarded(const struct vfio_host *host, int number)
{
	enum host_answer answer = HOST_NO;
	char path[PATH_MAX], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/kernel/debug/irq/irqs/%d", host->sys, number);
	file = open_text(path);
	if (!file)
		return HOST_UNKNOWN;
	while (fgets(line, sizeof(line), file))
		if (strstr(line, "IRQD_FORWARDED_TO_VCPU"))
			answer = HOST_YES;
	fclose(file);
	return answer;
}

/* vgic-state has a line for each LPI: "LPI 8192 0 0001101 ...", the flags being PLAEHCG. NULL: another line. */
static const char *lpi_flags(const char *line)
{
	char *end;

	line += strspn(line, " ");
	if (strncmp(line, "LPI ", 4) != 0)
		return NULL;
	strtoul(line + 4, &end, 10); /* its number */
	strtol(end, &end, 10);       /* the vCPU */
	end += strspn(end, " ");
	return strspn(end, "01") >= 7 ? end : NULL;
}

enum host_answer host_lpis_forwarded(const struct vfio_host *host, int vm_fd)
{
	unsigned all = 0, forwarded = 0;
	char path[PATH_MAX], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/kernel/debug/kvm/%d-%d/vgic-state", host->sys,
		 (int)getpid(), vm_fd);
	file = open_text(path);
	if (!file)
		return HOST_UNKNOWN;
	while (fgets(line, sizeof(line), file)) {
		const char *flags = lpi_flags(line);

		if (!flags || flags[3] != '1')
			continue;
		all++;
		forwarded += flags[4] == '1';
	}
	fclose(file);
	if (!all)
		return HOST_UNKNOWN;
	return forwarded == all ? HOST_YES : forwarded ? HOST_PARTLY : HOST_NO;
}

/* --- the kernel's log and command line --- */

struct log_walk {
	bool seen_vgic, seen_enabled, seen_disabled;
	const char *bdf; /* whose failures are looked for; NULL: nobody's */
	uint64_t since;
	long failure;
};

static void look_at_gicv4(struct log_walk *walk, const char *text)
{
	const char *at = strstr(text, "GICv4");

	walk->seen_vgic |= strstr(text, "vgic interrupt IRQ") != NULL;
	if (!at)
		return;
	at += strcspn(at, " ");
	walk->seen_enabled |= !strncmp(at, " support enabled", 16);
	walk->seen_disabled |= !strncmp(at, " support disabled", 17);
}

/* VFIO's side of a failure names the function, KVM's (the consumer) none. */
static void look_at_failure(struct log_walk *walk, const char *text, uint64_t seconds)
{
	const char *at = strstr(text, "registration fails: ");

	if (!walk->bdf || !at || !strstr(text, "irq bypass ") || seconds < walk->since)
		return;
	if (strstr(text, walk->bdf) || strstr(text, "consumer"))
		walk->failure = strtol(at + strlen("registration fails: "), NULL, 10);
}

/* A record is "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT" (Documentation/ABI/testing/dev-kmsg). False: another line. */
static bool record_time(const char *line, uint64_t *microseconds)
{
	char *end;

	for (unsigned field = 0;; field++, line = end + 1) {
		*microseconds = strtoull(line, &end, 10);
		if (end == line || field == 2)
			return end != line;
		if (*end != ',')
			return false;
	}
}

/* False: unreadable. */
static bool walk_log(const struct vfio_host *host, struct log_walk *walk)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/kmsg", host->dev);
	file = open_text(path);
	if (!file)
		return false;
	setvbuf(file, NULL, _IOFBF, KMSG_RECORD);
	for (;;) {
		uint64_t microseconds;

		errno = 0;
		if (getline(&line, &size, file) < 0) {
			if (errno != EPIPE) /* records we had not read were overwritten */
				break;
			clearerr(file);
			continue;
		}
		if (!record_time(line, &microseconds))
			continue;
		look_at_gicv4(walk, line);
		look_at_failure(walk, line, microseconds / 1000000);
	}
	free(line);
	fclose(file);
	return true;
}

/* kvm-arm.vgic_v4_enable=1, as the kernel reads it: dashes and underscores are one. */
static enum host_answer asked_for(const struct vfio_host *host)
{
	enum host_answer answer = HOST_NO;
	char path[PATH_MAX], text[4096], *save = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "%s/cmdline", host->proc);
	file = open_text(path);
	if (!file)
		return HOST_UNKNOWN;
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = 0;
		for (char *p = word; *p; p++)
			*p = *p == '-' ? '_' : *p;
		if (!strcmp(word, "kvm_arm.vgic_v4_enable"))
			answer = strchr("1yYtT", value[0]) || !strcasecmp(value, "on") ? HOST_YES
										       : HOST_NO;
	}
	return answer;
}

void host_gicv4_read(struct host_gicv4 *gicv4, const struct vfio_host *host)
{
	struct log_walk walk = { 0 };

	*gicv4 = (struct host_gicv4){ .possible = HOST_UNKNOWN };
	walk_log(host, &walk);
	if (walk.seen_enabled) {
		gicv4->possible = HOST_YES;
	} else if (walk.seen_vgic && !walk.seen_disabled) {
		gicv4->possible = HOST_NO;
		gicv4->why = "the host's interrupt controller is no GICv4";
	} else if (walk.seen_disabled || asked_for(host) == HOST_NO) {
		gicv4->possible = HOST_NO;
		gicv4->why = "the host's kernel was started without kvm-arm.vgic_v4_enable=1";
	}
}

/* What kvm_vgic_v4_set_forwarding() returns; positive ones are the ITS's error codes. */
const char *host_bypass_failure(const struct vfio_host *host, const char *bdf, uint64_t since)
{
	struct log_walk walk = { .bdf = bdf, .since = since };

	if (!walk_log(host, &walk) || !walk.failure)
		return NULL;
	switch (walk.failure) {
	case 0x10307:
		return "the guest had not mapped the event in its ITS";
	case -EBUSY:
		return "the guest's ITS, or its LPIs, were off";
	case -EINVAL:
		return "KVM took the physical ITS for none with GICv4";
	default:
		return walk.failure > 0 ? "the guest's ITS does not know the device or event"
					: "KVM could not forward it; the host's log has the number";
	}
}

// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include <lkvm/virtio_disk.h>

/* "NUMBER[K|M|G|T]", not 0. */
static int parse_rate(const char *text, uint64_t *rate)
{
	static const char units[] = "KMGT";
	unsigned long long number;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (errno || !number || (*end && (!unit || end[1])))
		return -EINVAL;
	if (__builtin_mul_overflow(number, unit ? 1ULL << (10 * (unit - units + 1)) : 1, rate))
		return -EINVAL;
	return *rate > INT64_MAX ? -EINVAL : 0;
}

static int take_queues(struct virtio_disk_config *config, const char *value)
{
	uint64_t queues;

	if (parse_rate(value, &queues) || queues > VIRTIO_DISK_QUEUES_MAX)
		return refuse(-EINVAL, "disk %s: queues=%s is none of 1 to %d", config->path, value,
			      VIRTIO_DISK_QUEUES_MAX);
	config->queues = (unsigned)queues;
	return 0;
}

static int take_serial(struct virtio_disk_config *config, const char *value)
{
	if (strlen(value) > VIRTIO_DISK_SERIAL_SIZE)
		return refuse(-EINVAL, "disk %s: serial=%s is longer than %d bytes", config->path,
			      value, VIRTIO_DISK_SERIAL_SIZE);
	config->serial = value;
	return 0;
}

static int take_rate(struct virtio_disk_config *config, const char *key, const char *value,
		     uint64_t *rate)
{
	if (parse_rate(value, rate))
		return refuse(-EINVAL, "disk %s: %s=%s is no number above 0, such as 500 or 20M",
			      config->path, key, value);
	return 0;
}

static int take_part(struct virtio_disk_config *config, char *part)
{
	char *value = strchr(part, '=');

	if (value)
		*value++ = '\0';
	if (!strcmp(part, "ro") && !value)
		config->read_only = true;
	else if (!strcmp(part, "direct") && !value)
		config->direct = true;
	else if (!strcmp(part, "serial") && value)
		return take_serial(config, value);
	else if (!strcmp(part, "queues") && value)
		return take_queues(config, value);
	else if (!strcmp(part, "iops") && value)
		return take_rate(config, part, value, &config->iops);
	else if (!strcmp(part, "bps") && value)
		return take_rate(config, part, value, &config->bps);
	else
		return refuse(-EINVAL,
			      "disk %s: %s is none of ro, direct, serial=TEXT, queues=N, iops=N, "
			      "bps=N",
			      config->path, part);
	return 0;
}

int virtio_disk_config_parse(struct virtio_disk_config *config, const char *text)
{
	char *rest, *part;
	int err = 0;

	*config = (struct virtio_disk_config){ .queues = 1 };
	config->text = strdup(text);
	if (!config->text)
		return report(-ENOMEM, "disk %s", text);
	rest = config->text;
	config->path = strsep(&rest, ",");
	if (!*config->path)
		return refuse(-EINVAL, "--disk needs a file before its options");
	while (!err && (part = strsep(&rest, ",")))
		err = take_part(config, part);
	return err;
}

void virtio_disk_config_free(struct virtio_disk_config *config)
{
	free(config->text);
	config->text = NULL;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include <lkvm/virtio_9p.h>

/* Takes the part of *rest up to the next comma. */
static int take(const char **rest, char *to, size_t size)
{
	size_t part = strcspn(*rest, ",");

	if (!part || part >= size)
		return part ? -ENAMETOOLONG : -EINVAL;
	memcpy(to, *rest, part);
	to[part] = 0;
	*rest += part;
	if (**rest)
		++*rest;
	return 0;
}

static int take_options(struct virtio_share_config *config, const char *rest)
{
	char part[VIRTIO_9P_TAG_MAX + 1];

	while (*rest) {
		if (take(&rest, part, sizeof(part)))
			return refuse(-EINVAL,
				      "--9p: in ...,%s the tag is empty or longer than %d bytes",
				      rest, VIRTIO_9P_TAG_MAX);
		if (!strcmp(part, "ro"))
			config->readonly = true;
		else if (*config->tag)
			return refuse(-EINVAL, "--9p %s: a second tag, %s; the only option is ro",
				      config->dir, part);
		else
			memcpy(config->tag, part, sizeof(part));
	}
	return 0;
}

/* "." and ".." have a name elsewhere. */
static int default_tag(struct virtio_share_config *config)
{
	char *real = realpath(config->dir, NULL);
	const char *base;
	int err = 0;

	if (!real)
		return report(-errno, "cannot share the folder %s", config->dir);
	base = strrchr(real, '/') + 1;
	if (strlen(base) > VIRTIO_9P_TAG_MAX)
		err = refuse(-EINVAL,
			     "--9p %s: the name is longer than a tag's %d bytes: give one, as in "
			     "--9p %s,TAG",
			     config->dir, VIRTIO_9P_TAG_MAX, config->dir);
	else
		snprintf(config->tag, sizeof(config->tag), "%s", *base ? base : "root");
	free(real);
	return err;
}

int virtio_share_config_parse(struct virtio_share_config *configs, size_t count, const char *text)
{
	struct virtio_share_config *config = &configs[count];
	const char *rest = text;
	int err;

	*config = (struct virtio_share_config){ 0 };
	if (take(&rest, config->dir, sizeof(config->dir)))
		return refuse(-EINVAL, "--9p %.40s: it takes a folder, DIR[,TAG][,ro]", text);
	err = take_options(config, rest);
	if (!err && !*config->tag)
		err = default_tag(config);
	for (size_t i = 0; i < count && !err; i++)
		if (!strcmp(configs[i].tag, config->tag))
			err = refuse(-EINVAL, "--9p: %s and %s both have the tag %s",
				     configs[i].dir, config->dir, config->tag);
	return err;
}

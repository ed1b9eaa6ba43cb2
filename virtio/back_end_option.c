// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <lkvm/report.h>
#include <lkvm/virtio_vhost_user.h>

#define KEYS "fs|blk,socket=PATH[,tag=TAG][,queues=N][,wait=SECONDS]"

static int take_path(struct virtio_back_end_config *config, const char *path, size_t size)
{
	if (!size)
		return refuse(-EINVAL, "--vhost-user: socket= without a path");
	if (size >= sizeof(config->address.sun_path))
		return refuse(-ENAMETOOLONG,
			      "--vhost-user: the socket's path is longer than %zu bytes: %.40s...",
			      sizeof(config->address.sun_path) - 1, path);
	memcpy(config->address.sun_path, path, size);
	return 0;
}

static int take_tag(struct virtio_back_end_config *config, const char *tag, size_t size)
{
	if (!config->fs)
		return refuse(-EINVAL, "--vhost-user: a disk has no tag=");
	if (!size || size > VIRTIO_BACK_END_TAG_MAX)
		return refuse(-EINVAL, "--vhost-user: tag= takes 1 to %d bytes",
			      VIRTIO_BACK_END_TAG_MAX);
	memcpy(config->tag, tag, size);
	return 0;
}

static int take_number(unsigned *number, const char *key, unsigned least, unsigned most,
		       const char *text, size_t size)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end != text + size || *text < '0' || *text > '9' || value < least || value > most)
		return refuse(-EINVAL, "--vhost-user: %s takes %u to %u, not %.*s", key, least,
			      most, (int)(size < 40 ? size : 40), text);
	*number = (unsigned)value;
	return 0;
}

static int take_queues(struct virtio_back_end_config *config, const char *text, size_t size)
{
	return take_number(&config->queues, "queues=", 1, VIRTIO_BACK_END_QUEUES_MAX, text, size);
}

static int take_wait(struct virtio_back_end_config *config, const char *text, size_t size)
{
	return take_number(&config->wait, "wait=", 0, VIRTIO_BACK_END_WAIT_MAX, text, size);
}

static int take_key(struct virtio_back_end_config *config, const char *text, size_t size)
{
	static const struct {
		const char *key;
		int (*take)(struct virtio_back_end_config *config, const char *text, size_t size);
	} keys[] = { { "socket=", take_path },
		     { "tag=", take_tag },
		     { "queues=", take_queues },
		     { "wait=", take_wait } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t key = strlen(keys[i].key);

		if (size >= key && !memcmp(text, keys[i].key, key))
			return keys[i].take(config, text + key, size - key);
	}
	return refuse(-EINVAL, "--vhost-user: %.*s is none of " KEYS, (int)(size < 40 ? size : 40),
		      text);
}

int virtio_back_end_config_parse(struct virtio_back_end_config *config, const char *text)
{
	size_t size = strcspn(text, ",");
	int err = 0;

	*config = (struct virtio_back_end_config){ .address.sun_family = AF_UNIX,
						   .queues = 1,
						   .wait = VIRTIO_BACK_END_WAIT };
	config->fs = size == 2 && !memcmp(text, "fs", 2);
	if (!config->fs && (size != 3 || memcmp(text, "blk", 3)))
		return refuse(-EINVAL, "--vhost-user: %.40s is not " KEYS, text);
	while (text[size] && !err) {
		text += size + 1;
		size = strcspn(text, ",");
		err = take_key(config, text, size);
	}
	if (err)
		return err;
	if (!*config->address.sun_path)
		return refuse(-EINVAL, "--vhost-user: socket=PATH is missing");
	if (config->fs && !*config->tag)
		return refuse(-EINVAL,
			      "--vhost-user: a file system needs a tag=, to be mounted by");
	return 0;
}

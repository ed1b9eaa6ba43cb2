/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices served by another process over a socket (vhost-user): what --vhost-user says of one. */
#ifndef LKVM_VIRTIO_VHOST_USER_H
#define LKVM_VIRTIO_VHOST_USER_H

#include <stdbool.h>
#include <sys/un.h>

#define VIRTIO_BACK_END_TAG_MAX    36 /* (virtio 1.2, 5.11.4); no NUL then */
#define VIRTIO_BACK_END_QUEUES_MAX 16
#define VIRTIO_BACK_END_WAIT       10
#define VIRTIO_BACK_END_WAIT_MAX   86400

struct virtio_back_end_config {
	bool fs; /* a file system, else a disk */
	struct sockaddr_un address;
	char tag[VIRTIO_BACK_END_TAG_MAX + 1]; /* fs: what the guest mounts it by */
	unsigned queues;                       /* of requests */
	unsigned wait; /* seconds without a back end until what the guest asks of it fails */
};

/* Parses "fs|blk,socket=PATH[,tag=TAG][,queues=N][,wait=SECONDS]". -EINVAL, reported with what is wrong. */
int virtio_back_end_config_parse(struct virtio_back_end_config *config, const char *text);

#endif

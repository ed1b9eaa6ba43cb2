/* SPDX-License-Identifier: GPL-2.0-only */
/* Disks (virtio 1.2, 5.2): what -d/--disk says of one. */
#ifndef LKVM_VIRTIO_DISK_H
#define LKVM_VIRTIO_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_DISK_SERIAL_SIZE 20 /* without a NUL (virtio 1.2, 5.2.6) */
#define VIRTIO_DISK_QUEUES_MAX  16

struct virtio_disk_config {
	const char *path; /* a raw image or a block device of the host's */
	bool read_only;
	bool direct;        /* past the host's page cache */
	const char *serial; /* at most VIRTIO_DISK_SERIAL_SIZE bytes; NULL: none */
	unsigned queues;
	uint64_t iops, bps; /* requests and bytes a second; 0: no limit */
	char *text;         /* what strings above point into */
};

/*
 * Parses "FILE[,ro][,direct][,serial=TEXT][,queues=N][,iops=N][,bps=N]"; N of iops and bps may have a unit, K to T. What
 * was allocated is the config's, also after a failure. -EINVAL, -ENOMEM, reported. free accepts a zeroed one.
 */
int virtio_disk_config_parse(struct virtio_disk_config *config, const char *text);
void virtio_disk_config_free(struct virtio_disk_config *config);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* All of a machine's passed-through devices: one container, its groups, and their devices. */
#ifndef VFIO_CONTAINER_H
#define VFIO_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lkvm/vfio.h>
#include "device.h"
#include "sysfs.h"

struct vfio_group {
	int number;
	int fd;          /* -1: not open */
	const char *bdf; /* the first of our devices in it, for messages */
};

struct vfio {
	const struct vfio_host *host;
	struct loop *loop;
	int fd;                    /* the container */
	struct vfio_group *groups; /* [count] have room */
	size_t groups_count;
	struct vfio_device *devices;
	size_t count;
	bool ram_mapped;
	uint64_t ram_base, ram_size;          /* guest-physical = IOVA, bytes */
	struct vfio_doorbell_choice doorbell; /* of devices whose configuration does not say */
	uint64_t guest_doorbell;              /* the guest's own, 0: none */
	uint64_t irq_report_since;            /* seconds of CLOCK_MONOTONIC */
	bool attached;
	int kvm_fd; /* the VM's KVM_DEV_VFIO device, -1: none */
};

/* vfio_create() on a host whose file systems lie elsewhere; `host` outlives it. */
int vfio_create_on(const struct vfio_host *host, struct vfio **vfio,
		   const struct vfio_device_config *configs, size_t count, struct loop *loop);

/*
 * Opens the container, and the group `function` is in unless that is done; sets the IOMMU. bdf: the function's, stays
 * the caller's as long as the container. Reported.
 */
int vfio_container_open(struct vfio *vfio, const struct sysfs_function *function);
int vfio_group_open(struct vfio *vfio, const struct sysfs_function *function, const char *bdf);
void vfio_container_close(struct vfio *vfio);
/*
 * Whether the IOMMU can map [base, base + size), as far as the kernel tells; where not, *low and *high are the ends of
 * what it can map, with holes in between.
 */
bool vfio_iova_fits(const struct vfio *vfio, uint64_t base, uint64_t size, uint64_t *low,
		    uint64_t *high);
const struct vfio_group *vfio_group_numbered(const struct vfio *vfio, int number);

/* device.c: opens and closes one device of a group of ours. open: reported; close: accepts a half-opened one. */
int vfio_device_open(struct vfio_device *dev, const struct vfio_group *group);
void vfio_device_close(struct vfio_device *dev);

/* check.c, list.c: the verbs on a host whose file systems lie elsewhere. */
int vfio_list_on(const struct vfio_host *host, FILE *out);
int vfio_check_on(const struct vfio_host *host, const char *bdf, bool json, FILE *out);

#endif

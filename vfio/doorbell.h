/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MSI doorbell: the page a device writes its MSIs to, as it addresses it behind its IOMMU (an IOVA). The kernel chooses
 * that, or, where it has the feature of <lkvm/vfio_doorbell.h>, lkvm does.
 */
#ifndef VFIO_DOORBELL_PRIVATE_H
#define VFIO_DOORBELL_PRIVATE_H

#include <lkvm/vfio_doorbell.h>
#include "container.h"

/* What no VFIO without the feature says; for messages. */
#define VFIO_DOORBELL_MISSING                                                                      \
	"the host's VFIO cannot set it: build and load the modules of lkvm's kernel/README.md"

/*
 * Decides on each device's doorbell, with guest RAM at [base, base + size) to be: what is given must be possible, auto
 * takes the guest's own where it is. Nothing is mapped or set. Reported; auto's way is told at the info level.
 */
int vfio_doorbells_plan(struct vfio *vfio, uint64_t base, uint64_t size);

/* Sets what was planned; RAM is mapped, no interrupt armed. Reported, but for auto's, which leaves it to the kernel then. */
int vfio_doorbells_set(struct vfio *vfio);

/* VFIO_DEVICE_FEATURE PROBE and GET. 0 or -errno, unreported; get: -ENODATA where the kernel does not know. */
int vfio_doorbell_probe(int device_fd);
int vfio_doorbell_get(const struct vfio_device *dev,
		      struct vfio_device_feature_msi_doorbell *doorbell);

/*
 * Whether the kernel offers the feature for a function, asked by opening it and closing it again: 0, or -errno: -ENOTTY:
 * it does not, -EOPNOTSUPP: not for this function, others: not known. Nothing is reported.
 */
int vfio_doorbell_offered(const struct vfio_host *host, const char *bdf, int group);

#endif

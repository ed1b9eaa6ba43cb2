// SPDX-License-Identifier: GPL-2.0-only
/* The host that lkvm runs on; tests have others. */
#include "container.h"

static const struct vfio_host this_host = { .sys = "/sys", .dev = "/dev", .proc = "/proc" };

int vfio_create(struct vfio **vfio, const struct vfio_device_config *configs, size_t count,
		struct loop *loop)
{
	return vfio_create_on(&this_host, vfio, configs, count, loop);
}

int vfio_list(FILE *out)
{
	return vfio_list_on(&this_host, out);
}

int vfio_check(const char *bdf, bool json, FILE *out)
{
	return vfio_check_on(&this_host, bdf, json, out);
}

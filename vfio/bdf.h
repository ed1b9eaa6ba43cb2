/* SPDX-License-Identifier: GPL-2.0-only */
/* PCI addresses as users write them. */
#ifndef VFIO_BDF_H
#define VFIO_BDF_H

#include <stdint.h>
#include <lkvm/vfio.h>

struct bdf {
	uint32_t domain;
	uint8_t bus, slot, fn;
};

/*
 * Parses "[DOMAIN:]BUS:DEV.FN", hexadecimal, up to the text's end or `stop`; *end is what follows. Returns 0, or -EINVAL
 * with *why telling what is wrong.
 */
int bdf_parse(struct bdf *bdf, const char *text, char stop, const char **end, const char **why);

/* "0000:01:00.0", as sysfs spells it. */
void bdf_format(char buf[VFIO_BDF_SIZE], const struct bdf *bdf);

/* The canonical spelling of a whole text. -EINVAL, reported with what is wrong. */
int bdf_canonical(char buf[VFIO_BDF_SIZE], const char *text);

#endif

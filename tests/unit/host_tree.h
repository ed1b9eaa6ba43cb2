/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of a host's /sys, /dev and /proc that VFIO is found by, built in a folder of its own. */
#ifndef HOST_TREE_H
#define HOST_TREE_H

#include "../../vfio/sysfs.h"

/* An empty host: vfio-pci is loaded, /dev/vfio/vfio is there, no PCI function. One at a time. */
const struct vfio_host *host_tree_begin(void);
void host_tree_end(void);

/* A file below the root ("sys/...", "dev/...", "proc/..."), with the folders it needs; bytes as they are. */
void host_file(const char *path, const void *bytes, size_t size);
void host_text(const char *path, const char *text);
void host_link(const char *path, const char *target);
void host_remove(const char *path);

/*
 * A PCI function with IDs and class; driver NULL: none; group -1: none. With a VFIO driver the group's /dev/vfio/N is
 * there, too. Its group's members are added up.
 */
void host_function(const char *bdf, unsigned vendor, unsigned device, unsigned class,
		   const char *driver, int group);
/* Binds it to another driver, NULL for none. */
void host_bind(const char *bdf, const char *driver);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host says of a PCI function and its IOMMU group, without touching the device (Documentation/ABI/testing). */
#ifndef VFIO_SYSFS_H
#define VFIO_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <lkvm/vfio.h>

/* Where the host's file systems are mounted; tests build their own. */
struct vfio_host {
	const char *sys, *dev, *proc;
};

#define SYSFS_NAME    64
#define SYSFS_BARS    7 /* six BARs and the expansion ROM */
#define SYSFS_ROM     6
#define SYSFS_MEMBERS 1024

/* A device of the same IOMMU group; not always a PCI function. */
struct sysfs_member {
	char name[SYSFS_NAME];
	char driver[SYSFS_NAME]; /* "": none */
	bool bridge;
};

struct sysfs_bar {
	uint64_t start, size; /* host-physical; size 0: there is none */
	bool io, is64, prefetch;
};

struct sysfs_function {
	char bdf[VFIO_BDF_SIZE];
	bool exists;
	uint16_t vendor, device;
	uint32_t class; /* 24 bits: base, sub, programming interface */
	char driver[SYSFS_NAME];
	int group; /* -1: no IOMMU translates for it */
	bool unknown; /* ... or it has no group yet: kernels before 6.15 make it when a driver is bound */
	bool noiommu; /* its group is VFIO's, not an IOMMU's */
	struct sysfs_member *members;
	size_t members_count;
};

/* Reads the above. 0 even where nothing is there (exists is false then); -ENOMEM, reported. */
int sysfs_function_read(struct sysfs_function *function, const struct vfio_host *host,
			const char *bdf);
void sysfs_function_release(struct sysfs_function *function);

/* Bridges that are part of how the host reaches its devices; most have a header that vfio-pci does not take. */
bool sysfs_class_is_bridge(uint32_t class);
/* Drivers of VFIO: vfio-pci and those built on it, such as mlx5_vfio_pci. */
bool sysfs_driver_is_vfio(const char *driver);
/* Whether a member leaves the group viable: its driver, if any, does no DMA on the host's behalf. */
bool sysfs_member_is_harmless(const struct sysfs_member *member);

/* What takes more than a few files to find out, for who wants to know everything. */
struct sysfs_details {
	char reset_methods[SYSFS_NAME]; /* "flr bus"; "": none, or a kernel that does not tell */
	bool capabilities_known; /* configuration space could be read beyond its first 64 bytes */
	unsigned msi_vectors, msix_vectors;
	bool intx;
	struct sysfs_bar bars[SYSFS_BARS];
};

void sysfs_details_read(struct sysfs_details *details, const struct vfio_host *host,
			const char *bdf);

/* An address range of a group where DMA is not the device's to choose. */
struct sysfs_reserved {
	uint64_t start, end;   /* inclusive */
	char type[SYSFS_NAME]; /* direct, direct-relaxable, reserved, msi */
};

/* Fills up to `max` entries; returns how many, 0 where the kernel does not tell. */
size_t sysfs_reserved_read(struct sysfs_reserved *reserved, size_t max,
			   const struct vfio_host *host, int group);
/* Whether the IOMMU's user may not map the range (a relaxable one may be mapped). */
bool sysfs_reserved_blocks(const struct sysfs_reserved *reserved);

#define SYSFS_RESERVED_MAX 64

/* The BDFs of all PCI functions, in order; the array and its strings are one block for free(). Count or -errno, reported. */
ssize_t sysfs_functions(char (**bdfs)[VFIO_BDF_SIZE], const struct vfio_host *host);

/* A process that holds /dev/vfio/GROUP open: its pid and name; -ENOENT where none can be seen. */
int sysfs_group_holder(const struct vfio_host *host, int group, char name[SYSFS_NAME]);

#endif

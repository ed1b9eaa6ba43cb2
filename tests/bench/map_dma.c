// SPDX-License-Identifier: GPL-2.0-only
/*
 * map_dma MIB GROUP[:BDF]...: what it takes to open devices and to give them so much memory for DMA, and nothing else: the
 * limit for a VMM that passes them through. The memory is anonymous, in huge pages, and the container is of type 1,
 * version 2. Without a BDF the group is only put into the container.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SZ_2M 0x200000UL

static void check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "map_dma: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static void open_group(int container, char *name)
{
	char path[64], *bdf = strchr(name, ':');
	int group;

	if (bdf)
		*bdf++ = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", name);
	group = open(path, O_RDWR | O_CLOEXEC);
	check(group, path);
	check(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "VFIO_GROUP_SET_CONTAINER");
	/* The first group in it lets the container have its IOMMU; later ones find it set. */
	ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (bdf)
		check(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf), "VFIO_GROUP_GET_DEVICE_FD");
}

int main(int argc, char **argv)
{
	uint64_t size = argc >= 3 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = 0x80000000,
		.size = size,
	};
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	uint8_t *at;

	if (!size) {
		fprintf(stderr, "usage: map_dma MIB GROUP[:BDF]...\n");
		return 2;
	}
	check(container, "/dev/vfio/vfio");
	for (int i = 2; i < argc; i++)
		open_group(container, argv[i]);
	at = mmap(NULL, size + SZ_2M, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(at == MAP_FAILED ? -1 : 0, "mmap");
	at = (uint8_t *)(((uintptr_t)at + SZ_2M - 1) & ~(SZ_2M - 1));
	madvise(at, size, MADV_HUGEPAGE);
	map.vaddr = (uintptr_t)at;
	check(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), "VFIO_IOMMU_MAP_DMA");
	return 0;
}

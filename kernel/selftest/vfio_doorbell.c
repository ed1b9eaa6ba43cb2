// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of VFIO_DEVICE_FEATURE_MSI_DOORBELL against the uapi alone.
 *
 * vfio_doorbell all E1000E EDU NVME [EDU...]	devices by address (0000:00:02.0), bound to vfio-pci
 * vfio_doorbell msi DEVICE			with an MSI capability for several vectors
 * vfio_doorbell stock DEVICE			on a kernel without the series
 * vfio_doorbell noiommu DEVICE			for a device without IOMMU
 * vfio_doorbell get FD IOVA			is FD a device with that doorbell? (used by itself)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include "tap.h"
#include "tests.h"

int vectors_on(const struct device *dev, int index, int *eventfd_of_0)
{
	*eventfd_of_0 = eventfd(0, EFD_NONBLOCK);
	if (*eventfd_of_0 < 0)
		bail_out("no eventfd");
	device_start(dev);
	return irq_enable(dev, index, 1, eventfd_of_0);
}

static bool arrives(int eventfd_of_0)
{
	struct pollfd pfd = { .fd = eventfd_of_0, .events = POLLIN };
	uint64_t count;

	return poll(&pfd, 1, 30000) == 1 &&
	       read(eventfd_of_0, &count, sizeof(count)) == sizeof(count);
}

/* Interrupt registers of the 82574 (datasheet, 10.2.4) */
#define NIC_ICR   0xc0
#define NIC_ICS   0xc8
#define NIC_IMS   0xd0
#define NIC_IVAR  0xe4
#define NIC_OTHER (1u << 24)

bool nic_signals(const struct device *nic, int eventfd_of_0)
{
	bar_write(nic, 0, NIC_IVAR, 8u << 16); /* other causes: vector 0, valid */
	bar_write(nic, 0, NIC_ICR, ~0u);
	bar_write(nic, 0, NIC_IMS, NIC_OTHER);
	bar_write(nic, 0, NIC_ICS, NIC_OTHER);
	return arrives(eventfd_of_0);
}

bool edu_signals(const struct device *edu, int eventfd_of_0)
{
	bool arrived;

	bar_write(edu, 0, 0x60, 1); /* raise */
	arrived = arrives(eventfd_of_0);
	bar_write(edu, 0, 0x64, 1); /* acknowledge */
	return arrived;
}

int control(const char *name, const char *format, ...)
{
	char path[80], text[80];
	va_list ap;
	int fd, ret;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "/sys/module/vfio_doorbell_test/parameters/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		bail_out("%s: %s (is vfio_doorbell_test loaded?)", path, strerror(errno));
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static const struct {
	const char *name;
	void (*run)(const struct bed *bed);
} tests[] = {
	{ "feature", test_feature },
	{ "addresses", test_addresses },
	{ "memory", test_memory },
	{ "unmap", test_unmap },
	{ "race", test_race },
	{ "shared", test_shared },
	{ "other doorbell", test_other_doorbell },
	{ "second domain", test_second_domain },
	{ "32-bit MSI", test_msi_32_bit },
	{ "limit", test_limit },
	{ "MSI", test_msi },
	{ "MSI-X", test_msix },
	{ "live vectors", test_live },
	{ "INTx", test_intx },
	{ "cycles", test_cycles },
	{ "affinity", test_affinity },
	{ "reset", test_reset },
	{ "re-enable", test_reenable },
	{ "close", test_close },
	{ "fork", test_fork },
	{ "exec", test_exec },
	{ "kill", test_kill },
	{ "move", test_move },
	{ "leak", test_leak },
};

static void all(const struct bed *bed)
{
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		printf("# %s\n", tests[i].name);
		fflush(stdout);
		tests[i].run(bed);
	}
}

/* A kernel without the series does not know the feature. */
static void stock(const char *bdf)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	struct device dev;

	device_open(&dev, bdf, container_new());
	returns(doorbell_probe(&dev), -ENOTTY, "a kernel without the series: PROBE");
	returns(doorbell_get(&dev, &doorbell), -ENOTTY, "a kernel without the series: GET");
	returns(doorbell_set(&dev, LOW), -ENOTTY, "a kernel without the series: SET");
}

static void noiommu(const char *bdf)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	struct device dev = { .bdf = bdf };
	int container = container_new();

	dev.group = group_open(bdf);
	if (dev.group < 0)
		bail_out("the group of %s: %s", bdf, strerror(-dev.group));
	if (ioctl(dev.group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU))
		bail_out("no container without IOMMU: %s", strerror(errno));
	dev.fd = group_device(dev.group, bdf);
	if (dev.fd < 0)
		bail_out("%s: %s", bdf, strerror(-dev.fd));
	returns(doorbell_probe(&dev), -EOPNOTSUPP, "noiommu: PROBE");
	returns(doorbell_get(&dev, &doorbell), -EOPNOTSUPP, "noiommu: GET");
	returns(doorbell_set(&dev, LOW), -EOPNOTSUPP, "noiommu: SET");
	returns(doorbell_set(&dev, 0), -EOPNOTSUPP, "noiommu: SET to the kernel's choice");
}

static int get(const char *fd, const char *iova)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	struct device dev = { .fd = atoi(fd) };

	return doorbell_get(&dev, &doorbell) || doorbell.iova != strtoull(iova, NULL, 0);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 5 && !strcmp(argv[1], "all")) {
		struct bed bed = { argv[2], argv[3], argv[4], argv + 5, argc - 5 };

		all(&bed);
	} else if (argc == 3 && !strcmp(argv[1], "msi")) {
		test_several_msis(argv[2]);
	} else if (argc == 3 && !strcmp(argv[1], "stock")) {
		stock(argv[2]);
	} else if (argc == 3 && !strcmp(argv[1], "noiommu")) {
		noiommu(argv[2]);
	} else if (argc == 4 && !strcmp(argv[1], "get")) {
		return get(argv[2], argv[3]);
	} else {
		bail_out("usage: %s all E1000E EDU NVME [EDU...] | msi DEVICE | stock DEVICE | "
			 "noiommu DEVICE",
			 argv[0]);
	}
	return tap_end();
}

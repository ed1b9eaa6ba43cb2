/* SPDX-License-Identifier: GPL-2.0-only */
/* VFIO containers, groups and devices, as far as the tests need them; every call returns 0 (or a
 * descriptor or value) or -errno. What must work for any test to make sense ends the program.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/vfio.h>
#include <lkvm/vfio_doorbell.h>

struct device {
	const char *bdf;
	int group; /* -1: another device's */
	int fd;
};

int container_new(void);

/* Puts a device's group into a container with a type1 IOMMU and opens the device. */
void device_open(struct device *dev, const char *bdf, int container);
void device_close(struct device *dev);

/* The same in steps, of which the second may fail in tests. */
int group_open(const char *bdf);
int group_join(int group, int container);
int group_leave(int group);
int group_device(int group, const char *bdf);

/* One page, or more, of memory in the container. */
int container_map(int container, uint64_t iova, uint64_t size);
int container_unmap(int container, uint64_t iova, uint64_t size);
int container_unmap_all(int container);
/* Does the container say that this page may be mapped? */
bool container_offers(int container, uint64_t iova);

int doorbell_probe(const struct device *dev);
int doorbell_set(const struct device *dev, uint64_t iova);
int doorbell_get(const struct device *dev, struct vfio_device_feature_msi_doorbell *doorbell);
/* VFIO_DEVICE_FEATURE on the doorbell with everything given. */
int doorbell_feature(const struct device *dev, uint32_t flags, const void *data, uint32_t size);

/* How many vectors INTx, MSI or MSI-X (VFIO_PCI_..._IRQ_INDEX) has. */
int irq_count(const struct device *dev, int index);
/* Enables vectors 0 to n - 1; each signals one of the eventfds, those that are -1 nothing. */
int irq_enable(const struct device *dev, int index, int n, const int *eventfds);
/* Takes the eventfd from a vector, or gives it one. */
int irq_signal(const struct device *dev, int index, int vector, int eventfd);
int irq_disable(const struct device *dev, int index);

void device_reset(const struct device *dev);
/* Lets the device decode its BARs and be a bus master. */
void device_start(const struct device *dev);
uint32_t bar_read(const struct device *dev, int bar, uint64_t offset);
void bar_write(const struct device *dev, int bar, uint64_t offset, uint32_t value);

/* The message address that the hardware holds: from the MSI capability, or from the MSI-X table. */
uint64_t msi_address(const struct device *dev);
uint64_t msix_address(const struct device *dev, int vector);

/* The host's interrupt that stands for a vector, from /proc/interrupts; -1: there is none. */
int host_irq(const struct device *dev, const char *kind, int vector);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* The doorbell page in the container: where it may be, and what it keeps out. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tap.h"
#include "tests.h"

#define SUPPORTED (VFIO_MSI_DOORBELL_USER | VFIO_MSI_DOORBELL_KNOWN)

void test_feature(const struct bed *bed)
{
	struct vfio_device_feature_msi_doorbell kernels, ours, bad;
	int container = container_new();
	struct device dev;

	device_open(&dev, bed->nic, container);
	returns(doorbell_probe(&dev), 0, "PROBE finds GET and SET");
	returns(doorbell_get(&dev, &kernels), 0, "GET before any SET");
	ok(kernels.flags == VFIO_MSI_DOORBELL_KNOWN, "the kernel has chosen, and tells");
	ok(kernels.iova == 0x8000000, "the start of its window (%#llx)", kernels.iova);
	ok(kernels.phys && !(kernels.phys & (PAGE - 1)), "a physical page (%#llx)", kernels.phys);
	ok(kernels.offset && kernels.offset < PAGE, "the doorbell in it (%#x)", kernels.offset);

	returns(doorbell_set(&dev, LOW), 0, "SET");
	returns(doorbell_get(&dev, &ours), 0, "GET after that");
	ok(ours.flags == SUPPORTED, "userspace has chosen");
	ok(ours.iova == LOW, "what was set");
	ok(ours.phys == kernels.phys && ours.offset == kernels.offset,
	   "the same physical doorbell");
	returns(doorbell_set(&dev, LOW), 0, "the same once more");
	returns(doorbell_set(&dev, HIGH), 0, "another one");
	ok(!doorbell_get(&dev, &ours) && ours.iova == HIGH, "takes its place");
	returns(doorbell_set(&dev, 0), 0, "back to the kernel's choice");
	ok(!doorbell_get(&dev, &ours) && !memcmp(&ours, &kernels, sizeof(ours)), "as before");
	returns(doorbell_set(&dev, 0), 0, "twice is no error");

	memset(&bad, 0, sizeof(bad));
	returns(doorbell_feature(&dev, VFIO_DEVICE_FEATURE_SET, &bad, sizeof(bad) - 1), -EINVAL,
		"too little data to SET");
	returns(doorbell_feature(&dev, VFIO_DEVICE_FEATURE_GET, &bad, sizeof(bad) - 1), -EINVAL,
		"too little room to GET");
	returns(doorbell_feature(&dev, 0, &bad, sizeof(bad)), -EINVAL, "neither SET nor GET");
	returns(doorbell_feature(&dev, VFIO_DEVICE_FEATURE_SET, NULL, 0), -EINVAL, "no data");
	device_close(&dev);
	close(container);
}

void test_addresses(const struct bed *bed)
{
	static const struct {
		uint64_t iova;
		const char *what;
	} bad[] = {
		{ LOW + 1, "not aligned" },
		{ LOW + 0x800, "half a page off" },
		{ 1, "not aligned, at zero" },
		{ 0x8000000, "the kernel's own window" },
		{ 0x80ff000, "the end of that window" },
		{ 1ULL << 48, "beyond the aperture" },
		{ 1ULL << 63, "with the highest bit" },
		{ -PAGE, "the last page of all, whose end wraps" },
		{ -1ULL, "the last address of all" },
	};
	struct vfio_device_feature_msi_doorbell doorbell;
	int container = container_new();
	struct device dev;
	size_t i;

	device_open(&dev, bed->nic, container);
	ok(!doorbell_set(&dev, LOW), "a doorbell, to be kept");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		returns(doorbell_set(&dev, bad[i].iova), -EINVAL, "%s", bad[i].what);
	for (i = 0; i < 3; i++) {
		memset(&doorbell, 0, sizeof(doorbell));
		doorbell.iova = LOW;
		*(i == 0   ? &doorbell.offset
		  : i == 1 ? &doorbell.flags
			   : (uint32_t *)&doorbell.phys) = 1;
		returns(doorbell_feature(&dev, VFIO_DEVICE_FEATURE_SET, &doorbell,
					 sizeof(doorbell)),
			-EINVAL, "another field is not zero (%zu)", i);
	}
	ok(!doorbell_get(&dev, &doorbell) && doorbell.iova == LOW, "the doorbell is as it was");
	returns(container_map(container, LOW, PAGE), -EEXIST, "and mapped");
	returns(doorbell_set(&dev, PAGE), 0, "the second page of all will do");
	device_close(&dev);
	close(container);
}

void test_memory(const struct bed *bed)
{
	int container = container_new();
	struct device dev;

	device_open(&dev, bed->nic, container);
	ok(container_offers(container, LOW), "a page of the container");
	ok(!container_map(container, LOW, 4 * PAGE), "memory, four pages");
	returns(doorbell_set(&dev, LOW), -EEXIST, "doorbell over the first page of memory");
	returns(doorbell_set(&dev, LOW + 3 * PAGE), -EEXIST, "doorbell over the last one");
	returns(doorbell_set(&dev, LOW + 4 * PAGE), 0, "doorbell after it");
	returns(doorbell_set(&dev, LOW - PAGE), 0, "doorbell before it");
	container_unmap(container, LOW, 4 * PAGE);

	returns(doorbell_set(&dev, LOW), 0, "doorbell where memory was");
	ok(!container_offers(container, LOW), "the container does not offer the page any more");
	ok(container_offers(container, LOW - PAGE), "but the page before");
	ok(container_offers(container, LOW + PAGE), "and the one after");
	returns(container_map(container, LOW, PAGE), -EEXIST, "memory over the doorbell");
	returns(container_map(container, LOW - PAGE, 3 * PAGE), -EEXIST, "memory around it");
	returns(container_map(container, LOW - PAGE, 2 * PAGE), -EEXIST,
		"memory with it at the end");
	returns(container_map(container, LOW, 2 * PAGE), -EEXIST, "memory with it at the start");
	returns(container_map(container, LOW & -0x200000, 0x200000), -EEXIST, "2 MiB over it");
	returns(container_map(container, LOW - PAGE, PAGE), 0, "memory up to it");
	returns(container_map(container, LOW + PAGE, PAGE), 0, "memory from there on");
	returns(doorbell_set(&dev, 0), 0, "no doorbell");
	ok(container_offers(container, LOW), "the container offers the page again");
	returns(container_map(container, LOW, PAGE), 0, "memory where the doorbell was");
	device_close(&dev);
	close(container);
}

/* What unmaps memory leaves the doorbell. */
void test_unmap(const struct bed *bed)
{
	int container = container_new(), eventfd;
	struct device dev;

	device_open(&dev, bed->nic, container);
	ok(!doorbell_set(&dev, LOW) && !container_map(container, LOW - PAGE, PAGE) &&
		   !container_map(container, LOW + PAGE, PAGE) &&
		   !vectors_on(&dev, VFIO_PCI_MSIX_IRQ_INDEX, &eventfd),
	   "a doorbell in use between pages of memory");
	returns(container_unmap(container, LOW, PAGE), 0, "unmap of the doorbell's page");
	ok(nic_signals(&dev, eventfd), "does nothing");
	returns(container_unmap(container, LOW - PAGE, 3 * PAGE), 0,
		"unmap of what is around it, too");
	ok(nic_signals(&dev, eventfd), "leaves the doorbell");
	returns(container_unmap_all(container), 0, "unmap of everything");
	ok(nic_signals(&dev, eventfd), "leaves the doorbell");
	returns(container_map(container, LOW, PAGE), -EEXIST, "which still keeps memory out");
	close(eventfd);
	device_close(&dev);
	close(container);
}

struct racer {
	int container;
	volatile int mapped;
	int refused, wrong;
	volatile bool *stop;
};

static void *map_and_unmap(void *data)
{
	struct racer *racer = data;

	while (!*racer->stop) {
		int ret = container_map(racer->container, LOW, PAGE);

		racer->mapped += !ret;
		racer->refused += ret == -EEXIST;
		racer->wrong += ret && ret != -EEXIST;
		if (!ret)
			container_unmap(racer->container, LOW, PAGE);
	}
	return NULL;
}

/* Memory and doorbell at one place, at one time: one of them is refused, and nothing worse. */
void test_race(const struct bed *bed)
{
	int container = container_new(), i, set = 0, refused = 0, wrong = 0;
	volatile bool stop = false;
	struct racer racer = { .container = container, .stop = &stop };
	struct device dev;
	pthread_t thread;

	device_open(&dev, bed->nic, container);
	if (pthread_create(&thread, NULL, map_and_unmap, &racer))
		bail_out("no thread");
	/* At least so often; more where one is slow to get its turn. */
	for (i = 0; i < 300 || (i < 100000 && !(set && racer.mapped)); i++) {
		int ret = doorbell_set(&dev, LOW);

		set += !ret;
		refused += ret == -EEXIST;
		wrong += ret && ret != -EEXIST;
		doorbell_set(&dev, 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	ok(!wrong && !racer.wrong,
	   "a race for a page: mapped or refused (%d+%d doorbells, %d+%d memory)", set, refused,
	   racer.mapped, racer.refused);
	ok(set && racer.mapped, "each wins now and then");
	device_close(&dev);
	close(container);
}

void test_shared(const struct bed *bed)
{
	int container = container_new(), nic_event, edu_event;
	struct device nic, edu;

	device_open(&nic, bed->nic, container);
	device_open(&edu, bed->edu, container);
	returns(doorbell_set(&nic, LOW), 0, "one device's doorbell");
	returns(doorbell_set(&edu, LOW), 0, "another's at the same place");
	ok(!vectors_on(&nic, VFIO_PCI_MSIX_IRQ_INDEX, &nic_event) &&
		   !vectors_on(&edu, VFIO_PCI_MSI_IRQ_INDEX, &edu_event),
	   "vectors for both");
	ok(nic_signals(&nic, nic_event) && edu_signals(&edu, edu_event), "interrupts of both");
	device_close(&nic);
	returns(container_map(container, LOW, PAGE), -EEXIST,
		"one has gone: the page is still taken");
	ok(edu_signals(&edu, edu_event), "by the other, whose interrupts arrive");
	ok(!irq_disable(&edu, VFIO_PCI_MSI_IRQ_INDEX), "no vectors");
	returns(doorbell_set(&edu, 0), 0, "no doorbell");
	returns(container_map(container, LOW, PAGE), 0, "then the page is free");
	close(nic_event);
	close(edu_event);
	device_close(&edu);
	close(container);
}

/* There is one interrupt controller only; the test module stands in for a device of another. */
void test_other_doorbell(const struct bed *bed)
{
	int container = container_new();
	struct device nic, edu;

	device_open(&nic, bed->nic, container);
	device_open(&edu, bed->edu, container);
	returns(control("map", "%s %#llx 0x9000000", bed->edu, LOW), 0, "a doorbell elsewhere");
	returns(doorbell_set(&nic, LOW), -EEXIST, "one page for two doorbells");
	returns(doorbell_set(&nic, LOW + PAGE), 0, "a page of its own");
	returns(control("map", "%s %#llx 0x9000000", bed->edu, LOW + PAGE), -EEXIST,
		"the other way round");
	returns(control("map", "%s %#llx 0x9000000", bed->edu, LOW), 0, "the same once more");
	returns(control("unmap", "%s %#llx", bed->edu, LOW), 0, "and one less");
	returns(doorbell_set(&nic, LOW), -EEXIST, "still taken");
	returns(control("unmap", "%s %#llx", bed->edu, LOW), 0, "none left");
	returns(doorbell_set(&nic, LOW), 0, "now it is free");
	device_close(&nic);
	device_close(&edu);
	close(container);
}

/*
 * Two domains in a container, as where devices are behind different IOMMUs. One IOMMU makes them
 * when its driver refuses to put a second group into the domain there is: attach_group() tries
 * its own domain, that one, and its own again.
 */
void test_second_domain(const struct bed *bed)
{
	int container = container_new(), nic_event, edu_event;
	struct device nic, edu;

	device_open(&nic, bed->nic, container);
	returns(doorbell_set(&nic, LOW), 0, "a doorbell in the only domain");
	control("fail_attach", "2");
	device_open(&edu, bed->edu, container);
	returns(control("fail_attach", "0"), -EALREADY, "a second domain, made after that");
	returns(doorbell_set(&edu, LOW), 0, "a device in the second domain shares the doorbell");
	ok(!vectors_on(&edu, VFIO_PCI_MSI_IRQ_INDEX, &edu_event) && edu_signals(&edu, edu_event),
	   "its interrupts arrive: the doorbell was mapped into the new domain");
	ok(!irq_disable(&edu, VFIO_PCI_MSI_IRQ_INDEX), "no vectors");
	returns(doorbell_set(&edu, HIGH), 0, "a doorbell that two domains map from the start");
	ok(!irq_enable(&edu, VFIO_PCI_MSI_IRQ_INDEX, 1, &edu_event) && edu_signals(&edu, edu_event),
	   "interrupts of the one");
	ok(!vectors_on(&nic, VFIO_PCI_MSIX_IRQ_INDEX, &nic_event) && nic_signals(&nic, nic_event),
	   "interrupts of the other");
	device_close(&edu);
	ok(nic_signals(&nic, nic_event), "the second domain has gone: interrupts of the one left");
	returns(container_map(container, HIGH, PAGE), 0, "memory where the other's doorbell was");
	returns(container_map(container, LOW, PAGE), -EEXIST, "but not where this one's is");
	close(nic_event);
	close(edu_event);
	device_close(&nic);
	close(container);
}

/* No device here has a 32-bit MSI capability; the test module has one look as if. */
void test_msi_32_bit(const struct bed *bed)
{
	int container = container_new();
	struct device edu;

	device_open(&edu, bed->edu, container);
	control("no_64bit_msi", "%s 1", bed->edu);
	returns(doorbell_set(&edu, HIGH), -ERANGE, "32-bit MSI: a doorbell beyond 4 GiB");
	returns(doorbell_set(&edu, 1ULL << 32), -ERANGE, "32-bit MSI: a doorbell at 4 GiB");
	returns(doorbell_set(&edu, (1ULL << 32) - PAGE), 0, "32-bit MSI: a doorbell below");
	control("no_64bit_msi", "%s 0", bed->edu);
	device_close(&edu);
	close(container);
}

static int functions_open(const struct bed *bed, int container, struct device *devs)
{
	int i, group = -1;

	for (i = 0; i < bed->nr_many; i++) {
		devs[i].bdf = bed->many[i];
		devs[i].group = group_open(bed->many[i]);
		if (devs[i].group >= 0) {
			group = devs[i].group;
			if (group_join(group, container))
				bail_out("%s: no container", bed->many[i]);
		}
		/* A group that cannot be opened again is the last one. */
		devs[i].fd = group_device(group, bed->many[i]);
		if (devs[i].fd < 0)
			bail_out("%s: %s", bed->many[i], strerror(-devs[i].fd));
	}
	return i;
}

void test_limit(const struct bed *bed)
{
	struct device *devs = calloc(bed->nr_many, sizeof(*devs));
	int container = container_new(), i, set = 0, mapped = 0, n;

	n = functions_open(bed, container, devs);
	ok(n > VFIO_MSI_DOORBELL_MAX, "%d devices", n);
	for (i = 0; i < VFIO_MSI_DOORBELL_MAX; i++)
		set += !doorbell_set(&devs[i], HIGH + i * PAGE);
	ok(set == VFIO_MSI_DOORBELL_MAX, "%d doorbells", set);
	returns(doorbell_set(&devs[i], LOW), -ENOSPC, "one more");
	returns(doorbell_set(&devs[i], HIGH), 0, "a share of one of them");
	returns(doorbell_set(&devs[0], 0), 0, "the first one leaves that");
	returns(doorbell_set(&devs[0], LOW), -ENOSPC, "which makes no room");
	returns(doorbell_set(&devs[i], 0), 0, "its other user as well");
	returns(doorbell_set(&devs[0], LOW), 0, "which does");
	for (i = 0; i < n; i++)
		device_close(&devs[i]);
	/* Without any group the container has no IOMMU to ask. */
	device_open(&devs[0], bed->nic, container);
	for (i = 0; i < VFIO_MSI_DOORBELL_MAX; i++)
		mapped += !container_map(container, HIGH + i * PAGE, PAGE);
	ok(mapped == VFIO_MSI_DOORBELL_MAX, "all closed: memory everywhere (%d pages)", mapped);
	device_close(&devs[0]);
	close(container);
	free(devs);
}

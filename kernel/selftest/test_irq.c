// SPDX-License-Identifier: GPL-2.0-only
/* The doorbell in the vectors: what the hardware holds, and whether interrupts arrive. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include "tap.h"
#include "tests.h"

#define MSI  VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define INTX VFIO_PCI_INTX_IRQ_INDEX

/* GIC ITS: GITS_TRANSLATER in its page (IHI 0069, 12.20) */
#define DOORBELL 0x40

void test_msi(const struct bed *bed)
{
	static const uint64_t iovas[] = { PAGE, LOW, 0xfffff000, 1ULL << 32, HIGH, 0xffffffff000 };
	int container = container_new(), event;
	struct device edu;
	size_t i;

	device_open(&edu, bed->edu, container);
	ok(!vectors_on(&edu, MSI, &event) && edu_signals(&edu, event), "MSI, the kernel's choice");
	ok(msi_address(&edu) == 0x8000000 + DOORBELL, "is in the device");
	for (i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++) {
		ok(!irq_disable(&edu, MSI) && !doorbell_set(&edu, iovas[i]),
		   "the doorbell at %#llx", (unsigned long long)iovas[i]);
		ok(!irq_enable(&edu, MSI, 1, &event), "MSI enabled");
		ok(msi_address(&edu) == iovas[i] + DOORBELL, "the device has that address");
		ok(edu_signals(&edu, event), "and its interrupt arrives");
	}
	ok(!irq_disable(&edu, MSI) && !doorbell_set(&edu, 0) && !irq_enable(&edu, MSI, 1, &event),
	   "the kernel's choice again");
	ok(msi_address(&edu) == 0x8000000 + DOORBELL && edu_signals(&edu, event), "is what it was");
	close(event);
	device_close(&edu);
	close(container);
}

/* The vectors of MSI have one message, which the first of them stands for. */
void test_several_msis(const char *bdf)
{
	int container = container_new(), events[32], i, n, lost = 0;
	struct device dev;

	device_open(&dev, bdf, container);
	n = irq_count(&dev, MSI);
	ok(n > 1 && n <= 32, "%d vectors", n);
	for (i = 0; i < 32; i++)
		events[i] = eventfd(0, EFD_NONBLOCK);
	device_start(&dev);
	for (; n; n /= 2) {
		returns(doorbell_set(&dev, HIGH + n * PAGE), 0, "a doorbell");
		returns(irq_enable(&dev, MSI, n, events), 0, "%d vectors of MSI", n);
		ok(msi_address(&dev) == HIGH + n * PAGE + DOORBELL, "the device has that address");
		ok(host_irq(&dev, "msi", n - 1) >= 0, "the host an interrupt for the last one");
		for (i = 0; i < n; i++) {
			irq_signal(&dev, MSI, i, -1);
			irq_signal(&dev, MSI, i, events[i]);
			lost += msi_address(&dev) != HIGH + n * PAGE + DOORBELL;
		}
		irq_disable(&dev, MSI);
	}
	ok(!lost, "it survives mask and unmask of each");
	for (i = 0; i < 32; i++)
		close(events[i]);
	device_close(&dev);
	close(container);
}

/* Enables all vectors of a device and counts those whose table entry has the address. */
static int entries_with(const struct device *dev, uint64_t address)
{
	int n = irq_count(dev, MSIX), found = 0, i;
	int *events = calloc(n, sizeof(*events));

	for (i = 0; i < n; i++)
		events[i] = eventfd(0, EFD_NONBLOCK);
	device_start(dev);
	returns(irq_enable(dev, MSIX, n, events), 0, "all %d vectors of %s", n, dev->bdf);
	for (i = 0; i < n; i++)
		found += msix_address(dev, i) == address;
	irq_disable(dev, MSIX);
	for (i = 0; i < n; i++)
		close(events[i]);
	free(events);
	return found;
}

void test_msix(const struct bed *bed)
{
	const char *devices[] = { bed->nic, bed->nvme };
	int container = container_new(), event;
	struct device dev;
	size_t i;

	for (i = 0; i < 2; i++) {
		device_open(&dev, devices[i], container);
		ok(entries_with(&dev, 0x8000000 + DOORBELL) == irq_count(&dev, MSIX),
		   "have the kernel's choice");
		returns(doorbell_set(&dev, LOW), 0, "a doorbell chosen");
		ok(entries_with(&dev, LOW + DOORBELL) == irq_count(&dev, MSIX), "have that");
		returns(doorbell_set(&dev, HIGH), 0, "a doorbell beyond 4 GiB");
		ok(entries_with(&dev, HIGH + DOORBELL) == irq_count(&dev, MSIX), "have that");
		device_close(&dev);
	}

	device_open(&dev, bed->nic, container);
	ok(!doorbell_set(&dev, HIGH) && !vectors_on(&dev, MSIX, &event), "MSI-X enabled");
	ok(nic_signals(&dev, event), "its interrupt arrives");
	ok(!irq_disable(&dev, MSIX) && !irq_enable(&dev, MSI, 1, &event), "MSI in its place");
	ok(msi_address(&dev) == HIGH + DOORBELL, "has the same doorbell");
	close(event);
	device_close(&dev);
	close(container);
}

void test_live(const struct bed *bed)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	int container = container_new(), event, none = -1;
	struct device nic;

	device_open(&nic, bed->nic, container);
	ok(!vectors_on(&nic, MSIX, &event), "vectors with the kernel's doorbell");
	ok(!doorbell_get(&nic, &doorbell) &&
		   doorbell.flags == (VFIO_MSI_DOORBELL_KNOWN | VFIO_MSI_DOORBELL_LIVE) &&
		   doorbell.iova == 0x8000000 && doorbell.phys,
	   "GET tells");
	returns(doorbell_set(&nic, LOW), -EBUSY, "SET while vectors are live");
	returns(doorbell_set(&nic, 0), -EBUSY, "SET to the kernel's choice");
	returns(irq_signal(&nic, MSIX, 0, -1), 0, "no eventfd");
	returns(doorbell_set(&nic, LOW), -EBUSY, "SET: MSI-X is enabled all the same");
	returns(container_map(container, LOW, PAGE), 0, "nothing was mapped: memory there");
	container_unmap(container, LOW, PAGE);

	ok(!irq_disable(&nic, MSIX), "no vectors");
	returns(doorbell_set(&nic, LOW), 0, "SET");
	returns(irq_enable(&nic, MSIX, 1, &none), 0, "MSI-X without an eventfd");
	returns(doorbell_set(&nic, HIGH), -EBUSY, "SET while that is enabled");
	ok(!doorbell_get(&nic, &doorbell) && doorbell.iova == LOW &&
		   doorbell.flags == (VFIO_MSI_DOORBELL_USER | VFIO_MSI_DOORBELL_KNOWN |
				      VFIO_MSI_DOORBELL_LIVE),
	   "GET tells what is in force");
	ok(!irq_signal(&nic, MSIX, 0, event) && nic_signals(&nic, event), "interrupts arrive");
	close(event);
	device_close(&nic);
	close(container);
}

void test_intx(const struct bed *bed)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	int container = container_new(), event;
	struct device edu;

	device_open(&edu, bed->edu, container);
	ok(!vectors_on(&edu, INTX, &event), "INTx");
	returns(doorbell_set(&edu, LOW), -EBUSY, "SET while INTx is enabled");
	ok(!doorbell_get(&edu, &doorbell) && !doorbell.flags && !doorbell.iova && !doorbell.phys,
	   "GET knows nothing then");
	ok(edu_signals(&edu, event), "INTx works on");
	ok(!irq_disable(&edu, INTX) && !doorbell_set(&edu, LOW), "SET without it");
	ok(!irq_enable(&edu, INTX, 1, &event) && edu_signals(&edu, event), "INTx again");
	ok(!doorbell_get(&edu, &doorbell) && doorbell.iova == LOW &&
		   doorbell.flags == (VFIO_MSI_DOORBELL_USER | VFIO_MSI_DOORBELL_KNOWN),
	   "GET tells what was chosen");
	ok(!irq_disable(&edu, INTX) && !irq_enable(&edu, MSI, 1, &event), "MSI");
	ok(msi_address(&edu) == LOW + DOORBELL && edu_signals(&edu, event), "has the doorbell");
	close(event);
	device_close(&edu);
	close(container);
}

/* A VMM drives the guest's mask and unmask like this; the host frees and requests its interrupt. */
void test_cycles(const struct bed *bed)
{
	int container = container_new(), nic_event, edu_event, i, lost = 0;
	struct device nic, edu;

	device_open(&nic, bed->nic, container);
	device_open(&edu, bed->edu, container);
	ok(!doorbell_set(&nic, LOW) && !doorbell_set(&edu, HIGH) &&
		   !vectors_on(&nic, MSIX, &nic_event) && !vectors_on(&edu, MSI, &edu_event),
	   "two devices with vectors");
	for (i = 0; i < 1000; i++) {
		irq_signal(&nic, MSIX, 0, -1);
		irq_signal(&nic, MSIX, 0, nic_event);
		lost += msix_address(&nic, 0) != LOW + DOORBELL;
		irq_signal(&edu, MSI, 0, -1);
		irq_signal(&edu, MSI, 0, edu_event);
		lost += msi_address(&edu) != HIGH + DOORBELL;
	}
	ok(!lost, "the doorbells survive 1000 cycles of mask and unmask");
	ok(nic_signals(&nic, nic_event), "MSI-X arrives");
	ok(edu_signals(&edu, edu_event), "MSI arrives");
	close(nic_event);
	close(edu_event);
	device_close(&nic);
	device_close(&edu);
	close(container);
}

static int set_affinity(int irq, int cpu)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity_list", irq);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file, "%d\n", cpu);
	return fclose(file) ? -errno : 0;
}

void test_affinity(const struct bed *bed)
{
	int container = container_new(), event, i, irq, lost = 0, refused = 0;
	struct device nic;

	device_open(&nic, bed->nic, container);
	ok(!doorbell_set(&nic, LOW) && !vectors_on(&nic, MSIX, &event), "a device with a vector");
	irq = host_irq(&nic, "msix", 0);
	for (i = 0; i < 20; i++) {
		refused += !!set_affinity(irq, i & 1);
		lost += msix_address(&nic, 0) != LOW + DOORBELL || !nic_signals(&nic, event);
	}
	ok(irq >= 0 && !refused && !lost, "the doorbell survives changes of affinity of irq %d",
	   irq);
	close(event);
	device_close(&nic);
	close(container);
}

void test_reset(const struct bed *bed)
{
	int container = container_new(), event, i, lost = 0;
	struct device nic;

	device_open(&nic, bed->nic, container);
	ok(!doorbell_set(&nic, LOW) && !vectors_on(&nic, MSIX, &event), "a device with a vector");
	for (i = 0; i < 3; i++) {
		device_reset(&nic);
		lost += msix_address(&nic, 0) != LOW + DOORBELL || !nic_signals(&nic, event);
	}
	ok(!lost, "the doorbell survives resets of the device");
	irq_disable(&nic, MSIX);
	device_reset(&nic);
	device_start(&nic);
	ok(!irq_enable(&nic, MSIX, 1, &event) && msix_address(&nic, 0) == LOW + DOORBELL &&
		   nic_signals(&nic, event),
	   "and one between uses");
	close(event);
	device_close(&nic);
	close(container);
}

void test_reenable(const struct bed *bed)
{
	int container = container_new(), event, i, lost = 0;
	struct device nic;

	device_open(&nic, bed->nic, container);
	ok(!doorbell_set(&nic, LOW) && !vectors_on(&nic, MSIX, &event), "a device with a vector");
	for (i = 0; i < 20; i++) {
		irq_disable(&nic, MSIX);
		irq_enable(&nic, MSIX, 1, &event);
		lost += msix_address(&nic, 0) != LOW + DOORBELL;
	}
	ok(!lost && nic_signals(&nic, event), "the doorbell survives disable and enable");
	for (i = 0; i < 20; i++) {
		uint64_t iova = (i & 1 ? LOW : HIGH) + i * PAGE;

		irq_disable(&nic, MSIX);
		lost += doorbell_set(&nic, iova) || irq_enable(&nic, MSIX, 1, &event) ||
			msix_address(&nic, 0) != iova + DOORBELL || !nic_signals(&nic, event);
	}
	ok(!lost, "another doorbell each time");
	ok(!container_map(container, LOW, 18 * PAGE), "the former ones are memory again");
	close(event);
	device_close(&nic);
	close(container);
}

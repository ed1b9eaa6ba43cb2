// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "files.h"
#include "pci_rig.h"

static const struct pci_layout pci_rig_layout = {
	.ecam = { ECAM, 0x10000000 },
	.io = { IO, 0x10000 },
	.mem32 = { MEM32, 0x30000000 },
	.mem64 = { MEM64, 0x1000000000 },
};

static uint64_t bar_read(struct pci_function *function, unsigned bar, uint64_t offset,
			 unsigned size)
{
	assert_true(offset + size <= function->bar[bar].size);
	return 0x1111111111111100ULL * (bar + 1) + (offset & 0xff);
}

static void bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct rig_device *device = (struct rig_device *)function;

	assert_true(offset + size <= function->bar[bar].size);
	atomic_store(&device->last_write, value);
}

static int bar_map(struct pci_function *function, unsigned bar, uint64_t gpa)
{
	struct rig_device *device = (struct rig_device *)function;

	assert_int_equal(device->mapped_at[bar], NOWHERE);
	device->maps++;
	if (device->map_result)
		return device->map_result;
	device->mapped_at[bar] = gpa;
	return 0;
}

static void bar_unmap(struct pci_function *function, unsigned bar)
{
	struct rig_device *device = (struct rig_device *)function;

	assert_int_not_equal(device->mapped_at[bar], NOWHERE);
	device->unmaps++;
	device->mapped_at[bar] = NOWHERE;
}

static void config_written(struct pci_function *function, unsigned offset, unsigned size,
			   uint32_t value)
{
	struct rig_device *device = (struct rig_device *)function;

	device->written_offset = offset;
	device->written_size = size;
	device->written_value = value;
	if (device->reset_when_written) /* takes the lock once more */
		pci_function_reset(function);
}

static uint32_t config_read(struct pci_function *function, unsigned offset, unsigned size)
{
	return offset == 0x40 ? 0xa5a5a5a5 : pci_get(function->config, offset, size);
}

static const struct pci_function_class dev_class = {
	.config_read = config_read,
	.config_written = config_written,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_map = bar_map,
	.bar_unmap = bar_unmap,
};

struct mmio_bus pci_mmio;
struct pci_bus pci_root;
struct rig_device dev_a, dev_b;
static struct mmio_region pci_ram;
struct mmio_region pci_other;

static uint64_t none_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0x77;
}

static void none_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct mmio_ops none_ops = { none_read, none_write };

void dev_make(struct rig_device *device, const char *name, int devfn)
{
	memset(device, 0, sizeof(*device));
	memset(device->mapped_at, 0xff, sizeof(device->mapped_at));
	assert_int_equal(pci_function_init(&device->function, &dev_class, name), 0);
	pci_put(device->function.config, PCI_VENDOR_ID, 4, 0x56781234);
	assert_int_equal(pci_bus_add(&pci_root, &device->function, devfn), 0);
}

int pci_rig_setup(void **state)
{
	pci_ram = (struct mmio_region){ "RAM", RAM, 0x40000000, &none_ops, NULL };
	pci_other = (struct mmio_region){ "other", OTHER, 0x1000, &none_ops, NULL };
	if (files_setup(state) || mmio_bus_create(&pci_mmio) || mmio_bus_add(&pci_mmio, &pci_ram) ||
	    mmio_bus_add(&pci_mmio, &pci_other) ||
	    pci_bus_create(&pci_root, &pci_mmio, &pci_rig_layout))
		return -1;
	dev_make(&dev_a, "0000:01:00.0", 0x08);
	dev_make(&dev_b, "0000:02:00.0", 0x10);
	return 0;
}

int pci_rig_teardown(void **state)
{
	pci_function_destroy(&dev_a.function);
	pci_function_destroy(&dev_a.function);
	pci_bus_destroy(&pci_root);
	pci_bus_destroy(&pci_root);
	pci_function_destroy(&dev_b.function);
	mmio_bus_destroy(&pci_mmio);
	return files_teardown(state);
}

uint64_t cfg_address(const struct rig_device *device, unsigned offset)
{
	return ECAM + ((uint64_t)device->function.devfn << 12) + offset;
}

uint64_t guest_read(uint64_t gpa, unsigned size)
{
	uint64_t value = 0xdeadbeef;

	mmio_bus_read(&pci_mmio, gpa, size, &value);
	return value;
}

void guest_write(uint64_t gpa, unsigned size, uint64_t value)
{
	mmio_bus_write(&pci_mmio, gpa, size, value);
}

uint32_t cfg_get(const struct rig_device *device, unsigned offset)
{
	return (uint32_t)guest_read(cfg_address(device, offset), 4);
}

void cfg_put(const struct rig_device *device, unsigned offset, uint32_t value)
{
	guest_write(cfg_address(device, offset), 4, value);
}

void cfg_decode(const struct rig_device *device, uint32_t command)
{
	guest_write(cfg_address(device, PCI_COMMAND), 2, command);
}

void declare_bar(struct rig_device *device, unsigned n, uint64_t size, uint32_t flags)
{
	assert_int_equal(pci_function_set_bar(&device->function, n, size, flags), 0);
}

/* Where it answers. */
uint64_t bar_place(const struct rig_device *device, unsigned n)
{
	const struct pci_bar *bar = &device->function.bar[n];

	assert_int_equal(device->mapped_at[n], bar->mapped ? bar->region.base : NOWHERE);
	return device->mapped_at[n];
}

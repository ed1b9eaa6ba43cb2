// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include "vfio_rig.h"

static const struct pci_function_class class = {
	.config_read = vfio_config_read,
	.config_written = vfio_config_written,
	.bar_read = vfio_bar_read,
	.bar_write = vfio_bar_write,
	.bar_map = vfio_bar_map,
	.bar_unmap = vfio_bar_unmap,
};

static const struct pci_layout layout = {
	.ecam = { MAP_ECAM_BASE, MAP_ECAM_SIZE },
	.io = { MAP_PCI_IO_BASE, MAP_PCI_IO_SIZE },
	.mem32 = { MAP_PCI_MEM_BASE, MAP_PCI_MEM_SIZE },
	.mem64 = { 256ULL << 30, 256ULL << 30 },
};

int rig_setup(void **state)
{
	struct vfio_rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->host = fake_vfio_begin();
	rig->hw = fake_vfio_add(RIG_BDF, 7, 0x8086, 0x10d3);
	rig->kvm = fake_kvm_begin();
	assert_int_equal(kvm_host_open(&rig->kvm_host), 0);
	assert_int_equal(vm_create(&rig->vm, &rig->kvm_host, 40), 0);
	assert_int_equal(mmio_bus_create(&rig->mmio), 0);
	assert_int_equal(pci_bus_create(&rig->bus, &rig->mmio, &layout), 0);
	fake_irqs_init(&rig->irqs);
	rig->irqs.set_irqs_count = &rig->hw->set_irqs_count;
	assert_int_equal(irq_routes_create(&rig->routes, &rig->irqs.base, 64), 0);
	*state = rig;
	return 0;
}

int rig_try_build(struct vfio_rig *rig)
{
	struct vfio_device *dev = rig->dev = calloc(1, sizeof(*dev));
	int err;

	assert_non_null(dev);
	rig->function = &dev->function;
	dev->fd = fake_vfio_open_device(rig->hw);
	dev->info.num_irqs = rig->hw->num_irqs;
	dev->info.num_regions = rig->hw->num_regions;
	assert_int_equal(pci_function_init(rig->function, &class, RIG_BDF), 0);
	err = vfio_irq_probe(dev);
	if (!err)
		err = vfio_regions_probe(dev);
	if (!err)
		err = vfio_config_build(dev);
	if (!err)
		err = vfio_regions_set_bars(dev);
	return err;
}

void rig_build(struct vfio_rig *rig)
{
	assert_int_equal(rig_try_build(rig), 0);
	assert_int_equal(pci_bus_add(&rig->bus, rig->function, RIG_DEVFN), 0);
	rig->on_bus = true;
	assert_int_equal(pci_bus_assign(&rig->bus), 0);
	rig->function->intx_line = 5;
	rig->dev->vm = &rig->vm;
	rig->dev->routes = &rig->routes;
	rig->dev->irqs = &rig->irqs.base;
	assert_int_equal(vfio_irq_attach(rig->dev), 0);
}

int rig_teardown(void **state)
{
	struct vfio_rig *rig = *state;

	if (rig->dev) {
		if (rig->on_bus) {
			vfio_irq_detach(rig->dev);
			pci_function_reset(rig->function);
		}
		vfio_irq_release(rig->dev);
		vfio_regions_release(rig->dev);
		pci_function_destroy(rig->function);
		close(rig->dev->fd);
		free(rig->dev);
	}
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_int_equal(rig_slots(rig), 0);
	assert_false(rig->irqs.route_changed_live);
	irq_routes_destroy(&rig->routes);
	pci_bus_destroy(&rig->bus);
	mmio_bus_destroy(&rig->mmio);
	vm_destroy(&rig->vm);
	kvm_host_close(&rig->kvm_host);
	fake_kvm_end();
	fake_vfio_end();
	free(rig);
	return 0;
}

uint32_t guest_config_read(struct vfio_rig *rig, unsigned offset, unsigned size)
{
	return pci_config_read(rig->function, offset, size);
}

void guest_config_write(struct vfio_rig *rig, unsigned offset, unsigned size, uint32_t value)
{
	pci_config_write(rig->function, offset, size, value);
}

uint64_t guest_bar_read(struct vfio_rig *rig, unsigned bar, uint64_t offset, unsigned size)
{
	uint64_t value = 0x5a5a;

	assert_true(mmio_bus_read(&rig->mmio, pci_bar_address(rig->function, bar) + offset, size,
				  &value));
	return value;
}

void guest_bar_write(struct vfio_rig *rig, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value)
{
	assert_true(mmio_bus_write(&rig->mmio, pci_bar_address(rig->function, bar) + offset, size,
				   value));
}

void guest_command(struct vfio_rig *rig, uint32_t bits)
{
	guest_config_write(rig, PCI_COMMAND, 2, bits);
}

unsigned guest_capability(struct vfio_rig *rig, uint8_t id)
{
	unsigned pos = PCI_CAPABILITY_LIST - PCI_CAP_LIST_NEXT, hops = 0;

	if (!(guest_config_read(rig, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST)) {
		assert_int_equal(guest_config_read(rig, PCI_CAPABILITY_LIST, 1), 0);
		return 0;
	}
	while ((pos = guest_config_read(rig, pos + PCI_CAP_LIST_NEXT, 1))) {
		assert_true(++hops <= 48);
		assert_in_range(pos, PCI_STD_HEADER_SIZEOF, 0xfc);
		if (guest_config_read(rig, pos, 1) == id)
			return pos;
	}
	return 0;
}

unsigned guest_extended(struct vfio_rig *rig, uint16_t id)
{
	unsigned pos = 0x100, hops = 0;

	while (pos) {
		uint32_t header = guest_config_read(rig, pos, 4);

		assert_true(++hops <= 960);
		if (header == 0)
			return 0;
		if (PCI_EXT_CAP_ID(header) == id)
			return pos;
		pos = PCI_EXT_CAP_NEXT(header);
		assert_true(!pos || pos >= 0x100);
	}
	return 0;
}

void rig_pcie(struct vfio_rig *rig, uint8_t offset)
{
	fake_vfio_capability(rig->hw, offset, PCI_CAP_ID_EXP);
	fake_vfio_config_put(rig->hw, offset + PCI_EXP_FLAGS, 2, PCI_EXP_TYPE_ENDPOINT << 4 | 2);
	fake_vfio_config_put(rig->hw, offset + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR | 2);
	fake_vfio_config_put(rig->hw, offset + PCI_EXP_LNKCAP, 4, 0x00012345);
	fake_vfio_config_put(rig->hw, offset + PCI_EXP_LNKSTA, 2, 0x1011);
	fake_vfio_config_put(rig->hw, offset + PCI_EXP_DEVCAP2, 4,
			     PCI_EXP_DEVCAP2_COMP_TMOUT_DIS | PCI_EXP_DEVCAP2_LTR |
				     PCI_EXP_DEVCAP2_OBFF_MSG);
	fake_vfio_config_put(rig->hw, offset + PCI_EXP_LNKCTL2, 2, 3);
}

void rig_extended(struct vfio_rig *rig, unsigned offset, uint16_t id, unsigned next)
{
	fake_vfio_config_put(rig->hw, offset, 4, id | 1 << 16 | next << 20);
}

unsigned rig_slots(const struct vfio_rig *rig)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++)
		count += rig->kvm->vms[0].slots[i].memory_size != 0;
	return count;
}

const struct kvm_userspace_memory_region *rig_slot_at(const struct vfio_rig *rig, uint64_t gpa)
{
	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++) {
		const struct kvm_userspace_memory_region *slot = &rig->kvm->vms[0].slots[i];

		if (gpa >= slot->guest_phys_addr && gpa - slot->guest_phys_addr < slot->memory_size)
			return slot;
	}
	return NULL;
}

unsigned rig_config_writes(const struct vfio_rig *rig, unsigned offset)
{
	unsigned count = 0;

	for (unsigned i = 0; i < rig->hw->accesses_count && i < FAKE_VFIO_LOG; i++) {
		const struct fake_vfio_access *access = &rig->hw->accesses[i];

		count += access->write && access->region == VFIO_PCI_CONFIG_REGION_INDEX &&
			 access->offset <= offset && offset < access->offset + access->size;
	}
	return count;
}

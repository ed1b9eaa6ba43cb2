/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A passed-through function between fakes: the host's VFIO below, a bus, a VM and an interrupt controller above. A test
 * makes the hardware between rig_begin() and rig_build(), and then acts as the guest.
 */
#ifndef VFIO_RIG_H
#define VFIO_RIG_H

#include <lkvm/pci.h>
#include <lkvm/vm.h>
#include "../../vfio/device.h"
#include "fake_irqs.h"
#include "fake_kvm.h"
#include "fake_vfio.h"

#define RIG_BDF      "0000:01:00.0"
#define RIG_DOORBELL 0x3ffd0040u
#define RIG_DEVFN    PCI_DEVFN_OF(3, 0)
#define RIG_MMAP                                                                                   \
	(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP)
#define RIG_TRAP (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

struct vfio_rig {
	struct fake_vfio *host;
	struct fake_vfio_device *hw;
	struct vfio_device *dev;
	struct pci_function *function; /* the device's */
	struct fake_kvm *kvm;
	struct kvm_host kvm_host;
	struct vm vm;
	struct mmio_bus mmio;
	struct pci_bus bus;
	struct fake_irqs irqs;
	struct irq_routes routes;
	bool on_bus;
};

/* setup/teardown of a cmocka test: *state is a rig whose hw is fake_vfio_add()'s. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Probes the hardware and puts the function on the bus, attached to the VM; asserts that all goes well. */
void rig_build(struct vfio_rig *rig);
/* The same until something fails; returns that. */
int rig_try_build(struct vfio_rig *rig);

/* The guest's accesses. */
uint32_t guest_config_read(struct vfio_rig *rig, unsigned offset, unsigned size);
void guest_config_write(struct vfio_rig *rig, unsigned offset, unsigned size, uint32_t value);
uint64_t guest_bar_read(struct vfio_rig *rig, unsigned bar, uint64_t offset, unsigned size);
void guest_bar_write(struct vfio_rig *rig, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value);
void guest_command(struct vfio_rig *rig, uint32_t bits);
/* Offset of a capability the guest finds by the list, 0: none. The list must end. */
unsigned guest_capability(struct vfio_rig *rig, uint8_t id);
unsigned guest_extended(struct vfio_rig *rig, uint16_t id);

/* Gives the hardware a PCI Express endpoint's capability, version 2, with function level reset. */
void rig_pcie(struct vfio_rig *rig, uint8_t offset);
/* An extended capability's header. */
void rig_extended(struct vfio_rig *rig, unsigned offset, uint16_t id, unsigned next);

/* How many of the VM's memory slots are in use, and the one that covers gpa (NULL: none). */
unsigned rig_slots(const struct vfio_rig *rig);
const struct kvm_userspace_memory_region *rig_slot_at(const struct vfio_rig *rig, uint64_t gpa);

/* Writes to the device's configuration space so far, at an offset. */
unsigned rig_config_writes(const struct vfio_rig *rig, unsigned offset);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* A device that echoes as a PCI function: virtio_rig's RAM and loop below it, a bus and a VM above, and its driver. */
#ifndef VIRTIO_PCI_RIG_H
#define VIRTIO_PCI_RIG_H

#include <linux/virtio_pci.h>
#include <lkvm/vm.h>
#include "fake_irqs.h"
#include "fake_kvm.h"
#include "pci_rig.h"
#include "virtio/pci_registers.h"
#include "virtio_echo.h"
#include "virtio_rig.h"

#define PRIG_LINE 7

struct virtio_pci_rig {
	struct echo *echo;
	struct virtio_pci *pci;
	struct pci_function *function;
	struct fake_kvm *kvm;
	struct kvm_host kvm_host;
	struct vm vm;
	struct fake_irqs irqs;
	struct irq_routes routes;
	unsigned msix; /* offset of the capability */
	struct {
		uint8_t bar;
		uint32_t offset, length;
	} place[VIRTIO_PCI_CAP_PCI_CFG + 1]; /* by VIRTIO_PCI_CAP_*; length 0: there is none */
	uint32_t multiplier;
	unsigned window; /* offset of VIRTIO_PCI_CAP_PCI_CFG's */
};

extern struct virtio_pci_rig prig;

/* Around each test: what a device needs, not the device. */
int virtio_pci_rig_setup(void **state);
int virtio_pci_rig_teardown(void **state);
void virtio_pci_rig_begin(void);
void virtio_pci_rig_end(void);
/* The device on the bus and in a VM; decoding, a bus master; its capabilities were found. id: VIRTIO_ID_*, 0: none's. */
void virtio_pci_rig_make(uint32_t id, bool legacy);
/* Finds the capabilities by the list, which must end. */
void virtio_pci_rig_find(void);

/* The driver's accesses to a structure of the memory BAR, to the legacy interface, to configuration space. */
uint64_t area_get(unsigned type, unsigned offset, unsigned size);
void area_put(unsigned type, unsigned offset, unsigned size, uint64_t value);
uint64_t port_get(unsigned offset, unsigned size);
void port_put(unsigned offset, unsigned size, uint64_t value);
uint32_t config_get(unsigned offset, unsigned size);
void config_put(unsigned offset, unsigned size, uint32_t value);

#define common_get(offset, size)        area_get(VIRTIO_PCI_CAP_COMMON_CFG, offset, size)
#define common_put(offset, size, value) area_put(VIRTIO_PCI_CAP_COMMON_CFG, offset, size, value)

/* MSI-X on, each vector with a message and unmasked. */
void msix_on(void);
/* Of a vector, so far. */
unsigned msix_injected_of(unsigned vector);

/* The driver's steps by the registers of the modern interface; vectors: a queue's is its index + 1, the configuration's 0. */
void modern_negotiate(uint64_t features);
void modern_set_up_queue(unsigned index, bool vectors);
void modern_start(bool vectors);
/* By the legacy one's. */
void legacy_start(void);

/* A request to the echo on a queue; kicks by the modern interface, without KVM's help, and waits for the answer. */
void echo_request(unsigned queue);

#endif

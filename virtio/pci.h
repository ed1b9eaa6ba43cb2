/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtio over PCI (virtio 1.2, 4.1): a device as a PCI function, modern or transitional. */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include <lkvm/irq.h>
#include <lkvm/pci.h>
#include <lkvm/vm.h>
#include "device.h"

struct virtio_pci;

/*
 * Makes a function of the device and puts it on the bus, at devfn as pci_bus_add() has it. legacy: transitional (virtio 1.2, 4.1.3), where the
 * kind has a legacy interface; the others are modern all the same. vdev's class, queues and config_size are final; the
 * device outlives its function. Sets vdev's transport. Reported; a failure leaves nothing behind. destroy(NULL) is fine.
 */
int virtio_pci_create(struct virtio_pci **pci, struct virtio_device *vdev, struct pci_bus *bus,
		      int devfn, bool legacy);
void virtio_pci_destroy(struct virtio_pci *pci);

/* Connects it with a VM. No vCPU runs. Reported. */
int virtio_pci_attach(struct virtio_pci *pci, struct vm *vm, struct irq_routes *routes,
		      struct irq_controller *irq);
/* Takes it off again: the device is reset, the function as it was when the machine was made. No vCPU runs. */
void virtio_pci_detach(struct virtio_pci *pci);

#endif

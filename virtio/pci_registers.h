/* SPDX-License-Identifier: GPL-2.0-only */
/* Between a virtio device's PCI function (pci.c) and its registers (pci_registers.c). */
#ifndef VIRTIO_PCI_REGISTERS_H
#define VIRTIO_PCI_REGISTERS_H

#include <lkvm/pci_msix.h>
#include "pci.h"

#define VIRTIO_PCI_COMMON_SIZE                                                                     \
	64 /* with queue_notify_data, queue_reset and room for more (4.1.4.3) */
#define VIRTIO_PCI_NOTIFY_MULTIPLIER 4

struct virtio_pci {
	struct pci_function function; /* first: the class's hooks get this */
	struct virtio_device *vdev;
	unsigned memory_bar;
	bool transitional; /* BAR 0 is the legacy interface's */
	struct pci_msix msix;
	uint8_t pristine[256]; /* configuration space as it was made */
	uint8_t window;        /* offset of VIRTIO_PCI_CAP_PCI_CFG */
	bool master;           /* COMMAND's, when it was last looked at; function.lock guards it */

	/* The VM it is attached to, or NULL. */
	struct vm *vm;
	struct irq_controller *irq;

	/* INTx; vdev->lock guards it. */
	uint8_t isr;
	bool line;     /* the level it has */
	bool intx_off; /* COMMAND's */
};

/* ISR status: bits and line go with the read (virtio 1.2, 4.1.4.5). clear: of a reset. */
uint8_t virtio_pci_read_isr(struct virtio_pci *pci);

/*
 * The common configuration structure (virtio 1.2, 4.1.4.3): each field in one access of its width, 64-bit ones also in two
 * halves. What is no field reads 0 and is ignored.
 */
uint64_t virtio_pci_common_read(struct virtio_pci *pci, uint64_t offset, unsigned size);
void virtio_pci_common_write(struct virtio_pci *pci, uint64_t offset, unsigned size,
			     uint64_t value);

/* The legacy interface's I/O ports (virtio 1.2, 4.1.4.10), the device configuration space behind the registers. */
uint64_t virtio_pci_legacy_read(struct virtio_pci *pci, uint64_t offset, unsigned size);
void virtio_pci_legacy_write(struct virtio_pci *pci, uint64_t offset, unsigned size,
			     uint64_t value);

#endif

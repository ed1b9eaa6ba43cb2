/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine's virtio devices. The host's side (files, taps, sockets) lives as long as the process; the guest's side is
 * attached to a VM and detached from it when the guest restarts in another.
 */
#ifndef LKVM_VIRTIO_H
#define LKVM_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lkvm/guest_mem.h>
#include <lkvm/irq.h>
#include <lkvm/loop.h>
#include <lkvm/mmio.h>
#include <lkvm/pci.h>
#include <lkvm/virtio_9p.h>
#include <lkvm/virtio_console.h>
#include <lkvm/virtio_disk.h>
#include <lkvm/virtio_net.h>
#include <lkvm/virtio_vhost_user.h>
#include <lkvm/vm.h>

enum virtio_transport {
	VIRTIO_PCI,         /* modern (virtio 1.2, 4.1) */
	VIRTIO_PCI_LEGACY,  /* transitional: both interfaces */
	VIRTIO_MMIO,        /* version 2 (virtio 1.2, 4.2) */
	VIRTIO_MMIO_LEGACY, /* version 1 (virtio 1.2, 4.2.4) */
};

/* Parses "pci", "pci-legacy", "mmio" or "mmio-legacy". -EINVAL; nothing is reported. */
int virtio_transport_parse(enum virtio_transport *transport, const char *text);

/* All strings and arrays stay the caller's and outlive the devices. */
struct virtio_config {
	enum virtio_transport transport;
	const struct virtio_disk_config *disks;
	size_t disk_count;
	const struct virtio_network_config *networks;
	size_t network_count;
	const struct virtio_share_config *shares;
	size_t share_count;
	uint32_t vsock_cid; /* 0: no vsock */
	const struct virtio_back_end_config *back_ends;
	size_t back_end_count; /* some: guest memory is shared with other processes */
	const struct virtio_terminal_config *terminal; /* NULL: no console */
	bool rng;
	bool balloon;
	const char
		*balloon_control; /* a FIFO that sizes the balloon, which is then there; or NULL */
	bool assigned;            /* a device is passed through */
};

struct virtio; /* all of a machine's virtio devices */

/* Opens everything on the host's side. What cannot be had fails the whole. Reported. destroy(NULL) is fine. */
int virtio_create(struct virtio **virtio, const struct virtio_config *config, struct loop *loop,
		  const struct guest_mem *ram);
void virtio_destroy(struct virtio *virtio);

/*
 * Puts the devices on the PCI bus or on the MMIO bus, by their transport: those that were asked for, in front of all
 * others; then, when all others are there, those that were not, unless the bus is full. Reported.
 */
int virtio_add_to_bus(struct virtio *virtio, struct pci_bus *pci, struct mmio_bus *mmio);
int virtio_add_unasked_to_bus(struct virtio *virtio, struct pci_bus *pci, struct mmio_bus *mmio);
/* Wired interrupts that devices on the MMIO bus want from `first` on; returns how many. */
unsigned virtio_assign_lines(struct virtio *virtio, uint32_t first);

/* Device n on the MMIO bus, for the device tree; false: there are no more. */
bool virtio_mmio_device(const struct virtio *virtio, unsigned n, uint64_t *base, uint32_t *line);

/* Connects the devices with a VM. No vCPU runs. Reported. */
int virtio_attach(struct virtio *virtio, struct vm *vm, struct irq_routes *routes,
		  struct irq_controller *irq);
/* Takes them off again, reset, with nothing of theirs under way. No vCPU runs; the VM is still there. */
void virtio_detach(struct virtio *virtio);

#endif

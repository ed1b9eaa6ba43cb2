/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's PCI functions, passed through to the guest. The host's side (container, groups, devices, DMA mappings) lives as
 * long as the process; the guest's side is attached to a VM and detached from it when the guest restarts in another.
 */
#ifndef LKVM_VFIO_H
#define LKVM_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <lkvm/guest_mem.h>
#include <lkvm/irq.h>
#include <lkvm/loop.h>
#include <lkvm/pci.h>
#include <lkvm/vm.h>

#define VFIO_BDF_SIZE 16 /* "0000:01:00.0" and its NUL; domains may have more digits */

/* Who chooses the IOVA of the page that a device writes its MSIs to: its doorbell, behind the host's IOMMU. */
enum vfio_doorbell_mode {
	VFIO_DOORBELL_UNSAID, /* a device: as for the machine; the machine: auto */
	VFIO_DOORBELL_AUTO, /* the guest's own doorbell where the host's kernel can, else its choice */
	VFIO_DOORBELL_KERNEL, /* the host's kernel */
	VFIO_DOORBELL_GIVEN,  /* whoever runs lkvm */
};

struct vfio_doorbell_choice {
	enum vfio_doorbell_mode mode;
	uint64_t iova; /* VFIO_DOORBELL_GIVEN: of the page */
};

/* Parses "auto|kernel|IOVA". -EINVAL; nothing is reported. */
int vfio_doorbell_parse(struct vfio_doorbell_choice *choice, const char *text);

struct vfio_device_config {
	char bdf[VFIO_BDF_SIZE]; /* canonical: DDDD:BB:DD.F */
	int guest_devfn;         /* where the guest sees it; -1: the first free slot */
	struct vfio_doorbell_choice doorbell;
};

/* Parses "[DOMAIN:]BUS:DEV.FN[,guest=SLOT[.FN]][,doorbell=auto|kernel|IOVA]". -EINVAL, reported with what is wrong. */
int vfio_device_config_parse(struct vfio_device_config *config, const char *text);

struct vfio; /* all of a machine's passed-through devices */

/*
 * Opens every device named: checks it (one message names device, cause and cure), opens groups, container and devices,
 * resets the devices, and watches their ERR and REQ interrupts on the loop (RUN_HOST_ERROR when the host wants one back).
 * A device that cannot be used fails the whole. Nothing of it needs a VM. Reported.
 */
int vfio_create(struct vfio **vfio, const struct vfio_device_config *configs, size_t count,
		struct loop *loop);
void vfio_destroy(struct vfio *vfio); /* resets and releases the devices; NULL is fine */

/*
 * What is wanted of the devices' MSI doorbells where a device's own configuration does not say. guest: the page that the
 * guest's driver will write into the device (gic_msi_doorbell()), guest-physical; 0: none. Before vfio_map_ram().
 */
void vfio_want_doorbell(struct vfio *vfio, const struct vfio_doorbell_choice *choice,
			uint64_t guest);

/*
 * Maps guest RAM for the devices' DMA, IOVA = guest-physical address; pins it. Then sets the devices' MSI doorbells. RAM,
 * doorbells and the host's reserved regions are laid out first: a conflict is reported before anything is mapped. Raises
 * RLIMIT_MEMLOCK as far as it may. Once, before the first vfio_attach(). Reported.
 */
int vfio_map_ram(struct vfio *vfio, const struct guest_mem *ram);

/* Builds the functions' virtual configuration space and BARs and puts them on the bus (before pci_bus_assign()). Reported. */
int vfio_add_to_bus(struct vfio *vfio, struct pci_bus *bus);

/* Connects the devices with a VM: kvm-vfio file, interrupt routes, BAR memory slots. No vCPU runs. Reported. */
int vfio_attach(struct vfio *vfio, struct vm *vm, struct irq_routes *routes,
		struct irq_controller *irq);

/*
 * Takes them off the VM again: interrupts disarmed, BARs unmapped, devices reset and their virtual configuration space as
 * it was when it was built. No vCPU runs; the VM is still there. What is not attached is left alone.
 */
void vfio_detach(struct vfio *vfio);

/*
 * The way of each vector from the device to the guest, as JSON: to be kept track of from now on (after vfio_add_to_bus()),
 * and to be written to a file, with the devices attached. From the main thread, vCPUs may run; vfio NULL: no devices.
 * Reported.
 */
int vfio_irq_report_prepare(struct vfio *vfio);
int vfio_irq_report(struct vfio *vfio, const char *path);

/* `lkvm vfio irqs`: such a file as a table. -errno, reported. */
int vfio_irqs_print(const char *path, FILE *out);

/* `lkvm vfio list`: one line a PCI function of the host. Returns 0 or -errno, reported. */
int vfio_list(FILE *out);

/*
 * `lkvm vfio check`: everything that decides whether the function can be passed through, and the commands that cure what
 * stands in the way; json: the same as one JSON object. Returns 0: ready, 1: something stands in the way, or -errno, reported.
 */
int vfio_check(const char *bdf, bool json, FILE *out);

#endif

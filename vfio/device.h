/* SPDX-License-Identifier: GPL-2.0-only */
/* A passed-through PCI function, as the files of this folder see it. */
#ifndef VFIO_DEVICE_H
#define VFIO_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/vfio.h>
#include <lkvm/irq.h>
#include <lkvm/loop.h>
#include <lkvm/pci.h>
#include <lkvm/pci_msix_table.h>
#include <lkvm/vfio.h>
#include <lkvm/vm.h>

/* A part of a region that can be mapped, and where it is while the guest decodes the BAR. */
struct vfio_area {
	uint64_t offset, size; /* bytes in the region, host-page-aligned */
	void *host;            /* mapping in this process, made once */
	int slot;              /* memory slot, -1: none */
	uint64_t gpa;
};

#define VFIO_AREAS 8 /* of one BAR: what sparse mmap says, cut around the MSI-X table and PBA */

struct vfio_region {
	uint64_t size;   /* bytes; 0: the device has none */
	uint64_t offset; /* of the region in the device's fd */
	uint32_t flags;  /* VFIO_REGION_INFO_FLAG_* */
	struct vfio_area areas[VFIO_AREAS];
	unsigned areas_count;
	bool decoded; /* the guest decodes the BAR, at gpa */
	uint64_t gpa;
};

/* One MSI or MSI-X vector. */
struct vfio_vector {
	int eventfd;   /* -1 until first armed */
	bool armed;    /* the host's interrupt triggers the eventfd */
	bool attached; /* the eventfd raises the GSI */
	uint32_t gsi;  /* first_gsi + index */
};

enum vfio_irq_mode { VFIO_IRQ_NONE, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

/* Interrupt state; guarded by function.lock. INTx, MSI and MSI-X exclude each other. */
struct vfio_irq {
	enum vfio_irq_mode mode;
	uint32_t counts[VFIO_PCI_NUM_IRQS]; /* VFIO_DEVICE_GET_IRQ_INFO */
	uint32_t flags[VFIO_PCI_NUM_IRQS];
	uint8_t msi_cap, msix_cap; /* offsets in configuration space; 0: none */
	unsigned msi_vectors;      /* what the guest may enable: 1, 2, 4, ... 32 */
	unsigned vectors_count;    /* the larger of what MSI and MSI-X have; 0: neither usable */
	struct vfio_vector *vectors;
	uint32_t first_gsi;
	bool gsis_allocated;
	struct pci_msix_table msix;
	unsigned in_force;  /* vectors the host has enabled of the mode's */
	uint8_t msi_enable; /* MSI: log2 of how many vectors the guest has enabled */
	bool refused;       /* KVM refused an interrupt: no further tries before the next attach */
	int intx_trigger, intx_resample; /* eventfds; -1: none */
};

/* The device's MSI doorbell as it is. */
struct vfio_doorbell {
	enum vfio_doorbell_mode chosen; /* KERNEL, AUTO: the guest's own, or GIVEN */
	uint64_t iova;                  /* of the page, but for KERNEL */
};

struct vfio_device {
	struct pci_function function; /* first: the class's hooks get this */
	struct vfio_device_config config;
	struct vfio *vfio;
	int fd;
	struct vfio_device_info info;
	bool clean; /* reset, and no guest has had it since */
	struct vfio_doorbell doorbell;
	struct vfio_region regions[VFIO_PCI_NUM_REGIONS];
	struct vfio_irq irq;
	/* The VM it is attached to, or NULL. */
	struct vm *vm;
	struct irq_routes *routes;
	struct irq_controller *irqs;
	/* Host's wishes: device error, device wanted back. */
	struct loop_source err, req;
	struct loop *loop;
	struct vfio_irq_row
		*irq_rows; /* irq_report.h: one a vector, one for INTx; NULL: no report is wanted */
	uint64_t irq_noted_ms; /* CLOCK_MONOTONIC */
	uint8_t *pristine;     /* [PCI_CONFIG_SIZE]: the virtual configuration space as built */
	/* config.c's: bits that are read from the device, and bits that a guest's write changes in the device. */
	uint8_t live[PCI_CONFIG_SIZE];
	uint8_t through[PCI_CONFIG_SIZE];
	uint8_t pm_cap;       /* offset of the power management capability; 0: none */
	uint16_t hw_command;  /* COMMAND as last written to the device */
	uint16_t decode_bits; /* of COMMAND: on in the device whatever the guest says */
};

/* door.c: the one door to VFIO's fds; each returns the result or -errno and reports nothing. Tests link another. */
int vfio_open_path(const char *path); /* read-write; the fd */
int vfio_ioctl_call(int fd, unsigned long request, void *arg);
int vfio_ioctl_value(int fd, unsigned long request, unsigned long value);
int64_t vfio_pread(int fd, void *buf, uint64_t len, uint64_t offset);
int64_t vfio_pwrite(int fd, const void *buf, uint64_t len, uint64_t offset);
void *vfio_mmap(int fd, uint64_t len, uint64_t offset, int prot); /* NULL with errno */
void vfio_munmap(void *addr, uint64_t len);
long vfio_host_page_size(void);

/*
 * config.c, config_build.c: the virtual configuration space. build: reads the device's, fills function.config/writable; after the probes
 * of irq.c and regions.c, on a function that was initialised. Decodes memory and I/O in the device from then on. Reported.
 */
int vfio_config_build(struct vfio_device *dev);
/* After the device was reset or config[] replaced: the device's COMMAND follows config[] again. */
void vfio_config_sync(struct vfio_device *dev);
uint32_t vfio_config_read(struct pci_function *function, unsigned offset, unsigned size);
void vfio_config_written(struct pci_function *function, unsigned offset, unsigned size,
			 uint32_t value);
/* The device's own registers, little-endian; all ones where it does not answer. size: 1, 2 or 4. */
uint32_t vfio_hw_config_read(const struct vfio_device *dev, unsigned offset, unsigned size);
/* Whether the device is in power state D0, the one in which its BARs answer (PCI PM 1.2, 5.4). */
bool vfio_config_powered(const struct vfio_device *dev);

/*
 * regions.c: BARs. probe: VFIO_DEVICE_GET_REGION_INFO for each, and mappings; after irq's probe, which knows where table
 * and PBA lie. Reported. info: of one region, without mappings; irq's probe has done it for CONFIG.
 */
int vfio_regions_probe(struct vfio_device *dev);
int vfio_region_info(struct vfio_device *dev, unsigned index);
int vfio_regions_set_bars(struct vfio_device *dev); /* pci_function_set_bar() for each */
void vfio_regions_release(struct vfio_device *dev); /* unmaps from this process */
int vfio_bar_map(struct pci_function *function, unsigned bar, uint64_t gpa);
void vfio_bar_unmap(struct pci_function *function, unsigned bar);
/* The device leaves D0: its BARs are trapped, so that no vCPU faults on them. It is back: as the guest decodes them. */
void vfio_regions_suspend(struct vfio_device *dev);
void vfio_regions_resume(struct vfio_device *dev);
uint64_t vfio_bar_read(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size);
void vfio_bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		    uint64_t value);
/* A trapped access to the hardware's region (all ones and ignored where the device does not answer). */
uint64_t vfio_region_read(struct vfio_device *dev, unsigned region, uint64_t offset, unsigned size);
void vfio_region_write(struct vfio_device *dev, unsigned region, uint64_t offset, unsigned size,
		       uint64_t value);

/* irq.c: the mode in force and its eventfds; msix.c, msi.c, intx.c: one mode each. All under function.lock. */
int vfio_irq_probe(
	struct vfio_device *dev); /* IRQ info, capabilities' offsets, table and PBA; allocates */
/* Forgets MSI or MSI-X, of a device that announces them wrongly. Before the function is on a bus. */
void vfio_irq_keep(struct vfio_device *dev, bool msi, bool msix);
int vfio_irq_attach(
	struct vfio_device *dev); /* allocates GSIs (when a mode first needs them is fine too) */
void vfio_irq_detach(
	struct vfio_device *dev); /* disarms everything, frees GSIs, forgets the guest's table */
void vfio_irq_release(struct vfio_device *dev); /* eventfds, memory */
void vfio_irq_config_written(struct vfio_device *dev, unsigned offset,
			     unsigned size); /* control words, COMMAND */
/* Whether [offset, offset + size) of the BAR touches the MSI-X table or PBA: then they answer. */
bool vfio_msix_covers(const struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size);
uint64_t vfio_msix_read(struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size);
void vfio_msix_write(struct vfio_device *dev, unsigned bar, uint64_t offset, unsigned size,
		     uint64_t value);

/*
 * reset.c: function reset, else hot reset where every affected function is ours; -ENOTTY where there is neither: then its
 * DMA is stopped. A device that is clean is left alone.
 */
int vfio_device_reset(struct vfio_device *dev);

#endif

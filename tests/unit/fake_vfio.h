/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A host's VFIO in memory, behind the door of vfio/door.c: containers, groups and devices that keep the kernel's rules
 * (vfio_pci_core, vfio_iommu_type1) closely enough for a caller's mistake to fail as it would there. Fds are real ones
 * (memfds), so that close(2) needs no door. One host at a time; fake_vfio_begin() forgets the one before.
 */
#ifndef FAKE_VFIO_H
#define FAKE_VFIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/vfio.h>

#define FAKE_VFIO_GROUPS   8
#define FAKE_VFIO_DEVICES  16
#define FAKE_VFIO_LOG      4096
#define FAKE_VFIO_VECTORS  2048
#define FAKE_VFIO_AFFECTED 32

/* Pseudo requests for fake_vfio_fail(): what is no ioctl. */
#define FAKE_VFIO_OPEN   0x1000000UL
#define FAKE_VFIO_PREAD  0x1000001UL
#define FAKE_VFIO_PWRITE 0x1000002UL
#define FAKE_VFIO_MMAP   0x1000003UL

struct fake_vfio_region {
	uint64_t size;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_*; CAPS is added where there is a capability */
	struct vfio_region_sparse_mmap_area sparse[8];
	unsigned sparse_count;
	bool msix_mappable; /* VFIO_REGION_INFO_CAP_MSIX_MAPPABLE */
};

/* What VFIO_DEVICE_GET_IRQ_INFO says, and what SET_IRQS has left in force. */
struct fake_vfio_irq {
	uint32_t count, flags;
	bool enabled;                   /* MSI, MSI-X, INTx, ERR, REQ: has a trigger */
	uint32_t enabled_count;         /* MSI, MSI-X: vectors allocated */
	int trigger[FAKE_VFIO_VECTORS]; /* eventfd, -1: none */
	int unmask_fd;                  /* INTx: its resample eventfd, -1: none */
	bool masked;                    /* INTx */
};

/* One VFIO_DEVICE_SET_IRQS as it came, failed ones too. */
struct fake_vfio_set_irqs {
	uint32_t flags, index, start, count;
	int first_fd; /* of DATA_EVENTFD, else -1 */
	int result;
};

/* One read or write of a region. */
struct fake_vfio_access {
	bool write;
	uint32_t region;
	uint64_t offset, size, value; /* value: of up to 8 bytes, after a read */
};

struct fake_vfio_device {
	char bdf[16];
	int group;      /* its number */
	uint32_t flags; /* VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET */
	uint32_t num_regions, num_irqs;
	struct fake_vfio_region regions[VFIO_PCI_NUM_REGIONS];
	struct fake_vfio_irq irqs[VFIO_PCI_NUM_IRQS];
	uint8_t *config; /* the CONFIG region's bytes */
	const char *hot_reset_with
		[FAKE_VFIO_AFFECTED]; /* other BDFs a hot reset affects, groups in hot_reset_groups */
	int hot_reset_groups[FAKE_VFIO_AFFECTED];
	unsigned hot_reset_others;
	bool hot_reset;        /* it has one */
	bool msi_untranslated; /* no IOMMU translates its MSIs */
	/* What was done to it. */
	bool open;
	uint64_t doorbell; /* IOVA set by userspace, 0: none */
	unsigned doorbell_sets;
	unsigned opens, resets, hot_resets;
	struct fake_vfio_set_irqs set_irqs[FAKE_VFIO_LOG];
	unsigned set_irqs_count;
	struct fake_vfio_access accesses[FAKE_VFIO_LOG]; /* the first ones */
	unsigned accesses_count;
	unsigned mappings, mapped_ever; /* live vfio_mmap()s */
	int memory;                     /* memfd behind regions */
	int fd;                         /* as handed out last */
};

struct fake_vfio_group {
	int number;
	bool viable, in_container;
	unsigned opens;
	int fd;
};

struct fake_vfio_map {
	uint64_t iova, size, vaddr;
	uint32_t flags;
};

struct fake_vfio {
	/* What the host is like; a test may change it at will. */
	long page_size;                        /* of the host */
	bool type1v2;                          /* offered */
	bool iommu_info;                       /* VFIO_IOMMU_GET_INFO knows capabilities */
	bool doorbell;                         /* has the series of kernel/: vfio_doorbell.h */
	struct vfio_iova_range iova_ranges[4]; /* of the IOVA_RANGE capability */
	unsigned iova_ranges_count;
	/* What happened. */
	unsigned containers_opened;
	bool iommu_set;
	struct fake_vfio_map maps[16]; /* in force */
	unsigned maps_count, maps_ever;
	struct fake_vfio_group groups[FAKE_VFIO_GROUPS];
	unsigned groups_count;
	struct fake_vfio_device devices[FAKE_VFIO_DEVICES];
	unsigned devices_count;
	/* The calls of every ioctl, by number (VFIO_BASE + n): calls[n]. */
	unsigned calls[64];
};

/* Physical address of its doorbell's page, and where the kernel maps that by itself. */
#define FAKE_VFIO_DOORBELL_PHYS 0x8090000u
#define FAKE_VFIO_DOORBELL_IOVA 0x8000000u

/* A fresh host: 4 KiB pages, type1v2, no groups. The object is the fake's. end() asserts that every fd was closed and
 * every mapping undone, then releases all. */
struct fake_vfio *fake_vfio_begin(void);
void fake_vfio_end(void);

/*
 * A viable group with one more device: PCI, function reset, config space of 4096 bytes with a type 0 header (vendor and
 * device ID, class 0x020000, no BAR, no capability), ERR and REQ interrupts, one INTx (pin A). The group is made when it
 * is new. Add to it with the functions below, before the device is opened.
 */
struct fake_vfio_device *fake_vfio_add(const char *bdf, int group, uint16_t vendor,
				       uint16_t device);
/* Gives a region memory; flags: VFIO_REGION_INFO_FLAG_*. BARs also get their type bits by `bar_bits` in config[]. */
void fake_vfio_region(struct fake_vfio_device *dev, unsigned index, uint64_t size, uint32_t flags,
		      uint32_t bar_bits);
/* The bytes of a region (shared with whoever maps it); size: of the part wanted, from offset 0. */
uint8_t *fake_vfio_memory(struct fake_vfio_device *dev, unsigned index, uint64_t size);
/* Adds a capability at offset (dword-aligned, its body already in config[] or put there later) to the list's end. */
void fake_vfio_capability(struct fake_vfio_device *dev, uint8_t offset, uint8_t id);
/* MSI-X capability (12 bytes at offset) and IRQ info; table and PBA in BARs. MSI capability (24 bytes). */
void fake_vfio_msix(struct fake_vfio_device *dev, uint8_t offset, unsigned vectors,
		    unsigned table_bar, uint32_t table_offset, unsigned pba_bar,
		    uint32_t pba_offset);
void fake_vfio_msi(struct fake_vfio_device *dev, uint8_t offset, unsigned vectors, bool is64,
		   bool maskable);
/* Little-endian access to config[]. */
uint32_t fake_vfio_config_get(const struct fake_vfio_device *dev, unsigned offset, unsigned size);
void fake_vfio_config_put(struct fake_vfio_device *dev, unsigned offset, unsigned size,
			  uint32_t value);

/* After `skip` successes, the next `times` calls of `request` (an ioctl or FAKE_VFIO_*) fail with -errno `err` (> 0). */
void fake_vfio_fail(unsigned long request, int err, unsigned skip, unsigned times);

/* The device raises a vector: its eventfd counts. False where nothing is armed (or INTx is masked). INTx automasks. */
bool fake_vfio_trigger(struct fake_vfio_device *dev, uint32_t index, uint32_t vector);

struct fake_vfio_device *fake_vfio_device(const char *bdf);
struct fake_vfio_device *fake_vfio_device_of_fd(int fd);
/* An fd for a device that is opened without container and group, for tests of one file; close it before end(). */
int fake_vfio_open_device(struct fake_vfio_device *dev);
/* How many fds the fake handed out are still open. */
unsigned fake_vfio_fds(void);

#endif

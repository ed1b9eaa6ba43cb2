/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI Express root bus: ECAM, three windows, up to 256 functions, each with a virtual configuration space of
 * 4096 bytes (PCIe 5.0, 7.2). Machine-neutral: knows neither KVM nor what a function is.
 */
#ifndef LKVM_PCI_H
#define LKVM_PCI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/pci_regs.h>
#include <lkvm/mmio.h>

#define PCI_CONFIG_SIZE 4096
#define PCI_FUNCTIONS   256 /* on a bus: 32 devices of 8 functions */
#define PCI_BARS        6
#define PCI_SHADOW_SIZE (PCI_FUNCTIONS * PCI_CONFIG_SIZE)

#define PCI_DEVFN_OF(slot, fn) (((slot) << 3) | (fn))

struct pci_window {
	uint64_t base, size; /* guest-physical, bytes; size 0: there is none */
};

struct pci_layout {
	struct pci_window ecam;  /* only bus 0, the first 1 MiB, answers */
	struct pci_window io;    /* CPU address of I/O port 0, 64 KiB-aligned */
	struct pci_window mem32; /* non-prefetchable, bus address = CPU address */
	struct pci_window mem64; /* prefetchable, above RAM */
};

struct pci_function;

/*
 * What a function does beyond the virtual configuration space. Hooks may be NULL. config_* and bar_map/bar_unmap run
 * with function->lock held, which is recursive: they may reset the function or access its configuration space.
 * bar_read/bar_write run without it, on any vCPU's thread.
 */
struct pci_function_class {
	/* Reads [offset, offset + size) (size 1, 2 or 4, naturally aligned) where the bytes are not all in config[]. */
	uint32_t (*config_read)(struct pci_function *function, unsigned offset, unsigned size);
	/* After a write has been merged into config[] under writable[] and its BAR or decode effects are done. */
	void (*config_written)(struct pci_function *function, unsigned offset, unsigned size,
			       uint32_t value);
	/* An access to a BAR that was not mapped straight through; a BAR's size bounds offset + size. */
	uint64_t (*bar_read)(struct pci_function *function, unsigned bar, uint64_t offset,
			     unsigned size);
	void (*bar_write)(struct pci_function *function, unsigned bar, uint64_t offset,
			  unsigned size, uint64_t value);
	/*
	 * The BAR starts, stops being decoded at gpa (CPU address). A failed map was reported and has left nothing mapped;
	 * the BAR then reads as ones until the function is reset.
	 */
	int (*bar_map)(struct pci_function *function, unsigned bar, uint64_t gpa);
	void (*bar_unmap)(struct pci_function *function, unsigned bar);
};

struct pci_bar {
	uint64_t
		size; /* bytes, a power of two; 0: not implemented (or the upper half of the one before) */
	uint32_t
		flags; /* PCI_BASE_ADDRESS_SPACE_IO, PCI_BASE_ADDRESS_MEM_TYPE_64, PCI_BASE_ADDRESS_MEM_PREFETCH */
	bool mapped;  /* decoded right now, at region.base */
	bool blocked; /* the guest wants it decoded, but another region is in the way */
	bool failed;  /* bar_map failed: not decoded before a reset */
	struct mmio_region region;
	struct pci_function *function;
};

struct pci_function {
	const struct pci_function_class *class;
	const char *name; /* for messages, such as the host's BDF */
	struct pci_bus *bus;
	uint8_t devfn;
	pthread_mutex_t
		lock; /* guards config, bars and the owner's own state; before irq_routes, vm and mmio locks */
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable
		[PCI_CONFIG_SIZE]; /* bits a guest's write changes; the rest keep their value */
	struct pci_bar bar[PCI_BARS];
	uint32_t
		intx_line; /* the wired interrupt of its INTx pin, where PCI_INTERRUPT_PIN is not 0 */
	atomic_bool complained; /* report_once() */
	bool direct; /* reads find what config[] holds, without config_read(), unless the owner ends the shadow */
};

/* How who has mapped a bus's shadow to the guest is told. Any thread, maybe with a function's and its owner's locks held. */
struct pci_shadow_ops {
	void (*changed)(void *arg, const void *at, size_t size);
	/* Takes the mapping away: reads of a function have effects from now on. Once. */
	void (*end)(void *arg);
};

struct pci_bus {
	struct mmio_bus *mmio;
	struct pci_layout layout;
	struct mmio_region ecam;
	struct pci_function *functions[PCI_FUNCTIONS];
	uint32_t spoken_for;  /* bit n: nobody who asks for any slot gets slot n */
	atomic_bool released; /* a BAR was unmapped: one that was blocked may have room now */
	uint8_t *shadow;      /* PCI_SHADOW_SIZE bytes; NULL: not yet made */
	atomic_bool shadowed; /* it is in use */
	const struct pci_shadow_ops *shadow_ops;
	void *shadow_arg;
};

/* Puts the ECAM on the MMIO bus and declares the windows as holes of ones. The bus has no lock: it is built first. */
int pci_bus_create(struct pci_bus *bus, struct mmio_bus *mmio, const struct pci_layout *layout);
void pci_bus_destroy(struct pci_bus *bus);

/*
 * Initialises the parts that do not come from its owner: lock, and config/writable for the type 0 header's common
 * registers. The owner then fills in IDs, capabilities and pci_function_set_bar(), and calls pci_bus_add().
 */
int pci_function_init(struct pci_function *function, const struct pci_function_class *class,
		      const char *name);
void pci_function_destroy(struct pci_function *function);

/*
 * Declares BAR n (PCIe 5.0, 7.5.1.2.1). -EINVAL: the size is no power of two, below 16 bytes (4 for I/O), there is no such
 * BAR, n is the last for a 64-bit one, or the upper half of one. -ERANGE: its address has too few bits for the size. Both
 * reported with the function's name.
 */
int pci_function_set_bar(struct pci_function *function, unsigned n, uint64_t size, uint32_t flags);

/*
 * Puts a function at devfn, or, devfn < 0, at function 0 of the first slot that is free and not spoken for. Sets the
 * multi-function bit of function 0 where it has siblings. -EBUSY, -ENOSPC, -EINVAL (no such devfn), reported.
 */
int pci_bus_add(struct pci_bus *bus, struct pci_function *function, int devfn);

/* Function 0 of the slot behind all that are taken, or of a free one if there is none. -ENOSPC, not reported. */
int pci_bus_last_devfn(const struct pci_bus *bus);

/*
 * Gives every BAR of every function an address in its window, those first that only one window can hold, then large ones
 * (a function's order breaks ties), and writes it to the BARs; decode stays as it is. No two memory BARs share a page of
 * any host (64 KiB). The guest may choose others. -ENOSPC reported with the function's name; -EINVAL: a function whose slot
 * has no function 0, which no guest would find, reported.
 */
int pci_bus_assign(struct pci_bus *bus);

/*
 * Gives each function with an interrupt pin a wired interrupt of its own, from `first` on in devfn order, below `limit`.
 * Returns how many, or -ENOSPC, reported. (An interrupt-map can tell the guest; no line is shared.)
 */
int pci_bus_assign_lines(struct pci_bus *bus, uint32_t first, uint32_t limit);

/*
 * All configuration spaces as the guest reads them, for whoever maps them to the guest at ecam.base, for reading only:
 * PCI_SHADOW_SIZE bytes, page-aligned, the bus's own, which follow what the guest writes. NULL: there is no function, or
 * one that is not `direct`, or no memory; reads then go the usual way. After pci_bus_assign(), before a vCPU runs.
 */
const void *pci_bus_shadow(struct pci_bus *bus, const struct pci_shadow_ops *ops, void *arg);
/* By a function's owner, or when the VM goes. */
void pci_bus_end_shadow(struct pci_bus *bus);

/*
 * The guest's accesses; also used by tests and by machine reset. offset < 4096, size 1, 2, 4, naturally aligned; others read
 * as ones and are ignored.
 */
uint32_t pci_config_read(struct pci_function *function, unsigned offset, unsigned size);
void pci_config_write(struct pci_function *function, unsigned offset, unsigned size,
		      uint32_t value);

/* Little-endian access to config[] by the owner; no effects. */
uint32_t pci_get(const uint8_t *config, unsigned offset, unsigned size);
void pci_put(uint8_t *config, unsigned offset, unsigned size, uint32_t value);

/* Function reset: COMMAND cleared, BARs no longer decoded; addresses and the rest of config[] stay. Takes the lock. */
void pci_function_reset(struct pci_function *function);

/* Address the guest has programmed into BAR n (CPU address for I/O BARs: port + io.base). */
uint64_t pci_bar_address(const struct pci_function *function, unsigned n);

#endif

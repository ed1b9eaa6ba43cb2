/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's device tree: deterministic, one function per node (Devicetree Specification 0.4 and the kernel's bindings). */
#ifndef LKVM_FDT_H
#define LKVM_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lkvm/gic.h>
#include <lkvm/image.h>
#include <lkvm/pci.h>

#define FDT_RNG_SEED_SIZE 64

/* A virtio device on the MMIO bus. */
struct fdt_virtio {
	uint64_t base;
	uint32_t line;
};

/* Everything the tree says; all of it stays the caller's. */
struct fdt_config {
	const char *bootargs;
	const struct boot_layout *layout;
	uint64_t ram_base, ram_size;
	unsigned vcpus;
	bool aarch32, pmu;
	const struct gic *gic;
	uint64_t kaslr_seed;
	uint8_t rng_seed[FDT_RNG_SEED_SIZE];
	bool stdout_uart;    /* /chosen/stdout-path is UART 0 */
	uint64_t flash_size; /* bytes; 0: no flash */
	const struct fdt_virtio *virtio;
	size_t virtio_count;
	const struct pci_bus *pci; /* NULL or without functions: no host bridge node */
};

/* Builds the tree in buf; returns its size in bytes, or -errno, reported (-ENOSPC: larger than size). */
int fdt_build(const struct fdt_config *config, void *buf, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Sequential writing of a device tree with libfdt; private to arm/. */
#ifndef ARM_FDT_TREE_H
#define ARM_FDT_TREE_H

#include <stdint.h>
#include <stddef.h>
#include <lkvm/fdt.h>

enum { PHANDLE_GIC = 1, PHANDLE_MSI };

/* Interrupt specifiers (bindings/interrupt-controller/arm,gic-v3.yaml). */
enum { GIC_SPI = 0, GIC_PPI = 1 };
enum { IRQ_EDGE_RISING = 1, IRQ_LEVEL_HIGH = 4, IRQ_LEVEL_LOW = 8 };

struct tree {
	const struct fdt_config *config;
	void *fdt;
	int error; /* libfdt's first; nothing is written after it */
};

void tree_begin(struct tree *tree, const char *name);
/* A node called name@address. */
void tree_begin_at(struct tree *tree, const char *name, uint64_t address);
void tree_end(struct tree *tree);

void tree_empty(struct tree *tree, const char *name);
void tree_bytes(struct tree *tree, const char *name, const void *bytes, size_t size);
void tree_string(struct tree *tree, const char *name, const char *value);
void tree_cells(struct tree *tree, const char *name, const uint32_t *cells, size_t count);
void tree_cells64(struct tree *tree, const char *name, const uint64_t *values, size_t count);

#define TREE_CELLS(tree, name, ...)                                                                \
	tree_cells(tree, name, (const uint32_t[]){ __VA_ARGS__ },                                  \
		   sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))
#define TREE_CELLS64(tree, name, ...)                                                              \
	tree_cells64(tree, name, (const uint64_t[]){ __VA_ARGS__ },                                \
		     sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))
/* compatible: a list of strings, each with its NUL, as in "a\0b". */
#define TREE_STRINGS(tree, name, list) tree_bytes(tree, name, list, sizeof(list))

/* The host bridge (bindings/pci/host-generic-pci.yaml). */
void fdt_pci_node(struct tree *tree);

#endif

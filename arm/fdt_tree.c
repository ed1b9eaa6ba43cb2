// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <libfdt.h>
#include "fdt_tree.h"

void tree_begin(struct tree *tree, const char *name)
{
	if (!tree->error)
		tree->error = fdt_begin_node(tree->fdt, name);
}

void tree_begin_at(struct tree *tree, const char *name, uint64_t address)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%" PRIx64, name, address);
	tree_begin(tree, full);
}

void tree_end(struct tree *tree)
{
	if (!tree->error)
		tree->error = fdt_end_node(tree->fdt);
}

void tree_empty(struct tree *tree, const char *name)
{
	tree_bytes(tree, name, NULL, 0);
}

void tree_bytes(struct tree *tree, const char *name, const void *bytes, size_t size)
{
	if (!tree->error)
		tree->error = fdt_property(tree->fdt, name, bytes, size);
}

void tree_string(struct tree *tree, const char *name, const char *value)
{
	tree_bytes(tree, name, value, strlen(value) + 1);
}

void tree_cells(struct tree *tree, const char *name, const uint32_t *cells, size_t count)
{
	fdt32_t *out;

	if (!tree->error)
		tree->error = fdt_property_placeholder(tree->fdt, name, count * sizeof(*out),
						       (void **)&out);
	for (size_t i = 0; !tree->error && i < count; i++)
		out[i] = cpu_to_fdt32(cells[i]);
}

/* Two cells a value: properties are only aligned to one. */
void tree_cells64(struct tree *tree, const char *name, const uint64_t *values, size_t count)
{
	fdt32_t *out;

	if (!tree->error)
		tree->error = fdt_property_placeholder(tree->fdt, name, count * 2 * sizeof(*out),
						       (void **)&out);
	for (size_t i = 0; !tree->error && i < count; i++) {
		out[2 * i] = cpu_to_fdt32(values[i] >> 32);
		out[2 * i + 1] = cpu_to_fdt32((uint32_t)values[i]);
	}
}

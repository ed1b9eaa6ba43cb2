/* SPDX-License-Identifier: GPL-2.0-only */
/* A kernel to open, and what opening it comes to. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/image.h>
#include <lkvm/memory_map.h>

#define LIMIT       (64 * SZ_1M)
#define KERNEL_SIZE 200000

/* An arm64 Image that neither repeats itself nor fits into one of the unpackers' buffers. */
extern uint8_t kernel[KERNEL_SIZE];
void make_kernel(uint64_t text_offset, uint64_t image_size, uint64_t flags);

/* files_setup(), and a kernel at offset 0 of 1 MiB in memory. */
int kernels_setup(void **state);

/* The file opens as an arm64 Image with the kernel's bytes. */
void assert_opens(const char *path);
void assert_flat(const char *path, bool aarch32, enum image_kind kind, uint64_t offset,
		 uint64_t size);
/* It does not open, with this error and one line that has `message` in it. */
void assert_refused(const char *path, int err, const char *message);
void assert_refused_as(const char *path, bool aarch32, int err, const char *message);

#endif

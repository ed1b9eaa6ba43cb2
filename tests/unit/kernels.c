// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "kernels.h"

uint8_t kernel[KERNEL_SIZE];

static void put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

void make_kernel(uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
	uint32_t random = 1;

	for (size_t i = 0; i < KERNEL_SIZE; i++) {
		random = random * 1103515245 + 12345;
		kernel[i] = random >> 16;
	}
	memset(kernel, 0, 64);
	put64(kernel + 8, text_offset);
	put64(kernel + 16, image_size);
	put64(kernel + 24, flags);
	memcpy(kernel + 56, "ARM\x64", 4);
}

int kernels_setup(void **state)
{
	make_kernel(0, 0x100000, 0xa);
	return files_setup(state);
}

static void assert_contents(const struct image_file *file, const void *bytes, size_t size)
{
	uint8_t *found = malloc(size + 1);

	assert_int_equal(file->size, size);
	assert_int_equal(pread(file->fd, found, size + 1, 0), size);
	assert_memory_equal(found, bytes, size);
	free(found);
}

void assert_opens(const char *path)
{
	struct kernel_image image;

	assert_int_equal(kernel_image_open(&image, path, false, LIMIT), 0);
	assert_int_equal(image.kind, IMAGE_ARM64);
	assert_contents(&image.file, kernel, KERNEL_SIZE);
	kernel_image_close(&image);
}

void assert_refused_as(const char *path, bool aarch32, int err, const char *message)
{
	struct kernel_image image;

	stderr_keep();
	assert_int_equal(kernel_image_open(&image, path, aarch32, LIMIT), err);
	assert_reported(message);
	assert_int_equal(image.file.fd, -1);
	assert_int_equal(image.kind, IMAGE_NONE);
}

void assert_refused(const char *path, int err, const char *message)
{
	assert_refused_as(path, false, err, message);
}

void assert_flat(const char *path, bool aarch32, enum image_kind kind, uint64_t offset,
		 uint64_t size)
{
	struct kernel_image image;

	assert_int_equal(kernel_image_open(&image, path, aarch32, LIMIT), 0);
	assert_int_equal(image.kind, kind);
	assert_int_equal(image.text_offset, offset);
	assert_int_equal(image.image_size, size);
	assert_true(image.open_ended);
	kernel_image_close(&image);
}

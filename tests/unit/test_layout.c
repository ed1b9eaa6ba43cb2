// SPDX-License-Identifier: GPL-2.0-only
/* Where kernel, device tree and initrd go in RAM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>
#include <lkvm/image.h>
#include <lkvm/memory_map.h>
#include "files.h"

#define RAM MAP_RAM_BASE

static const struct kernel_image linux_image = { .kind = IMAGE_ARM64, .image_size = 0x2b30000 };
static const struct kernel_image old_linux = {
	.kind = IMAGE_ARM64, .text_offset = 0x80000, .image_size = 0x900000, .open_ended = true
};
static const struct kernel_image flat = {
	.kind = IMAGE_FLAT, .text_offset = 0x80000, .image_size = 0x1234, .open_ended = true
};
static const struct kernel_image flat32 = {
	.kind = IMAGE_FLAT32, .text_offset = 0x8000, .image_size = 0x800000, .open_ended = true
};
static const struct kernel_image firmware = { .kind = IMAGE_FIRMWARE, .image_size = 0x200000 };

/* What holds for every layout. */
static void check_layout(const struct boot_layout *layout, uint64_t ram_base, uint64_t ram_size)
{
	assert_true(layout->kernel >= ram_base);
	assert_true(layout->kernel + layout->kernel_size <= layout->fdt);
	assert_int_equal(layout->fdt % SZ_2M, 0);
	assert_true(layout->fdt + FDT_MAX_SIZE <= layout->initrd);
	assert_int_equal(layout->initrd % SZ_2M, 0);
	assert_true(layout->initrd + layout->initrd_size <= ram_base + ram_size);
	assert_int_equal(layout->entry, layout->kernel);
}

static struct boot_layout layout_of(const struct kernel_image *kernel, uint64_t initrd_size,
				    uint64_t ram_base, uint64_t ram_size)
{
	struct boot_layout layout;

	assert_int_equal(boot_layout_choose(&layout, kernel, initrd_size, ram_base, ram_size, 0),
			 0);
	assert_int_equal(layout.kernel_size, kernel->image_size);
	assert_int_equal(layout.initrd_size, initrd_size);
	check_layout(&layout, ram_base, ram_size);
	return layout;
}

static void an_image_is_followed_by_fdt_and_initrd(void **state)
{
	struct boot_layout layout = layout_of(&linux_image, 0x7c3200, RAM, 256 * SZ_1M);

	(void)state;
	assert_int_equal(layout.kernel, RAM);
	assert_int_equal(layout.fdt, RAM + 0x2c00000);
	assert_int_equal(layout.initrd, RAM + 0x2e00000);
}

static void without_an_initrd_its_size_is_zero(void **state)
{
	(void)state;
	assert_int_equal(layout_of(&linux_image, 0, RAM, 64 * SZ_1M).initrd_size, 0);
}

static void text_offset_counts_from_the_start_of_ram(void **state)
{
	struct kernel_image kernel = linux_image;

	(void)state;
	kernel.text_offset = 0x80000;
	assert_int_equal(layout_of(&kernel, 0, RAM, 256 * SZ_1M).kernel, RAM + 0x80000);
	/* RAM that does not start on a 2 MiB boundary: the next one counts. */
	assert_int_equal(layout_of(&kernel, 0, RAM + 0x1000, 256 * SZ_1M).kernel,
			 RAM + SZ_2M + 0x80000);
}

/* Scripts and bare-metal payloads are linked for these addresses. */
static void flat_binaries_are_where_they_are_linked_for(void **state)
{
	(void)state;
	assert_int_equal(layout_of(&flat, 0, RAM, 64 * SZ_1M).entry, 0x80080000);
	assert_int_equal(layout_of(&flat32, 0, RAM, 64 * SZ_1M).entry, 0x80008000);
	assert_int_equal(layout_of(&flat, 0, 5 * SZ_1G, 64 * SZ_1M).entry, 5 * SZ_1G + 0x80000);
}

/* Booting protocol: "keep as much memory as possible free ... immediately after the end of the kernel image". */
static void an_image_of_unknown_size_gets_what_follows_it(void **state)
{
	struct boot_layout layout = layout_of(&old_linux, 0x300001, RAM, 256 * SZ_1M);

	(void)state;
	assert_int_equal(layout.initrd, RAM + 256 * SZ_1M - 0x400000);
	assert_int_equal(layout.fdt, layout.initrd - FDT_MAX_SIZE);
	layout = layout_of(&flat, 0, RAM, 16 * SZ_1M);
	assert_int_equal(layout.fdt, RAM + 14 * SZ_1M);
}

/* Linux before 4.2 wants its FDT in the 512 MiB from its base on; a 32-bit one maps no more at all times. */
static void an_image_of_unknown_size_finds_its_fdt_near(void **state)
{
	struct boot_layout layout = layout_of(&old_linux, 16 * SZ_1M, RAM, 4 * SZ_1G);

	(void)state;
	assert_int_equal(layout.initrd + layout.initrd_size, RAM + SZ_1G / 2);
	layout = layout_of(&old_linux, 16 * SZ_1M, RAM, 768 * SZ_1M);
	assert_int_equal(layout.initrd + layout.initrd_size, RAM + SZ_1G / 2);
	layout = layout_of(&flat32, 16 * SZ_1M, RAM, 4 * SZ_1G);
	assert_int_equal(layout.initrd + layout.initrd_size, RAM + SZ_1G / 2);
	/* An initrd too large for that window is still placed, and the FDT in the window. */
	layout = layout_of(&old_linux, 600 * SZ_1M, RAM, 4 * SZ_1G);
	assert_int_equal(layout.fdt, RAM + 10 * SZ_1M);
}

static void firmware_is_at_the_start_or_where_it_is_told(void **state)
{
	struct boot_layout layout = layout_of(&firmware, 0, RAM, 64 * SZ_1M);

	(void)state;
	assert_int_equal(layout.entry, RAM);
	assert_int_equal(layout.fdt, RAM + SZ_2M);
	assert_int_equal(
		boot_layout_choose(&layout, &firmware, 0, RAM, 64 * SZ_1M, RAM + 0x1000000), 0);
	check_layout(&layout, RAM, 64 * SZ_1M);
	assert_int_equal(layout.entry, RAM + 0x1000000);
	assert_int_equal(layout.fdt, RAM + 0x1200000);
}

static void firmware_outside_ram_is_refused(void **state)
{
	static const uint64_t bad[] = { 0x1000, RAM - 1, RAM + 64 * SZ_1M + 1, 1ULL << 60 };
	struct boot_layout layout;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		stderr_keep();
		assert_int_equal(boot_layout_choose(&layout, &firmware, 0, RAM, 64 * SZ_1M, bad[i]),
				 -EINVAL);
		assert_reported("is not in guest memory, 0x80000000 to 0x84000000");
	}
	stderr_keep();
	assert_int_equal(
		boot_layout_choose(&layout, &firmware, 0, RAM, 64 * SZ_1M, UINT64_MAX - 4096),
		-ENOSPC);
	assert_reported("do not fit into any memory");
	stderr_keep();
	assert_int_equal(
		boot_layout_choose(&layout, &firmware, 0, RAM, 64 * SZ_1M, RAM + 63 * SZ_1M),
		-ENOSPC);
	assert_reported("need 68 MiB of guest memory");
}

/* The message's size is enough, and a byte less is not. */
static void too_little_ram_is_refused_with_the_size_that_does(void **state)
{
	struct boot_layout layout;

	(void)state;
	stderr_keep();
	assert_int_equal(boot_layout_choose(&layout, &linux_image, 0x7c3200, RAM, SZ_1M, 0),
			 -ENOSPC);
	assert_reported("need 54 MiB of guest memory");
	assert_int_equal(boot_layout_choose(&layout, &linux_image, 0x7c3200, RAM, 54 * SZ_1M, 0),
			 0);
	stderr_keep();
	assert_int_equal(boot_layout_choose(&layout, &linux_image, 0x7c3200, RAM,
					    0x2e00000 + 0x7c3200 - 1, 0),
			 -ENOSPC);
	assert_reported("need 54 MiB of guest memory");
	layout_of(&linux_image, 0x7c3200, RAM, 0x2e00000 + 0x7c3200);
}

static void sizes_that_wrap_are_refused(void **state)
{
	struct kernel_image liar = linux_image;
	struct boot_layout layout;

	(void)state;
	stderr_keep();
	liar.image_size = UINT64_MAX - 0x1000;
	assert_int_equal(boot_layout_choose(&layout, &liar, 0, RAM, SZ_1G, 0), -ENOSPC);
	assert_reported("do not fit into any memory");
	stderr_keep();
	liar = linux_image;
	liar.text_offset = UINT64_MAX - 0x1000;
	assert_int_equal(boot_layout_choose(&layout, &liar, 0, RAM, SZ_1G, 0), -ENOSPC);
	assert_reported("do not fit into any memory");
	stderr_keep();
	assert_int_equal(
		boot_layout_choose(&layout, &linux_image, UINT64_MAX - SZ_4G, RAM, SZ_1G, 0),
		-ENOSPC);
	stderr_text();
	stderr_keep();
	assert_int_equal(boot_layout_choose(&layout, &linux_image, 0, RAM, UINT64_MAX, 0), -EINVAL);
	assert_reported("ends beyond 2^64");
	stderr_keep();
	assert_int_equal(boot_layout_choose(&layout, &linux_image, 0, UINT64_MAX, 0, 0), -ENOSPC);
	assert_reported("do not fit into any memory");
}

/* Booting protocol: kernel and initrd within a 1 GiB-aligned window of 32 GiB. */
static void an_initrd_beyond_the_kernels_window_is_refused(void **state)
{
	uint64_t largest = 32 * SZ_1G - 0x2e00000;
	struct boot_layout layout;

	(void)state;
	layout_of(&linux_image, largest, 4 * SZ_1G, 64 * SZ_1G);
	stderr_keep();
	assert_int_equal(
		boot_layout_choose(&layout, &linux_image, largest + 1, 4 * SZ_1G, 64 * SZ_1G, 0),
		-EFBIG);
	assert_reported("initrd");
}

static void no_image_leaves_the_entry_to_the_caller(void **state)
{
	struct kernel_image none = { .kind = IMAGE_NONE, .file.fd = -1 };

	(void)state;
	assert_int_equal(layout_of(&none, 0, RAM, 64 * SZ_1M).fdt, RAM);
}

/* A spread of sizes: each is laid out soundly or refused for lack of room. */
static void every_layout_is_sound(void **state)
{
	static const struct kernel_image *kernels[] = { &linux_image, &old_linux, &flat, &flat32 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		for (uint64_t initrd = 0; initrd < SZ_1G; initrd = initrd * 3 + 4097)
			for (uint64_t ram = SZ_1M; ram < SZ_4G; ram += ram / 2 + 12345) {
				struct boot_layout layout;
				int err;

				stderr_keep();
				err = boot_layout_choose(&layout, kernels[i], initrd, RAM, ram, 0);
				stderr_text();
				if (err)
					assert_int_equal(err, -ENOSPC);
				else
					check_layout(&layout, RAM, ram);
				if (err)
					assert_true(kernels[i]->image_size + initrd + FDT_MAX_SIZE +
							    3 * SZ_2M >
						    ram);
			}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_is_followed_by_fdt_and_initrd),
		cmocka_unit_test(without_an_initrd_its_size_is_zero),
		cmocka_unit_test(text_offset_counts_from_the_start_of_ram),
		cmocka_unit_test(flat_binaries_are_where_they_are_linked_for),
		cmocka_unit_test(an_image_of_unknown_size_gets_what_follows_it),
		cmocka_unit_test(an_image_of_unknown_size_finds_its_fdt_near),
		cmocka_unit_test(firmware_is_at_the_start_or_where_it_is_told),
		cmocka_unit_test(firmware_outside_ram_is_refused),
		cmocka_unit_test(too_little_ram_is_refused_with_the_size_that_does),
		cmocka_unit_test(sizes_that_wrap_are_refused),
		cmocka_unit_test(an_initrd_beyond_the_kernels_window_is_refused),
		cmocka_unit_test(no_image_leaves_the_entry_to_the_caller),
		cmocka_unit_test(every_layout_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

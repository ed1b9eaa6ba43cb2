// SPDX-License-Identifier: GPL-2.0-only
/* What is recognised as a kernel, from which kinds of file, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "kernels.h"

/* --- opening --- */

/* Scripts look for this very text. */
static void a_missing_kernel_is_named_in_the_agreed_words(void **state)
{
	struct kernel_image image;

	(void)state;
	stderr_keep();
	assert_int_equal(kernel_image_open(&image, "no-such-file", false, LIMIT), -ENOENT);
	assert_string_equal(
		stderr_text(),
		"  Fatal: Unable to open kernel no-such-file: No such file or directory\n");
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	assert_refused("/", -EISDIR, "kernel / is a directory");
	assert_refused("/dev/null", -ENODATA, "kernel /dev/null is empty");
	assert_refused(file_make("empty", "", 0), -ENODATA, "is empty");
	assert_refused("/dev/zero", -EFBIG, "kernel /dev/zero is larger than 65536 KiB");
}

static void a_file_beyond_the_limit_is_refused(void **state)
{
	const char *path = file_make("Image", kernel, sizeof(kernel));
	struct image_file file;

	(void)state;
	stderr_keep();
	assert_int_equal(image_file_open(&file, path, "initrd", sizeof(kernel) - 1), -EFBIG);
	assert_reported("is larger than 195 KiB, all that fits: see -m");
	assert_int_equal(image_file_open(&file, path, "initrd", sizeof(kernel)), 0);
	image_file_close(&file);
	assert_int_equal(file.fd, -1);
}

static void a_regular_file_is_not_copied(void **state)
{
	const char *path = file_make("Image", kernel, sizeof(kernel));
	struct stat by_path, by_fd;
	struct image_file file;

	(void)state;
	assert_int_equal(image_file_open(&file, path, "initrd", LIMIT), 0);
	assert_int_equal(stat(path, &by_path), 0);
	assert_int_equal(fstat(file.fd, &by_fd), 0);
	assert_int_equal(by_path.st_ino, by_fd.st_ino);
	image_file_close(&file);
}

/* Files of /proc say that they are empty. */
static void a_file_without_a_size_is_read(void **state)
{
	struct image_file file;

	(void)state;
	assert_int_equal(image_file_open(&file, "/proc/version", "initrd", LIMIT), 0);
	assert_true(file.size > 10);
	image_file_close(&file);
}

static void *write_kernel(void *fd)
{
	size_t written = 0;

	while (written < sizeof(kernel)) {
		ssize_t n = write(*(int *)fd, kernel + written, sizeof(kernel) - written);

		if (n < 0)
			break;
		written += n;
	}
	close(*(int *)fd);
	return NULL;
}

static void a_kernel_comes_through_a_pipe(void **state)
{
	pthread_t writer;
	char path[64];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_kernel, &ends[1]), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	assert_opens(path);
	pthread_join(writer, NULL);
	close(ends[0]);
}

/* A socket cannot be opened again by its name below /proc. */
static void a_kernel_comes_through_a_socket(void **state)
{
	pthread_t writer;
	char path[64];
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_kernel, &ends[1]), 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	assert_opens(path);
	pthread_join(writer, NULL);
	close(ends[0]);
}

static void *open_and_write(void *path)
{
	int fd = open(path, O_WRONLY);

	return fd < 0 ? NULL : write_kernel(&fd);
}

static void a_kernel_comes_through_a_fifo(void **state)
{
	const char *path = file_path("fifo");
	pthread_t writer;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pthread_create(&writer, NULL, open_and_write, (void *)path), 0);
	assert_opens(path);
	pthread_join(writer, NULL);
}

static void a_pipe_that_brings_too_much_is_refused(void **state)
{
	struct image_file file;
	pthread_t writer;
	char path[64];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_kernel, &ends[1]), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	stderr_keep();
	assert_int_equal(image_file_open(&file, path, "initrd", 150000), -EFBIG);
	assert_reported("is larger than 146 KiB");
	while (read(ends[0], path, sizeof(path)) > 0)
		;
	pthread_join(writer, NULL);
	close(ends[0]);
}

/* --- headers --- */

static void an_image_header_is_honoured(void **state)
{
	struct kernel_image image;

	(void)state;
	make_kernel(0x80000, 0x123456, 0xa);
	assert_int_equal(
		kernel_image_open(&image, file_make("Image", kernel, sizeof(kernel)), false, LIMIT),
		0);
	assert_int_equal(image.kind, IMAGE_ARM64);
	assert_int_equal(image.text_offset, 0x80000);
	assert_int_equal(image.image_size, 0x123456);
	assert_false(image.open_ended);
	kernel_image_close(&image);
}

/* Before 3.17, text_offset had the kernel's byte order and image_size was zero. */
static void an_old_header_means_0x80000_and_an_open_end(void **state)
{
	struct kernel_image image;

	(void)state;
	make_kernel(0x0000080000000000, 0, 0);
	assert_int_equal(
		kernel_image_open(&image, file_make("Image", kernel, sizeof(kernel)), false, LIMIT),
		0);
	assert_int_equal(image.kind, IMAGE_ARM64);
	assert_int_equal(image.text_offset, 0x80000);
	assert_int_equal(image.image_size, sizeof(kernel));
	assert_true(image.open_ended);
	kernel_image_close(&image);
}

static void a_header_that_claims_too_little_gets_the_files_size(void **state)
{
	struct kernel_image image;

	(void)state;
	make_kernel(0, 4096, 0xa);
	assert_int_equal(
		kernel_image_open(&image, file_make("Image", kernel, sizeof(kernel)), false, LIMIT),
		0);
	assert_int_equal(image.image_size, sizeof(kernel));
	kernel_image_close(&image);
}

static void a_header_that_claims_too_much_is_refused(void **state)
{
	static const uint64_t sizes[] = { LIMIT + 1, 1ULL << 63, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make_kernel(0, sizes[i], 0xa);
		assert_refused(file_make("Image", kernel, sizeof(kernel)), -EFBIG,
			       "65536 KiB is all that fits: see -m");
		make_kernel(sizes[i], 0x100000, 0xa);
		assert_refused(file_make("Image", kernel, sizeof(kernel)), -EFBIG,
			       "wants 1024 KiB at offset 0x");
	}
}

static void a_big_endian_kernel_is_refused(void **state)
{
	(void)state;
	make_kernel(0, 0x100000, 0xb);
	assert_refused(file_make("Image", kernel, sizeof(kernel)), -ENOTSUP, "is big-endian");
}

static void anything_else_is_a_flat_binary(void **state)
{
	static const uint8_t wfi_loop[] = { 0x7f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0x17 };
	const char *path = file_make("flat", wfi_loop, sizeof(wfi_loop));

	(void)state;
	assert_flat(path, false, IMAGE_FLAT, 0x80000, sizeof(wfi_loop));
	assert_flat(path, true, IMAGE_FLAT32, 0x8000, sizeof(wfi_loop));
	/* One byte short of an Image's header. */
	assert_flat(file_make("short", kernel, 63), false, IMAGE_FLAT, 0x80000, 63);
	assert_flat(file_make("one", "", 1), false, IMAGE_FLAT, 0x80000, 1);
	/* It starts with a branch whose bytes look like raw lzma: that is no reason to refuse it. */
	assert_flat(file_make("branch", "\x5d\0\0\x14", 4), false, IMAGE_FLAT, 0x80000, 4);
}

static void a_kernel_of_the_other_width_is_refused(void **state)
{
	uint8_t zimage[0x40] = { 0 };
	const char *path;

	(void)state;
	assert_refused_as(file_make("Image", kernel, sizeof(kernel)), true, -ENOEXEC,
			  "is a 64-bit one: leave out --aarch32");
	memcpy(zimage + 0x24, "\x18\x28\x6f\x01", 4);
	path = file_make("zImage", zimage, sizeof(zimage));
	assert_refused(path, -ENOEXEC, "is a 32-bit one: run it with --aarch32");
	assert_flat(path, true, IMAGE_FLAT32, 0x8000, sizeof(zimage));
}

static void what_people_mistake_for_a_kernel_is_refused_with_its_cure(void **state)
{
	static const struct {
		unsigned offset, len;
		const char *magic, *message;
	} foreign[] = {
		{ 0, 4, "\177ELF", "is an ELF file: take arch/arm64/boot/Image" },
		{ 0, 6, "\3757zXZ", "is compressed with xz" },
		{ 0, 4, "\x02\x21\x4c\x18", "is compressed with lz4" },
		{ 0, 4, "\x04\x22\x4d\x18", "is compressed with lz4" },
		{ 0, 4, "\211LZO", "is compressed with lzo" },
		{ 0, 10, "BZh91AY&SY", "is compressed with bzip2" },
		{ 0, 4, "\x27\x05\x19\x56", "is a U-Boot uImage" },
		{ 0, 4, "\xd0\x0d\xfe\xed", "is a device tree or FIT image" },
		{ 0x202, 4, "HdrS", "is an x86 kernel" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		uint8_t bytes[1024] = { 0 };

		memcpy(bytes + foreign[i].offset, foreign[i].magic, foreign[i].len);
		assert_refused(file_make("foreign", bytes, sizeof(bytes)), -ENOEXEC,
			       foreign[i].message);
	}
}

static void firmware_is_any_file(void **state)
{
	struct kernel_image image;

	(void)state;
	assert_int_equal(firmware_image_open(&image, file_make("fw", "\177ELF", 4), LIMIT), 0);
	assert_int_equal(image.kind, IMAGE_FIRMWARE);
	assert_int_equal(image.image_size, 4);
	kernel_image_close(&image);
	stderr_keep();
	assert_int_equal(firmware_image_open(&image, "no-such-file", LIMIT), -ENOENT);
	assert_reported("Unable to open firmware no-such-file: No such file or directory");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, kernels_setup, files_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_missing_kernel_is_named_in_the_agreed_words),
		TEST(what_is_no_file_is_refused),
		TEST(a_file_beyond_the_limit_is_refused),
		TEST(a_regular_file_is_not_copied),
		TEST(a_file_without_a_size_is_read),
		TEST(a_kernel_comes_through_a_pipe),
		TEST(a_kernel_comes_through_a_socket),
		TEST(a_kernel_comes_through_a_fifo),
		TEST(a_pipe_that_brings_too_much_is_refused),
		TEST(an_image_header_is_honoured),
		TEST(an_old_header_means_0x80000_and_an_open_end),
		TEST(a_header_that_claims_too_little_gets_the_files_size),
		TEST(a_header_that_claims_too_much_is_refused),
		TEST(a_big_endian_kernel_is_refused),
		TEST(anything_else_is_a_flat_binary),
		TEST(a_kernel_of_the_other_width_is_refused),
		TEST(what_people_mistake_for_a_kernel_is_refused_with_its_cure),
		TEST(firmware_is_any_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

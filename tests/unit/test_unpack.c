// SPDX-License-Identifier: GPL-2.0-only
/* Kernels that are packed: gzip, zstd, EFI zboot, whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>
#include "files.h"
#include "kernels.h"

static size_t gzip(const void *bytes, size_t size, uint8_t *out, size_t room)
{
	z_stream z = {
		.next_in = (void *)bytes, .avail_in = size, .next_out = out, .avail_out = room
	};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t zstd(const void *bytes, size_t size, uint8_t *out, size_t room)
{
	size_t len = ZSTD_compress(out, room, bytes, size, 3);

	assert_false(ZSTD_isError(len));
	return len;
}

typedef size_t packer(const void *bytes, size_t size, uint8_t *out, size_t room);
static packer *const packers[] = { gzip, zstd };

static uint8_t packed[3 * sizeof(kernel)];

static void a_packed_image_is_unpacked(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = packers[i](kernel, sizeof(kernel), packed, sizeof(packed));

		assert_opens(file_make("packed", packed, len));
	}
}

/* gzip and zstd files may be joined, also where the unpacker's buffer of 64 KiB ends. */
static void joined_packed_files_are_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		unsigned at_the_end = 0;

		for (size_t cut = 65450; cut < 65545; cut++) {
			size_t first = packers[i](kernel, cut, packed, sizeof(packed)), second;

			if (first < 65534 || first > 65538)
				continue;
			second = packers[i](kernel + cut, sizeof(kernel) - cut, packed + first,
					    sizeof(packed) - first);
			assert_opens(file_make("packed", packed, first + second));
			at_the_end += first == 65536;
		}
		assert_int_equal(at_the_end, 1);
	}
}

static void a_flat_binary_may_be_packed(void **state)
{
	size_t len = gzip("flat binary", 11, packed, sizeof(packed));

	(void)state;
	assert_flat(file_make("packed", packed, len), false, IMAGE_FLAT, 0x80000, 11);
}

static void zeros_after_a_gzip_file_are_padding(void **state)
{
	size_t len = gzip(kernel, sizeof(kernel), packed, sizeof(packed));

	(void)state;
	memset(packed + len, 0, sizeof(packed) - len);
	assert_opens(file_make("packed", packed, len + 1));
	assert_opens(file_make("packed", packed, sizeof(packed)));
}

static void garbage_after_a_packed_file_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = packers[i](kernel, sizeof(kernel), packed, sizeof(packed));

		memcpy(packed + len, "garbage", 7);
		assert_refused(file_make("packed", packed, len + 7), -EINVAL,
			       "is compressed, and followed by something else");
		memset(packed + len, 0, 100000);
		packed[len + 99999] = 1;
		assert_refused(file_make("packed", packed, len + 100000), -EINVAL,
			       "is compressed, and followed by something else");
	}
}

static void a_truncated_packed_file_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = packers[i](kernel, sizeof(kernel), packed, sizeof(packed));

		for (size_t left = len - 1; left > 4; left -= left / 5 + 1)
			assert_refused(file_make("packed", packed, left), -EINVAL,
				       "is compressed, and truncated");
	}
}

static void a_corrupt_packed_file_is_refused(void **state)
{
	size_t len = gzip(kernel, sizeof(kernel), packed, sizeof(packed));

	(void)state;
	packed[len - 6] ^= 1; /* its CRC */
	assert_refused(file_make("packed", packed, len), -EINVAL, "is compressed, and corrupt");
	len = zstd(kernel, sizeof(kernel), packed, sizeof(packed));
	packed[6] ^= 0xff; /* its frame header */
	assert_refused(file_make("packed", packed, len), -EINVAL, "is compressed, and corrupt");
}

/* A thousandth of the size: unpacking stops at the limit, not when memory is used up. */
static void a_packed_file_that_grows_too_large_is_refused(void **state)
{
	uint8_t *zeros = calloc(1, LIMIT + 1);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = packers[i](zeros, LIMIT + 1, packed, sizeof(packed));

		assert_refused(file_make("packed", packed, len), -EFBIG,
			       "unpacks to more than 65536 KiB");
		len = packers[i](zeros, LIMIT, packed, sizeof(packed));
		assert_flat(file_make("packed", packed, len), false, IMAGE_FLAT, 0x80000, LIMIT);
	}
	free(zeros);
}

static void a_packed_packed_file_is_refused(void **state)
{
	size_t len = gzip(kernel, sizeof(kernel), packed, sizeof(packed));
	uint8_t *twice = malloc(2 * len);

	(void)state;
	len = zstd(packed, len, twice, 2 * len);
	assert_refused(file_make("packed", twice, len), -EINVAL, "is compressed twice");
	free(twice);
}

static void a_packed_nothing_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = packers[i]("", 0, packed, sizeof(packed));

		assert_refused(file_make("packed", packed, len), -ENODATA,
			       "is compressed, and empty");
	}
}

/* --- EFI zboot --- */

/* A zboot image in packed[] whose payload is what pack() makes of the kernel; its size. */
static size_t make_zboot(packer *pack, const char *compression)
{
	size_t len;
	uint32_t le;

	memset(packed, 0, 4096);
	memcpy(packed, "MZ\0\0zimg", 8);
	strcpy((char *)packed + 24, compression);
	memcpy(packed + 56, "\xcd\x23\x82\x81", 4);
	len = pack(kernel, sizeof(kernel), packed + 4096, sizeof(packed) - 4096);
	le = htole32(4096);
	memcpy(packed + 8, &le, 4);
	le = htole32(len);
	memcpy(packed + 12, &le, 4);
	/* The EFI application goes on behind its payload. */
	memset(packed + 4096 + len, 0xee, 500);
	return 4096 + len + 500;
}

static size_t lzma(const void *bytes, size_t size, uint8_t *out, size_t room)
{
	(void)room;
	memcpy(out, bytes, size);
	return size;
}

static void a_zboot_image_is_unpacked(void **state)
{
	size_t len = make_zboot(gzip, "gzip");

	(void)state;
	assert_opens(file_make("vmlinuz.efi", packed, len));
	len = make_zboot(zstd, "zstd22");
	assert_opens(file_make("vmlinuz.efi", packed, len));
}

static void a_zboot_image_of_another_compression_is_refused(void **state)
{
	size_t len = make_zboot(lzma, "lzma");

	(void)state;
	assert_refused(file_make("vmlinuz.efi", packed, len), -ENOTSUP,
		       "is an EFI zboot image compressed with lzma; lkvm can unpack gzip and zstd");
}

static void a_zboot_image_that_lies_is_refused(void **state)
{
	static const struct {
		uint32_t offset, size;
	} lies[] = { { 0xffffffff, 4096 }, { 4096, 0xffffffff }, { 4096, 3 }, { 0, 300000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint32_t offset = htole32(lies[i].offset), size = htole32(lies[i].size);

		make_zboot(gzip, "gzip");
		memcpy(packed + 8, &offset, 4);
		memcpy(packed + 12, &size, 4);
		assert_refused(file_make("vmlinuz.efi", packed, 210000), -EINVAL,
			       "is an EFI zboot image, and truncated");
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, kernels_setup, files_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_packed_image_is_unpacked),
		TEST(joined_packed_files_are_one),
		TEST(a_flat_binary_may_be_packed),
		TEST(zeros_after_a_gzip_file_are_padding),
		TEST(garbage_after_a_packed_file_is_refused),
		TEST(a_truncated_packed_file_is_refused),
		TEST(a_corrupt_packed_file_is_refused),
		TEST(a_packed_file_that_grows_too_large_is_refused),
		TEST(a_packed_packed_file_is_refused),
		TEST(a_packed_nothing_is_refused),
		TEST(a_zboot_image_is_unpacked),
		TEST(a_zboot_image_of_another_compression_is_refused),
		TEST(a_zboot_image_that_lies_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/image.h>
#include <lkvm/report.h>
#include "unpack.h"

#define FLAT_OFFSET   0x80000ULL
#define FLAT32_OFFSET 0x8000ULL

/* Documentation/arch/arm64/booting.rst, 4. Little-endian. */
struct arm64_header {
	uint32_t code0, code1;
	uint64_t text_offset;
	uint64_t image_size; /* 0: before Linux 3.17 */
	uint64_t flags;
	uint64_t res2, res3, res4;
	uint32_t magic;
	uint32_t res5;
};
static_assert(sizeof(struct arm64_header) == 64, "arm64 Image header");
static_assert(offsetof(struct arm64_header, magic) == 56, "arm64 Image magic");

#define ARM64_MAGIC           0x644d5241 /* "ARM\x64" */
#define ARM64_FLAG_BE         (1ULL << 0)
#define ARM64_OLD_TEXT_OFFSET 0x80000ULL

/* A zImage (Documentation/arch/arm/booting.rst). Little-endian. */
struct arm_header {
	uint32_t code[9];
	uint32_t magic;
};
static_assert(offsetof(struct arm_header, magic) == 0x24, "zImage magic");

#define ARM_MAGIC 0x016f2818

/* An EFI application that unpacks a kernel (drivers/firmware/efi/libstub/zboot-header.S). Little-endian. */
struct zboot_header {
	char mz[4];
	char zimg[4];
	uint32_t payload_offset, payload_size;
	uint32_t res[2];
	char compression[32];
	uint32_t pe_magic, pe_offset;
};
static_assert(sizeof(struct zboot_header) == 64, "zboot header");
static_assert(offsetof(struct zboot_header, compression) == 24, "zboot compression");

/* A file's beginning. */
struct head {
	size_t len;
	union {
		uint8_t bytes[1024];
		struct arm64_header arm64;
		struct arm_header arm;
		struct zboot_header zboot;
	};
};

/* What people mistake for a kernel that lkvm can run: without a word it would run as a flat binary, and hang. */
static const struct {
	unsigned offset, len;
	const char *magic, *what, *cure;
} foreign_kernels[] = {
	{ 0, 4, "\177ELF", "an ELF file", "take arch/arm64/boot/Image, or use objcopy -O binary" },
	{ 0, 6, "\3757zXZ", "compressed with xz", "lkvm unpacks gzip and zstd; use unxz" },
	{ 0, 4, "\002\041\114\030", "compressed with lz4",
	  "lkvm unpacks gzip and zstd; use unlz4" },
	{ 0, 4, "\004\042\115\030", "compressed with lz4",
	  "lkvm unpacks gzip and zstd; use unlz4" },
	{ 0, 4, "\211LZO", "compressed with lzo", "lkvm unpacks gzip and zstd; use lzop -d" },
	{ 4, 6, "1AY&SY", "compressed with bzip2", "lkvm unpacks gzip and zstd; use bunzip2" },
	{ 0, 4, "\047\005\031\126", "a U-Boot uImage", "take arch/arm64/boot/Image" },
	{ 0, 4, "\320\015\376\355", "a device tree or FIT image", "take arch/arm64/boot/Image" },
	{ 0x202, 4, "HdrS", "an x86 kernel", "the guest needs one for arm64" },
};

static int read_head(struct head *head, const struct image_file *file, const char *path)
{
	int err;

	head->len = file->size < sizeof(head->bytes) ? file->size : sizeof(head->bytes);
	err = pread_full(file->fd, head->bytes, head->len, 0);
	return err ? report(err, "cannot read kernel %s", path) : 0;
}

static bool is_zboot(const struct head *head)
{
	return head->len >= sizeof(head->zboot) && !memcmp(head->zboot.mz, "MZ", 2) &&
	       !memcmp(head->zboot.zimg, "zimg", 4);
}

static int unpack_zboot(struct kernel_image *image, const struct head *head, const char *path,
			uint64_t limit)
{
	uint32_t offset = le32toh(head->zboot.payload_offset);
	uint32_t size = le32toh(head->zboot.payload_size);
	enum packing packing;
	uint8_t magic[4];
	int err;

	if (size < sizeof(magic) || offset > image->file.size || size > image->file.size - offset)
		return refuse(-EINVAL, "kernel %s is an EFI zboot image, and truncated", path);
	err = pread_full(image->file.fd, magic, sizeof(magic), offset);
	if (err)
		return report(err, "cannot read kernel %s", path);
	packing = packing_of(magic, sizeof(magic));
	if (packing == PACKING_NONE)
		return refuse(-ENOTSUP,
			      "kernel %s is an EFI zboot image compressed with %.*s; lkvm can "
			      "unpack gzip and zstd",
			      path, (int)sizeof(head->zboot.compression), head->zboot.compression);
	return image_file_unpack(&image->file, packing, offset, size, "kernel", path, limit);
}

/* Unpacks the file if it is packed, once; head then is that of what was in it. */
static int unpack_kernel(struct kernel_image *image, struct head *head, const char *path,
			 uint64_t limit)
{
	enum packing packing = packing_of(head->bytes, head->len);
	int err;

	if (packing != PACKING_NONE)
		err = image_file_unpack(&image->file, packing, 0, image->file.size, "kernel", path,
					limit);
	else if (is_zboot(head))
		err = unpack_zboot(image, head, path, limit);
	else
		return 0;
	if (!err && !image->file.size)
		err = refuse(-ENODATA, "kernel %s is compressed, and empty", path);
	if (!err)
		err = read_head(head, &image->file, path);
	if (!err && (is_zboot(head) || packing_of(head->bytes, head->len) != PACKING_NONE))
		err = refuse(-EINVAL, "kernel %s is compressed twice: unpack it once", path);
	return err;
}

static int refuse_foreign(const struct head *head, const char *path, bool aarch32)
{
	for (size_t i = 0; i < sizeof(foreign_kernels) / sizeof(foreign_kernels[0]); i++) {
		unsigned offset = foreign_kernels[i].offset, len = foreign_kernels[i].len;

		if (offset + len <= head->len &&
		    !memcmp(head->bytes + offset, foreign_kernels[i].magic, len))
			return refuse(-ENOEXEC, "kernel %s is %s: %s", path,
				      foreign_kernels[i].what, foreign_kernels[i].cure);
	}
	if (!aarch32 && head->len >= sizeof(head->arm) && le32toh(head->arm.magic) == ARM_MAGIC)
		return refuse(-ENOEXEC, "kernel %s is a 32-bit one: run it with --aarch32", path);
	return 0;
}

static int read_arm64_header(struct kernel_image *image, const struct arm64_header *header,
			     const char *path, uint64_t limit)
{
	if (le64toh(header->flags) & ARM64_FLAG_BE)
		return refuse(-ENOTSUP,
			      "kernel %s is big-endian: lkvm's devices are little-endian only",
			      path);
	image->kind = IMAGE_ARM64;
	image->text_offset = le64toh(header->text_offset);
	image->image_size = le64toh(header->image_size);
	if (!image->image_size) {
		image->text_offset = ARM64_OLD_TEXT_OFFSET;
		image->open_ended = true;
	}
	/* What follows the image in its file (a signature) has its place, too. */
	if (image->image_size < image->file.size)
		image->image_size = image->file.size;
	if (image->image_size > limit || image->text_offset > limit)
		return refuse(-EFBIG,
			      "kernel %s wants %llu KiB at offset 0x%llx; %llu KiB is all that "
			      "fits: see -m",
			      path, (unsigned long long)(image->image_size >> 10),
			      (unsigned long long)image->text_offset,
			      (unsigned long long)(limit >> 10));
	return 0;
}

static int recognise(struct kernel_image *image, const char *path, bool aarch32, uint64_t limit)
{
	struct head head;
	int err = read_head(&head, &image->file, path);

	if (!err)
		err = unpack_kernel(image, &head, path, limit);
	if (!err)
		err = refuse_foreign(&head, path, aarch32);
	if (err)
		return err;
	if (head.len >= sizeof(head.arm64) && le32toh(head.arm64.magic) == ARM64_MAGIC) {
		if (aarch32)
			return refuse(-ENOEXEC, "kernel %s is a 64-bit one: leave out --aarch32",
				      path);
		return read_arm64_header(image, &head.arm64, path, limit);
	}
	image->kind = aarch32 ? IMAGE_FLAT32 : IMAGE_FLAT;
	image->text_offset = aarch32 ? FLAT32_OFFSET : FLAT_OFFSET;
	image->image_size = image->file.size;
	image->open_ended = true;
	return 0;
}

int kernel_image_open(struct kernel_image *image, const char *path, bool aarch32, uint64_t limit)
{
	int err;

	*image = (struct kernel_image){ .file.fd = -1 };
	err = image_file_open(&image->file, path, "kernel", limit);
	if (err)
		return err;
	err = recognise(image, path, aarch32, limit);
	if (err)
		kernel_image_close(image);
	return err;
}

int firmware_image_open(struct kernel_image *image, const char *path, uint64_t limit)
{
	int err;

	*image = (struct kernel_image){ .file.fd = -1 };
	err = image_file_open(&image->file, path, "firmware", limit);
	if (err)
		return err;
	image->kind = IMAGE_FIRMWARE;
	image->image_size = image->file.size;
	return 0;
}

void kernel_image_close(struct kernel_image *image)
{
	image_file_close(&image->file);
	image->kind = IMAGE_NONE;
}

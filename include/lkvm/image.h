/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest boots from, and where it goes. Opening and laying out are checked arithmetic on files and numbers, done
 * before a VM exists; placing maps or copies into RAM.
 */
#ifndef LKVM_IMAGE_H
#define LKVM_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/guest_mem.h>

enum image_kind { IMAGE_NONE, IMAGE_ARM64, IMAGE_FLAT, IMAGE_FLAT32, IMAGE_FIRMWARE };

/*
 * A file in full: fd can be mapped, whatever it was opened from (what cannot be, such as a pipe, and what has to be
 * unpacked becomes a memfd). A regular file is not copied: it must not change before it is placed, nor
 * later where it is mapped.
 */
struct image_file {
	int fd;
	uint64_t size; /* bytes */
};

struct kernel_image {
	struct image_file file;
	enum image_kind kind;
	uint64_t text_offset; /* from a 2 MiB boundary */
	uint64_t image_size;  /* bytes of memory, .bss included; at least the file's */
	bool open_ended;      /* its .bss is unknown: as much as possible is left free after it */
};

/*
 * Opens path ("Unable to open kernel PATH" where it cannot be) and reads its header (Documentation/arch/arm64/booting):
 * an arm64 Image, one in gzip, zstd or an EFI zboot file of these (unpacked), or else a flat binary. aarch32: flat, for
 * a 32-bit guest. Opening and reading a FIFO waits for its writer. Reported: directory, empty, a header that lies,
 * big-endian, a kernel of another kind (ELF, x86, ...), a compressed file that is broken or unpacks to more than `limit`.
 */
int kernel_image_open(struct kernel_image *image, const char *path, bool aarch32, uint64_t limit);
/* Firmware: any file, runs from the start of RAM or the address given. */
int firmware_image_open(struct kernel_image *image, const char *path, uint64_t limit);
void kernel_image_close(struct kernel_image *image);

/* Any other file in full (initrd): `what` names it in messages. limit: most bytes it may have. */
int image_file_open(struct image_file *file, const char *path, const char *what, uint64_t limit);
void image_file_close(struct image_file *file);

#define FDT_MAX_SIZE 0x200000ULL /* booting protocol: at most 2 MiB */

/* Guest-physical addresses of everything that is in RAM when vCPU 0 starts. */
struct boot_layout {
	uint64_t entry;
	uint64_t kernel, kernel_size; /* bytes in memory, .bss included */
	uint64_t fdt;                 /* 2 MiB-aligned, FDT_MAX_SIZE long */
	uint64_t initrd, initrd_size; /* size 0: none */
};

/*
 * Lays out kernel, FDT and initrd in [ram_base, ram_base + ram_size): the kernel as low as it may be, the FDT above it,
 * the initrd above the FDT, both on 2 MiB boundaries. firmware_address: where firmware is loaded, 0 for the start of RAM.
 * IMAGE_NONE: only the others; the entry is the caller's to set. Nothing overlaps, wraps or leaves RAM; -ENOSPC is
 * reported with the size of RAM that would do.
 */
int boot_layout_choose(struct boot_layout *layout, const struct kernel_image *kernel,
		       uint64_t initrd_size, uint64_t ram_base, uint64_t ram_size,
		       uint64_t firmware_address);

/*
 * Puts a file at gpa. map: its whole pages become private mappings of the file (nothing is copied, pages come in when
 * the guest touches them) where gpa is page-aligned; else, and for a tail beyond the file's last page, it is read.
 * Bytes after the file up to mem_size are zero (a restart may have left others). Returns bytes copied, or -errno, reported.
 *
 * map replaces RAM's pages by others. So it is not for hugetlbfs; nor for pages that are pinned for DMA already, which
 * would go on to the old ones; nor, but for a memfd, for a guest with MTE: a file's pages have no tags.
 */
int64_t image_place(const struct image_file *file, const char *what, struct guest_mem *mem,
		    uint64_t gpa, uint64_t mem_size, bool map);

#endif

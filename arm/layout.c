// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <lkvm/image.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>

#define SZ_512M 0x20000000ULL
#define SZ_32G  0x800000000ULL

static uint64_t align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

/* Puts `size` bytes at the next 2 MiB boundary from *end on, moves *end behind them. False: 2^64 is not enough. */
static bool stack_up(uint64_t *end, uint64_t *start, uint64_t size)
{
	uint64_t aligned;

	if (__builtin_add_overflow(*end, SZ_2M - 1, &aligned))
		return false;
	*start = align_down(aligned, SZ_2M);
	return !__builtin_add_overflow(*start, size, end);
}

/* Where the kernel starts. False: nowhere below 2^64. */
static bool choose_kernel(struct boot_layout *layout, const struct kernel_image *kernel,
			  uint64_t ram_base, uint64_t firmware_address)
{
	uint64_t end = ram_base, base;

	if (kernel->kind == IMAGE_FIRMWARE) {
		layout->kernel = firmware_address ? firmware_address : ram_base;
		return true;
	}
	return stack_up(&end, &base, 0) &&
	       !__builtin_add_overflow(base, kernel->text_offset, &layout->kernel);
}

/*
 * A kernel that does not say what memory it uses behind its image gets all there is: FDT and initrd move to the top of
 * RAM, but no further than 512 MiB from its base: a Linux before 4.2 does not see its FDT beyond, nor a 32-bit one
 * memory that is always mapped.
 */
static void move_up(struct boot_layout *layout, const struct kernel_image *kernel, uint64_t ram_end)
{
	uint64_t base = layout->kernel - kernel->text_offset;
	uint64_t top = ram_end - base > SZ_512M ? base + SZ_512M : ram_end;
	uint64_t needed = layout->initrd_size + FDT_MAX_SIZE;

	if (top < layout->fdt || top - layout->fdt < needed)
		return;
	layout->initrd = align_down(top - layout->initrd_size, SZ_2M);
	layout->fdt = layout->initrd - FDT_MAX_SIZE;
}

/* "An initrd must be within a 1 GB aligned window of up to 32 GB that fully covers the kernel Image as well." */
static bool in_initrd_window(const struct boot_layout *layout, const struct kernel_image *kernel)
{
	uint64_t window = align_down(layout->kernel, SZ_1G);

	return !layout->initrd_size || kernel->kind != IMAGE_ARM64 ||
	       layout->initrd + layout->initrd_size - window <= SZ_32G;
}

int boot_layout_choose(struct boot_layout *layout, const struct kernel_image *kernel,
		       uint64_t initrd_size, uint64_t ram_base, uint64_t ram_size,
		       uint64_t firmware_address)
{
	uint64_t end, ram_end;

	*layout = (struct boot_layout){ .kernel_size = kernel->image_size,
					.initrd_size = initrd_size };
	if (__builtin_add_overflow(ram_base, ram_size, &ram_end))
		return refuse(-EINVAL, "guest memory ends beyond 2^64");
	if (!choose_kernel(layout, kernel, ram_base, firmware_address) ||
	    __builtin_add_overflow(layout->kernel, layout->kernel_size, &end) ||
	    !stack_up(&end, &layout->fdt, FDT_MAX_SIZE) ||
	    !stack_up(&end, &layout->initrd, initrd_size))
		return refuse(-ENOSPC, "kernel and initrd do not fit into any memory");
	if (layout->kernel < ram_base || layout->kernel > ram_end)
		return refuse(-EINVAL,
			      "firmware address 0x%llx is not in guest memory, 0x%llx to 0x%llx",
			      (unsigned long long)layout->kernel, (unsigned long long)ram_base,
			      (unsigned long long)ram_end);
	if (end > ram_end)
		return refuse(
			-ENOSPC,
			"kernel, device tree and initrd need %llu MiB of guest memory: see -m",
			(unsigned long long)((end - ram_base + SZ_1M - 1) / SZ_1M));
	if (kernel->open_ended)
		move_up(layout, kernel, ram_end);
	if (!in_initrd_window(layout, kernel))
		return refuse(-EFBIG, "initrd of %llu MiB: an arm64 kernel takes less than 32 GiB",
			      (unsigned long long)(initrd_size / SZ_1M));
	layout->entry = layout->kernel;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any file as the kernel, any sizes of RAM and initrd: it is refused, or laid out soundly, placed byte for byte and told
 * in a valid device tree. An input is struct input and then the file.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <libfdt.h>
#include <lkvm/fdt.h>
#include <lkvm/image.h>
#include <lkvm/memory_map.h>
#include "silence.h"

#define RAM_MAX (32 * SZ_1M)

struct input {
	uint8_t mode; /* bit 0: aarch32, 1: firmware, 2: map, 3: through a pipe, 4-6: enum irqchip */
	uint8_t vcpus;
	uint8_t functions[2]; /* devfns */
	uint8_t pins[2];
	uint8_t limit_shift, ram_shift; /* sizes up to the whole of 64 bits */
	uint64_t ram_base, ram_size, initrd_size, firmware_address;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_file(struct kernel_image *image, const struct input *input, const uint8_t *bytes,
		     size_t size)
{
	uint64_t limit = RAM_MAX >> (input->limit_shift % 16);
	int fds[2], err;
	char path[64];

	/* What a pipe holds without a reader; a larger file is a file. */
	if (input->mode & 8 && size <= 65536 && !pipe2(fds, O_CLOEXEC)) {
		assert(write(fds[1], bytes, size) == (ssize_t)size);
		close(fds[1]);
	} else {
		fds[0] = memfd_create("fuzz", MFD_CLOEXEC);
		assert(write(fds[0], bytes, size) == (ssize_t)size);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	if (input->mode & 2)
		err = firmware_image_open(image, path, limit);
	else
		err = kernel_image_open(image, path, input->mode & 1, limit);
	close(fds[0]);
	if (!err)
		assert(image->file.size && image->file.size <= limit &&
		       image->image_size >= image->file.size && image->image_size <= limit);
	return err;
}

static void check_layout(const struct boot_layout *layout, const struct kernel_image *image,
			 uint64_t ram_base, uint64_t ram_size)
{
	uint64_t ram_end = ram_base + ram_size, end;

	assert(layout->kernel >= ram_base && layout->kernel_size == image->image_size);
	assert(!__builtin_add_overflow(layout->kernel, layout->kernel_size, &end));
	assert(end <= layout->fdt && layout->fdt % SZ_2M == 0);
	assert(!__builtin_add_overflow(layout->fdt, FDT_MAX_SIZE, &end));
	assert(end <= layout->initrd);
	assert(!__builtin_add_overflow(layout->initrd, layout->initrd_size, &end));
	assert(end <= ram_end);
}

/* Twice, as a restart does, with a guest in between that has written all over it. */
static void place(const struct kernel_image *image, const struct boot_layout *layout,
		  struct guest_mem *mem, bool map)
{
	uint8_t *host = guest_mem_range(mem, layout->kernel, layout->kernel_size);
	uint8_t *file = mmap(NULL, image->file.size, PROT_READ, MAP_PRIVATE, image->file.fd, 0);

	assert(file != MAP_FAILED);
	for (unsigned run = 0; run < 2; run++) {
		int64_t copied = image_place(&image->file, "kernel", mem, layout->kernel,
					     layout->kernel_size, map);

		assert(copied >= 0 && (uint64_t)copied <= image->file.size);
		assert(!memcmp(host, file, image->file.size));
		for (uint64_t i = image->file.size; i < layout->kernel_size; i++)
			assert(!host[i]);
		memset(host, 0xff, layout->kernel_size);
	}
	munmap(file, image->file.size);
}

static void build_fdt(const struct input *input, const struct boot_layout *layout,
		      const struct guest_mem *mem, char *bootargs)
{
	static struct pci_bus bus;
	static struct pci_function functions[2];
	struct gic gic = { .kind = IRQCHIP_GICV2 + (input->mode >> 4) % 4,
			   .msi_base = input->initrd_size,
			   .msi_size = input->firmware_address };
	struct fdt_config config = { .bootargs = bootargs,
				     .layout = layout,
				     .ram_base = mem->base,
				     .ram_size = mem->size,
				     .vcpus = input->vcpus,
				     .aarch32 = input->mode & 1,
				     .gic = &gic,
				     .kaslr_seed = input->ram_base,
				     .pci = &bus };
	uint8_t *fdt = guest_mem_range(mem, layout->fdt, FDT_MAX_SIZE);
	int size;

	memset(&bus, 0, sizeof(bus));
	bus.layout.ecam = (struct pci_window){ input->ram_size, input->ram_base };
	bus.layout.mem64 = (struct pci_window){ input->ram_base, input->ram_size };
	for (unsigned i = 0; i < 2; i++) {
		functions[i].config[PCI_INTERRUPT_PIN] = input->pins[i];
		bus.functions[input->functions[i]] = &functions[i];
	}
	assert(fdt);
	size = fdt_build(&config, fdt, FDT_MAX_SIZE);
	assert(size > 0 && !fdt_check_full(fdt, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_mem mem;
	struct kernel_image image;
	struct boot_layout layout;
	struct input input;
	char bootargs[64];

	if (size < sizeof(input))
		return 0;
	silence();
	memcpy(&input, data, sizeof(input));
	if (open_file(&image, &input, data + sizeof(input), size - sizeof(input)))
		return 0;
	if (!boot_layout_choose(&layout, &image, input.initrd_size, input.ram_base,
				input.ram_size >> (input.ram_shift % 64), input.firmware_address))
		check_layout(&layout, &image, input.ram_base,
			     input.ram_size >> (input.ram_shift % 64));

	/* And with RAM that this machine has. */
	input.ram_base = (input.ram_base & ~(SZ_2M - 1)) >> 8;
	input.ram_size = (input.ram_size % RAM_MAX & ~(SZ_64K - 1)) + SZ_64K;
	if (input.firmware_address)
		input.firmware_address =
			input.ram_base + input.firmware_address % (2 * input.ram_size);
	assert(!guest_mem_create(&mem, &(struct guest_mem_config){ .base = input.ram_base,
								   .size = input.ram_size }));
	if (!boot_layout_choose(&layout, &image, input.initrd_size % RAM_MAX, input.ram_base,
				input.ram_size, input.firmware_address)) {
		check_layout(&layout, &image, input.ram_base, input.ram_size);
		place(&image, &layout, &mem, input.mode & 4);
		memcpy(bootargs, data + size - 40 % size, 40 % size);
		bootargs[40 % size] = '\0';
		build_fdt(&input, &layout, &mem, bootargs);
	}
	guest_mem_destroy(&mem);
	kernel_image_close(&image);
	return 0;
}

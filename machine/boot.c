// SPDX-License-Identifier: GPL-2.0-only
/* One start of the guest: a VM whose every part is in its reset state, RAM with the images in place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <lkvm/cache.h>
#include <lkvm/fdt.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>
#include "machine.h"

static int make_vcpus(struct machine *machine)
{
	unsigned count = machine->config.cpus;

	machine->vcpus = calloc(count, sizeof(*machine->vcpus));
	if (!machine->vcpus)
		return report(-ENOMEM, "cannot keep %u vCPUs", count);
	for (unsigned i = 0; i < count; i++) {
		int err = vcpu_create(&machine->vcpus[i], &machine->vm, i, &machine->features);

		if (err)
			return err;
		machine->vcpus[i].mmio = &machine->mmio;
		machine->vcpus[i].loop = &machine->loop;
	}
	return 0;
}

/* The last entry that names the vCPU counts; else the last for all. */
static const cpu_set_t *affinity_of(const struct machine_config *config, unsigned index)
{
	const cpu_set_t *all = NULL, *own = NULL;

	for (size_t i = 0; i < config->affinity_count; i++) {
		if (config->affinity[i].vcpu < 0)
			all = &config->affinity[i].cpus;
		else if ((unsigned)config->affinity[i].vcpu == index)
			own = &config->affinity[i].cpus;
	}
	return own ? own : all;
}

static int finish_vcpus(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.cpus; i++) {
		int err = vcpu_finish(&machine->vcpus[i], &machine->features);

		if (err)
			return err;
		machine->vcpus[i].affinity = affinity_of(&machine->config, i);
	}
	return vcpu_set_entry(&machine->vcpus[0], &machine->features, machine->layout.entry,
			      machine->layout.fdt);
}

static int enable_mte(struct machine *machine)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_MTE };
	int err;

	if (!machine->mte)
		return 0;
	err = kvm_ioctl(machine->vm.fd, KVM_ENABLE_CAP, &cap);
	return err < 0 ? err : 0;
}

static int map_memory(struct machine *machine)
{
	const struct guest_mem *ram = &machine->ram;
	int slot = vm_slot_add(&machine->vm, ram->base, ram->size, ram->host, 0);

	if (slot >= 0 && machine->pvtime)
		slot = vm_slot_add(&machine->vm, MAP_PVTIME_BASE, MAP_PVTIME_SIZE, machine->pvtime,
				   0);
	return slot < 0 ? slot : 0;
}

static char *make_bootargs(const struct machine_config *config)
{
	const char *params = config->params ? config->params : "";
	const char *console = machine_console_params(config);
	char *args;

	/* A kernel's last console= is its /dev/console: what the user says counts. */
	if (asprintf(&args, "%s%s%s", console ? console : "", console && *params ? " " : "",
		     params) < 0)
		return NULL;
	return args;
}

static int dump_fdt(const char *path, const void *fdt, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	ssize_t written;
	int err = 0;

	if (fd < 0)
		return report(-errno, "cannot create %s for the device tree", path);
	written = write(fd, fdt, size);
	if (written < 0)
		err = -errno;
	else if (written != (ssize_t)size)
		err = -EIO;
	close(fd);
	return err ? report(err, "cannot write the device tree to %s", path) : 0;
}

/* The virtio devices on the MMIO bus; the caller frees the list. */
static struct fdt_virtio *list_virtio(const struct virtio *virtio, size_t *count)
{
	struct fdt_virtio *list, one;
	unsigned n = 0;

	while (virtio_mmio_device(virtio, n, &one.base, &one.line))
		n++;
	list = calloc(n + 1, sizeof(*list));
	for (*count = 0; list && *count < n; ++*count)
		virtio_mmio_device(virtio, (unsigned)*count, &list[*count].base,
				   &list[*count].line);
	return list;
}

static int make_fdt(struct machine *machine)
{
	struct fdt_config config = {
		.layout = &machine->layout,
		.ram_base = machine->ram.base,
		.ram_size = machine->ram.size,
		.vcpus = machine->config.cpus,
		.aarch32 = machine->features.aarch32,
		.pmu = machine->features.pmu,
		.gic = &machine->gic,
		.kaslr_seed = machine->config.kaslr_seed,
		.stdout_uart = true,
		.flash_size = machine->flash.size,
		.pci = &machine->pci,
	};
	void *fdt = guest_mem_range(&machine->ram, machine->layout.fdt, FDT_MAX_SIZE);
	struct fdt_virtio *virtio = list_virtio(machine->virtio, &config.virtio_count);
	char *bootargs = make_bootargs(&machine->config);
	int size;

	config.bootargs = bootargs;
	config.virtio = virtio;
	if (!bootargs || !virtio)
		size = report(-ENOMEM, "cannot build the device tree");
	else if (getrandom(config.rng_seed, sizeof(config.rng_seed), 0) !=
			 sizeof(config.rng_seed) ||
		 (!machine->config.kaslr_seed_given &&
		  getrandom(&config.kaslr_seed, sizeof(config.kaslr_seed), 0) !=
			  sizeof(config.kaslr_seed)))
		size = report(-EIO, "cannot get random numbers for the guest's seeds");
	else
		size = fdt_build(&config, fdt, FDT_MAX_SIZE);
	free(virtio);
	free(bootargs);
	if (size >= 0 && machine->config.dump_dtb)
		return dump_fdt(machine->config.dump_dtb, fdt, (size_t)size);
	return size < 0 ? size : 0;
}

/*
 * Files are read into RAM: a copy into huge pages costs far less than the fault that each small page of a mapped file
 * costs at stage 2 (tests/bench/boot). Who would rather share the host's page cache asks for it; where a device's DMA
 * mapping pins and so copies all pages, where pages with tags must be anonymous, in huge pages and in memory that other
 * processes share it cannot be had.
 */
static int place_images(struct machine *machine)
{
	const struct boot_layout *layout = &machine->layout;
	bool map = machine->config.map_images && !machine->config.vfio_count && !machine->mte &&
		   !machine->config.hugetlbfs && !machine->config.virtio.back_end_count;
	int64_t copied = image_place(&machine->kernel.file, "kernel", &machine->ram, layout->kernel,
				     layout->kernel_size, map);

	if (copied >= 0 && layout->initrd_size)
		copied = image_place(&machine->initrd, "initrd", &machine->ram, layout->initrd,
				     layout->initrd_size, map);
	return copied < 0 ? (int)copied : 0;
}

static void unmap_config(void *opaque)
{
	struct machine *machine = opaque;

	vm_slot_remove(&machine->vm, machine->shadow_slot, MAP_ECAM_BASE);
}

/* The guest reads past the caches: to it, this is a device. */
static void config_changed(void *opaque, const void *at, size_t size)
{
	(void)opaque;
	cache_clean(at, size);
}

static const struct pci_shadow_ops shadow_ops = { .changed = config_changed, .end = unmap_config };

/* Reads of configuration space do not exit, where none has an effect: a guest's enumeration makes hundreds. */
static int map_config(struct machine *machine)
{
	const void *shadow = NULL;

	if (kvm_check(machine->vm.fd, KVM_CAP_READONLY_MEM) > 0)
		shadow = pci_bus_shadow(&machine->pci, &shadow_ops, machine);
	machine->shadow_slot = -1;
	if (shadow)
		machine->shadow_slot = vm_slot_add(&machine->vm, MAP_ECAM_BASE, PCI_SHADOW_SIZE,
						   (void *)(uintptr_t)shadow, KVM_MEM_READONLY);
	return shadow && machine->shadow_slot < 0 ? machine->shadow_slot : 0;
}

static int connect_devices(struct machine *machine)
{
	int err;

	for (unsigned n = 0; n < MAP_UARTS; n++)
		uart_reset(&machine->uarts[n], &machine->gic.base);
	if (machine->config.flash) {
		err = flash_attach(&machine->flash, &machine->vm);
		if (err)
			return err;
	}
	err = pci_bus_assign(&machine->pci);
	if (err)
		return err;
	err = virtio_attach(machine->virtio, &machine->vm, &machine->routes, &machine->gic.base);
	machine->attached = !err;
	if (!err && machine->vfio)
		err = vfio_attach(machine->vfio, &machine->vm, &machine->routes,
				  &machine->gic.base);
	return err ? err : map_config(machine);
}

int machine_boot(struct machine *machine)
{
	int err = 0;

	if (machine->vm.fd < 0)
		err = vm_create(&machine->vm, &machine->host, machine->ipa_bits);
	if (!err)
		err = enable_mte(machine);
	if (!err)
		err = map_memory(machine);
	if (!err)
		err = make_vcpus(machine);
	if (!err)
		err = gic_create(&machine->gic, &machine->vm, &machine->mmio, machine->irqchip,
				 machine->config.cpus, machine->lines);
	if (!err)
		err = irq_routes_create(&machine->routes, &machine->gic.base, machine->lines);
	if (!err)
		err = connect_devices(machine);
	if (!err)
		err = place_images(machine);
	if (!err)
		err = make_fdt(machine);
	if (!err)
		err = finish_vcpus(machine);
	return err;
}

void machine_unboot(struct machine *machine)
{
	pci_bus_end_shadow(&machine->pci);
	if (machine->attached && machine->vfio)
		vfio_detach(machine->vfio);
	if (machine->attached)
		virtio_detach(machine->virtio);
	machine->attached = false;
	if (machine->config.flash)
		flash_detach(&machine->flash);
	irq_routes_destroy(&machine->routes);
	gic_destroy(&machine->gic);
	for (unsigned i = 0; machine->vcpus && i < machine->config.cpus; i++)
		vcpu_destroy(&machine->vcpus[i]);
	free(machine->vcpus);
	machine->vcpus = NULL;
	vm_destroy(&machine->vm);
}

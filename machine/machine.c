// SPDX-License-Identifier: GPL-2.0-only
/* A machine from its creation to its end: one sequence up, the same in reverse down. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "machine.h"

/* Every file that the guest starts from, and where in RAM each goes. */
static int open_images(struct machine *machine)
{
	const struct machine_config *config = &machine->config;
	int err;

	if (config->firmware)
		err = firmware_image_open(&machine->kernel, config->firmware, config->ram_size);
	else
		err = kernel_image_open(&machine->kernel, config->kernel, config->features.aarch32,
					config->ram_size);
	if (!err && config->initrd)
		err = image_file_open(&machine->initrd, config->initrd, "initrd", config->ram_size);
	if (err)
		return err;
	return boot_layout_choose(&machine->layout, &machine->kernel, machine->initrd.size,
				  config->ram_base, config->ram_size, config->firmware_address);
}

/* The devices come before RAM: what is wrong with one is said before memory is pinned for it. */
static int make_memory(struct machine *machine)
{
	const struct machine_config *config = &machine->config;
	struct guest_mem_config ram = {
		.base = config->ram_base,
		.size = config->ram_size,
		.hugetlbfs = config->hugetlbfs,
		.shared = config->virtio.back_end_count,
	};
	int err = 0;

	if (config->vfio_count)
		err = vfio_create(&machine->vfio, config->vfio, config->vfio_count, &machine->loop);
	if (!err)
		err = virtio_create(&machine->virtio, &machine->config.virtio, &machine->loop,
				    &machine->ram);
	if (!err)
		err = guest_mem_create(&machine->ram, &ram);
	if (!err && machine->vfio) {
		vfio_want_doorbell(machine->vfio, &config->msi_doorbell,
				   gic_msi_doorbell_of(machine->irqchip, config->cpus));
		err = vfio_map_ram(machine->vfio, &machine->ram);
	}
	if (err || !machine->features.pvtime)
		return err;
	machine->pvtime = mmap(NULL, MAP_PVTIME_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (machine->pvtime == MAP_FAILED) {
		machine->pvtime = NULL;
		return report(-errno, "cannot reserve memory for steal time");
	}
	return 0;
}

/* Virtio devices come first on the bus, but not where a passed-through one is wanted. */
static void speak_for_slots(struct machine *machine)
{
	for (size_t i = 0; i < machine->config.vfio_count; i++)
		if (machine->config.vfio[i].guest_devfn >= 0)
			machine->pci.spoken_for |= 1u << (machine->config.vfio[i].guest_devfn >> 3);
}

static int assign_lines(struct machine *machine)
{
	uint32_t first = SPI_DEVICE_BASE;
	int lines;

	first += virtio_assign_lines(machine->virtio, first);
	if (first > SPI_LIMIT)
		return refuse(-ENOSPC, "%u virtio devices are more than there are wired interrupts",
			      first - SPI_DEVICE_BASE);
	lines = pci_bus_assign_lines(&machine->pci, first, SPI_LIMIT);
	if (lines < 0)
		return lines;
	machine->lines = first + (uint32_t)lines;
	return 0;
}

static int make_buses(struct machine *machine)
{
	uint64_t ram_end = machine->config.ram_base + machine->config.ram_size;
	uint64_t mem64 = (ram_end + SZ_4G - 1) & ~(SZ_4G - 1);
	uint64_t end = 1ULL << machine->ipa_bits;
	struct pci_layout layout = {
		.ecam = { MAP_ECAM_BASE, MAP_ECAM_SIZE },
		.io = { MAP_PCI_IO_BASE, MAP_PCI_IO_SIZE },
		.mem32 = { MAP_PCI_MEM_BASE, MAP_PCI_MEM_SIZE },
		.mem64 = { mem64, end > mem64 ? end - mem64 : 0 },
	};
	int err = pci_bus_create(&machine->pci, &machine->mmio, &layout);

	if (err)
		return err;
	speak_for_slots(machine);
	err = virtio_add_to_bus(machine->virtio, &machine->pci, &machine->mmio);
	if (!err && machine->vfio)
		err = vfio_add_to_bus(machine->vfio, &machine->pci);
	if (!err)
		err = virtio_add_unasked_to_bus(machine->virtio, &machine->pci, &machine->mmio);
	if (!err && machine->vfio && machine->config.irq_report)
		err = vfio_irq_report_prepare(machine->vfio);
	return err ? err : assign_lines(machine);
}

static int make_uarts(struct machine *machine)
{
	static const char *const names[MAP_UARTS] = { "UART 0", "UART 1", "UART 2", "UART 3" };
	int err = 0;

	for (unsigned n = 0; n < MAP_UARTS && !err; n++) {
		struct uart_config config = {
			.base = MAP_UART_BASE + n * MAP_UART_STRIDE,
			.spi = SPI_UART_BASE + n,
			.in_fd = machine->consoles[n].in_fd,
			.out_fd = machine->consoles[n].out_fd,
			.escape = machine->consoles[n].in_fd == 0,
			.name = names[n],
		};

		err = uart_create(&machine->uarts[n], &config, &machine->mmio, &machine->gic.base,
				  &machine->loop);
	}
	return err;
}

static int make_board(struct machine *machine)
{
	int err = make_uarts(machine);

	if (!err)
		err = rtc_create(&machine->rtc, &machine->mmio);
	if (!err)
		err = pvpanic_create(&machine->pvpanic, &machine->mmio, &machine->loop);
	if (!err && machine->config.flash)
		err = flash_create(&machine->flash, machine->config.flash, &machine->mmio);
	return err;
}

/* A report that nobody could read at the end had better not be asked for. */
static int check_report(const char *path)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666) : -1;

	if (path && fd < 0)
		return report(-errno, "cannot write the report on interrupts to %s", path);
	if (fd >= 0)
		close(fd);
	return 0;
}

int machine_create(struct machine **machine, const struct machine_config *config)
{
	struct machine *new = calloc(1, sizeof(*new));
	int err;

	if (!new)
		return report(-ENOMEM, "cannot create a machine");
	new->config = *config;
	new->config.virtio.assigned = config->vfio_count;
	new->host.fd = new->vm.fd = new->loop.epoll_fd = new->loop.wake.fd = -1;
	new->kernel.file.fd = new->initrd.fd = -1;
	for (unsigned n = 0; n < CONSOLES; n++)
		new->consoles[n] = (struct console){ .in_fd = -1, .out_fd = -1, .slave_fd = -1 };
	err = machine_check_host(new);
	if (!err)
		err = check_report(config->irq_report);
	if (!err)
		err = open_images(new);
	if (!err)
		err = loop_create(&new->loop);
	if (!err)
		err = mmio_bus_create(&new->mmio);
	if (!err)
		err = consoles_open(new);
	if (!err)
		err = make_memory(new);
	if (!err)
		err = make_buses(new);
	if (!err)
		err = make_board(new);
	if (!err)
		err = vcpu_signal_setup();
	if (err) {
		machine_destroy(new);
		return err;
	}
	*machine = new;
	return 0;
}

void machine_destroy(struct machine *machine)
{
	machine_unboot(machine);
	flash_destroy(&machine->flash);
	pvpanic_destroy(&machine->pvpanic);
	rtc_destroy(&machine->rtc);
	for (unsigned n = 0; n < MAP_UARTS; n++)
		uart_destroy(&machine->uarts[n]);
	pci_bus_destroy(&machine->pci);
	virtio_destroy(machine->virtio);
	consoles_close(machine);
	vfio_destroy(machine->vfio);
	if (machine->pvtime)
		munmap(machine->pvtime, MAP_PVTIME_SIZE);
	guest_mem_destroy(&machine->ram);
	mmio_bus_destroy(&machine->mmio);
	/* Only now may a second signal kill us: the terminal is as it was, the devices are released. */
	lifetime_destroy(&machine->lifetime);
	loop_destroy(&machine->loop);
	image_file_close(&machine->initrd);
	kernel_image_close(&machine->kernel);
	kvm_host_close(&machine->host);
	free(machine);
}

static int start_vcpus(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.cpus; i++) {
		int err = vcpu_start(&machine->vcpus[i]);

		if (err)
			return err;
	}
	return 0;
}

static void stop_vcpus(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.cpus; i++)
		vcpu_request_stop(&machine->vcpus[i]);
	for (unsigned i = 0; i < machine->config.cpus; i++)
		vcpu_join(&machine->vcpus[i]);
}

static int run_once(struct machine *machine)
{
	int end = machine_boot(machine);

	if (!end) {
		end = start_vcpus(machine);
		if (!end)
			end = loop_run(&machine->loop);
		stop_vcpus(machine);
		if (end >= 0) /* what a vCPU met until it stopped counts, too */
			end = loop_ended(&machine->loop);
	}
	if (machine->config.irq_report && end >= 0) {
		int err = vfio_irq_report(machine->vfio, machine->config.irq_report);

		end = err ? err : end;
	}
	machine_unboot(machine);
	return end;
}

/* A report that cannot be written has been complained about; the guest goes on. */
static void report_irqs(struct lifetime *lifetime)
{
	struct machine *machine =
		(struct machine *)((char *)lifetime - offsetof(struct machine, lifetime));

	vfio_irq_report(machine->vfio, machine->config.irq_report);
}

int machine_run(struct machine *machine)
{
	int end = lifetime_create(&machine->lifetime, &machine->loop, machine->config.timeout,
				  machine->config.irq_report ? report_irqs : NULL);

	if (end)
		return end;
	consoles_raw(machine);
	for (;;) {
		end = run_once(machine);
		if (end != RUN_RESET || !machine->config.restart_on_reset)
			return end;
		loop_rewind(&machine->loop);
	}
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* Every part of a machine, and what the files of this folder do with them. */
#ifndef MACHINE_PRIVATE_H
#define MACHINE_PRIVATE_H

#include <signal.h>
#include <termios.h>
#include <lkvm/flash.h>
#include <lkvm/gic.h>
#include <lkvm/guest_mem.h>
#include <lkvm/image.h>
#include <lkvm/loop.h>
#include <lkvm/machine.h>
#include <lkvm/mmio.h>
#include <lkvm/pci.h>
#include <lkvm/pvpanic.h>
#include <lkvm/rtc.h>
#include <lkvm/uart.h>
#include <lkvm/vcpu.h>
#include <lkvm/vfio.h>
#include <lkvm/virtio.h>
#include <lkvm/vm.h>

/* Where a console's bytes come from and go to. */
struct console {
	int in_fd, out_fd;
	bool close_in, close_out; /* ours */
	int slave_fd;             /* a pty's other end, kept open; -1: none */
	bool raw;                 /* saved holds what the terminal was */
	struct termios saved;
};

#define CONSOLES (MAP_UARTS + VIRTIO_CONSOLE_PORTS)

/* Signals and the time limit, as events of the loop. */
struct lifetime {
	struct loop *loop;
	struct loop_source signals, timer;
	sigset_t old_mask;
	bool masked;
	struct sigaction old_pipe, old_fsize; /* of SIGPIPE, SIGXFSZ: errors of a write, no more */
	void (*usr1)(struct lifetime *lifetime);
};

struct machine {
	struct machine_config config; /* with the defaults filled in */

	/* The host's side: made once. */
	struct kvm_host host;
	unsigned ipa_bits;
	struct vcpu_features features;
	enum irqchip irqchip;
	bool mte;
	struct kernel_image kernel;
	struct image_file initrd;
	struct boot_layout layout;
	struct loop loop;
	struct console
		consoles[CONSOLES]; /* the UARTs', then those of the virtio console's ports */
	struct virtio_terminal_config terminal;
	struct lifetime lifetime;
	struct guest_mem ram;
	void *pvtime; /* MAP_PVTIME_SIZE bytes, or NULL */
	struct mmio_bus mmio;
	struct pci_bus pci;
	struct virtio *virtio;
	struct vfio *vfio;
	struct uart uarts[MAP_UARTS];
	struct rtc rtc;
	struct pvpanic pvpanic;
	struct flash flash;
	uint32_t lines; /* wired interrupts in use */
	uint64_t kaslr_seed;

	/* The VM: made anew for every start of the guest. */
	struct vm vm;
	struct vcpu *vcpus;
	struct gic gic;
	struct irq_routes routes;
	bool attached;   /* devices know this VM */
	int shadow_slot; /* configuration space for reading */
};

/* host.c: what this host can do, and where the guest's address space ends; creates the first VM to ask it. */
int machine_check_host(struct machine *machine);

/* boot.c: a VM with everything in its reset state, ready to start; and its end. unboot accepts a half-made VM. */
int machine_boot(struct machine *machine);
void machine_unboot(struct machine *machine);

/* console.c: opens what the configuration names, prints the pty's name, fills in config.virtio.terminal; raw puts a terminal on stdin into raw mode. */
int consoles_open(struct machine *machine);
void consoles_raw(struct machine *machine);
void consoles_close(struct machine *machine);

/*
 * lifetime.c: SIGTERM, SIGINT, SIGHUP and the time limit end the run; SIGPIPE is ignored until destroyed. usr1: what SIGUSR1
 * does; NULL: what it did before.
 */
int lifetime_create(struct lifetime *lifetime, struct loop *loop, unsigned timeout,
		    void (*usr1)(struct lifetime *lifetime));
void lifetime_destroy(struct lifetime *lifetime);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtual machine as its user asks for it, and its life. */
#ifndef LKVM_MACHINE_H
#define LKVM_MACHINE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lkvm/gic.h>
#include <lkvm/memory_map.h>
#include <lkvm/run_end.h>
#include <lkvm/vcpu.h>
#include <lkvm/vfio.h>
#include <lkvm/virtio.h>

/* On which of the host's CPUs a vCPU's thread may run. */
struct vcpu_affinity {
	int vcpu; /* -1: all those that no other entry names */
	cpu_set_t cpus;
};

/* A port of the virtio console, beside the console itself: what it is connected to is "fd:N", a file, or nothing (NULL). */
struct machine_port {
	const char *name, *in, *out;
};

/* All strings and arrays stay the caller's and outlive the machine. */
struct machine_config {
	const char *kernel; /* or firmware: exactly one */
	const char *firmware;
	uint64_t firmware_address;  /* 0: the start of RAM */
	const char *initrd, *flash; /* NULL: none */
	bool map_images;    /* map kernel and initrd instead of reading them, where RAM allows it */
	const char *params; /* kernel command line, or NULL */
	bool nodefaults;    /* params verbatim */
	const char *dump_dtb;        /* file for the FDT, or NULL */
	unsigned cpus;               /* 0: as many as the host has online */
	uint64_t ram_base, ram_size; /* bytes; size 0: 64 MiB * (cpus + 3) */
	const char *hugetlbfs;
	enum irqchip irqchip;
	struct vcpu_features features; /* wanted */
	bool disable_mte;
	const struct vcpu_affinity *affinity;
	size_t affinity_count;
	bool kaslr_seed_given;
	uint64_t kaslr_seed;
	const char *console_in, *console_out; /* "fd:N" or a file; NULL: stdin, stdout */
	bool console_virtio;                  /* the console is a virtio device, not UART 0 */
	struct machine_port ports[VIRTIO_CONSOLE_PORTS - 1];
	unsigned port_count;
	bool tty[MAP_UARTS]; /* UART n on a pty of its own */
	bool restart_on_reset;
	unsigned timeout; /* seconds; 0: none */
	const struct vfio_device_config *vfio;
	size_t vfio_count;
	const char *irq_report; /* file for vfio_irq_report() at the end and on SIGUSR1, or NULL */
	struct vfio_doorbell_choice msi_doorbell; /* of devices whose configuration does not say */
	struct virtio_config virtio;              /* `assigned` is the machine's to say */
};

/* What a kernel's command line begins with; then a space and `params`. NULL: it begins with these. */
static inline const char *machine_console_params(const struct machine_config *config)
{
	if (config->nodefaults || config->firmware)
		return NULL;
	return config->console_virtio ? "console=hvc0" : "console=ttyS0";
}

struct machine;

/*
 * Builds the machine: the host's limits first, then files, devices and RAM. Nothing of the guest has run when it returns.
 * Reported; a failure leaves nothing behind.
 */
int machine_create(struct machine **machine, const struct machine_config *config);
void machine_destroy(struct machine *machine);

/*
 * Runs the guest to its end, restarting it where the configuration asks for that. Returns enum run_end (RUN_SIGNAL + n for
 * signal n) or -errno, reported. Once a machine.
 */
int machine_run(struct machine *machine);

#endif

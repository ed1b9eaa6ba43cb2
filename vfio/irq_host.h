/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host tells about interrupts that it passes on to a guest: /proc/interrupts, its kernel's log and command line,
 * debugfs. Each may be unreadable or not tell: then so is said.
 */
#ifndef VFIO_IRQ_HOST_H
#define VFIO_IRQ_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include "sysfs.h"

/* Which interrupt of the host a vector is, and how often that was taken. */
struct host_irq {
	int number; /* -1: none */
	uint64_t count;
};

/*
 * Calls seen() for each interrupt that vfio-pci has requested for the function: kind is "msix", "msi" or "intx", vector 0
 * for the last. -errno where /proc/interrupts cannot be read.
 */
int host_irqs_read(const struct vfio_host *host, const char *bdf,
		   void (*seen)(void *ctx, const char *kind, unsigned vector,
				const struct host_irq *irq),
		   void *ctx);

enum host_answer { HOST_UNKNOWN, HOST_NO, HOST_YES, HOST_PARTLY };

/* Whether the hardware delivers this interrupt to a guest (the irqdomains' debugfs, which few kernels have). */
enum host_answer host_irq_forwarded(const struct vfio_host *host, int number);

/* Whether it delivers the LPIs that a VM has enabled: all, none, or some (KVM's debugfs); vm_fd: in this process. */
enum host_answer host_lpis_forwarded(const struct vfio_host *host, int vm_fd);

/* Whether this host can deliver a guest's MSIs without a CPU of its own (GICv4), and why not. */
struct host_gicv4 {
	enum host_answer possible;
	const char *why; /* HOST_NO */
};

void host_gicv4_read(struct host_gicv4 *gicv4, const struct vfio_host *host);

/*
 * Why KVM and VFIO last failed to agree on direct delivery for the function, since `since` (seconds of CLOCK_MONOTONIC);
 * NULL: the log does not tell of any.
 */
const char *host_bypass_failure(const struct vfio_host *host, const char *bdf, uint64_t since);

#endif

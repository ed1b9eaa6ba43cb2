/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way of a device's interrupts, as far as the host lets it be seen. What is in force is looked at when the report is
 * written, and when the guest takes a vector away: a guest that powers off has taken all away before lkvm sees its end.
 */
#ifndef VFIO_IRQ_REPORT_H
#define VFIO_IRQ_REPORT_H

#include "container.h"
#include "irq_host.h"

/* Of one vector, or of INTx, when it was last in force. */
struct vfio_irq_row {
	enum vfio_irq_mode mode; /* VFIO_IRQ_NONE: never was since the guest started */
	uint64_t address;
	uint32_t data;
	uint64_t iova, phys; /* of the doorbell; phys 0: the kernel does not tell */
	struct host_irq host;
	enum host_answer direct;
};

/* Before a vector is taken off KVM (function.lock held): notes what is in force; at most ten times a second. */
void vfio_irq_note(struct vfio_device *dev);
/* The same at any time. */
void vfio_irq_note_now(struct vfio_device *dev);
/* The guest starts anew. */
void vfio_irq_forget(struct vfio_device *dev);

/* The report as JSON; vfio NULL: no device. Takes the devices' locks, one after the other. */
void vfio_irq_report_write(struct vfio *vfio, FILE *out);

/* Prints such a report as a table. -EINVAL: it is none, reported with name and line. */
int vfio_irq_table(FILE *in, const char *name, FILE *out);

#endif

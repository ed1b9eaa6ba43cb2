// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "doorbell.h"
#include "irq.h"
#include "irq_report.h"
#include "json.h"

#define NOTE_INTERVAL 100 /* ms */

static const char *const mode_names[] = {
	[VFIO_IRQ_NONE] = NULL,
	[VFIO_IRQ_INTX] = "intx",
	[VFIO_IRQ_MSI] = "msi",
	[VFIO_IRQ_MSIX] = "msix",
};

/* One for each vector, then INTx's: a guest that gives up MSIs falls back to that. */
static unsigned rows_of(const struct vfio_device *dev)
{
	return dev->irq.vectors_count + 1;
}

static unsigned intx_row(const struct vfio_device *dev)
{
	return dev->irq.vectors_count;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- noting what is in force --- */

static bool row_armed(const struct vfio_device *dev, unsigned row)
{
	const struct vfio_irq *irq = &dev->irq;

	if (irq->mode == VFIO_IRQ_INTX)
		return row == intx_row(dev) && irq->intx_trigger >= 0;
	return (irq->mode == VFIO_IRQ_MSI || irq->mode == VFIO_IRQ_MSIX) &&
	       row < irq->vectors_count && irq->vectors[row].armed;
}

static bool row_attached(const struct vfio_device *dev, unsigned row)
{
	return row_armed(dev, row) && dev->irq.mode != VFIO_IRQ_INTX &&
	       dev->irq.vectors[row].attached;
}

static void note_host_irq(void *ctx, const char *kind, unsigned vector, const struct host_irq *irq)
{
	struct vfio_device *dev = ctx;
	unsigned row = !strcmp(kind, "intx") ? intx_row(dev) : vector;

	if (row < rows_of(dev) && row_armed(dev, row) && !strcmp(kind, mode_names[dev->irq.mode]))
		dev->irq_rows[row].host = *irq;
}

static void note_message(struct vfio_device *dev, unsigned row,
			 const struct vfio_device_feature_msi_doorbell *doorbell)
{
	struct vfio_irq_row *noted = &dev->irq_rows[row];

	*noted = (struct vfio_irq_row){
		.mode = dev->irq.mode,
		.iova = doorbell->iova + doorbell->offset,
		.phys = doorbell->phys + doorbell->offset,
		.host.number = -1,
		.direct = noted->direct,
	};
	if (noted->mode == VFIO_IRQ_MSIX)
		pci_msix_table_message(&dev->irq.msix, row, &noted->address, &noted->data);
	else if (noted->mode == VFIO_IRQ_MSI)
		vfio_msi_message(dev, row, &noted->address, &noted->data);
}

void vfio_irq_note_now(struct vfio_device *dev)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	enum host_answer lpis;

	if (!dev->irq_rows || !dev->vm || dev->irq.mode == VFIO_IRQ_NONE)
		return;
	lpis = host_lpis_forwarded(dev->vfio->host, dev->vm->fd);
	vfio_doorbell_get(dev, &doorbell);
	for (unsigned i = 0; i < rows_of(dev); i++)
		if (row_armed(dev, i))
			note_message(dev, i, &doorbell);
	host_irqs_read(dev->vfio->host, dev->config.bdf, note_host_irq, dev);
	for (unsigned i = 0; i < rows_of(dev); i++) {
		struct vfio_irq_row *row = &dev->irq_rows[i];
		enum host_answer one;

		if (!row_attached(dev, i))
			continue;
		one = host_irq_forwarded(dev->vfio->host, row->host.number);
		row->direct = one != HOST_UNKNOWN ? one : lpis;
	}
	dev->irq_noted_ms = now_ms();
}

void vfio_irq_note(struct vfio_device *dev)
{
	if (dev->irq_rows && now_ms() - dev->irq_noted_ms >= NOTE_INTERVAL)
		vfio_irq_note_now(dev);
}

void vfio_irq_forget(struct vfio_device *dev)
{
	dev->irq_noted_ms = 0;
	for (unsigned i = 0; dev->irq_rows && i < rows_of(dev); i++)
		dev->irq_rows[i] = (struct vfio_irq_row){ .host.number = -1 };
}

int vfio_irq_report_prepare(struct vfio *vfio)
{
	vfio->irq_report_since = now_ms() / 1000;
	for (size_t i = 0; i < vfio->count; i++) {
		struct vfio_device *dev = &vfio->devices[i];

		dev->irq_rows = calloc(rows_of(dev), sizeof(*dev->irq_rows));
		if (!dev->irq_rows)
			return report(-ENOMEM, "cannot keep track of the interrupts of %s",
				      dev->config.bdf);
		vfio_irq_forget(dev);
	}
	return 0;
}

/* --- writing --- */

/* How a vector's interrupts reached the guest, and why not directly. */
struct delivery {
	const char *name, *why;
};

static struct delivery delivery_of(const struct vfio_device *dev, const struct vfio_irq_row *row,
				   const struct host_gicv4 *gicv4)
{
	const struct vfio *vfio = dev->vfio;
	struct delivery irqfd = { "irqfd", "unknown" };
	uint64_t page = row->address & ~0xffffULL;

	if (row->mode == VFIO_IRQ_NONE)
		return (struct delivery){ "not armed", NULL };
	if (row->mode == VFIO_IRQ_INTX)
		return (struct delivery){ "irqfd", "INTx is never delivered directly" };
	if (row->direct == HOST_YES)
		return (struct delivery){ "direct", NULL };
	if (row->direct != HOST_NO && gicv4->possible != HOST_NO && !row->host.count)
		return (struct delivery){ "unknown", "the host does not tell" };
	if (gicv4->possible == HOST_NO)
		irqfd.why = gicv4->why;
	else if (vfio->guest_doorbell && page != vfio->guest_doorbell)
		irqfd.why = "the guest's message does not go to its ITS";
	else
		irqfd.why =
			host_bypass_failure(vfio->host, dev->config.bdf, vfio->irq_report_since);
	if (!irqfd.why)
		irqfd.why = "unknown";
	return irqfd;
}

static void number_or_null(struct json *json, const char *key, bool known, uint64_t value)
{
	if (known)
		json_number(json, key, value);
	else
		json_string(json, key, NULL);
}

static void hex_or_null(struct json *json, const char *key, bool known, uint64_t value)
{
	if (known)
		json_hex(json, key, value);
	else
		json_string(json, key, NULL);
}

/* irq_table.c reads these, in this order. */
static void write_row(struct json *json, const struct vfio_device *dev, unsigned at,
		      const struct host_gicv4 *gicv4)
{
	static const char *const by[] = { [VFIO_DOORBELL_AUTO] = "guest",
					  [VFIO_DOORBELL_KERNEL] = "kernel",
					  [VFIO_DOORBELL_GIVEN] = "given" };
	const struct vfio_irq_row *row = &dev->irq_rows[at];
	struct delivery delivery = delivery_of(dev, row, gicv4);
	bool msi = row->mode == VFIO_IRQ_MSI || row->mode == VFIO_IRQ_MSIX;
	bool known = msi && row->phys;

	json_open(json, NULL, '{');
	json_string(json, "device", dev->config.bdf);
	json_string(json, "interrupt", mode_names[row->mode]);
	json_number(json, "vector", at == intx_row(dev) ? 0 : at);
	hex_or_null(json, "address", msi, row->address);
	number_or_null(json, "event", msi, row->data);
	number_or_null(json, "gsi", msi, dev->irq.first_gsi + at);
	json_number(json, "devid", dev->function.devfn);
	hex_or_null(json, "doorbell_iova", known, row->iova);
	json_string(json, "doorbell_by", msi ? by[dev->doorbell.chosen] : NULL);
	hex_or_null(json, "doorbell_phys", known, row->phys);
	number_or_null(json, "host_irq", row->host.number >= 0, (uint64_t)row->host.number);
	number_or_null(json, "host_count", row->host.number >= 0, row->host.count);
	json_bool(json, "armed", row_armed(dev, at));
	json_string(json, "delivery", delivery.name);
	json_string(json, "why_not_direct", delivery.why);
	json_close(json, '}');
}

static void write_device(struct json *json, struct vfio_device *dev, const struct host_gicv4 *gicv4)
{
	pthread_mutex_lock(&dev->function.lock);
	vfio_irq_note_now(dev);
	for (unsigned i = 0; dev->irq_rows && i < rows_of(dev); i++)
		if (i != intx_row(dev) || !i || dev->irq_rows[i].mode != VFIO_IRQ_NONE)
			write_row(json, dev, i, gicv4);
	pthread_mutex_unlock(&dev->function.lock);
}

void vfio_irq_report_write(struct vfio *vfio, FILE *out)
{
	static const char *const answers[] = {
		[HOST_UNKNOWN] = "unknown", [HOST_NO] = "no", [HOST_YES] = "yes"
	};
	struct host_gicv4 gicv4 = { 0 };
	struct json json = { .out = out };

	if (vfio)
		host_gicv4_read(&gicv4, vfio->host);
	json_open(&json, NULL, '{');
	json_number(&json, "lkvm_irq_report", 1);
	hex_or_null(&json, "guest_doorbell", vfio && vfio->guest_doorbell,
		    vfio ? vfio->guest_doorbell : 0);
	json_string(&json, "direct_delivery", answers[gicv4.possible]);
	json_string(&json, "why_not", gicv4.why);
	json_open(&json, "vectors", '[');
	for (size_t i = 0; vfio && i < vfio->count; i++)
		write_device(&json, &vfio->devices[i], &gicv4);
	json_close(&json, ']');
	json_close(&json, '}');
}

/* In one write, so that who reads meanwhile has the old one, nothing, or the new one. */
int vfio_irq_report(struct vfio *vfio, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), err = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *memory;
	ssize_t done;

	if (fd < 0)
		return report(-errno, "cannot write the report on interrupts to %s", path);
	memory = open_memstream(&text, &size);
	if (memory)
		vfio_irq_report_write(vfio, memory);
	if (!memory || fclose(memory) != 0)
		err = -ENOMEM;
	done = err ? 0 : write(fd, text, size);
	if (done < 0)
		err = -errno;
	else if (!err && (size_t)done != size)
		err = -ENOSPC;
	close(fd);
	free(text);
	return err ? report(err, "cannot write the report on interrupts to %s", path) : 0;
}

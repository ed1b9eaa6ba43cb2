// SPDX-License-Identifier: GPL-2.0-only
/* Lines, routes and irqfds of the in-kernel GIC. */
#include <assert.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>
#include "gic.h"

#define SPI_FIRST 32

static struct gic *gic_of(struct irq_controller *controller)
{
	return (struct gic *)controller;
}

static int gic_set_level(struct irq_controller *controller, uint32_t line, bool level)
{
	struct kvm_irq_level irq = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (line + SPI_FIRST),
		.level = level,
	};

	return kvm_try(gic_of(controller)->vm->fd, KVM_IRQ_LINE, &irq);
}

/* One of ours as KVM writes it; false for an MSI that leads nowhere, which KVM need not know. */
static bool translate(const struct gic *gic, uint32_t gsi, const struct irq_route *route,
		      struct kvm_irq_routing_entry *entry)
{
	int line = (int)route->line;

	*entry = (struct kvm_irq_routing_entry){ .gsi = gsi };
	if (route->type == IRQ_ROUTE_NONE)
		return false;
	if (route->type == IRQ_ROUTE_MSI && gic->kind == IRQCHIP_GICV3_ITS) {
		entry->type = KVM_IRQ_ROUTING_MSI;
		entry->flags = KVM_MSI_VALID_DEVID;
		entry->u.msi.address_lo = (uint32_t)route->address;
		entry->u.msi.address_hi = (uint32_t)(route->address >> 32);
		entry->u.msi.data = route->data;
		entry->u.msi.devid = route->devid;
		return true;
	}
	if (route->type == IRQ_ROUTE_MSI)
		line = gicv2m_line(gic, route->address, route->data);
	entry->type = KVM_IRQ_ROUTING_IRQCHIP;
	entry->u.irqchip.pin = (uint32_t)line;
	return line >= 0;
}

static int gic_set_routes(struct irq_controller *controller, const struct irq_route *routes,
			  size_t count)
{
	const struct gic *gic = gic_of(controller);
	struct kvm_irq_routing *table;
	int err;

	table = calloc(1, sizeof(*table) + count * sizeof(table->entries[0]));
	if (!table)
		return report(-ENOMEM, "cannot build the interrupt routing table");
	for (size_t gsi = 0; gsi < count; gsi++)
		if (translate(gic, (uint32_t)gsi, &routes[gsi], &table->entries[table->nr]))
			table->nr++;
	err = kvm_ioctl(gic->vm->fd, KVM_SET_GSI_ROUTING, table);
	free(table);
	return err;
}

static int gic_attach(struct irq_controller *controller, uint32_t gsi, int trigger_fd,
		      int resample_fd)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)trigger_fd, .gsi = gsi };

	if (resample_fd >= 0) {
		irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = (uint32_t)resample_fd;
	}
	return kvm_ioctl(gic_of(controller)->vm->fd, KVM_IRQFD, &irqfd);
}

static int gic_detach(struct irq_controller *controller, uint32_t gsi, int trigger_fd)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)trigger_fd,
				   .gsi = gsi,
				   .flags = KVM_IRQFD_FLAG_DEASSIGN };

	return kvm_try(gic_of(controller)->vm->fd, KVM_IRQFD, &irqfd);
}

const struct irq_controller_class gic_class = {
	.set_level = gic_set_level,
	.set_routes = gic_set_routes,
	.attach = gic_attach,
	.detach = gic_detach,
};

static_assert(offsetof(struct gic, base) == 0, "gic_of() casts");

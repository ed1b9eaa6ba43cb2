// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include "fake_irqs.h"

static struct fake_irqs *irqs_of(struct irq_controller *controller)
{
	return (struct fake_irqs *)controller;
}

static void note(struct fake_irqs *irqs, enum fake_irqs_call call, uint32_t gsi)
{
	if (irqs->log_count == FAKE_IRQS_LOG)
		return;
	irqs->log[irqs->log_count].call = call;
	irqs->log[irqs->log_count].gsi = gsi;
	irqs->log[irqs->log_count++].set_irqs = irqs->set_irqs_count ? *irqs->set_irqs_count : 0;
}

static int set_level(struct irq_controller *controller, uint32_t line, bool level)
{
	struct fake_irqs *irqs = irqs_of(controller);

	if (line < sizeof(irqs->level) / sizeof(irqs->level[0]))
		irqs->level[line] = level;
	return 0;
}

static int set_routes(struct irq_controller *controller, const struct irq_route *routes,
		      size_t count)
{
	struct fake_irqs *irqs = irqs_of(controller);

	if (irqs->fail_routes) {
		irqs->failures++;
		return -irqs->fail_routes;
	}
	note(irqs, FAKE_SET_ROUTES, 0);
	irqs->updates++;
	for (uint32_t gsi = 0; gsi < IRQ_GSI_LIMIT; gsi++) {
		struct irq_route route = { .type = IRQ_ROUTE_NONE };

		if (gsi < count)
			route = routes[gsi];
		if (irqs->trigger[gsi] >= 0 && memcmp(&irqs->routes[gsi], &route, sizeof(route)))
			irqs->route_changed_live = true;
		irqs->routes[gsi] = route;
	}
	return 0;
}

static bool readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static int attach(struct irq_controller *controller, uint32_t gsi, int trigger_fd, int resample_fd)
{
	struct fake_irqs *irqs = irqs_of(controller);

	assert(gsi < IRQ_GSI_LIMIT && irqs->trigger[gsi] < 0 && trigger_fd >= 0);
	if (irqs->fail_attach) {
		irqs->failures++;
		return -irqs->fail_attach;
	}
	note(irqs, FAKE_ATTACH, gsi);
	irqs->attaches++;
	irqs->trigger[gsi] = trigger_fd;
	irqs->resample[gsi] = resample_fd;
	/* KVM injects, but leaves the count in the eventfd. */
	if (readable(trigger_fd))
		irqs->injected[gsi]++;
	return 0;
}

static int detach(struct irq_controller *controller, uint32_t gsi, int trigger_fd)
{
	struct fake_irqs *irqs = irqs_of(controller);
	eventfd_t count;

	assert(gsi < IRQ_GSI_LIMIT && irqs->trigger[gsi] == trigger_fd);
	note(irqs, FAKE_DETACH, gsi);
	irqs->detaches++;
	if (readable(trigger_fd))
		assert(eventfd_read(trigger_fd, &count) == 0);
	irqs->trigger[gsi] = -1;
	return 0;
}

static const struct irq_controller_class class = { set_level, set_routes, attach, detach };

void fake_irqs_init(struct fake_irqs *irqs)
{
	memset(irqs, 0, sizeof(*irqs));
	irqs->base.class = &class;
	irqs->base.msi = true;
	memset(irqs->trigger, -1, sizeof(irqs->trigger));
	memset(irqs->resample, -1, sizeof(irqs->resample));
}

void fake_irqs_run(struct fake_irqs *irqs)
{
	eventfd_t count;

	for (uint32_t gsi = 0; gsi < IRQ_GSI_LIMIT; gsi++) {
		if (irqs->trigger[gsi] < 0 || !readable(irqs->trigger[gsi]))
			continue;
		assert(eventfd_read(irqs->trigger[gsi], &count) == 0);
		irqs->injected[gsi]++;
	}
}

unsigned fake_irqs_attached(const struct fake_irqs *irqs)
{
	unsigned count = 0;

	for (uint32_t gsi = 0; gsi < IRQ_GSI_LIMIT; gsi++)
		count += irqs->trigger[gsi] >= 0;
	return count;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <lkvm/irq.h>
#include <lkvm/report.h>

#define TABLE_SIZE (IRQ_GSI_LIMIT * sizeof(struct irq_route))

enum gsi_state { GSI_FREE = 0, GSI_ALLOCATED = 1, GSI_ATTACHED = 2 };

int irq_set_level(struct irq_controller *controller, uint32_t line, bool level)
{
	return controller->class->set_level(controller, line, level);
}

int irq_routes_create(struct irq_routes *routes, struct irq_controller *controller, uint32_t lines)
{
	assert(lines <= IRQ_GSI_MSI_BASE);
	*routes = (struct irq_routes){ .controller = controller, .end = lines };
	/* Most of it is never touched: of a mapping, that takes no memory. */
	routes->table =
		mmap(NULL, TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (routes->table == MAP_FAILED)
		routes->table = NULL;
	routes->state = calloc(IRQ_GSI_LIMIT, sizeof(*routes->state));
	pthread_mutex_init(&routes->lock, NULL);
	if (!routes->table || !routes->state) {
		irq_routes_destroy(routes);
		return report(-ENOMEM, "cannot keep the interrupt routing table");
	}
	for (uint32_t line = 0; line < lines; line++) {
		routes->table[line] = (struct irq_route){ .type = IRQ_ROUTE_LINE, .line = line };
		routes->state[line] = GSI_ALLOCATED;
	}
	return 0;
}

void irq_routes_destroy(struct irq_routes *routes)
{
	if (!routes->controller)
		return;
	if (routes->table)
		munmap(routes->table, TABLE_SIZE);
	free(routes->state);
	pthread_mutex_destroy(&routes->lock);
	*routes = (struct irq_routes){ 0 };
}

/* First GSI of `count` free ones in a row, or IRQ_GSI_LIMIT. */
static uint32_t find_free(const struct irq_routes *routes, unsigned count)
{
	uint32_t run = 0;

	for (uint32_t gsi = IRQ_GSI_MSI_BASE; gsi < IRQ_GSI_LIMIT; gsi++) {
		run = routes->state[gsi] == GSI_FREE ? run + 1 : 0;
		if (run == count)
			return gsi + 1 - count;
	}
	return IRQ_GSI_LIMIT;
}

int irq_routes_alloc(struct irq_routes *routes, unsigned count, uint32_t *gsi)
{
	int err = -ENOSPC;

	assert(count > 0);
	pthread_mutex_lock(&routes->lock);
	*gsi = find_free(routes, count);
	if (*gsi < IRQ_GSI_LIMIT) {
		for (unsigned i = 0; i < count; i++)
			routes->state[*gsi + i] = GSI_ALLOCATED;
		if (routes->end < *gsi + count)
			routes->end = *gsi + count;
		err = 0;
	}
	pthread_mutex_unlock(&routes->lock);
	return err;
}

/* A route that is left in the controller's table does no harm: nothing raises its GSI. It goes with the next update. */
void irq_routes_free(struct irq_routes *routes, uint32_t gsi, unsigned count)
{
	pthread_mutex_lock(&routes->lock);
	for (unsigned i = 0; i < count; i++) {
		assert(routes->state[gsi + i] == GSI_ALLOCATED);
		routes->state[gsi + i] = GSI_FREE;
		routes->table[gsi + i] = (struct irq_route){ .type = IRQ_ROUTE_NONE };
	}
	pthread_mutex_unlock(&routes->lock);
}

static bool leads_to(const struct irq_route *route, uint64_t address, uint32_t data, uint32_t devid)
{
	return route->type == IRQ_ROUTE_MSI && route->address == address && route->data == data &&
	       route->devid == devid;
}

int irq_routes_set_msi(struct irq_routes *routes, uint32_t gsi, uint64_t address, uint32_t data,
		       uint32_t devid)
{
	int err = 0;

	assert(gsi >= IRQ_GSI_MSI_BASE && gsi < IRQ_GSI_LIMIT);
	pthread_mutex_lock(&routes->lock);
	if (!leads_to(&routes->table[gsi], address, data, devid)) {
		if (routes->state[gsi] == GSI_ATTACHED) {
			err = -EBUSY;
		} else {
			routes->table[gsi] = (struct irq_route){ .type = IRQ_ROUTE_MSI,
								 .address = address,
								 .data = data,
								 .devid = devid };
			routes->dirty = true;
		}
	}
	pthread_mutex_unlock(&routes->lock);
	return err;
}

/* Lines lead where they led since the controller was made, so that only pending MSI routes need a new table. */
static int put_in_force(struct irq_routes *routes)
{
	uint32_t count = routes->end;
	int err;

	if (!routes->dirty)
		return 0;
	while (count > 0 && routes->table[count - 1].type == IRQ_ROUTE_NONE)
		count--;
	err = routes->controller->class->set_routes(routes->controller, routes->table, count);
	if (err)
		return err;
	routes->dirty = false;
	routes->updates++;
	return 0;
}

int irq_routes_attach(struct irq_routes *routes, uint32_t gsi, int trigger_fd, int resample_fd)
{
	int err;

	assert(gsi < IRQ_GSI_LIMIT);
	pthread_mutex_lock(&routes->lock);
	assert(routes->state[gsi] == GSI_ALLOCATED);
	err = put_in_force(routes);
	if (!err)
		err = routes->controller->class->attach(routes->controller, gsi, trigger_fd,
							resample_fd);
	if (!err)
		routes->state[gsi] = GSI_ATTACHED;
	pthread_mutex_unlock(&routes->lock);
	return err;
}

void irq_routes_detach(struct irq_routes *routes, uint32_t gsi, int trigger_fd)
{
	assert(gsi < IRQ_GSI_LIMIT);
	pthread_mutex_lock(&routes->lock);
	if (routes->state[gsi] == GSI_ATTACHED) {
		routes->controller->class->detach(routes->controller, gsi, trigger_fd);
		routes->state[gsi] = GSI_ALLOCATED;
	}
	pthread_mutex_unlock(&routes->lock);
}

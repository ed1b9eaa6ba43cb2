// SPDX-License-Identifier: GPL-2.0-only
/* The routing table: changes gathered into one update, and never one under a live interrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/irq.h>

#define LINES    8
#define DOORBELL 0x3fee0040ULL
#define MSIS     (IRQ_GSI_LIMIT - IRQ_GSI_MSI_BASE)

/* A controller that keeps the table it was given, and whom it is attached to. */
static struct probe {
	struct irq_controller base;
	struct irq_route table[IRQ_GSI_LIMIT];
	size_t count;
	unsigned updates, attaches, detaches;
	int fd[IRQ_GSI_LIMIT], resample_fd; /* fd 0: not attached */
	int update_fails, attach_fails;     /* -errno of the next one */
} controller;

static struct irq_routes routes;

static int probe_set_routes(struct irq_controller *base, const struct irq_route *table,
			    size_t count)
{
	struct probe *probe = (struct probe *)base;
	int err = probe->update_fails;

	probe->update_fails = 0;
	if (err)
		return err;
	for (uint32_t gsi = 0; gsi < IRQ_GSI_LIMIT; gsi++) {
		struct irq_route route = gsi < count ? table[gsi] : (struct irq_route){ 0 };

		if (probe->fd[gsi])
			assert_memory_equal(&route, &probe->table[gsi], sizeof(route));
		probe->table[gsi] = route;
	}
	probe->count = count;
	probe->updates++;
	return 0;
}

static int probe_attach(struct irq_controller *base, uint32_t gsi, int fd, int resample_fd)
{
	struct probe *probe = (struct probe *)base;
	int err = probe->attach_fails;

	probe->attach_fails = 0;
	if (err)
		return err;
	assert_int_equal(probe->fd[gsi], 0);
	probe->fd[gsi] = fd;
	probe->resample_fd = resample_fd;
	probe->attaches++;
	return 0;
}

static int probe_detach(struct irq_controller *base, uint32_t gsi, int fd)
{
	struct probe *probe = (struct probe *)base;

	assert_int_equal(probe->fd[gsi], fd);
	probe->fd[gsi] = 0;
	probe->detaches++;
	return 0;
}

static const struct irq_controller_class probe_class = {
	.set_routes = probe_set_routes,
	.attach = probe_attach,
	.detach = probe_detach,
};

static int setup(void **state)
{
	(void)state;
	memset(&controller, 0, sizeof(controller));
	controller.base.class = &probe_class;
	return irq_routes_create(&routes, &controller.base, LINES);
}

static int teardown(void **state)
{
	(void)state;
	irq_routes_destroy(&routes);
	return 0;
}

static uint32_t alloc(unsigned count)
{
	uint32_t gsi = 0;

	assert_int_equal(irq_routes_alloc(&routes, count, &gsi), 0);
	return gsi;
}

static int set_msi(uint32_t gsi, uint32_t data)
{
	return irq_routes_set_msi(&routes, gsi, DOORBELL, data, 0x10);
}

static void lines_are_attached_without_a_table(void **state)
{
	(void)state;
	for (uint32_t line = 0; line < LINES; line++)
		assert_int_equal(irq_routes_attach(&routes, line, 100 + (int)line, 7), 0);
	assert_int_equal(controller.updates, 0);
	assert_int_equal(controller.fd[3], 103);
	assert_int_equal(controller.resample_fd, 7);
	irq_routes_detach(&routes, 3, 103);
	assert_int_equal(controller.fd[3], 0);
}

static void many_routes_cost_one_table(void **state)
{
	enum { COUNT = 2048 };
	uint32_t first = alloc(COUNT);

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(set_msi(first + i, i), 0);
	assert_int_equal(controller.updates, 0);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(irq_routes_attach(&routes, first + i, 10 + (int)i, -1), 0);
	assert_int_equal(controller.updates, 1);
	assert_int_equal(routes.updates, 1);
	assert_int_equal(controller.attaches, COUNT);
	assert_int_equal(controller.count, first + COUNT);
}

static void a_table_holds_lines_messages_and_holes(void **state)
{
	uint32_t first = alloc(4);

	(void)state;
	assert_int_equal(set_msi(first + 1, 5), 0);
	assert_int_equal(irq_routes_set_msi(&routes, first + 3, 0x1122334455667788, ~0u, 0xffff),
			 0);
	assert_int_equal(irq_routes_attach(&routes, first + 1, 9, -1), 0);
	for (uint32_t gsi = 0; gsi < first + 4; gsi++) {
		const struct irq_route *route = &controller.table[gsi];

		if (gsi < LINES) {
			assert_int_equal(route->type, IRQ_ROUTE_LINE);
			assert_int_equal(route->line, gsi);
		} else if (gsi == first + 1) {
			assert_int_equal(route->type, IRQ_ROUTE_MSI);
			assert_int_equal(route->address, DOORBELL);
			assert_int_equal(route->data, 5);
			assert_int_equal(route->devid, 0x10);
		} else if (gsi == first + 3) {
			assert_int_equal(route->type, IRQ_ROUTE_MSI);
			assert_int_equal(route->address, 0x1122334455667788);
			assert_int_equal(route->data, ~0u);
			assert_int_equal(route->devid, 0xffff);
		} else {
			assert_int_equal(route->type, IRQ_ROUTE_NONE);
		}
	}
	assert_int_equal(controller.count, first + 4);
}

static void a_live_route_may_only_stay_what_it_is(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t data, devid;
		int err;
	} cases[] = {
		{ DOORBELL, 1, 0x10, 0 },
		{ DOORBELL + 4, 1, 0x10, -EBUSY },
		{ DOORBELL, 2, 0x10, -EBUSY },
		{ DOORBELL, 1, 0x11, -EBUSY },
	};
	uint32_t gsi = alloc(2);

	(void)state;
	assert_int_equal(set_msi(gsi, 1), 0);
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(irq_routes_set_msi(&routes, gsi, cases[i].address, cases[i].data,
						    cases[i].devid),
				 cases[i].err);
	/* Nor did a refused change get into the table on another's back. */
	assert_int_equal(set_msi(gsi + 1, 7), 0);
	assert_int_equal(irq_routes_attach(&routes, gsi + 1, 10, -1), 0);
	assert_int_equal(controller.updates, 2);
	assert_int_equal(controller.table[gsi].data, 1);

	irq_routes_detach(&routes, gsi, 9);
	assert_int_equal(set_msi(gsi, 2), 0);
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), 0);
	assert_int_equal(controller.table[gsi].data, 2);
}

/* A driver masks and unmasks a vector without changing it, all the time. */
static void attaching_again_costs_no_table(void **state)
{
	uint32_t gsi = alloc(1);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(set_msi(gsi, 1), 0);
		assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), 0);
		irq_routes_detach(&routes, gsi, 9);
	}
	assert_int_equal(controller.updates, 1);
}

static void gsis_run_out_and_come_back(void **state)
{
	uint32_t all = alloc(MSIS), gsi, other;

	(void)state;
	assert_int_equal(all, IRQ_GSI_MSI_BASE);
	assert_int_equal(irq_routes_alloc(&routes, 1, &gsi), -ENOSPC);
	irq_routes_free(&routes, all + 10, 4);
	irq_routes_free(&routes, all + 20, 8);
	assert_int_equal(irq_routes_alloc(&routes, 9, &gsi), -ENOSPC);
	gsi = alloc(8);
	assert_int_equal(gsi, all + 20);
	other = alloc(1);
	assert_int_equal(other, all + 10);
	irq_routes_free(&routes, all + MSIS - 1, 1);
	assert_int_equal(alloc(3), all + 11);
	assert_int_equal(alloc(1), all + MSIS - 1);
	assert_int_equal(irq_routes_alloc(&routes, 1, &gsi), -ENOSPC);
}

static void more_than_there_are_is_refused(void **state)
{
	uint32_t gsi;

	(void)state;
	assert_int_equal(irq_routes_alloc(&routes, MSIS + 1, &gsi), -ENOSPC);
	assert_int_equal(irq_routes_alloc(&routes, ~0u, &gsi), -ENOSPC);
	assert_int_equal(alloc(MSIS), IRQ_GSI_MSI_BASE);
}

static void a_freed_gsi_leads_nowhere(void **state)
{
	uint32_t gsi = alloc(2);

	(void)state;
	assert_int_equal(set_msi(gsi, 1), 0);
	assert_int_equal(set_msi(gsi + 1, 2), 0);
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), 0);
	irq_routes_free(&routes, gsi + 1, 1);
	assert_int_equal(alloc(1), gsi + 1);
	assert_int_equal(set_msi(gsi + 1, 2), 0);
	irq_routes_free(&routes, gsi + 1, 1);
	irq_routes_detach(&routes, gsi, 9);
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), 0);
	assert_int_equal(controller.table[gsi + 1].type, IRQ_ROUTE_NONE);
	assert_int_equal(controller.count, gsi + 1);
}

static void detaching_what_is_not_attached_is_ignored(void **state)
{
	uint32_t gsi = alloc(1);

	(void)state;
	irq_routes_detach(&routes, gsi, 9);
	irq_routes_detach(&routes, 0, 9);
	irq_routes_detach(&routes, LINES, 9);
	assert_int_equal(controller.detaches, 0);
}

static void an_update_that_failed_is_made_up_for(void **state)
{
	uint32_t gsi = alloc(1);

	(void)state;
	assert_int_equal(set_msi(gsi, 1), 0);
	controller.update_fails = -ENOMEM;
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), -ENOMEM);
	assert_int_equal(controller.attaches, 0);
	controller.attach_fails = -EBUSY;
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), -EBUSY);
	/* It is not attached: its route may change still. */
	assert_int_equal(set_msi(gsi, 2), 0);
	assert_int_equal(irq_routes_attach(&routes, gsi, 9, -1), 0);
	assert_int_equal(controller.table[gsi].data, 2);
	assert_int_equal(controller.updates, 2);
}

/* Two devices bring their vectors up and down from two vCPUs. */
static void *churn(void *arg)
{
	uint32_t first = alloc(16);

	for (int round = 0; round < 200; round++) {
		for (uint32_t i = 0; i < 16; i++)
			assert_int_equal(set_msi(first + i, (uint32_t)round + i), 0);
		for (uint32_t i = 0; i < 16; i++)
			assert_int_equal(irq_routes_attach(&routes, first + i, 9, -1), 0);
		assert_int_equal(set_msi(first, ~0u), -EBUSY);
		for (uint32_t i = 0; i < 16; i++)
			irq_routes_detach(&routes, first + i, 9);
	}
	irq_routes_free(&routes, first, 16);
	return arg;
}

static void two_devices_share_the_table(void **state)
{
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, churn, NULL);
	churn(NULL);
	pthread_join(thread, NULL);
	assert_int_equal(controller.attaches, controller.detaches);
	assert_int_equal(controller.attaches, 2 * 200 * 16);
	assert_in_range(controller.updates, 200, 2 * 200 * 16);
	assert_int_equal(alloc(MSIS), IRQ_GSI_MSI_BASE);
}

static void zeroed_routes_can_be_destroyed(void **state)
{
	struct irq_routes zeroed = { 0 };

	(void)state;
	irq_routes_destroy(&zeroed);
	irq_routes_destroy(&routes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lines_are_attached_without_a_table),
		TEST(many_routes_cost_one_table),
		TEST(a_table_holds_lines_messages_and_holes),
		TEST(a_live_route_may_only_stay_what_it_is),
		TEST(attaching_again_costs_no_table),
		TEST(gsis_run_out_and_come_back),
		TEST(more_than_there_are_is_refused),
		TEST(a_freed_gsi_leads_nowhere),
		TEST(detaching_what_is_not_attached_is_ignored),
		TEST(an_update_that_failed_is_made_up_for),
		TEST(two_devices_share_the_table),
		TEST(zeroed_routes_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

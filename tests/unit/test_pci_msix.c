// SPDX-License-Identifier: GPL-2.0-only
/* MSI-X of an emulated function: what the guest does to its table, and which raised vectors reach it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/pci_msix.h>
#include "fake_irqs.h"
#include "files.h"
#include "pci_rig.h"

#define CAP      0x40
#define TABLE    0x1000
#define PBA      0x1800
#define DOORBELL 0x3ffd0040u
#define DEVFN    PCI_DEVFN_OF(3, 0)
#define ENABLE   PCI_MSIX_FLAGS_ENABLE
#define MASK     PCI_MSIX_FLAGS_MASKALL

static struct device {
	struct pci_function function;
	struct pci_msix msix;
} device;

static struct fake_irqs irqs;
static struct irq_routes routes;

static uint64_t bar_read(struct pci_function *function, unsigned bar, uint64_t offset,
			 unsigned size)
{
	struct device *dev = (struct device *)function;

	if (!pci_msix_table_covers(&dev->msix.table, bar, offset, size))
		return 0x55;
	return pci_msix_read(&dev->msix, bar, offset, size);
}

static void bar_write(struct pci_function *function, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct device *dev = (struct device *)function;

	if (pci_msix_table_covers(&dev->msix.table, bar, offset, size))
		pci_msix_write(&dev->msix, bar, offset, size, value);
}

static void config_written(struct pci_function *function, unsigned offset, unsigned size,
			   uint32_t value)
{
	(void)value;
	pci_msix_config_written(&((struct device *)function)->msix, offset, size);
}

static const struct pci_function_class class = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.config_written = config_written,
};

/* A function with so many vectors, attached, decoding; table and PBA lie among registers in BAR 0. */
static void make(unsigned vectors)
{
	struct pci_msix_table table = { .vectors = vectors, .offset = TABLE, .pba_offset = PBA };
	struct pci_function *function = &device.function;

	assert_int_equal(pci_function_init(function, &class, "gadget"), 0);
	assert_int_equal(pci_function_set_bar(function, 0, 0x2000, 0), 0);
	assert_int_equal(pci_msix_create(&device.msix, function, CAP, &table), 0);
	assert_int_equal(pci_bus_add(&pci_root, function, DEVFN), 0);
	assert_int_equal(pci_bus_assign(&pci_root), 0);
	pci_msix_attach(&device.msix, &routes, &irqs.base);
	pci_config_write(function, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static int setup(void **state)
{
	memset(&device, 0, sizeof(device));
	fake_irqs_init(&irqs);
	return pci_rig_setup(state) || irq_routes_create(&routes, &irqs.base, 32);
}

static int teardown(void **state)
{
	if (device.msix.routes)
		pci_msix_detach(&device.msix);
	pci_function_destroy(&device.function);
	pci_msix_destroy(&device.msix);
	pci_msix_destroy(&device.msix);
	assert_false(irqs.route_changed_live);
	assert_int_equal(fake_irqs_attached(&irqs), 0);
	irq_routes_destroy(&routes);
	return pci_rig_teardown(state);
}

/* --- the guest --- */

static uint64_t bar_get(uint64_t offset, unsigned size)
{
	return guest_read(pci_bar_address(&device.function, 0) + offset, size);
}

static void bar_put(uint64_t offset, unsigned size, uint64_t value)
{
	guest_write(pci_bar_address(&device.function, 0) + offset, size, value);
}

static void set_control(unsigned bits)
{
	pci_config_write(&device.function, CAP + PCI_MSIX_FLAGS, 2, bits);
}

static void set_message(unsigned vector, uint32_t data)
{
	uint64_t entry = TABLE + 16ULL * vector;

	bar_put(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, DOORBELL);
	bar_put(entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	bar_put(entry + PCI_MSIX_ENTRY_DATA, 4, data);
}

static void set_mask(unsigned vector, bool masked)
{
	bar_put(TABLE + 16ULL * vector + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

/* As Linux does it: all messages are written before the first vector is unmasked. */
static void bring_up(unsigned vectors)
{
	set_control(ENABLE | MASK);
	for (unsigned i = 0; i < vectors; i++)
		set_message(i, 0x100 + i);
	set_control(ENABLE);
	for (unsigned i = 0; i < vectors; i++)
		set_mask(i, false);
}

static unsigned injected(unsigned vector)
{
	fake_irqs_run(&irqs);
	return irqs.injected[device.msix.first_gsi + vector];
}

/* --- the table --- */

static void capability_says_what_there_is(void **state)
{
	(void)state;
	make(3);
	assert_int_equal(pci_config_read(&device.function, CAP, 1), PCI_CAP_ID_MSIX);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_FLAGS, 2), 2);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_TABLE, 4), TABLE);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_PBA, 4), PBA);
	for (unsigned i = 0; i < PCI_CAP_MSIX_SIZEOF; i += 4)
		pci_config_write(&device.function, CAP + i, 4, ~0U);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_FLAGS, 2),
			 ENABLE | MASK | 2);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_TABLE, 4), TABLE);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_PBA, 4), PBA);
}

static void assert_masked_and_empty(unsigned vectors)
{
	for (unsigned i = 0; i < vectors; i++) {
		assert_int_equal(bar_get(TABLE + 16 * i, 8), 0);
		assert_int_equal(bar_get(TABLE + 16 * i + 8, 8), 1ULL << 32);
	}
	assert_int_equal(bar_get(TABLE + 16 * vectors, 8), 0x55);
}

static void entries_start_out_masked_and_empty(void **state)
{
	(void)state;
	make(3);
	assert_masked_and_empty(3);
}

static void table_holds_what_is_written(void **state)
{
	(void)state;
	make(2);
	bar_put(TABLE + 16, 8, 0x1122334455667789);
	bar_put(TABLE + 24, 8, 0xffffffff99aabbcc);
	assert_int_equal(bar_get(TABLE + 16, 8), 0x1122334455667788);
	assert_int_equal(bar_get(TABLE + 24, 4), 0x99aabbcc);
	assert_int_equal(bar_get(TABLE + 28, 4), 1);
	assert_int_equal(bar_get(TABLE, 8), 0);
}

static void odd_accesses_are_ignored_and_said_once(void **state)
{
	static const struct {
		unsigned offset, size;
	} odd[] = { { TABLE, 1 },     { TABLE + 1, 1 }, { TABLE, 2 },      { TABLE + 2, 4 },
		    { TABLE + 4, 8 }, { TABLE - 2, 4 }, { TABLE + 30, 4 }, { PBA, 1 },
		    { PBA + 2, 2 },   { PBA + 4, 8 } };

	(void)state;
	make(2);
	stderr_keep();
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		bar_put(odd[i].offset, odd[i].size, 0);
		assert_int_equal(bar_get(odd[i].offset, odd[i].size),
				 ~0ULL >> (64 - 8 * odd[i].size));
	}
	assert_reported("gadget");
	assert_int_equal(bar_get(TABLE + 12, 4), 1);
}

static void pba_is_not_written(void **state)
{
	(void)state;
	make(65);
	bar_put(PBA, 8, ~0ULL);
	bar_put(PBA + 8, 8, ~0ULL);
	assert_int_equal(bar_get(PBA, 8), 0);
	assert_int_equal(bar_get(PBA + 8, 8), 0);
}

/* --- delivery --- */

static void raised_vector_reaches_the_guest(void **state)
{
	const struct irq_route *route;

	(void)state;
	make(3);
	bring_up(3);
	assert_int_equal(irqs.updates, 1);
	pci_msix_raise(&device.msix, 2);
	assert_int_equal(injected(2), 1);
	assert_int_equal(injected(0) + injected(1), 0);
	route = &irqs.routes[device.msix.first_gsi + 2];
	assert_int_equal(route->type, IRQ_ROUTE_MSI);
	assert_int_equal(route->address, DOORBELL);
	assert_int_equal(route->data, 0x102);
	assert_int_equal(route->devid, DEVFN);
}

static void masked_vector_is_pending_until_it_is_unmasked(void **state)
{
	(void)state;
	make(70);
	bring_up(70);
	set_mask(1, true);
	set_mask(69, true);
	pci_msix_raise(&device.msix, 1);
	pci_msix_raise(&device.msix, 1);
	pci_msix_raise(&device.msix, 69);
	assert_int_equal(injected(1) + injected(69), 0);
	assert_int_equal(bar_get(PBA, 8), 1 << 1);
	assert_int_equal(bar_get(PBA + 8, 4), 1 << 5);
	assert_int_equal(bar_get(PBA + 12, 4), 0);
	set_mask(1, false);
	assert_int_equal(bar_get(PBA, 8), 0);
	assert_true(injected(1) > 0);
	assert_int_equal(injected(69), 0);
}

static void function_mask_holds_back_all(void **state)
{
	(void)state;
	make(2);
	bring_up(2);
	set_control(ENABLE | MASK);
	pci_msix_raise(&device.msix, 0);
	assert_int_equal(injected(0), 0);
	assert_int_equal(bar_get(PBA, 4), 1);
	set_control(ENABLE);
	assert_true(injected(0) > 0);
	assert_int_equal(bar_get(PBA, 4), 0);
}

static void vector_without_a_message_goes_nowhere(void **state)
{
	(void)state;
	make(2);
	set_control(ENABLE);
	set_mask(0, false);
	pci_msix_raise(&device.msix, 0);
	assert_int_equal(fake_irqs_attached(&irqs), 0);
	assert_int_equal(bar_get(PBA, 4), 1);
	set_message(0, 7);
	assert_true(injected(0) > 0);
}

static void message_changed_while_unmasked_leads_elsewhere(void **state)
{
	(void)state;
	make(2);
	bring_up(2);
	bar_put(TABLE + PCI_MSIX_ENTRY_DATA, 4, 0x999);
	assert_int_equal(irqs.routes[device.msix.first_gsi].data, 0x999);
	pci_msix_raise(&device.msix, 0);
	assert_int_equal(injected(0), 1);
}

static void disabled_it_is_silent_and_forgets(void **state)
{
	(void)state;
	make(2);
	pci_msix_raise(&device.msix, 0);
	assert_int_equal(bar_get(PBA, 4), 0);
	bring_up(2);
	set_mask(0, true);
	pci_msix_raise(&device.msix, 0);
	set_control(0);
	assert_false(pci_msix_enabled(&device.msix));
	assert_int_equal(fake_irqs_attached(&irqs), 0);
	pci_msix_raise(&device.msix, 0);
	set_control(ENABLE);
	set_mask(0, false);
	assert_int_equal(injected(0), 0);
}

static void another_vm_finds_it_as_new(void **state)
{
	uint32_t gsi;

	(void)state;
	make(2);
	bring_up(2);
	set_mask(1, true);
	pci_msix_raise(&device.msix, 1);
	pci_msix_detach(&device.msix);
	assert_int_equal(irq_routes_alloc(&routes, IRQ_GSI_LIMIT - IRQ_GSI_MSI_BASE, &gsi), 0);
	irq_routes_free(&routes, gsi, IRQ_GSI_LIMIT - IRQ_GSI_MSI_BASE);
	pci_msix_attach(&device.msix, &routes, &irqs.base);
	assert_int_equal(pci_config_read(&device.function, CAP + PCI_MSIX_FLAGS, 2), 1);
	assert_masked_and_empty(2);
	bring_up(2);
	assert_int_equal(injected(1), 0);
	pci_msix_raise(&device.msix, 1);
	assert_int_equal(injected(1), 1);
}

/* --- what the host refuses --- */

static void refused_interrupt_is_not_tried_again(void **state)
{
	(void)state;
	make(8);
	irqs.fail_attach = 12;
	bring_up(8);
	assert_int_equal(irqs.failures, 1);
	pci_msix_raise(&device.msix, 3);
	assert_int_equal(bar_get(PBA, 4), 1 << 3);
}

static void controller_without_msis_is_named(void **state)
{
	(void)state;
	make(2);
	device.msix.msi = false;
	stderr_keep();
	bring_up(2);
	set_control(ENABLE | MASK);
	assert_reported("its interrupt controller lacks");
	assert_int_equal(fake_irqs_attached(&irqs), 0);
}

static void full_routing_table_is_named(void **state)
{
	unsigned all = IRQ_GSI_LIMIT - IRQ_GSI_MSI_BASE;
	uint32_t gsi;

	(void)state;
	assert_int_equal(irq_routes_alloc(&routes, all - 2, &gsi), 0);
	make(3);
	stderr_keep();
	bring_up(3);
	assert_reported("gadget wants 3 interrupt vectors, 2 are left of KVM's 4096 routes");
	pci_msix_raise(&device.msix, 0);
	irq_routes_free(&routes, gsi, all - 2);
}

/* --- threads --- */

#define ROUNDS 2000

static void *raise_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++)
		pci_msix_raise(&device.msix, i % 2);
	return NULL;
}

/* A vCPU masks and unmasks while the device raises. */
static void raising_needs_no_lock(void **state)
{
	pthread_t thread;

	(void)state;
	make(2);
	bring_up(2);
	assert_int_equal(pthread_create(&thread, NULL, raise_often, NULL), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		set_mask(i % 2, true);
		bar_get(PBA, 8);
		set_mask(i % 2, false);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	irqs.injected[device.msix.first_gsi] = 0;
	set_mask(0, true);
	pci_msix_raise(&device.msix, 0);
	set_mask(0, false);
	assert_true(injected(0) > 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(capability_says_what_there_is),
		T(entries_start_out_masked_and_empty),
		T(table_holds_what_is_written),
		T(odd_accesses_are_ignored_and_said_once),
		T(pba_is_not_written),
		T(raised_vector_reaches_the_guest),
		T(masked_vector_is_pending_until_it_is_unmasked),
		T(function_mask_holds_back_all),
		T(vector_without_a_message_goes_nowhere),
		T(message_changed_while_unmasked_leads_elsewhere),
		T(disabled_it_is_silent_and_forgets),
		T(another_vm_finds_it_as_new),
		T(refused_interrupt_is_not_tried_again),
		T(controller_without_msis_is_named),
		T(full_routing_table_is_named),
		T(raising_needs_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

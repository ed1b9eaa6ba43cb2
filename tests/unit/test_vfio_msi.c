// SPDX-License-Identifier: GPL-2.0-only
/* MSI of a passed-through function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "files.h"
#include "vfio_rig.h"

#define CAP    0x50
#define INDEX  VFIO_PCI_MSI_IRQ_INDEX
#define ENABLE PCI_MSI_FLAGS_ENABLE
#define MME(n) ((n) << 4) /* 2^n vectors */

static void build(struct vfio_rig *rig, unsigned vectors, bool is64, bool maskable)
{
	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msi(rig->hw, CAP, vectors, is64, maskable);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	rig->hw->set_irqs_count = 0;
}

/* With 64 bits of address. */
static void message(struct vfio_rig *rig, uint32_t data)
{
	guest_config_write(rig, CAP + PCI_MSI_ADDRESS_LO, 4, RIG_DOORBELL);
	guest_config_write(rig, CAP + PCI_MSI_ADDRESS_HI, 4, 0);
	guest_config_write(rig, CAP + PCI_MSI_DATA_64, 2, data);
}

static void control(struct vfio_rig *rig, unsigned bits)
{
	guest_config_write(rig, CAP + PCI_MSI_FLAGS, 2, bits);
}

static void mask(struct vfio_rig *rig, uint32_t bits)
{
	guest_config_write(rig, CAP + PCI_MSI_MASK_64, 4, bits);
}

static uint32_t pending(struct vfio_rig *rig)
{
	return guest_config_read(rig, CAP + PCI_MSI_PENDING_64, 4);
}

static const struct irq_route *route(const struct vfio_rig *rig, unsigned vector)
{
	return &rig->irqs.routes[rig->dev->irq.first_gsi + vector];
}

static bool attached(const struct vfio_rig *rig, unsigned vector)
{
	return rig->irqs.trigger[rig->dev->irq.first_gsi + vector] >= 0;
}

static unsigned injected(struct vfio_rig *rig, unsigned vector)
{
	fake_irqs_run(&rig->irqs);
	return rig->irqs.injected[rig->dev->irq.first_gsi + vector];
}

static bool device_sends(struct vfio_rig *rig, unsigned vector)
{
	return fake_vfio_trigger(rig->hw, INDEX, vector);
}

/* --- the capability --- */

static void all_four_layouts_are_understood(void **state)
{
	struct vfio_rig *rig = *state;
	static const struct {
		bool is64, maskable;
		unsigned data, mask, size;
	} layouts[] = {
		{ false, false, 8, 0, 10 },
		{ true, false, 12, 0, 14 },
		{ false, true, 8, 12, 20 },
		{ true, true, 12, 16, 24 },
	};

	for (unsigned i = 0; i < 4; i++) {
		unsigned after = CAP + (layouts[i].size + 3) / 4 * 4;

		rig_teardown(state);
		rig_setup(state);
		rig = *state;
		fake_vfio_capability(rig->hw, 0xc0, PCI_CAP_ID_PM);
		build(rig, 4, layouts[i].is64, layouts[i].maskable);
		assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSI), CAP);
		for (unsigned at = CAP; at < after; at += 4)
			guest_config_write(rig, at, 4, 0xfffffffe & ~(at == CAP ? 1U << 16 : 0));
		assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_FLAGS, 2),
				 0x74 | layouts[i].is64 << 7 | layouts[i].maskable << 8);
		assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_ADDRESS_LO, 4), 0xfffffffc);
		assert_int_equal(guest_config_read(rig, CAP + layouts[i].data, 2), 0xfffe);
		if (layouts[i].is64)
			assert_int_equal(guest_config_read(rig, CAP + 8, 4), 0xfffffffe);
		if (layouts[i].mask) {
			assert_int_equal(guest_config_read(rig, CAP + layouts[i].mask, 4), 0xe);
			assert_int_equal(guest_config_read(rig, CAP + layouts[i].mask + 4, 4), 0);
		}
		assert_int_equal(rig_config_writes(rig, CAP + PCI_MSI_FLAGS), 0);
		assert_int_equal(rig_config_writes(rig, CAP + layouts[i].data), 0);
	}
}

static void no_more_is_offered_than_the_host_has(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_msi(rig->hw, CAP, 32, true, true);
	rig->hw->irqs[INDEX].count = 5;
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK,
			 2 << 1);
	mask(rig, 0xffffffff);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_MASK_64, 4), 0xf);
}

static void reserved_number_of_vectors_is_32(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_msi(rig->hw, CAP, 32, true, true);
	fake_vfio_config_put(rig->hw, CAP + PCI_MSI_FLAGS, 2, 0x018e);
	rig->hw->irqs[INDEX].count = 128;
	rig_build(rig);
	assert_int_equal(rig->dev->irq.msi_vectors, 32);
	mask(rig, 0xffffffff);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_MASK_64, 4), 0xffffffff);
}

/* --- enabling --- */

static void vectors_are_connected_all_at_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 8, true, true);
	message(rig, 0x40);
	assert_int_equal(rig->irqs.attaches, 0);
	control(rig, ENABLE | MME(2));
	assert_int_equal(rig->irqs.updates, 1);
	assert_int_equal(rig->irqs.attaches, 4);
	assert_int_equal(rig->hw->set_irqs_count, 1);
	assert_int_equal(rig->hw->set_irqs[0].start, 0);
	assert_int_equal(rig->hw->set_irqs[0].count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(route(rig, i)->type, IRQ_ROUTE_MSI);
		assert_int_equal(route(rig, i)->address, RIG_DOORBELL);
		assert_int_equal(route(rig, i)->data, 0x40 + i);
		assert_int_equal(route(rig, i)->devid, RIG_DEVFN);
		assert_true(device_sends(rig, i));
		assert_int_equal(injected(rig, i), 1);
	}
	assert_false(device_sends(rig, 4));
}

static void route_then_irqfd_then_vfio(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 1, true, false);
	message(rig, 1);
	control(rig, ENABLE);
	assert_int_equal(rig->irqs.log_count, 2);
	assert_int_equal(rig->irqs.log[0].call, FAKE_SET_ROUTES);
	assert_int_equal(rig->irqs.log[1].call, FAKE_ATTACH);
	assert_int_equal(rig->irqs.log[1].set_irqs, 0);
	assert_int_equal(rig->hw->set_irqs_count, 1);
}

static void address_of_32_bits(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 1, false, false);
	guest_config_write(rig, CAP + PCI_MSI_ADDRESS_LO, 4, RIG_DOORBELL);
	guest_config_write(rig, CAP + PCI_MSI_DATA_32, 2, 0x99);
	control(rig, ENABLE);
	assert_int_equal(route(rig, 0)->address, RIG_DOORBELL);
	assert_int_equal(route(rig, 0)->data, 0x99);
}

static void address_of_64_bits(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 1, true, false);
	message(rig, 1);
	guest_config_write(rig, CAP + PCI_MSI_ADDRESS_HI, 4, 0x12);
	control(rig, ENABLE);
	assert_int_equal(route(rig, 0)->address, 0x12ULL << 32 | RIG_DOORBELL);
}

static void low_bits_of_data_are_the_vector(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true, false);
	message(rig, 0x43);
	control(rig, ENABLE | MME(2));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(route(rig, i)->data, 0x40 + i);
}

static void more_than_offered_is_clamped(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true, true);
	message(rig, 0);
	control(rig, ENABLE | MME(7));
	assert_int_equal(rig->irqs.attaches, 4);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QSIZE,
			 MME(2));
}

static void number_does_not_change_while_enabled(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 8, true, true);
	message(rig, 0);
	control(rig, ENABLE | MME(1));
	control(rig, ENABLE | MME(3));
	assert_int_equal(fake_irqs_attached(&rig->irqs), 2);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QSIZE,
			 MME(1));
	control(rig, MME(3));
	control(rig, ENABLE | MME(3));
	assert_int_equal(fake_irqs_attached(&rig->irqs), 8);
}

static void disabling_leaves_nothing(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 2, true, true);
	message(rig, 0);
	mask(rig, 2);
	control(rig, ENABLE | MME(1));
	assert_true(device_sends(rig, 1));
	assert_int_equal(pending(rig), 2);
	control(rig, MME(1));
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_false(rig->hw->irqs[INDEX].enabled);
	assert_int_equal(pending(rig), 0);
	control(rig, ENABLE | MME(1));
	assert_int_equal(pending(rig), 0);
	mask(rig, 0);
	assert_int_equal(injected(rig, 1), 0);
}

/* --- masking --- */

static void masks_on_enabling_are_honoured(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true, true);
	message(rig, 0);
	mask(rig, 0x5);
	control(rig, ENABLE | MME(2));
	assert_false(attached(rig, 0));
	assert_true(attached(rig, 1));
	assert_false(attached(rig, 2));
	assert_true(attached(rig, 3));
	assert_true(device_sends(rig, 2)); /* the host sends it all the same */
	assert_int_equal(pending(rig), 4);
}

static void message_that_comes_while_masked_is_pending(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned set_irqs;

	build(rig, 4, true, true);
	message(rig, 0);
	control(rig, ENABLE | MME(2));
	set_irqs = rig->hw->set_irqs_count;
	mask(rig, 1 << 3);
	assert_int_equal(pending(rig), 0);
	assert_true(device_sends(rig, 3));
	assert_int_equal(injected(rig, 3), 0);
	assert_int_equal(pending(rig), 1 << 3);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSI_PENDING_64, 1), 1 << 3);
	guest_config_write(rig, CAP + PCI_MSI_PENDING_64, 4, 0xff);
	assert_int_equal(pending(rig), 1 << 3);
	mask(rig, 0);
	assert_int_equal(rig->irqs.injected[rig->dev->irq.first_gsi + 3], 1);
	assert_int_equal(pending(rig), 0);
	assert_int_equal(rig->hw->set_irqs_count, set_irqs);
	assert_int_equal(rig->irqs.updates, 1);
}

static void message_changed_while_enabled_is_safe(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 2, true, true);
	message(rig, 0x10);
	control(rig, ENABLE | MME(1));
	guest_config_write(rig, CAP + PCI_MSI_DATA_64, 2, 0x20);
	assert_int_equal(route(rig, 0)->data, 0x20);
	assert_int_equal(route(rig, 1)->data, 0x21);
	assert_true(attached(rig, 0) && attached(rig, 1));
	assert_int_equal(rig->irqs.updates, 2);
	assert_false(rig->irqs.route_changed_live);
}

/* --- one mode at a time --- */

static void msix_goes_before_msi(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 1, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x90, 4, 1, 0, 1, 0x1000);
	build(rig, 2, true, false);
	message(rig, 0x30);
	control(rig, ENABLE | MME(1));
	assert_int_equal(fake_irqs_attached(&rig->irqs), 2);
	guest_bar_write(rig, 1, 0, 8, RIG_DOORBELL);
	guest_bar_write(rig, 1, 8, 8, 5);
	guest_config_write(rig, 0x92, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 1);
	assert_int_equal(route(rig, 0)->data, 5);
	assert_true(rig->hw->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled);
	assert_false(rig->hw->irqs[INDEX].enabled);
	guest_config_write(rig, 0x92, 2, 0);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 2);
	assert_int_equal(route(rig, 0)->data, 0x30);
	for (unsigned i = 0; i < rig->hw->set_irqs_count; i++)
		assert_int_equal(rig->hw->set_irqs[i].result, 0);
}

static void msix_table_is_only_memory_meanwhile(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 1, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x90, 4, 1, 0, 1, 0x1000);
	build(rig, 2, true, false);
	message(rig, 0x30);
	control(rig, ENABLE | MME(1));
	guest_bar_write(rig, 1, 0, 8, RIG_DOORBELL);
	guest_bar_write(rig, 1, 8, 8, 5);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 2);
	assert_int_equal(rig->irqs.updates, 1);
	assert_int_equal(rig->hw->set_irqs_count, 1);
}

/* Both use the same GSIs: what was written before MSI was in force counts again after it. */
static void msix_messages_outlive_msi(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 1, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x90, 4, 1, 0, 1, 0x1000);
	build(rig, 2, true, false);
	message(rig, 0x30);
	guest_bar_write(rig, 1, 0, 8, RIG_DOORBELL);
	guest_bar_write(rig, 1, 8, 8, 5);
	guest_config_write(rig, 0x92, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(route(rig, 0)->data, 5);
	guest_config_write(rig, 0x92, 2, 0);
	control(rig, ENABLE | MME(1));
	assert_int_equal(route(rig, 0)->data, 0x30);
	control(rig, MME(1));
	guest_config_write(rig, 0x92, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(route(rig, 0)->data, 5);
	assert_true(attached(rig, 0));
}

/* --- hosts that fail --- */

static void fewer_host_vectors_are_used_and_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 8, true, true);
	message(rig, 0);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, -3, 0, 1);
	stderr_keep();
	control(rig, ENABLE | MME(3));
	assert_reported("the host has 3 interrupt vectors for it, the guest wants 8");
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 2);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 2);
	mask(rig, 0xff);
	mask(rig, 0);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 2);
	assert_true(device_sends(rig, 1));
	assert_int_equal(injected(rig, 1), 1);
}

static void host_that_refuses_is_reported_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 2, true, true);
	message(rig, 0);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, EBUSY, 0, 100);
	stderr_keep();
	control(rig, ENABLE | MME(1));
	control(rig, 0);
	control(rig, ENABLE | MME(1));
	mask(rig, 1);
	mask(rig, 0);
	assert_reported("the host does not give it an interrupt");
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
}

static void refused_irqfd_is_tried_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true, true);
	message(rig, 0);
	rig->irqs.fail_attach = ENOMEM;
	control(rig, ENABLE | MME(2));
	mask(rig, 1);
	control(rig, 0);
	control(rig, ENABLE | MME(2));
	assert_int_equal(rig->irqs.failures, 1);
}

static void detaching_gives_all_back(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true, true);
	message(rig, 0);
	control(rig, ENABLE | MME(2));
	vfio_irq_detach(rig->dev);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_false(rig->hw->irqs[INDEX].enabled);
	for (unsigned i = IRQ_GSI_MSI_BASE; i < IRQ_GSI_LIMIT; i++)
		assert_int_equal(rig->routes.state[i], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_four_layouts_are_understood),
		TEST(no_more_is_offered_than_the_host_has),
		TEST(reserved_number_of_vectors_is_32),
		TEST(vectors_are_connected_all_at_once),
		TEST(route_then_irqfd_then_vfio),
		TEST(address_of_32_bits),
		TEST(address_of_64_bits),
		TEST(low_bits_of_data_are_the_vector),
		TEST(more_than_offered_is_clamped),
		TEST(number_does_not_change_while_enabled),
		TEST(disabling_leaves_nothing),
		TEST(masks_on_enabling_are_honoured),
		TEST(message_that_comes_while_masked_is_pending),
		TEST(message_changed_while_enabled_is_safe),
		TEST(msix_goes_before_msi),
		TEST(msix_table_is_only_memory_meanwhile),
		TEST(msix_messages_outlive_msi),
		TEST(fewer_host_vectors_are_used_and_said_once),
		TEST(host_that_refuses_is_reported_once),
		TEST(refused_irqfd_is_tried_once),
		TEST(detaching_gives_all_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

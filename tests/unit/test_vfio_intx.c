// SPDX-License-Identifier: GPL-2.0-only
/* INTx of a passed-through function, and how it makes way for MSI and MSI-X. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "vfio_rig.h"

#define INDEX VFIO_PCI_INTX_IRQ_INDEX
#define LINE  5 /* the rig's */

static bool wired(const struct vfio_rig *rig)
{
	bool host = rig->hw->irqs[INDEX].enabled;

	assert_int_equal(rig->irqs.trigger[LINE] >= 0, host);
	return host;
}

static void build(struct vfio_rig *rig)
{
	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	rig_build(rig);
}

static void line_is_wired_when_the_function_is_enabled(void **state)
{
	static const uint32_t enables[] = { PCI_COMMAND_IO, PCI_COMMAND_MEMORY,
					    PCI_COMMAND_MASTER };
	struct vfio_rig *rig = *state;

	build(rig);
	assert_false(wired(rig));
	for (unsigned i = 0; i < 3; i++) {
		guest_command(rig, enables[i]);
		assert_true(wired(rig));
		guest_command(rig, PCI_COMMAND_SERR);
		assert_false(wired(rig));
	}
}

static void intx_disable_unwires(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	guest_command(rig, PCI_COMMAND_MASTER);
	assert_true(wired(rig));
	guest_command(rig, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	assert_false(wired(rig));
	guest_command(rig, PCI_COMMAND_MASTER);
	assert_true(wired(rig));
}

static void other_command_bits_leave_it_wired(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned set_irqs;

	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	set_irqs = rig->hw->set_irqs_count;
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR);
	assert_true(wired(rig));
	assert_int_equal(rig->hw->set_irqs_count, set_irqs);
	assert_int_equal(rig->irqs.attaches, 1);
}

/* VFIO takes the resample eventfd only when INTx is in force. */
static void irqfd_then_trigger_then_resample(void **state)
{
	struct vfio_rig *rig = *state;
	const struct fake_vfio_set_irqs *set = rig->hw->set_irqs;

	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig->irqs.log_count, 1);
	assert_int_equal(rig->irqs.log[0].call, FAKE_ATTACH);
	assert_int_equal(rig->irqs.log[0].set_irqs, 0);
	assert_int_equal(rig->hw->set_irqs_count, 2);
	assert_int_equal(set[0].flags, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_int_equal(set[1].flags, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK);
	assert_int_equal(set[0].result, 0);
	assert_int_equal(set[1].result, 0);
	assert_int_equal(rig->hw->irqs[INDEX].trigger[0], rig->irqs.trigger[LINE]);
	assert_int_equal(rig->hw->irqs[INDEX].unmask_fd, rig->irqs.resample[LINE]);
	assert_int_not_equal(rig->irqs.resample[LINE], rig->irqs.trigger[LINE]);
	assert_int_equal(rig->irqs.updates, 0); /* lines lead where they always did */
}

static void interrupt_reaches_the_line(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_true(fake_vfio_trigger(rig->hw, INDEX, 0));
	fake_irqs_run(&rig->irqs);
	assert_int_equal(rig->irqs.injected[LINE], 1);
	assert_false(fake_vfio_trigger(rig->hw, INDEX, 0)); /* masked itself */
}

static void without_a_pin_nothing_is_wired(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_config_put(rig->hw, PCI_INTERRUPT_PIN, 1, 0);
	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_false(wired(rig));
	assert_int_equal(rig->hw->set_irqs_count, 0);
}

static void intx_that_does_not_mask_itself_is_not_offered(void **state)
{
	struct vfio_rig *rig = *state;

	rig->hw->irqs[INDEX].flags &= ~(uint32_t)VFIO_IRQ_INFO_AUTOMASKED;
	build(rig);
	assert_int_equal(guest_config_read(rig, PCI_INTERRUPT_PIN, 1), 0);
}

static void msi_takes_over_and_gives_back(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_msi(rig->hw, 0x50, 1, true, false);
	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_true(wired(rig));
	guest_config_write(rig, 0x52, 2, PCI_MSI_FLAGS_ENABLE);
	assert_false(wired(rig));
	assert_true(rig->hw->irqs[VFIO_PCI_MSI_IRQ_INDEX].enabled);
	guest_config_write(rig, 0x52, 2, 0);
	assert_true(wired(rig));
	assert_false(rig->hw->irqs[VFIO_PCI_MSI_IRQ_INDEX].enabled);
	for (unsigned i = 0; i < rig->hw->set_irqs_count; i++)
		assert_int_equal(rig->hw->set_irqs[i].result, 0);
}

static void msix_takes_over_and_gives_back(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_msix(rig->hw, 0x50, 4, 0, 0, 0, 0x1000);
	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_true(wired(rig));
	guest_config_write(rig, 0x52, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_false(wired(rig));
	assert_true(rig->hw->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled);
	guest_config_write(rig, 0x52, 2, 0);
	assert_true(wired(rig));
	assert_false(rig->hw->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled);
	for (unsigned i = 0; i < rig->hw->set_irqs_count; i++)
		assert_int_equal(rig->hw->set_irqs[i].result, 0);
}

static void device_follows_intx_disable(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(fake_vfio_config_get(rig->hw, PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(fake_vfio_config_get(rig->hw, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void wiring_leaks_no_fd(void **state)
{
	struct vfio_rig *rig = *state;
	int before, after;

	build(rig);
	before = dup(0);
	close(before);
	for (unsigned i = 0; i < 100; i++) {
		guest_command(rig, PCI_COMMAND_MEMORY);
		guest_command(rig, 0);
	}
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void detaching_unwires(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	vfio_irq_detach(rig->dev);
	assert_false(wired(rig));
	assert_int_equal(rig->dev->irq.mode, VFIO_IRQ_NONE);
}

static void refused_trigger_is_reported_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, EBUSY, 0, 100);
	stderr_keep();
	for (unsigned i = 0; i < 3; i++) {
		guest_command(rig, PCI_COMMAND_MEMORY);
		assert_false(wired(rig));
		guest_command(rig, 0);
	}
	assert_reported("the host does not give it an interrupt");
}

static void refused_resample_leaves_nothing_half_wired(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, EINVAL, 1, 1);
	stderr_keep();
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_reported("the host does not give it an interrupt");
	assert_false(wired(rig));
	guest_command(rig, 0);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_true(wired(rig));
}

static void refused_irqfd_is_tried_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig);
	rig->irqs.fail_attach = EINVAL;
	for (unsigned i = 0; i < 3; i++) {
		guest_command(rig, PCI_COMMAND_MEMORY);
		guest_command(rig, 0);
	}
	assert_int_equal(rig->irqs.failures, 1);
	assert_int_equal(rig->hw->set_irqs_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(line_is_wired_when_the_function_is_enabled),
		TEST(intx_disable_unwires),
		TEST(other_command_bits_leave_it_wired),
		TEST(irqfd_then_trigger_then_resample),
		TEST(interrupt_reaches_the_line),
		TEST(without_a_pin_nothing_is_wired),
		TEST(intx_that_does_not_mask_itself_is_not_offered),
		TEST(msi_takes_over_and_gives_back),
		TEST(msix_takes_over_and_gives_back),
		TEST(device_follows_intx_disable),
		TEST(wiring_leaks_no_fd),
		TEST(detaching_unwires),
		TEST(refused_trigger_is_reported_once),
		TEST(refused_resample_leaves_nothing_half_wired),
		TEST(refused_irqfd_is_tried_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

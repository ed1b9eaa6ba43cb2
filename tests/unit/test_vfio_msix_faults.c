// SPDX-License-Identifier: GPL-2.0-only
/* MSI-X of a passed-through function where the host, KVM or the guest fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "msix_guest.h"

/* --- hosts and guests that fail --- */

static void too_few_host_vectors_are_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 16, true);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, -5, 0, 1); /* "I have five" */
	stderr_keep();
	msix_bring_up(rig, 16);
	assert_reported("the host has 5 interrupt vectors for it, the guest wants 16");
	assert_int_equal(fake_irqs_attached(&rig->irqs), 5);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 5);
	assert_true(msix_device_sends(rig, 4));
	assert_int_equal(msix_injected(rig, 4), 1);
}

static void no_host_vector_is_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, ENOSPC, 0, 100);
	stderr_keep();
	msix_bring_up(rig, 4);
	msix_control(rig, 0);
	msix_bring_up(rig, 4);
	assert_reported(RIG_BDF);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
}

static void vector_the_host_refuses_is_not_attached(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, false);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, ENOSPC, 2, 1);
	stderr_keep();
	msix_bring_up(rig, 4);
	assert_reported("the host does not give it an interrupt");
	assert_false(msix_attached(rig, 1));
	assert_int_equal(fake_irqs_attached(&rig->irqs), 3);
}

/* The controller reports; a guest that goes on trying must not fill the terminal. */
static void refused_irqfd_is_tried_once(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	rig->irqs.fail_attach = ENOMEM;
	msix_bring_up(rig, 4);
	msix_control(rig, 0);
	msix_bring_up(rig, 4);
	assert_int_equal(rig->irqs.failures, 1);
	vfio_irq_detach(rig->dev);
	assert_int_equal(vfio_irq_attach(rig->dev), 0);
	rig->irqs.fail_attach = 0;
	msix_control(rig, 0);
	msix_bring_up(rig, 4);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 4);
}

static void refused_table_is_tried_once(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	rig->irqs.fail_routes = ENOMEM;
	msix_bring_up(rig, 4);
	assert_int_equal(rig->irqs.failures, 1);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
}

static void too_few_routes_name_device_and_number(void **state)
{
	struct vfio_rig *rig = *state;
	uint32_t gsi;

	msix_build(rig, 2048, true);
	assert_int_equal(irq_routes_alloc(&rig->routes, 1100, &gsi), 0);
	stderr_keep();
	msix_bring_up(rig, 16);
	assert_reported(RIG_BDF
			" wants 2048 interrupt vectors, 1972 are left of KVM's 4096 routes");
	assert_int_equal(rig->hw->set_irqs_count, 0);
	irq_routes_free(&rig->routes, gsi, 1100);
}

static void controller_without_msis_is_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	rig->irqs.base.msi = false;
	stderr_keep();
	msix_bring_up(rig, 4);
	msix_control(rig, 0);
	msix_bring_up(rig, 4);
	assert_reported("interrupt controller lacks");
	assert_int_equal(rig->hw->set_irqs_count, 0);
}

/* In a child, since a hard limit does not go up again. */
static void fds_that_run_out_are_said_once(void **state)
{
	struct vfio_rig *rig = *state;
	struct rlimit limit = { 64, 64 };
	int status = -1;
	pid_t child;

	msix_build(rig, 100, true);
	stderr_keep();
	child = fork();
	if (!child) {
		if (setrlimit(RLIMIT_NOFILE, &limit))
			_exit(2);
		msix_bring_up(rig, 100);
		msix_control(rig, 0);
		guest_command(rig, PCI_COMMAND_MEMORY); /* INTx would need two more */
		_exit(rig->irqs.attaches < 64 && !rig->hw->irqs[VFIO_PCI_INTX_IRQ_INDEX].enabled
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_reported("no eventfd for interrupt vector");
}

static void random_guest_breaks_nothing(void **state)
{
	struct vfio_rig *rig = *state;
	uint32_t seed = 7;

	msix_build(rig, 80, true);
	stderr_keep();
	for (unsigned i = 0; i < 20000; i++) {
		unsigned size = 1u << (seed >> 29 & 3), offset = TABLE - 8 + (seed >> 8) % 1320;

		seed = seed * 1664525 + 1013904223;
		if (seed % 97 == 0)
			msix_control(rig, seed >> 16);
		else if (seed % 7 == 0)
			guest_bar_read(rig, 0, PBA - 4 + (seed >> 10) % 24, size);
		else
			guest_bar_write(rig, 0, offset, size, seed * 0x9e3779b97f4a7c15ULL);
		if (seed % 11 == 0)
			msix_device_sends(rig, (seed >> 12) % 80);
	}
	assert_reported(RIG_BDF);
	assert_false(rig->irqs.route_changed_live);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(too_few_host_vectors_are_said_once),
		TEST(no_host_vector_is_said_once),
		TEST(vector_the_host_refuses_is_not_attached),
		TEST(refused_irqfd_is_tried_once),
		TEST(refused_table_is_tried_once),
		TEST(too_few_routes_name_device_and_number),
		TEST(controller_without_msis_is_said_once),
		TEST(fds_that_run_out_are_said_once),
		TEST(random_guest_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

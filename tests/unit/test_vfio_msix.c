// SPDX-License-Identifier: GPL-2.0-only
/* MSI-X of a passed-through function: what the guest does to its table, and what VFIO and KVM are told for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "files.h"
#include "msix_guest.h"

/* --- the table --- */

static void entries_start_out_masked_and_empty(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 3, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(guest_bar_read(rig, 0, TABLE + 16 * i, 8), 0);
		assert_int_equal(guest_bar_read(rig, 0, TABLE + 16 * i + 8, 8), 1ULL << 32);
	}
}

static void table_is_memory_of_its_own(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	msix_build(rig, 4, true);
	device = fake_vfio_memory(rig->hw, 0, 0x20000);
	memset(device + TABLE, 0xee, 64);
	guest_bar_write(rig, 0, TABLE + 16, 8, 0x1122334455667789);
	guest_bar_write(rig, 0, TABLE + 24, 8, 0xffffffff99aabbcc);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 16, 4), 0x55667788);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 20, 4), 0x11223344);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 24, 4), 0x99aabbcc);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 28, 4), 1);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(device[TABLE + i], 0xee);
}

static void odd_accesses_are_ignored_and_said_once(void **state)
{
	struct vfio_rig *rig = *state;
	static const struct {
		unsigned offset, size;
	} odd[] = { { TABLE, 1 },     { TABLE + 1, 1 }, { TABLE, 2 },     { TABLE + 2, 4 },
		    { TABLE + 4, 8 }, { TABLE - 2, 4 }, { TABLE - 4, 8 }, { TABLE + 62, 4 },
		    { PBA, 1 },       { PBA + 2, 2 },   { PBA + 4, 8 },   { PBA - 1, 2 } };

	msix_build(rig, 4, true);
	stderr_keep();
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		guest_bar_write(rig, 0, odd[i].offset, odd[i].size, 0);
		assert_int_equal(guest_bar_read(rig, 0, odd[i].offset, odd[i].size) + 1,
				 odd[i].size == 8 ? 0 : 1ULL << 8 * odd[i].size);
	}
	assert_reported(RIG_BDF);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 12, 4), 1);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 60, 4), 1);
}

static void pba_is_not_written(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	msix_build(rig, 4, true);
	device = fake_vfio_memory(rig->hw, 0, 0x20000);
	guest_bar_write(rig, 0, PBA, 8, ~0ULL);
	assert_int_equal(device[PBA], 0);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
}

static void only_enable_and_mask_are_writable(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	guest_config_write(rig, CAP, 4, 0xffffffff);
	guest_config_write(rig, CAP + PCI_MSIX_TABLE, 4, 0);
	guest_config_write(rig, CAP + PCI_MSIX_PBA, 4, 0);
	assert_int_equal(guest_config_read(rig, CAP, 4), 0xc0030011);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSIX_TABLE, 4), TABLE);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSIX_PBA, 4), PBA);
	assert_int_equal(rig_config_writes(rig, CAP + 3), 0);
}

static void table_is_as_large_as_the_hosts_vectors(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x40000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, CAP, 16, 0, TABLE, 0, PBA);
	rig->hw->irqs[INDEX].count = 5;
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, CAP + PCI_MSIX_FLAGS, 2), 4);
}

static void without_vectors_there_is_no_capability(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x40000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, CAP, 16, 0, TABLE, 0, PBA);
	rig->hw->irqs[INDEX].count = 0;
	rig_build(rig);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSIX), 0);
}

/* --- connecting --- */

static void vector_is_connected_when_it_is_unmasked(void **state)
{
	struct vfio_rig *rig = *state;
	const struct irq_route *route;

	msix_build(rig, 4, true);
	msix_control(rig, ENABLE | MASK);
	msix_message(rig, 2, 0x1234);
	msix_mask(rig, 2, false);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	msix_control(rig, ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 1);
	assert_true(msix_attached(rig, 2));
	route = &rig->irqs.routes[msix_gsi(rig, 2)];
	assert_int_equal(route->type, IRQ_ROUTE_MSI);
	assert_int_equal(route->address, RIG_DOORBELL);
	assert_int_equal(route->data, 0x1234);
	assert_int_equal(route->devid, RIG_DEVFN);
	assert_int_equal(rig->irqs.resample[msix_gsi(rig, 2)], -1);
	assert_int_equal(rig->hw->irqs[INDEX].trigger[2], rig->irqs.trigger[msix_gsi(rig, 2)]);
	assert_int_equal(msix_injected(rig, 2), 0);
	assert_true(msix_device_sends(rig, 2));
	assert_int_equal(msix_injected(rig, 2), 1);
}

static void address_has_64_bits(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 1, true);
	msix_control(rig, ENABLE);
	guest_bar_write(rig, 0, TABLE, 8, 0x0000008012345678);
	guest_bar_write(rig, 0, TABLE + 8, 8, 0x00000000aabbccdd);
	assert_int_equal(rig->irqs.routes[msix_gsi(rig, 0)].address, 0x8012345678);
	assert_int_equal(rig->irqs.routes[msix_gsi(rig, 0)].data, 0xaabbccdd);
	assert_true(msix_attached(rig, 0));
}

/* KVM can only make it a vLPI if the route is there before the irqfd, and the irqfd before VFIO's end. */
static void route_then_irqfd_then_vfio(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned before;

	msix_build(rig, 4, true);
	msix_control(rig, ENABLE);
	msix_message(rig, 1, 7);
	before = rig->hw->set_irqs_count;
	rig->irqs.log_count = 0;
	msix_mask(rig, 1, false);
	assert_int_equal(rig->irqs.log_count, 2);
	assert_int_equal(rig->irqs.log[0].call, FAKE_SET_ROUTES);
	assert_int_equal(rig->irqs.log[0].set_irqs, before);
	assert_int_equal(rig->irqs.log[1].call, FAKE_ATTACH);
	assert_int_equal(rig->irqs.log[1].gsi, msix_gsi(rig, 1));
	assert_int_equal(rig->irqs.log[1].set_irqs, before);
	assert_int_equal(rig->hw->set_irqs_count, before + 1);
	assert_int_equal(msix_last_set_irqs(rig)->start, 1);
	assert_int_equal(msix_last_set_irqs(rig)->count, 1);
	assert_int_equal(msix_last_set_irqs(rig)->result, 0);
	assert_int_equal(msix_last_set_irqs(rig)->flags,
			 VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
}

static void without_resizing_all_vectors_are_sized_first(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 16, true);
	msix_control(rig, ENABLE | MASK);
	assert_int_equal(rig->hw->set_irqs_count, 1);
	assert_int_equal(msix_last_set_irqs(rig)->start, 0);
	assert_int_equal(msix_last_set_irqs(rig)->count, 16);
	assert_int_equal(msix_last_set_irqs(rig)->first_fd, -1);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 16);
}

static void with_resizing_vectors_come_as_they_are_armed(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 16, false);
	msix_control(rig, ENABLE);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 1);
	msix_message(rig, 9, 1);
	msix_mask(rig, 9, false);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 10);
	assert_int_equal(msix_last_set_irqs(rig)->start, 9);
	assert_true(msix_device_sends(rig, 9));
	assert_int_equal(msix_injected(rig, 9), 1);
}

static void check_2048(struct vfio_rig *rig, bool noresize)
{
	msix_build(rig, 2048, noresize);
	msix_bring_up(rig, 2048);
	assert_int_equal(rig->irqs.updates, 1);
	assert_int_equal(rig->irqs.attaches, 2048);
	assert_int_equal(rig->irqs.detaches, 0);
	assert_int_equal(rig->hw->set_irqs_count, 2049);
	for (unsigned i = 0; i < 2048; i++) {
		assert_int_equal(rig->irqs.routes[msix_gsi(rig, i)].data, i);
		assert_true(msix_device_sends(rig, i));
	}
	fake_irqs_run(&rig->irqs);
	for (unsigned i = 0; i < 2048; i++)
		assert_int_equal(rig->irqs.injected[msix_gsi(rig, i)], 1);
}

static void vectors_2048_cost_one_table_update(void **state)
{
	check_2048(*state, true);
}

static void vectors_2048_cost_one_table_update_with_resizing(void **state)
{
	check_2048(*state, false);
}

/* A process starts with few: here, fewer than the vectors need. */
static void few_fds_are_made_more(void **state)
{
	struct rlimit was, few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	msix_build(*state, 100, true);
	msix_bring_up(*state, 100);
	assert_int_equal(((struct vfio_rig *)*state)->irqs.attaches, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void entry_without_a_message_is_not_connected(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	msix_control(rig, ENABLE);
	msix_mask(rig, 0, false);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	msix_message(rig, 0, 1);
	assert_true(msix_attached(rig, 0));
	assert_int_equal(rig->irqs.routes[msix_gsi(rig, 0)].data, 1);
}

static void nothing_is_connected_before_enabling(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	msix_message(rig, 0, 1);
	msix_mask(rig, 0, false);
	assert_int_equal(rig->hw->set_irqs_count, 0);
	assert_int_equal(rig->irqs.attaches, 0);
	msix_control(rig, ENABLE);
	assert_true(msix_attached(rig, 0));
}

/* --- masking --- */

static void masking_takes_off_only_the_irqfd(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned set_irqs;

	msix_build_connected(rig, 4);
	set_irqs = rig->hw->set_irqs_count;
	msix_mask(rig, 0, true);
	assert_false(msix_attached(rig, 0));
	msix_mask(rig, 0, false);
	assert_true(msix_attached(rig, 0));
	assert_int_equal(rig->hw->set_irqs_count, set_irqs);
	assert_int_equal(rig->irqs.updates, 1);
}

static void message_that_comes_while_masked_is_pending(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build_connected(rig, 4);
	msix_mask(rig, 0, true);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	assert_true(msix_device_sends(rig, 0));
	assert_int_equal(msix_injected(rig, 0), 0);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 1);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 4), 1);
	msix_mask(rig, 0, false);
	assert_int_equal(rig->irqs.injected[msix_gsi(rig, 0)], 1);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
}

static void delivered_message_is_not_pending_again(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build_connected(rig, 4);
	msix_mask(rig, 0, true);
	assert_true(msix_device_sends(rig, 0));
	msix_mask(rig, 0, false);
	msix_mask(rig, 0, true);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	msix_mask(rig, 0, false);
	assert_int_equal(rig->irqs.injected[msix_gsi(rig, 0)], 1);
}

static void function_mask_masks_all(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	msix_bring_up(rig, 4);
	msix_control(rig, ENABLE | MASK);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_true(msix_device_sends(rig, 1));
	assert_true(msix_device_sends(rig, 3));
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0xa);
	msix_control(rig, ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 4);
	assert_int_equal(rig->irqs.injected[msix_gsi(rig, 1)], 1);
	assert_int_equal(rig->irqs.injected[msix_gsi(rig, 3)], 1);
	assert_int_equal(rig->irqs.injected[msix_gsi(rig, 0)], 0);
}

static void pba_shows_the_devices_own_bits_too(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	msix_build_connected(rig, 70);
	device = fake_vfio_memory(rig->hw, 0, 0x20000);
	msix_mask(rig, 0, true);
	assert_true(msix_device_sends(rig, 0));
	device[PBA] = 0x04;
	device[PBA + 8] = 0xff; /* vectors 64 to 69, and two that are none */
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0x05);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 8, 8), 0x3f);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 8, 4), 0x3f);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 12, 4), 0);
}

static void pba_has_the_right_word(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 100, true);
	msix_bring_up(rig, 100);
	msix_control(rig, ENABLE | MASK);
	assert_true(msix_device_sends(rig, 33));
	assert_true(msix_device_sends(rig, 99));
	assert_int_equal(guest_bar_read(rig, 0, PBA, 4), 0);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 4, 4), 2);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 1ULL << 33);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 8, 8), 1ULL << 35);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 12, 4), 8);
}

static void message_changed_while_masked_counts_from_unmasking(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build_connected(rig, 4);
	msix_mask(rig, 0, true);
	msix_message(rig, 0, 0x55);
	assert_int_equal(rig->irqs.updates, 1);
	msix_mask(rig, 0, false);
	assert_int_equal(rig->irqs.updates, 2);
	assert_int_equal(rig->irqs.routes[msix_gsi(rig, 0)].data, 0x55);
	assert_true(msix_device_sends(rig, 0));
	assert_int_equal(msix_injected(rig, 0), 1);
}

static void message_changed_while_unmasked_is_safe(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build_connected(rig, 4);
	guest_bar_write(rig, 0, TABLE + PCI_MSIX_ENTRY_DATA, 4, 0x66);
	assert_true(msix_attached(rig, 0));
	assert_int_equal(rig->irqs.routes[msix_gsi(rig, 0)].data, 0x66);
	assert_int_equal(rig->irqs.detaches, 1);
	assert_false(rig->irqs.route_changed_live);
	guest_bar_write(rig, 0, TABLE + PCI_MSIX_ENTRY_DATA, 4, 0x66);
	assert_int_equal(rig->irqs.detaches, 1);
	assert_int_equal(rig->irqs.updates, 2);
}

/* --- leaving MSI-X --- */

static void disabling_leaves_nothing(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	msix_bring_up(rig, 4);
	msix_mask(rig, 1, true);
	assert_true(msix_device_sends(rig, 1));
	msix_control(rig, 0);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_int_equal(msix_last_set_irqs(rig)->count, 0);
	assert_int_equal(msix_last_set_irqs(rig)->flags,
			 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_false(rig->hw->irqs[INDEX].enabled);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	msix_control(rig, ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 3);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	msix_mask(rig, 1, false);
	assert_int_equal(rig->irqs.injected[msix_gsi(rig, 1)], 0);
	assert_true(msix_device_sends(rig, 1));
	assert_int_equal(msix_injected(rig, 1), 1);
	assert_int_equal(rig->irqs.updates, 1); /* the messages are the same */
}

static void detaching_gives_all_back(void **state)
{
	struct vfio_rig *rig = *state;

	msix_build(rig, 4, true);
	msix_bring_up(rig, 4);
	vfio_irq_detach(rig->dev);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_false(rig->hw->irqs[INDEX].enabled);
	assert_false(rig->dev->irq.gsis_allocated);
	for (unsigned i = 0; i < IRQ_GSI_LIMIT; i++)
		assert_false(i >= IRQ_GSI_MSI_BASE && rig->routes.state[i]);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 8, 8), 1ULL << 32);
	assert_int_equal(vfio_irq_attach(rig->dev), 0);
	msix_control(rig, 0);
	msix_bring_up(rig, 4);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(entries_start_out_masked_and_empty),
		TEST(table_is_memory_of_its_own),
		TEST(odd_accesses_are_ignored_and_said_once),
		TEST(pba_is_not_written),
		TEST(only_enable_and_mask_are_writable),
		TEST(table_is_as_large_as_the_hosts_vectors),
		TEST(without_vectors_there_is_no_capability),
		TEST(vector_is_connected_when_it_is_unmasked),
		TEST(address_has_64_bits),
		TEST(route_then_irqfd_then_vfio),
		TEST(without_resizing_all_vectors_are_sized_first),
		TEST(with_resizing_vectors_come_as_they_are_armed),
		TEST(vectors_2048_cost_one_table_update),
		TEST(vectors_2048_cost_one_table_update_with_resizing),
		TEST(few_fds_are_made_more),
		TEST(entry_without_a_message_is_not_connected),
		TEST(nothing_is_connected_before_enabling),
		TEST(masking_takes_off_only_the_irqfd),
		TEST(message_that_comes_while_masked_is_pending),
		TEST(delivered_message_is_not_pending_again),
		TEST(function_mask_masks_all),
		TEST(pba_shows_the_devices_own_bits_too),
		TEST(pba_has_the_right_word),
		TEST(message_changed_while_masked_counts_from_unmasking),
		TEST(message_changed_while_unmasked_is_safe),
		TEST(disabling_leaves_nothing),
		TEST(detaching_gives_all_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

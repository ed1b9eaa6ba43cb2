// SPDX-License-Identifier: GPL-2.0-only
/* MSI-X of a passed-through function: what the guest does to its table, and what VFIO and KVM are told for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "files.h"
#include "vfio_rig.h"

#define CAP    0x70
#define INDEX  VFIO_PCI_MSIX_IRQ_INDEX
#define ENABLE PCI_MSIX_FLAGS_ENABLE
#define MASK   PCI_MSIX_FLAGS_MASKALL
#define PBA    0x18000 /* in BAR 0, whose table is at 0x10000 */
#define TABLE  0x10000

/* BAR 0 with registers, table and PBA; the guest decodes it. */
static void build(struct vfio_rig *rig, unsigned vectors, bool noresize)
{
	fake_vfio_region(rig->hw, 0, 0x40000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, CAP, vectors, 0, TABLE, 0, PBA);
	if (!noresize)
		rig->hw->irqs[INDEX].flags &= ~(uint32_t)VFIO_IRQ_INFO_NORESIZE;
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	rig->hw->set_irqs_count = 0;
}

static void control(struct vfio_rig *rig, unsigned bits)
{
	guest_config_write(rig, CAP + PCI_MSIX_FLAGS, 2, bits);
}

static void message(struct vfio_rig *rig, unsigned vector, uint32_t data)
{
	uint64_t entry = TABLE + 16ULL * vector;

	guest_bar_write(rig, 0, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, RIG_DOORBELL);
	guest_bar_write(rig, 0, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	guest_bar_write(rig, 0, entry + PCI_MSIX_ENTRY_DATA, 4, data);
}

static void mask(struct vfio_rig *rig, unsigned vector, bool masked)
{
	guest_bar_write(rig, 0, TABLE + 16ULL * vector + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

static uint32_t gsi_of(const struct vfio_rig *rig, unsigned vector)
{
	return rig->dev->irq.first_gsi + vector;
}

static bool attached(const struct vfio_rig *rig, unsigned vector)
{
	return rig->dev->irq.gsis_allocated && rig->irqs.trigger[gsi_of(rig, vector)] >= 0;
}

static unsigned injected(struct vfio_rig *rig, unsigned vector)
{
	fake_irqs_run(&rig->irqs);
	return rig->irqs.injected[gsi_of(rig, vector)];
}

static bool device_sends(struct vfio_rig *rig, unsigned vector)
{
	return fake_vfio_trigger(rig->hw, INDEX, vector);
}

static const struct fake_vfio_set_irqs *last_set_irqs(const struct vfio_rig *rig)
{
	assert_true(rig->hw->set_irqs_count > 0);
	return &rig->hw->set_irqs[rig->hw->set_irqs_count - 1];
}

/* Enabled, one vector connected. */
static void build_connected(struct vfio_rig *rig, unsigned vectors)
{
	build(rig, vectors, true);
	control(rig, ENABLE);
	message(rig, 0, 0);
	mask(rig, 0, false);
}

/* --- the table --- */

static void entries_start_out_masked_and_empty(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 3, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(guest_bar_read(rig, 0, TABLE + 16 * i, 8), 0);
		assert_int_equal(guest_bar_read(rig, 0, TABLE + 16 * i + 8, 8), 1ULL << 32);
	}
}

static void table_is_memory_of_its_own(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	build(rig, 4, true);
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

	build(rig, 4, true);
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

	build(rig, 4, true);
	device = fake_vfio_memory(rig->hw, 0, 0x20000);
	guest_bar_write(rig, 0, PBA, 8, ~0ULL);
	assert_int_equal(device[PBA], 0);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
}

static void only_enable_and_mask_are_writable(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
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

	build(rig, 4, true);
	control(rig, ENABLE | MASK);
	message(rig, 2, 0x1234);
	mask(rig, 2, false);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	control(rig, ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 1);
	assert_true(attached(rig, 2));
	route = &rig->irqs.routes[gsi_of(rig, 2)];
	assert_int_equal(route->type, IRQ_ROUTE_MSI);
	assert_int_equal(route->address, RIG_DOORBELL);
	assert_int_equal(route->data, 0x1234);
	assert_int_equal(route->devid, RIG_DEVFN);
	assert_int_equal(rig->irqs.resample[gsi_of(rig, 2)], -1);
	assert_int_equal(rig->hw->irqs[INDEX].trigger[2], rig->irqs.trigger[gsi_of(rig, 2)]);
	assert_int_equal(injected(rig, 2), 0);
	assert_true(device_sends(rig, 2));
	assert_int_equal(injected(rig, 2), 1);
}

static void address_has_64_bits(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 1, true);
	control(rig, ENABLE);
	guest_bar_write(rig, 0, TABLE, 8, 0x0000008012345678);
	guest_bar_write(rig, 0, TABLE + 8, 8, 0x00000000aabbccdd);
	assert_int_equal(rig->irqs.routes[gsi_of(rig, 0)].address, 0x8012345678);
	assert_int_equal(rig->irqs.routes[gsi_of(rig, 0)].data, 0xaabbccdd);
	assert_true(attached(rig, 0));
}

/* KVM can only make it a vLPI if the route is there before the irqfd, and the irqfd before VFIO's end. */
static void route_then_irqfd_then_vfio(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned before;

	build(rig, 4, true);
	control(rig, ENABLE);
	message(rig, 1, 7);
	before = rig->hw->set_irqs_count;
	rig->irqs.log_count = 0;
	mask(rig, 1, false);
	assert_int_equal(rig->irqs.log_count, 2);
	assert_int_equal(rig->irqs.log[0].call, FAKE_SET_ROUTES);
	assert_int_equal(rig->irqs.log[0].set_irqs, before);
	assert_int_equal(rig->irqs.log[1].call, FAKE_ATTACH);
	assert_int_equal(rig->irqs.log[1].gsi, gsi_of(rig, 1));
	assert_int_equal(rig->irqs.log[1].set_irqs, before);
	assert_int_equal(rig->hw->set_irqs_count, before + 1);
	assert_int_equal(last_set_irqs(rig)->start, 1);
	assert_int_equal(last_set_irqs(rig)->count, 1);
	assert_int_equal(last_set_irqs(rig)->result, 0);
	assert_int_equal(last_set_irqs(rig)->flags,
			 VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
}

static void without_resizing_all_vectors_are_sized_first(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 16, true);
	control(rig, ENABLE | MASK);
	assert_int_equal(rig->hw->set_irqs_count, 1);
	assert_int_equal(last_set_irqs(rig)->start, 0);
	assert_int_equal(last_set_irqs(rig)->count, 16);
	assert_int_equal(last_set_irqs(rig)->first_fd, -1);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 16);
}

static void with_resizing_vectors_come_as_they_are_armed(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 16, false);
	control(rig, ENABLE);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 1);
	message(rig, 9, 1);
	mask(rig, 9, false);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 10);
	assert_int_equal(last_set_irqs(rig)->start, 9);
	assert_true(device_sends(rig, 9));
	assert_int_equal(injected(rig, 9), 1);
}

/* As Linux does it: all messages are written before the first vector is unmasked. */
static void bring_up(struct vfio_rig *rig, unsigned vectors)
{
	control(rig, ENABLE | MASK);
	for (unsigned i = 0; i < vectors; i++)
		mask(rig, i, true);
	for (unsigned i = 0; i < vectors; i++)
		message(rig, i, i);
	control(rig, ENABLE);
	for (unsigned i = 0; i < vectors; i++)
		mask(rig, i, false);
}

static void check_2048(struct vfio_rig *rig, bool noresize)
{
	build(rig, 2048, noresize);
	bring_up(rig, 2048);
	assert_int_equal(rig->irqs.updates, 1);
	assert_int_equal(rig->irqs.attaches, 2048);
	assert_int_equal(rig->irqs.detaches, 0);
	assert_int_equal(rig->hw->set_irqs_count, 2049);
	for (unsigned i = 0; i < 2048; i++) {
		assert_int_equal(rig->irqs.routes[gsi_of(rig, i)].data, i);
		assert_true(device_sends(rig, i));
	}
	fake_irqs_run(&rig->irqs);
	for (unsigned i = 0; i < 2048; i++)
		assert_int_equal(rig->irqs.injected[gsi_of(rig, i)], 1);
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
	build(*state, 100, true);
	bring_up(*state, 100);
	assert_int_equal(((struct vfio_rig *)*state)->irqs.attaches, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void entry_without_a_message_is_not_connected(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	control(rig, ENABLE);
	mask(rig, 0, false);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	message(rig, 0, 1);
	assert_true(attached(rig, 0));
	assert_int_equal(rig->irqs.routes[gsi_of(rig, 0)].data, 1);
}

static void nothing_is_connected_before_enabling(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	message(rig, 0, 1);
	mask(rig, 0, false);
	assert_int_equal(rig->hw->set_irqs_count, 0);
	assert_int_equal(rig->irqs.attaches, 0);
	control(rig, ENABLE);
	assert_true(attached(rig, 0));
}

/* --- masking --- */

static void masking_takes_off_only_the_irqfd(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned set_irqs;

	build_connected(rig, 4);
	set_irqs = rig->hw->set_irqs_count;
	mask(rig, 0, true);
	assert_false(attached(rig, 0));
	mask(rig, 0, false);
	assert_true(attached(rig, 0));
	assert_int_equal(rig->hw->set_irqs_count, set_irqs);
	assert_int_equal(rig->irqs.updates, 1);
}

static void message_that_comes_while_masked_is_pending(void **state)
{
	struct vfio_rig *rig = *state;

	build_connected(rig, 4);
	mask(rig, 0, true);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	assert_true(device_sends(rig, 0));
	assert_int_equal(injected(rig, 0), 0);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 1);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 4), 1);
	mask(rig, 0, false);
	assert_int_equal(rig->irqs.injected[gsi_of(rig, 0)], 1);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
}

static void delivered_message_is_not_pending_again(void **state)
{
	struct vfio_rig *rig = *state;

	build_connected(rig, 4);
	mask(rig, 0, true);
	assert_true(device_sends(rig, 0));
	mask(rig, 0, false);
	mask(rig, 0, true);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	mask(rig, 0, false);
	assert_int_equal(rig->irqs.injected[gsi_of(rig, 0)], 1);
}

static void function_mask_masks_all(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	bring_up(rig, 4);
	control(rig, ENABLE | MASK);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_true(device_sends(rig, 1));
	assert_true(device_sends(rig, 3));
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0xa);
	control(rig, ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 4);
	assert_int_equal(rig->irqs.injected[gsi_of(rig, 1)], 1);
	assert_int_equal(rig->irqs.injected[gsi_of(rig, 3)], 1);
	assert_int_equal(rig->irqs.injected[gsi_of(rig, 0)], 0);
}

static void pba_shows_the_devices_own_bits_too(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	build_connected(rig, 70);
	device = fake_vfio_memory(rig->hw, 0, 0x20000);
	mask(rig, 0, true);
	assert_true(device_sends(rig, 0));
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

	build(rig, 100, true);
	bring_up(rig, 100);
	control(rig, ENABLE | MASK);
	assert_true(device_sends(rig, 33));
	assert_true(device_sends(rig, 99));
	assert_int_equal(guest_bar_read(rig, 0, PBA, 4), 0);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 4, 4), 2);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 1ULL << 33);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 8, 8), 1ULL << 35);
	assert_int_equal(guest_bar_read(rig, 0, PBA + 12, 4), 8);
}

static void message_changed_while_masked_counts_from_unmasking(void **state)
{
	struct vfio_rig *rig = *state;

	build_connected(rig, 4);
	mask(rig, 0, true);
	message(rig, 0, 0x55);
	assert_int_equal(rig->irqs.updates, 1);
	mask(rig, 0, false);
	assert_int_equal(rig->irqs.updates, 2);
	assert_int_equal(rig->irqs.routes[gsi_of(rig, 0)].data, 0x55);
	assert_true(device_sends(rig, 0));
	assert_int_equal(injected(rig, 0), 1);
}

static void message_changed_while_unmasked_is_safe(void **state)
{
	struct vfio_rig *rig = *state;

	build_connected(rig, 4);
	guest_bar_write(rig, 0, TABLE + PCI_MSIX_ENTRY_DATA, 4, 0x66);
	assert_true(attached(rig, 0));
	assert_int_equal(rig->irqs.routes[gsi_of(rig, 0)].data, 0x66);
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

	build(rig, 4, true);
	bring_up(rig, 4);
	mask(rig, 1, true);
	assert_true(device_sends(rig, 1));
	control(rig, 0);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_int_equal(last_set_irqs(rig)->count, 0);
	assert_int_equal(last_set_irqs(rig)->flags,
			 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_false(rig->hw->irqs[INDEX].enabled);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	control(rig, ENABLE);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 3);
	assert_int_equal(guest_bar_read(rig, 0, PBA, 8), 0);
	mask(rig, 1, false);
	assert_int_equal(rig->irqs.injected[gsi_of(rig, 1)], 0);
	assert_true(device_sends(rig, 1));
	assert_int_equal(injected(rig, 1), 1);
	assert_int_equal(rig->irqs.updates, 1); /* the messages are the same */
}

static void detaching_gives_all_back(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	bring_up(rig, 4);
	vfio_irq_detach(rig->dev);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
	assert_false(rig->hw->irqs[INDEX].enabled);
	assert_false(rig->dev->irq.gsis_allocated);
	for (unsigned i = 0; i < IRQ_GSI_LIMIT; i++)
		assert_false(i >= IRQ_GSI_MSI_BASE && rig->routes.state[i]);
	assert_int_equal(guest_bar_read(rig, 0, TABLE + 8, 8), 1ULL << 32);
	assert_int_equal(vfio_irq_attach(rig->dev), 0);
	control(rig, 0);
	bring_up(rig, 4);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 4);
}

/* --- hosts and guests that fail --- */

static void too_few_host_vectors_are_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 16, true);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, -5, 0, 1); /* "I have five" */
	stderr_keep();
	bring_up(rig, 16);
	assert_reported("the host has 5 interrupt vectors for it, the guest wants 16");
	assert_int_equal(fake_irqs_attached(&rig->irqs), 5);
	assert_int_equal(rig->hw->irqs[INDEX].enabled_count, 5);
	assert_true(device_sends(rig, 4));
	assert_int_equal(injected(rig, 4), 1);
}

static void no_host_vector_is_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, ENOSPC, 0, 100);
	stderr_keep();
	bring_up(rig, 4);
	control(rig, 0);
	bring_up(rig, 4);
	assert_reported(RIG_BDF);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
}

static void vector_the_host_refuses_is_not_attached(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, false);
	fake_vfio_fail(VFIO_DEVICE_SET_IRQS, ENOSPC, 2, 1);
	stderr_keep();
	bring_up(rig, 4);
	assert_reported("the host does not give it an interrupt");
	assert_false(attached(rig, 1));
	assert_int_equal(fake_irqs_attached(&rig->irqs), 3);
}

/* The controller reports; a guest that goes on trying must not fill the terminal. */
static void refused_irqfd_is_tried_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	rig->irqs.fail_attach = ENOMEM;
	bring_up(rig, 4);
	control(rig, 0);
	bring_up(rig, 4);
	assert_int_equal(rig->irqs.failures, 1);
	vfio_irq_detach(rig->dev);
	assert_int_equal(vfio_irq_attach(rig->dev), 0);
	rig->irqs.fail_attach = 0;
	control(rig, 0);
	bring_up(rig, 4);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 4);
}

static void refused_table_is_tried_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	rig->irqs.fail_routes = ENOMEM;
	bring_up(rig, 4);
	assert_int_equal(rig->irqs.failures, 1);
	assert_int_equal(fake_irqs_attached(&rig->irqs), 0);
}

static void too_few_routes_name_device_and_number(void **state)
{
	struct vfio_rig *rig = *state;
	uint32_t gsi;

	build(rig, 2048, true);
	assert_int_equal(irq_routes_alloc(&rig->routes, 1100, &gsi), 0);
	stderr_keep();
	bring_up(rig, 16);
	assert_reported(RIG_BDF
			" wants 2048 interrupt vectors, 1972 are left of KVM's 4096 routes");
	assert_int_equal(rig->hw->set_irqs_count, 0);
	irq_routes_free(&rig->routes, gsi, 1100);
}

static void controller_without_msis_is_said_once(void **state)
{
	struct vfio_rig *rig = *state;

	build(rig, 4, true);
	rig->irqs.base.msi = false;
	stderr_keep();
	bring_up(rig, 4);
	control(rig, 0);
	bring_up(rig, 4);
	assert_reported("interrupt controller lacks");
	assert_int_equal(rig->hw->set_irqs_count, 0);
}

static void random_guest_breaks_nothing(void **state)
{
	struct vfio_rig *rig = *state;
	uint32_t seed = 7;

	build(rig, 80, true);
	stderr_keep();
	for (unsigned i = 0; i < 20000; i++) {
		unsigned size = 1u << (seed >> 29 & 3), offset = TABLE - 8 + (seed >> 8) % 1320;

		seed = seed * 1664525 + 1013904223;
		if (seed % 97 == 0)
			control(rig, seed >> 16);
		else if (seed % 7 == 0)
			guest_bar_read(rig, 0, PBA - 4 + (seed >> 10) % 24, size);
		else
			guest_bar_write(rig, 0, offset, size, seed * 0x9e3779b97f4a7c15ULL);
		if (seed % 11 == 0)
			device_sends(rig, (seed >> 12) % 80);
	}
	assert_reported(RIG_BDF);
	assert_false(rig->irqs.route_changed_live);
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
		TEST(too_few_host_vectors_are_said_once),
		TEST(no_host_vector_is_said_once),
		TEST(vector_the_host_refuses_is_not_attached),
		TEST(refused_irqfd_is_tried_once),
		TEST(refused_table_is_tried_once),
		TEST(too_few_routes_name_device_and_number),
		TEST(controller_without_msis_is_said_once),
		TEST(random_guest_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

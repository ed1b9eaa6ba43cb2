// SPDX-License-Identifier: GPL-2.0-only
/* The header of a passed-through function, and what its power states do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "files.h"
#include "vfio_rig.h"

static uint32_t hw_get(const struct vfio_rig *rig, unsigned offset, unsigned size)
{
	return fake_vfio_config_get(rig->hw, offset, size);
}

static void hw_put(struct vfio_rig *rig, unsigned offset, unsigned size, uint32_t value)
{
	fake_vfio_config_put(rig->hw, offset, size, value);
}

/* --- the header --- */

static void identity_is_the_devices(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_SUBSYSTEM_VENDOR_ID, 4, 0xaabbccdd);
	hw_put(rig, PCI_MIN_GNT, 2, 0x1234);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_VENDOR_ID, 4), 0x10d38086);
	assert_int_equal(guest_config_read(rig, PCI_CLASS_REVISION, 4), 0x02000001);
	assert_int_equal(guest_config_read(rig, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xaabbccdd);
	assert_int_equal(guest_config_read(rig, PCI_MIN_GNT, 2), 0x1234);
	guest_config_write(rig, PCI_VENDOR_ID, 4, 0);
	guest_config_write(rig, PCI_CLASS_REVISION, 4, 0);
	guest_config_write(rig, PCI_SUBSYSTEM_VENDOR_ID, 4, 0);
	assert_int_equal(guest_config_read(rig, PCI_VENDOR_ID, 4), 0x10d38086);
	assert_int_equal(guest_config_read(rig, PCI_CLASS_REVISION, 4), 0x02000001);
	assert_int_equal(hw_get(rig, PCI_VENDOR_ID, 4), 0x10d38086);
	assert_int_equal(hw_get(rig, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xaabbccdd);
}

static void hosts_multi_function_bit_and_bist_are_hidden(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_HEADER_TYPE, 1, 0x80);
	hw_put(rig, PCI_BIST, 1, 0x80);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_HEADER_TYPE, 2), 0);
	guest_config_write(rig, PCI_BIST, 1, PCI_BIST_START);
	assert_int_equal(rig_config_writes(rig, PCI_BIST), 0);
}

static void command_is_the_guests_and_decode_the_hosts(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	hw_put(rig, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_SERR);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_COMMAND, 2), 0);
	assert_int_equal(hw_get(rig, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	guest_command(rig, 0xffff);
	assert_int_equal(guest_config_read(rig, PCI_COMMAND, 2), 0x0547);
	assert_int_equal(hw_get(rig, PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	guest_command(rig, 0);
	assert_int_equal(guest_config_read(rig, PCI_COMMAND, 2), 0);
	assert_int_equal(hw_get(rig, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void io_decoding_is_on_where_there_are_ports(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 2, 32, RIG_TRAP, PCI_BASE_ADDRESS_SPACE_IO);
	rig_build(rig);
	assert_int_equal(hw_get(rig, PCI_COMMAND, 2), PCI_COMMAND_IO);
}

static void command_is_not_written_again_for_nothing(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned writes;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MASTER);
	writes = rig_config_writes(rig, PCI_COMMAND);
	guest_command(rig, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	guest_command(rig, PCI_COMMAND_MASTER | PCI_COMMAND_SERR);
	assert_int_equal(rig_config_writes(rig, PCI_COMMAND), writes);
}

static void sync_restores_the_devices_command(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MASTER);
	hw_put(rig, PCI_COMMAND, 2, 0); /* a reset */
	vfio_config_sync(rig->dev);
	assert_int_equal(hw_get(rig, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void status_is_live_but_for_the_list(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_STATUS, 2, PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
	hw_put(rig, PCI_STATUS, 2, PCI_STATUS_CAP_LIST | PCI_STATUS_REC_MASTER_ABORT);
	assert_int_equal(guest_config_read(rig, PCI_COMMAND, 4),
			 (uint32_t)PCI_STATUS_REC_MASTER_ABORT << 16);
	assert_int_equal(guest_config_read(rig, PCI_STATUS + 1, 1),
			 PCI_STATUS_REC_MASTER_ABORT >> 8);
	assert_int_equal(guest_config_read(rig, PCI_CAPABILITY_LIST, 1), 0);
	guest_config_write(rig, PCI_STATUS, 2, 0xffff);
	assert_int_equal(rig_config_writes(rig, PCI_STATUS), 0);
}

static void interrupt_line_is_the_guests(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_INTERRUPT_LINE, 1, 0x33);
	hw_put(rig, PCI_INTERRUPT_PIN, 1, 3);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_INTERRUPT_LINE, 2), 0x0300);
	guest_config_write(rig, PCI_INTERRUPT_LINE, 2, 0xffff);
	assert_int_equal(guest_config_read(rig, PCI_INTERRUPT_LINE, 2), 0x03ff);
	assert_int_equal(hw_get(rig, PCI_INTERRUPT_LINE, 1), 0x33);
}

static void pin_is_gone_where_intx_is(void **state)
{
	struct vfio_rig *rig = *state;

	rig->hw->irqs[VFIO_PCI_INTX_IRQ_INDEX].count = 0;
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_INTERRUPT_PIN, 1), 0);
}

static void pin_that_is_none_is_gone(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_INTERRUPT_PIN, 1, 5);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_INTERRUPT_PIN, 1), 0);
}

static void option_rom_is_hidden(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_ROM_ADDRESS, 4, 0xfff00001);
	rig_build(rig);
	guest_config_write(rig, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(guest_config_read(rig, PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(rig_config_writes(rig, PCI_ROM_ADDRESS), 0);
}

/* --- devices that are none --- */

static void bridge_is_refused(void **state)
{
	struct vfio_rig *rig = *state;

	hw_put(rig, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE);
	stderr_keep();
	assert_int_equal(rig_try_build(rig), -EINVAL);
	assert_reported(RIG_BDF " is a bridge");
}

static void silent_device_is_refused(void **state)
{
	struct vfio_rig *rig = *state;

	memset(rig->hw->config, 0xff, 4096);
	stderr_keep();
	assert_int_equal(rig_try_build(rig), -EIO);
	assert_reported(RIG_BDF " does not answer");
}

static void unreadable_device_is_refused(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_fail(FAKE_VFIO_PREAD, EIO, 0, 1);
	stderr_keep();
	assert_int_equal(rig_try_build(rig), -EIO);
	assert_reported("cannot read the configuration space of " RIG_BDF);
}

static void device_that_vanishes_reads_as_ones(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	rig_build(rig);
	fake_vfio_fail(FAKE_VFIO_PREAD, EIO, 0, 3);
	assert_int_equal(guest_config_read(rig, 0x44, 4), 0xffffffff);
	assert_int_equal(guest_config_read(rig, 0x44, 2), 0xffff);
	assert_int_equal(guest_config_read(rig, 0x44, 1), 0xff);
	assert_int_equal(guest_config_read(rig, PCI_VENDOR_ID, 2), 0x8086);
}

/* --- power management --- */

static void d3_traps_the_bars_before_the_device_leaves(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 1);
	guest_config_write(rig, 0x44, 2, 3);
	assert_int_equal(hw_get(rig, 0x44, 2), 3);
	assert_int_equal(rig_slots(rig), 0);
	guest_config_write(rig, 0x44, 2, 0);
	assert_int_equal(rig_slots(rig), 1);
	guest_config_write(rig, 0x44, 2, 0);
	assert_int_equal(rig_slots(rig), 1);
}

static void bar_decoded_in_d3_is_mapped_in_d0(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	rig_build(rig);
	guest_config_write(rig, 0x44, 4, 3);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 0);
	guest_config_write(rig, 0x44, 1, 0);
	assert_int_equal(rig_slots(rig), 1);
	guest_config_write(rig, 0x44, 1, 1);
	guest_command(rig, 0);
	guest_config_write(rig, 0x44, 1, 0);
	assert_int_equal(rig_slots(rig), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_is_the_devices),
		TEST(hosts_multi_function_bit_and_bist_are_hidden),
		TEST(command_is_the_guests_and_decode_the_hosts),
		TEST(io_decoding_is_on_where_there_are_ports),
		TEST(command_is_not_written_again_for_nothing),
		TEST(sync_restores_the_devices_command),
		TEST(status_is_live_but_for_the_list),
		TEST(interrupt_line_is_the_guests),
		TEST(pin_is_gone_where_intx_is),
		TEST(pin_that_is_none_is_gone),
		TEST(option_rom_is_hidden),
		TEST(bridge_is_refused),
		TEST(silent_device_is_refused),
		TEST(unreadable_device_is_refused),
		TEST(device_that_vanishes_reads_as_ones),
		TEST(d3_traps_the_bars_before_the_device_leaves),
		TEST(bar_decoded_in_d3_is_mapped_in_d0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* What of a passed-through function's BARs the guest reaches directly, and what is trapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "files.h"
#include "vfio_rig.h"

#define PAGE  0x1000u
#define MEM64 PCI_BASE_ADDRESS_MEM_TYPE_64

/* [offset, offset + size) of the BAR is the device's own memory to the guest, in one slot of just that. */
static void assert_mapped(struct vfio_rig *rig, unsigned bar, uint64_t offset, uint64_t size)
{
	uint64_t gpa = pci_bar_address(rig->function, bar) + offset;
	const struct kvm_userspace_memory_region *slot = rig_slot_at(rig, gpa);
	volatile uint32_t *device =
		(void *)(fake_vfio_memory(rig->hw, bar, offset + size) + offset);

	assert_non_null(slot);
	assert_int_equal(slot->guest_phys_addr, gpa);
	assert_int_equal(slot->memory_size, size);
	assert_int_equal(slot->flags, 0);
	*(volatile uint32_t *)(uintptr_t)slot->userspace_addr = 0xfeed0000 + (uint32_t)offset;
	assert_int_equal(*device, 0xfeed0000 + (uint32_t)offset);
}

static void assert_trapped(struct vfio_rig *rig, unsigned bar, uint64_t offset)
{
	assert_null(rig_slot_at(rig, pci_bar_address(rig->function, bar) + offset));
}

/* --- mapping --- */

static void memory_bar_is_mapped_while_decoded(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x20000, RIG_MMAP, 0);
	rig_build(rig);
	assert_int_equal(rig_slots(rig), 0);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 1);
	assert_mapped(rig, 0, 0, 0x20000);
	guest_command(rig, 0);
	assert_int_equal(rig_slots(rig), 0);
}

static void bar_moves_with_its_slot(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x20000, RIG_MMAP, 0);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0x60000000);
	assert_int_equal(rig_slots(rig), 1);
	assert_mapped(rig, 0, 0, 0x20000);
	assert_non_null(rig_slot_at(rig, 0x60000000));
}

static void flags_come_from_the_device(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, MEM64);
	fake_vfio_region(rig->hw, 2, 0x100000000, RIG_MMAP, MEM64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	fake_vfio_region(rig->hw, 4, 0x40, RIG_TRAP, PCI_BASE_ADDRESS_SPACE_IO);
	fake_vfio_region(rig->hw, 5, 0x1000, RIG_MMAP, 0);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_0, 4) & 0xf, MEM64);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_2, 4) & 0xf,
			 MEM64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_4, 4) & 0x3,
			 PCI_BASE_ADDRESS_SPACE_IO);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_5, 4) & 0xf, 0);
	assert_true(pci_bar_address(rig->function, 2) >= 0x100000000);
	guest_command(rig, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	assert_mapped(rig, 0, 0, 0x4000);
	assert_mapped(rig, 2, 0, 0x100000000);
	assert_mapped(rig, 5, 0, 0x1000);
	assert_int_equal(rig_slots(rig), 3);
}

static void region_without_mmap_is_trapped(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	fake_vfio_region(rig->hw, 1, 0x1000, RIG_TRAP, 0);
	rig_build(rig);
	device = fake_vfio_memory(rig->hw, 1, 0x1000);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 0);
	memcpy(device + 0x10, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	assert_int_equal(guest_bar_read(rig, 1, 0x10, 1), 0x11);
	assert_int_equal(guest_bar_read(rig, 1, 0x10, 2), 0x2211);
	assert_int_equal(guest_bar_read(rig, 1, 0x10, 4), 0x44332211);
	assert_int_equal(guest_bar_read(rig, 1, 0x10, 8), 0x8877665544332211);
	guest_bar_write(rig, 1, 0xffc, 4, 0xaabbccdd);
	assert_memory_equal(device + 0xffc, "\xdd\xcc\xbb\xaa", 4);
	guest_bar_write(rig, 1, 0xff8, 2, 0xffff1234);
	assert_memory_equal(device + 0xff8, "\x34\x12\0\0", 4);
}

static void mmap_that_fails_means_trapping(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_fail(FAKE_VFIO_MMAP, ENOMEM, 0, 1);
	stderr_keep();
	rig_build(rig);
	assert_reported("cannot map BAR 0 of " RIG_BDF);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 0);
	guest_bar_write(rig, 0, 0x3ff8, 8, 0x0102030405060708);
	assert_int_equal(guest_bar_read(rig, 0, 0x3ff8, 8), 0x0102030405060708);
}

static void io_ports_are_trapped(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	fake_vfio_region(rig->hw, 0, 8, RIG_TRAP, PCI_BASE_ADDRESS_SPACE_IO);
	rig_build(rig);
	device = fake_vfio_memory(rig->hw, 0, 8);
	guest_command(rig, PCI_COMMAND_IO);
	guest_bar_write(rig, 0, 4, 2, 0xbeef);
	assert_memory_equal(device + 4, "\xef\xbe", 2);
	assert_int_equal(guest_bar_read(rig, 0, 5, 1), 0xbe);
	assert_int_equal(rig_slots(rig), 0);
}

static void device_that_does_not_answer_reads_as_ones(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x1000, RIG_TRAP, 0);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	fake_vfio_fail(FAKE_VFIO_PREAD, EIO, 0, 1);
	assert_int_equal(guest_bar_read(rig, 0, 0, 4) & 0xffffffff, 0xffffffff);
	fake_vfio_fail(FAKE_VFIO_PWRITE, EIO, 0, 1);
	guest_bar_write(rig, 0, 0, 4, 1);
	assert_int_equal(guest_bar_read(rig, 0, 0, 4), 0);
}

static void accesses_are_bounded_by_the_region(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned accesses;

	fake_vfio_region(rig->hw, 0, 0x1000, RIG_TRAP, 0);
	rig_build(rig);
	accesses = rig->hw->accesses_count;
	assert_int_equal(vfio_region_read(rig->dev, 0, 0xffd, 4), ~0ULL);
	assert_int_equal(vfio_region_read(rig->dev, 0, ~0ULL, 4), ~0ULL);
	assert_int_equal(vfio_region_read(rig->dev, 1, 0, 1), ~0ULL);
	vfio_region_write(rig->dev, 0, 0xffd, 4, 0);
	vfio_region_write(rig->dev, 0, ~0ULL, 4, 0);
	assert_int_equal(rig->hw->accesses_count, accesses);
}

static void slot_that_fails_is_all_or_nothing(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 8, 0, 0x1000, 0, 0x1800);
	rig_build(rig);
	fake_kvm_fail(KVM_SET_USER_MEMORY_REGION, ENOMEM, 1, 1);
	stderr_keep();
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_reported("KVM does not map");
	assert_int_equal(rig_slots(rig), 0);
}

/* --- smaller than a page --- */

static void small_bar_gets_a_page_of_its_own(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x100, RIG_MMAP, 0);
	rig_build(rig);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0x50000000);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_mapped(rig, 0, 0, PAGE);
}

static void small_bar_that_cannot_be_mapped_keeps_its_size(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x100, RIG_TRAP, 0);
	rig_build(rig);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_0, 4), 0xffffff00);
}

static void on_a_64k_host_everything_is_rounded_to_64k(void **state)
{
	struct vfio_rig *rig = *state;

	rig->host->page_size = 0x10000;
	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_region(rig->hw, 1, 0x40000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 8, 1, 0x18000, 1, 0x19000);
	rig_build(rig);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_0, 4), 0xffff0000);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0x50000000);
	guest_config_write(rig, PCI_BASE_ADDRESS_1, 4, 0x50100000);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 3);
	assert_mapped(rig, 0, 0, 0x10000);
	assert_mapped(rig, 1, 0, 0x10000);
	assert_mapped(rig, 1, 0x20000, 0x20000);
	assert_trapped(rig, 1, 0x10000);
}

/* The page's other registers are the device's, of the page's table the rest is nobody's. */
static void small_bar_with_the_table_is_trapped_and_keeps_its_size(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x200, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 2, 0, 0x100, 0, 0x180);
	rig_build(rig);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_0, 4), 0xfffffe00);
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0x50000000);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 0);
	guest_bar_write(rig, 0, 0x10, 4, 0x1234);
	assert_memory_equal(fake_vfio_memory(rig->hw, 0, 0x20) + 0x10, "\x34\x12\0\0", 4);
}

static void bar_off_a_page_is_trapped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x1000, RIG_MMAP, 0);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	rig->host->page_size = 0x10000; /* stands for any address off a page */
	guest_config_write(rig, PCI_BASE_ADDRESS_0, 4, 0x50001000);
	assert_int_equal(rig_slots(rig), 0);
	guest_bar_write(rig, 0, 0, 4, 7);
	assert_int_equal(guest_bar_read(rig, 0, 0, 4), 7);
	rig->host->page_size = PAGE;
}

/* --- around the MSI-X table and PBA --- */

/* As NVMe has it: registers, doorbells, table and PBA in BAR 0. */
static void table_among_registers_is_cut_out(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x8000, RIG_MMAP, MEM64);
	rig->hw->regions[0].msix_mappable = true;
	fake_vfio_msix(rig->hw, 0x70, 65, 0, 0x2000, 0, 0x5000);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 3);
	assert_mapped(rig, 0, 0, 0x2000);
	assert_trapped(rig, 0, 0x2000);
	assert_mapped(rig, 0, 0x3000, 0x2000);
	assert_trapped(rig, 0, 0x5000);
	assert_mapped(rig, 0, 0x6000, 0x2000);
}

static void registers_in_the_tables_page_still_work(void **state)
{
	struct vfio_rig *rig = *state;
	uint8_t *device;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 4, 0, 0x1000, 0, 0x1800);
	rig_build(rig);
	device = fake_vfio_memory(rig->hw, 0, 0x4000);
	guest_command(rig, PCI_COMMAND_MEMORY);
	guest_bar_write(rig, 0, 0x1040, 4, 0x600df00d);
	assert_memory_equal(device + 0x1040, "\x0d\xf0\x0d\x60", 4);
	guest_bar_write(rig, 0, 0x1030, 4, 0x600df00d); /* the last entry */
	assert_memory_equal(device + 0x1030, "\0\0\0\0", 4);
}

static void large_table_takes_all_its_pages(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x40000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 2048, 0, 0x10800, 0, 0x30000);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_mapped(rig, 0, 0, 0x10000);
	for (unsigned at = 0x10000; at < 0x19000; at += PAGE)
		assert_trapped(rig, 0, at);
	assert_mapped(rig, 0, 0x19000, 0x17000);
	assert_trapped(rig, 0, 0x30000);
	assert_mapped(rig, 0, 0x31000, 0xf000);
}

static void pba_below_the_table_and_across_pages(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x10000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 128, 0, 0x8000, 0, 0x1ff8);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 3);
	assert_mapped(rig, 0, 0, 0x1000);
	assert_mapped(rig, 0, 0x3000, 0x5000);
	assert_mapped(rig, 0, 0x9000, 0x7000);
}

static void table_and_pba_in_different_bars(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_region(rig->hw, 3, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 8, 3, 0, 0, 0x3000);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 2);
	assert_mapped(rig, 0, 0, 0x3000);
	assert_trapped(rig, 0, 0x3000);
	assert_trapped(rig, 3, 0);
	assert_mapped(rig, 3, 0x1000, 0x3000);
}

static void bar_of_nothing_but_table_and_pba_is_trapped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 3, 0x2000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 8, 3, 0, 3, 0x1000);
	stderr_keep();
	rig_build(rig);
	assert_string_equal(stderr_text(), "");
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 0);
}

static void check_hidden(struct vfio_rig *rig)
{
	stderr_keep();
	rig_build(rig);
	assert_reported("MSI-X is hidden");
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_mapped(rig, 0, 0, 0x4000);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSIX), 0);
	assert_int_equal(rig->dev->irq.vectors_count, 0);
}

static void table_beyond_its_bar_hides_msix(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 8, 0, 0x3ff0, 0, 0);
	check_hidden(rig);
}

static void pba_beyond_its_bar_hides_msix(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 65, 0, 0, 0, 0x3ff8);
	check_hidden(rig);
}

static void table_in_no_bar_hides_msix(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x70, 8, 7, 0, 0, 0);
	check_hidden(rig);
}

/* --- what VFIO says --- */

static void sparse_areas_are_what_is_mapped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x10000, RIG_MMAP, 0);
	rig->hw->regions[0].sparse[0] = (struct vfio_region_sparse_mmap_area){ 0, 0x2000 };
	rig->hw->regions[0].sparse[1] = (struct vfio_region_sparse_mmap_area){ 0x4000, 0x8000 };
	rig->hw->regions[0].sparse_count = 2;
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 2);
	assert_mapped(rig, 0, 0, 0x2000);
	assert_trapped(rig, 0, 0x2000);
	assert_mapped(rig, 0, 0x4000, 0x8000);
	assert_trapped(rig, 0, 0xc000);
}

static void sparse_areas_are_cut_and_rounded(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x10000, RIG_MMAP, 0);
	rig->hw->regions[0].sparse[0] = (struct vfio_region_sparse_mmap_area){ 0x800, 0x3000 };
	rig->hw->regions[0].sparse[1] = (struct vfio_region_sparse_mmap_area){ 0x4000, 0x8000 };
	rig->hw->regions[0].sparse[2] = (struct vfio_region_sparse_mmap_area){ 0xf000, 0x8000 };
	rig->hw->regions[0].sparse_count = 3;
	rig->hw->regions[0].msix_mappable = true;
	fake_vfio_msix(rig->hw, 0x70, 8, 0, 0x6000, 0, 0x1000);
	stderr_keep();
	rig_build(rig);
	assert_string_equal(stderr_text(), "");
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 3);
	assert_trapped(rig, 0, 0);
	assert_trapped(rig, 0, 0x1000);
	assert_mapped(rig, 0, 0x2000, 0x1000);
	assert_trapped(rig, 0, 0x3000);
	assert_mapped(rig, 0, 0x4000, 0x2000);
	assert_trapped(rig, 0, 0x6000);
	assert_mapped(rig, 0, 0x7000, 0x5000);
	assert_trapped(rig, 0, 0xf000);
}

static void no_sparse_area_means_no_mapping(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x10000, RIG_MMAP, 0);
	rig->hw->regions[0].sparse[0] = (struct vfio_region_sparse_mmap_area){ 0, 0 };
	rig->hw->regions[0].sparse_count = 1;
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), 0);
}

static void areas_beyond_the_limit_are_trapped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x100000, RIG_MMAP, 0);
	for (unsigned i = 0; i < 8; i++)
		rig->hw->regions[0].sparse[i] =
			(struct vfio_region_sparse_mmap_area){ 0x10000 * i, 0x8000 };
	rig->hw->regions[0].sparse_count = 8;
	fake_vfio_msix(rig->hw, 0x70, 8, 0, 0x2000, 0, 0x5000);
	rig_build(rig);
	guest_command(rig, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_slots(rig), VFIO_AREAS);
	assert_trapped(rig, 0, 0x70000);
	guest_bar_write(rig, 0, 0x70000, 4, 9);
	assert_int_equal(guest_bar_read(rig, 0, 0x70000, 4), 9);
}

static void region_vfio_does_not_know_is_not_there(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_fail(VFIO_DEVICE_GET_REGION_INFO, EINVAL, 1, 1);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_BASE_ADDRESS_0, 4), 0);
}

static void query_that_fails_is_reported(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_fail(VFIO_DEVICE_GET_REGION_INFO, EIO, 3, 1);
	stderr_keep();
	assert_int_equal(rig_try_build(rig), -EIO);
	assert_reported("cannot query region 2 of " RIG_BDF);
}

static void bar_of_a_strange_size_is_refused(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x3000, RIG_TRAP, 0);
	stderr_keep();
	assert_int_equal(rig_try_build(rig), -EINVAL);
	assert_reported(RIG_BDF ": BAR 0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_bar_is_mapped_while_decoded),
		TEST(bar_moves_with_its_slot),
		TEST(flags_come_from_the_device),
		TEST(region_without_mmap_is_trapped),
		TEST(mmap_that_fails_means_trapping),
		TEST(io_ports_are_trapped),
		TEST(device_that_does_not_answer_reads_as_ones),
		TEST(accesses_are_bounded_by_the_region),
		TEST(slot_that_fails_is_all_or_nothing),
		TEST(small_bar_gets_a_page_of_its_own),
		TEST(small_bar_that_cannot_be_mapped_keeps_its_size),
		TEST(on_a_64k_host_everything_is_rounded_to_64k),
		TEST(small_bar_with_the_table_is_trapped_and_keeps_its_size),
		TEST(bar_off_a_page_is_trapped),
		TEST(table_among_registers_is_cut_out),
		TEST(registers_in_the_tables_page_still_work),
		TEST(large_table_takes_all_its_pages),
		TEST(pba_below_the_table_and_across_pages),
		TEST(table_and_pba_in_different_bars),
		TEST(bar_of_nothing_but_table_and_pba_is_trapped),
		TEST(table_beyond_its_bar_hides_msix),
		TEST(pba_beyond_its_bar_hides_msix),
		TEST(table_in_no_bar_hides_msix),
		TEST(sparse_areas_are_what_is_mapped),
		TEST(sparse_areas_are_cut_and_rounded),
		TEST(no_sparse_area_means_no_mapping),
		TEST(areas_beyond_the_limit_are_trapped),
		TEST(region_vfio_does_not_know_is_not_there),
		TEST(query_that_fails_is_reported),
		TEST(bar_of_a_strange_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The capabilities a guest finds in a passed-through function, and what it can do with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vfio_rig.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static uint32_t hw_get(const struct vfio_rig *rig, unsigned offset, unsigned size)
{
	return fake_vfio_config_get(rig->hw, offset, size);
}

static void hw_put(struct vfio_rig *rig, unsigned offset, unsigned size, uint32_t value)
{
	fake_vfio_config_put(rig->hw, offset, size, value);
}

/* --- capabilities --- */

static void capabilities_that_guests_use_survive(void **state)
{
	struct vfio_rig *rig = *state;
	static const uint8_t ids[] = { PCI_CAP_ID_PM,   PCI_CAP_ID_VPD,  PCI_CAP_ID_VNDR,
				       PCI_CAP_ID_SATA, PCI_CAP_ID_PCIX, PCI_CAP_ID_AF };

	for (unsigned i = 0; i < sizeof(ids); i++)
		fake_vfio_capability(rig->hw, (uint8_t)(0x40 + 0x10 * i), ids[i]);
	hw_put(rig, 0x40 + 0x10 * 2 + PCI_CAP_FLAGS, 1, 0x10); /* length of VNDR */
	rig_build(rig);
	for (unsigned i = 0; i < sizeof(ids); i++)
		assert_int_equal(guest_capability(rig, ids[i]), 0x40 + 0x10 * i);
}

static void hosts_capabilities_are_unlinked(void **state)
{
	struct vfio_rig *rig = *state;
	static const uint8_t hidden[] = {
		PCI_CAP_ID_AGP,   PCI_CAP_ID_HT, PCI_CAP_ID_SLOTID, PCI_CAP_ID_SHPC, PCI_CAP_ID_EA,
		PCI_CAP_ID_CHSWP, 0x7f
	};

	for (unsigned i = 0; i < sizeof(hidden); i++) {
		hw_put(rig, 0x40 + 0x18 * i, 4, 0xffffffff);
		fake_vfio_capability(rig->hw, (uint8_t)(0x40 + 0x18 * i), hidden[i]);
		if (i == 3)
			fake_vfio_capability(rig->hw, 0xf0, PCI_CAP_ID_PM);
	}
	rig_build(rig);
	for (unsigned i = 0; i < sizeof(hidden); i++) {
		assert_int_equal(guest_capability(rig, hidden[i]), 0);
		assert_int_equal(guest_config_read(rig, 0x40 + 0x18 * i, 4), 0);
		guest_config_write(rig, 0x40 + 0x18 * i, 4, 0x12345678);
		assert_int_equal(rig_config_writes(rig, 0x40 + 0x18 * i), 0);
	}
	assert_int_equal(guest_config_read(rig, PCI_CAPABILITY_LIST, 1), 0xf0);
	assert_int_equal(guest_config_read(rig, 0xf1, 1), 0);
}

static void list_ends_where_it_loops(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	fake_vfio_capability(rig->hw, 0x50, PCI_CAP_ID_VPD);
	hw_put(rig, 0x51, 1, 0x40);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, PCI_CAPABILITY_LIST, 1), 0x40);
	assert_int_equal(guest_config_read(rig, 0x41, 1), 0x50);
	assert_int_equal(guest_config_read(rig, 0x51, 1), 0);
}

static void list_ends_where_it_leads_into_the_header(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	hw_put(rig, 0x41, 1, PCI_CACHE_LINE_SIZE);
	hw_put(rig, PCI_CACHE_LINE_SIZE, 1, PCI_CAP_ID_VPD);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x41, 1), 0);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_PM), 0x40);
}

static void capability_over_another_is_dropped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	fake_vfio_capability(rig->hw, 0x44, PCI_CAP_ID_VPD);
	fake_vfio_capability(rig->hw, 0x48, PCI_CAP_ID_AF);
	rig_build(rig);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_PM), 0x40);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_VPD), 0);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_AF), 0x48);
}

static void capability_beyond_the_space_is_dropped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_msix(rig->hw, 0xf8, 4, 0, 0, 0, 0x800);
	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_capability(rig->hw, 0xfc, PCI_CAP_ID_VNDR);
	rig_build(rig);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSIX), 0);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_VNDR), 0);
	assert_int_equal(rig->dev->irq.msix_cap, 0);
	assert_int_equal(rig->dev->irq.vectors_count, 0);
}

static void interrupts_whose_capability_is_dropped_are_not_used(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	fake_vfio_msi(rig->hw, 0x44, 4, true, true);
	fake_vfio_capability(rig->hw, 0x60, PCI_CAP_ID_VPD);
	fake_vfio_msix(rig->hw, 0x64, 4, 0, 0, 0, 0x800);
	rig_build(rig);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSI), 0);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSIX), 0);
	assert_int_equal(rig->dev->irq.msi_cap | rig->dev->irq.msix_cap, 0);
	assert_int_equal(rig->dev->irq.vectors_count, 0);
}

static void second_msix_capability_is_dropped(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_region(rig->hw, 0, 0x4000, RIG_MMAP, 0);
	fake_vfio_msix(rig->hw, 0x40, 4, 0, 0, 0, 0x800);
	fake_vfio_msix(rig->hw, 0x60, 4, 0, 0x1000, 0, 0x1800);
	rig_build(rig);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_MSIX), 0x40);
	assert_int_equal(guest_config_read(rig, 0x41, 1), 0);
	assert_int_equal(guest_config_read(rig, 0x60, 4), 0);
}

static void registers_between_capabilities_are_live(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_PM);
	hw_put(rig, 0xe0, 4, 0x11223344);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0xe0, 4), 0x11223344);
	guest_config_write(rig, 0xe1, 1, 0x99);
	assert_int_equal(hw_get(rig, 0xe0, 4), 0x11229944);
	guest_config_write(rig, 0xe2, 2, 0x5566);
	assert_int_equal(hw_get(rig, 0xe0, 4), 0x55669944);
}

/* VPD's address register acts on being written: a write to all four bytes is one of the two that are its. */
static void live_registers_are_written_once_and_whole(void **state)
{
	struct vfio_rig *rig = *state;
	const struct fake_vfio_access *access;
	unsigned count;

	fake_vfio_capability(rig->hw, 0x40, PCI_CAP_ID_VPD);
	rig_build(rig);
	count = rig->hw->accesses_count;
	guest_config_write(rig, 0x40, 4, 0x8004ffff);
	assert_int_equal(rig->hw->accesses_count, count + 1);
	access = &rig->hw->accesses[count];
	assert_true(access->write);
	assert_int_equal(access->offset, 0x40 + PCI_VPD_ADDR);
	assert_int_equal(access->size, 2);
	assert_int_equal(access->value, 0x8004);
	assert_int_equal(guest_config_read(rig, 0x40, 1), PCI_CAP_ID_VPD);
	hw_put(rig, 0x40 + PCI_VPD_DATA, 4, 0xcafebabe);
	assert_int_equal(guest_config_read(rig, 0x40 + PCI_VPD_DATA, 4), 0xcafebabe);
}

static void vendor_capability_is_live(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x50, PCI_CAP_ID_VNDR);
	hw_put(rig, 0x52, 1, 0x14);
	hw_put(rig, 0x53, 1, 5);
	hw_put(rig, 0x58, 4, 0x1000);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x50, 4), 0x05140009);
	assert_int_equal(guest_config_read(rig, 0x58, 4), 0x1000);
	guest_config_write(rig, 0x60, 4, 0x77);
	assert_int_equal(hw_get(rig, 0x60, 4), 0x77);
}

/* --- PCI Express --- */

static void endpoint_becomes_an_integrated_one(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned pos;

	rig_pcie(rig, 0x70);
	rig_build(rig);
	pos = guest_capability(rig, PCI_CAP_ID_EXP);
	assert_int_equal(pos, 0x70);
	assert_int_equal(guest_config_read(rig, pos + PCI_EXP_FLAGS, 2),
			 PCI_EXP_TYPE_RC_END << 4 | 2);
	for (unsigned at = PCI_EXP_LNKCAP; at < PCI_EXP_DEVCAP2; at += 4) {
		guest_config_write(rig, pos + at, 4, 0xffffffff);
		assert_int_equal(guest_config_read(rig, pos + at, 4), 0);
	}
	assert_int_equal(guest_config_read(rig, pos + PCI_EXP_LNKCTL2, 4), 0);
	assert_int_equal(guest_config_read(rig, pos + PCI_EXP_DEVCAP, 4), PCI_EXP_DEVCAP_FLR | 2);
	assert_int_equal(rig_config_writes(rig, pos + PCI_EXP_LNKCTL), 0);
}

static void path_dependent_features_are_hidden(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned ctl2 = 0x70 + PCI_EXP_DEVCTL2;

	rig_pcie(rig, 0x70);
	hw_put(rig, ctl2, 2, PCI_EXP_DEVCTL2_LTR_EN);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x70 + PCI_EXP_DEVCAP2, 4),
			 PCI_EXP_DEVCAP2_COMP_TMOUT_DIS);
	assert_int_equal(guest_config_read(rig, ctl2, 2), 0);
	guest_config_write(rig, ctl2, 2, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS | 0x6000);
	assert_int_equal(guest_config_read(rig, ctl2, 2), PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
	assert_int_equal(hw_get(rig, ctl2, 2),
			 PCI_EXP_DEVCTL2_COMP_TMOUT_DIS | PCI_EXP_DEVCTL2_LTR_EN);
}

static void error_reporting_stays_the_hosts(void **state)
{
	struct vfio_rig *rig = *state;
	unsigned ctl = 0x70 + PCI_EXP_DEVCTL;

	rig_pcie(rig, 0x70);
	hw_put(rig, ctl, 2, 0x2000 | 0x000f);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, ctl, 2), 0x200f);
	guest_config_write(rig, ctl, 2, 0x5000 | PCI_EXP_DEVCTL_EXT_TAG);
	assert_int_equal(guest_config_read(rig, ctl, 2), 0x5000 | PCI_EXP_DEVCTL_EXT_TAG);
	assert_int_equal(hw_get(rig, ctl, 2), 0x500f);
}

static void function_level_reset_reaches_the_kernel(void **state)
{
	struct vfio_rig *rig = *state;

	rig_pcie(rig, 0x70);
	rig_build(rig);
	guest_config_write(rig, 0x70 + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(hw_get(rig, 0x70 + PCI_EXP_DEVCTL, 2), PCI_EXP_DEVCTL_BCR_FLR);
}

static void version_1_capability_is_short(void **state)
{
	struct vfio_rig *rig = *state;

	fake_vfio_capability(rig->hw, 0x70, PCI_CAP_ID_EXP);
	hw_put(rig, 0x70 + PCI_EXP_FLAGS, 2, PCI_EXP_TYPE_LEG_END << 4 | 1);
	fake_vfio_capability(rig->hw, 0x84, PCI_CAP_ID_PM);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x72, 2), PCI_EXP_TYPE_RC_END << 4 | 1);
	assert_int_equal(guest_capability(rig, PCI_CAP_ID_PM), 0x84);
	hw_put(rig, 0x88, 2, 0x100);
	assert_int_equal(guest_config_read(rig, 0x88, 2), 0x100);
	hw_put(rig, 0x70 + PCI_EXP_DEVCAP2, 4, 0xffffffff); /* where version 2 has it */
	assert_int_equal(guest_config_read(rig, 0x70 + PCI_EXP_DEVCAP2, 4), 0xffffffff);
}

/* --- extended capabilities --- */

static void conventional_function_has_256_bytes(void **state)
{
	struct vfio_rig *rig = *state;

	rig->hw->regions[CONFIG].size = 256;
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x100, 4), 0xffffffff);
	assert_int_equal(guest_config_read(rig, 0xffc, 4), 0xffffffff);
	guest_config_write(rig, 0x100, 4, 0);
	assert_int_equal(guest_config_read(rig, 0x100, 4), 0xffffffff);
}

static void without_extended_capabilities_the_list_is_empty(void **state)
{
	struct vfio_rig *rig = *state;

	rig_pcie(rig, 0x70);
	hw_put(rig, 0x800, 4, 0xdeadbeef);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x100, 4), 0);
	assert_int_equal(guest_config_read(rig, 0x800, 4), 0); /* outside of all */
	guest_config_write(rig, 0x800, 4, 0);
	assert_int_equal(hw_get(rig, 0x800, 4), 0xdeadbeef);
}

static void device_facts_are_shown(void **state)
{
	struct vfio_rig *rig = *state;

	rig_pcie(rig, 0x70);
	rig_extended(rig, 0x100, PCI_EXT_CAP_ID_ERR, 0x140);
	hw_put(rig, 0x104, 4, 0x00100000);
	rig_extended(rig, 0x140, PCI_EXT_CAP_ID_DSN, 0x150);
	hw_put(rig, 0x144, 4, 0x01020304);
	rig_extended(rig, 0x150, PCI_EXT_CAP_ID_VNDR, 0x170);
	hw_put(rig, 0x154, 4, 0x01000001 | 0x10 << 20);
	rig_extended(rig, 0x170, PCI_EXT_CAP_ID_PWR, 0x180);
	rig_extended(rig, 0x180, PCI_EXT_CAP_ID_DVSEC, 0);
	hw_put(rig, 0x184, 4, 0x8086 | 0x10 << 20);
	rig_build(rig);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_ERR), 0x100);
	assert_int_equal(guest_config_read(rig, 0x104, 4), 0x00100000);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_DSN), 0x140);
	assert_int_equal(guest_config_read(rig, 0x144, 4), 0x01020304);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_VNDR), 0x150);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_PWR), 0x170);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_DVSEC), 0x180);
	guest_config_write(rig, 0x158, 4, 0xabcd);
	assert_int_equal(hw_get(rig, 0x158, 4), 0xabcd);
	guest_config_write(rig, 0x104, 4, 0xffffffff); /* AER: read-only */
	guest_config_write(rig, 0x108, 4, 0xffffffff);
	assert_int_equal(rig_config_writes(rig, 0x104) + rig_config_writes(rig, 0x108), 0);
}

static void hosts_extended_capabilities_are_hidden(void **state)
{
	struct vfio_rig *rig = *state;
	static const uint16_t hidden[] = {
		PCI_EXT_CAP_ID_SRIOV, PCI_EXT_CAP_ID_ATS,    PCI_EXT_CAP_ID_PRI,
		PCI_EXT_CAP_ID_PASID, PCI_EXT_CAP_ID_REBAR,  0x24 /* VF resizable BAR */,
		PCI_EXT_CAP_ID_L1SS,  PCI_EXT_CAP_ID_ACS,    PCI_EXT_CAP_ID_ARI,
		PCI_EXT_CAP_ID_TPH,   PCI_EXT_CAP_ID_LTR,    PCI_EXT_CAP_ID_PTM,
		PCI_EXT_CAP_ID_VC,    PCI_EXT_CAP_ID_MCAST,  PCI_EXT_CAP_ID_DPC,
		PCI_EXT_CAP_ID_DOE,   PCI_EXT_CAP_ID_SECPCI,
	};
	unsigned count = sizeof(hidden) / sizeof(hidden[0]), at = 0x100;

	rig_pcie(rig, 0x70);
	for (unsigned i = 0; i < count; i++, at += 0x40) {
		rig_extended(rig, at, hidden[i], at + 0x40);
		hw_put(rig, at + 4, 4, 0xffffffff);
	}
	rig_extended(rig, at, PCI_EXT_CAP_ID_DSN, 0);
	rig_build(rig);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(guest_extended(rig, hidden[i]), 0);
		assert_int_equal(guest_config_read(rig, 0x104 + 0x40 * i, 4), 0);
		guest_config_write(rig, 0x104 + 0x40 * i, 4, 1);
		assert_int_equal(rig_config_writes(rig, 0x104 + 0x40 * i), 0);
	}
	assert_int_equal(guest_config_read(rig, 0x100, 4), at << 20);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_DSN), at);
}

static void cxl_stays_the_hosts(void **state)
{
	struct vfio_rig *rig = *state;

	rig_pcie(rig, 0x70);
	rig_extended(rig, 0x100, PCI_EXT_CAP_ID_DVSEC, 0);
	hw_put(rig, 0x104, 4, 0x1e98 | 0x38 << 20);
	rig_build(rig);
	assert_int_equal(guest_config_read(rig, 0x100, 4), 0);
}

static void extended_list_that_loops_ends(void **state)
{
	struct vfio_rig *rig = *state;

	rig_pcie(rig, 0x70);
	rig_extended(rig, 0x100, PCI_EXT_CAP_ID_DSN, 0x140);
	rig_extended(rig, 0x140, PCI_EXT_CAP_ID_ERR, 0x100);
	rig_build(rig);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_ERR), 0x140);
	assert_int_equal(guest_config_read(rig, 0x140, 4) >> 20, 0);
}

static void extended_capabilities_that_lie_are_dropped(void **state)
{
	struct vfio_rig *rig = *state;

	rig_pcie(rig, 0x70);
	rig_extended(rig, 0x100, PCI_EXT_CAP_ID_ERR, 0x104); /* 0x104 lies in it */
	rig_extended(rig, 0x104, PCI_EXT_CAP_ID_DSN, 0x200);
	rig_extended(rig, 0x200, PCI_EXT_CAP_ID_VNDR, 0x300); /* longer than the space */
	hw_put(rig, 0x204, 4, 0xfffU << 20);
	rig_extended(rig, 0x300, PCI_EXT_CAP_ID_VNDR, 0xff8); /* shorter than its header */
	hw_put(rig, 0x304, 4, 0x4 << 20);
	rig_extended(rig, 0xff8, PCI_EXT_CAP_ID_DSN, 0xffc); /* its end is beyond the space */
	rig_build(rig);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_ERR), 0x100);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_DSN), 0);
	assert_int_equal(guest_extended(rig, PCI_EXT_CAP_ID_VNDR), 0);
	assert_int_equal(guest_config_read(rig, 0x100, 4) >> 20, 0);
}

/* Whatever a broken device holds, building ends and every access gets an answer. */
static void any_bytes_make_a_function(void **state)
{
	struct vfio_rig *rig = *state;
	uint32_t seed = 0x12345678;

	for (unsigned i = 0x34; i < 4096; i++) {
		seed = seed * 1664525 + 1013904223;
		rig->hw->config[i] = (uint8_t)(seed >> 24);
	}
	rig->hw->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	rig->hw->config[PCI_CAPABILITY_LIST] = 0x44;
	rig_build(rig);
	for (unsigned offset = 0; offset < 4096; offset += 4) {
		guest_config_read(rig, offset, 4);
		guest_config_write(rig, offset, 4, seed);
	}
	assert_int_equal(guest_capability(rig, 0xee), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capabilities_that_guests_use_survive),
		TEST(hosts_capabilities_are_unlinked),
		TEST(list_ends_where_it_loops),
		TEST(list_ends_where_it_leads_into_the_header),
		TEST(capability_over_another_is_dropped),
		TEST(capability_beyond_the_space_is_dropped),
		TEST(interrupts_whose_capability_is_dropped_are_not_used),
		TEST(second_msix_capability_is_dropped),
		TEST(registers_between_capabilities_are_live),
		TEST(live_registers_are_written_once_and_whole),
		TEST(vendor_capability_is_live),
		TEST(endpoint_becomes_an_integrated_one),
		TEST(path_dependent_features_are_hidden),
		TEST(error_reporting_stays_the_hosts),
		TEST(function_level_reset_reaches_the_kernel),
		TEST(version_1_capability_is_short),
		TEST(conventional_function_has_256_bytes),
		TEST(without_extended_capabilities_the_list_is_empty),
		TEST(device_facts_are_shown),
		TEST(hosts_extended_capabilities_are_hidden),
		TEST(cxl_stays_the_hosts),
		TEST(extended_list_that_loops_ends),
		TEST(extended_capabilities_that_lie_are_dropped),
		TEST(any_bytes_make_a_function),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

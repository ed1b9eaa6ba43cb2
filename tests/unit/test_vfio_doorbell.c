// SPDX-License-Identifier: GPL-2.0-only
/* The MSI doorbell: who chooses its IOVA, what is in its way, and that a conflict is told before anything is mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <lkvm/report.h>
#include "../../vfio/container.h"
#include "../../vfio/doorbell.h"
#include "fake_vfio.h"
#include "files.h"
#include "host_tree.h"

#define NIC   "0000:01:00.0"
#define DISK  "0000:02:00.0"
#define RAM   0x80000000ULL
#define GUEST 0x3ffc0000ULL

static const struct vfio_host *host;
static struct fake_vfio *fake;
static struct loop loop;
static struct guest_mem ram;

static struct fake_vfio_device *add(const char *bdf, int group)
{
	struct fake_vfio_device *dev = fake_vfio_add(bdf, group, 0x8086, 0x10d3);

	host_function(bdf, 0x8086, 0x10d3, 0x020000, "vfio-pci", group);
	fake_vfio_region(dev, 0, 0x4000, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
			 0);
	fake_vfio_msix(dev, 0x70, 4, 0, 0, 0, 0x1000);
	return dev;
}

static int setup(void **state)
{
	if (files_setup(state))
		return -1;
	host = host_tree_begin();
	fake = fake_vfio_begin();
	fake->doorbell = true;
	add(NIC, 5);
	add(DISK, 6);
	host_text("sys/kernel/iommu_groups/5/reserved_regions", "0x8000000 0x80fffff msi\n"
								"0x3f000000 0x3fffffff reserved\n"
								"0x70000000 0x700fffff "
								"direct-relaxable\n");
	host_text("sys/kernel/iommu_groups/6/reserved_regions", "0x8000000 0x80fffff msi\n");
	ram = (struct guest_mem){ .base = RAM, .size = 0x200000 };
	ram.host = mmap(NULL, ram.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	report_set_level(LOG_INFO);
	return loop_create(&loop);
}

static int teardown(void **state)
{
	report_set_level(LOG_WARNING);
	munmap(ram.host, ram.size);
	loop_destroy(&loop);
	fake_vfio_end();
	host_tree_end();
	return files_teardown(state);
}

static struct vfio *created(const char *one, const char *two)
{
	struct vfio_device_config configs[2];
	struct vfio *vfio = NULL;

	assert_int_equal(vfio_device_config_parse(&configs[0], one), 0);
	if (two)
		assert_int_equal(vfio_device_config_parse(&configs[1], two), 0);
	assert_int_equal(vfio_create_on(host, &vfio, configs, two ? 2 : 1, &loop), 0);
	return vfio;
}

/* RAM mapped with what --msi-doorbell says; what is printed is kept. */
static int map(struct vfio *vfio, const char *choice, uint64_t guest)
{
	struct vfio_doorbell_choice wanted;

	assert_int_equal(vfio_doorbell_parse(&wanted, choice), 0);
	vfio_want_doorbell(vfio, &wanted, guest);
	stderr_keep();
	return vfio_map_ram(vfio, &ram);
}

/* `wanted` is refused with a message that holds `why`, and nothing was mapped or set. */
static void refused(const char *device, const char *choice, int err, const char *why)
{
	struct vfio *vfio = created(device, NULL);
	unsigned maps = fake->maps_ever;

	assert_int_equal(map(vfio, choice, GUEST), err);
	assert_reported(why);
	assert_int_equal(fake->maps_ever, maps);
	assert_int_equal(fake_vfio_device(DISK)->doorbell_sets, 0);
	assert_int_equal(fake_vfio_device(NIC)->doorbell_sets, 0);
	vfio_destroy(vfio);
}

static void taken(const char *device, const char *choice, uint64_t iova, const char *said)
{
	struct vfio *vfio = created(device, NULL);

	assert_int_equal(map(vfio, choice, GUEST), 0);
	if (said)
		assert_reported(said);
	else
		assert_string_equal(stderr_text(), "");
	assert_int_equal(fake_vfio_device(vfio->devices[0].config.bdf)->doorbell, iova);
	assert_int_equal(fake->maps_count, 1);
	vfio_destroy(vfio);
}

/* --- auto --- */

static void auto_takes_the_guests_own_where_the_kernel_can(void **state)
{
	(void)state;
	taken(DISK, "auto", GUEST,
	      DISK ": its MSI doorbell is at IOVA 0x3ffc0000, the guest's own");
}

static void auto_leaves_it_to_a_kernel_that_cannot(void **state)
{
	(void)state;
	fake->doorbell = false;
	taken(DISK, "auto", 0, "kernel/README.md");
}

static void auto_leaves_it_to_the_kernel_where_the_guests_own_is_in_the_way(void **state)
{
	(void)state;
	taken(NIC, "auto", 0,
	      "chooses the IOVA of its MSI doorbell, not the guest (0x3ffc0000): it overlaps "
	      "0x3f000000-0x3fffffff, which the host reserves (reserved)");
}

static void auto_leaves_it_to_the_kernel_if_setting_it_fails(void **state)
{
	struct vfio *vfio;

	(void)state;
	fake_vfio_fail(VFIO_DEVICE_FEATURE, EEXIST, 1, 1);
	vfio = created(DISK, NULL);
	assert_int_equal(map(vfio, "auto", GUEST), 0);
	assert_reported("such as the doorbell of another interrupt controller");
	assert_int_equal(vfio->devices[0].doorbell.chosen, VFIO_DOORBELL_KERNEL);
	vfio_destroy(vfio);
}

static void a_guest_without_msis_leaves_it_to_the_kernel(void **state)
{
	struct vfio *vfio = created(DISK, NULL);

	(void)state;
	assert_int_equal(map(vfio, "auto", 0), 0);
	assert_reported("the guest has no MSIs");
	assert_int_equal(fake_vfio_device(DISK)->doorbell_sets, 0);
	vfio_destroy(vfio);
}

static void a_device_without_msis_needs_none(void **state)
{
	(void)state;
	fake_vfio_add("0000:03:00.0", 8, 1, 2);
	host_function("0000:03:00.0", 1, 2, 0x020000, "vfio-pci", 8);
	taken("0000:03:00.0", "0x10000000", 0, NULL);
}

/* --- kernel, and what is given --- */

static void the_kernel_is_not_asked_if_it_shall_choose(void **state)
{
	(void)state;
	taken(DISK, "kernel", 0, NULL);
	assert_int_equal(fake->calls[_IOC_NR(VFIO_DEVICE_FEATURE) - VFIO_BASE], 0);
}

static void what_is_given_is_set(void **state)
{
	(void)state;
	taken(DISK, "0x10000000", 0x10000000, "at IOVA 0x10000000, as given");
	taken(DISK, "0x123450000", 0x123450000, "at IOVA 0x123450000, as given");
	taken(DISK, "4096", 4096, "at IOVA 0x1000, as given");
	/* Right below and above RAM, and in a region that only the host's own drivers keep mapped. */
	taken(DISK, "0x7ffff000", 0x7ffff000, "as given");
	taken(DISK, "0x80200000", 0x80200000, "as given");
	taken(NIC, "0x70000000", 0x70000000, "as given");
}

static void a_device_may_differ_from_the_machine(void **state)
{
	struct vfio *vfio = created(NIC ",doorbell=0x20000000,guest=4", DISK ",guest=5");

	(void)state;
	assert_int_equal(map(vfio, "0x10000000", GUEST), 0);
	stderr_text();
	assert_int_equal(fake_vfio_device(NIC)->doorbell, 0x20000000);
	assert_int_equal(fake_vfio_device(DISK)->doorbell, 0x10000000);
	assert_int_equal(vfio->devices[0].config.guest_devfn, PCI_DEVFN_OF(4, 0));
	vfio_destroy(vfio);
	vfio = created(NIC ",guest=4,doorbell=kernel", DISK ",doorbell=auto");
	/* What a group of the container reserves is no device's. */
	assert_int_equal(map(vfio, "0x10000000", 0x3efc0000), 0);
	stderr_text();
	assert_int_equal(fake_vfio_device(NIC)->doorbell, 0);
	assert_int_equal(fake_vfio_device(DISK)->doorbell, 0x3efc0000);
	vfio_destroy(vfio);
}

static void what_cannot_be_had_is_refused_by_name(void **state)
{
	(void)state;
	refused(DISK, "0x10000800", -EINVAL, "choose a multiple of that");
	refused(DISK, "0x80000000", -EEXIST,
		"the MSI doorbell of " DISK " cannot be at IOVA 0x80000000: it overlaps guest RAM, "
		"0x80000000-0x801fffff");
	refused(DISK, "0x801ff000", -EEXIST, "-m SIZE@ADDR");
	refused(NIC, "0x8000000", -EEXIST,
		"0x8000000-0x80fffff, which the host reserves (msi) in IOMMU group 5 of " NIC);
	refused(NIC, "0x3ffc0000", -EEXIST, "the host reserves (reserved)");
	refused(DISK, "0x1000000000000", -ERANGE, "beyond what the IOMMU can map (0x0-0xffffffff");
	refused(DISK, "0xfffffffffffff000", -ERANGE, "beyond what the IOMMU can map");
	fake_vfio_device(DISK)->msi_untranslated = true;
	refused(DISK, "0x10000000", -EOPNOTSUPP, "IOMMU does not translate its MSIs");
	fake->doorbell = false;
	refused(DISK, "0x10000000", -ENOTTY,
		"build and load the modules of lkvm's kernel/README.md");
	refused(DISK ",doorbell=0x10000000", "auto", -ENOTTY, "cannot be at IOVA 0x10000000");
}

static void large_host_pages_take_larger_multiples(void **state)
{
	(void)state;
	fake->page_size = 65536;
	refused(DISK, "0x10001000", -EINVAL, "the host's pages are of 0x10000 bytes");
	taken(DISK, "0x10010000", 0x10010000, "as given");
}

static void a_32_bit_msi_capability_keeps_it_below_4_gib(void **state)
{
	(void)state;
	fake_vfio_msi(fake_vfio_device(DISK), 0x50, 1, false, false);
	refused(DISK, "0x100000000", -ERANGE, "its MSI capability has 32 address bits");
	taken(DISK, "0xfffff000", 0xfffff000, "as given");
	fake_vfio_msi(fake_vfio_device(NIC), 0x50, 1, true, false);
	taken(NIC, "0x100000000", 0x100000000, "as given");
}

static void what_the_kernel_refuses_is_told(void **state)
{
	static const struct {
		int err;
		const char *why;
	} cases[] = {
		{ EEXIST, "another interrupt controller" },
		{ EBUSY, "an interrupt of it is enabled" },
		{ ENOSPC, "no more than 64 doorbells" },
		{ ERANGE, "32 address bits" },
		{ EOPNOTSUPP, "does not translate" },
		{ EIO, "the host's kernel refuses it: Input/output error" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vfio *vfio = created(DISK, NULL);

		fake_vfio_fail(VFIO_DEVICE_FEATURE, cases[i].err, 1, 1);
		assert_int_equal(map(vfio, "0x10000000", GUEST), -cases[i].err);
		assert_reported(cases[i].why);
		vfio_destroy(vfio);
		assert_int_equal(fake->maps_count, 0);
	}
}

static void asking_beforehand_leaves_nothing_open(void **state)
{
	(void)state;
	assert_int_equal(vfio_doorbell_offered(host, DISK, 6), 0);
	fake_vfio_device(DISK)->msi_untranslated = true;
	assert_int_equal(vfio_doorbell_offered(host, DISK, 6), -EOPNOTSUPP);
	fake->doorbell = false;
	assert_int_equal(vfio_doorbell_offered(host, DISK, 6), -ENOTTY);
	assert_int_equal(vfio_doorbell_offered(host, DISK, 5), -ENODEV);
	assert_int_equal(vfio_doorbell_offered(host, DISK, 9), -ENOENT);
	assert_int_equal(fake_vfio_fds(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(auto_takes_the_guests_own_where_the_kernel_can),
		TEST(auto_leaves_it_to_a_kernel_that_cannot),
		TEST(auto_leaves_it_to_the_kernel_where_the_guests_own_is_in_the_way),
		TEST(auto_leaves_it_to_the_kernel_if_setting_it_fails),
		TEST(a_guest_without_msis_leaves_it_to_the_kernel),
		TEST(a_device_without_msis_needs_none),
		TEST(the_kernel_is_not_asked_if_it_shall_choose),
		TEST(what_is_given_is_set),
		TEST(a_device_may_differ_from_the_machine),
		TEST(what_cannot_be_had_is_refused_by_name),
		TEST(large_host_pages_take_larger_multiples),
		TEST(a_32_bit_msi_capability_keeps_it_below_4_gib),
		TEST(what_the_kernel_refuses_is_told),
		TEST(asking_beforehand_leaves_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Groups, container, DMA mappings: what is opened is closed, and what stands in the way is told once, with its cure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include "../../vfio/container.h"
#include "../../vfio/memlock.h"
#include "fake_vfio.h"
#include "files.h"
#include "host_tree.h"

#define NIC  "0000:01:00.0"
#define NIC2 "0000:01:00.1"
#define DISK "0000:02:00.0"

static const struct vfio_host *host;
static struct fake_vfio *fake;
static struct loop loop;

static void add(const char *bdf, int group)
{
	host_function(bdf, 0x8086, 0x10d3, 0x020000, "vfio-pci", group);
	fake_vfio_add(bdf, group, 0x8086, 0x10d3);
}

static int setup(void **state)
{
	if (files_setup(state))
		return -1;
	host = host_tree_begin();
	fake = fake_vfio_begin();
	add(NIC, 5);
	add(NIC2, 5);
	add(DISK, 6);
	return loop_create(&loop);
}

static int teardown(void **state)
{
	loop_destroy(&loop);
	fake_vfio_end();
	host_tree_end();
	return files_teardown(state);
}

/* Up to three devices, NULL ends. */
static int create(struct vfio **vfio, const char *one, const char *two, const char *three)
{
	const char *const bdfs[] = { one, two, three };
	struct vfio_device_config configs[3];
	size_t count = 0;

	for (; count < 3 && bdfs[count]; count++)
		assert_int_equal(vfio_device_config_parse(&configs[count], bdfs[count]), 0);
	return vfio_create_on(host, vfio, configs, count, &loop);
}

static struct vfio *created(const char *one, const char *two, const char *three)
{
	struct vfio *vfio = NULL;

	assert_int_equal(create(&vfio, one, two, three), 0);
	return vfio;
}

static void refused(const char *bdf, int err, const char *message)
{
	struct vfio *vfio = NULL;

	stderr_keep();
	assert_int_equal(create(&vfio, bdf, NULL, NULL), err);
	assert_reported(message);
	assert_null(vfio);
	assert_int_equal(fake_vfio_fds(), 0);
}

static struct guest_mem ram_at(uint64_t base, uint64_t size)
{
	return (struct guest_mem){ .base = base, .size = size, .host = (void *)0x7f0000000000 };
}

/* --- opening and closing --- */

static void devices_share_groups_and_groups_a_container(void **state)
{
	struct vfio *vfio = created(NIC, DISK, NIC2);

	(void)state;
	assert_int_equal(fake->containers_opened, 1);
	assert_int_equal(vfio->groups_count, 2);
	assert_int_equal(fake->groups[0].opens, 1);
	assert_int_equal(fake->groups[1].opens, 1);
	assert_true(fake->groups[0].in_container && fake->groups[1].in_container);
	assert_int_equal(fake_vfio_fds(), 1 + 2 + 3);
	assert_string_equal(vfio_group_numbered(vfio, 6)->bdf, DISK);
	assert_null(vfio_group_numbered(vfio, 7));
	vfio_destroy(vfio);
	assert_int_equal(fake_vfio_fds(), 0);
}

static void they_can_be_opened_again_and_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		vfio_destroy(created(NIC, DISK, NULL));
	assert_int_equal(fake_vfio_device(NIC)->opens, 20);
	vfio_destroy(NULL);
}

static void a_device_is_named_once(void **state)
{
	struct vfio *vfio = NULL;

	(void)state;
	stderr_keep();
	assert_int_equal(create(&vfio, NIC, "1:0.0", NULL), -EINVAL);
	assert_reported("names " NIC " twice");
	stderr_keep();
	assert_int_equal(create(&vfio, NIC ",guest=3.1", DISK ",guest=3.1", NULL), -EINVAL);
	assert_reported("want the same place in the guest, 3.1");
	assert_int_equal(fake->containers_opened, 0);
}

/* Each step that can fail, one at a time; nothing may stay open, and one line is printed. */
static void whatever_fails_leaves_nothing_behind(void **state)
{
	static const unsigned long steps[] = {
		FAKE_VFIO_OPEN,           FAKE_VFIO_OPEN,           VFIO_GROUP_GET_STATUS,
		VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU,           VFIO_GROUP_GET_DEVICE_FD,
		VFIO_DEVICE_GET_INFO,     VFIO_DEVICE_SET_IRQS,     VFIO_DEVICE_SET_IRQS,
		VFIO_GET_API_VERSION,     VFIO_CHECK_EXTENSION,     FAKE_VFIO_OPEN,
		VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_GET_DEVICE_FD,
	};
	static const unsigned skip[] = { 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 1, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct vfio *vfio = NULL;

		fake_vfio_fail(steps[i], EIO, skip[i], 1);
		stderr_keep();
		assert_true(create(&vfio, NIC, DISK, NULL) < 0);
		assert_reported("0000:0");
		assert_int_equal(fake_vfio_fds(), 0);
	}
	vfio_destroy(created(NIC, DISK, NULL));
}

/* --- what stands in the way (every message names the device, the cause and the cure) --- */

static void no_such_function(void **state)
{
	(void)state;
	refused("0000:00:1f.0", -ENODEV,
		"this host has no PCI function 0000:00:1f.0: `lkvm vfio list`");
}

static void bound_to_another_driver(void **state)
{
	(void)state;
	host_bind(NIC, "e1000e");
	refused(NIC, -ENODEV,
		NIC " is bound to the host's driver e1000e, not to vfio-pci: run `echo vfio-pci > "
		    "/sys/bus/pci/devices/" NIC "/driver_override; echo " NIC
		    " > /sys/bus/pci/devices/" NIC "/driver/unbind; echo " NIC
		    " > /sys/bus/pci/drivers_probe`");
}

static void bound_to_no_driver(void **state)
{
	(void)state;
	host_bind(NIC, NULL);
	refused(NIC, -ENODEV, NIC " is bound to no driver; it needs vfio-pci: run `echo vfio-pci");
}

static void no_iommu_group(void **state)
{
	(void)state;
	host_remove("sys/bus/pci/devices/" NIC "/iommu_group");
	refused(NIC, -ENODEV,
		"no IOMMU translates the DMA of " NIC ": it has no IOMMU group: enable");
	/* Without a driver that is not yet known, unless vfio-pci was asked to take it. */
	host_text("sys/class/iommu/smmu3", "");
	host_bind(NIC, NULL);
	refused(NIC, -ENODEV, NIC " is bound to no driver");
	host_text("sys/bus/pci/devices/" NIC "/driver_override", "vfio-pci\n");
	refused(NIC, -ENODEV, "no IOMMU translates the DMA of " NIC);
}

static void noiommu_mode_is_not_used(void **state)
{
	(void)state;
	host_text("sys/kernel/iommu_groups/5/name", "vfio-noiommu\n");
	refused(NIC, -ENODEV, "VFIO drives " NIC " in its noiommu mode (group 5)");
}

static void a_bridge(void **state)
{
	(void)state;
	host_function("0000:00:01.0", 0x1b36, 0xc, 0x060400, "pcieport", 9);
	refused("0000:00:01.0", -ENODEV, "0000:00:01.0 is a bridge");
}

static void the_module_is_missing(void **state)
{
	(void)state;
	host_bind(NIC, "e1000e");
	host_remove("sys/bus/pci/drivers/vfio-pci");
	refused(NIC, -ENODEV, "vfio-pci driver, which " NIC " needs: run `modprobe vfio-pci`");
}

static void the_container_is_missing(void **state)
{
	(void)state;
	host_remove("dev/vfio/vfio");
	refused(NIC, -ENODEV, "no /dev/vfio/vfio, which " NIC " needs");
	host_text("dev/vfio/vfio", "");
	fake_vfio_fail(FAKE_VFIO_OPEN, ENODEV, 0, 1);
	refused(NIC, -ENODEV, "run `modprobe vfio-pci`");
	fake_vfio_fail(FAKE_VFIO_OPEN, EACCES, 0, 1);
	refused(NIC, -EACCES, "run `chmod 666 /dev/vfio/vfio`");
}

static void type1v2_is_not_offered(void **state)
{
	(void)state;
	fake->type1v2 = false;
	refused(NIC, -ENOTSUP,
		NIC " cannot be used: the host's VFIO does not offer the type1v2 IOMMU: "
		    "run `modprobe vfio_iommu_type1`");
}

static void another_of_the_group_is_the_hosts(void **state)
{
	(void)state;
	host_bind(NIC2, "e1000e");
	refused(NIC, -ENODEV,
		"IOMMU group 5 of " NIC " is not viable: the host itself uses " NIC2
		" (e1000e): run `for d in " NIC2 "; do");
	/* Unbound ones, and bridges, do not matter. */
	host_bind(NIC2, NULL);
	host_function("0000:00:01.0", 0x1b36, 0xc, 0x060400, "pcieport", 5);
	vfio_destroy(created(NIC, NULL, NULL));
}

static void many_of_the_group_are_the_hosts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		char bdf[VFIO_BDF_SIZE];

		snprintf(bdf, sizeof(bdf), "0000:03:%02x.%x", i / 8, i % 8);
		host_function(bdf, 1, 1, 0x020000, "a_driver_with_a_long_name", 5);
	}
	refused(NIC, -ENODEV, "done`");
}

static void the_kernel_says_not_viable(void **state)
{
	(void)state;
	fake->groups[0].viable = false;
	refused(NIC, -EPERM, "the kernel says that IOMMU group 5 of " NIC " is not viable");
}

static void the_group_is_in_use(void **state)
{
	char target[200];

	(void)state;
	fake_vfio_fail(FAKE_VFIO_OPEN, EBUSY, 1, 1);
	refused(NIC, -EBUSY,
		NIC " is in use: another process holds its IOMMU group 5: run `fuser -v");
	snprintf(target, sizeof(target), "%s/vfio/5", host->dev);
	host_link("proc/42/fd/9", target);
	host_text("proc/42/comm", "lkvm\n");
	fake_vfio_fail(FAKE_VFIO_OPEN, EBUSY, 1, 1);
	refused(NIC, -EBUSY,
		NIC " is in use: process 42 (lkvm) holds its IOMMU group 5: run `kill 42`");
}

static void the_group_may_not_be_opened(void **state)
{
	char message[120];

	(void)state;
	snprintf(message, sizeof(message),
		 "may not open /dev/vfio/5, the IOMMU group of " NIC ": run `chown %u /dev/vfio/5`",
		 (unsigned)geteuid());
	fake_vfio_fail(FAKE_VFIO_OPEN, EACCES, 1, 1);
	refused(NIC, -EACCES, message);
	host_remove("dev/vfio/5");
	refused(NIC, -ENODEV, "there is no /dev/vfio/5 for " NIC);
}

static void msis_are_not_isolated(void **state)
{
	(void)state;
	fake_vfio_fail(VFIO_SET_IOMMU, EPERM, 0, 1);
	refused(NIC, -EPERM, "allow_unsafe_interrupts`");
}

static void no_pci_function_for_vfio(void **state)
{
	(void)state;
	fake_vfio_device(NIC)->flags = VFIO_DEVICE_FLAGS_PLATFORM;
	refused(NIC, -ENODEV, "VFIO does not take " NIC " for a PCI function");
	fake_vfio_device(NIC)->flags = VFIO_DEVICE_FLAGS_PCI;
	fake_vfio_device(NIC)->num_regions = VFIO_PCI_CONFIG_REGION_INDEX;
	refused(NIC, -ENODEV, "VFIO does not take " NIC " for a PCI function");
}

/* --- guest RAM --- */

static void map_refused(struct vfio *vfio, uint64_t base, uint64_t size, int err,
			const char *message)
{
	struct guest_mem ram = ram_at(base, size);

	stderr_keep();
	assert_int_equal(vfio_map_ram(vfio, &ram), err);
	assert_reported(message);
	assert_int_equal(fake->maps_count, 0);
}

static void ram_is_mapped_once_and_unmapped(void **state)
{
	struct vfio *vfio = created(NIC, DISK, NULL);
	struct guest_mem ram = ram_at(MAP_RAM_BASE, SZ_2M);

	(void)state;
	assert_int_equal(vfio_map_ram(vfio, &ram), 0);
	assert_int_equal(fake->maps_count, 1);
	assert_true(fake->maps[0].iova == MAP_RAM_BASE && fake->maps[0].size == SZ_2M);
	assert_true(fake->maps[0].vaddr == (uintptr_t)ram.host);
	assert_int_equal(fake->maps[0].flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	vfio_destroy(vfio);
	assert_int_equal(fake->maps_count, 0);
	assert_int_equal(fake->maps_ever, 1);
	assert_int_equal(fake->calls[_IOC_NR(VFIO_IOMMU_UNMAP_DMA) - VFIO_BASE], 1);
}

static void ram_keeps_clear_of_reserved_regions(void **state)
{
	struct vfio *vfio = created(NIC, DISK, NULL);
	struct guest_mem ram;

	(void)state;
	host_text("sys/kernel/iommu_groups/6/reserved_regions",
		  "0x08000000 0x080fffff msi\n"
		  "0x90000000 0x900fffff reserved\n"
		  "0xa0000000 0xafffffff direct-relaxable\n"
		  "0xc0000000 0xc00000ff direct\n");
	map_refused(
		vfio, 0x80000000, 512 * SZ_1M, -ERANGE,
		"guest RAM 0x80000000-0x9fffffff overlaps 0x90000000-0x900fffff, which the host "
		"reserves (reserved) in IOMMU group 6 of " DISK ": run with `-m 512M@0x100000000`");
	map_refused(vfio, 0x90000000, SZ_2M, -ERANGE, "overlaps");
	map_refused(vfio, 0x90000000 - SZ_2M, SZ_2M + 4096, -ERANGE, "`-m SIZE@0x100000000`");
	ram = ram_at(0xa0000000, SZ_2M);
	assert_int_equal(vfio_map_ram(vfio, &ram), 0);
	vfio_destroy(vfio);
}

static void there_may_be_no_better_place(void **state)
{
	struct vfio *vfio = created(NIC, NULL, NULL);

	(void)state;
	host_text("sys/kernel/iommu_groups/5/reserved_regions",
		  "0x90000000 0xffffffffffffffff reserved\n");
	map_refused(vfio, 0x80000000, 512 * SZ_1M, -ERANGE, "make it smaller (`-m SIZE`)");
	vfio_destroy(vfio);
}

static void ram_keeps_to_what_the_iommu_can_map(void **state)
{
	struct vfio *vfio = created(NIC, NULL, NULL);
	struct guest_mem ram = ram_at(0x180000000, SZ_2M);

	(void)state;
	fake->iova_ranges[0] = (struct vfio_iova_range){ 0, 0x9fffffff };
	fake->iova_ranges[1] = (struct vfio_iova_range){ 0xb0000000, 0xffffffff };
	map_refused(vfio, 0xa0000000, SZ_2M, -ERANGE,
		    "the IOMMU of " NIC " can map (0x0-0xffffffff");
	map_refused(vfio, 0x80000000, SZ_1G, -ERANGE, "choose another place with `-m SIZE@ADDR`");
	map_refused(vfio, 0x100000000 - SZ_2M, 2 * SZ_2M, -ERANGE, "0xffe00000-0x1001fffff");
	/* A kernel that does not tell is asked by mapping. */
	fake->iommu_info = false;
	fake->iova_ranges[1].end = UINT64_MAX;
	assert_int_equal(vfio_map_ram(vfio, &ram), 0);
	vfio_destroy(vfio);
}

static void a_map_that_fails_is_explained(void **state)
{
	struct vfio *vfio = created(NIC, NULL, NULL);

	(void)state;
	fake_vfio_fail(VFIO_IOMMU_MAP_DMA, EPERM, 0, 1);
	map_refused(vfio, MAP_RAM_BASE, SZ_2M, -EPERM, "does not let this process map guest RAM");
	fake_vfio_fail(VFIO_IOMMU_MAP_DMA, ENOSPC, 0, 1);
	map_refused(vfio, MAP_RAM_BASE, SZ_2M, -ENOSPC,
		    "cannot map guest RAM (2 MiB at 0x80000000) for DMA by " NIC ": No space");
	fake_vfio_fail(VFIO_IOMMU_MAP_DMA, ENOMEM, 0, 1);
	map_refused(vfio, MAP_RAM_BASE, SZ_2M, -ENOMEM, "2 MiB of");
	vfio_destroy(vfio);
}

/* --- the limit on locked memory --- */

/* Runs in a child that has lost what lets root ignore limits; its exit status is what `body` returns. */
static int without_capabilities(int (*body)(struct vfio *vfio), struct vfio *vfio)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		if (syscall(SYS_capset, &header, none) < 0)
			_exit(100);
		_exit(body(vfio));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int set_limit(uint64_t soft, uint64_t hard)
{
	struct rlimit limit = { soft, hard };

	return setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int soft_limit_is_raised(struct vfio *vfio)
{
	struct guest_mem ram = ram_at(MAP_RAM_BASE, 4 * SZ_2M);
	struct rlimit limit;

	if (set_limit(65536, 4 * SZ_2M) || vfio_map_ram(vfio, &ram))
		return 1;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	return limit.rlim_cur == 4 * SZ_2M && limit.rlim_max == 4 * SZ_2M ? 0 : 2;
}

static int hard_limit_binds(struct vfio *vfio)
{
	struct guest_mem ram = ram_at(MAP_RAM_BASE, 512 * SZ_1M);

	return set_limit(65536, 8 * SZ_1M) || vfio_map_ram(vfio, &ram) != -ENOMEM ||
	       fake->maps_count;
}

static int kernel_knows_better(struct vfio *vfio)
{
	struct guest_mem ram = ram_at(MAP_RAM_BASE, SZ_2M);

	if (set_limit(8 * SZ_1M, 8 * SZ_1M))
		return 1;
	fake_vfio_fail(VFIO_IOMMU_MAP_DMA, ENOMEM, 0, 1);
	return vfio_map_ram(vfio, &ram) != -ENOMEM;
}

static void the_memlock_limit_is_raised_or_explained(void **state)
{
	struct vfio *vfio = created(NIC, NULL, NULL);

	(void)state;
	assert_int_equal(without_capabilities(soft_limit_is_raised, vfio), 0);
	stderr_keep();
	assert_int_equal(without_capabilities(hard_limit_binds, vfio), 0);
	assert_reported(
		"cannot lock 512 MiB of guest RAM for DMA by " NIC
		": the limit on locked memory (RLIMIT_MEMLOCK) is 8 MiB: run `ulimit -l 524288`");
	stderr_keep();
	assert_int_equal(without_capabilities(kernel_knows_better, vfio), 0);
	assert_reported("(RLIMIT_MEMLOCK) is 8 MiB");
	vfio_destroy(vfio);
}

static void sizes_are_readable(void **state)
{
	char text[SIZE_TEXT];

	(void)state;
	assert_string_equal(size_text(text, 0), "0 bytes");
	assert_string_equal(size_text(text, 1), "1 bytes");
	assert_string_equal(size_text(text, 1025), "1025 bytes");
	assert_string_equal(size_text(text, 65536), "64 KiB");
	assert_string_equal(size_text(text, 3 * SZ_1G), "3 GiB");
	assert_string_equal(size_text(text, 1536 * SZ_1M), "1536 MiB");
	assert_string_equal(size_text(text, 1ULL << 63), "8388608 TiB");
	assert_string_equal(size_text(text, MEMLOCK_INFINITE), "unlimited");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(devices_share_groups_and_groups_a_container),
		TEST(they_can_be_opened_again_and_again),
		TEST(a_device_is_named_once),
		TEST(whatever_fails_leaves_nothing_behind),
		TEST(no_such_function),
		TEST(bound_to_another_driver),
		TEST(bound_to_no_driver),
		TEST(no_iommu_group),
		TEST(noiommu_mode_is_not_used),
		TEST(a_bridge),
		TEST(the_module_is_missing),
		TEST(the_container_is_missing),
		TEST(type1v2_is_not_offered),
		TEST(another_of_the_group_is_the_hosts),
		TEST(many_of_the_group_are_the_hosts),
		TEST(the_kernel_says_not_viable),
		TEST(the_group_is_in_use),
		TEST(the_group_may_not_be_opened),
		TEST(msis_are_not_isolated),
		TEST(no_pci_function_for_vfio),
		TEST(ram_is_mapped_once_and_unmapped),
		TEST(ram_keeps_clear_of_reserved_regions),
		TEST(there_may_be_no_better_place),
		TEST(ram_keeps_to_what_the_iommu_can_map),
		TEST(a_map_that_fails_is_explained),
		TEST(the_memlock_limit_is_raised_or_explained),
		cmocka_unit_test(sizes_are_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A machine with a passed-through device: its guest brings interrupts up, resets a hundred times, and nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../vfio/container.h"
#include "fake_vfio.h"
#include "host_tree.h"
#include "machine_rig.h"

#define NIC      "0000:01:00.0"
#define MSIX_CAP 0x50
#define TABLE    0x3000
#define DOORBELL 0x3ffc0040ULL /* GITS_TRANSLATER under one redistributor */
#define CONFIG   MAP_ECAM_BASE /* of the guest's 00:00.0 */
#define SLOT     0x8000ULL     /* from one slot's to the next's */
#define BAR      MAP_PCI_MEM_BASE
#define RESETS   100

static const struct vfio_host *host;
static struct fake_vfio *fake;
static struct fake_vfio_device *nic;

/* In place of that of /sys and /dev. */
int vfio_create(struct vfio **vfio, const struct vfio_device_config *configs, size_t count,
		struct loop *loop)
{
	return vfio_create_on(host, vfio, configs, count, loop);
}

static int setup(void **state)
{
	if (machine_rig_setup(state))
		return -1;
	host = host_tree_begin();
	fake = fake_vfio_begin();
	nic = fake_vfio_add(NIC, 5, 0x8086, 0x10d3);
	host_function(NIC, 0x8086, 0x10d3, 0x020000, "vfio-pci", 5);
	fake_vfio_region(nic, 0, 0x4000,
			 VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
				 VFIO_REGION_INFO_FLAG_MMAP,
			 0);
	nic->regions[0].msix_mappable = true;
	fake_vfio_msix(nic, MSIX_CAP, 4, 0, TABLE, 0, 0x3800);
	return 0;
}

static int teardown(void **state)
{
	fake_vfio_end();
	host_tree_end();
	return machine_rig_teardown(state);
}

static struct machine_config config_with_nic(void)
{
	static struct vfio_device_config device;
	struct machine_config config = rig_config();

	assert_int_equal(vfio_device_config_parse(&device, NIC), 0);
	config.vfio = &device;
	config.vfio_count = 1;
	return config;
}

/* What there is while a guest with its interrupts up runs. */
static struct {
	unsigned descriptors, mappings, slots, irqfds, table_updates;
	bool decoding, enabled;
} seen[RESETS];
static unsigned started;

/* Of files: sanitizers and allocators have anonymous ones of their own. */
static unsigned count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned count = 0;
	char line[512];

	while (fgets(line, sizeof(line), file))
		count += strchr(line, '/') != NULL;
	fclose(file);
	return count;
}

static void note(void *arg)
{
	const struct fake_kvm_vm *vm = &rig_kvm->vms[started];

	(void)arg;
	seen[started].descriptors = rig_descriptors();
	seen[started].mappings = count_mappings();
	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++)
		seen[started].slots += vm->slots[i].memory_size != 0;
	seen[started].irqfds = vm->irqfds_count;
	seen[started].table_updates = vm->routes_updates;
	seen[started].enabled = nic->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled;
	started++;
}

/* As a driver does: decode, fill two vectors, turn MSI-X on; then `last`. */
#define BRING_UP(last)                                                                             \
	GUEST_STORES(CONFIG + 4, 0x6, 2), GUEST_STORES(BAR + TABLE, DOORBELL, 4),                  \
		GUEST_STORES(BAR + TABLE + 4, 0, 4), GUEST_STORES(BAR + TABLE + 8, 3, 4),          \
		GUEST_STORES(BAR + TABLE + 12, 0, 4), GUEST_STORES(BAR + TABLE + 16, DOORBELL, 4), \
		GUEST_STORES(BAR + TABLE + 20, 0, 4), GUEST_STORES(BAR + TABLE + 24, 4, 4),        \
		GUEST_STORES(BAR + TABLE + 28, 0, 4),                                              \
		GUEST_STORES(CONFIG + MSIX_CAP + 2, 0x8000, 2), { .err = EINTR, .hook = note },    \
		last
#define BRING_UP_EXITS 12

static void interrupts_come_up_in_one_table_and_everything_is_given_back(void **state)
{
	static const struct fake_kvm_exit exits[] = { BRING_UP(GUEST_POWERS_OFF) };
	struct machine_config config = config_with_nic();

	(void)state;
	memset(seen, 0, sizeof(seen));
	started = 0;
	assert_int_equal(rig_run(&config, exits, BRING_UP_EXITS), RUN_POWEROFF);
	assert_int_equal(started, 1);
	assert_int_equal(seen[0].irqfds, 2);
	assert_int_equal(seen[0].table_updates, 1);
	assert_true(seen[0].enabled);
	assert_in_range(seen[0].slots, 2, 3); /* RAM and the BAR around its table */
	assert_int_equal(rig_kvm->vms[0].vfio_files_count, 1);
	assert_false(rig_kvm->vms[0].mte);
	assert_int_equal(fake->maps_ever, 1);
	assert_false(nic->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled);
}

static void a_hundred_resets_with_a_device_leak_nothing(void **state)
{
	static struct fake_kvm_exit exits[RESETS][BRING_UP_EXITS];
	static const struct fake_kvm_exit once[] = { BRING_UP(GUEST_RESETS) };
	struct machine_config config = config_with_nic();

	(void)state;
	for (unsigned i = 0; i < RESETS; i++)
		memcpy(exits[i], once, sizeof(once));
	exits[RESETS - 1][BRING_UP_EXITS - 1].event = KVM_SYSTEM_EVENT_SHUTDOWN;
	memset(seen, 0, sizeof(seen));
	started = 0;
	config.restart_on_reset = true;
	assert_int_equal(rig_run(&config, exits[0], RESETS * BRING_UP_EXITS), RUN_POWEROFF);
	assert_int_equal(started, RESETS);
	for (unsigned i = 1; i < RESETS; i++) {
		assert_int_equal(seen[i].descriptors, seen[0].descriptors);
		assert_int_equal(seen[i].mappings, seen[0].mappings);
		assert_int_equal(seen[i].slots, seen[0].slots);
		assert_int_equal(seen[i].irqfds, 2);
		assert_int_equal(seen[i].table_updates, 1);
	}
	assert_int_equal(fake->maps_ever, 1);
	assert_int_equal(nic->opens, 1);
	assert_true(nic->resets >= RESETS);
}

static void a_device_that_cannot_be_attached_ends_the_run_and_is_given_back(void **state)
{
	struct machine_config config = config_with_nic();
	int end;

	(void)state;
	rig_kvm->devices &= ~(1u << KVM_DEV_TYPE_VFIO);
	stderr_keep();
	end = rig_run(&config, NULL, 0);
	assert_reported("cannot create KVM's VFIO device");
	assert_int_equal(end, -ENODEV);
}

static void a_device_that_cannot_be_used_is_told_before_memory_is_pinned(void **state)
{
	struct machine_config config = config_with_nic();
	int end;

	(void)state;
	host_bind(NIC, "e1000e");
	stderr_keep();
	end = rig_run(&config, NULL, 0);
	assert_reported(NIC);
	assert_int_equal(end, -ENODEV);
	assert_int_equal(fake->maps_ever, 0);
	assert_int_equal(nic->opens, 0);
}

/* What was asked for keeps its slot, whatever comes without. */
static void an_unasked_card_comes_behind_passed_through_devices(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		GUEST_LOADS(CONFIG, 4),
		GUEST_LOADS(CONFIG + SLOT, 4),
		GUEST_LOADS(CONFIG + 2 * SLOT, 4),
		GUEST_LOADS(CONFIG + 3 * SLOT, 4),
		GUEST_POWERS_OFF,
	};
	static const uint32_t card = 0x10411af4, rng = 0x10441af4, of_host = 0x10d38086;
	static const struct {
		const char *device;
		bool rng;
		uint32_t ids[4];
	} cases[] = {
		{ NIC, false, { of_host, card, UINT32_MAX, UINT32_MAX } },
		{ NIC, true, { rng, of_host, card, UINT32_MAX } },
		{ NIC ",guest=1", false, { UINT32_MAX, of_host, card, UINT32_MAX } },
		{ NIC ",guest=31", false, { card, UINT32_MAX, UINT32_MAX, UINT32_MAX } },
		{ NIC ",guest=0", true, { of_host, rng, card, UINT32_MAX } },
	};
	struct virtio_network_config network;

	(void)state;
	assert_int_equal(virtio_network_config_parse(&network, "mode=user"), 0);
	network.unasked = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine_config config = config_with_nic();
		struct vfio_device_config device;

		assert_int_equal(vfio_device_config_parse(&device, cases[i].device), 0);
		config.vfio = &device;
		config.virtio.rng = cases[i].rng;
		config.virtio.networks = &network;
		config.virtio.network_count = 1;
		fake_kvm_begin();
		assert_int_equal(rig_run(&config, exits, 5), RUN_POWEROFF);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(rig_kvm->vms[0].vcpus[0].reads[n], cases[i].ids[n]);
	}
	virtio_network_config_free(&network);
}

/* The host asks for its device back (VFIO_PCI_REQ_IRQ_INDEX) while the guest runs. */
static void ask_back(void *arg)
{
	(void)arg;
	fake_vfio_trigger(nic, VFIO_PCI_REQ_IRQ_INDEX, 0);
}

static void a_host_that_wants_its_device_back_gets_it(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .wait = true, .hook = ask_back } };
	struct machine_config config = config_with_nic();
	int end;

	(void)state;
	config.restart_on_reset = true;
	stderr_keep();
	end = rig_run(&config, exits, 1);
	assert_reported(NIC);
	assert_int_equal(end, RUN_HOST_ERROR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(interrupts_come_up_in_one_table_and_everything_is_given_back),
		TEST(a_hundred_resets_with_a_device_leak_nothing),
		TEST(a_device_that_cannot_be_attached_ends_the_run_and_is_given_back),
		TEST(a_device_that_cannot_be_used_is_told_before_memory_is_pinned),
		TEST(an_unasked_card_comes_behind_passed_through_devices),
		TEST(a_host_that_wants_its_device_back_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A device's way from the host to a VM and back: attached, detached and reset as it was built, and the host's own wishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include "../../vfio/container.h"
#include "fake_kvm.h"
#include "fake_vfio.h"
#include "files.h"
#include "host_tree.h"

#define NIC  "0000:01:00.0"
#define NIC2 "0000:01:00.1"
#define DISK "0000:02:00.0"

#define MSIX_CAP 0x50
#define MSIX_BAR 0
#define VECTORS  4
#define RW       (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

static const struct pci_layout layout = {
	.ecam = { MAP_ECAM_BASE, MAP_ECAM_SIZE },
	.io = { MAP_PCI_IO_BASE, MAP_PCI_IO_SIZE },
	.mem32 = { MAP_PCI_MEM_BASE, MAP_PCI_MEM_SIZE },
	.mem64 = { 64 * SZ_1G, 64 * SZ_1G },
};

/* An interrupt controller that counts what is attached to it. */
static struct {
	struct irq_controller base;
	int attached;
} irqs;

static int set_routes(struct irq_controller *controller, const struct irq_route *routes,
		      size_t count)
{
	(void)controller;
	(void)routes;
	(void)count;
	return 0;
}

static int attach(struct irq_controller *controller, uint32_t gsi, int trigger_fd, int resample_fd)
{
	(void)controller;
	(void)gsi;
	(void)trigger_fd;
	(void)resample_fd;
	irqs.attached++;
	return 0;
}

static int detach(struct irq_controller *controller, uint32_t gsi, int trigger_fd)
{
	(void)controller;
	(void)gsi;
	(void)trigger_fd;
	irqs.attached--;
	return 0;
}

static const struct irq_controller_class irq_class = {
	.set_routes = set_routes,
	.attach = attach,
	.detach = detach,
};

static const struct vfio_host *host;
static struct fake_vfio *fake;
static struct fake_kvm *kvm;
static struct loop loop;
static struct mmio_bus mmio;
static struct pci_bus bus;
static struct kvm_host kvm_host;
static struct vm vm;
static struct irq_routes routes;
static struct vfio *vfio;

/* A function with 16 KiB of registers that end in its MSI-X table and PBA. */
static struct fake_vfio_device *add(const char *bdf, int group)
{
	struct fake_vfio_device *dev = fake_vfio_add(bdf, group, 0x8086, 0x10d3);

	host_function(bdf, 0x8086, 0x10d3, 0x020000, "vfio-pci", group);
	fake_vfio_region(dev, MSIX_BAR, 0x4000, RW | VFIO_REGION_INFO_FLAG_MMAP, 0);
	dev->regions[MSIX_BAR].msix_mappable = true;
	fake_vfio_msix(dev, MSIX_CAP, VECTORS, MSIX_BAR, 0x3000, MSIX_BAR, 0x3800);
	return dev;
}

static int setup(void **state)
{
	if (files_setup(state))
		return -1;
	report_set_level(LOG_WARNING);
	host = host_tree_begin();
	fake = fake_vfio_begin();
	kvm = fake_kvm_begin();
	add(NIC, 5);
	add(NIC2, 5);
	add(DISK, 6);
	irqs.base = (struct irq_controller){ .class = &irq_class, .msi = true };
	irqs.attached = 0;
	if (loop_create(&loop) || mmio_bus_create(&mmio) || pci_bus_create(&bus, &mmio, &layout) ||
	    kvm_host_open(&kvm_host) || vm_create(&vm, &kvm_host, 40))
		return -1;
	return irq_routes_create(&routes, &irqs.base, 16);
}

/* The machine's own order. */
static int teardown(void **state)
{
	irq_routes_destroy(&routes);
	vm_destroy(&vm);
	pci_bus_destroy(&bus);
	vfio_destroy(vfio);
	vfio = NULL;
	mmio_bus_destroy(&mmio);
	loop_destroy(&loop);
	kvm_host_close(&kvm_host);
	assert_int_equal(irqs.attached, 0);
	fake_kvm_end();
	fake_vfio_end();
	host_tree_end();
	return files_teardown(state);
}

static void create(const char *one, const char *two, const char *three)
{
	const char *const bdfs[] = { one, two, three };
	struct vfio_device_config configs[3];
	size_t count = 0;

	for (; count < 3 && bdfs[count]; count++)
		assert_int_equal(vfio_device_config_parse(&configs[count], bdfs[count]), 0);
	assert_int_equal(vfio_create_on(host, &vfio, configs, count, &loop), 0);
}

/* Up to the moment at which a guest could start. */
static void build(const char *one, const char *two, const char *three)
{
	create(one, two, three);
	assert_int_equal(vfio_add_to_bus(vfio, &bus), 0);
	assert_int_equal(pci_bus_assign(&bus), 0);
}

static int attach_all(void)
{
	return vfio_attach(vfio, &vm, &routes, &irqs.base);
}

static struct pci_function *function_of(const char *bdf)
{
	for (size_t i = 0; i < vfio->count; i++)
		if (!strcmp(vfio->devices[i].config.bdf, bdf))
			return &vfio->devices[i].function;
	fail();
	return NULL;
}

/* What a driver does: decode on, MSI-X on with one vector unmasked, and some registers written. */
static void guest_uses(struct pci_function *function)
{
	uint64_t bar = pci_bar_address(function, MSIX_BAR);

	pci_config_write(function, PCI_INTERRUPT_LINE, 1, 0x42);
	pci_config_write(function, PCI_CACHE_LINE_SIZE, 1, 0x10);
	pci_config_write(function, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(mmio_bus_write(&mmio, bar + 0x3000, 4, 0x8080040));
	assert_true(mmio_bus_write(&mmio, bar + 0x3004, 4, 0));
	assert_true(mmio_bus_write(&mmio, bar + 0x3008, 4, 0x20));
	assert_true(mmio_bus_write(&mmio, bar + 0x300c, 4, 0));
	pci_config_write(function, MSIX_CAP + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static bool slots_in_use(void)
{
	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++)
		if (kvm->vms[0].slots[i].memory_size)
			return true;
	return false;
}

/* --- on the bus --- */

static void devices_find_their_place(void **state)
{
	(void)state;
	build(NIC, NIC2 ",guest=0.1", DISK ",guest=0");
	assert_ptr_equal(bus.functions[0], function_of(DISK));
	assert_ptr_equal(bus.functions[1], function_of(NIC2));
	assert_ptr_equal(bus.functions[8], function_of(NIC));
	assert_int_equal(pci_config_read(function_of(NIC), PCI_VENDOR_ID, 4), 0x10d38086);
}

/* --- attached to a VM and detached from it --- */

static void each_group_is_given_to_kvm_once(void **state)
{
	(void)state;
	build(NIC, NIC2, DISK);
	assert_int_equal(attach_all(), 0);
	assert_int_equal(kvm->vms[0].vfio_files_count, 2);
	assert_int_equal(kvm->vms[0].vfio_files[0], fake->groups[0].fd);
	assert_int_equal(kvm->vms[0].vfio_files[1], fake->groups[1].fd);
	vfio_detach(vfio);
	assert_int_equal(vfio->kvm_fd, -1);
	assert_true(fake_vfio_fds() > 0);
}

static void a_detached_device_is_as_built(void **state)
{
	struct fake_vfio_device *nic = fake_vfio_device(NIC);
	uint8_t before[PCI_CONFIG_SIZE];
	struct pci_function *function;

	(void)state;
	build(NIC, NULL, NULL);
	function = function_of(NIC);
	memcpy(before, function->config, sizeof(before));
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(attach_all(), 0);
		guest_uses(function);
		assert_int_not_equal(memcmp(before, function->config, sizeof(before)), 0);
		assert_true(slots_in_use());
		assert_true(nic->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled);
		assert_int_equal(irqs.attached, 1);
		assert_true(fake_vfio_config_get(nic, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
		vfio_detach(vfio);
		assert_memory_equal(before, function->config, sizeof(before));
		assert_false(slots_in_use());
		assert_false(nic->irqs[VFIO_PCI_MSIX_IRQ_INDEX].enabled);
		assert_int_equal(irqs.attached, 0);
		assert_false(fake_vfio_config_get(nic, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
		assert_int_equal(nic->resets, i + 1);
	}
	vfio_detach(vfio);
	assert_int_equal(nic->resets, 6);
}

static void the_vector_table_is_forgotten(void **state)
{
	struct pci_function *function;
	uint64_t value, bar;

	(void)state;
	build(NIC, NULL, NULL);
	function = function_of(NIC);
	bar = pci_bar_address(function, MSIX_BAR);
	assert_int_equal(attach_all(), 0);
	guest_uses(function);
	vfio_detach(vfio);
	assert_int_equal(attach_all(), 0);
	pci_config_write(function, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(mmio_bus_read(&mmio, bar + 0x3008, 4, &value));
	assert_int_equal(value, 0);
	assert_true(mmio_bus_read(&mmio, bar + 0x300c, 4, &value));
	assert_int_equal(value, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	vfio_detach(vfio);
}

static void destroying_detaches(void **state)
{
	struct fake_vfio_device *nic = fake_vfio_device(NIC);

	(void)state;
	build(NIC, DISK, NULL);
	assert_int_equal(attach_all(), 0);
	guest_uses(function_of(NIC));
	pci_bus_destroy(&bus);
	vfio_destroy(vfio);
	vfio = NULL;
	assert_int_equal(nic->resets, 1);
	assert_int_equal(irqs.attached, 0);
	assert_int_equal(fake_vfio_fds(), 0);
	mmio_bus_destroy(&mmio);
	assert_int_equal(mmio_bus_create(&mmio), 0);
	assert_int_equal(pci_bus_create(&bus, &mmio, &layout), 0);
}

static void a_failed_attach_leaves_nothing_attached(void **state)
{
	static const struct {
		unsigned long request;
		unsigned skip;
	} steps[] = {
		{ KVM_CREATE_DEVICE, 0 },
		{ KVM_SET_DEVICE_ATTR, 0 },
		{ KVM_SET_DEVICE_ATTR, 1 },
	};
	unsigned fds;

	(void)state;
	build(NIC, DISK, NULL);
	fds = fake_kvm_fds();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fake_kvm_fail(steps[i].request, EIO, steps[i].skip, 1);
		stderr_keep();
		assert_true(attach_all() < 0);
		assert_reported("KVM");
		assert_int_equal(fake_kvm_fds(), fds);
		assert_false(vfio->attached);
	}
	assert_int_equal(attach_all(), 0);
	vfio_detach(vfio);
	assert_int_equal(fake_kvm_fds(), fds);
}

/* --- resets --- */

static void the_kernels_reset_at_the_start_is_not_repeated(void **state)
{
	(void)state;
	create(NIC, NULL, NULL);
	assert_int_equal(fake_vfio_device(NIC)->resets, 0);
	assert_int_equal(fake_vfio_device(NIC)->hot_resets, 0);
}

/* A function of a card that is reset as a whole; `others` and their group are reset with it. */
static struct fake_vfio_device *without_function_reset(const char *other, int group)
{
	struct fake_vfio_device *dev = fake_vfio_device(NIC);

	dev->flags = VFIO_DEVICE_FLAGS_PCI;
	dev->hot_reset = true;
	dev->hot_reset_with[0] = other;
	dev->hot_reset_groups[0] = group;
	dev->hot_reset_others = other ? 1 : 0;
	return dev;
}

static void a_hot_reset_does_where_all_groups_are_ours(void **state)
{
	struct fake_vfio_device *nic = without_function_reset(DISK, 6);

	(void)state;
	build(NIC, DISK, NULL);
	assert_int_equal(nic->hot_resets, 1);
	assert_int_equal(attach_all(), 0);
	vfio_detach(vfio);
	assert_int_equal(nic->hot_resets, 2);
	assert_int_equal(nic->resets, 0);
	assert_int_equal(fake_vfio_device(DISK)->resets, 0);
}

/* Both functions of a card, neither with a reset of its own. */
static void one_hot_reset_does_for_all_it_affects(void **state)
{
	struct fake_vfio_device *nic = without_function_reset(NIC2, 5);
	struct fake_vfio_device *other = fake_vfio_device(NIC2);

	(void)state;
	other->flags = VFIO_DEVICE_FLAGS_PCI;
	other->hot_reset = true;
	other->hot_reset_with[0] = NIC;
	other->hot_reset_groups[0] = 5;
	other->hot_reset_others = 1;
	build(NIC, NIC2, NULL);
	assert_int_equal(nic->hot_resets + other->hot_resets, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(attach_all(), 0);
		vfio_detach(vfio);
		assert_int_equal(nic->hot_resets + other->hot_resets, i + 2);
	}
}

static void a_hot_reset_may_affect_many(void **state)
{
	struct fake_vfio_device *nic = without_function_reset(NULL, 0);

	(void)state;
	nic->hot_reset_others = FAKE_VFIO_AFFECTED;
	for (unsigned i = 0; i < FAKE_VFIO_AFFECTED; i++) {
		nic->hot_reset_with[i] = NIC2;
		nic->hot_reset_groups[i] = 5;
	}
	create(NIC, NULL, NULL);
	assert_int_equal(nic->hot_resets, 1);
}

static void strangers_are_not_reset(void **state)
{
	struct fake_vfio_device *nic = without_function_reset(DISK, 6);

	(void)state;
	fake_vfio_config_put(nic, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	report_set_level(LOG_INFO);
	stderr_keep();
	create(NIC, NULL, NULL);
	assert_reported(NIC " has no reset that is lkvm's to use");
	report_set_level(LOG_WARNING);
	assert_int_equal(nic->hot_resets, 0);
	assert_int_equal(fake_vfio_config_get(nic, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
}

static void a_device_without_any_reset_is_silenced(void **state)
{
	struct fake_vfio_device *nic = fake_vfio_device(NIC);

	(void)state;
	nic->flags = VFIO_DEVICE_FLAGS_PCI;
	build(NIC, NULL, NULL);
	assert_int_equal(attach_all(), 0);
	guest_uses(function_of(NIC));
	assert_true(fake_vfio_config_get(nic, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	vfio_detach(vfio);
	assert_false(fake_vfio_config_get(nic, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

static void a_busy_reset_is_tried_again(void **state)
{
	(void)state;
	build(NIC, NULL, NULL);
	assert_int_equal(attach_all(), 0);
	fake_vfio_fail(VFIO_DEVICE_RESET, EAGAIN, 0, 3);
	vfio_detach(vfio);
	assert_int_equal(fake_vfio_device(NIC)->resets, 1);
}

static void a_failed_function_reset_falls_back(void **state)
{
	struct fake_vfio_device *nic = fake_vfio_device(NIC);

	(void)state;
	nic->hot_reset = true;
	build(NIC, NULL, NULL);
	fake_vfio_fail(VFIO_DEVICE_RESET, EIO, 0, 2);
	vfio->devices[0].clean = false;
	assert_int_equal(vfio_device_reset(&vfio->devices[0]), 0);
	assert_int_equal(nic->hot_resets, 1);
	nic->hot_reset = false;
	vfio->devices[0].clean = false;
	stderr_keep();
	assert_int_equal(vfio_device_reset(&vfio->devices[0]), -ENOTTY);
	assert_reported(NIC " could not be reset (Input/output error)");
}

/* --- the host's wishes --- */

static void the_host_gets_its_device_back(void **state)
{
	(void)state;
	create(NIC, DISK, NULL);
	assert_true(fake_vfio_trigger(fake_vfio_device(DISK), VFIO_PCI_REQ_IRQ_INDEX, 0));
	stderr_keep();
	assert_int_equal(loop_run(&loop), RUN_HOST_ERROR);
	assert_reported("the host wants " DISK " back");
	/* The kernel says it again and again. */
	assert_true(fake_vfio_trigger(fake_vfio_device(DISK), VFIO_PCI_REQ_IRQ_INDEX, 0));
	loop_rewind(&loop);
	loop_end(&loop, RUN_POWEROFF);
	stderr_keep();
	assert_int_equal(loop_run(&loop), RUN_POWEROFF);
	assert_string_equal(stderr_text(), "");
}

static void a_device_error_ends_the_run(void **state)
{
	(void)state;
	create(NIC, NULL, NULL);
	assert_true(fake_vfio_trigger(fake_vfio_device(NIC), VFIO_PCI_ERR_IRQ_INDEX, 0));
	stderr_keep();
	assert_int_equal(loop_run(&loop), RUN_HOST_ERROR);
	assert_reported(NIC " reported an unrecoverable error");
}

static void devices_without_these_interrupts_do(void **state)
{
	struct fake_vfio_device *nic = fake_vfio_device(NIC);

	(void)state;
	nic->irqs[VFIO_PCI_ERR_IRQ_INDEX].count = 0;
	nic->num_irqs = VFIO_PCI_REQ_IRQ_INDEX;
	create(NIC, NULL, NULL);
	assert_int_equal(nic->set_irqs_count, 0);
	assert_int_equal(vfio->devices[0].err.fd, -1);
	assert_int_equal(vfio->devices[0].req.fd, -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(devices_find_their_place),
		TEST(each_group_is_given_to_kvm_once),
		TEST(a_detached_device_is_as_built),
		TEST(the_vector_table_is_forgotten),
		TEST(destroying_detaches),
		TEST(a_failed_attach_leaves_nothing_attached),
		TEST(the_kernels_reset_at_the_start_is_not_repeated),
		TEST(a_hot_reset_does_where_all_groups_are_ours),
		TEST(one_hot_reset_does_for_all_it_affects),
		TEST(a_hot_reset_may_affect_many),
		TEST(strangers_are_not_reset),
		TEST(a_device_without_any_reset_is_silenced),
		TEST(a_busy_reset_is_tried_again),
		TEST(a_failed_function_reset_falls_back),
		TEST(the_host_gets_its_device_back),
		TEST(a_device_error_ends_the_run),
		TEST(devices_without_these_interrupts_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

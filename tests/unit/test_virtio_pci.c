// SPDX-License-Identifier: GPL-2.0-only
/* Virtio over PCI (virtio 1.2, 4.1): what a driver finds, and what its accesses do. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>
#include "files.h"
#include "virtio_pci_rig.h"

#define COMMON VIRTIO_PCI_CAP_COMMON_CFG
#define NOTIFY VIRTIO_PCI_CAP_NOTIFY_CFG
#define ISR    VIRTIO_PCI_CAP_ISR_CFG
#define DEVICE VIRTIO_PCI_CAP_DEVICE_CFG

/* --- what a driver finds --- */

static const struct {
	uint32_t id;
	bool legacy;
	uint32_t device, subsystem, revision, class;
} identities[] = {
	{ VIRTIO_ID_NET, false, 0x1041, 0x1041, 1, 0x020000 },
	{ VIRTIO_ID_BLOCK, false, 0x1042, 0x1042, 1, 0x018000 },
	{ VIRTIO_ID_RNG, false, 0x1044, 0x1044, 1, 0xff0000 },
	{ VIRTIO_ID_VSOCK, false, 0x1053, 0x1053, 1, 0x028000 },
	{ 63, false, 0x107f, 0x107f, 1, 0xff0000 },
	{ VIRTIO_ID_NET, true, 0x1000, 1, 0, 0x020000 },
	{ VIRTIO_ID_BLOCK, true, 0x1001, 2, 0, 0x018000 },
	{ VIRTIO_ID_BALLOON, true, 0x1002, 5, 0, 0xff0000 },
	{ VIRTIO_ID_CONSOLE, true, 0x1003, 3, 0, 0x078000 },
	{ VIRTIO_ID_RNG, true, 0x1005, 4, 0, 0xff0000 },
	{ VIRTIO_ID_9P, true, 0x1009, 9, 0, 0x018000 },
	{ VIRTIO_ID_VSOCK, true, 0x1053, 0x1053, 1, 0x028000 },
	{ VIRTIO_ID_FS, true, 0x105a, 0x105a, 1, 0x018000 },
};

static void device_says_what_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
		virtio_pci_rig_make(identities[i].id, identities[i].legacy);
		assert_int_equal(config_get(PCI_VENDOR_ID, 4), 0x1af4 | identities[i].device << 16);
		assert_int_equal(config_get(PCI_SUBSYSTEM_VENDOR_ID, 4),
				 0x1af4 | identities[i].subsystem << 16);
		assert_int_equal(config_get(PCI_CLASS_REVISION, 4),
				 identities[i].class << 8 | identities[i].revision);
		assert_int_equal(config_get(PCI_INTERRUPT_PIN, 1), 1);
		assert_int_equal(config_get(PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_SPACE_IO,
				 identities[i].revision == 0);
		virtio_pci_detach(prig.pci);
		virtio_pci_destroy(prig.pci);
		prig.pci = NULL;
		virtio_rig_destroy_device();
	}
}

static void structures_lie_apart_in_one_bar(void **state)
{
	uint32_t msix;

	(void)state;
	virtio_pci_rig_make(0, false);
	assert_true(prig.msix && prig.window);
	msix = config_get(prig.msix + PCI_MSIX_TABLE, 4) & PCI_MSIX_TABLE_OFFSET;
	assert_int_equal(config_get(prig.msix + PCI_MSIX_FLAGS, 2), ECHO_QUEUES);
	for (unsigned a = COMMON; a <= DEVICE; a++) {
		uint32_t start = prig.place[a].offset, end = start + prig.place[a].length;

		assert_true(end > start && end <= prig.function->bar[prig.place[a].bar].size);
		assert_true(end <= msix || start >= msix + (ECHO_QUEUES + 1) * 16);
		for (unsigned b = COMMON; b < a; b++)
			assert_true(end <= prig.place[b].offset ||
				    start >= prig.place[b].offset + prig.place[b].length);
	}
	assert_int_equal(prig.place[DEVICE].length, ECHO_CONFIG);
	assert_int_equal(prig.place[NOTIFY].length, ECHO_QUEUES * prig.multiplier);
	assert_true(prig.function->bar[prig.place[COMMON].bar].size <= 0x10000);
}

static void device_without_configuration_has_no_structure_for_it(void **state)
{
	(void)state;
	prig.echo = echo_create(VIRTIO_ID_RNG, &vrig.env);
	prig.echo->vdev.config_size = 0;
	vrig.vdev = &prig.echo->vdev;
	assert_int_equal(virtio_pci_create(&prig.pci, vrig.vdev, &pci_root, -1, false), 0);
	prig.function = &prig.pci->function;
	virtio_pci_rig_find();
	assert_int_equal(prig.place[DEVICE].length, 0);
	assert_true(prig.msix && prig.window);
}

static void configuration_too_large_is_refused(void **state)
{
	struct virtio_pci *pci = NULL;

	(void)state;
	prig.echo = echo_create(0, &vrig.env);
	prig.echo->vdev.config_size = 0x10000;
	vrig.vdev = &prig.echo->vdev;
	stderr_keep();
	assert_int_equal(virtio_pci_create(&pci, vrig.vdev, &pci_root, -1, false), -EINVAL);
	assert_reported("echo: 65536 bytes of configuration");
	assert_null(pci);
}

/* --- registers --- */

static void registers_hold_what_they_are_told(void **state)
{
	static const struct {
		unsigned offset, size;
		uint64_t reset, written, read;
	} table[] = {
		{ VIRTIO_PCI_COMMON_DFSELECT, 4, 0, 1, 1 },
		{ VIRTIO_PCI_COMMON_GFSELECT, 4, 0, 0x12345678, 0x12345678 },
		{ VIRTIO_PCI_COMMON_MSIX, 2, 0xffff, 2, 2 },
		{ VIRTIO_PCI_COMMON_MSIX, 2, 2, ECHO_QUEUES + 1, 0xffff },
		{ VIRTIO_PCI_COMMON_NUMQ, 2, ECHO_QUEUES, 77, ECHO_QUEUES },
		{ VIRTIO_PCI_COMMON_STATUS, 1, 0, 1, 1 },
		{ VIRTIO_PCI_COMMON_CFGGENERATION, 1, 0, 5, 0 },
		{ VIRTIO_PCI_COMMON_Q_SELECT, 2, 0, 1, 1 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2, ECHO_SIZE, 4, 4 },
		{ VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff, 3, 3 },
		{ VIRTIO_PCI_COMMON_Q_MSIX, 2, 3, 0x103, 0xffff },
		{ VIRTIO_PCI_COMMON_Q_NOFF, 2, 1, 9, 1 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0, 0x89abcdef, 0x89abcdef },
		{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0, 0x01234567, 0x01234567 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x0123456789abcdef, 0, 0 },
		{ VIRTIO_PCI_COMMON_Q_AVAILLO, 8, 0, 0x1122334455667788, 0x1122334455667788 },
		{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4, 0x11223344, 7, 7 },
		{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x55667788, 8, 8 },
		{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0, 0xa, 0xa },
		{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0, 0xb, 0xb },
		{ VIRTIO_PCI_COMMON_Q_RESET, 2, 0, 1, 0 },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0, 0, 0 },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0, 2, 0 },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0, 1, 1 },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1, 0, 1 },
		{ VIRTIO_PCI_COMMON_Q_RESET + 2, 2, 0, 1, 0 },
		{ VIRTIO_PCI_COMMON_SIZE - 4, 4, 0, 1, 0 },
	};

	(void)state;
	virtio_pci_rig_make(0, false);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(common_get(table[i].offset, table[i].size), table[i].reset);
		common_put(table[i].offset, table[i].size, table[i].written);
		assert_int_equal(common_get(table[i].offset, table[i].size), table[i].read);
	}
}

static void features_come_in_halves(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	common_put(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	assert_true(common_get(VIRTIO_PCI_COMMON_DF, 4) & ECHO_FEATURE);
	common_put(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_true(common_get(VIRTIO_PCI_COMMON_DF, 4) & ECHO_HIGH >> 32);
	common_put(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_DF, 4), 0);
}

/* Not the field's width, not its start, between structures, beyond all. */
static void odd_accesses_do_nothing(void **state)
{
	static const struct {
		unsigned offset, size;
	} odd[] = {
		{ VIRTIO_PCI_COMMON_Q_SIZE, 1 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 4 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 8 },
		{ VIRTIO_PCI_COMMON_Q_SIZE + 1, 1 },
		{ VIRTIO_PCI_COMMON_STATUS, 2 },
		{ VIRTIO_PCI_COMMON_STATUS, 4 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 4 },
		{ VIRTIO_PCI_COMMON_DFSELECT, 2 },
		{ VIRTIO_PCI_COMMON_SIZE - 4, 8 },
		{ 0x44, 4 },
		{ 0x3e, 4 },
		{ 0xff8, 8 },
	};

	(void)state;
	virtio_pci_rig_make(0, false);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		common_put(odd[i].offset, odd[i].size, 0x0101010101010101);
		assert_int_equal(common_get(odd[i].offset, odd[i].size), 0);
	}
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_Q_SIZE, 2), ECHO_SIZE);
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_STATUS, 1), 0);
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
}

/* Row 10: a queue that is not there reads as 0 and is not written. */
static void queues_that_are_not_there_are_nothing(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	common_put(VIRTIO_PCI_COMMON_Q_SELECT, 2, ECHO_QUEUES);
	for (unsigned at = VIRTIO_PCI_COMMON_Q_SIZE; at < VIRTIO_PCI_COMMON_Q_DESCLO; at += 2) {
		common_put(at, 2, 1);
		assert_int_equal(common_get(at, 2), at == VIRTIO_PCI_COMMON_Q_MSIX ? 0xffff : 0);
	}
	for (unsigned at = VIRTIO_PCI_COMMON_Q_DESCLO; at < VIRTIO_PCI_COMMON_Q_NDATA; at += 4) {
		common_put(at, 4, 1);
		assert_int_equal(common_get(at, 4), 0);
	}
	common_put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	modern_start(false);
	area_put(NOTIFY, ECHO_QUEUES * prig.multiplier, 2, ECHO_QUEUES);
	area_put(NOTIFY, 2, 2, 0);
	assert_int_equal(area_get(NOTIFY, 0, 4), 0);
	virtio_rig_pump();
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert_int_equal(prig.echo->handled[i], 0);
}

static void configuration_is_read_and_written_in_any_size(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	assert_int_equal(area_get(DEVICE, 0, 8), 0x1716151413121110);
	assert_int_equal(area_get(DEVICE, 1, 1), 0x11);
	assert_int_equal(area_get(DEVICE, 10, 4), 0x1b1a);
	assert_int_equal(area_get(DEVICE, 0x100, 4), 0);
	area_put(DEVICE, 2, 2, 0xbeef);
	assert_int_equal(area_get(DEVICE, 0, 4), 0xbeef1110);
	area_put(DEVICE, 4, 4, 0);
	assert_int_equal(area_get(DEVICE, 4, 4), 0x17161514);
}

/* --- requests and interrupts --- */

static void request_is_answered_by_msix(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	msix_on();
	modern_start(true);
	echo_request(1);
	assert_int_equal(msix_injected_of(2), 1);
	assert_int_equal(msix_injected_of(0) + msix_injected_of(1) + msix_injected_of(3), 0);
	assert_int_equal(area_get(ISR, 0, 1), 0);
	assert_false(prig.irqs.level[PRIG_LINE]);
	virtio_lock(vrig.vdev);
	virtio_config_changed(vrig.vdev);
	virtio_unlock(vrig.vdev);
	assert_int_equal(msix_injected_of(0), 1);
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
}

static void queue_without_a_vector_is_silent(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	msix_on();
	modern_start(false);
	echo_request(0);
	for (unsigned i = 0; i <= ECHO_QUEUES; i++)
		assert_int_equal(msix_injected_of(i), 0);
}

static void request_is_answered_by_intx(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	modern_start(false);
	assert_false(config_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	echo_request(0);
	assert_true(prig.irqs.level[PRIG_LINE]);
	assert_true(config_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	config_put(PCI_COMMAND, 2, DECODE | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	assert_false(prig.irqs.level[PRIG_LINE]);
	config_put(PCI_COMMAND, 2, DECODE | PCI_COMMAND_MASTER);
	assert_true(prig.irqs.level[PRIG_LINE]);
	virtio_lock(vrig.vdev);
	virtio_config_changed(vrig.vdev);
	virtio_unlock(vrig.vdev);
	assert_int_equal(area_get(ISR, 0, 1), 3);
	assert_false(prig.irqs.level[PRIG_LINE]);
	assert_false(config_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(area_get(ISR, 0, 1), 0);
	echo_request(0);
	area_put(ISR, 0, 1, 0);
	assert_true(prig.irqs.level[PRIG_LINE]);
	config_put(prig.msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_false(prig.irqs.level[PRIG_LINE]);
	config_put(prig.msix + PCI_MSIX_FLAGS, 2, 0);
	assert_true(prig.irqs.level[PRIG_LINE]);
	common_put(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(prig.irqs.level[PRIG_LINE]);
	assert_int_equal(area_get(ISR, 0, 1), 0);
}

static void kind_learns_of_another_call_fd(void **state)
{
	int fd;

	(void)state;
	virtio_pci_rig_make(0, false);
	modern_start(false);
	virtio_lock(vrig.vdev);
	assert_int_equal(virtio_call_fd(vrig.vdev, virtio_queue(vrig.vdev, 1)), -1);
	virtio_unlock(vrig.vdev);
	msix_on();
	assert_int_equal(prig.echo->calls_changed[1], 1);
	common_put(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	common_put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 3);
	assert_int_equal(prig.echo->calls_changed[1], 2);
	virtio_lock(vrig.vdev);
	fd = virtio_call_fd(vrig.vdev, virtio_queue(vrig.vdev, 1));
	assert_int_equal(virtio_call_fd(vrig.vdev, virtio_queue(vrig.vdev, 0)), -1);
	virtio_unlock(vrig.vdev);
	assert_int_equal(eventfd_write(fd, 1), 0);
	assert_int_equal(msix_injected_of(3), 1);
	config_put(prig.msix + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(prig.echo->calls_changed[1], 3);
}

/* --- notifications without an exit --- */

static const struct fake_kvm_ioeventfd *find_kick(uint64_t gpa, uint64_t value)
{
	const struct fake_kvm_vm *vm = &prig.kvm->vms[0];

	for (unsigned i = 0; i < vm->ioeventfds_count; i++)
		if (vm->ioeventfds[i].address == gpa &&
		    (!vm->ioeventfds[i].match || vm->ioeventfds[i].value == value))
			return &vm->ioeventfds[i];
	return NULL;
}

static void assert_kicks_at(uint64_t bar)
{
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		const struct fake_kvm_ioeventfd *kick =
			find_kick(bar + prig.place[NOTIFY].offset + i * prig.multiplier, i);

		assert_non_null(kick);
		assert_int_equal(kick->size, 2);
		assert_int_equal(kick->fd, prig.echo->vdev.queues[i].kick.fd);
	}
}

static void kvm_counts_kicks_where_the_bar_is(void **state)
{
	const struct fake_kvm_vm *vm;
	unsigned bar;

	(void)state;
	virtio_pci_rig_make(0, false);
	vm = &prig.kvm->vms[0];
	bar = prig.place[NOTIFY].bar;
	assert_int_equal(vm->ioeventfds_count, ECHO_QUEUES);
	assert_kicks_at(pci_bar_address(prig.function, bar));
	config_put(BAR(bar), 4, MEM32 + 0x200000);
	assert_int_equal(vm->ioeventfds_count, ECHO_QUEUES);
	assert_kicks_at(MEM32 + 0x200000);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(vm->ioeventfds_count, 0);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_int_equal(vm->ioeventfds_count, ECHO_QUEUES);
}

static void kvm_tells_legacy_kicks_apart_by_value(void **state)
{
	const struct fake_kvm_ioeventfd *kick;

	(void)state;
	virtio_pci_rig_make(VIRTIO_ID_NET, true);
	assert_int_equal(prig.kvm->vms[0].ioeventfds_count, 2 * ECHO_QUEUES);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		kick = find_kick(pci_bar_address(prig.function, 0) + VIRTIO_PCI_QUEUE_NOTIFY, i);
		assert_non_null(kick);
		assert_true(kick->match && kick->size == 2);
		assert_int_equal(kick->fd, prig.echo->vdev.queues[i].kick.fd);
	}
}

static void kicks_that_kvm_does_not_take_arrive_all_the_same(void **state)
{
	(void)state;
	fake_kvm_fail(KVM_IOEVENTFD, ENOSPC, 0, ECHO_QUEUES);
	stderr_keep();
	virtio_pci_rig_make(0, false);
	assert_reported("echo: KVM does not take notifications of its queue 0");
	modern_start(false);
	echo_request(2);
	fake_kvm_fail(KVM_IOEVENTFD, ENOSPC, 0, 0);
}

/* --- endings --- */

/* Row 14. */
static void device_that_is_no_bus_master_touches_no_memory(void **state)
{
	const struct virtq_buffer buffer = { VRIG_RAM + 0x100000, 8 };

	(void)state;
	virtio_pci_rig_make(0, false);
	modern_start(false);
	prig.echo->hold = true;
	virtq_driver_add(&vrig.queues[0], &buffer, 0, 1);
	area_put(NOTIFY, 0, 2, 0);
	virtio_rig_pump();
	assert_true(prig.echo->holds[0]);
	config_put(PCI_COMMAND, 2, DECODE);
	assert_int_equal(prig.echo->deactivations, 1);
	echo_release(prig.echo);
	assert_false(virtq_driver_used(&vrig.queues[0], NULL, NULL));
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_STATUS, 1), 0);
	config_put(PCI_COMMAND, 2, DECODE | PCI_COMMAND_MASTER);
	prig.echo->hold = false;
	modern_start(false);
	echo_request(0);
}

static void queue_is_reset_alone(void **state)
{
	(void)state;
	virtio_pci_rig_make(0, false);
	modern_negotiate(1ULL << VIRTIO_F_RING_RESET);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		modern_set_up_queue(i, false);
	common_put(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	echo_request(1);
	common_put(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	common_put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(common_get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(prig.echo->stopped[1], 1);
	assert_int_equal(prig.echo->stopped[0], 0);
	modern_set_up_queue(1, false);
	echo_request(1);
}

static void another_vm_finds_the_device_as_new(void **state)
{
	uint8_t before[256];

	(void)state;
	virtio_pci_rig_make(0, false);
	config_put(PCI_COMMAND, 2, 0);
	memcpy(before, prig.function->config, sizeof(before));
	config_put(PCI_COMMAND, 2, DECODE | PCI_COMMAND_MASTER);
	msix_on();
	modern_start(true);
	echo_request(0);
	config_put(prig.window + VIRTIO_PCI_CAP_OFFSET, 4, 8);
	config_put(PCI_INTERRUPT_LINE, 1, 0x55);
	config_put(BAR(0), 4, MEM32 + 0x40000);
	virtio_pci_detach(prig.pci);
	assert_false(prig.echo->vdev.active);
	assert_int_equal(prig.kvm->vms[0].ioeventfds_count, 0);
	assert_int_equal(fake_irqs_attached(&prig.irqs), 0);
	assert_int_equal(pci_bus_assign(&pci_root), 0);
	assert_memory_equal(before, prig.function->config, sizeof(before));
	assert_int_equal(virtio_pci_attach(prig.pci, &prig.vm, &prig.routes, &prig.irqs.base), 0);
	config_put(PCI_COMMAND, 2, DECODE | PCI_COMMAND_MASTER);
	msix_on();
	modern_start(true);
	echo_request(0);
	assert_true(msix_injected_of(1) > 0);
}

/* --- threads --- */

#define ROUNDS 300

static void *drive(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		common_put(VIRTIO_PCI_COMMON_Q_SELECT, 2, i % 4);
		common_get(VIRTIO_PCI_COMMON_Q_SIZE, 2);
		area_get(ISR, 0, 1);
		config_put(prig.msix + PCI_MSIX_FLAGS, 2, i % 2 ? PCI_MSIX_FLAGS_ENABLE : 0);
		area_put(NOTIFY, (i % 3) * prig.multiplier, 2, i % 3);
		if (i % 50 == 0)
			config_put(PCI_COMMAND, 2, DECODE | (i % 100 ? PCI_COMMAND_MASTER : 0));
	}
	return NULL;
}

/* Rows 11, 13, 14: a vCPU at the registers while the main thread serves queues and interrupts. */
static void registers_and_requests_do_not_race(void **state)
{
	pthread_t thread;

	(void)state;
	virtio_pci_rig_make(0, false);
	msix_on();
	modern_start(true);
	assert_int_equal(pthread_create(&thread, NULL, drive, NULL), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		virtio_rig_pump();
		virtio_lock(vrig.vdev);
		virtio_config_changed(vrig.vdev);
		virtio_unlock(vrig.vdev);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, virtio_pci_rig_setup, virtio_pci_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(device_says_what_it_is),
		T(structures_lie_apart_in_one_bar),
		T(device_without_configuration_has_no_structure_for_it),
		T(configuration_too_large_is_refused),
		T(registers_hold_what_they_are_told),
		T(features_come_in_halves),
		T(odd_accesses_do_nothing),
		T(queues_that_are_not_there_are_nothing),
		T(configuration_is_read_and_written_in_any_size),
		T(request_is_answered_by_msix),
		T(queue_without_a_vector_is_silent),
		T(request_is_answered_by_intx),
		T(kind_learns_of_another_call_fd),
		T(kvm_counts_kicks_where_the_bar_is),
		T(kvm_tells_legacy_kicks_apart_by_value),
		T(kicks_that_kvm_does_not_take_arrive_all_the_same),
		T(device_that_is_no_bus_master_touches_no_memory),
		T(queue_is_reset_alone),
		T(another_vm_finds_the_device_as_new),
		T(registers_and_requests_do_not_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

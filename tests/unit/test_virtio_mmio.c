// SPDX-License-Identifier: GPL-2.0-only
/* The registers of virtio over MMIO, as vCPUs access them, and how the transport reaches KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <cmocka.h>
#include <lkvm/report.h>
#include "virtio/mmio.h"
#include "fake_kvm.h"
#include "files.h"
#include "virtio_echo.h"
#include "virtio_rig.h"

#define BASE     0x3000200ULL
#define LINE     7
#define PAGE     4096
#define BIT64(n) (1ULL << (n))

#define QUEUE_RESET 0x0c0

static struct fake_kvm *kvm;
static struct kvm_host host;
static struct vm vm;
static struct mmio_bus bus;
static struct echo *echo;
static struct virtio_mmio *mmio;

/* An interrupt controller that remembers one line. */
static atomic_bool line;
static atomic_uint line_changes;

static int set_level(struct irq_controller *controller, uint32_t spi, bool level)
{
	(void)controller;
	assert_int_equal(spi, LINE);
	assert_true(atomic_exchange(&line, level) != level);
	line_changes++;
	return 0;
}

static const struct irq_controller_class irq_class = { .set_level = set_level };
static struct irq_controller irq = { .class = &irq_class };

static int setup(void **state)
{
	int err = virtio_rig_setup(state);

	kvm = fake_kvm_begin();
	line = false;
	line_changes = 0;
	mmio = NULL;
	if (!err)
		err = mmio_bus_create(&bus);
	if (!err)
		err = kvm_host_open(&host);
	return err ? err : vm_create(&vm, &host, 40);
}

static int teardown(void **state)
{
	if (mmio)
		virtio_mmio_detach(mmio);
	assert_int_equal(kvm->vms[0].ioeventfds_count, 0);
	assert_false(line);
	virtio_mmio_destroy(mmio);
	vm_destroy(&vm);
	kvm_host_close(&host);
	assert_int_equal(bus.count, 0);
	mmio_bus_destroy(&bus);
	return virtio_rig_teardown(state) | fake_kvm_end();
}

static void make(uint32_t id, bool legacy)
{
	echo = echo_create(id, &vrig.env);
	virtio_rig_connect(&echo->vdev, legacy); /* so that the rig destroys it */
	assert_int_equal(virtio_mmio_create(&mmio, &echo->vdev, &bus, BASE, legacy), 0);
	virtio_mmio_set_line(mmio, LINE);
	virtio_mmio_attach(mmio, &vm, &irq);
}

static uint64_t get_sized(unsigned offset, unsigned size)
{
	uint64_t value;

	assert_true(mmio_bus_read(&bus, BASE + offset, size, &value));
	return value;
}

static uint32_t get(unsigned reg)
{
	return (uint32_t)get_sized(reg, 4);
}

static void put(unsigned reg, uint32_t value)
{
	assert_true(mmio_bus_write(&bus, BASE + reg, 4, value));
}

/* --- a driver, as Linux's virtio_mmio.c --- */

static void put_address(unsigned low, uint64_t address)
{
	put(low, (uint32_t)address);
	put(low + 4, (uint32_t)(address >> 32));
}

static void negotiate(uint64_t features)
{
	put(VIRTIO_MMIO_STATUS, 0);
	put(VIRTIO_MMIO_STATUS, 1);
	put(VIRTIO_MMIO_STATUS, 3);
	for (unsigned word = 0; word < 2; word++) {
		put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		put(VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * word)));
	}
	put(VIRTIO_MMIO_STATUS, 0xb);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 0xb);
}

static void set_up_queue(unsigned index)
{
	struct virtq_driver *driver = &vrig.queues[index];

	put(VIRTIO_MMIO_QUEUE_SEL, index);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_NUM_MAX), ECHO_SIZE);
	virtq_driver_init(driver, &vrig.ram, VRIG_RAM + index * virtq_driver_bytes(), 8, 0);
	put(VIRTIO_MMIO_QUEUE_NUM, 8);
	put_address(VIRTIO_MMIO_QUEUE_DESC_LOW, driver->place.desc);
	put_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, driver->place.driver);
	put_address(VIRTIO_MMIO_QUEUE_USED_LOW, driver->place.device);
	put(VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 1);
}

static void start(void)
{
	negotiate(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_RESET));
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		set_up_queue(i);
	put(VIRTIO_MMIO_STATUS, 0xf);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 0xf);
}

/* --- version 2 --- */

static void a_device_tells_what_it_is(void **state)
{
	(void)state;
	make(VIRTIO_ID_RNG, false);
	assert_int_equal(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	assert_int_equal(get(VIRTIO_MMIO_VENDOR_ID), 0x4d564b4c);
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_true(get(VIRTIO_MMIO_DEVICE_FEATURES) & ECHO_FEATURE);
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_true(get(VIRTIO_MMIO_DEVICE_FEATURES) & 1);
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(get(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	put(0x0ac, 0); /* SHMSel */
	assert_int_equal(get(VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	assert_int_equal(get(VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
	assert_int_equal(get_sized(VIRTIO_MMIO_CONFIG + 4, 8), 0x1b1a191817161514);
	assert_int_equal(get_sized(VIRTIO_MMIO_CONFIG + 1, 1), 0x11);
	mmio_bus_write(&bus, BASE + VIRTIO_MMIO_CONFIG + 2, 2, 0xbbcc);
	assert_int_equal(get(VIRTIO_MMIO_CONFIG), 0xbbcc1110);
}

static void a_driver_starts_it_and_is_served(void **state)
{
	(void)state;
	make(0, false);
	start();
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert_echoes(i);
}

static void the_line_is_up_until_the_driver_has_acknowledged_all(void **state)
{
	uint32_t generation;

	(void)state;
	make(0, false);
	start();
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_echoes(0);
	assert_echoes(1);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_true(line);
	generation = get(VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_lock(&echo->vdev);
	virtio_config_changed(&echo->vdev);
	virtio_unlock(&echo->vdev);
	assert_int_not_equal(get(VIRTIO_MMIO_CONFIG_GENERATION), generation);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_true(line);
	put(VIRTIO_MMIO_INTERRUPT_ACK, ~3u);
	assert_true(line);
	put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_false(line);
	put(VIRTIO_MMIO_INTERRUPT_ACK, 3);
	assert_int_equal(line_changes, 2);
	assert_echoes(2);
	assert_true(line);
	put(VIRTIO_MMIO_STATUS, 0);
	assert_false(line);
	assert_int_equal(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* What a driver must not do (virtio 1.2, 4.2.2.2) has no effect: registers are 32 bits wide, aligned, and some only read. */
static void odd_accesses_do_nothing(void **state)
{
	static const struct {
		unsigned offset, size;
	} odd[] = { { VIRTIO_MMIO_STATUS, 1 },
		    { VIRTIO_MMIO_STATUS, 2 },
		    { VIRTIO_MMIO_STATUS, 8 },
		    { VIRTIO_MMIO_STATUS + 1, 4 },
		    { VIRTIO_MMIO_STATUS - 2, 4 },
		    { VIRTIO_MMIO_QUEUE_SEL, 8 },
		    { 0x0fe, 4 } };
	static const unsigned not_there[] = { 0x018, 0x028, 0x03c, 0x040, 0x048, 0x0a8, 0x0f8 };

	(void)state;
	make(0, false);
	start();
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		mmio_bus_write(&bus, BASE + odd[i].offset, odd[i].size, 0);
		assert_int_equal(get_sized(odd[i].offset, odd[i].size), 0);
	}
	for (unsigned i = 0; i < sizeof(not_there) / sizeof(not_there[0]); i++) {
		put(not_there[i], 0);
		put(not_there[i], 1);
		assert_int_equal(get(not_there[i]), 0);
	}
	for (unsigned reg = 0; reg < VIRTIO_MMIO_CONFIG; reg += 4)
		if (reg != VIRTIO_MMIO_STATUS && reg != VIRTIO_MMIO_QUEUE_READY &&
		    reg != QUEUE_RESET)
			put(reg, UINT32_MAX);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 0xf);
	assert_echoes(0);
	assert_echoes(2);
}

static void a_queue_that_is_not_there_cannot_be_selected(void **state)
{
	(void)state;
	make(0, false);
	start();
	put(VIRTIO_MMIO_QUEUE_SEL, ECHO_QUEUES);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	put(VIRTIO_MMIO_QUEUE_READY, 1);
	put(VIRTIO_MMIO_QUEUE_NOTIFY, ECHO_QUEUES);
	put(VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(virtio_rig_pump(), 0);
}

static void a_queue_can_be_reset(void **state)
{
	(void)state;
	make(0, false);
	start();
	put(VIRTIO_MMIO_QUEUE_SEL, 1);
	put(QUEUE_RESET, 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 1);
	put(QUEUE_RESET, 1);
	assert_int_equal(get(QUEUE_RESET), 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_READY), 0);
	set_up_queue(1);
	assert_echoes(1);
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	set_up_queue(1);
	assert_echoes(1);
}

/* --- version 1 --- */

static void a_legacy_driver_starts_it(void **state)
{
	(void)state;
	make(VIRTIO_ID_BLOCK, true);
	assert_int_equal(get(VIRTIO_MMIO_VERSION), 1);
	put(VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
	put(VIRTIO_MMIO_STATUS, 0);
	put(VIRTIO_MMIO_STATUS, 3);
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(get(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)ECHO_FEATURE);
	virtio_rig_set_up_queue(1, 8); /* the ring; here is what the driver writes */
	put(VIRTIO_MMIO_QUEUE_SEL, 1);
	put(VIRTIO_MMIO_QUEUE_PFN, 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_PFN), 0);
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_NUM_MAX), ECHO_SIZE);
	put(VIRTIO_MMIO_QUEUE_NUM, 8);
	put(VIRTIO_MMIO_QUEUE_ALIGN, PAGE);
	put(VIRTIO_MMIO_QUEUE_PFN, (uint32_t)(vrig.queues[1].place.desc / PAGE));
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_PFN), vrig.queues[1].place.desc / PAGE);
	put(VIRTIO_MMIO_STATUS, 7);
	assert_echoes(1);
	assert_true(line);
	put(VIRTIO_MMIO_INTERRUPT_ACK, 1);

	/* Version 2's registers are not there. */
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	put(VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	put(QUEUE_RESET, 1);
	assert_int_equal(get(VIRTIO_MMIO_CONFIG_GENERATION), 0);
	assert_echoes(1);
}

static void a_legacy_queue_without_alignment_or_page_size_is_refused(void **state)
{
	static const struct {
		uint32_t page_size, align;
	} cases[] = { { PAGE, 0 }, { 0, PAGE }, { 0, 0 }, { PAGE, 3 }, { 4095, PAGE } };

	(void)state;
	make(VIRTIO_ID_BLOCK, true);
	echo->vdev.complained = true;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(VIRTIO_MMIO_STATUS, 0);
		put(VIRTIO_MMIO_STATUS, 3);
		put(VIRTIO_MMIO_GUEST_PAGE_SIZE, cases[i].page_size);
		put(VIRTIO_MMIO_QUEUE_SEL, 0);
		put(VIRTIO_MMIO_QUEUE_ALIGN, cases[i].align);
		put(VIRTIO_MMIO_QUEUE_PFN, (uint32_t)(VRIG_RAM / PAGE));
		assert_int_equal(get(VIRTIO_MMIO_QUEUE_PFN), 0);
		put(VIRTIO_MMIO_STATUS, 7);
		assert_int_equal(get(VIRTIO_MMIO_STATUS) & 0x44, 0x40);
	}
	assert_int_equal(echo->activations, 0);
}

static void kinds_younger_than_virtio_1_0_have_no_legacy_interface(void **state)
{
	(void)state;
	make(VIRTIO_ID_VSOCK, true);
	assert_int_equal(get(VIRTIO_MMIO_VERSION), 2);
	start();
	assert_echoes(0);
}

/* --- KVM --- */

static void kicks_go_past_us(void **state)
{
	const struct fake_kvm_vm *it = &kvm->vms[0];

	(void)state;
	make(0, false);
	assert_int_equal(it->ioeventfds_count, ECHO_QUEUES);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		assert_int_equal(it->ioeventfds[i].address, BASE + VIRTIO_MMIO_QUEUE_NOTIFY);
		assert_int_equal(it->ioeventfds[i].size, 4);
		assert_true(it->ioeventfds[i].match);
		assert_int_equal(it->ioeventfds[i].value, i);
		assert_int_equal(it->ioeventfds[i].fd, echo->vdev.queues[i].kick.fd);
	}
}

static void kicks_that_kvm_has_no_room_for_come_to_us(void **state)
{
	(void)state;
	fake_kvm_fail(KVM_IOEVENTFD, ENOSPC, 1, ECHO_QUEUES - 1);
	make(0, false);
	assert_int_equal(kvm->vms[0].ioeventfds_count, 1);
	start();
	echo_ask(2);
	virtio_rig_wait_used(2, NULL);
	virtq_driver_add(&vrig.queues[2], &(struct virtq_buffer){ VRIG_RAM + 0x100000, 4 }, 1, 0);
	put(VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	virtio_rig_wait_used(2, NULL);
}

static void a_restart_finds_it_as_it_was(void **state)
{
	(void)state;
	make(VIRTIO_ID_BLOCK, true);
	put(VIRTIO_MMIO_GUEST_PAGE_SIZE, PAGE);
	put(VIRTIO_MMIO_QUEUE_ALIGN, PAGE);
	virtio_rig_start(0, 0);
	echo->hold = true;
	echo_ask(0);
	echo->hold = false;
	echo_ask(1);
	assert_true(line);
	virtio_mmio_detach(mmio);
	virtio_mmio_detach(mmio);
	assert_false(line);
	assert_int_equal(kvm->vms[0].ioeventfds_count, 0);
	assert_int_equal(echo->stopped[0], 1);
	assert_int_equal(echo->deactivations, 1);
	virtio_mmio_attach(mmio, &vm, &irq);
	assert_int_equal(get(VIRTIO_MMIO_STATUS), 0);
	put(VIRTIO_MMIO_STATUS, 3);
	echo->vdev.complained = true;
	put(VIRTIO_MMIO_QUEUE_PFN, (uint32_t)(VRIG_RAM / PAGE));
	assert_int_equal(get(VIRTIO_MMIO_QUEUE_PFN), 0); /* the page size is forgotten */
}

static void a_place_that_is_taken_is_refused(void **state)
{
	struct virtio_mmio *other;
	int err;

	(void)state;
	make(0, false);
	stderr_keep();
	err = virtio_mmio_create(&other, &echo->vdev, &bus, BASE + 0x100, false);
	assert_reported("cannot put echo on the bus");
	assert_int_equal(err, -EEXIST);
	virtio_mmio_destroy(NULL);
}

static void *acknowledge(void *stop)
{
	while (!atomic_load((atomic_bool *)stop)) {
		put(VIRTIO_MMIO_INTERRUPT_ACK, get(VIRTIO_MMIO_INTERRUPT_STATUS));
		put(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	}
	return NULL;
}

static void interrupts_and_acknowledgements_race(void **state)
{
	atomic_bool stop = false;
	pthread_t thread;

	(void)state;
	make(0, false);
	start();
	pthread_create(&thread, NULL, acknowledge, &stop);
	for (unsigned i = 0; i < 300; i++)
		assert_echoes(i % ECHO_QUEUES);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	put(VIRTIO_MMIO_INTERRUPT_ACK, 3);
	assert_false(line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_device_tells_what_it_is),
		TEST(a_driver_starts_it_and_is_served),
		TEST(the_line_is_up_until_the_driver_has_acknowledged_all),
		TEST(odd_accesses_do_nothing),
		TEST(a_queue_that_is_not_there_cannot_be_selected),
		TEST(a_queue_can_be_reset),
		TEST(a_legacy_driver_starts_it),
		TEST(a_legacy_queue_without_alignment_or_page_size_is_refused),
		TEST(kinds_younger_than_virtio_1_0_have_no_legacy_interface),
		TEST(kicks_go_past_us),
		TEST(kicks_that_kvm_has_no_room_for_come_to_us),
		TEST(a_restart_finds_it_as_it_was),
		TEST(a_place_that_is_taken_is_refused),
		TEST(interrupts_and_acknowledgements_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

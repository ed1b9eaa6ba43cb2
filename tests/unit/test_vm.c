// SPDX-License-Identifier: GPL-2.0-only
/* What is asked of a host before a VM exists, the VM, and its memory slots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/vm.h>
#include "fake_kvm.h"
#include "files.h"

#define PAGE 0x1000ULL

static struct fake_kvm *kvm;

static int setup(void **state)
{
	kvm = fake_kvm_begin();
	return files_setup(state);
}

static int teardown(void **state)
{
	int left = fake_kvm_end();

	return files_teardown(state) ? -1 : left;
}

/* Any page-aligned address will do: nobody touches what KVM maps. */
static void *host_at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static void open_vm(struct kvm_host *host, struct vm *vm)
{
	assert_int_equal(kvm_host_open(host), 0);
	assert_int_equal(vm_create(vm, host, 40), 0);
}

static void close_vm(struct kvm_host *host, struct vm *vm)
{
	vm_destroy(vm);
	kvm_host_close(host);
}

static void a_host_tells_its_limits(void **state)
{
	static const struct {
		int max_vcpus, nr_vcpus, ipa_bits;
		unsigned vcpus, bits;
	} cases[] = {
		{ 512, 8, 48, 512, 48 },
		{ 0, 8, 36, 8, 36 },
		{ 0, 0, 0, 4, 40 }, /* api.rst, KVM_CAP_NR_VCPUS: "assume that max_vcpus is 4" */
	};
	struct kvm_host host;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_kvm_cap(KVM_CAP_MAX_VCPUS, cases[i].max_vcpus);
		fake_kvm_cap(KVM_CAP_NR_VCPUS, cases[i].nr_vcpus);
		fake_kvm_cap(KVM_CAP_ARM_VM_IPA_SIZE, cases[i].ipa_bits);
		assert_int_equal(kvm_host_open(&host), 0);
		assert_int_equal(host.max_vcpus, cases[i].vcpus);
		assert_int_equal(host.ipa_bits, cases[i].bits);
		assert_int_equal(host.run_size, kvm->run_size);
		kvm_host_close(&host);
		kvm_host_close(&host);
	}
}

static void a_host_that_lacks_what_lkvm_needs_is_refused_by_name(void **state)
{
	static const struct {
		unsigned capability;
		const char *name;
	} cases[] = {
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG" },
		{ KVM_CAP_ARM_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
		{ KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL" },
		{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
		{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
		{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	};
	struct kvm_host host;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err;

		fake_kvm_cap(cases[i].capability, 0);
		stderr_keep();
		err = kvm_host_open(&host);
		assert_reported(cases[i].name);
		assert_int_equal(err, -ENOTSUP);
		assert_int_equal(host.fd, -1);
		fake_kvm_begin();
	}
}

static void a_host_that_cannot_be_asked_is_refused(void **state)
{
	static const struct {
		unsigned long request;
		int err;
		const char *told;
	} cases[] = {
		{ FAKE_KVM_OPEN, EACCES, "/dev/kvm" },
		{ KVM_GET_API_VERSION, EIO, "KVM_GET_API_VERSION failed" },
		{ KVM_GET_VCPU_MMAP_SIZE, EIO, "KVM_GET_VCPU_MMAP_SIZE failed" },
	};
	struct kvm_host host;
	int err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_kvm_fail(cases[i].request, cases[i].err, 0, 1);
		stderr_keep();
		err = kvm_host_open(&host);
		assert_reported(cases[i].told);
		assert_int_equal(err, -cases[i].err);
		kvm_host_close(&host);
	}
	kvm->api_version = 11;
	stderr_keep();
	err = kvm_host_open(&host);
	assert_reported("API version 11");
	assert_int_equal(err, -ENOTSUP);
}

static void a_vm_gets_the_address_space_it_asks_for(void **state)
{
	static const struct {
		int cap;
		unsigned bits;
		unsigned long type;
	} cases[] = {
		{ 48, 40, 40 }, { 48, 48, 48 }, { 52, 52, 52 },
		{ 36, 36, 36 }, { 0, 40, 0 }, /* before KVM_CAP_ARM_VM_IPA_SIZE: 40 bits, unasked */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kvm_host host;
		struct vm vm;

		fake_kvm_cap(KVM_CAP_ARM_VM_IPA_SIZE, cases[i].cap);
		assert_int_equal(kvm_host_open(&host), 0);
		assert_int_equal(vm_create(&vm, &host, cases[i].bits), 0);
		assert_int_equal(kvm->vms[i].type, cases[i].type);
		assert_int_equal(vm.ipa_bits, cases[i].bits);
		close_vm(&host, &vm);
	}
}

static void a_vm_that_cannot_be_created_leaves_nothing(void **state)
{
	struct kvm_host host;
	struct vm vm;
	int err;

	(void)state;
	assert_int_equal(kvm_host_open(&host), 0);
	stderr_keep();
	err = vm_create(&vm, &host, 64);
	assert_reported("KVM_CREATE_VM failed: Invalid argument");
	assert_int_equal(err, -EINVAL);
	assert_int_equal(vm.fd, -1);
	vm_destroy(&vm);
	kvm_host_close(&host);
}

/* A signal that comes in the meantime, such as SIGCONT, makes KVM give up creating a VM. */
static void a_vm_whose_creation_was_interrupted_is_created_again(void **state)
{
	struct kvm_host host;
	struct vm vm;

	(void)state;
	fake_kvm_fail(KVM_CREATE_VM, EINTR, 0, 2);
	stderr_keep();
	open_vm(&host, &vm);
	assert_string_equal(stderr_text(), "");
	close_vm(&host, &vm);
}

/* Aborts can be injected only where both capabilities are there; otherwise such an access ends the run. */
static void undecodable_accesses_come_to_us_where_we_can_answer_them(void **state)
{
	static const struct {
		int to_user, inject, fails;
		bool enabled;
	} cases[] = {
		{ 1, 1, 0, true },
		{ 0, 1, 0, false },
		{ 1, 0, 0, false },
		{ 1, 1, EINVAL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kvm_host host;
		struct vm vm;

		fake_kvm_cap(KVM_CAP_ARM_NISV_TO_USER, cases[i].to_user);
		fake_kvm_cap(KVM_CAP_ARM_INJECT_EXT_DABT, cases[i].inject);
		if (cases[i].fails)
			fake_kvm_fail(KVM_ENABLE_CAP, cases[i].fails, 0, 1);
		open_vm(&host, &vm);
		assert_int_equal(vm.nisv_to_user, cases[i].enabled);
		assert_int_equal(kvm->vms[i].nisv, cases[i].enabled);
		close_vm(&host, &vm);
	}
}

static void a_slot_is_what_was_asked_for_until_it_is_removed(void **state)
{
	struct kvm_host host;
	struct vm vm;
	int slot;

	(void)state;
	open_vm(&host, &vm);
	slot = vm_slot_add(&vm, 0x80000000, 16 * PAGE, host_at(0x1000), KVM_MEM_READONLY);
	assert_int_equal(slot, 0);
	assert_int_equal(kvm->vms[0].slots[0].guest_phys_addr, 0x80000000);
	assert_int_equal(kvm->vms[0].slots[0].memory_size, 16 * PAGE);
	assert_int_equal(kvm->vms[0].slots[0].userspace_addr, 0x1000);
	assert_int_equal(kvm->vms[0].slots[0].flags, KVM_MEM_READONLY);
	vm_slot_remove(&vm, slot, 0x80000000);
	assert_int_equal(kvm->vms[0].slots[0].memory_size, 0);
	vm_slot_remove(&vm, -1, 0);
	vm_slot_remove(&vm, -ENOSPC, 0);
	assert_int_equal(fake_kvm_count(KVM_SET_USER_MEMORY_REGION), 2);
	close_vm(&host, &vm);
}

static void slots_run_out_and_come_back(void **state)
{
	static const int limits[] = { 1, 2, 63, 64 };

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct kvm_host host;
		struct vm vm;
		int slot;

		fake_kvm_cap(KVM_CAP_NR_MEMSLOTS, limits[i]);
		open_vm(&host, &vm);
		for (int n = 0; n < limits[i]; n++)
			assert_int_equal(
				vm_slot_add(&vm, (uint64_t)n * PAGE, PAGE, host_at(PAGE), 0), n);
		stderr_keep();
		slot = vm_slot_add(&vm, 0x80000000, PAGE, host_at(PAGE), 0);
		assert_reported("memory slots of KVM are in use");
		assert_int_equal(slot, -ENOSPC);
		vm_slot_remove(&vm, limits[i] - 1, (uint64_t)(limits[i] - 1) * PAGE);
		assert_int_equal(vm_slot_add(&vm, 0x80000000, PAGE, host_at(PAGE), 0),
				 limits[i] - 1);
		close_vm(&host, &vm);
	}
}

/* A guest may move a BAR anywhere: KVM refuses what overlaps, and the slot is free for the next try. */
static void a_slot_that_kvm_refuses_is_not_lost(void **state)
{
	static const struct {
		uint64_t gpa, size;
		int err;
	} cases[] = {
		{ 0x80000000, PAGE, -EEXIST }, { 0x80000000 - PAGE, 2 * PAGE, -EEXIST },
		{ 0x90000001, PAGE, -EINVAL }, { 0x90000000, PAGE / 2, -EINVAL },
		{ 1ULL << 40, PAGE, -EINVAL }, { -PAGE, 2 * PAGE, -EINVAL },
	};
	struct kvm_host host;
	struct vm vm;

	(void)state;
	open_vm(&host, &vm);
	assert_int_equal(vm_slot_add(&vm, 0x80000000, 16 * PAGE, host_at(PAGE), 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int slot;

		stderr_keep();
		slot = vm_slot_add(&vm, cases[i].gpa, cases[i].size, host_at(PAGE), 0);
		assert_reported("KVM does not map");
		assert_int_equal(slot, cases[i].err);
	}
	assert_int_equal(vm_slot_add(&vm, 0x90000000, PAGE, host_at(PAGE), 0), 1);
	close_vm(&host, &vm);
}

/* KVM would take the next use of the number for a change of what it still has. */
static void a_slot_that_could_not_be_removed_is_not_used_again(void **state)
{
	struct kvm_host host;
	struct vm vm;

	(void)state;
	open_vm(&host, &vm);
	assert_int_equal(vm_slot_add(&vm, 0x80000000, PAGE, host_at(PAGE), 0), 0);
	fake_kvm_fail(KVM_SET_USER_MEMORY_REGION, ENOMEM, 0, 1);
	stderr_keep();
	vm_slot_remove(&vm, 0, 0x80000000);
	assert_reported("0x80000000: Cannot allocate memory");
	assert_int_equal(vm_slot_add(&vm, 0x90000000, PAGE, host_at(PAGE), 0), 1);
	close_vm(&host, &vm);
}

struct mover {
	struct vm *vm;
	uint64_t gpa;
};

static void *move_a_slot(void *opaque)
{
	struct mover *mover = opaque;

	for (int i = 0; i < 200; i++) {
		int slot = vm_slot_add(mover->vm, mover->gpa, PAGE, host_at(PAGE), 0);

		assert_in_range(slot, 0, 1);
		vm_slot_remove(mover->vm, slot, mover->gpa);
	}
	return NULL;
}

static void two_threads_move_slots(void **state)
{
	struct kvm_host host;
	struct vm vm;
	struct mover one = { &vm, 0x50000000 }, other = { &vm, 0x60000000 };
	pthread_t thread;

	(void)state;
	open_vm(&host, &vm);
	pthread_create(&thread, NULL, move_a_slot, &one);
	move_a_slot(&other);
	pthread_join(thread, NULL);
	assert_int_equal(kvm->vms[0].slots_ever, 400);
	close_vm(&host, &vm);
}

static void kvm_learns_of_vfio_files(void **state)
{
	struct kvm_host host;
	struct vm vm;
	int fd, err;

	(void)state;
	open_vm(&host, &vm);
	fd = vm_vfio_device(&vm);
	assert_true(fd >= 0);
	assert_int_equal(vm_vfio_add_file(fd, 42), 0);
	assert_int_equal(vm_vfio_add_file(fd, 43), 0);
	assert_int_equal(kvm->vms[0].vfio_files_count, 2);
	assert_int_equal(kvm->vms[0].vfio_files[1], 43);

	fake_kvm_fail(KVM_SET_DEVICE_ATTR, EBADF, 0, 1);
	stderr_keep();
	err = vm_vfio_add_file(fd, 44);
	assert_reported("KVM_DEV_VFIO_GROUP_ADD failed");
	assert_int_equal(err, -EBADF);
	close(fd);

	kvm->devices &= ~(1u << KVM_DEV_TYPE_VFIO);
	stderr_keep();
	err = vm_vfio_device(&vm);
	assert_reported("cannot create KVM's VFIO device");
	assert_int_equal(err, -ENODEV);
	close_vm(&host, &vm);
}

static void writes_count_an_eventfd_up_until_they_do_not(void **state)
{
	static const struct vm_ioeventfd good[] = {
		{ .gpa = 0x1000, .size = 4, .match = true, .value = 0 },
		{ .gpa = 0x1000, .size = 4, .match = true, .value = 1 },
		{ .gpa = 0x2000 },
		{ .gpa = 0x3000, .size = 2, .fd = 3 },
	};
	static const struct vm_ioeventfd bad[] = {
		{ .gpa = 0x1000, .size = 4, .match = true, .value = 1 }, /* there already */
		{ .gpa = 0x4000, .size = 3 },
		{ .gpa = 0x4000, .match = true }, /* of no size */
		{ .gpa = UINT64_MAX, .size = 4 },
	};
	static const int errors[] = { -EEXIST, -EINVAL, -EINVAL, -EINVAL };
	struct kvm_host host;
	struct vm vm;

	(void)state;
	open_vm(&host, &vm);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vm_ioeventfd(&vm, &good[i], true), 0);
	assert_int_equal(kvm->vms[0].ioeventfds_count, 4);
	assert_int_equal(kvm->vms[0].ioeventfds[1].value, 1);
	assert_true(kvm->vms[0].ioeventfds[1].match);
	assert_int_equal(kvm->vms[0].ioeventfds[2].size, 0);
	assert_int_equal(kvm->vms[0].ioeventfds[3].fd, 3);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vm_ioeventfd(&vm, &bad[i], true), errors[i]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vm_ioeventfd(&vm, &good[i], false), 0);
	assert_int_equal(kvm->vms[0].ioeventfds_count, 0);
	assert_int_equal(vm_ioeventfd(&vm, &good[0], false), -ENOENT);
	close_vm(&host, &vm);
}

static void a_zeroed_vm_can_be_destroyed(void **state)
{
	struct vm vm = { 0 };

	(void)state;
	vm_destroy(&vm);
	vm_destroy(&vm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_host_tells_its_limits),
		TEST(a_host_that_lacks_what_lkvm_needs_is_refused_by_name),
		TEST(a_host_that_cannot_be_asked_is_refused),
		TEST(a_vm_gets_the_address_space_it_asks_for),
		TEST(a_vm_that_cannot_be_created_leaves_nothing),
		TEST(a_vm_whose_creation_was_interrupted_is_created_again),
		TEST(undecodable_accesses_come_to_us_where_we_can_answer_them),
		TEST(a_slot_is_what_was_asked_for_until_it_is_removed),
		TEST(slots_run_out_and_come_back),
		TEST(a_slot_that_kvm_refuses_is_not_lost),
		TEST(a_slot_that_could_not_be_removed_is_not_used_again),
		TEST(two_threads_move_slots),
		TEST(kvm_learns_of_vfio_files),
		TEST(writes_count_an_eventfd_up_until_they_do_not),
		TEST(a_zeroed_vm_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>
#include <lkvm/vm.h>

#define SLOT_BITS 64u

/* What lkvm cannot do without, by the names of Documentation/virt/kvm/api.rst. */
static const struct {
	unsigned capability;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG" },
	{ KVM_CAP_ARM_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
};

static int check_host(struct kvm_host *host)
{
	int version = kvm_call_value(host->fd, KVM_GET_API_VERSION, 0, "KVM_GET_API_VERSION");

	if (version < 0)
		return version;
	if (version != KVM_API_VERSION)
		return refuse(-ENOTSUP, "/dev/kvm speaks API version %d, lkvm %d", version,
			      KVM_API_VERSION);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (kvm_check(host->fd, needed[i].capability) <= 0)
			return refuse(-ENOTSUP, "this host's KVM lacks %s: a newer kernel has it",
				      needed[i].name);
	host->run_size =
		kvm_call_value(host->fd, KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
	if (host->run_size < 0)
		return host->run_size;
	host->max_vcpus = (unsigned)kvm_check(host->fd, KVM_CAP_MAX_VCPUS);
	if (!host->max_vcpus)
		host->max_vcpus = (unsigned)kvm_check(host->fd, KVM_CAP_NR_VCPUS);
	if (!host->max_vcpus)
		host->max_vcpus = 4; /* api.rst, 4.4: what to assume then */
	host->ipa_bits = (unsigned)kvm_check(host->fd, KVM_CAP_ARM_VM_IPA_SIZE);
	if (!host->ipa_bits)
		host->ipa_bits = 40; /* what every KVM had before the capability came */
	return 0;
}

int kvm_host_open(struct kvm_host *host)
{
	int err;

	*host = (struct kvm_host){ .fd = kvm_open_device() };
	if (host->fd < 0)
		return host->fd;
	err = check_host(host);
	if (err < 0) {
		kvm_host_close(host);
		return err;
	}
	return 0;
}

void kvm_host_close(struct kvm_host *host)
{
	if (host->fd >= 0)
		close(host->fd);
	host->fd = -1;
}

/* A load or store that KVM cannot decode comes to us, so that it can be answered with an abort into the guest. */
static void enable_nisv(struct vm *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	vm->nisv_to_user = kvm_check(vm->fd, KVM_CAP_ARM_NISV_TO_USER) > 0 &&
			   kvm_check(vm->fd, KVM_CAP_ARM_INJECT_EXT_DABT) > 0 &&
			   kvm_try(vm->fd, KVM_ENABLE_CAP, &cap) == 0;
}

/* Any signal, even one that does nothing (SIGCONT), makes KVM give up: then once more. */
static int create(const struct kvm_host *host, unsigned ipa_bits)
{
	bool can_choose = kvm_check(host->fd, KVM_CAP_ARM_VM_IPA_SIZE) > 0;
	unsigned long type = can_choose ? KVM_VM_TYPE_ARM_IPA_SIZE(ipa_bits) : 0;
	int fd;

	do
		fd = kvm_call_value(host->fd, KVM_CREATE_VM, type, NULL);
	while (fd == -EINTR);
	return fd < 0 ? report(fd, "KVM_CREATE_VM failed") : fd;
}

int vm_create(struct vm *vm, const struct kvm_host *host, unsigned ipa_bits)
{
	int slots;

	*vm = (struct vm){ .host = host, .ipa_bits = ipa_bits, .fd = -1 };
	pthread_mutex_init(&vm->lock, NULL);
	vm->fd = create(host, ipa_bits);
	if (vm->fd < 0) {
		int err = vm->fd;

		vm_destroy(vm);
		return err;
	}
	enable_nisv(vm);
	slots = kvm_check(vm->fd, KVM_CAP_NR_MEMSLOTS);
	vm->slots = slots > 0 ? (unsigned)slots : 32;
	vm->slots_used = calloc((vm->slots + SLOT_BITS - 1) / SLOT_BITS, sizeof(*vm->slots_used));
	if (!vm->slots_used) {
		vm_destroy(vm);
		return report(-ENOMEM, "cannot keep track of memory slots");
	}
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm->host)
		return;
	if (vm->fd >= 0)
		close(vm->fd);
	free(vm->slots_used);
	pthread_mutex_destroy(&vm->lock);
	*vm = (struct vm){ .fd = -1 };
}

static int take_slot(struct vm *vm)
{
	for (unsigned slot = 0; slot < vm->slots; slot++) {
		uint64_t bit = 1ULL << (slot % SLOT_BITS);

		if (vm->slots_used[slot / SLOT_BITS] & bit)
			continue;
		vm->slots_used[slot / SLOT_BITS] |= bit;
		return (int)slot;
	}
	return refuse(-ENOSPC, "all %u memory slots of KVM are in use", vm->slots);
}

static void give_slot(struct vm *vm, int slot)
{
	vm->slots_used[(unsigned)slot / SLOT_BITS] &= ~(1ULL << ((unsigned)slot % SLOT_BITS));
}

static int set_region(struct vm *vm, int slot, uint64_t gpa, uint64_t size, void *host,
		      uint32_t flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = (uint32_t)slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return kvm_try(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

int vm_slot_add(struct vm *vm, uint64_t gpa, uint64_t size, void *host, uint32_t flags)
{
	int slot, err;

	pthread_mutex_lock(&vm->lock);
	slot = take_slot(vm);
	if (slot >= 0) {
		err = set_region(vm, slot, gpa, size, host, flags);
		if (err < 0) {
			give_slot(vm, slot);
			slot = report(err, "KVM does not map %lu KiB at guest address %#lx",
				      (unsigned long)(size >> 10), (unsigned long)gpa);
		}
	}
	pthread_mutex_unlock(&vm->lock);
	return slot;
}

void vm_slot_remove(struct vm *vm, int slot, uint64_t gpa)
{
	int err;

	if (slot < 0)
		return;
	pthread_mutex_lock(&vm->lock);
	err = set_region(vm, slot, gpa, 0, NULL, 0);
	if (err < 0) /* KVM still has it: its number is not free */
		report(err, "KVM does not unmap guest address %#lx", (unsigned long)gpa);
	else
		give_slot(vm, slot);
	pthread_mutex_unlock(&vm->lock);
}

int vm_ioeventfd(struct vm *vm, const struct vm_ioeventfd *ioeventfd, bool assign)
{
	struct kvm_ioeventfd arg = {
		.datamatch = ioeventfd->value,
		.addr = ioeventfd->gpa,
		.len = ioeventfd->size,
		.fd = ioeventfd->fd,
		.flags = (ioeventfd->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
			 (assign ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return kvm_try(vm->fd, KVM_IOEVENTFD, &arg);
}

int vm_vfio_device(struct vm *vm)
{
	int fd = kvm_create_device(vm->fd, KVM_DEV_TYPE_VFIO, false);

	return fd < 0 ? report(fd, "cannot create KVM's VFIO device") : fd;
}

int vm_vfio_add_file(int kvm_vfio_fd, int file_fd)
{
	int32_t fd = file_fd;

	return kvm_set_attr(kvm_vfio_fd, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, &fd,
			    "KVM_DEV_VFIO_GROUP_ADD");
}

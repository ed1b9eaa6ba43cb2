/* SPDX-License-Identifier: GPL-2.0-only */
/* A KVM virtual machine: its fd, its capabilities and its memory slots. */
#ifndef LKVM_VM_H
#define LKVM_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What the host's KVM offers, read once from /dev/kvm. */
struct kvm_host {
	int fd;
	unsigned ipa_bits; /* largest guest-physical address space */
	unsigned max_vcpus;
	int run_size; /* bytes of struct kvm_run's mapping */
};

/* Opens /dev/kvm and checks its API version and what lkvm cannot do without. Reported. */
int kvm_host_open(struct kvm_host *host);
void kvm_host_close(struct kvm_host *host);

struct vm {
	const struct kvm_host *host;
	int fd;
	unsigned ipa_bits;
	bool nisv_to_user;
	pthread_mutex_t lock; /* guards slots; innermost */
	uint64_t *slots_used; /* bitmap of memory slots */
	unsigned slots;
};

/* ipa_bits: of the guest's physical address space, 32..host->ipa_bits. Reported. destroy accepts a zeroed object. */
int vm_create(struct vm *vm, const struct kvm_host *host, unsigned ipa_bits);
void vm_destroy(struct vm *vm);

/*
 * Backs guest-physical [gpa, gpa + size) with this process's [host, host + size); all page-aligned. flags: KVM_MEM_*.
 * The memory stays the caller's and must outlive the slot. Returns the slot's number or -errno, reported.
 */
int vm_slot_add(struct vm *vm, uint64_t gpa, uint64_t size, void *host, uint32_t flags);
/* Takes the slot away; vCPUs may go on running. A negative slot is ignored. gpa as given to vm_slot_add(). */
void vm_slot_remove(struct vm *vm, int slot, uint64_t gpa);

/* A guest's write that counts an eventfd up in the kernel, in place of an exit to lkvm. */
struct vm_ioeventfd {
	uint64_t gpa;
	unsigned size; /* of the write: 1, 2, 4, 8; 0: any */
	bool match;    /* only writes of `value`; the others exit. size is not 0 */
	uint64_t value;
	int fd; /* stays the caller's */
};

/* Sets it up, or with assign false takes it away again. -errno, unreported: the writes exit, as they would have. */
int vm_ioeventfd(struct vm *vm, const struct vm_ioeventfd *ioeventfd, bool assign);

/* Tells KVM which VFIO group or device file may act on this VM (KVM_DEV_VFIO); fd is the caller's. Reported. */
int vm_vfio_device(struct vm *vm);
int vm_vfio_add_file(int kvm_vfio_fd, int file_fd);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Between fake_kvm.c (the door, the host), fake_kvm_vm.c (VMs and their devices) and fake_kvm_vcpu.c (vCPUs). */
#ifndef FAKE_KVM_STATE_H
#define FAKE_KVM_STATE_H

#include <pthread.h>
#include <sys/types.h>
#include "fake_kvm.h"

#define FAKE_KVM_FDS      1024
#define FAKE_KVM_CAPS     256
#define FAKE_KVM_FAILURES 16

/* What an fd that was handed out stands for; it is closed when the file behind the number is another. */
struct fake_kvm_handle {
	bool used;
	enum fake_kvm_kind kind;
	ino_t inode;
	unsigned vm;
	uint32_t number;
};

struct fake_kvm_state {
	pthread_mutex_t lock; /* guards all below */
	struct fake_kvm host;
	struct fake_kvm_handle handles[FAKE_KVM_FDS];
	int caps[FAKE_KVM_CAPS];
	struct {
		unsigned long request;
		int err;
		unsigned skip, times;
	} failures[FAKE_KVM_FAILURES];
	unsigned failures_count;
	struct {
		const struct fake_kvm_exit *exits;
		size_t count;
	} script[FAKE_KVM_VCPUS][8]; /* what is still to be played */
};

extern struct fake_kvm_state fake_kvm_state;

int fake_kvm_hand_out(enum fake_kvm_kind kind, unsigned vm, uint32_t number);
/* The kind's ioctls; with the lock held. `call` is noted afterwards. */
int fake_kvm_vm_ioctl(const struct fake_kvm_handle *handle, unsigned long request,
		      unsigned long value, struct fake_kvm_call *call);
int fake_kvm_vcpu_ioctl(const struct fake_kvm_handle *handle, unsigned long request,
			unsigned long value, struct fake_kvm_call *call);
int fake_kvm_device_attr(const struct fake_kvm_handle *handle, const struct kvm_device_attr *attr,
			 bool set, struct fake_kvm_call *call);
/* Whether a store is one that an ioeventfd takes; it has then counted up. With the lock held. */
bool fake_kvm_store_is_kick(const struct fake_kvm_handle *handle, uint64_t address, uint32_t size,
			    uint64_t value);
/* KVM_RUN; without the lock. */
int fake_kvm_run(const struct fake_kvm_handle *handle);

#endif

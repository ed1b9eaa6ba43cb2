/* SPDX-License-Identifier: GPL-2.0-only */
/* The one door to KVM's ioctls. Tests link another. */
#ifndef LKVM_KVM_H
#define LKVM_KVM_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

/* ioctl(fd, request, arg) -> its result or -errno. `name` non-NULL: a failure is reported as that request's. */
int kvm_call(int fd, unsigned long request, void *arg, const char *name);
/* The same for requests whose argument is a number. */
int kvm_call_value(int fd, unsigned long request, unsigned long value, const char *name);
/* open("/dev/kvm") with a report of what is missing and its cure; the fd or -errno. */
int kvm_open_device(void);
/* The vCPU's struct kvm_run; NULL with errno. */
struct kvm_run *kvm_map_run(int vcpu_fd, int size);
void kvm_unmap_run(struct kvm_run *run, int size);

/* A KVM ioctl whose argument must have the size its request number encodes; a failure names itself. */
#define kvm_ioctl(fd, request, arg)                                                                \
	({                                                                                         \
		static_assert(_IOC_SIZE(request) == sizeof(*(arg)), #request);                     \
		kvm_call(fd, request, arg, #request);                                              \
	})

/* The same, where failing is an answer. */
#define kvm_try(fd, request, arg)                                                                  \
	({                                                                                         \
		static_assert(_IOC_SIZE(request) == sizeof(*(arg)), #request);                     \
		kvm_call(fd, request, arg, NULL);                                                  \
	})

/* KVM_CHECK_EXTENSION on /dev/kvm's or a VM's fd; 0 where KVM does not know the capability. */
int kvm_check(int fd, unsigned long capability);

/* KVM_SET_DEVICE_ATTR on a VM device or vCPU; `addr` is the attribute's value, in this process. */
int kvm_set_attr(int fd, uint32_t group, uint64_t attr, const void *addr, const char *what);
/* KVM_HAS_DEVICE_ATTR: whether the device knows the attribute. */
bool kvm_has_attr(int fd, uint32_t group, uint64_t attr);
/* KVM_CREATE_DEVICE; the device's fd or -errno, unreported. test: only asks whether it could be made. */
int kvm_create_device(int vm_fd, uint32_t type, bool test);

#endif

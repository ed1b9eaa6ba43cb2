// SPDX-License-Identifier: GPL-2.0-only
/* What is common to KVM's devices and capabilities, on top of the door. */
#include <stddef.h>
#include <lkvm/kvm.h>

int kvm_check(int fd, unsigned long capability)
{
	int value = kvm_call_value(fd, KVM_CHECK_EXTENSION, capability, NULL);

	return value < 0 ? 0 : value;
}

int kvm_set_attr(int fd, uint32_t group, uint64_t attr, const void *addr, const char *what)
{
	struct kvm_device_attr device_attr = { .group = group,
					       .attr = attr,
					       .addr = (uintptr_t)addr };

	return kvm_call(fd, KVM_SET_DEVICE_ATTR, &device_attr, what);
}

bool kvm_has_attr(int fd, uint32_t group, uint64_t attr)
{
	struct kvm_device_attr device_attr = { .group = group, .attr = attr };

	return kvm_try(fd, KVM_HAS_DEVICE_ATTR, &device_attr) == 0;
}

int kvm_create_device(int vm_fd, uint32_t type, bool test)
{
	struct kvm_create_device device = { .type = type,
					    .flags = test ? KVM_CREATE_DEVICE_TEST : 0 };
	int err = kvm_try(vm_fd, KVM_CREATE_DEVICE, &device);

	if (err < 0)
		return err;
	return test ? 0 : (int)device.fd;
}

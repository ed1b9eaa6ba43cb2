// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>

int kvm_call_value(int fd, unsigned long request, unsigned long value, const char *name)
{
	int result = ioctl(fd, request, value);

	if (result >= 0)
		return result;
	return name ? report(-errno, "%s failed", name) : -errno;
}

int kvm_call(int fd, unsigned long request, void *arg, const char *name)
{
	return kvm_call_value(fd, request, (unsigned long)arg, name);
}

int kvm_open_device(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return refuse(-ENOENT, "no /dev/kvm: this kernel has no KVM, or the CPU did not "
				       "start it at EL2 (dmesg | grep kvm)");
	if (errno == EACCES)
		return refuse(
			-EACCES,
			"no permission to open /dev/kvm: join its group (usermod -aG kvm USER)");
	return report(-errno, "cannot open /dev/kvm");
}

struct kvm_run *kvm_map_run(int vcpu_fd, int size)
{
	void *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);

	return run == MAP_FAILED ? NULL : run;
}

void kvm_unmap_run(struct kvm_run *run, int size)
{
	munmap(run, (size_t)size);
}

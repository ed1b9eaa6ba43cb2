// SPDX-License-Identifier: GPL-2.0-only
/* The door, /dev/kvm and what was asked of it; fake_kvm.h tells what the fake does. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>
#include "fake_kvm_state.h"

struct fake_kvm_state fake_kvm_state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static struct fake_kvm_handle *handle_of(int fd)
{
	struct fake_kvm_handle *handle;

	if (fd < 0 || fd >= FAKE_KVM_FDS)
		return NULL;
	handle = &fake_kvm_state.handles[fd];
	return handle->used && inode_of(fd) == handle->inode ? handle : NULL;
}

int fake_kvm_hand_out(enum fake_kvm_kind kind, unsigned vm, uint32_t number)
{
	static const char *const names[] = { "kvm", "vm", "vcpu", "device" };
	int fd = memfd_create(names[kind], MFD_CLOEXEC);

	assert(fd >= 0 && fd < FAKE_KVM_FDS);
	fake_kvm_state.handles[fd] =
		(struct fake_kvm_handle){ true, kind, inode_of(fd), vm, number };
	return fd;
}

unsigned fake_kvm_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < FAKE_KVM_FDS; fd++)
		count += handle_of(fd) != NULL;
	return count;
}

void fake_kvm_cap(unsigned capability, int value)
{
	assert(capability < FAKE_KVM_CAPS);
	fake_kvm_state.caps[capability] = value;
}

static void set_caps(void)
{
	static const unsigned always[] = {
		KVM_CAP_USER_MEMORY,
		KVM_CAP_ONE_REG,
		KVM_CAP_ARM_PSCI_0_2,
		KVM_CAP_IMMEDIATE_EXIT,
		KVM_CAP_DEVICE_CTRL,
		KVM_CAP_IRQFD,
		KVM_CAP_IRQFD_RESAMPLE,
		KVM_CAP_ARM_NISV_TO_USER,
		KVM_CAP_ARM_INJECT_EXT_DABT,
		KVM_CAP_ARM_PMU_V3,
		KVM_CAP_ARM_SVE,
		KVM_CAP_ARM_PTRAUTH_ADDRESS,
		KVM_CAP_ARM_PTRAUTH_GENERIC,
		KVM_CAP_STEAL_TIME,
		KVM_CAP_VCPU_EVENTS,
		KVM_CAP_READONLY_MEM,
		KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
	};

	memset(fake_kvm_state.caps, 0, sizeof(fake_kvm_state.caps));
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		fake_kvm_cap(always[i], 1);
	fake_kvm_cap(KVM_CAP_IRQ_ROUTING, 4096);
	fake_kvm_cap(KVM_CAP_MAX_VCPUS, FAKE_KVM_VCPUS);
	fake_kvm_cap(KVM_CAP_NR_VCPUS, 4);
	fake_kvm_cap(KVM_CAP_NR_MEMSLOTS, 32767);
	fake_kvm_cap(KVM_CAP_ARM_VM_IPA_SIZE, 44);
}

struct fake_kvm *fake_kvm_begin(void)
{
	struct fake_kvm *host = &fake_kvm_state.host;

	for (unsigned i = 0; i < host->vms_count; i++) {
		for (unsigned n = 0; n < FAKE_KVM_VCPUS; n++)
			free(host->vms[i].vcpus[n].run);
		free(host->vms[i].routes);
	}
	memset(host, 0, sizeof(*host));
	memset(fake_kvm_state.handles, 0, sizeof(fake_kvm_state.handles));
	memset(fake_kvm_state.script, 0, sizeof(fake_kvm_state.script));
	fake_kvm_state.failures_count = 0;
	set_caps();
	host->api_version = KVM_API_VERSION;
	host->run_size = 0x2000;
	host->devices = 1u << KVM_DEV_TYPE_ARM_VGIC_V2 | 1u << KVM_DEV_TYPE_ARM_VGIC_V3 |
			1u << KVM_DEV_TYPE_ARM_VGIC_ITS | 1u << KVM_DEV_TYPE_VFIO;
	host->redist_regions = true;
	host->sve_vls = 0x800b; /* 128, 256, 512, 2048 */
	return host;
}

int fake_kvm_end(void)
{
	const struct fake_kvm *host = &fake_kvm_state.host;
	unsigned fds = fake_kvm_fds(), runs = 0, changed = 0;

	for (unsigned i = 0; i < host->vms_count; i++) {
		for (unsigned n = 0; n < FAKE_KVM_VCPUS; n++)
			runs += host->vms[i].vcpus[n].run != NULL;
		changed += host->vms[i].route_changed_live;
	}
	fake_kvm_begin();
	if (!fds && !runs && !changed)
		return 0;
	fprintf(stderr,
		"fake KVM: %u fds and %u kvm_runs were left, %u VMs had live routes changed\n", fds,
		runs, changed);
	return -1;
}

void fake_kvm_fail(unsigned long request, int err, unsigned skip, unsigned times)
{
	unsigned n = fake_kvm_state.failures_count++;

	assert(n < FAKE_KVM_FAILURES);
	fake_kvm_state.failures[n].request = request;
	fake_kvm_state.failures[n].err = err;
	fake_kvm_state.failures[n].skip = skip;
	fake_kvm_state.failures[n].times = times;
}

static int failing(unsigned long request)
{
	for (unsigned i = 0; i < fake_kvm_state.failures_count; i++) {
		if (fake_kvm_state.failures[i].request != request ||
		    !fake_kvm_state.failures[i].times)
			continue;
		if (fake_kvm_state.failures[i].skip) {
			fake_kvm_state.failures[i].skip--;
			continue;
		}
		fake_kvm_state.failures[i].times--;
		return -fake_kvm_state.failures[i].err;
	}
	return 0;
}

uint64_t fake_kvm_register(const struct fake_kvm_vcpu *vcpu, uint64_t id)
{
	for (unsigned i = 0; i < vcpu->registers_count; i++)
		if (vcpu->registers[i].id == id)
			return vcpu->registers[i].value;
	return 0;
}

unsigned fake_kvm_count(unsigned long request)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake_kvm_state.host.calls_count; i++)
		count += fake_kvm_state.host.calls[i].request == request;
	return count;
}

const struct fake_kvm_call *fake_kvm_find(unsigned long request)
{
	for (unsigned i = 0; i < fake_kvm_state.host.calls_count; i++)
		if (fake_kvm_state.host.calls[i].request == request)
			return &fake_kvm_state.host.calls[i];
	return NULL;
}

/* --- /dev/kvm --- */

static int create_vm(unsigned long type)
{
	struct fake_kvm *host = &fake_kvm_state.host;
	int max = fake_kvm_state.caps[KVM_CAP_ARM_VM_IPA_SIZE];
	unsigned bits = type ? (unsigned)type & KVM_VM_TYPE_ARM_IPA_SIZE_MASK : 40;
	unsigned n = host->vms_count;

	if (type & ~(unsigned long)KVM_VM_TYPE_ARM_IPA_SIZE_MASK || bits < 32 ||
	    bits > (max ? (unsigned)max : 40))
		return -EINVAL;
	assert(n < FAKE_KVM_VMS);
	host->vms_count++;
	host->vms[n].type = type;
	host->vms[n].ipa_bits = bits;
	return fake_kvm_hand_out(FAKE_KVM_VM, n, 0);
}

static int host_ioctl(unsigned long request, unsigned long value)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return fake_kvm_state.host.api_version;
	case KVM_GET_VCPU_MMAP_SIZE:
		return fake_kvm_state.host.run_size;
	case KVM_CREATE_VM:
		return create_vm(value);
	default:
		return -ENOTTY;
	}
}

static int check_extension(unsigned long capability)
{
	return capability < FAKE_KVM_CAPS ? fake_kvm_state.caps[capability] : 0;
}

/* --- the door --- */

static void note(struct fake_kvm_call *call)
{
	struct fake_kvm *host = &fake_kvm_state.host;

	if (call->request != KVM_CHECK_EXTENSION && call->request != KVM_IRQ_LINE &&
	    call->request != KVM_HAS_DEVICE_ATTR &&
	    !(call->request == KVM_CREATE_DEVICE && call->value == KVM_CREATE_DEVICE_TEST) &&
	    host->calls_count < FAKE_KVM_LOG)
		host->calls[host->calls_count++] = *call;
}

static int dispatch(int fd, unsigned long request, unsigned long value)
{
	struct fake_kvm_handle *handle = handle_of(fd);
	struct fake_kvm_call call = { .request = request };
	int result;

	if (!handle)
		return -EBADF;
	call.kind = handle->kind;
	call.vm = handle->vm;
	call.number = handle->number;
	result = failing(request);
	if (result)
		;
	else if (request == KVM_CHECK_EXTENSION && handle->kind <= FAKE_KVM_VM)
		result = check_extension(value);
	else if (request == KVM_SET_DEVICE_ATTR || request == KVM_HAS_DEVICE_ATTR)
		result = fake_kvm_device_attr(handle, (struct kvm_device_attr *)value,
					      request == KVM_SET_DEVICE_ATTR, &call);
	else if (handle->kind == FAKE_KVM_HOST)
		result = host_ioctl(request, value);
	else if (handle->kind == FAKE_KVM_VM)
		result = fake_kvm_vm_ioctl(handle, request, value, &call);
	else if (handle->kind == FAKE_KVM_VCPU)
		result = fake_kvm_vcpu_ioctl(handle, request, value, &call);
	else
		result = -ENOTTY;
	if (request == KVM_CREATE_VM || request == KVM_CREATE_VCPU)
		call.value = value;
	call.result = result;
	note(&call);
	return result;
}

int kvm_call_value(int fd, unsigned long request, unsigned long value, const char *name)
{
	struct fake_kvm_handle handle = { 0 };
	int result;

	if (fake_kvm_state.host.asked && request != KVM_RUN)
		fake_kvm_state.host.asked(request);
	pthread_mutex_lock(&fake_kvm_state.lock);
	if (request == KVM_RUN) {
		if (handle_of(fd))
			handle = *handle_of(fd);
		result = failing(request);
	} else {
		result = dispatch(fd, request, value);
	}
	pthread_mutex_unlock(&fake_kvm_state.lock);
	if (request == KVM_RUN && !result)
		result = handle.used ? fake_kvm_run(&handle) : -EBADF;
	if (result < 0 && name)
		report(result, "%s failed", name);
	return result;
}

int kvm_call(int fd, unsigned long request, void *arg, const char *name)
{
	return kvm_call_value(fd, request, (unsigned long)arg, name);
}

int kvm_open_device(void)
{
	int fd;

	pthread_mutex_lock(&fake_kvm_state.lock);
	fd = failing(FAKE_KVM_OPEN);
	if (!fd)
		fd = fake_kvm_hand_out(FAKE_KVM_HOST, 0, 0);
	pthread_mutex_unlock(&fake_kvm_state.lock);
	return fd < 0 ? report(fd, "cannot open /dev/kvm") : fd;
}

struct kvm_run *kvm_map_run(int vcpu_fd, int size)
{
	struct kvm_run *run = NULL;
	struct fake_kvm_handle *handle;

	pthread_mutex_lock(&fake_kvm_state.lock);
	handle = handle_of(vcpu_fd);
	errno = -failing(FAKE_KVM_MAP_RUN);
	if (!errno) {
		assert(handle && handle->kind == FAKE_KVM_VCPU);
		assert(size == fake_kvm_state.host.run_size);
		run = calloc(1, (size_t)size);
		fake_kvm_state.host.vms[handle->vm].vcpus[handle->number].run = run;
	}
	pthread_mutex_unlock(&fake_kvm_state.lock);
	return run;
}

void kvm_unmap_run(struct kvm_run *run, int size)
{
	assert(size == fake_kvm_state.host.run_size);
	pthread_mutex_lock(&fake_kvm_state.lock);
	for (unsigned i = 0; i < fake_kvm_state.host.vms_count; i++)
		for (unsigned n = 0; n < FAKE_KVM_VCPUS; n++)
			if (fake_kvm_state.host.vms[i].vcpus[n].run == run)
				fake_kvm_state.host.vms[i].vcpus[n].run = NULL;
	pthread_mutex_unlock(&fake_kvm_state.lock);
	free(run);
}

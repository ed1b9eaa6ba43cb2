// SPDX-License-Identifier: GPL-2.0-only
/* VMs: memory slots, devices, interrupts; each rule is one of Documentation/virt/kvm's. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fake_kvm_state.h"

#define PAGE       4096ULL
#define FRAME      0x10000ULL
#define MAX_ROUTES 4096

static struct fake_kvm_vm *vm_of(const struct fake_kvm_handle *handle)
{
	return &fake_kvm_state.host.vms[handle->vm];
}

static int set_memory(struct fake_kvm_vm *vm, const struct kvm_userspace_memory_region *region)
{
	uint64_t end = region->guest_phys_addr + region->memory_size;
	struct kvm_userspace_memory_region *slot;

	if ((int)region->slot >= fake_kvm_state.caps[KVM_CAP_NR_MEMSLOTS] ||
	    (region->memory_size | region->guest_phys_addr | region->userspace_addr) % PAGE ||
	    region->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY) ||
	    end < region->guest_phys_addr || end > 1ULL << vm->ipa_bits)
		return -EINVAL;
	assert(region->slot < FAKE_KVM_SLOTS);
	slot = &vm->slots[region->slot];
	if (region->memory_size ? slot->memory_size : !slot->memory_size)
		return -EINVAL; /* changed in size, or deleted twice */
	for (unsigned i = 0; i < FAKE_KVM_SLOTS && region->memory_size; i++)
		if (vm->slots[i].guest_phys_addr < end && vm->slots[i].memory_size &&
		    region->guest_phys_addr <
			    vm->slots[i].guest_phys_addr + vm->slots[i].memory_size)
			return -EEXIST;
	*slot = *region;
	vm->slots_ever += region->memory_size != 0;
	return 0;
}

static int create_vcpu(const struct fake_kvm_handle *handle, unsigned long index)
{
	struct fake_kvm_vm *vm = vm_of(handle);

	if ((int)index >= fake_kvm_state.caps[KVM_CAP_MAX_VCPUS] || index >= FAKE_KVM_VCPUS)
		return -EINVAL;
	if (vm->gic_inited)
		return -EBUSY;
	if (vm->vcpus[index].exists)
		return -EEXIST;
	vm->vcpus[index].exists = true;
	return fake_kvm_hand_out(FAKE_KVM_VCPU, handle->vm, (uint32_t)index);
}

static int enable_cap(struct fake_kvm_vm *vm, const struct kvm_enable_cap *cap,
		      struct fake_kvm_call *call)
{
	call->group = cap->cap;
	if (cap->flags || cap->cap >= FAKE_KVM_CAPS || !fake_kvm_state.caps[cap->cap])
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_ARM_NISV_TO_USER:
		vm->nisv = true;
		return 0;
	case KVM_CAP_ARM_MTE:
		for (unsigned n = 0; n < FAKE_KVM_VCPUS; n++)
			if (vm->vcpus[n].exists)
				return -EINVAL;
		vm->mte = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int create_device(const struct fake_kvm_handle *handle, struct kvm_create_device *device,
			 struct fake_kvm_call *call)
{
	struct fake_kvm_vm *vm = vm_of(handle);
	bool gic = device->type == KVM_DEV_TYPE_ARM_VGIC_V2 ||
		   device->type == KVM_DEV_TYPE_ARM_VGIC_V3;

	call->group = device->type;
	call->value = device->flags;
	if (device->type >= 32 || !(fake_kvm_state.host.devices & 1u << device->type))
		return -ENODEV;
	if (device->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	if (gic ? vm->gic : device->type == KVM_DEV_TYPE_ARM_VGIC_ITS && !vm->gic)
		return gic ? -EEXIST : -ENODEV;
	if (gic) {
		vm->gic = true;
		vm->gic_type = device->type;
	}
	vm->its |= device->type == KVM_DEV_TYPE_ARM_VGIC_ITS;
	device->fd = (uint32_t)fake_kvm_hand_out(FAKE_KVM_DEVICE, handle->vm, device->type);
	return 0;
}

static const struct kvm_irq_routing_entry *route_of(const struct kvm_irq_routing_entry *entries,
						    unsigned count, uint32_t gsi)
{
	for (unsigned i = 0; i < count; i++)
		if (entries[i].gsi == gsi)
			return &entries[i];
	return NULL;
}

/* Before the first table KVM leads each GSI to the SPI of its number: see kvm_vgic_setup_default_irq_routing(). */
static bool same_route(const struct fake_kvm_vm *vm, const struct kvm_irq_routing_entry *new,
		       uint32_t gsi)
{
	const struct kvm_irq_routing_entry *old = route_of(vm->routes, vm->routes_count, gsi);

	if (!vm->routes_updates)
		return new &&new->type == KVM_IRQ_ROUTING_IRQCHIP &&new->u.irqchip.pin == gsi;
	if (!old || !new)
		return old == new;
	return old->type == new->type && old->flags == new->flags &&
	       !memcmp(&old->u, &new->u, sizeof(old->u));
}

static int set_routes(struct fake_kvm_vm *vm, const struct kvm_irq_routing *table)
{
	size_t size = table->nr * sizeof(table->entries[0]);

	if (table->nr > MAX_ROUTES || table->flags)
		return -EINVAL;
	for (unsigned i = 0; i < table->nr; i++) {
		const struct kvm_irq_routing_entry *entry = &table->entries[i];
		bool msi = entry->type == KVM_IRQ_ROUTING_MSI;

		if (entry->gsi >= MAX_ROUTES || (!msi && entry->type != KVM_IRQ_ROUTING_IRQCHIP) ||
		    entry->flags & ~(msi ? KVM_MSI_VALID_DEVID : 0u) ||
		    (!msi &&
		     (entry->u.irqchip.irqchip || entry->u.irqchip.pin + 32 >= vm->nr_irqs)))
			return -EINVAL;
	}
	for (unsigned i = 0; i < vm->irqfds_count; i++) {
		uint32_t gsi = vm->irqfds[i].gsi;

		if (!same_route(vm, route_of(table->entries, table->nr, gsi), gsi))
			vm->route_changed_live = true;
	}
	free(vm->routes);
	vm->routes = malloc(size ? size : 1);
	memcpy(vm->routes, table->entries, size);
	vm->routes_count = table->nr;
	vm->routes_updates++;
	return 0;
}

static int set_irqfd(struct fake_kvm_vm *vm, const struct kvm_irqfd *irqfd)
{
	bool resample = irqfd->flags & KVM_IRQFD_FLAG_RESAMPLE;
	unsigned at = 0;

	if (irqfd->flags & ~(KVM_IRQFD_FLAG_RESAMPLE | KVM_IRQFD_FLAG_DEASSIGN) ||
	    irqfd->gsi >= MAX_ROUTES)
		return -EINVAL;
	while (at < vm->irqfds_count && vm->irqfds[at].fd != (int)irqfd->fd)
		at++;
	if (irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		if (at < vm->irqfds_count && vm->irqfds[at].gsi == irqfd->gsi)
			vm->irqfds[at] = vm->irqfds[--vm->irqfds_count];
		return 0;
	}
	if (at < vm->irqfds_count)
		return -EBUSY;
	assert(at < sizeof(vm->irqfds) / sizeof(vm->irqfds[0]));
	vm->irqfds[vm->irqfds_count++] =
		(struct fake_kvm_irqfd){ irqfd->gsi, (int)irqfd->fd,
					 resample ? (int)irqfd->resamplefd : -1 };
	return 0;
}

static bool meets(const struct fake_kvm_ioeventfd *one, uint64_t address, uint32_t size, bool match,
		  uint64_t value)
{
	return one->address == address && (one->size == size || !one->size || !size) &&
	       (!one->match || !match || one->value == value);
}

/* As in kvm_assign_ioeventfd_idx(). */
static int set_ioeventfd(struct fake_kvm_vm *vm, const struct kvm_ioeventfd *arg)
{
	bool match = arg->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	unsigned at = 0;

	if (arg->len > 8 || (arg->len & (arg->len - 1)) || arg->addr + arg->len < arg->addr ||
	    arg->flags & ~(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN) ||
	    (!arg->len && match))
		return -EINVAL;
	while (at < vm->ioeventfds_count &&
	       !meets(&vm->ioeventfds[at], arg->addr, arg->len, match, arg->datamatch))
		at++;
	if (arg->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) {
		if (at == vm->ioeventfds_count || vm->ioeventfds[at].fd != arg->fd)
			return -ENOENT;
		vm->ioeventfds[at] = vm->ioeventfds[--vm->ioeventfds_count];
		return 0;
	}
	if (at < vm->ioeventfds_count)
		return -EEXIST;
	assert(at < sizeof(vm->ioeventfds) / sizeof(vm->ioeventfds[0]));
	vm->ioeventfds[vm->ioeventfds_count++] =
		(struct fake_kvm_ioeventfd){ arg->addr, arg->datamatch, arg->len, match, arg->fd };
	return 0;
}

bool fake_kvm_store_is_kick(const struct fake_kvm_handle *handle, uint64_t address, uint32_t size,
			    uint64_t value)
{
	const struct fake_kvm_vm *vm = vm_of(handle);
	const uint64_t one = 1;

	for (unsigned i = 0; i < vm->ioeventfds_count; i++)
		if (meets(&vm->ioeventfds[i], address, size, true, value))
			return write(vm->ioeventfds[i].fd, &one, sizeof(one)) == sizeof(one);
	return false;
}

static int set_line(struct fake_kvm_vm *vm, const struct kvm_irq_level *irq)
{
	uint32_t spi = irq->irq & KVM_ARM_IRQ_NUM_MASK;

	if (irq->irq >> KVM_ARM_IRQ_TYPE_SHIFT != KVM_ARM_IRQ_TYPE_SPI || spi < 32 ||
	    spi >= vm->nr_irqs)
		return -EINVAL;
	if (vm->lines_count < sizeof(vm->lines) / sizeof(vm->lines[0])) {
		vm->lines[vm->lines_count].irq = spi;
		vm->lines[vm->lines_count++].level = irq->level;
	}
	return 0;
}

static bool line_level(const struct fake_kvm_vm *vm, uint32_t irq)
{
	bool level = false;

	pthread_mutex_lock(&fake_kvm_state.lock);
	for (unsigned i = 0; i < vm->lines_count; i++)
		if (vm->lines[i].irq == irq)
			level = vm->lines[i].level;
	pthread_mutex_unlock(&fake_kvm_state.lock);
	return level;
}

bool fake_kvm_wait_line(unsigned vm, uint32_t irq)
{
	for (int i = 0; i < 5000; i++) {
		if (line_level(&fake_kvm_state.host.vms[vm], irq))
			return true;
		usleep(1000);
	}
	return false;
}

int fake_kvm_vm_ioctl(const struct fake_kvm_handle *handle, unsigned long request,
		      unsigned long value, struct fake_kvm_call *call)
{
	switch (request) {
	case KVM_SET_USER_MEMORY_REGION:
		return set_memory(vm_of(handle), (void *)value);
	case KVM_CREATE_VCPU:
		return create_vcpu(handle, value);
	case KVM_ENABLE_CAP:
		return enable_cap(vm_of(handle), (void *)value, call);
	case KVM_ARM_PREFERRED_TARGET:
		*(struct kvm_vcpu_init *)value =
			(struct kvm_vcpu_init){ .target = KVM_ARM_TARGET_GENERIC_V8 };
		return 0;
	case KVM_CREATE_DEVICE:
		return create_device(handle, (void *)value, call);
	case KVM_SET_GSI_ROUTING:
		return set_routes(vm_of(handle), (void *)value);
	case KVM_IRQFD:
		return set_irqfd(vm_of(handle), (void *)value);
	case KVM_IOEVENTFD:
		return set_ioeventfd(vm_of(handle), (void *)value);
	case KVM_IRQ_LINE:
		return set_line(vm_of(handle), (void *)value);
	default:
		return -ENOTTY;
	}
}

/* --- attributes of devices and vCPUs --- */

static int gic_address(struct fake_kvm_vm *vm, uint32_t type, uint64_t attr, uint64_t address)
{
	bool v3 = type == KVM_DEV_TYPE_ARM_VGIC_V3;

	if (v3 && attr == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION) {
		if (!fake_kvm_state.host.redist_regions)
			return -ENODEV;
		if (!(address >> 52) || address & 0xfff)
			return -EINVAL;
		address &= 0xffffffffff000ULL;
	} else if (v3 ? attr != KVM_VGIC_V3_ADDR_TYPE_DIST && attr != KVM_VGIC_V3_ADDR_TYPE_REDIST
		      : attr > KVM_VGIC_V2_ADDR_TYPE_CPU) {
		return -ENODEV;
	}
	if (address % (v3 ? FRAME : PAGE))
		return -EINVAL;
	return address >> vm->ipa_bits ? -E2BIG : 0;
}

static int gic_attr(struct fake_kvm_vm *vm, uint32_t type, const struct kvm_device_attr *attr,
		    bool set, struct fake_kvm_call *call)
{
	bool vcpus = false;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		if (!set)
			return attr->attr != KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION ||
					       fake_kvm_state.host.redist_regions
				       ? 0
				       : -ENXIO;
		call->value = *(uint64_t *)attr->addr;
		return vm->gic_inited ? -EBUSY : gic_address(vm, type, attr->attr, call->value);
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
		call->value = *(uint32_t *)attr->addr;
		if (call->value < 64 || call->value > 1023 || call->value % 32)
			return -EINVAL;
		vm->nr_irqs = (uint32_t)call->value;
		return vm->gic_inited ? -EBUSY : 0;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		for (unsigned n = 0; n < FAKE_KVM_VCPUS; n++)
			vcpus |= vm->vcpus[n].exists;
		vm->gic_inited = vcpus;
		return vcpus ? 0 : -ENODEV;
	default:
		return -ENXIO;
	}
}

static int its_attr(struct fake_kvm_vm *vm, const struct kvm_device_attr *attr,
		    struct fake_kvm_call *call)
{
	if (attr->group == KVM_DEV_ARM_VGIC_GRP_CTRL)
		return attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT ? 0 : -ENXIO;
	if (attr->group != KVM_DEV_ARM_VGIC_GRP_ADDR || attr->attr != KVM_VGIC_ITS_ADDR_TYPE)
		return -ENXIO;
	call->value = *(uint64_t *)attr->addr;
	if (call->value % FRAME)
		return -EINVAL;
	return call->value >> vm->ipa_bits ? -E2BIG : 0;
}

static int vfio_attr(struct fake_kvm_vm *vm, const struct kvm_device_attr *attr)
{
	if (attr->group != KVM_DEV_VFIO_GROUP || attr->attr != KVM_DEV_VFIO_GROUP_ADD)
		return -ENXIO;
	assert(vm->vfio_files_count < sizeof(vm->vfio_files) / sizeof(vm->vfio_files[0]));
	vm->vfio_files[vm->vfio_files_count++] = *(int32_t *)attr->addr;
	return 0;
}

static bool backed(const struct fake_kvm_vm *vm, uint64_t gpa)
{
	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++)
		if (gpa - vm->slots[i].guest_phys_addr < vm->slots[i].memory_size)
			return true;
	return false;
}

static int vcpu_attr(const struct fake_kvm_vm *vm, const struct kvm_device_attr *attr,
		     struct fake_kvm_call *call)
{
	if (attr->group == KVM_ARM_VCPU_PMU_V3_CTRL && attr->attr == KVM_ARM_VCPU_PMU_V3_INIT)
		return vm->gic_inited ? 0 : -ENODEV;
	if (attr->group == KVM_ARM_VCPU_PMU_V3_CTRL && attr->attr == KVM_ARM_VCPU_PMU_V3_IRQ) {
		call->value = *(uint32_t *)attr->addr;
		return call->value >= 16 && call->value < 32 ? 0 : -EINVAL;
	}
	if (attr->group != KVM_ARM_VCPU_PVTIME_CTRL || attr->attr != KVM_ARM_VCPU_PVTIME_IPA)
		return -ENXIO;
	call->value = *(uint64_t *)attr->addr;
	return call->value % 64 || !backed(vm, call->value) ? -EINVAL : 0;
}

int fake_kvm_device_attr(const struct fake_kvm_handle *handle, const struct kvm_device_attr *attr,
			 bool set, struct fake_kvm_call *call)
{
	struct fake_kvm_vm *vm = vm_of(handle);

	call->group = attr->group;
	call->attr = attr->attr;
	if (handle->kind == FAKE_KVM_VCPU)
		return vcpu_attr(vm, attr, call);
	if (handle->kind != FAKE_KVM_DEVICE)
		return -ENOTTY;
	if (handle->number == KVM_DEV_TYPE_ARM_VGIC_ITS)
		return its_attr(vm, attr, call);
	if (handle->number == KVM_DEV_TYPE_VFIO)
		return vfio_attr(vm, attr);
	return gic_attr(vm, handle->number, attr, set, call);
}

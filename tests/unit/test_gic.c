// SPDX-License-Identifier: GPL-2.0-only
/* Each interrupt controller: which one, what KVM is asked in which order, where its frames lie, how interrupts reach it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/gic.h>
#include <lkvm/kvm.h>
#include <lkvm/memory_map.h>
#include "fake_kvm.h"
#include "files.h"

#define V2  (1u << KVM_DEV_TYPE_ARM_VGIC_V2)
#define V3  (1u << KVM_DEV_TYPE_ARM_VGIC_V3)
#define ITS (1u << KVM_DEV_TYPE_ARM_VGIC_ITS)

#define MSI_TYPER     0x008
#define MSI_SETSPI_NS 0x040
#define MSI_IIDR      0xfcc

static struct fake_kvm *kvm;
static struct fake_kvm_vm *fake_vm;
static struct kvm_host host;
static struct vm vm;
static int vcpu_fd;
static struct mmio_bus mmio;
static struct gic gic;

static int setup(void **state)
{
	kvm = fake_kvm_begin();
	fake_vm = &kvm->vms[0];
	gic = (struct gic){ 0 };
	if (files_setup(state) || kvm_host_open(&host) || vm_create(&vm, &host, 40) ||
	    mmio_bus_create(&mmio))
		return -1;
	vcpu_fd = kvm_call_value(vm.fd, KVM_CREATE_VCPU, 0, NULL);
	return vcpu_fd < 0;
}

static int teardown(void **state)
{
	int left;

	gic_destroy(&gic);
	mmio_bus_destroy(&mmio);
	close(vcpu_fd);
	vm_destroy(&vm);
	kvm_host_close(&host);
	left = fake_kvm_end();
	return files_teardown(state) ? -1 : left;
}

static void create(enum irqchip kind, unsigned vcpus, unsigned spis)
{
	assert_int_equal(gic_create(&gic, &vm, &mmio, kind, vcpus, spis), 0);
}

static void the_first_kind_that_the_host_has_is_chosen(void **state)
{
	static const struct {
		uint32_t devices;
		enum irqchip wanted;
		unsigned vcpus;
		int chosen; /* or -errno */
		const char *told;
	} cases[] = {
		{ V2 | V3 | ITS, IRQCHIP_AUTO, 16, IRQCHIP_GICV3_ITS, NULL },
		{ V2 | V3, IRQCHIP_AUTO, 16, IRQCHIP_GICV3, NULL },
		{ V2, IRQCHIP_AUTO, 8, IRQCHIP_GICV2M, NULL },
		{ V2, IRQCHIP_AUTO, 9, -ENOTSUP, "gicv2m has at most 8 vCPUs, not 9" },
		{ 0, IRQCHIP_AUTO, 1, -ENOTSUP, "no irqchip at all; it offers: none" },
		{ V3 | ITS, IRQCHIP_GICV3, 1, IRQCHIP_GICV3, NULL },
		{ V3 | ITS, IRQCHIP_GICV3_ITS, 512, IRQCHIP_GICV3_ITS, NULL },
		{ V3, IRQCHIP_GICV3_ITS, 1, -ENOTSUP, "no irqchip gicv3-its; it offers: gicv3\n" },
		{ V3 | ITS, IRQCHIP_GICV2, 1, -ENOTSUP,
		  "no irqchip gicv2; it offers: gicv3-its gicv3\n" },
		{ V2, IRQCHIP_GICV3, 1, -ENOTSUP, "no irqchip gicv3; it offers: gicv2m gicv2\n" },
		{ V2 | V3 | ITS, IRQCHIP_GICV2, 8, IRQCHIP_GICV2, NULL },
		{ V2 | V3 | ITS, IRQCHIP_GICV2M, 8, IRQCHIP_GICV2M, NULL },
		{ V2 | V3 | ITS, IRQCHIP_GICV2, 9, -ENOTSUP, "gicv2 has at most 8 vCPUs, not 9" },
		{ V2 | V3 | ITS, IRQCHIP_GICV2M, ~0u, -ENOTSUP, "gicv2m has at most 8 vCPUs" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum irqchip chosen = IRQCHIP_AUTO;
		int err;

		kvm->devices = cases[i].devices;
		stderr_keep();
		err = gic_choose(&vm, cases[i].wanted, cases[i].vcpus, &chosen);
		if (cases[i].told)
			assert_reported(cases[i].told);
		else
			assert_string_equal(stderr_text(), "");
		assert_int_equal(err ? err : (int)chosen, cases[i].chosen);
	}
	assert_int_equal(fake_kvm_count(KVM_CREATE_DEVICE), 0);
}

static void names_are_those_of_the_option(void **state)
{
	static const char *const bad[] = {
		"", "gic", "gicv", "gicv3-", "gicv3-its ", "GICV3", NULL
	};
	enum irqchip kind;

	(void)state;
	for (int i = IRQCHIP_AUTO; i <= IRQCHIP_GICV3_ITS; i++) {
		assert_int_equal(irqchip_parse(irqchip_name((enum irqchip)i), &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_string_equal(irqchip_name(IRQCHIP_GICV3_ITS), "gicv3-its");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(irqchip_parse(bad[i], &kind), -EINVAL);
}

/* What KVM is asked to make one, in order: CREATE is a KVM_CREATE_DEVICE, the others attributes. */
enum {
	CREATE = 100,
	ADDR = KVM_DEV_ARM_VGIC_GRP_ADDR,
	IRQS = KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
	CTRL = KVM_DEV_ARM_VGIC_GRP_CTRL
};
enum {
	TYPE_V2 = KVM_DEV_TYPE_ARM_VGIC_V2,
	TYPE_V3 = KVM_DEV_TYPE_ARM_VGIC_V3,
	TYPE_ITS = KVM_DEV_TYPE_ARM_VGIC_ITS
};

struct step {
	uint32_t device, group;
	uint64_t attr, value;
};

static void assert_steps(const struct step *steps)
{
	unsigned at = 0;

	for (unsigned i = 0; i < kvm->calls_count; i++) {
		const struct fake_kvm_call *call = &kvm->calls[i];
		const struct step *step = &steps[at];

		if (call->request == KVM_CREATE_DEVICE) {
			assert_int_equal(step->group, CREATE);
			assert_int_equal(step->device, call->group);
		} else if (call->request == KVM_SET_DEVICE_ATTR) {
			assert_int_equal(step->device, call->number);
			assert_int_equal(step->group, call->group);
			assert_int_equal(step->attr, call->attr);
			assert_int_equal(step->value, call->value);
		} else {
			continue;
		}
		assert_int_equal(call->result, 0);
		at++;
	}
	assert_int_equal(steps[at].group, 0);
	assert_int_equal(steps[at].device, 0);
}

static void gicv3_with_its_is_made_in_order(void **state)
{
	static const struct step steps[] = {
		{ TYPE_V3, CREATE, 0, 0 },
		{ TYPE_V3, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x3fff0000 },
		{ TYPE_V3, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 3ULL << 52 | 0x3ff90000 },
		{ TYPE_V3, IRQS, 0, 128 },
		{ TYPE_V3, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
		{ TYPE_ITS, CREATE, 0, 0 },
		{ TYPE_ITS, ADDR, KVM_VGIC_ITS_ADDR_TYPE, 0x3ff70000 },
		{ TYPE_ITS, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
		{ 0 },
	};

	(void)state;
	create(IRQCHIP_GICV3_ITS, 3, 70);
	assert_steps(steps);
	assert_int_equal(gic_msi_doorbell(&gic), 0x3ff80000);
	assert_int_equal(gic_msi_doorbell_of(gic.kind, gic.vcpus), 0x3ff80000);
	assert_true(gic.base.msi);
	assert_int_equal(gic.redist_base, 0x3ff90000);
	assert_int_equal(gic.redist_size, 0x60000);
	assert_int_equal(gic.msi_base, 0x3ff70000);
	assert_int_equal(gic.msi_size, 0x20000);
}

static void gicv3_of_an_older_kernel_has_no_redistributor_regions(void **state)
{
	static const struct step steps[] = {
		{ TYPE_V3, CREATE, 0, 0 },
		{ TYPE_V3, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x3fff0000 },
		{ TYPE_V3, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x3ffd0000 },
		{ TYPE_V3, IRQS, 0, 64 },
		{ TYPE_V3, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
		{ 0 },
	};

	(void)state;
	kvm->redist_regions = false;
	create(IRQCHIP_GICV3, 1, 1);
	assert_steps(steps);
	assert_int_equal(gic_msi_doorbell(&gic), 0);
	assert_false(gic.base.msi);
	assert_int_equal(gic.msi_size, 0);
}

static void gicv2_is_made_in_order(void **state)
{
	static const struct step steps[] = {
		{ TYPE_V2, CREATE, 0, 0 },
		{ TYPE_V2, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, 0x3fff0000 },
		{ TYPE_V2, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, 0x3ffe0000 },
		{ TYPE_V2, IRQS, 0, 64 },
		{ TYPE_V2, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
		{ 0 },
	};

	(void)state;
	create(IRQCHIP_GICV2, 2, 4);
	assert_steps(steps);
	assert_int_equal(gic_msi_doorbell(&gic), 0);
	assert_false(gic.base.msi);
}

/* Its messages are SPIs, beyond those that have a line. */
static void gicv2m_has_more_interrupts_and_a_frame(void **state)
{
	static const struct step steps[] = {
		{ TYPE_V2, CREATE, 0, 0 },
		{ TYPE_V2, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, 0x3fff0000 },
		{ TYPE_V2, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, 0x3ffe0000 },
		{ TYPE_V2, IRQS, 0, 128 },
		{ TYPE_V2, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0 },
		{ 0 },
	};

	(void)state;
	create(IRQCHIP_GICV2M, 2, 7);
	assert_steps(steps);
	assert_int_equal(gic_msi_doorbell(&gic), 0x3ffd0000);
	assert_int_equal(gic_msi_doorbell_of(gic.kind, gic.vcpus), 0x3ffd0000);
	assert_int_equal(gic_msi_doorbell_of(IRQCHIP_GICV3, 8), 0);
	assert_int_equal(gic_msi_doorbell_of(IRQCHIP_GICV2, 8), 0);
	assert_true(gic.base.msi);
	assert_int_equal(gic.v2m_first, 39);
	assert_int_equal(gic.v2m_count, 64);
}

static void the_frames_of_all_vcpus_stay_above_the_devices(void **state)
{
	(void)state;
	create(IRQCHIP_GICV3_ITS, 512, 4);
	assert_true(gic.msi_base > MAP_VIRTIO_BASE + 0x1000000);
	assert_int_equal(gic.redist_base + gic.redist_size, MAP_GICD_BASE);
	assert_int_equal(gic.msi_base + gic.msi_size, gic.redist_base);
}

/* The n-th request that makes one fails, for every n. */
static void one_that_cannot_be_made_leaves_nothing(void **state)
{
	static const struct {
		enum irqchip kind;
		unsigned long request;
		unsigned requests;
	} cases[] = {
		{ IRQCHIP_GICV3_ITS, KVM_CREATE_DEVICE, 2 },
		{ IRQCHIP_GICV3_ITS, KVM_SET_DEVICE_ATTR, 6 },
		{ IRQCHIP_GICV3, KVM_CREATE_DEVICE, 1 },
		{ IRQCHIP_GICV3, KVM_SET_DEVICE_ATTR, 4 },
		{ IRQCHIP_GICV2M, KVM_CREATE_DEVICE, 1 },
		{ IRQCHIP_GICV2M, KVM_SET_DEVICE_ATTR, 4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned n = 0; n < cases[i].requests; n++) {
			unsigned fds = fake_kvm_fds();
			int err;

			fake_kvm_fail(cases[i].request, EIO, n, 1);
			stderr_keep();
			err = gic_create(&gic, &vm, &mmio, cases[i].kind, 1, 4);
			assert_reported("Input/output error");
			assert_int_equal(err, -EIO);
			assert_int_equal(fake_kvm_fds(), fds);
			assert_int_equal(mmio.count, 0);
			assert_int_equal(teardown(state), 0);
			assert_int_equal(setup(state), 0);
		}
	}
}

static void a_frame_without_room_is_refused(void **state)
{
	struct mmio_region other = { .name = "other", .base = 0x3ffd0000, .size = 8 };
	int err;

	(void)state;
	assert_int_equal(mmio_bus_add(&mmio, &other), 0);
	stderr_keep();
	err = gic_create(&gic, &vm, &mmio, IRQCHIP_GICV2M, 1, 4);
	assert_reported("cannot place the GICv2m frame");
	assert_int_equal(err, -EEXIST);
	assert_int_equal(mmio.count, 1);
}

static void lines_are_shared_interrupts(void **state)
{
	(void)state;
	create(IRQCHIP_GICV3, 1, 64);
	assert_int_equal(irq_set_level(&gic.base, 0, true), 0);
	assert_int_equal(irq_set_level(&gic.base, 63, false), 0);
	assert_int_equal(fake_vm->lines_count, 2);
	assert_int_equal(fake_vm->lines[0].irq, 32);
	assert_true(fake_vm->lines[0].level);
	assert_int_equal(fake_vm->lines[1].irq, 95);
	assert_false(fake_vm->lines[1].level);
	assert_int_equal(irq_set_level(&gic.base, 64, true), -EINVAL);
}

static int set_routes(const struct irq_route *routes, size_t count)
{
	return gic.base.class->set_routes(&gic.base, routes, count);
}

static void messages_reach_the_its_with_their_device_id(void **state)
{
	static const struct irq_route routes[] = {
		{ .type = IRQ_ROUTE_LINE, .line = 0 },
		{ .type = IRQ_ROUTE_NONE },
		{ .type = IRQ_ROUTE_MSI, .address = 0x123456789abcULL, .data = 7, .devid = 0x18 },
		{ .type = IRQ_ROUTE_LINE, .line = 3 },
	};
	const struct kvm_irq_routing_entry *entries;

	(void)state;
	create(IRQCHIP_GICV3_ITS, 1, 32);
	assert_int_equal(set_routes(routes, 4), 0);
	entries = fake_vm->routes;
	assert_int_equal(fake_vm->routes_count, 3);
	assert_int_equal(entries[0].gsi, 0);
	assert_int_equal(entries[0].type, KVM_IRQ_ROUTING_IRQCHIP);
	assert_int_equal(entries[0].u.irqchip.pin, 0);
	assert_int_equal(entries[1].gsi, 2);
	assert_int_equal(entries[1].type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(entries[1].flags, KVM_MSI_VALID_DEVID);
	assert_int_equal(entries[1].u.msi.address_hi, 0x1234);
	assert_int_equal(entries[1].u.msi.address_lo, 0x56789abc);
	assert_int_equal(entries[1].u.msi.data, 7);
	assert_int_equal(entries[1].u.msi.devid, 0x18);
	assert_int_equal(entries[2].gsi, 3);
	assert_int_equal(entries[2].u.irqchip.pin, 3);
	assert_int_equal(set_routes(NULL, 0), 0);
	assert_int_equal(fake_vm->routes_count, 0);
}

/* The frame at 0x3ffd0000 hands out SPIs 39 to 102. */
static void messages_to_gicv2m_are_its_interrupts_or_lost(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t data;
		int pin; /* -1: leads nowhere */
	} cases[] = {
		{ 0x3ffd0040, 39, 7 },   { 0x3ffd0040, 102, 70 }, { 0x3ffd0040, 103, -1 },
		{ 0x3ffd0040, 38, -1 },  { 0x3ffd0040, 0, -1 },   { 0x3ffd0040, ~0u, -1 },
		{ 0x3ffd0000, 39, -1 },  { 0x3ffd0044, 39, -1 },  { 0, 39, -1 },
		{ 0x13ffd0040, 39, -1 }, { ~0ULL, 39, -1 },
	};

	(void)state;
	create(IRQCHIP_GICV2M, 1, 7);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct irq_route route = { .type = IRQ_ROUTE_MSI,
					   .address = cases[i].address,
					   .data = cases[i].data };

		assert_int_equal(set_routes(&route, 1), 0);
		assert_int_equal(fake_vm->routes_count, cases[i].pin >= 0);
		if (cases[i].pin < 0)
			continue;
		assert_int_equal(fake_vm->routes[0].type, KVM_IRQ_ROUTING_IRQCHIP);
		assert_int_equal(fake_vm->routes[0].u.irqchip.pin, cases[i].pin);
	}
}

static void messages_to_a_gic_without_doorbell_are_lost(void **state)
{
	static const struct irq_route route = { .type = IRQ_ROUTE_MSI, .address = 0x3ffd0040 };

	(void)state;
	create(IRQCHIP_GICV3, 1, 32);
	assert_int_equal(set_routes(&route, 1), 0);
	assert_int_equal(fake_vm->routes_count, 0);
}

static void a_table_that_kvm_refuses_is_reported(void **state)
{
	int err;

	(void)state;
	create(IRQCHIP_GICV3_ITS, 1, 32);
	fake_kvm_fail(KVM_SET_GSI_ROUTING, ENOMEM, 0, 1);
	stderr_keep();
	err = set_routes(NULL, 0);
	assert_reported("KVM_SET_GSI_ROUTING failed: Cannot allocate memory");
	assert_int_equal(err, -ENOMEM);
}

static void eventfds_are_attached_and_detached(void **state)
{
	int err;

	(void)state;
	create(IRQCHIP_GICV3_ITS, 1, 32);
	assert_int_equal(gic.base.class->attach(&gic.base, 2000, 50, -1), 0);
	assert_int_equal(gic.base.class->attach(&gic.base, 4, 51, 52), 0);
	assert_int_equal(fake_vm->irqfds_count, 2);
	assert_int_equal(fake_vm->irqfds[0].gsi, 2000);
	assert_int_equal(fake_vm->irqfds[0].fd, 50);
	assert_int_equal(fake_vm->irqfds[0].resample_fd, -1);
	assert_int_equal(fake_vm->irqfds[1].resample_fd, 52);
	stderr_keep();
	err = gic.base.class->attach(&gic.base, 2001, 50, -1);
	assert_reported("KVM_IRQFD failed: Device or resource busy");
	assert_int_equal(err, -EBUSY);
	assert_int_equal(gic.base.class->detach(&gic.base, 2000, 50), 0);
	assert_int_equal(gic.base.class->detach(&gic.base, 4, 51), 0);
	assert_int_equal(fake_vm->irqfds_count, 0);
}

/* The routes' own rules against KVM's: a whole device comes up and goes down. */
static void routes_and_kvm_agree(void **state)
{
	struct irq_routes routes;
	uint32_t first;

	(void)state;
	create(IRQCHIP_GICV3_ITS, 1, 8);
	assert_int_equal(irq_routes_create(&routes, &gic.base, 8), 0);
	assert_int_equal(irq_routes_attach(&routes, 5, 100, 101), 0);
	assert_int_equal(irq_routes_alloc(&routes, 32, &first), 0);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 32; i++)
			assert_int_equal(irq_routes_set_msi(&routes, first + i, 0x3ffd0040,
							    i * (uint32_t)round, 0x10),
					 0);
		for (uint32_t i = 0; i < 32; i++)
			assert_int_equal(irq_routes_attach(&routes, first + i, 200 + (int)i, -1),
					 0);
		for (uint32_t i = 0; i < 32; i++)
			irq_routes_detach(&routes, first + i, 200 + (int)i);
	}
	assert_int_equal(fake_vm->routes_updates, 3);
	assert_int_equal(fake_vm->routes_count, 8 + 32);
	assert_int_equal(fake_vm->irqfds_count, 1);
	irq_routes_destroy(&routes);
}

static uint64_t frame_read(uint64_t offset, unsigned size)
{
	uint64_t value = ~0ULL;

	assert_true(mmio_bus_read(&mmio, 0x3ffd0000 + offset, size, &value));
	return value;
}

static void the_gicv2m_frame_tells_its_interrupts(void **state)
{
	(void)state;
	create(IRQCHIP_GICV2M, 1, 7);
	assert_int_equal(frame_read(MSI_TYPER, 4), 39 << 16 | 64);
	assert_int_equal(frame_read(MSI_IIDR, 4) & 0xfff, 0x43b);
	assert_int_equal(frame_read(MSI_TYPER, 1), 0);
	assert_int_equal(frame_read(MSI_TYPER, 8), 0);
	assert_int_equal(frame_read(MSI_SETSPI_NS, 4), 0);
	assert_int_equal(frame_read(0xfffc, 4), 0);
	gic_destroy(&gic);
	assert_int_equal(mmio.count, 0);
}

static void a_vcpu_may_send_a_message_by_itself(void **state)
{
	static const struct {
		uint64_t offset, value;
		unsigned size;
	} ignored[] = {
		{ MSI_SETSPI_NS, 38, 4 },  { MSI_SETSPI_NS, 103, 4 }, { MSI_SETSPI_NS, 0, 4 },
		{ MSI_SETSPI_NS, ~0u, 4 }, { MSI_SETSPI_NS, 39, 2 },  { MSI_SETSPI_NS, 39, 8 },
		{ MSI_TYPER, 39, 4 },      { 0xfffc, 39, 4 },
	};

	(void)state;
	create(IRQCHIP_GICV2M, 1, 7);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		mmio_bus_write(&mmio, 0x3ffd0000 + ignored[i].offset, ignored[i].size,
			       ignored[i].value);
	assert_int_equal(fake_vm->lines_count, 0);
	assert_true(mmio_bus_write(&mmio, 0x3ffd0000 + MSI_SETSPI_NS, 4, 102));
	assert_int_equal(fake_vm->lines_count, 2);
	assert_int_equal(fake_vm->lines[0].irq, 102);
	assert_true(fake_vm->lines[0].level);
	assert_int_equal(fake_vm->lines[1].irq, 102);
	assert_false(fake_vm->lines[1].level);
}

static void a_zeroed_gic_can_be_destroyed(void **state)
{
	struct gic zeroed = { 0 };

	(void)state;
	gic_destroy(&zeroed);
	gic_destroy(&zeroed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_first_kind_that_the_host_has_is_chosen),
		TEST(names_are_those_of_the_option),
		TEST(gicv3_with_its_is_made_in_order),
		TEST(gicv3_of_an_older_kernel_has_no_redistributor_regions),
		TEST(gicv2_is_made_in_order),
		TEST(gicv2m_has_more_interrupts_and_a_frame),
		TEST(the_frames_of_all_vcpus_stay_above_the_devices),
		TEST(one_that_cannot_be_made_leaves_nothing),
		TEST(a_frame_without_room_is_refused),
		TEST(lines_are_shared_interrupts),
		TEST(messages_reach_the_its_with_their_device_id),
		TEST(messages_to_gicv2m_are_its_interrupts_or_lost),
		TEST(messages_to_a_gic_without_doorbell_are_lost),
		TEST(a_table_that_kvm_refuses_is_reported),
		TEST(eventfds_are_attached_and_detached),
		TEST(routes_and_kvm_agree),
		TEST(the_gicv2m_frame_tells_its_interrupts),
		TEST(a_vcpu_may_send_a_message_by_itself),
		TEST(a_zeroed_gic_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

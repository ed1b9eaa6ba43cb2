// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a driver does to the registers of a virtio device over MMIO, version 2 or 1, and to its rings: the device's
 * class is called in the order that device.h promises (tests/unit/virtio_echo.c asserts it), and the line is up exactly
 * while InterruptStatus is not 0.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/virtio_mmio.h>
#include "virtio/mmio.h"
#include "../unit/fake_kvm.h"
#include "../unit/virtio_echo.h"
#include "../unit/virtio_rig.h"
#include "silence.h"

#define BASE 0x3000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct action {
	uint8_t kind, size;
	uint16_t offset;
	uint32_t value;
};

static_assert(sizeof(struct action) == 8, "as the corpus has it");

struct world {
	struct mmio_bus bus;
	struct kvm_host host;
	struct vm vm;
	struct irq_controller irq;
	bool line, legacy;
	struct echo *echo;
	struct virtio_mmio *mmio;
};

static int set_level(struct irq_controller *controller, uint32_t line, bool level)
{
	struct world *world = (struct world *)((char *)controller - offsetof(struct world, irq));

	assert(line == 4 && world->line != level);
	world->line = level;
	return 0;
}

static const struct irq_controller_class irq_class = { .set_level = set_level };

static void put(struct world *world, uint64_t offset, unsigned size, uint64_t value)
{
	mmio_bus_write(&world->bus, BASE + offset, size, value);
}

static uint64_t get(struct world *world, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	mmio_bus_read(&world->bus, BASE + offset, size, &value);
	return value;
}

/* An address where a ring may lie; else an input would hardly find RAM. */
static uint64_t place(uint32_t value)
{
	return VRIG_RAM + (value & 0x3fff0);
}

static void set_up_queue(struct world *world, const struct action *action)
{
	uint64_t at = place(action->value);

	put(world, VIRTIO_MMIO_QUEUE_SEL, 4, action->offset % (ECHO_QUEUES + 1));
	put(world, VIRTIO_MMIO_QUEUE_NUM, 4, 1U << (action->size % 5));
	put(world, VIRTIO_MMIO_GUEST_PAGE_SIZE, 4, 4096);
	put(world, VIRTIO_MMIO_QUEUE_ALIGN, 4, 64);
	put(world, VIRTIO_MMIO_QUEUE_PFN, 4, at / 4096);
	for (unsigned part = 0; part < 3; part++) {
		unsigned reg = VIRTIO_MMIO_QUEUE_DESC_LOW + part * 0x10;

		put(world, reg, 4, at + part * 0x1000);
		put(world, reg + 4, 4, 0);
	}
	put(world, VIRTIO_MMIO_QUEUE_READY, 4, 1);
}

static void negotiate(struct world *world, uint64_t features)
{
	put(world, VIRTIO_MMIO_STATUS, 4, 3);
	put(world, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, 1);
	put(world, VIRTIO_MMIO_DRIVER_FEATURES, 4, 1 | features >> 32);
	put(world, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, 0);
	put(world, VIRTIO_MMIO_DRIVER_FEATURES, 4, (uint32_t)features);
	put(world, VIRTIO_MMIO_STATUS, 4, 0xb);
}

/* A guest that restarts: the same devices on another VM. */
static void restart(struct world *world)
{
	virtio_mmio_detach(world->mmio);
	assert(!world->line && !world->echo->vdev.active);
	virtio_mmio_attach(world->mmio, &world->vm, &world->irq);
}

static void act(struct world *world, const struct action *action)
{
	unsigned size = 1U << (action->size & 3);
	uint64_t value = action->value * 0x100000001ULL;

	switch (action->kind % 10) {
	case 0:
	case 1:
		put(world, action->offset & 0xfc, 4, action->value);
		break;
	case 2:
		put(world, action->offset & 0x1ff, size, value);
		break;
	case 3:
		get(world, action->offset & 0x1ff, size);
		break;
	case 4:
		put(world, VIRTIO_MMIO_STATUS, 4, action->value & 0xff);
		break;
	case 5:
		set_up_queue(world, action);
		break;
	case 6:
		memcpy(virtio_rig_at(place(action->value) + (action->offset & 0x2fff), 8), action,
		       8);
		break;
	case 7:
		world->echo->hold = action->size & 1;
		echo_release(world->echo);
		break;
	case 8:
		if (action->size & 1)
			restart(world);
		else
			negotiate(world, action->value);
		break;
	default:
		virtio_lock(&world->echo->vdev);
		virtio_config_changed(&world->echo->vdev);
		virtio_unlock(&world->echo->vdev);
		virtio_rig_pump();
		break;
	}
	assert(world->line == (get(world, VIRTIO_MMIO_INTERRUPT_STATUS, 4) != 0));
}

static void begin(struct world *world, uint8_t how)
{
	int err;

	fake_kvm_begin();
	virtio_rig_begin();
	*world = (struct world){ .irq = { .class = &irq_class }, .legacy = how & 1 };
	err = mmio_bus_create(&world->bus);
	assert(!err);
	err = kvm_host_open(&world->host);
	assert(!err);
	err = vm_create(&world->vm, &world->host, 40);
	assert(!err);
	world->echo = echo_create(VIRTIO_ID_NET, &vrig.env);
	vrig.vdev = &world->echo->vdev;
	err = virtio_mmio_create(&world->mmio, vrig.vdev, &world->bus, BASE, world->legacy);
	assert(!err);
	virtio_mmio_set_line(world->mmio, 4);
	virtio_mmio_attach(world->mmio, &world->vm, &world->irq);
	if (how & 2)
		negotiate(world, how & 4 ? 1ULL << VIRTIO_F_RING_PACKED : 0);
}

static void end(struct world *world)
{
	int err;

	virtio_mmio_detach(world->mmio);
	virtio_mmio_destroy(world->mmio);
	virtio_rig_end();
	vm_destroy(&world->vm);
	kvm_host_close(&world->host);
	mmio_bus_destroy(&world->bus);
	err = fake_kvm_end();
	assert(!err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world;

	if (!size)
		return 0;
	silence();
	begin(&world, data[0]);
	for (size_t at = 1; at + sizeof(struct action) <= size; at += sizeof(struct action)) {
		struct action action;

		memcpy(&action, data + at, sizeof(action));
		act(&world, &action);
	}
	end(&world);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <linux/virtio_ring.h>
#include <cmocka.h>
#include "files.h"
#include "virtio_rig.h"

#define PAGE         4096
#define WAIT_MS      10000
#define SPACING      0x8000ULL /* from ring to ring */
#define BUFFERS      (VRIG_RAM + VIRTIO_QUEUES_MAX * SPACING)
#define BUFFER_ALIGN 64

struct virtio_rig vrig;

/* --- the transport --- */

static void interrupt(struct virtio_device *vdev, struct virtq *vq)
{
	assert_ptr_equal(vdev, vrig.vdev);
	if (vq)
		atomic_fetch_add(&vrig.interrupts[vq->index], 1);
	else
		atomic_fetch_add(&vrig.config_interrupts, 1);
}

static int call_fd(struct virtio_device *vdev, struct virtq *vq)
{
	(void)vdev;
	return vrig.call_fds[vq->index];
}

static const struct virtio_transport_class transport = { interrupt, call_fd };

void virtio_rig_connect(struct virtio_device *vdev, bool legacy)
{
	vrig.vdev = vdev;
	vdev->legacy = legacy;
	vdev->transport_class = &transport;
}

void virtio_rig_destroy_device(void)
{
	if (!vrig.vdev)
		return;
	virtio_device_reset(vrig.vdev);
	vrig.vdev->class->destroy(vrig.vdev);
	vrig.vdev = NULL;
}

/* --- around a test --- */

void virtio_rig_begin(void)
{
	const struct guest_mem_config config = { .base = VRIG_RAM, .size = VRIG_RAM_SIZE };
	int err;

	memset(&vrig, 0, sizeof(vrig));
	memset(vrig.call_fds, -1, sizeof(vrig.call_fds));
	err = loop_create(&vrig.loop);
	assert_int_equal(err, 0);
	err = guest_mem_create(&vrig.ram, &config);
	assert_int_equal(err, 0);
	vrig.env = (struct virtio_env){ .loop = &vrig.loop, .ram = &vrig.ram };
}

void virtio_rig_end(void)
{
	virtio_rig_destroy_device();
	guest_mem_destroy(&vrig.ram);
	loop_destroy(&vrig.loop);
}

int virtio_rig_setup(void **state)
{
	int err = files_setup(state);

	if (!err)
		virtio_rig_begin();
	return err;
}

int virtio_rig_teardown(void **state)
{
	virtio_rig_end();
	return files_teardown(state);
}

/* --- the driver --- */

static void add_status(uint8_t bit)
{
	virtio_set_status(vrig.vdev, virtio_status(vrig.vdev) | bit);
}

void virtio_rig_reset(void)
{
	virtio_set_status(vrig.vdev, 0);
	assert_int_equal(virtio_status(vrig.vdev), 0);
}

bool virtio_rig_negotiate(uint64_t features)
{
	bool legacy = vrig.vdev->legacy;

	if (!legacy)
		features |= 1ULL << VIRTIO_F_VERSION_1;
	virtio_rig_reset();
	add_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(VIRTIO_CONFIG_S_DRIVER);
	for (unsigned word = 0; word < (legacy ? 1 : 2); word++) {
		virtio_lock(vrig.vdev);
		vrig.vdev->accepted_select = word;
		virtio_unlock(vrig.vdev);
		virtio_accept_features(vrig.vdev, (uint32_t)(features >> (32 * word)));
	}
	if (legacy)
		return true;
	add_status(VIRTIO_CONFIG_S_FEATURES_OK);
	return virtio_status(vrig.vdev) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* One part right behind the other (virtio 1.2, 2.7.2). */
static void place_as_legacy(struct virtq_driver *driver)
{
	uint64_t base = driver->place.desc;
	uint64_t avail = sizeof(struct vring_desc) * driver->size;
	uint64_t used = (avail + sizeof(uint16_t) * (3 + driver->size) + PAGE - 1) / PAGE * PAGE;

	driver->place = (struct virtq_place){ base, base + avail, base + used };
	driver->avail = (void *)((uint8_t *)driver->desc + avail);
	driver->used = (void *)((uint8_t *)driver->desc + used);
}

static void set_address(enum virtq_part part, uint64_t address)
{
	virtio_queue_set_address(vrig.vdev, part, false, (uint32_t)address);
	virtio_queue_set_address(vrig.vdev, part, true, (uint32_t)(address >> 32));
}

void virtio_rig_set_up_queue(unsigned index, uint16_t size)
{
	struct virtq_driver *driver = &vrig.queues[index];
	unsigned flags = 0;

	virtio_lock(vrig.vdev);
	vrig.vdev->queue_select = index;
	if (virtio_has(vrig.vdev, VIRTIO_F_RING_PACKED))
		flags |= VIRTQ_DRIVER_PACKED;
	if (virtio_has(vrig.vdev, VIRTIO_RING_F_EVENT_IDX))
		flags |= VIRTQ_DRIVER_EVENT_IDX;
	virtio_unlock(vrig.vdev);
	virtq_driver_init(driver, &vrig.ram, VRIG_RAM + index * SPACING, size, flags);
	virtio_queue_set_size(vrig.vdev, size);
	if (vrig.vdev->legacy) {
		place_as_legacy(driver);
		virtio_queue_set_legacy(vrig.vdev, (uint32_t)(driver->place.desc / PAGE), PAGE,
					PAGE);
		return;
	}
	set_address(VIRTQ_DESC, driver->place.desc);
	set_address(VIRTQ_DRIVER, driver->place.driver);
	set_address(VIRTQ_DEVICE, driver->place.device);
	virtio_queue_set_enabled(vrig.vdev, true);
}

void virtio_rig_driver_ok(void)
{
	add_status(VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_rig_start(uint64_t features, uint16_t size)
{
	assert_true(virtio_rig_negotiate(features));
	for (unsigned i = 0; i < vrig.vdev->queue_count; i++)
		virtio_rig_set_up_queue(i, size ? size : virtio_queue(vrig.vdev, i)->max);
	virtio_rig_driver_ok();
	assert_true(virtio_status(vrig.vdev) & VIRTIO_CONFIG_S_DRIVER_OK);
	assert_false(virtio_rig_needs_reset());
}

bool virtio_rig_needs_reset(void)
{
	return virtio_status(vrig.vdev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* --- the main thread --- */

static bool handle_one(int timeout)
{
	struct epoll_event event;

	if (epoll_wait(vrig.loop.epoll_fd, &event, 1, timeout) != 1)
		return false;
	((struct loop_source *)event.data.ptr)->ready(event.data.ptr, event.events);
	return true;
}

unsigned virtio_rig_pump(void)
{
	unsigned count = 0;

	while (count < 10000 && handle_one(0))
		count++;
	return count;
}

void virtio_rig_kick(unsigned queue)
{
	virtio_kick(vrig.vdev, queue);
	virtio_rig_pump();
}

uint32_t virtio_rig_wait_used(unsigned queue, int *id)
{
	uint32_t len;

	while (!virtq_driver_used(&vrig.queues[queue], id, &len))
		if (!handle_one(WAIT_MS))
			fail_msg("queue %u: nothing was used", queue);
	return len;
}

uint32_t virtio_rig_exchange(unsigned queue, const struct virtq_buffer *buffers, unsigned out,
			     unsigned in)
{
	int id = virtq_driver_add(&vrig.queues[queue], buffers, out, in), used;
	uint32_t len;

	assert_true(id >= 0);
	virtio_kick(vrig.vdev, queue);
	len = virtio_rig_wait_used(queue, &used);
	assert_int_equal(used, id);
	return len;
}

/* --- guest memory --- */

void *virtio_rig_at(uint64_t gpa, uint64_t size)
{
	void *host = guest_mem_range(&vrig.ram, gpa, size);

	assert_non_null(host);
	return host;
}

uint64_t virtio_rig_alloc(uint64_t size)
{
	uint64_t gpa = BUFFERS + vrig.allocated;

	vrig.allocated += (size + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
	virtio_rig_at(gpa, size);
	return gpa;
}

uint64_t virtio_rig_config(unsigned offset, unsigned size)
{
	return virtio_config_read(vrig.vdev, offset, size);
}

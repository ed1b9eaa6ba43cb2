// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver's mistakes are answered in one of two ways: what has no meaning at that moment is ignored, what leaves driver
 * and device of different minds puts the device into DEVICE_NEEDS_RESET, where it stays silent until it is reset.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_ring.h>
#include <lkvm/report.h>
#include "device.h"

#define BIT64(n) (1ULL << (n))

#define RING_FEATURES (BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX))
#define MODERN_FEATURES                                                                            \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM) |                             \
	 BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_RING_RESET))
#define LEGACY_BITS 0xffffffffULL

/* What a driver says of itself, without consequences here. */
#define PLAIN_BITS (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED)

/* Each kick is an edge: what the eventfd has counted is never read, which would be a system call a kick. */
#define KICK_EVENTS (EPOLLIN | EPOLLET)

static void kick_ready(struct loop_source *source, uint32_t events);

/* --- creation --- */

static int queue_init(struct virtio_device *vdev, unsigned index, uint16_t size)
{
	struct virtio_queue *queue = &vdev->queues[index];
	int err;

	virtq_init(&queue->vq, index, size);
	queue->vq.size = size;
	queue->vdev = vdev;
	queue->vector = VIRTIO_NO_VECTOR;
	queue->kick.ready = kick_ready;
	queue->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick.fd < 0)
		return report(-errno, "%s: cannot create an eventfd; raise `ulimit -n`",
			      vdev->name);
	err = loop_add(vdev->env->loop, &queue->kick, KICK_EVENTS);
	if (err) {
		close(queue->kick.fd);
		queue->kick.fd = -1;
		return report(err, "%s: cannot wait for its queues", vdev->name);
	}
	return 0;
}

int virtio_device_init(struct virtio_device *vdev, unsigned queue_count, uint16_t queue_size)
{
	int err = 0;

	assert(queue_count <= VIRTIO_QUEUES_MAX && queue_size <= VIRTQ_SIZE_MAX);
	pthread_mutex_init(&vdev->lock, NULL);
	vdev->config_vector = VIRTIO_NO_VECTOR;
	vdev->queues = calloc(queue_count, sizeof(*vdev->queues));
	if (!vdev->queues)
		return report(-ENOMEM, "%s: cannot keep %u queues", vdev->name, queue_count);
	vdev->queue_count = queue_count;
	for (unsigned i = 0; i < queue_count; i++)
		vdev->queues[i].kick.fd = -1;
	for (unsigned i = 0; i < queue_count && !err; i++)
		err = queue_init(vdev, i, queue_size);
	return err;
}

void virtio_device_fini(struct virtio_device *vdev)
{
	for (unsigned i = 0; i < vdev->queue_count; i++) {
		struct loop_source *kick = &vdev->queues[i].kick;

		if (kick->fd < 0)
			continue;
		loop_remove(vdev->env->loop, kick);
		close(kick->fd);
	}
	if (vdev->queue_count)
		pthread_mutex_destroy(&vdev->lock);
	free(vdev->queues);
	vdev->queues = NULL;
	vdev->queue_count = 0;
}

/* --- what the device tells its driver --- */

static bool needs_reset(const struct virtio_device *vdev)
{
	return vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void interrupt(struct virtio_device *vdev, struct virtq *vq)
{
	bool driven = vdev->active || vdev->status & VIRTIO_CONFIG_S_DRIVER_OK;

	if (vdev->transport_class && driven)
		vdev->transport_class->interrupt(vdev, vq);
}

void virtio_notify(struct virtio_device *vdev, struct virtq *vq)
{
	if (vq->ready && !vq->broken && virtq_interrupts(vq))
		interrupt(vdev, vq);
}

void virtio_config_changed(struct virtio_device *vdev)
{
	vdev->generation++;
	interrupt(vdev, NULL);
}

/* (virtio 1.2, 2.1.2) The driver learns of it by a configuration change, if it is there at all. */
static void need_reset(struct virtio_device *vdev)
{
	if (needs_reset(vdev))
		return;
	vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	interrupt(vdev, NULL);
}

void virtio_device_break(struct virtio_device *vdev, const char *why)
{
	report_once(&vdev->complained,
		    "%s: its driver in the guest broke the rules: %s; it waits to be reset",
		    vdev->name, why);
	need_reset(vdev);
}

static void break_queue(struct virtio_device *vdev, const struct virtq *vq)
{
	report_once(&vdev->complained,
		    "%s: its driver in the guest broke the rules in queue %u: %s; it waits to be "
		    "reset",
		    vdev->name, vq->index, vq->why);
	need_reset(vdev);
}

void virtio_lock(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
}

void virtio_unlock(struct virtio_device *vdev)
{
	for (unsigned i = 0; i < vdev->queue_count && !needs_reset(vdev); i++)
		if (vdev->queues[i].vq.broken)
			break_queue(vdev, &vdev->queues[i].vq);
	pthread_mutex_unlock(&vdev->lock);
}

/* --- features --- */

static uint64_t offered(const struct virtio_device *vdev)
{
	if (vdev->legacy)
		return (vdev->offered | (RING_FEATURES & ~vdev->withheld)) & LEGACY_BITS;
	return vdev->offered | ((RING_FEATURES | MODERN_FEATURES) & ~vdev->withheld);
}

static uint32_t word(uint64_t value, uint32_t select)
{
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

uint32_t virtio_offered_features(struct virtio_device *vdev)
{
	uint32_t value;

	virtio_lock(vdev);
	value = word(offered(vdev), vdev->offered_select);
	virtio_unlock(vdev);
	return value;
}

uint32_t virtio_accepted_features(struct virtio_device *vdev)
{
	uint32_t value;

	virtio_lock(vdev);
	value = word(vdev->accepted, vdev->accepted_select);
	virtio_unlock(vdev);
	return value;
}

/*
 * A legacy driver has no FEATURES_OK to be refused by: it gets what was offered of what it took. A modern one is kept to
 * its word, so that FEATURES_OK can tell it was wrong.
 */
void virtio_accept_features(struct virtio_device *vdev, uint32_t value)
{
	uint32_t select;

	virtio_lock(vdev);
	select = vdev->legacy ? 0 : vdev->accepted_select;
	if (select < 2 && !vdev->active && !(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		vdev->accepted &= ~(0xffffffffULL << (32 * select));
		vdev->accepted |= (uint64_t)value << (32 * select);
		if (vdev->legacy)
			vdev->accepted &= offered(vdev);
	}
	virtio_unlock(vdev);
}

static bool features_acceptable(const struct virtio_device *vdev)
{
	return !(vdev->accepted & ~offered(vdev)) && virtio_has(vdev, VIRTIO_F_VERSION_1);
}

/* --- queues going into and out of service --- */

static int start_queue(struct virtio_device *vdev, struct virtio_queue *queue)
{
	struct virtq *vq = &queue->vq;
	int err;

	vq->packed = virtio_has(vdev, VIRTIO_F_RING_PACKED);
	vq->event_idx = virtio_has(vdev, VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = virtio_has(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	err = virtq_start(vq, vdev->env->ram);
	if (err)
		break_queue(vdev, vq);
	return err;
}

/*
 * Between DRIVER_OK and here the driver may have done anything: what cannot be started is not activated in part. Linux
 * offers buffers, and kicks for them, before DRIVER_OK (its balloon's statistics): nobody was there to serve them.
 */
static void activate(struct virtio_device *vdev)
{
	for (unsigned i = 0; i < vdev->queue_count; i++)
		if (vdev->queues[i].enabled && start_queue(vdev, &vdev->queues[i]))
			return;
	vdev->active = true;
	if (vdev->class->activate && vdev->class->activate(vdev)) {
		vdev->active = false;
		need_reset(vdev);
		return;
	}
	for (unsigned i = 0; i < vdev->queue_count; i++)
		if (vdev->queues[i].vq.ready && virtq_has_chain(&vdev->queues[i].vq))
			virtio_kick(vdev, i);
}

static void stop_queue(struct virtio_device *vdev, struct virtio_queue *queue)
{
	if (vdev->active && queue->vq.ready && vdev->class->stop_queue)
		vdev->class->stop_queue(vdev, &queue->vq);
}

static void clear_queue(struct virtio_queue *queue)
{
	virtq_reset(&queue->vq);
	queue->vq.size = queue->vq.max;
	queue->vector = VIRTIO_NO_VECTOR;
	queue->enabled = false;
	queue->renewed = false;
}

/* Out of service while the device is in it. */
static void retire_queue(struct virtio_device *vdev, struct virtio_queue *queue)
{
	stop_queue(vdev, queue);
	clear_queue(queue);
	queue->renewed = vdev->active;
}

static void reset(struct virtio_device *vdev)
{
	for (unsigned i = 0; i < vdev->queue_count; i++)
		stop_queue(vdev, &vdev->queues[i]);
	if (vdev->active && vdev->class->deactivate)
		vdev->class->deactivate(vdev);
	vdev->active = false;
	for (unsigned i = 0; i < vdev->queue_count; i++)
		clear_queue(&vdev->queues[i]);
	vdev->status = 0;
	vdev->accepted = 0;
	vdev->offered_select = vdev->accepted_select = vdev->queue_select = 0;
	vdev->config_vector = VIRTIO_NO_VECTOR;
}

void virtio_device_reset(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	reset(vdev);
	virtio_unlock(vdev);
}

/* --- status --- */

uint8_t virtio_status(struct virtio_device *vdev)
{
	uint8_t status;

	virtio_lock(vdev);
	status = vdev->status;
	virtio_unlock(vdev);
	return status;
}

/* Bits are set one after the other and never cleared but by a reset (virtio 1.2, 2.1.1). */
static void set_bits(struct virtio_device *vdev, uint8_t bits)
{
	bits &= (uint8_t)~vdev->status;
	vdev->status |= bits & PLAIN_BITS;
	if (needs_reset(vdev))
		return;
	if (bits & VIRTIO_CONFIG_S_FEATURES_OK && !vdev->legacy && features_acceptable(vdev))
		vdev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(bits & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (!vdev->legacy && !(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		virtio_device_break(vdev, "DRIVER_OK without FEATURES_OK");
		return;
	}
	vdev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (!vdev->active)
		activate(vdev);
}

void virtio_set_status(struct virtio_device *vdev, uint8_t status)
{
	virtio_lock(vdev);
	if (status)
		set_bits(vdev, status);
	else
		reset(vdev);
	virtio_unlock(vdev);
}

/* --- the selected queue's registers --- */

static struct virtio_queue *selected(struct virtio_device *vdev)
{
	return vdev->queue_select < vdev->queue_count ? &vdev->queues[vdev->queue_select] : NULL;
}

/* NULL where registers cannot be written: there is no such queue, or it is in use. */
static struct virtio_queue *selected_for_setup(struct virtio_device *vdev)
{
	struct virtio_queue *queue = selected(vdev);

	if (!queue || queue->enabled)
		return NULL;
	return !vdev->active || vdev->legacy || queue->renewed ? queue : NULL;
}

struct virtio_queue_state virtio_selected_queue(struct virtio_device *vdev)
{
	struct virtio_queue_state state = { .vector = VIRTIO_NO_VECTOR };
	const struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = selected(vdev);
	if (queue)
		state = (struct virtio_queue_state){
			.max = queue->vq.max,
			.size = queue->vq.size,
			.place = queue->vq.place,
			.vector = queue->vector,
			.enabled = queue->enabled,
		};
	virtio_unlock(vdev);
	return state;
}

/* A size that cannot be is kept, for virtq_start() to refuse. */
void virtio_queue_set_size(struct virtio_device *vdev, uint32_t size)
{
	struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = selected_for_setup(vdev);
	if (queue)
		queue->vq.size = size <= UINT16_MAX ? (uint16_t)size : 0;
	virtio_unlock(vdev);
}

void virtio_queue_set_address(struct virtio_device *vdev, enum virtq_part part, bool high,
			      uint32_t value)
{
	struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = selected_for_setup(vdev);
	if (queue) {
		struct virtq_place *place = &queue->vq.place;
		uint64_t *const parts[] = { &place->desc, &place->driver, &place->device };
		unsigned shift = high ? 32 : 0;

		*parts[part] &= ~(0xffffffffULL << shift);
		*parts[part] |= (uint64_t)value << shift;
	}
	virtio_unlock(vdev);
}

static void enable_queue(struct virtio_device *vdev, struct virtio_queue *queue)
{
	queue->enabled = true;
	queue->renewed = false;
	if (!vdev->active || needs_reset(vdev) || start_queue(vdev, queue))
		return;
	if (vdev->class->start_queue && vdev->class->start_queue(vdev, &queue->vq))
		need_reset(vdev);
}

void virtio_queue_set_enabled(struct virtio_device *vdev, bool enabled)
{
	struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = enabled ? selected_for_setup(vdev) : selected(vdev);
	if (queue && enabled)
		enable_queue(vdev, queue);
	else if (queue && queue->enabled && vdev->active)
		retire_queue(vdev, queue);
	else if (queue)
		queue->enabled = false;
	virtio_unlock(vdev);
}

void virtio_queue_do_reset(struct virtio_device *vdev)
{
	struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = selected(vdev);
	if (queue && virtio_has(vdev, VIRTIO_F_RING_RESET))
		retire_queue(vdev, queue);
	virtio_unlock(vdev);
}

/* (virtio 1.2, 2.7.2) */
static struct virtq_place legacy_place(uint64_t base, uint16_t size, uint32_t align)
{
	uint64_t driver = base + sizeof(struct vring_desc) * size;
	uint64_t driver_size = sizeof(uint16_t) * (3 + (uint64_t)size);

	return (struct virtq_place){
		.desc = base,
		.driver = driver,
		.device = (driver + driver_size + align - 1) & ~((uint64_t)align - 1),
	};
}

static bool power_of_two(uint32_t value)
{
	return value && !(value & (value - 1));
}

static void set_legacy(struct virtio_device *vdev, struct virtio_queue *queue, uint32_t pfn,
		       uint32_t page_size, uint32_t align)
{
	if (!pfn && queue->enabled)
		retire_queue(vdev, queue);
	if (!pfn || queue->enabled)
		return;
	if (!power_of_two(page_size) || !power_of_two(align)) {
		virtio_device_break(vdev, "a queue's page size or alignment is no power of two");
		return;
	}
	queue->vq.place = legacy_place((uint64_t)pfn * page_size, queue->vq.size, align);
	enable_queue(vdev, queue);
}

void virtio_queue_set_legacy(struct virtio_device *vdev, uint32_t pfn, uint32_t page_size,
			     uint32_t align)
{
	struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = selected(vdev);
	if (queue)
		set_legacy(vdev, queue, pfn, page_size, align);
	virtio_unlock(vdev);
}

void virtio_queue_set_vector(struct virtio_device *vdev, uint16_t vector)
{
	struct virtio_queue *queue;

	virtio_lock(vdev);
	queue = selected(vdev);
	if (queue) {
		queue->vector = vector;
		if (vdev->active && queue->vq.ready && vdev->class->call_changed)
			vdev->class->call_changed(vdev, &queue->vq);
	}
	virtio_unlock(vdev);
}

/* --- the device configuration space --- */

uint32_t virtio_config_generation(struct virtio_device *vdev)
{
	uint32_t generation;

	virtio_lock(vdev);
	generation = vdev->generation;
	virtio_unlock(vdev);
	return generation;
}

uint64_t virtio_config_read(struct virtio_device *vdev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	virtio_lock(vdev);
	if (vdev->class->config_read)
		vdev->class->config_read(vdev);
	for (unsigned i = 0; i < size && offset < vdev->config_size - i; i++)
		value |= (uint64_t)vdev->config[offset + i] << (8 * i);
	virtio_unlock(vdev);
	return value;
}

void virtio_config_write(struct virtio_device *vdev, uint64_t offset, unsigned size, uint64_t value)
{
	virtio_lock(vdev);
	if (offset < vdev->config_writable && size <= vdev->config_writable - offset) {
		for (unsigned i = 0; i < size; i++)
			vdev->config[offset + i] = (uint8_t)(value >> (8 * i));
		if (vdev->class->config_written)
			vdev->class->config_written(vdev, offset, size);
	}
	virtio_unlock(vdev);
}

/* --- kicks --- */

/* A legacy driver may use its device before it says DRIVER_OK (virtio 1.2, 3.1.2). */
static bool drives_early(const struct virtio_device *vdev)
{
	return vdev->legacy && !vdev->active && vdev->status & VIRTIO_CONFIG_S_DRIVER;
}

static void serve(struct virtio_device *vdev, struct virtq *vq)
{
	if (drives_early(vdev) && !needs_reset(vdev))
		activate(vdev);
	if (vdev->active && !needs_reset(vdev) && vq->ready && !vq->broken)
		vdev->class->handle_queue(vdev, vq);
}

static void kick_ready(struct loop_source *source, uint32_t events)
{
	struct virtio_queue *queue =
		(struct virtio_queue *)((char *)source - offsetof(struct virtio_queue, kick));

	(void)events;
	virtio_lock(queue->vdev);
	if (!queue->kick_taken)
		serve(queue->vdev, &queue->vq);
	virtio_unlock(queue->vdev);
}

void virtio_kick(struct virtio_device *vdev, uint32_t queue)
{
	if (queue < vdev->queue_count)
		(void)!eventfd_write(vdev->queues[queue].kick.fd, 1);
}

/* loop_modify() is epoll_ctl() alone: any thread may. */
int virtio_take_kick_fd(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_queue *queue = &vdev->queues[vq->index];

	queue->kick_taken = true;
	loop_modify(vdev->env->loop, &queue->kick, 0);
	return queue->kick.fd;
}

void virtio_return_kick_fd(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtio_queue *queue = &vdev->queues[vq->index];

	queue->kick_taken = false;
	loop_modify(vdev->env->loop, &queue->kick, KICK_EVENTS);
}

int virtio_call_fd(struct virtio_device *vdev, struct virtq *vq)
{
	if (!vdev->transport_class || !vdev->transport_class->call_fd)
		return -1;
	return vdev->transport_class->call_fd(vdev, vq);
}

void virtio_interrupt_queue(struct virtio_device *vdev, struct virtq *vq)
{
	interrupt(vdev, vq);
}

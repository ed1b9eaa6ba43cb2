// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "virtio_echo.h"
#include "virtio_rig.h"

static struct echo *echo_of(struct virtio_device *vdev)
{
	return (struct echo *)vdev;
}

static int activate(struct virtio_device *vdev)
{
	struct echo *echo = echo_of(vdev);

	if (echo->refuses)
		return -EIO;
	echo->activations++;
	return 0;
}

static void answer(struct virtq *vq, const struct virtq_chain *chain)
{
	uint32_t written = 0;

	for (unsigned i = 0; i < chain->in; i++) {
		struct iovec piece = chain->iov[chain->out + i];

		written += (uint32_t)iov_read(chain->iov, chain->out, written, piece.iov_base,
					      piece.iov_len);
	}
	virtq_push(vq, chain, written);
}

static void handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct echo *echo = echo_of(vdev);
	struct virtq_chain chain;

	assert(vdev->active && vq->ready);
	echo->handled[vq->index]++;
	while (!(echo->hold && echo->holds[vq->index]) && virtq_pop(vq, &chain) > 0) {
		if (echo->hold) {
			echo->held[vq->index] = chain;
			echo->holds[vq->index] = true;
		} else {
			answer(vq, &chain);
		}
	}
	virtio_notify(vdev, vq);
}

void echo_release(struct echo *echo)
{
	virtio_lock(&echo->vdev);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		if (!echo->holds[i])
			continue;
		echo->holds[i] = false;
		answer(virtio_queue(&echo->vdev, i), &echo->held[i]);
		virtio_notify(&echo->vdev, virtio_queue(&echo->vdev, i));
	}
	virtio_unlock(&echo->vdev);
}

static void stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	assert(vdev->active && vq->ready);
	echo_of(vdev)->stopped[vq->index]++;
	echo_of(vdev)->holds[vq->index] = false;
}

static void deactivate(struct virtio_device *vdev)
{
	struct echo *echo = echo_of(vdev);

	assert(vdev->active);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		assert(!echo->holds[i]);
	echo->deactivations++;
}

static int start_queue(struct virtio_device *vdev, struct virtq *vq)
{
	echo_of(vdev)->started[vq->index]++;
	return 0;
}

static void config_read(struct virtio_device *vdev)
{
	echo_of(vdev)->config_reads++;
}

static void config_written(struct virtio_device *vdev, size_t offset, size_t size)
{
	struct echo *echo = echo_of(vdev);

	echo->config_writes++;
	echo->written_offset = offset;
	echo->written_size = size;
}

static void call_changed(struct virtio_device *vdev, struct virtq *vq)
{
	echo_of(vdev)->calls_changed[vq->index]++;
}

static void destroy(struct virtio_device *vdev)
{
	assert(!vdev->active);
	virtio_device_fini(vdev);
	free((void *)(uintptr_t)vdev->class);
	free(vdev);
}

struct echo *echo_create(uint32_t id, const struct virtio_env *env)
{
	const struct virtio_device_class class = {
		.id = id ? id : 63,
		.activate = activate,
		.handle_queue = handle_queue,
		.stop_queue = stop_queue,
		.deactivate = deactivate,
		.start_queue = start_queue,
		.config_read = config_read,
		.config_written = config_written,
		.call_changed = call_changed,
		.destroy = destroy,
	};
	struct virtio_device_class *own = malloc(sizeof(*own));
	struct echo *echo = calloc(1, sizeof(*echo));
	int err;

	assert(own && echo);
	*own = class;
	for (unsigned i = 0; i < ECHO_CONFIG; i++)
		echo->config[i] = (uint8_t)(0x10 + i);
	echo->vdev.class = own;
	echo->vdev.env = env;
	echo->vdev.name = "echo";
	echo->vdev.offered = ECHO_FEATURE | ECHO_HIGH;
	echo->vdev.config = echo->config;
	echo->vdev.config_size = ECHO_CONFIG;
	echo->vdev.config_writable = ECHO_WRITABLE;
	err = virtio_device_init(&echo->vdev, ECHO_QUEUES, ECHO_SIZE);
	assert(!err);
	return echo;
}

struct echo *echo_on_rig(bool legacy)
{
	struct echo *echo = echo_create(0, &vrig.env);

	virtio_rig_connect(&echo->vdev, legacy);
	return echo;
}

void assert_echoes(unsigned queue)
{
	uint64_t out = virtio_rig_alloc(8), in = virtio_rig_alloc(8);
	const struct virtq_buffer buffers[] = { { out, 8 }, { in, 8 } };

	memcpy(virtio_rig_at(out, 8), "question", 8);
	assert_int_equal(virtio_rig_exchange(queue, buffers, 1, 1), 8);
	assert_memory_equal(virtio_rig_at(in, 8), "question", 8);
}

void echo_ask(unsigned queue)
{
	uint64_t out = virtio_rig_alloc(8), in = virtio_rig_alloc(8);
	const struct virtq_buffer buffers[] = { { out, 8 }, { in, 8 } };

	assert_true(virtq_driver_add(&vrig.queues[queue], buffers, 1, 1) >= 0);
	virtio_rig_kick(queue);
}

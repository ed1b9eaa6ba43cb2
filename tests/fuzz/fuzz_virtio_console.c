// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a driver does to a virtio console: every chain that a ring holds comes back at most once, nothing is written
 * but into chains for writing, and what is typed arrives in order. The input: a byte of features, then actions of four.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "virtio/console.h"
#include "virtio_rig.h"
#include "silence.h"

#define BIT64(n) (1ULL << (n))
#define PORTS    3
#define QUEUES   (2 * (PORTS + 1))
#define READABLE (VRIG_RAM + (4ULL << 20)) /* holds control messages, out of the input */
#define WRITABLE (VRIG_RAM + (8ULL << 20))
#define CANARY   0xc5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct virtio_terminal_config config;
	int in[2], out[2];
	unsigned offered[QUEUES], used[QUEUES];
	uint8_t typed, arrived; /* bytes count up */
};

static void create(struct world *world)
{
	struct virtio_device *vdev;
	int err = pipe2(world->in, O_CLOEXEC | O_NONBLOCK);

	assert(!err);
	err = pipe2(world->out, O_CLOEXEC | O_NONBLOCK);
	assert(!err);
	world->config.count = PORTS;
	for (unsigned n = 0; n < PORTS; n++)
		world->config.ports[n] = (struct virtio_port_config){
			.name = n ? "port" : NULL,
			.in_fd = n ? -1 : world->in[0],
			.out_fd = n == 2 ? -1 : world->out[1],
		};
	virtio_rig_begin();
	err = console_create(&vdev, &world->config, &vrig.env);
	assert(!err);
	virtio_rig_connect(vdev, false);
}

static void restart(struct world *world, uint8_t how)
{
	uint64_t features = how & 1 ? BIT64(VIRTIO_CONSOLE_F_MULTIPORT) : 0;

	memset(world->offered, 0, sizeof(world->offered));
	memset(world->used, 0, sizeof(world->used));
	virtio_rig_start(features | (how & 2 ? BIT64(VIRTIO_F_RING_PACKED) : 0), 0);
}

/* What came into the console's own buffers goes on where the last ended. */
static void check_input(struct world *world, uint32_t len)
{
	const uint8_t *bytes = virtio_rig_at(WRITABLE, len);

	for (uint32_t i = 0; i < len; i++)
		assert(bytes[i] == world->arrived++);
}

static void collect(struct world *world)
{
	char rest[4096];
	uint32_t len;

	while (read(world->out[0], rest, sizeof(rest)) > 0)
		;
	for (unsigned i = 0; i < QUEUES; i++) {
		while (virtq_driver_used(&vrig.queues[i], NULL, &len)) {
			assert(++world->used[i] <= world->offered[i]);
			if (i == console_receive_queue(0))
				check_input(world, len);
		}
	}
}

/* One buffer of the console's at a time, so that it is known where bytes are. */
static void offer(struct world *world, const uint8_t *action)
{
	unsigned queue = action[0] % QUEUES, out = action[1] & 3, in = action[1] >> 2 & 3;
	struct virtq_buffer buffers[6];

	if (queue == console_receive_queue(0)) {
		out = 0;
		in = 1;
		if (world->offered[queue] != world->used[queue])
			return;
	}
	if (!(out + in))
		in = 1;
	for (unsigned i = 0; i < out + in; i++)
		buffers[i] = i < out ? (struct virtq_buffer){ READABLE + action[2] * 4, action[3] }
				     : (struct virtq_buffer){ WRITABLE, action[3] * 16U };
	if (virtq_driver_add(&vrig.queues[queue], buffers, out, in) >= 0)
		world->offered[queue]++;
	virtio_rig_kick(queue);
}

static void type(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (write(world->in[1], &world->typed, 1) == 1)
			world->typed++;
	}
	virtio_rig_pump();
}

static void act(struct world *world, const uint8_t *action)
{
	switch (action[0] >> 5) {
	case 0:
		type(world, action[1]);
		break;
	case 1:
		restart(world, action[1]);
		break;
	case 2:
		virtio_config_write(vrig.vdev, action[1] & 15, 1U << (action[2] & 3), action[3]);
		break;
	case 3: /* a message, as another vCPU may write it at any time */
		memcpy(virtio_rig_at(READABLE + action[1] % 64 * 4, 4), action, 4);
		break;
	default:
		offer(world, action);
		break;
	}
	collect(world);
	assert(*(uint8_t *)virtio_rig_at(WRITABLE + 4096, 1) == CANARY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world = { 0 };

	if (size < 5)
		return 0;
	silence();
	create(&world);
	restart(&world, data[0]);
	*(uint8_t *)virtio_rig_at(WRITABLE + 4096, 1) = CANARY;
	memcpy(virtio_rig_at(READABLE, 1024), data, size < 1024 ? size : 1024);
	for (size_t at = 1; at + 4 <= size; at += 4)
		act(&world, data + at);
	virtio_rig_end();
	for (unsigned i = 0; i < 2; i++) {
		close(world.in[i]);
		close(world.out[i]);
	}
	return 0;
}

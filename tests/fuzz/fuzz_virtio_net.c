// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile driver of a network card: the first byte chooses what it negotiates, the rest is what it does, eight bytes an
 * action. The card has four pairs of queues on a fake tap.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "../unit/net_rig.h"
#include "silence.h"

#define PAIRS  4
#define QUEUES (2 * PAIRS + 1)
#define RING   16
/* Where rings and buffers are: small, so that they meet. */
#define ARENA 0x50000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct action {
	uint8_t kind, queue;
	uint16_t length;
	uint32_t value;
};

static_assert(sizeof(struct action) == 8, "as the corpus has it");

static void restart(uint8_t choice)
{
	uint64_t features = NET_BIT(CTRL_VQ) | NET_BIT(CTRL_RX) | NET_BIT(CTRL_RX_EXTRA) |
			    NET_BIT(CTRL_MAC_ADDR) | NET_BIT(CTRL_GUEST_OFFLOADS) |
			    NET_BIT(GUEST_CSUM) | NET_BIT(STATUS) |
			    1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_F_RING_RESET;

	features |= choice & 1 ? NET_BIT(MRG_RXBUF) : 0;
	features |= choice & 2 ? NET_BIT(MQ) : 0;
	features |= choice & 4 ? 1ULL << VIRTIO_RING_F_EVENT_IDX : 0;
	features |= choice & 8 ? 1ULL << VIRTIO_F_RING_PACKED : 0;
	if (vrig.vdev->legacy)
		features &= UINT32_MAX;
	virtio_rig_negotiate(features);
	for (unsigned i = 0; i < QUEUES; i++)
		virtio_rig_set_up_queue(i, RING);
	virtio_rig_driver_ok();
}

/* A chain of up to three buffers anywhere, often where there is no RAM. */
static void add(const struct action *action)
{
	unsigned count = action->kind / 8 % 3 + 1, out = action->kind / 32 % (count + 1);
	struct virtq_driver *driver = &vrig.queues[action->queue % QUEUES];
	struct virtq_buffer buffers[3];

	for (unsigned i = 0; i < count; i++)
		buffers[i] = (struct virtq_buffer){ VRIG_RAM + action->value + i * 0x1000ULL,
						    (uint32_t)action->length + i };
	if (driver->size)
		virtq_driver_add(driver, buffers, out, count - out);
}

static void host_sends(const struct action *action)
{
	static uint8_t packet[65536];
	int peer = fake_host.taps[action->queue % PAIRS].peer;

	memcpy(packet, &action->value, sizeof(action->value));
	if (peer >= 0)
		(void)!send(peer, packet, action->length, MSG_NOSIGNAL);
}

static void host_reads(void)
{
	static uint8_t packet[NET_PACKET_MAX];

	for (unsigned i = 0; i < PAIRS; i++)
		for (unsigned left = 64; left > 0 && fake_host.taps[i].peer >= 0; left--)
			if (read(fake_host.taps[i].peer, packet, sizeof(packet)) <= 0)
				break;
}

static void select_and_reset(const struct action *action)
{
	unsigned queue = action->queue % QUEUES;

	virtio_lock(vrig.vdev);
	vrig.vdev->queue_select = queue;
	virtio_unlock(vrig.vdev);
	virtio_queue_do_reset(vrig.vdev);
	if (action->value & 1)
		virtio_rig_set_up_queue(queue, RING);
}

static void act(const struct action *action, uint8_t choice)
{
	switch (action->kind % 8) {
	case 0:
	case 1:
		add(action);
		break;
	case 2:
		memcpy(virtio_rig_at(VRIG_RAM + (action->length * 5ULL + action->queue) % ARENA, 4),
		       &action->value, 4);
		break;
	case 3:
	case 4:
		virtio_kick(vrig.vdev, action->queue % (QUEUES + 1));
		assert(virtio_rig_pump() < 10000);
		break;
	case 5:
		host_sends(action);
		assert(virtio_rig_pump() < 10000);
		break;
	case 6:
		host_reads();
		virtio_config_write(vrig.vdev, action->length, 1U << action->queue % 4,
				    action->value);
		break;
	default:
		if (action->queue & 1)
			restart(choice ^ (uint8_t)action->value);
		else
			select_and_reset(action);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	silence();
	net_rig_begin();
	fake_host.multi_queue = true;
	net_rig_make("tapif=lo,mq=4", data[0] & 16);
	if (!(data[0] & 32)) /* its end takes long */
		net_rig.net->batch.way = TAP_BATCH_SINGLY;
	restart(data[0]);
	for (size_t at = 1; at + sizeof(struct action) <= size; at += sizeof(struct action)) {
		struct action action;

		memcpy(&action, data + at, sizeof(action));
		act(&action, data[0]);
	}
	assert(virtio_rig_pump() < 10000);
	net_rig_end();
	return 0;
}

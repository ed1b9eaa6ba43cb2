// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "net_rig.h"

struct net_rig net_rig;

void net_rig_begin(void)
{
	memset(&net_rig, 0, sizeof(net_rig));
	fake_host_reset();
	virtio_rig_begin();
}

void net_rig_end(void)
{
	virtio_rig_end();
	virtio_network_config_free(&net_rig.config);
	fake_host_end();
}

int net_rig_setup(void **state)
{
	int err = files_setup(state);

	if (!err)
		net_rig_begin();
	return err;
}

int net_rig_teardown(void **state)
{
	net_rig_end();
	return files_teardown(state);
}

int net_rig_try(const char *option)
{
	struct virtio_device *vdev;
	int err;

	virtio_network_config_free(&net_rig.config);
	err = virtio_network_config_parse(&net_rig.config, option);
	assert_int_equal(err, 0);
	err = net_create(&vdev, &net_rig.config, 0, &vrig.env);
	if (!err)
		net_rig.net = net_of(vdev);
	return err;
}

void net_rig_make(const char *option, bool legacy)
{
	assert_int_equal(net_rig_try(option), 0);
	virtio_rig_connect(&net_rig.net->vdev, legacy);
}

int net_rig_peer(unsigned tap)
{
	assert_true(tap < fake_host.tap_count);
	return fake_host.taps[tap].peer;
}

static void fill(uint8_t *bytes, size_t size, uint8_t seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

bool net_rig_is_packet(const void *bytes, size_t from, size_t size, uint8_t seed)
{
	static uint8_t whole[NET_HEADER + 65600];

	memset(whole, 0, NET_HEADER);
	fill(whole + NET_HEADER, sizeof(whole) - NET_HEADER, seed);
	return !memcmp(whole + from, bytes, size);
}

void net_rig_host_sends(unsigned tap, size_t size, uint8_t seed)
{
	static uint8_t packet[NET_HEADER + 65600];
	size_t header = (size_t)fake_host.header;

	assert_true(size <= sizeof(packet) - NET_HEADER);
	memset(packet, 0, header);
	fill(packet + header, size, seed);
	assert_int_equal(write(net_rig_peer(tap), packet, header + size), header + size);
}

int net_rig_offer(unsigned queue, uint32_t size)
{
	struct virtq_buffer buffer = { virtio_rig_alloc(size), size };
	int id = virtq_driver_add(&vrig.queues[queue], &buffer, 0, 1);

	assert_true(id >= 0);
	net_rig.buffers[id] = buffer.addr;
	return id;
}

uint32_t net_rig_received(unsigned queue, const uint8_t **bytes)
{
	uint32_t len;
	int id;

	if (!virtq_driver_used(&vrig.queues[queue], &id, &len))
		return 0;
	*bytes = virtio_rig_at(net_rig.buffers[id], len);
	return len;
}

void net_rig_guest_sends(unsigned queue, size_t size, uint8_t seed)
{
	uint32_t total = (uint32_t)(net_rig.net->header + size);
	uint64_t at = virtio_rig_alloc(total);
	uint8_t *bytes = virtio_rig_at(at, total);
	struct virtq_buffer buffers[] = { { at, 7 }, { at + 7, total - 7 } };

	memset(bytes, 0, net_rig.net->header);
	fill(bytes + net_rig.net->header, size, seed);
	assert_true(virtq_driver_add(&vrig.queues[queue], buffers, 2, 0) >= 0);
}

uint8_t net_rig_command(unsigned queue, uint8_t class, uint8_t command, const void *arguments,
			uint32_t size)
{
	uint64_t at = virtio_rig_alloc(3 + size);
	uint8_t *bytes = virtio_rig_at(at, 3 + size);
	struct virtq_buffer buffers[] = { { at, 2 + size }, { at + 2 + size, 1 } };

	bytes[0] = class;
	bytes[1] = command;
	memcpy(bytes + 2, arguments, size);
	bytes[2 + size] = 0xaa;
	assert_int_equal(virtio_rig_exchange(queue, buffers, 1, 1), 1);
	return bytes[2 + size];
}

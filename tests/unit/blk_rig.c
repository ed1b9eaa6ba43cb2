// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "blk_rig.h"
#include "virtio/blk.h"

#define PAGE    4096
#define HEADERS 512

struct blk_rig blk_rig;

int blk_rig_setup(void **state)
{
	memset(&blk_rig, 0, sizeof(blk_rig));
	return virtio_rig_setup(state);
}

int blk_rig_teardown(void **state)
{
	int err = virtio_rig_teardown(state);

	virtio_disk_config_free(&blk_rig.config);
	return err;
}

uint8_t blk_rig_byte(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / 512 * 13 + 1);
}

static void make_file(uint64_t size)
{
	uint8_t *bytes = malloc(size);

	for (uint64_t i = 0; i < size; i++)
		bytes[i] = blk_rig_byte(i);
	file_make("disk", bytes, size);
	free(bytes);
}

struct blk *blk_rig_make(uint64_t size, const char *options)
{
	struct virtio_device *vdev;
	char text[256];

	if (size)
		make_file(size);
	snprintf(text, sizeof(text), "%s%s", file_path("disk"), options);
	assert_int_equal(virtio_disk_config_parse(&blk_rig.config, text), 0);
	assert_int_equal(blk_create(&vdev, &blk_rig.config, &vrig.env), 0);
	virtio_rig_connect(vdev, false);
	blk_rig.headers = virtio_rig_alloc(HEADERS * sizeof(struct virtio_blk_outhdr));
	blk_rig.header = blk_rig.headers;
	blk_rig.data = (virtio_rig_alloc(BLK_RIG_DATA + PAGE) + PAGE - 1) / PAGE * PAGE;
	blk_rig.status = virtio_rig_alloc(1);
	return (struct blk *)((char *)vdev - offsetof(struct blk, vdev));
}

struct blk *blk_rig_start(uint64_t size, const char *options, uint64_t features)
{
	struct blk *blk = blk_rig_make(size, options);

	virtio_rig_start(features, 0);
	return blk;
}

void blk_rig_file(uint64_t offset, void *bytes, size_t size)
{
	int fd = open(file_path("disk"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, bytes, size, (off_t)offset), size);
	close(fd);
}

int blk_rig_offer(uint32_t type, uint64_t sector, const void *out, uint32_t size)
{
	uint64_t at =
		blk_rig.headers + blk_rig.offers++ % HEADERS * sizeof(struct virtio_blk_outhdr);
	struct virtio_blk_outhdr *header = virtio_rig_at(at, sizeof(*header));
	const struct virtq_buffer buffers[] = {
		{ at, sizeof(*header) },
		{ blk_rig.data, size },
		{ blk_rig.status, 1 },
	};
	int id;

	blk_rig.header = at;
	*header = (struct virtio_blk_outhdr){ htole32(type), 0, htole64(sector) };
	*(uint8_t *)virtio_rig_at(blk_rig.status, 1) = 0xaa;
	if (out)
		memcpy(blk_rig_data(), out, size);
	if (size)
		id = virtq_driver_add(&vrig.queues[0], buffers, out ? 2 : 1, out ? 1 : 2);
	else
		id = virtq_driver_add(&vrig.queues[0],
				      (struct virtq_buffer[]){ buffers[0], buffers[2] }, 1, 1);
	assert_true(id >= 0);
	return id;
}

uint8_t blk_rig_request(uint32_t type, uint64_t sector, const void *out, uint32_t size)
{
	int id = blk_rig_offer(type, sector, out, size), used;

	virtio_kick(vrig.vdev, 0);
	blk_rig.len = virtio_rig_wait_used(0, &used);
	assert_int_equal(used, id);
	return blk_rig_status();
}

uint8_t *blk_rig_data(void)
{
	return virtio_rig_at(blk_rig.data, BLK_RIG_DATA);
}

uint8_t blk_rig_status(void)
{
	return *(uint8_t *)virtio_rig_at(blk_rig.status, 1);
}

void blk_rig_assert_original(const uint8_t *bytes, uint64_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != blk_rig_byte(offset + i))
			fail_msg("byte %zu is %#x, not %#x", i, bytes[i], blk_rig_byte(offset + i));
}

uint8_t blk_rig_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { htole64(sector), htole32(sectors),
							 htole32(flags) };

	return blk_rig_request(type, 0, &range, sizeof(range));
}

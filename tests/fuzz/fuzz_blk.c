// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever a driver asks of a disk, and however the host's I/O goes on meanwhile: each chain comes back once, with a status
 * that there is; nothing of the file is written but what was asked for, and nothing at all of a read-only one.
 */
#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fake_aio.h"
#include "virtio/blk.h"
#include "virtio/blk_io.h"
#include "virtio_rig.h"

#define DISK_SIZE (64 * 1024 + 300)
#define QUEUES    2
#define AREA      (1U << 20)
#define PIECES    12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

struct world {
	struct blk *blk;
	struct virtio_disk_config config;
	uint64_t area; /* guest memory for buffers */
	bool hostile;  /* the ring has been written to */
	unsigned offered[QUEUES], used[QUEUES];
};

/* What does not come out of the input is zero. */
static uint32_t take(struct input *input, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes && input->size; i++, input->size--)
		value |= (uint32_t)*input->data++ << (8 * i);
	return value;
}

static void make_file(char *path)
{
	int fd = mkstemp(path);

	assert(fd >= 0 && !ftruncate(fd, DISK_SIZE));
	close(fd);
}

static uint64_t features(uint32_t flags)
{
	uint64_t wanted = 1ULL << VIRTIO_BLK_F_MQ | 1ULL << VIRTIO_RING_F_INDIRECT_DESC;

	if (flags & 1)
		wanted |= 1ULL << VIRTIO_F_RING_PACKED;
	if (flags & 2)
		wanted |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
	if (flags & 4)
		wanted |= 1ULL << VIRTIO_BLK_F_FLUSH;
	return wanted | 1ULL << VIRTIO_F_RING_RESET;
}

static void start(struct world *world, uint32_t flags)
{
	virtio_rig_start(features(flags), flags & 64 ? 256 : 16);
	memset(world->offered, 0, sizeof(world->offered));
	memset(world->used, 0, sizeof(world->used));
	world->hostile = false;
}

static void create(struct world *world, const char *path, uint32_t flags)
{
	struct virtio_device *vdev;

	world->config = (struct virtio_disk_config){
		.path = path,
		.queues = QUEUES,
		.read_only = flags & 8,
		.serial = "serial",
		.iops = flags & 32 ? 1000 : 0,
	};
	assert(!blk_create(&vdev, &world->config, &vrig.env));
	world->blk = (struct blk *)((char *)vdev - offsetof(struct blk, vdev));
	atomic_store(&vdev->complained, true);
	for (unsigned i = 0; i < BLK_COMPLAINTS; i++)
		atomic_store(&world->blk->said[i], true);
	if (flags & 16) {
		world->blk->disk.direct = true;
		world->blk->disk.block = world->blk->disk.align = 4096;
		world->blk->disk.cached_fd = dup(world->blk->disk.fd);
	}
	virtio_rig_connect(vdev, false);
	world->area = virtio_rig_alloc(AREA);
	start(world, flags);
}

static uint64_t sector(struct input *input)
{
	uint32_t value = take(input, 2);

	switch (value >> 14) {
	case 1:
		return UINT64_MAX - (value & 0xff);
	case 2:
		return (1ULL << 55) - (value & 0xff);
	default:
		return value & 0xff;
	}
}

/* A chain of a header, data and a status, cut into pieces somewhere; each may be missing. */
static void request(struct world *world, struct input *input)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, 0xffffffff };
	struct virtq_driver *driver;
	struct virtq_buffer buffers[PIECES];
	unsigned queue = take(input, 1) % QUEUES, out, in;
	uint64_t at = world->area + (take(input, 1) << 11);
	struct virtio_blk_outhdr *header = virtio_rig_at(at, sizeof(*header));

	driver = &vrig.queues[queue];
	header->type = htole32(types[take(input, 1) % 8]);
	header->sector = htole64(sector(input));
	out = take(input, 1) % 6;
	in = take(input, 1) % 6;
	for (unsigned i = 0; i < out + in; i++) {
		uint32_t size = take(input, 2);

		if (i == out)
			at = world->area + (take(input, 1) << 11);
		size = size & 0x8000 ? size & 0xf ? (size & 0x3f) << 9 : 16 : size & 0xff;
		if (at + size > world->area + AREA)
			at = world->area;
		buffers[i] = (struct virtq_buffer){ at, size };
		at += size;
	}
	if (out + in && virtq_driver_add(driver, buffers, out, in) >= 0)
		world->offered[queue]++;
}

static void collect(struct world *world)
{
	for (unsigned q = 0; q < QUEUES && !world->hostile; q++) {
		while (virtq_driver_used(&vrig.queues[q], NULL, NULL))
			world->used[q]++;
		assert(world->used[q] <= world->offered[q]);
	}
}

/* Bytes, or 0 of a flush: the host's kernel never tells of more. */
static long asked(const struct iocb *iocb)
{
	const struct iovec *iov = iocb->u.c.buf;
	size_t bytes = 0;

	if (iocb->aio_lio_opcode != IO_CMD_FDSYNC)
		for (unsigned n = 0; n < iocb->u.c.nbytes; n++)
			bytes += iov[n].iov_len;
	return (long)bytes;
}

static void finish_one(struct input *input)
{
	uint32_t which = take(input, 1);
	long result = (int16_t)take(input, 2);

	if (!fake_aio.pending_count)
		return;
	which %= fake_aio.pending_count;
	if (result < 0)
		result = result % 134 - 1;
	else if (result > asked(fake_aio.pending[which]))
		result = asked(fake_aio.pending[which]);
	fake_aio_finish(which, result ? result : FAKE_AIO_DO);
	virtio_rig_pump();
}

static void step(struct world *world, struct input *input)
{
	uint32_t op = take(input, 1);

	switch (op % 16) {
	case 0:
		virtio_rig_reset();
		assert(world->blk->in_flight == 0 && !fake_aio.pending_count);
		start(world, take(input, 1) & 71);
		break;
	case 1:
		virtio_config_write(vrig.vdev, take(input, 1), 1, op >> 4);
		break;
	case 2: /* the ring itself */
		memset(virtio_rig_at(VRIG_RAM + take(input, 2), 1), (int)take(input, 1), 1);
		world->hostile = true;
		break;
	case 3:
		vrig.vdev->queue_select = op >> 4;
		virtio_queue_do_reset(vrig.vdev);
		world->hostile = true;
		break;
	case 4:
	case 5:
		finish_one(input);
		break;
	case 6:
		fake_aio.submit_error = -(int)(op >> 4);
		break;
	case 7:
		fake_aio.hold = op >> 7;
		break;
	case 8:
	case 9:
		virtio_kick(vrig.vdev, op >> 4);
		break;
	case 10:
		virtio_rig_pump();
		break;
	default:
		request(world, input);
	}
}

/* With the host at work again all that is left comes back. */
static void settle(struct world *world)
{
	fake_aio.hold = false;
	fake_aio.submit_error = 0;
	while (fake_aio.pending_count)
		fake_aio_finish(0, FAKE_AIO_DO);
	if (world->hostile || world->blk->throttled)
		return;
	for (unsigned q = 0; q < QUEUES; q++)
		virtio_rig_kick(q);
	collect(world);
	assert(!virtio_rig_needs_reset());
	for (unsigned q = 0; q < QUEUES; q++)
		assert(world->used[q] == world->offered[q] || world->blk->throttled);
	assert(world->blk->in_flight == 0 || world->blk->throttled);
}

static void check_file(const char *path, bool read_only)
{
	static const uint8_t zeroes[4096];
	uint8_t bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got;

	assert(fd >= 0 && !fstat(fd, &st));
	assert(st.st_size <= (DISK_SIZE + 511) / 512 * 512);
	while (read_only && (got = read(fd, bytes, sizeof(bytes))) > 0)
		assert(!memcmp(bytes, zeroes, (size_t)got));
	assert(!read_only || st.st_size == DISK_SIZE);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	char path[] = "/tmp/lkvm-fuzz-blk-XXXXXX";
	uint32_t flags = take(&input, 1);
	struct world world = { 0 };

	make_file(path);
	fake_aio_begin();
	virtio_rig_begin();
	create(&world, path, flags);
	while (input.size) {
		step(&world, &input);
		collect(&world);
	}
	settle(&world);
	virtio_rig_end();
	check_file(path, flags & 8);
	unlink(path);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/* The block device (virtio 1.2, 5.2) as its driver finds it: features, configuration, life. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "blk.h"
#include "blk_io.h"

#define BIT64(n) (1ULL << (n))

/* What lies behind it belongs to features that are not offered. */
#define CONFIG_SIZE (offsetof(struct virtio_blk_config, unused1) + 3)

static struct blk *blk_of(struct virtio_device *vdev)
{
	return (struct blk *)((char *)vdev - offsetof(struct blk, vdev));
}

/* --- events --- */

static void done_ready(struct loop_source *source, uint32_t events)
{
	struct blk *blk = (struct blk *)((char *)source - offsetof(struct blk, done));

	(void)events;
	virtio_lock(&blk->vdev);
	blk_run(blk);
	virtio_unlock(&blk->vdev);
}

static void timer_ready(struct loop_source *source, uint32_t events)
{
	struct blk *blk = (struct blk *)((char *)source - offsetof(struct blk, timer));
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	virtio_lock(&blk->vdev);
	blk->throttled = false;
	blk_run(blk);
	virtio_unlock(&blk->vdev);
}

static void blk_handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct blk *blk = blk_of(vdev);

	blk->queues[vq->index].waits = true;
	blk_run(blk);
}

/* --- the driver comes and goes --- */

/* (virtio 1.2, 5.2.5.2) Who cannot flush, or has asked for it, finds what it wrote on the disk. */
static void choose_cache(struct blk *blk)
{
	blk->writeback = virtio_has(&blk->vdev, VIRTIO_BLK_F_FLUSH) &&
			 (!virtio_has(&blk->vdev, VIRTIO_BLK_F_CONFIG_WCE) || blk->config.wce);
}

static int blk_activate(struct virtio_device *vdev)
{
	choose_cache(blk_of(vdev));
	return 0;
}

static void blk_stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	blk_drain(blk_of(vdev), vq);
}

static void blk_deactivate(struct virtio_device *vdev)
{
	struct blk *blk = blk_of(vdev);

	blk->throttled = false;
	blk->config.wce = 1;
}

/* The driver may write what lies before wce, too, but only wce is its to change. */
static void blk_config_written(struct virtio_device *vdev, size_t offset, size_t size)
{
	struct blk *blk = blk_of(vdev);
	bool wce = blk->config.wce & 1;

	(void)offset;
	(void)size;
	blk->config = blk->pristine;
	if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		blk->config.wce = wce;
	choose_cache(blk);
}

static void blk_destroy(struct virtio_device *vdev)
{
	struct blk *blk = blk_of(vdev);

	if (blk->done.fd >= 0)
		loop_remove(vdev->env->loop, &blk->done);
	aio_destroy(&blk->aio);
	if (blk->timer.fd >= 0) {
		loop_remove(vdev->env->loop, &blk->timer);
		close(blk->timer.fd);
	}
	disk_close(&blk->disk);
	virtio_device_fini(vdev);
	if (blk->zeroes)
		munmap((void *)blk->zeroes, BLK_ZEROES_SIZE);
	free(blk->requests);
	free(blk->batch);
	free(blk->queues);
	free(blk->name);
	free(blk);
}

static const struct virtio_device_class blk_class = {
	.id = VIRTIO_ID_BLOCK,
	.activate = blk_activate,
	.handle_queue = blk_handle_queue,
	.stop_queue = blk_stop_queue,
	.deactivate = blk_deactivate,
	.config_written = blk_config_written,
	.destroy = blk_destroy,
};

/* --- creation --- */

static uint8_t log2_of(uint32_t power)
{
	return (uint8_t)__builtin_ctz(power);
}

static void fill_config(struct blk *blk)
{
	const struct disk *disk = &blk->disk;
	uint32_t sectors = disk->physical / DISK_SECTOR;

	blk->config = (struct virtio_blk_config){
		.capacity = htole64(disk->sectors),
		.seg_max = htole32(BLK_SEGMENTS_MAX),
		.blk_size = htole32(disk->block),
		.physical_block_exp = log2_of(disk->physical / disk->block),
		.min_io_size = htole16((uint16_t)(disk->physical / disk->block)),
		.opt_io_size = htole32(disk->optimal / disk->block),
		.wce = 1,
		.num_queues = htole16((uint16_t)blk->queue_count),
		.max_discard_sectors = htole32(BLK_DISCARD_MAX / DISK_SECTOR),
		.max_discard_seg = htole32(BLK_DISCARD_SEGS),
		.discard_sector_alignment = htole32(sectors),
		.max_write_zeroes_sectors = htole32(BLK_ZEROES_MAX / DISK_SECTOR),
		.max_write_zeroes_seg = htole32(1),
		.write_zeroes_may_unmap = 1,
	};
	blk->pristine = blk->config;
}

static uint64_t offered(const struct blk *blk)
{
	uint64_t features = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_FLUSH);

	if (blk->queue_count > 1)
		features |= BIT64(VIRTIO_BLK_F_MQ);
	if (blk->disk.read_only)
		return features | BIT64(VIRTIO_BLK_F_RO);
	if (blk->disk.discards)
		features |= BIT64(VIRTIO_BLK_F_DISCARD);
	return features | BIT64(VIRTIO_BLK_F_WRITE_ZEROES) | BIT64(VIRTIO_BLK_F_CONFIG_WCE);
}

/* Pages of these that no request needs are never touched. */
static int allocate(struct blk *blk, const struct virtio_disk_config *config)
{
	void *zeroes = mmap(NULL, BLK_ZEROES_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	blk->zeroes = zeroes == MAP_FAILED ? NULL : zeroes;
	blk->queue_count = config->queues;
	blk->request_count = config->queues * BLK_QUEUE_SIZE;
	if (blk->request_count > BLK_REQUESTS_MAX)
		blk->request_count = BLK_REQUESTS_MAX;
	blk->requests = calloc(blk->request_count, sizeof(*blk->requests));
	blk->batch = calloc(blk->request_count, sizeof(*blk->batch));
	blk->queues = calloc(config->queues, sizeof(*blk->queues));
	if (asprintf(&blk->name, "disk %s", config->path) < 0)
		blk->name = NULL;
	if (!blk->zeroes || !blk->requests || !blk->batch || !blk->queues || !blk->name)
		return report(-ENOMEM, "disk %s", config->path);
	return 0;
}

static int create_aio(struct blk *blk)
{
	struct loop *loop = blk->vdev.env->loop;
	int err = aio_create(&blk->aio, blk->request_count);

	if (err == -EAGAIN)
		return refuse(err,
			      "%s: the host's limit of asynchronous I/O is reached; "
			      "`sysctl -w fs.aio-max-nr=1048576` raises it",
			      blk->name);
	if (err == -ENOSYS)
		return refuse(err, "%s: the host's kernel has no asynchronous I/O (CONFIG_AIO)",
			      blk->name);
	if (err)
		return report(err, "%s: cannot set up asynchronous I/O", blk->name);
	blk->done.fd = blk->aio.done_fd;
	err = loop_add(loop, &blk->done, EPOLLIN | EPOLLET);
	if (!err)
		return 0;
	blk->done.fd = -1;
	return report(err, "%s: cannot wait for its I/O", blk->name);
}

static int create_limits(struct blk *blk, const struct virtio_disk_config *config)
{
	struct timespec now;
	int fd, err;

	if (!config->iops && !config->bps)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	bucket_init(&blk->iops, config->iops, (uint64_t)now.tv_sec * 1000000000);
	bucket_init(&blk->bps, config->bps, (uint64_t)now.tv_sec * 1000000000);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0)
		return report(-errno, "%s: cannot create a timer", blk->name);
	blk->timer.fd = fd;
	err = loop_add(blk->vdev.env->loop, &blk->timer, EPOLLIN);
	if (!err)
		return 0;
	close(fd);
	blk->timer.fd = -1;
	return report(err, "%s: cannot wait for a timer", blk->name);
}

static int create(struct blk *blk, const struct virtio_disk_config *config)
{
	int err = allocate(blk, config);

	if (!err)
		err = disk_open(&blk->disk, config);
	if (err)
		return err;
	if (config->serial)
		memcpy(blk->serial, config->serial, strlen(config->serial));
	fill_config(blk);
	blk->vdev.name = blk->name;
	blk->vdev.config = (uint8_t *)&blk->config;
	blk->vdev.config_size = CONFIG_SIZE;
	blk->vdev.offered = offered(blk);
	if (!blk->disk.read_only)
		blk->vdev.config_writable = offsetof(struct virtio_blk_config, wce) + 1;
	err = virtio_device_init(&blk->vdev, blk->queue_count, BLK_QUEUE_SIZE);
	if (!err)
		err = create_aio(blk);
	if (!err)
		err = create_limits(blk, config);
	return err;
}

int blk_create(struct virtio_device **vdev, const struct virtio_disk_config *config,
	       const struct virtio_env *env)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	int err;

	if (!blk)
		return report(-ENOMEM, "disk %s", config->path);
	blk->vdev.class = &blk_class;
	blk->vdev.env = env;
	blk->done = (struct loop_source){ .fd = -1, .ready = done_ready };
	blk->timer = (struct loop_source){ .fd = -1, .ready = timer_ready };
	blk->aio.done_fd = blk->disk.fd = blk->disk.cached_fd = -1;
	err = create(blk, config);
	if (err)
		blk_destroy(&blk->vdev);
	else
		*vdev = &blk->vdev;
	return err;
}

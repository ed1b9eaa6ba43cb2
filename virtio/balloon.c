// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/virtio_balloon.h>
#include <lkvm/report.h>
#include "balloon.h"
#include "balloon_control.h"
#include "balloon_pages.h"

#define BIT64(n) (1ULL << (n))

#define QUEUES       5
#define QUEUE_SIZE   64
#define REQUEST_PFNS 1024 /* that are taken of one request; Linux sends 256 */
#define STATS_MAX    32   /* entries of a driver, newer than ours with more of them */

/* What lies behind it belongs to features that are not offered. */
#define CONFIG_SIZE offsetof(struct virtio_balloon_config, free_page_hint_cmd_id)

static_assert(sizeof(struct virtio_balloon_stat) == 10, "(virtio 1.2, 5.5.6.3)");

enum role { INFLATE, DEFLATE, STATS, REPORTING, NO_ROLE };

struct balloon {
	struct virtio_device vdev;
	struct virtio_balloon_config config;
	struct balloon_pages pages;
	struct balloon_control control;
	uint64_t wanted; /* bytes */
	/* The driver's buffer of statistics: it fills it once more when it gets it back (virtio 1.2, 5.5.6.3). */
	bool stats_held, stats_asked;
	uint16_t stats_id, stats_slots;
};

static struct balloon *balloon_of(struct virtio_device *vdev)
{
	return (struct balloon *)((char *)vdev - offsetof(struct balloon, vdev));
}

static struct balloon *balloon_of_control(struct balloon_control *control)
{
	return (struct balloon *)((char *)control - offsetof(struct balloon, control));
}

/*
 * Free page reporting is queue 4 (virtio 1.2, 5.5.2), but Linux numbers just those queues whose features it has, and so
 * has 3 or 2 for it. Neither of these can be anything else then.
 */
static enum role role_of(const struct virtio_device *vdev, const struct virtq *vq)
{
	if (vq->index < 2)
		return vq->index ? DEFLATE : INFLATE;
	if (vq->index == 2 && virtio_has(vdev, VIRTIO_BALLOON_F_STATS_VQ))
		return STATS;
	return virtio_has(vdev, VIRTIO_BALLOON_F_REPORTING) ? REPORTING : NO_ROLE;
}

/* --- the queues --- */

static void move_pages(struct balloon *balloon, const struct virtq_chain *chain, bool in)
{
	uint32_t pfns[REQUEST_PFNS];
	size_t count = iov_read(chain->iov, chain->out, 0, pfns, sizeof(pfns)) / sizeof(pfns[0]);
	bool found = true;

	if (!balloon->pages.inside)
		return;
	for (size_t i = 0; i < count; i++) {
		uint32_t pfn = le32toh(pfns[i]);

		if (in)
			found &= balloon_pages_put(&balloon->pages, pfn);
		else
			found &= balloon_pages_take(&balloon->pages, pfn);
	}
	balloon_pages_flush(&balloon->pages);
	if (!found)
		report_once(&balloon->vdev.complained,
			    "balloon: its driver in the guest named pages that are not RAM");
}

/* Pages that the guest does not use at the moment, as buffers to be written (virtio 1.2, 5.5.6.5). */
static void discard_reported(const struct balloon *balloon, const struct virtq_chain *chain)
{
	const struct guest_mem *ram = balloon->vdev.env->ram;

	if (balloon->vdev.env->assigned)
		return;
	for (unsigned i = chain->out; i < chain->out + chain->in; i++) {
		uint64_t offset = (uint64_t)((uint8_t *)chain->iov[i].iov_base - ram->host);

		guest_mem_discard(ram, ram->base + offset, chain->iov[i].iov_len);
	}
}

static void print_stats(const struct balloon *balloon, const struct virtio_balloon_stat *stats,
			size_t count)
{
	static const char *const names[] = VIRTIO_BALLOON_S_NAMES;
	char text[1024];
	int len =
		snprintf(text, sizeof(text), "balloon: wanted %" PRIu64 " KiB, has %" PRIu64 " KiB",
			 balloon->wanted >> 10,
			 (uint64_t)le32toh(balloon->config.actual) << (BALLOON_PAGE_SHIFT - 10));

	for (size_t i = 0; i < count; i++) {
		unsigned tag = le16toh(stats[i].tag);

		if (tag < VIRTIO_BALLOON_S_NR && len < (int)sizeof(text))
			len += snprintf(text + len, sizeof(text) - (size_t)len, ", %s %" PRIu64,
					names[tag], le64toh(stats[i].val));
	}
	fprintf(stderr, "  %s\n", text);
}

/* A second buffer takes the first one's place. */
static void keep_stats(struct balloon *balloon, struct virtq *vq, const struct virtq_chain *chain)
{
	struct virtio_balloon_stat stats[STATS_MAX];
	size_t size = iov_read(chain->iov, chain->out, 0, stats, sizeof(stats));

	if (balloon->stats_held)
		virtq_push_id(vq, balloon->stats_id, balloon->stats_slots, 0);
	balloon->stats_held = true;
	balloon->stats_id = chain->id;
	balloon->stats_slots = chain->slots;
	if (balloon->stats_asked)
		print_stats(balloon, stats, size / sizeof(stats[0]));
	balloon->stats_asked = false;
}

static void serve(struct balloon *balloon, struct virtq *vq, const struct virtq_chain *chain)
{
	enum role role = role_of(&balloon->vdev, vq);

	if (role == STATS) {
		keep_stats(balloon, vq, chain);
		return;
	}
	if (role == INFLATE || role == DEFLATE)
		move_pages(balloon, chain, role == INFLATE);
	else if (role == REPORTING)
		discard_reported(balloon, chain);
	virtq_push(vq, chain, 0);
}

/* A driver that offers faster than it is served gets its turn again, after other devices. */
static void balloon_handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct virtq_chain chain;
	unsigned left = vq->size;

	for (; left > 0 && virtq_pop(vq, &chain) > 0; left--)
		serve(balloon_of(vdev), vq, &chain);
	virtio_notify(vdev, vq);
	if (!left)
		virtio_kick(vdev, vq->index);
}

/* --- the driver comes and goes --- */

/* Where devices of the host's write to RAM, none of it goes away: they would write to pages that were. */
static int balloon_activate(struct virtio_device *vdev)
{
	struct balloon *balloon = balloon_of(vdev);
	int err;

	if (vdev->env->assigned)
		return 0;
	err = balloon_pages_init(&balloon->pages, vdev->env->ram);
	return err ? report(err, "balloon") : 0;
}

static void balloon_stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	if (role_of(vdev, vq) == STATS)
		balloon_of(vdev)->stats_held = false;
}

static void balloon_deactivate(struct virtio_device *vdev)
{
	struct balloon *balloon = balloon_of(vdev);

	balloon_pages_fini(&balloon->pages);
	balloon->config.actual = 0;
	balloon->stats_asked = false;
}

/* --- the size that is wanted --- */

static void show_wanted(struct balloon *balloon)
{
	balloon->config.num_pages = htole32((uint32_t)(balloon->wanted >> BALLOON_PAGE_SHIFT));
}

/* Only `actual` is the driver's. */
static void balloon_config_written(struct virtio_device *vdev, size_t offset, size_t size)
{
	(void)offset, (void)size;
	show_wanted(balloon_of(vdev));
}

static void set_size(struct balloon_control *control, uint64_t bytes)
{
	struct balloon *balloon = balloon_of_control(control);
	const struct virtio_env *env = balloon->vdev.env;

	if (env->assigned && bytes) {
		report_warning("balloon: it stays empty: devices that are passed through may write "
			       "to any page");
		return;
	}
	virtio_lock(&balloon->vdev);
	balloon->wanted = bytes < env->ram->size ? bytes : env->ram->size;
	show_wanted(balloon);
	virtio_config_changed(&balloon->vdev);
	virtio_unlock(&balloon->vdev);
}

/* Without the driver's word, what is known here. */
static void ask_stats(struct balloon_control *control)
{
	struct balloon *balloon = balloon_of_control(control);
	struct virtq *vq = virtio_queue(&balloon->vdev, 2);

	virtio_lock(&balloon->vdev);
	if (balloon->stats_held) {
		balloon->stats_held = false;
		balloon->stats_asked = true;
		virtq_push_id(vq, balloon->stats_id, balloon->stats_slots, 0);
		virtio_notify(&balloon->vdev, vq);
	} else if (!balloon->stats_asked) {
		print_stats(balloon, NULL, 0);
	}
	virtio_unlock(&balloon->vdev);
}

/* --- creation --- */

static void balloon_destroy(struct virtio_device *vdev)
{
	struct balloon *balloon = balloon_of(vdev);

	balloon_control_close(&balloon->control);
	balloon_pages_fini(&balloon->pages);
	virtio_device_fini(vdev);
	free(balloon);
}

static const struct virtio_device_class balloon_class = {
	.id = VIRTIO_ID_BALLOON,
	.activate = balloon_activate,
	.handle_queue = balloon_handle_queue,
	.stop_queue = balloon_stop_queue,
	.deactivate = balloon_deactivate,
	.config_written = balloon_config_written,
	.destroy = balloon_destroy,
};

int balloon_create(struct virtio_device **vdev, const char *control, const struct virtio_env *env)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));
	int err;

	if (!balloon)
		return report(-ENOMEM, "balloon");
	balloon->vdev.class = &balloon_class;
	balloon->vdev.env = env;
	balloon->vdev.name = "balloon";
	balloon->vdev.config = (uint8_t *)&balloon->config;
	balloon->vdev.config_size = balloon->vdev.config_writable = CONFIG_SIZE;
	balloon->vdev.offered =
		BIT64(VIRTIO_BALLOON_F_STATS_VQ) | BIT64(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	if (!env->assigned)
		balloon->vdev.offered |= BIT64(VIRTIO_BALLOON_F_REPORTING);
	balloon->control.path = control;
	balloon->control.set_size = set_size;
	balloon->control.ask_stats = ask_stats;
	err = virtio_device_init(&balloon->vdev, QUEUES, QUEUE_SIZE);
	if (!err && control)
		err = balloon_control_open(&balloon->control, env->loop);
	if (err) {
		balloon_destroy(&balloon->vdev);
		return err;
	}
	*vdev = &balloon->vdev;
	return 0;
}

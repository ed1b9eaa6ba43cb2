// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each chain is a request and room for its reply. The request's fixed part is copied and parsed; Twrite's data and Rread's
 * stay where they are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_9p.h>
#include <lkvm/report.h>
#include "9p.h"
#include "9p_fs.h"

#define QUEUE_SIZE 128 /* Linux wants to put that many pieces into a chain */

struct p9 {
	struct virtio_device vdev;
	struct p9_fs *fs;
	char name[sizeof("9p ") + VIRTIO_9P_TAG_MAX];
	uint8_t config[sizeof(uint16_t) + VIRTIO_9P_TAG_MAX];
	struct virtq_chain chain;
	struct iovec data[VIRTQ_SIZE_MAX];
	uint8_t request[P9_REQUEST_MAX], reply[P9_REPLY_MAX];
};

static struct p9 *p9_of(struct virtio_device *vdev)
{
	return (struct p9 *)vdev;
}

/* Every byte is read once: Twrite's data are not among them. Returns how many there are of the request. */
static size_t read_request(struct p9 *p9)
{
	const struct virtq_chain *chain = &p9->chain;
	size_t have = iov_read(chain->iov, chain->out, 0, p9->request, P9_WRITE_HEAD);

	if (have < P9_WRITE_HEAD || p9->request[4] == P9_TWRITE)
		return have;
	return have + iov_read(chain->iov, chain->out, have, p9->request + have,
			       sizeof(p9->request) - have);
}

/* The pieces from `offset` on of those that the device reads, or of those that it writes. */
static void set_data(struct p9 *p9, struct p9_request *request, const struct iovec *iov,
		     unsigned count, uint64_t bytes, size_t offset)
{
	request->data_bytes = bytes > offset ? bytes - offset : 0;
	request->data_count = iov_slice(p9->data, iov, count, offset, request->data_bytes);
	request->data = p9->data;
}

static void find_data(struct p9 *p9, struct p9_request *request)
{
	const struct virtq_chain *chain = &p9->chain;

	if (request->type == P9_TWRITE)
		set_data(p9, request, chain->iov, chain->out, chain->out_bytes, P9_WRITE_HEAD);
	if (request->type == P9_TREAD)
		set_data(p9, request, chain->iov + chain->out, chain->in, chain->in_bytes,
			 P9_READ_HEADER);
}

static size_t reply_limit(const struct p9 *p9)
{
	size_t limit = p9_fs_msize(p9->fs);

	if (limit > sizeof(p9->reply))
		limit = sizeof(p9->reply);
	return limit < p9->chain.in_bytes ? limit : p9->chain.in_bytes;
}

/* Returns how many bytes of the chain were written. */
static uint32_t serve(struct p9 *p9, size_t have)
{
	const struct virtq_chain *chain = &p9->chain;
	struct p9_request request;
	struct p9_reply reply;
	int err = p9_parse(&request, p9->request, have, chain->out_bytes);

	p9_reply_begin(&reply, p9->reply, reply_limit(p9), request.type + 1, request.tag);
	if (!err) {
		find_data(p9, &request);
		err = p9_fs_serve(p9->fs, &request, &reply);
	}
	p9_reply_end(&reply, err);
	iov_write(chain->iov + chain->out, chain->in, 0, p9->reply, reply.used);
	return (uint32_t)(reply.used + reply.data);
}

static void p9_handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct p9 *p9 = p9_of(vdev);
	unsigned served = 0;

	while (served < vq->size && virtq_pop(vq, &p9->chain) > 0) {
		size_t have = read_request(p9);

		if (have < P9_HEADER || p9->chain.in_bytes < P9_READ_HEADER) {
			virtio_device_break(vdev,
					    "a request or the room for its reply is too short");
			return;
		}
		virtq_push(vq, &p9->chain, serve(p9, have));
		served++;
	}
	virtio_notify(vdev, vq);
	if (served == vq->size)
		virtio_kick(vdev, vq->index); /* others first */
}

static void p9_deactivate(struct virtio_device *vdev)
{
	p9_fs_reset(p9_of(vdev)->fs);
}

static void p9_destroy(struct virtio_device *vdev)
{
	struct p9 *p9 = p9_of(vdev);

	virtio_device_fini(vdev);
	p9_fs_destroy(p9->fs);
	free(p9);
}

static const struct virtio_device_class p9_class = {
	.id = VIRTIO_ID_9P,
	.handle_queue = p9_handle_queue,
	.deactivate = p9_deactivate,
	.destroy = p9_destroy,
};

/* struct virtio_9p_config of the driver: tag_len, then the tag without a NUL. */
static void set_config(struct p9 *p9, const char *tag)
{
	size_t size = strlen(tag);

	p9->config[0] = (uint8_t)size;
	memcpy(p9->config + sizeof(uint16_t), tag, size);
	p9->vdev.config = p9->config;
	p9->vdev.config_size = sizeof(uint16_t) + size;
}

int p9_create(struct virtio_device **vdev, const struct virtio_share_config *config,
	      const struct virtio_env *env)
{
	struct p9 *p9 = calloc(1, sizeof(*p9));
	int err;

	*vdev = NULL;
	if (!p9)
		return report(-ENOMEM, "cannot share the folder %s", config->dir);
	snprintf(p9->name, sizeof(p9->name), "9p %s", config->tag);
	p9->vdev = (struct virtio_device){
		.class = &p9_class,
		.env = env,
		.name = p9->name,
		.offered = 1ULL << VIRTIO_9P_MOUNT_TAG,
	};
	set_config(p9, config->tag);
	err = p9_fs_create(&p9->fs, config->dir, config->readonly);
	if (!err)
		err = virtio_device_init(&p9->vdev, 1, QUEUE_SIZE);
	if (err) {
		p9_destroy(&p9->vdev);
		return err;
	}
	*vdev = &p9->vdev;
	return 0;
}

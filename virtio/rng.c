// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <lkvm/report.h>
#include "rng.h"

#define QUEUE_SIZE 64

struct rng {
	struct virtio_device vdev;
	atomic_bool failed; /* said so */
};

/* A signal may cut a large one short. Never waits: the host's pool is ready long before a guest runs. */
static size_t fill(struct rng *rng, uint8_t *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = getrandom(to + done, size - done, GRND_NONBLOCK);

		if (got > 0) {
			done += (size_t)got;
		} else if (errno != EINTR) {
			report_once(&rng->failed, "rng: the host has no random numbers: %s",
				    strerror(errno));
			break;
		}
	}
	return done;
}

static uint32_t fill_chain(struct rng *rng, const struct virtq_chain *chain)
{
	uint32_t written = 0;

	for (unsigned i = chain->out; i < chain->out + chain->in; i++) {
		const struct iovec *iov = &chain->iov[i];
		size_t room = RNG_REQUEST_MAX - written;
		size_t part = iov->iov_len < room ? iov->iov_len : room, got;

		got = fill(rng, iov->iov_base, part);
		written += (uint32_t)got;
		if (got < iov->iov_len)
			break;
	}
	return written;
}

/* A driver that offers faster than it is served gets its turn again, after other devices. */
static void rng_handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct rng *rng = (struct rng *)vdev;
	struct virtq_chain chain;
	unsigned left = vq->size;

	for (; left > 0 && virtq_pop(vq, &chain) > 0; left--)
		virtq_push(vq, &chain, fill_chain(rng, &chain));
	virtio_notify(vdev, vq);
	if (!left)
		virtio_kick(vdev, vq->index);
}

static void rng_destroy(struct virtio_device *vdev)
{
	virtio_device_fini(vdev);
	free(vdev);
}

static const struct virtio_device_class rng_class = {
	.id = VIRTIO_ID_RNG,
	.handle_queue = rng_handle_queue,
	.destroy = rng_destroy,
};

int rng_create(struct virtio_device **vdev, const struct virtio_env *env)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	int err;

	if (!rng)
		return report(-ENOMEM, "rng");
	rng->vdev.class = &rng_class;
	rng->vdev.env = env;
	rng->vdev.name = "rng";
	err = virtio_device_init(&rng->vdev, 1, QUEUE_SIZE);
	if (err) {
		rng_destroy(&rng->vdev);
		return err;
	}
	*vdev = &rng->vdev;
	return 0;
}

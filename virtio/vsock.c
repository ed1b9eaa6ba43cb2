// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhost-vsock serves the receive and the transmit queue together: it runs while it has both. The event queue is for what
 * happens when a guest is moved (virtio 1.2, 5.10.6.7), which never happens here.
 */
#include <errno.h>
#include <stdlib.h>
#include <linux/vhost.h>
#include <linux/virtio_vsock.h>
#include <lkvm/report.h>
#include "door.h"
#include "vhost.h"
#include "vsock.h"

#define VHOST_PATH "/dev/vhost-vsock"
#define QUEUE_SIZE 128

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, QUEUES };
#define SERVED QUEUE_EVENT /* queues of vhost's */

struct vsock {
	struct virtio_device vdev;
	struct vhost vhost;
	uint64_t features; /* vhost's */
	uint8_t config[sizeof(uint64_t)];
	bool running;
};

static struct vsock *vsock_of(struct virtio_device *vdev)
{
	return (struct vsock *)vdev;
}

static int set_running(struct vsock *vsock, int running)
{
	int err = virtio_ioctl(vsock->vhost.fd, VHOST_VSOCK_SET_RUNNING, &running);

	if (err < 0)
		return report(err, "%s: VHOST_VSOCK_SET_RUNNING", vsock->vdev.name);
	vsock->running = running;
	return 0;
}

static void stop(struct vsock *vsock)
{
	if (vsock->running)
		set_running(vsock, 0);
	vsock->running = false;
}

static int run_if_complete(struct vsock *vsock)
{
	for (unsigned i = 0; i < SERVED; i++)
		if (!vsock->vhost.vrings[i].vq)
			return 0;
	return set_running(vsock, 1);
}

static int vsock_start_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct vsock *vsock = vsock_of(vdev);
	int err;

	if (vq->index >= SERVED)
		return 0;
	err = vhost_start_queue(&vsock->vhost, vq);
	return err ? err : run_if_complete(vsock);
}

static void vsock_stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct vsock *vsock = vsock_of(vdev);

	if (vq->index >= SERVED)
		return;
	stop(vsock);
	vhost_stop_queue(&vsock->vhost, vq);
}

/* Nothing of a device that is not activated is ever stopped. */
static int vsock_activate(struct virtio_device *vdev)
{
	struct vsock *vsock = vsock_of(vdev);
	int err = vhost_set_up(&vsock->vhost, vdev->accepted & vsock->features);

	for (unsigned i = 0; i < SERVED && !err; i++)
		if (virtio_queue(vdev, i)->ready)
			err = vsock_start_queue(vdev, virtio_queue(vdev, i));
	for (unsigned i = 0; i < SERVED && err; i++)
		vsock_stop_queue(vdev, virtio_queue(vdev, i));
	return err;
}

/* Kicks go to vhost, but those of the event queue, whose buffers stay where they are. */
static void vsock_handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	(void)vdev;
	(void)vq;
}

static void vsock_call_changed(struct virtio_device *vdev, struct virtq *vq)
{
	vhost_call_changed(&vsock_of(vdev)->vhost, vq);
}

static void vsock_destroy(struct virtio_device *vdev)
{
	struct vsock *vsock = vsock_of(vdev);

	vhost_close(&vsock->vhost);
	virtio_device_fini(vdev);
	free(vsock);
}

static const struct virtio_device_class vsock_class = {
	.id = VIRTIO_ID_VSOCK,
	.activate = vsock_activate,
	.handle_queue = vsock_handle_queue,
	.start_queue = vsock_start_queue,
	.stop_queue = vsock_stop_queue,
	.call_changed = vsock_call_changed,
	.destroy = vsock_destroy,
};

static int take_cid(struct vsock *vsock, uint32_t cid)
{
	__u64 wanted = cid;
	int err = virtio_ioctl(vsock->vhost.fd, VHOST_VSOCK_SET_GUEST_CID, &wanted);

	if (err == -EADDRINUSE)
		return refuse(err, "--vsock %u: another guest has this context ID", cid);
	if (err < 0)
		return report(err, "--vsock %u: the host does not take this context ID", cid);
	return 0;
}

static int open_vhost(struct vsock *vsock, uint32_t cid)
{
	int err = vhost_open(&vsock->vhost, &vsock->vdev, VHOST_PATH, QUEUE_RX, SERVED);

	if (!err)
		err = vhost_features(&vsock->vhost, &vsock->features);
	if (!err)
		err = take_cid(vsock, cid);
	vsock->vdev.offered = vsock->features & 1ULL << VIRTIO_VSOCK_F_SEQPACKET;
	return err;
}

int vsock_create(struct virtio_device **vdev, uint32_t cid, const struct virtio_env *env)
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));
	int err;

	*vdev = NULL;
	if (!vsock)
		return report(-ENOMEM, "--vsock %u", cid);
	for (unsigned i = 0; i < sizeof(cid); i++)
		vsock->config[i] = (uint8_t)(cid >> 8 * i);
	vsock->vdev = (struct virtio_device){
		.class = &vsock_class,
		.env = env,
		.name = "vsock",
		.config = vsock->config,
		.config_size = sizeof(vsock->config),
		.withheld = VHOST_LACKS,
	};
	err = virtio_device_init(&vsock->vdev, QUEUES, QUEUE_SIZE);
	if (!err)
		err = open_vhost(vsock, cid);
	if (err) {
		vsock_destroy(&vsock->vdev);
		return err;
	}
	*vdev = &vsock->vdev;
	return 0;
}

int virtio_vsock_cid_parse(uint32_t *cid, const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end || errno || value >= UINT32_MAX)
		return refuse(-EINVAL, "--vsock: %.40s is no context ID: a number from 3 to %u",
			      text, UINT32_MAX - 1);
	if (value < 3)
		return refuse(-EINVAL,
			      "--vsock: %llu is not for guests (2 is the host): give one from 3 on",
			      value);
	*cid = (uint32_t)value;
	return 0;
}

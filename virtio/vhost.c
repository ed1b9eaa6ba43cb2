// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <lkvm/report.h>
#include "door.h"
#include "vhost.h"

/* vhost's own: a translation of addresses that lkvm does not have. */
#define NOT_FOR_VHOST (1ULL << VIRTIO_F_ACCESS_PLATFORM | 1ULL << VIRTIO_F_RING_RESET)

static void clear(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

static void call_ready(struct loop_source *source, uint32_t events)
{
	struct vhost_vring *vring =
		(struct vhost_vring *)((char *)source - offsetof(struct vhost_vring, call));
	struct virtio_device *vdev = vring->vhost->vdev;

	(void)events;
	clear(source->fd);
	virtio_lock(vdev);
	if (vring->vq)
		virtio_interrupt_queue(vdev, vring->vq);
	virtio_unlock(vdev);
}

/* The ring, or a buffer's address, is not what a driver may make it. */
static void error_ready(struct loop_source *source, uint32_t events)
{
	struct vhost_vring *vring =
		(struct vhost_vring *)((char *)source - offsetof(struct vhost_vring, error));
	struct virtio_device *vdev = vring->vhost->vdev;

	(void)events;
	clear(source->fd);
	virtio_lock(vdev);
	if (vring->vq && !(vring->vhost->excused && vring->vhost->excused(vring->vhost, vring->vq)))
		virtio_device_break(vdev, "the host's vhost cannot serve a queue");
	virtio_unlock(vdev);
}

static int watch(struct vhost *vhost, struct loop_source *source)
{
	int err;

	source->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (source->fd < 0)
		return report(-errno, "%s: cannot create an eventfd; raise `ulimit -n`",
			      vhost->vdev->name);
	err = loop_add(vhost->vdev->env->loop, source, EPOLLIN);
	if (!err)
		return 0;
	close(source->fd);
	source->fd = -1;
	return report(err, "%s: cannot wait for vhost", vhost->vdev->name);
}

static int open_back_end(struct vhost *vhost, const char *path)
{
	const char *module = strrchr(path, '/');
	int err = 0;

	vhost->fd = virtio_open_path(path);
	if (vhost->fd == -ENOENT || vhost->fd == -ENODEV)
		return report(vhost->fd, "%s: cannot open %s; try `modprobe vhost%s%s`",
			      vhost->vdev->name, path, !strcmp(module, "/vhost-net") ? "_net" : "",
			      !strcmp(module, "/vhost-vsock") ? "_vsock" : "");
	if (vhost->fd < 0)
		return report(vhost->fd, "%s: cannot open %s; its owner can give access to it",
			      vhost->vdev->name, path);
	err = virtio_ioctl_value(vhost->fd, VHOST_SET_OWNER, 0);
	if (err < 0)
		return report(err, "%s: VHOST_SET_OWNER on %s", vhost->vdev->name, path);
	return 0;
}

int vhost_open(struct vhost *vhost, struct virtio_device *vdev, const char *path, unsigned first,
	       unsigned count)
{
	int err;

	assert(count <= VHOST_VRINGS_MAX);
	*vhost = (struct vhost){ .vdev = vdev, .fd = -1, .first = first, .count = count };
	for (unsigned i = 0; i < count; i++) {
		vhost->vrings[i].vhost = vhost;
		vhost->vrings[i].call = (struct loop_source){ .fd = -1, .ready = call_ready };
		vhost->vrings[i].error = (struct loop_source){ .fd = -1, .ready = error_ready };
	}
	err = open_back_end(vhost, path);
	for (unsigned i = 0; i < count && !err; i++) {
		err = watch(vhost, &vhost->vrings[i].call);
		if (!err)
			err = watch(vhost, &vhost->vrings[i].error);
	}
	return err;
}

static void unwatch(struct vhost *vhost, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_remove(vhost->vdev->env->loop, source);
	close(source->fd);
	source->fd = -1;
}

void vhost_close(struct vhost *vhost)
{
	if (!vhost->vdev)
		return;
	for (unsigned i = 0; i < vhost->count; i++) {
		unwatch(vhost, &vhost->vrings[i].call);
		unwatch(vhost, &vhost->vrings[i].error);
	}
	if (vhost->fd >= 0)
		close(vhost->fd);
	vhost->fd = -1;
}

static int failed(struct vhost *vhost, int err, const char *what)
{
	if (err >= 0)
		return 0;
	return report(err, "%s: %s", vhost->vdev->name, what);
}

int vhost_features(struct vhost *vhost, uint64_t *features)
{
	__u64 offered = 0;
	int err = virtio_ioctl(vhost->fd, VHOST_GET_FEATURES, &offered);

	*features = offered;
	return failed(vhost, err, "VHOST_GET_FEATURES");
}

int vhost_set_up(struct vhost *vhost, uint64_t features)
{
	const struct guest_mem *ram = vhost->vdev->env->ram;
	uint64_t room[(sizeof(struct vhost_memory) + sizeof(struct vhost_memory_region)) / 8];
	const struct vhost_memory head = { .nregions = 1 };
	const struct vhost_memory_region region = { .guest_phys_addr = ram->base,
						    .memory_size = ram->size,
						    .userspace_addr = (uintptr_t)ram->host };
	__u64 accepted = features & ~NOT_FOR_VHOST;
	int err = virtio_ioctl(vhost->fd, VHOST_SET_FEATURES, &accepted);

	if (err < 0)
		return failed(vhost, err, "VHOST_SET_FEATURES");
	memcpy(room, &head, sizeof(head));
	memcpy((char *)room + sizeof(head), &region, sizeof(region));
	err = virtio_ioctl_call(vhost->fd, VHOST_SET_MEM_TABLE, room);
	return failed(vhost, err, "VHOST_SET_MEM_TABLE");
}

static int set_fd(struct vhost *vhost, unsigned long request, unsigned index, int fd)
{
	struct vhost_vring_file file = { .index = index, .fd = fd };

	return virtio_ioctl_call(vhost->fd, request, &file);
}

/* The transport's own fd, else the one we wait for. */
static int call_fd(struct vhost *vhost, unsigned index, struct virtq *vq)
{
	int fd = virtio_call_fd(vhost->vdev, vq);

	return fd >= 0 ? fd : vhost->vrings[index].call.fd;
}

/* virtq_start() has checked the queue's parts; their addresses are this process's for vhost. */
static int place(struct vhost *vhost, unsigned index, const struct virtq *vq)
{
	const struct guest_mem *ram = vhost->vdev->env->ram;
	struct vhost_vring_state size = { .index = index, .num = vq->size };
	struct vhost_vring_state base = { .index = index, .num = vq->next_avail };
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)guest_mem_range(ram, vq->place.desc, 0),
		.avail_user_addr = (uintptr_t)guest_mem_range(ram, vq->place.driver, 0),
		.used_user_addr = (uintptr_t)guest_mem_range(ram, vq->place.device, 0),
	};
	int err = virtio_ioctl(vhost->fd, VHOST_SET_VRING_NUM, &size);

	if (err >= 0)
		err = virtio_ioctl(vhost->fd, VHOST_SET_VRING_BASE, &base);
	if (err >= 0)
		err = virtio_ioctl(vhost->fd, VHOST_SET_VRING_ADDR, &addr);
	return err;
}

int vhost_start_queue(struct vhost *vhost, struct virtq *vq)
{
	unsigned index = vq->index - vhost->first;
	struct vhost_vring *vring = &vhost->vrings[index];
	int err = place(vhost, index, vq);

	if (err >= 0)
		err = set_fd(vhost, VHOST_SET_VRING_ERR, index, vring->error.fd);
	if (err >= 0)
		err = set_fd(vhost, VHOST_SET_VRING_CALL, index, call_fd(vhost, index, vq));
	if (err >= 0)
		err = set_fd(vhost, VHOST_SET_VRING_KICK, index,
			     virtio_take_kick_fd(vhost->vdev, vq));
	vring->vq = vq;
	if (err >= 0)
		return 0;
	vhost_stop_queue(vhost, vq);
	return failed(vhost, err, "the host's vhost does not take a queue");
}

void vhost_stop_queue(struct vhost *vhost, struct virtq *vq)
{
	unsigned index = vq->index - vhost->first;
	struct vhost_vring *vring = &vhost->vrings[index];

	if (!vring->vq)
		return;
	vring->vq = NULL;
	set_fd(vhost, VHOST_SET_VRING_KICK, index, VHOST_FILE_UNBIND);
	set_fd(vhost, VHOST_SET_VRING_CALL, index, VHOST_FILE_UNBIND);
	set_fd(vhost, VHOST_SET_VRING_ERR, index, VHOST_FILE_UNBIND);
	virtio_return_kick_fd(vhost->vdev, vq);
}

void vhost_call_changed(struct vhost *vhost, struct virtq *vq)
{
	unsigned index = vq->index - vhost->first;
	int err;

	if (index >= vhost->count || !vhost->vrings[index].vq)
		return;
	err = set_fd(vhost, VHOST_SET_VRING_CALL, index, call_fd(vhost, index, vq));
	if (err < 0)
		report_once(&vhost->vdev->complained, "%s: VHOST_SET_VRING_CALL: %s",
			    vhost->vdev->name, strerror(-err));
}

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include "fake_virtio_door.h"
#include "virtio/door.h"

struct fake_host fake_host;

void fake_host_reset(void)
{
	memset(&fake_host, 0, sizeof(fake_host));
	fake_host.offloads_known = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN |
				   TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6;
	fake_host.send_limit = INT_MAX;
	fake_host.vhost_features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_NET_F_MRG_RXBUF |
				   1ULL << VIRTIO_RING_F_EVENT_IDX |
				   1ULL << VIRTIO_RING_F_INDIRECT_DESC;
}

void fake_host_end(void)
{
	for (unsigned i = 0; i < fake_host.tap_count; i++)
		if (fake_host.taps[i].peer >= 0)
			close(fake_host.taps[i].peer);
	fake_host.tap_count = 0;
}

static int open_tap(void)
{
	struct fake_tap *tap = &fake_host.taps[fake_host.tap_count];
	int pair[2];

	if (fake_host.tap_count == FAKE_TAPS ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -ENFILE;
	*tap = (struct fake_tap){ .fd = pair[0], .peer = pair[1] };
	fake_host.tap_count++;
	return tap->fd;
}

static int open_vhost(void)
{
	struct fake_vhost *vhost = &fake_host.vhosts[fake_host.vhost_count];

	if (fake_host.vhost_count == FAKE_VHOSTS)
		return -ENFILE;
	*vhost = (struct fake_vhost){ .fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
	for (unsigned i = 0; i < 2; i++)
		vhost->vrings[i] =
			(struct fake_vring){ .kick = -1, .call = -1, .error = -1, .backend = -1 };
	fake_host.vhost_count++;
	return vhost->fd;
}

int virtio_open_path(const char *path)
{
	snprintf(fake_host.opened, sizeof(fake_host.opened), "%s", path);
	if (fake_host.open_error)
		return fake_host.open_error;
	return strstr(path, "vhost") ? open_vhost() : open_tap();
}

/* The newest: an fd's number may have been another's before. */
static struct fake_tap *tap_of(int fd)
{
	for (unsigned i = fake_host.tap_count; i-- > 0;)
		if (fake_host.taps[i].fd == fd)
			return &fake_host.taps[i];
	return NULL;
}

static struct fake_vhost *vhost_of(int fd)
{
	for (unsigned i = fake_host.vhost_count; i-- > 0;)
		if (fake_host.vhosts[i].fd == fd)
			return &fake_host.vhosts[i];
	return NULL;
}

static int set_interface(struct fake_tap *tap, struct ifreq *request)
{
	if (!(request->ifr_flags & IFF_MULTI_QUEUE) != !fake_host.multi_queue)
		return -EINVAL;
	if (!request->ifr_name[0])
		snprintf(request->ifr_name, sizeof(request->ifr_name), "tap7");
	tap->attached = true;
	return 0;
}

static int tap_ioctl(struct fake_tap *tap, unsigned long request, void *arg)
{
	struct ifreq *ifreq = arg;

	switch (request) {
	case TUNSETIFF:
		return set_interface(tap, arg);
	case TUNGETIFF:
		return tap->attached && tap->peer >= 0 ? 0 : -EBADFD;
	case TUNGETSNDBUF:
		*(int *)arg = fake_host.send_limit;
		return 0;
	case TUNSETVNETHDRSZ:
		fake_host.header = *(int *)arg;
		return 0;
	case TUNSETTXFILTER:
		fake_host.filter = *(struct tap_filter *)arg;
		return 0;
	case TUNSETQUEUE:
		tap->attached = ifreq->ifr_flags == IFF_ATTACH_QUEUE;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int set_fd(struct fake_vhost *vhost, unsigned long request,
		  const struct vhost_vring_file *file)
{
	struct fake_vring *vring = &vhost->vrings[file->index];

	if (request == VHOST_SET_VRING_KICK)
		vring->kick = file->fd;
	else if (request == VHOST_SET_VRING_CALL)
		vring->call = file->fd;
	else if (request == VHOST_SET_VRING_ERR)
		vring->error = file->fd;
	else
		vring->backend = file->fd;
	return 0;
}

static void set_memory(struct fake_vhost *vhost, const struct vhost_memory *memory)
{
	vhost->ram_base = memory->regions[0].guest_phys_addr;
	vhost->ram_size = memory->regions[0].memory_size;
	vhost->ram_host = memory->regions[0].userspace_addr;
}

static int vhost_ioctl(struct fake_vhost *vhost, unsigned long request, void *arg)
{
	const struct vhost_vring_state *state = arg;
	const struct vhost_vring_addr *addr = arg;

	switch (request) {
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = fake_host.vhost_features;
		return 0;
	case VHOST_SET_FEATURES:
		vhost->features = *(uint64_t *)arg;
		return vhost->features & ~fake_host.vhost_features ? -EOPNOTSUPP : 0;
	case VHOST_SET_MEM_TABLE:
		set_memory(vhost, arg);
		return 0;
	case VHOST_SET_VRING_NUM:
		vhost->vrings[state->index].size = state->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		vhost->vrings[state->index].base = state->num;
		return 0;
	case VHOST_SET_VRING_ADDR:
		vhost->vrings[addr->index].desc = addr->desc_user_addr;
		vhost->vrings[addr->index].avail = addr->avail_user_addr;
		vhost->vrings[addr->index].used = addr->used_user_addr;
		return 0;
	case VHOST_VSOCK_SET_GUEST_CID:
		vhost->cid = *(uint64_t *)arg;
		return 0;
	case VHOST_VSOCK_SET_RUNNING:
		vhost->running = *(int *)arg;
		return 0;
	default:
		return set_fd(vhost, request, arg);
	}
}

/* The socket by which interfaces are configured. */
static int socket_ioctl(unsigned long request, struct ifreq *ifreq)
{
	switch (request) {
	case SIOCSIFHWADDR:
		memcpy(fake_host.mac, ifreq->ifr_hwaddr.sa_data, sizeof(fake_host.mac));
		return 0;
	case SIOCSIFADDR:
		fake_host.ip = ((struct sockaddr_in *)&ifreq->ifr_addr)->sin_addr.s_addr;
		return 0;
	case SIOCSIFNETMASK:
	case SIOCGIFFLAGS:
		return 0;
	case SIOCSIFFLAGS:
		fake_host.up = ifreq->ifr_flags & IFF_UP;
		return 0;
	default:
		return -ENOTTY;
	}
}

int virtio_ioctl_call(int fd, unsigned long request, void *arg)
{
	struct fake_vhost *vhost = vhost_of(fd);
	struct fake_tap *tap = tap_of(fd);

	if (request == fake_host.failing_request)
		return fake_host.failing_error;
	if (tap)
		return tap_ioctl(tap, request, arg);
	if (vhost)
		return vhost_ioctl(vhost, request, arg);
	return socket_ioctl(request, arg);
}

int virtio_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	struct fake_vhost *vhost = vhost_of(fd);

	if (request == fake_host.failing_request)
		return fake_host.failing_error;
	if (request == VHOST_SET_OWNER && vhost) {
		vhost->owned = true;
		return 0;
	}
	if (request != TUNSETOFFLOAD || value & ~fake_host.offloads_known)
		return -EINVAL;
	fake_host.offloads = (unsigned)value;
	return 0;
}

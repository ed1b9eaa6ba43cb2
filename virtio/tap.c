// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "door.h"
#include "tap.h"

#define TUN_PATH "/dev/net/tun"

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

static void close_fds(struct tap *tap)
{
	for (unsigned i = 0; i < tap->count; i++)
		close(tap->fds[i]);
	tap->count = 0;
}

/* One more queue of the interface, which the first one names or makes. Returns 0 or -errno, not reported. */
static int open_queue(struct tap *tap, const char *path, const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int err, fd = virtio_open_path(path);

	if (fd < 0)
		return fd;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	err = virtio_ioctl_call(fd, TUNSETIFF, &request);
	if (err < 0) {
		close(fd);
		return err;
	}
	memcpy(tap->name, request.ifr_name, sizeof(tap->name));
	tap->name[sizeof(tap->name) - 1] = '\0';
	tap->detached[tap->count] = false;
	tap->fds[tap->count++] = fd;
	return 0;
}

static int open_queues(struct tap *tap, const char *path, const char *name, unsigned pairs)
{
	char chosen[IFNAMSIZ];
	short flags = TAP_FLAGS | (pairs > 1 ? IFF_MULTI_QUEUE : 0);
	int err = open_queue(tap, path, name, flags);

	/* Somebody's interface may have more queues than are wanted of it, and wants to be told so. */
	if (err == -EINVAL && pairs == 1 && *name)
		err = open_queue(tap, path, name, flags | IFF_MULTI_QUEUE);
	for (unsigned i = 1; i < pairs && !err; i++) {
		memcpy(chosen, tap->name, sizeof(chosen));
		err = open_queue(tap, path, chosen, flags);
	}
	return err;
}

/* What is wrong, and what helps. */
static int report_open(const struct tap *tap, int err, const char *path, const char *name)
{
	const struct virtio_network_config *config = tap->config;
	const char *shown = *name ? name : "tap0";

	if (err == -ENOENT && !config->macvtap)
		return report(err, "%s: cannot open %s; try `modprobe tun`", tap->who, path);
	if (config->macvtap)
		return report(err, "%s: cannot use %s as a macvtap interface", tap->who, path);
	if (err == -EPERM || err == -EACCES)
		return report(err,
			      "%s: cannot have a tap interface; make one for this user with `ip "
			      "tuntap add dev %s mode tap user $USER vnet_hdr%s` as root, and name "
			      "it with tapif=%s",
			      tap->who, shown, config->pairs > 1 ? " multi_queue" : "", shown);
	if (err == -EBUSY)
		return report(err, "%s: another process has %s open, or all of its queues",
			      tap->who, shown);
	if (err == -EINVAL && config->pairs > 1)
		return refuse(err,
			      "%s: %s has one queue; make it with `ip tuntap add dev %s mode tap "
			      "multi_queue` for mq=%u",
			      tap->who, shown, shown, config->pairs);
	if (err == -EINVAL && *name)
		return refuse(err, "%s: %s is no tap interface", tap->who, name);
	return report(err, "%s: cannot open the tap interface %s", tap->who, shown);
}

/* An fd that whoever started us has opened. */
static int adopt(struct tap *tap, int given)
{
	struct ifreq request = { 0 };
	int flags, fd = fcntl(given, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return report(-errno, "%s: fd=%d", tap->who, given);
	tap->fds[tap->count++] = fd;
	if (virtio_ioctl_call(fd, TUNGETIFF, &request) < 0)
		return refuse(-EINVAL, "%s: fd=%d is no tap or macvtap interface", tap->who, given);
	if ((request.ifr_flags & TAP_FLAGS) != TAP_FLAGS)
		return refuse(-EINVAL,
			      "%s: the interface at fd=%d has to be opened with IFF_TAP, IFF_NO_PI "
			      "and IFF_VNET_HDR",
			      tap->who, given);
	memcpy(tap->name, request.ifr_name, sizeof(tap->name));
	tap->name[sizeof(tap->name) - 1] = '\0';
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return report(-errno, "%s: fd=%d", tap->who, given);
	return 0;
}

/* The most that the host takes of what has come over the years. */
static void probe_offloads(struct tap *tap)
{
	static const unsigned tries[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO | TUN_F_USO4 |
			TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
		0,
	};

	for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		tap->offered = tries[i];
		if (tap_set_offloads(tap, tries[i]) >= 0)
			break;
	}
	tap_set_offloads(tap, 0);
}

/* A tap's queue for what it is given has no limit, unless somebody has set one; a macvtap's has. */
static void probe_patience(struct tap *tap)
{
	int limit = 0;

	tap->patient = virtio_ioctl(tap->fds[0], TUNGETSNDBUF, &limit) >= 0 && limit == INT_MAX;
}

static int open_interface(struct tap *tap)
{
	const struct virtio_network_config *config = tap->config;
	const char *path = config->macvtap ? config->macvtap : TUN_PATH;
	int err;

	tap->made = !config->macvtap && (!*config->tapif || !if_nametoindex(config->tapif));
	err = open_queues(tap, path, config->tapif, config->pairs);
	return err < 0 ? report_open(tap, err, path, config->tapif) : 0;
}

int tap_open(struct tap *tap, const struct virtio_network_config *config, const char *who,
	     struct in_addr ip)
{
	int err;

	*tap = (struct tap){ .config = config, .who = who };
	err = config->fd >= 0 ? adopt(tap, config->fd) : open_interface(tap);
	if (!err && tap->made)
		err = tap_configure(who, tap->name, config, ip);
	if (!err && config->script)
		err = tap_run_script(who, config->script, tap->name);
	if (err)
		return err;
	tap->set_up = true;
	probe_offloads(tap);
	probe_patience(tap);
	return 0;
}

void tap_close(struct tap *tap)
{
	if (tap->set_up && tap->config->downscript)
		tap_run_script(tap->who, tap->config->downscript, tap->name);
	tap->set_up = false;
	close_fds(tap);
}

int tap_reopen(struct tap *tap)
{
	const struct virtio_network_config *config = tap->config;
	char name[IFNAMSIZ];

	if (config->fd >= 0 || (!config->macvtap && !if_nametoindex(tap->name)))
		return -ENODEV;
	close_fds(tap);
	memcpy(name, config->macvtap ? config->tapif : tap->name, sizeof(name));
	return open_queues(tap, config->macvtap ? config->macvtap : TUN_PATH, name, config->pairs);
}

int tap_set_header(struct tap *tap, int size)
{
	int err = 0;

	for (unsigned i = 0; i < tap->count && err >= 0; i++)
		err = virtio_ioctl(tap->fds[i], TUNSETVNETHDRSZ, &size);
	return err;
}

int tap_set_offloads(struct tap *tap, unsigned offloads)
{
	int err = 0;

	for (unsigned i = 0; i < tap->count && err >= 0; i++)
		err = virtio_ioctl_value(tap->fds[i], TUNSETOFFLOAD, offloads);
	return err;
}

int tap_set_filter(struct tap *tap, const struct tap_filter *filter)
{
	struct tap_filter copy = *filter;

	if (!tap->count)
		return -ENODEV;
	return virtio_ioctl_call(tap->fds[0], TUNSETTXFILTER, &copy);
}

int tap_attach_queue(struct tap *tap, unsigned queue, bool attach)
{
	struct ifreq request = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };
	int err;

	if (queue >= tap->count)
		return -ENODEV;
	if (tap->count == 1 || tap->detached[queue] == !attach)
		return 0;
	err = virtio_ioctl_call(tap->fds[queue], TUNSETQUEUE, &request);
	if (err >= 0)
		tap->detached[queue] = !attach;
	return err;
}

bool tap_is_gone(struct tap *tap, unsigned queue)
{
	struct ifreq request = { 0 };

	return queue >= tap->count || virtio_ioctl_call(tap->fds[queue], TUNGETIFF, &request) < 0;
}

/* Reading one byte takes the whole packet. No more than a queue of the host's holds by default. */
void tap_drain(struct tap *tap)
{
	char byte;

	for (unsigned i = 0; i < tap->count; i++)
		for (unsigned left = 1000; left > 0 && read(tap->fds[i], &byte, 1) > 0; left--)
			;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * User mode: packets go to and from libslirp, which makes ordinary sockets' traffic of them. It needs no privilege. A
 * card that nobody asked for opens it when a driver sends its first packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "net_user.h"

#define NETMASK_24   0xffffff00U
#define GUEST_HOST   15 /* of the default network, as kvmtool has it */
#define GATEWAY_HOST 1

/* --- packets --- */

static bool can_receive(const struct virtio_net *net)
{
	return net->vdev.active && net_rx_queue((struct virtio_net *)net, 0)->ready;
}

static void flush(struct net_user *user)
{
	while (user->waiting > 0) {
		struct user_packet *packet = &user->backlog[user->first];

		if (!net_rx_put(user->net->rx[0], packet->data, packet->size))
			break;
		user->delivered = true;
		free(packet->data);
		user->first = (user->first + 1) % USER_BACKLOG;
		user->waiting--;
	}
}

static void forget_backlog(struct net_user *user)
{
	for (; user->waiting > 0; user->waiting--) {
		free(user->backlog[user->first].data);
		user->first = (user->first + 1) % USER_BACKLOG;
	}
}

/* What the driver has no buffers for waits; what is too much of that is lost, as on any network. */
static ssize_t send_to_guest(const void *data, size_t size, void *opaque)
{
	struct net_user *user = opaque;
	struct user_packet *packet;

	if (!can_receive(user->net) || size > NET_PACKET_MAX - user->net->header)
		return (ssize_t)size;
	flush(user);
	if (!user->waiting && net_rx_put(user->net->rx[0], data, size)) {
		user->delivered = true;
		return (ssize_t)size;
	}
	if (user->waiting == USER_BACKLOG)
		return (ssize_t)size;
	packet = &user->backlog[(user->first + user->waiting) % USER_BACKLOG];
	packet->data = malloc(size);
	packet->size = size;
	if (packet->data) {
		memcpy(packet->data, data, size);
		user->waiting++;
	}
	return (ssize_t)size;
}

void user_enter(struct net_user *user)
{
	virtio_lock(&user->net->vdev);
}

static void settle(struct net_user *user)
{
	user_loop_update(user);
	if (user->delivered && can_receive(user->net))
		virtio_notify(&user->net->vdev, net_rx_queue(user->net, 0));
	user->delivered = false;
}

void user_leave(struct net_user *user)
{
	settle(user);
	virtio_unlock(&user->net->vdev);
}

/* --- opening --- */

static void guest_error(const char *message, void *opaque)
{
	struct net_user *user = opaque;

	report_once(&user->net->vdev.complained, "%s: the guest's network: %s", user->net->name,
		    message);
}

static void notified(void *opaque)
{
	(void)opaque;
}

/* What nobody asked for is no reason to end a run. */
static int cannot_open(const struct net_user *user, int err, const char *why)
{
	if (!user->net->config->unasked)
		return refuse(err, "%s: mode=user %s, or use mode=tap", user->net->name, why);
	report_warning("%s: no network for the guest: the default, mode=user, %s, or say -n none",
		       user->net->name, why);
	return err;
}

static int load(struct net_user *user)
{
	char cause[256], why[400];

	if (!slirp_load(&user->library, cause, sizeof(cause)))
		return 0;
	snprintf(why, sizeof(why),
		 "needs libslirp (%s); install it (Debian: `apt install libslirp0`)", cause);
	return cannot_open(user, -ENOENT, why);
}

/* The first of the network's that is neither the gateway nor the guest. */
static struct in_addr nameserver(struct in_addr network, struct in_addr gateway,
				 struct in_addr guest)
{
	struct in_addr at = { network.s_addr | htonl(3) };

	while (at.s_addr == gateway.s_addr || at.s_addr == guest.s_addr)
		at.s_addr = htonl(ntohl(at.s_addr) + 1);
	return at;
}

static int fill_config(const struct virtio_net *net, struct slirp_config *slirp)
{
	const struct virtio_network_config *config = net->config;
	struct in_addr mask = { htonl(NETMASK_24) };

	memset(slirp, 0, sizeof(*slirp));
	slirp->version = config->no_dhcp ? SLIRP_VERSION_DISABLE_DHCP : SLIRP_VERSION_OLDEST;
	slirp->in_enabled = slirp->in6_enabled = true;
	slirp->netmask = mask;
	slirp->host = config->host_ip_given ? config->host_ip : net_default_ip(net, GATEWAY_HOST);
	slirp->network.s_addr = slirp->host.s_addr & mask.s_addr;
	slirp->dhcp_start =
		config->guest_ip_given ? config->guest_ip : net_default_ip(net, GUEST_HOST);
	if ((slirp->dhcp_start.s_addr & mask.s_addr) != slirp->network.s_addr ||
	    slirp->dhcp_start.s_addr == slirp->host.s_addr)
		return refuse(-EINVAL,
			      "%s: guest_ip= and host_ip= have to be two addresses of one network "
			      "of 24 bits (192.168.33.15 and 192.168.33.1 if not given)",
			      net->name);
	slirp->nameserver = nameserver(slirp->network, slirp->host, slirp->dhcp_start);
	inet_pton(AF_INET6, "fd00::", &slirp->prefix6);
	slirp->prefix6_len = 64;
	inet_pton(AF_INET6, "fd00::2", &slirp->host6);
	inet_pton(AF_INET6, "fd00::3", &slirp->nameserver6);
	slirp->disable_dhcp = config->no_dhcp;
	return 0;
}

static int forward(struct net_user *user)
{
	const struct virtio_network_config *config = user->net->config;

	for (size_t i = 0; i < config->forward_count; i++) {
		const struct virtio_network_forward *port = &config->forwards[i];

		errno = 0;
		if (user->library.add_hostfwd(user->slirp, port->udp, port->host_ip,
					      port->host_port, port->guest_ip,
					      port->guest_port) < 0)
			return report(errno ? -errno : -EIO,
				      "%s: cannot forward the host's %s port %u", user->net->name,
				      port->udp ? "UDP" : "TCP", port->host_port);
	}
	return 0;
}

static int open_slirp(struct net_user *user)
{
	struct slirp_callbacks *callbacks = &user->callbacks;
	struct slirp_config config;
	int err = fill_config(user->net, &config);

	if (!err)
		err = load(user);
	if (err)
		return err;
	err = user_loop_open(user);
	if (err)
		return cannot_open(user, err, "cannot have a timer");
	callbacks->send_packet = send_to_guest;
	callbacks->guest_error = guest_error;
	callbacks->notify = notified;
	user_loop_callbacks(callbacks);
	user->slirp = user->library.new(&config, callbacks, user);
	if (!user->slirp)
		return cannot_open(user, -ENOTSUP,
				   config.disable_dhcp ? "needs libslirp 4.7 for --no-dhcp"
						       : "cannot start libslirp");
	err = forward(user);
	if (!err)
		user_loop_update(user);
	return err;
}

/* Once: a card that nobody asked for has no link where there is no library. */
static bool opened(struct net_user *user)
{
	if (user->slirp || user->failed)
		return user->slirp;
	user->failed = open_slirp(user) < 0;
	if (user->failed)
		net_set_link(user->net, false);
	return !user->failed;
}

/* --- the back end's class --- */

static int user_activate(struct virtio_net *net)
{
	(void)net;
	return 0;
}

/* Nothing of the driver's comes into libslirp's hands: it could change it while it is looked at. */
static int send_from_guest(struct virtio_net *net, unsigned pair, const struct virtq_chain *chain)
{
	struct net_user *user = net->user;
	size_t size = iov_read(chain->iov, chain->out, net->header, user->packet, NET_PACKET_MAX);

	(void)pair;
	if (opened(user))
		user->library.input(user->slirp, user->packet, (int)size);
	return 0;
}

static void user_transmit(struct virtio_net *net, struct virtq *vq)
{
	net_transmit(net, vq, send_from_guest);
	if (net->user->slirp)
		settle(net->user);
}

static void user_receive(struct virtio_net *net, struct net_rx *rx)
{
	struct net_user *user = net->user;

	(void)rx;
	if (!user->slirp)
		return;
	flush(user);
	settle(user);
}

static void user_stop_queue(struct virtio_net *net, struct virtq *vq)
{
	if (vq == net_rx_queue(net, 0))
		forget_backlog(net->user);
}

static void user_close(struct virtio_net *net)
{
	struct net_user *user = net->user;

	if (!user)
		return;
	if (user->slirp)
		user->library.cleanup(user->slirp);
	user_loop_close(user);
	forget_backlog(user);
	slirp_unload(&user->library);
	free(user->packet);
	free(user);
	net->user = NULL;
}

static const struct net_backend user_backend = {
	.activate = user_activate,
	.stop_queue = user_stop_queue,
	.receive = user_receive,
	.transmit = user_transmit,
	.close = user_close,
};

int net_user_create(struct virtio_net *net)
{
	struct net_user *user = calloc(1, sizeof(*user));

	net->backend = &user_backend;
	net->user = user;
	if (user)
		user->packet = malloc(NET_PACKET_MAX);
	if (!user || !user->packet)
		return report(-ENOMEM, "%s", net->name);
	user->net = net;
	return net->config->unasked ? 0 : open_slirp(user);
}

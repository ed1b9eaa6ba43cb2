/* SPDX-License-Identifier: GPL-2.0-only */
/* Network cards (virtio 1.2, 5.1): what -n/--network says of one. */
#ifndef LKVM_VIRTIO_NET_H
#define LKVM_VIRTIO_NET_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_NETWORK_PAIRS_MAX 16 /* of receive and transmit queues */
#define VIRTIO_NETWORK_MAC_SIZE  6

enum virtio_network_mode {
	VIRTIO_NETWORK_NONE, /* no card */
	VIRTIO_NETWORK_TAP,  /* a tap or macvtap interface of the host */
	VIRTIO_NETWORK_USER, /* libslirp: NAT by an ordinary process's sockets */
};

/* A port of the host's that leads to one of the guest's. Addresses 0.0.0.0: any, and the guest's own. */
struct virtio_network_forward {
	bool udp;
	struct in_addr host_ip, guest_ip;
	uint16_t host_port, guest_port;
};

struct virtio_network_config {
	enum virtio_network_mode mode;
	bool guest_mac_given, host_mac_given, guest_ip_given, host_ip_given;
	uint8_t guest_mac[VIRTIO_NETWORK_MAC_SIZE], host_mac[VIRTIO_NETWORK_MAC_SIZE];
	struct in_addr guest_ip, host_ip; /* of a network of 24 bits */
	char tapif[IFNAMSIZ];             /* an interface that is there; empty: one is made */
	const char *macvtap;              /* tapif=/dev/tapN, or NULL */
	const char *script, *downscript;  /* called with the interface's name, or NULL */
	const char *transport;            /* trans=, or NULL: as the machine's */
	int fd;                           /* of a tap that is open already, or -1 */
	bool vhost;
	unsigned pairs; /* mq=: of queues */
	bool no_dhcp;   /* VIRTIO_NETWORK_USER: the guest is given no address */
	bool unasked; /* nobody asked for it: opened when a driver comes, and what fails is only a warning */
	struct virtio_network_forward *forwards;
	size_t forward_count;
	char *text; /* what strings above point into */
};

/*
 * Parses "mode=tap|user|none,KEY=VALUE,...". What was allocated is the config's, also after a failure. -EINVAL, -ENOMEM,
 * reported with what is wrong. free accepts a zeroed one.
 */
int virtio_network_config_parse(struct virtio_network_config *config, const char *text);
void virtio_network_config_free(struct virtio_network_config *config);

#endif

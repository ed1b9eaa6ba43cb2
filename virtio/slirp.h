/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libslirp (a TCP/IP stack of a network behind NAT, by ordinary sockets), as lkvm finds it at run time: no build needs
 * it, and no run that has no mode=user. Its binary interface, libslirp.so.0, version 4.0 and later.
 */
#ifndef VIRTIO_SLIRP_H
#define VIRTIO_SLIRP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum slirp_poll {
	SLIRP_POLL_IN = 1 << 0,
	SLIRP_POLL_OUT = 1 << 1,
	SLIRP_POLL_PRI = 1 << 2,
	SLIRP_POLL_ERR = 1 << 3,
	SLIRP_POLL_HUP = 1 << 4,
};

/* What it calls, each with the `opaque` that slirp_new() was given. */
struct slirp_callbacks {
	ssize_t (*send_packet)(const void *packet, size_t size, void *opaque);
	void (*guest_error)(const char *message, void *opaque);
	int64_t (*clock_get_ns)(void *opaque);
	void *(*timer_new)(void (*expired)(void *timer_opaque), void *timer_opaque, void *opaque);
	void (*timer_free)(void *timer, void *opaque);
	void (*timer_mod)(void *timer, int64_t milliseconds, void *opaque);
	void (*register_poll_fd)(int fd, void *opaque);
	void (*unregister_poll_fd)(int fd, void *opaque);
	void (*notify)(void *opaque);
	/* From configuration version 4 on; NULL: not wanted. */
	void (*init_completed)(void *slirp, void *opaque);
	void *(*timer_new_opaque)(int id, void *timer_opaque, void *opaque);
};

#define SLIRP_VERSION_OLDEST       1
#define SLIRP_VERSION_DISABLE_DHCP 4

struct slirp_config {
	uint32_t version; /* up to which field this is valid */
	int restricted;
	bool in_enabled;
	struct in_addr network, netmask, host;
	bool in6_enabled;
	struct in6_addr prefix6;
	uint8_t prefix6_len;
	struct in6_addr host6;
	const char *hostname;
	const char *tftp_server_name, *tftp_path, *bootfile;
	struct in_addr dhcp_start, nameserver;
	struct in6_addr nameserver6;
	const char **dns_search;
	const char *domain_name;
	size_t mtu, mru; /* 0: 1500 */
	bool disable_host_loopback;
	bool enable_emulation;
	/* version 2 */
	struct sockaddr_in *outbound_addr;
	struct sockaddr_in6 *outbound_addr6;
	/* version 3 */
	bool disable_dns;
	/* version 4 */
	bool disable_dhcp;
};

/* The library and what is used of it. */
struct slirp_library {
	void *handle;
	void *(*new)(const struct slirp_config *config, const struct slirp_callbacks *callbacks,
		     void *opaque);
	void (*cleanup)(void *slirp);
	void (*pollfds_fill)(void *slirp, uint32_t *timeout,
			     int (*add_poll)(int fd, int events, void *opaque), void *opaque);
	void (*pollfds_poll)(void *slirp, int select_error,
			     int (*get_revents)(int index, void *opaque), void *opaque);
	void (*input)(void *slirp, const uint8_t *packet, int size);
	int (*add_hostfwd)(void *slirp, int is_udp, struct in_addr host_addr, int host_port,
			   struct in_addr guest_addr, int guest_port);
};

/* Loads it. Returns NULL, or what is wrong, in `why`'s buffer. close accepts one that failed. */
const char *slirp_load(struct slirp_library *library, char *why, size_t size);
void slirp_unload(struct slirp_library *library);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The front end's side of a vhost-user connection (QEMU, docs/interop/vhost-user.rst): messages and their replies, each
 * waited for a short time. Nothing is reported. After an error the connection is of no more use: -EPROTO where the back
 * end says what makes no sense, -ETIMEDOUT where it says nothing.
 */
#ifndef VIRTIO_VHOST_USER_H
#define VIRTIO_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>
#include <lkvm/guest_mem.h>
#include "virtq.h"

#define VHOST_USER_CONFIG_MAX 256

enum { /* of the protocol, not of the device */
       VHOST_USER_PROTOCOL_MQ = 1 << 0,
       VHOST_USER_PROTOCOL_REPLY_ACK = 1 << 3,
       VHOST_USER_PROTOCOL_CONFIG = 1 << 9,
};

struct vhost_user {
	int fd;            /* -1: none */
	uint64_t features; /* the back end's, of device and rings */
	uint64_t protocol; /* VHOST_USER_PROTOCOL_*, as agreed on */
};

/* Connects, and learns what the back end is. An end of the connection makes the fd ready. close accepts one that has none. */
int vhost_user_open(struct vhost_user *link, const struct sockaddr_un *address);
void vhost_user_close(struct vhost_user *link);

/* How many queues it has at most; 1 where it does not know. */
int vhost_user_queues(struct vhost_user *link, uint64_t *queues);
int vhost_user_config(struct vhost_user *link, void *config, size_t size);

/* The features in force, and where guest memory is, which must be shared. */
int vhost_user_set_up(struct vhost_user *link, uint64_t features, const struct guest_mem *ram);
/* Hands over a queue that virtq_start() has accepted; the back end begins at available entry `base`. */
int vhost_user_start_queue(struct vhost_user *link, const struct virtq *vq,
			   const struct guest_mem *ram, uint16_t base, int kick, int call);
/* Takes it back: nothing touches it any more. */
int vhost_user_stop_queue(struct vhost_user *link, const struct virtq *vq);
int vhost_user_set_call(struct vhost_user *link, const struct virtq *vq, int call);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets between host and guest (virtio 1.2, 5.10): what --vsock says. */
#ifndef LKVM_VIRTIO_VSOCK_H
#define LKVM_VIRTIO_VSOCK_H

#include <stdint.h>

/* Parses a context ID that a guest may have: 3 to 0xfffffffe. -EINVAL, reported. */
int virtio_vsock_cid_parse(uint32_t *cid, const char *text);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio device for tests of what all have in common: what it reads comes back, at once or, `hold` set, when
 * echo_release() says. It notes what it was asked.
 */
#ifndef VIRTIO_ECHO_H
#define VIRTIO_ECHO_H

#include "virtio/device.h"

#define ECHO_QUEUES   3
#define ECHO_SIZE     16 /* entries of a queue */
#define ECHO_CONFIG   12 /* bytes, of which the driver may write the first four */
#define ECHO_WRITABLE 4
#define ECHO_FEATURE  (1ULL << 3)
#define ECHO_HIGH     (1ULL << 50)

struct echo {
	struct virtio_device vdev;
	uint8_t config[ECHO_CONFIG];
	bool hold, refuses; /* refuses: activate() fails */
	struct virtq_chain held[ECHO_QUEUES];
	bool holds[ECHO_QUEUES]; /* a request of the queue is under way */
	unsigned activations, deactivations, handled[ECHO_QUEUES], stopped[ECHO_QUEUES];
	unsigned started[ECHO_QUEUES], calls_changed[ECHO_QUEUES];
	unsigned config_reads, config_writes;
	size_t written_offset, written_size;
};

/* id: VIRTIO_ID_*, 0: one that nobody has. The device is destroyed by its class. */
struct echo *echo_create(uint32_t id, const struct virtio_env *env);
/* What was held goes back. */
void echo_release(struct echo *echo);

/* On the rig: one as its device; a request of 8 bytes on a queue, which must be answered with what was asked, or not. */
struct echo *echo_on_rig(bool legacy);
void assert_echoes(unsigned queue);
void echo_ask(unsigned queue);

#endif

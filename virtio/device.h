/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio device but for its transport and its kind (virtio 1.2, 2): status, features, queues, configuration space.
 * A kind (blk.c, net.c, ...) embeds struct virtio_device, has one const class and one create(); a transport (pci.c,
 * mmio.c) turns the guest's register accesses into the calls below.
 *
 * Threads: a class's functions run under vdev->lock: handle_queue() and whatever it does on the loop's events on the main
 * thread, the others on any. Lock order: pci_function.lock, vdev->lock, irq_routes.lock.
 */
#ifndef VIRTIO_DEVICE_H
#define VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <lkvm/guest_mem.h>
#include <lkvm/loop.h>
#include "iov.h"
#include "virtq.h"

#define VIRTIO_QUEUES_MAX 64
#define VIRTIO_NO_VECTOR  0xffff

struct virtio_device;

/* What all devices are created with; stays the machine's. */
struct virtio_env {
	struct loop *loop;
	const struct guest_mem *ram;
	bool assigned; /* the machine has a device passed through: RAM is pinned */
};

struct virtio_device_class {
	uint32_t id; /* VIRTIO_ID_* (virtio 1.2, 5) */
	/* A driver is there: features are negotiated, queues started. -errno, reported: the device needs a reset. */
	int (*activate)(struct virtio_device *vdev);
	/* Requests of vq may be waiting. Serves at most what is there now; vq->broken afterwards is seen to. */
	void (*handle_queue)(struct virtio_device *vdev, struct virtq *vq);
	/*
	 * Ends what is under way, of one queue or of all: when it returns nothing of it touches guest memory or a used ring
	 * any more. stop NULL: nothing ever is. deactivate: after all queues were stopped, if it was activated.
	 */
	void (*stop_queue)(struct virtio_device *vdev, struct virtq *vq);
	void (*deactivate)(struct virtio_device *vdev);
	/* A stopped queue of an active device is there again, empty (ring reset). NULL: kicks tell enough. -errno, reported. */
	int (*start_queue)(struct virtio_device *vdev, struct virtq *vq);
	/* Before a read of config[], to bring it up to date; after a write to it, within config_size. NULL: neither. */
	void (*config_read)(struct virtio_device *vdev);
	void (*config_written)(struct virtio_device *vdev, size_t offset, size_t size);
	/* The queue's virtio_call_fd() has changed; NULL: who never asks for it. */
	void (*call_changed)(struct virtio_device *vdev, struct virtq *vq);
	/* Releases what create() made, and the struct. Deactivated, off the loop's transport. */
	void (*destroy)(struct virtio_device *vdev);
};

/* How a transport reaches the guest. Any thread, with vdev->lock held. */
struct virtio_transport_class {
	/* vq NULL: a configuration change. */
	void (*interrupt)(struct virtio_device *vdev, struct virtq *vq);
	/* An eventfd that interrupts for vq without lkvm, or -1: there is none now. */
	int (*call_fd)(struct virtio_device *vdev, struct virtq *vq);
};

struct virtio_queue {
	struct virtq vq;
	struct virtio_device *vdev;
	struct loop_source kick; /* an eventfd that the guest's notification counts up */
	uint16_t vector;         /* PCI: MSI-X vector, or VIRTIO_NO_VECTOR */
	bool enabled;            /* the driver said so; started at DRIVER_OK */
	bool renewed;            /* stopped since DRIVER_OK: may be set up once more */
	bool kick_taken;         /* virtio_take_kick_fd(): the eventfd is not ours to read */
};

struct virtio_device {
	const struct virtio_device_class *class;
	const struct virtio_env *env;
	const char *name; /* for messages, such as "disk root.img"; the device's own */
	pthread_mutex_t lock;
	uint8_t *
		config; /* the device configuration space (virtio 1.2, 2.5), little-endian; the device's own */
	size_t config_size;
	size_t config_writable; /* the driver may write below this offset */
	struct virtio_queue *queues;
	unsigned queue_count;

	uint64_t
		offered; /* the device's own features; device.c adds those of rings and transports */
	uint64_t withheld; /* of those that device.c would add: a back end lacks them */
	uint64_t accepted; /* by the driver, so far or for good */
	uint8_t status;    /* VIRTIO_CONFIG_S_* */
	uint32_t generation;
	uint32_t offered_select, accepted_select, queue_select;
	uint16_t config_vector;
	bool legacy; /* the driver uses the legacy interface */
	bool active;
	atomic_bool complained; /* report_once() */

	const struct virtio_transport_class *transport_class;
	void *transport;
};

/* --- for a kind --- */

/*
 * The common part of create(): lock, queue_count queues of queue_size entries with an eventfd each, on the loop.
 * class, env, name, config, offered are set before. -errno, reported. destroy is for class->destroy(); half-made is fine.
 */
int virtio_device_init(struct virtio_device *vdev, unsigned queue_count, uint16_t queue_size);
void virtio_device_fini(struct virtio_device *vdev);

static inline bool virtio_has(const struct virtio_device *vdev, unsigned feature)
{
	return vdev->accepted & 1ULL << feature;
}

static inline struct virtq *virtio_queue(struct virtio_device *vdev, unsigned index)
{
	return &vdev->queues[index].vq;
}

/* For events of a kind's own (completions, a tap): take the lock around all that touches the device, and end with this. */
void virtio_lock(struct virtio_device *vdev);
/* Sees to queues that broke meanwhile, then unlocks. */
void virtio_unlock(struct virtio_device *vdev);

/* Interrupts the driver for what was pushed, if it wants to be. Once a batch. */
void virtio_notify(struct virtio_device *vdev, struct virtq *vq);
/* config[] has changed: a new generation, and an interrupt for the driver (virtio 1.2, 2.5.1, 4.1.4.5). */
void virtio_config_changed(struct virtio_device *vdev);
/* The driver broke the rules: DEVICE_NEEDS_RESET (virtio 1.2, 2.1.2), one message for all of the device's life. */
void virtio_device_break(struct virtio_device *vdev, const char *why);

/* vhost: the fd that the guest's kicks count up, which the loop then leaves alone (or watches again). */
int virtio_take_kick_fd(struct virtio_device *vdev, struct virtq *vq);
void virtio_return_kick_fd(struct virtio_device *vdev, struct virtq *vq);
/* vhost: an fd that interrupts the driver for vq without lkvm, or -1: use virtio_interrupt_queue(). */
int virtio_call_fd(struct virtio_device *vdev, struct virtq *vq);
void virtio_interrupt_queue(struct virtio_device *vdev, struct virtq *vq);

/* --- for a transport; each takes the lock. Wrong selections read as 0 and are ignored in writes. --- */

uint32_t virtio_offered_features(struct virtio_device *vdev);  /* of 32, by offered_select */
uint32_t virtio_accepted_features(struct virtio_device *vdev); /* by accepted_select */
void virtio_accept_features(struct virtio_device *vdev, uint32_t value);
/* ConfigGeneration (virtio 1.2, 2.5.1): another value after each virtio_config_changed(). */
uint32_t virtio_config_generation(struct virtio_device *vdev);

uint8_t virtio_status(struct virtio_device *vdev);
/* The driver writes the status register; 0 is a reset, which is over when this returns. */
void virtio_set_status(struct virtio_device *vdev, uint8_t status);
void virtio_device_reset(struct virtio_device *vdev);

/* Registers of the selected queue; where there is no such queue all are 0, and the vector VIRTIO_NO_VECTOR. */
struct virtio_queue_state {
	uint16_t max, size; /* size: max until the driver chooses another */
	struct virtq_place place;
	uint16_t vector;
	bool enabled;
};

struct virtio_queue_state virtio_selected_queue(struct virtio_device *vdev);
void virtio_queue_set_size(struct virtio_device *vdev, uint32_t size);
enum virtq_part { VIRTQ_DESC, VIRTQ_DRIVER, VIRTQ_DEVICE };
/* One half of an address: high 0: bits 31-0, 1: bits 63-32. */
void virtio_queue_set_address(struct virtio_device *vdev, enum virtq_part part, bool high,
			      uint32_t value);
/* MMIO's QueueReady and PCI's queue_enable; PCI's never writes 0. */
void virtio_queue_set_enabled(struct virtio_device *vdev, bool enabled);
/* VIRTIO_F_RING_RESET (virtio 1.2, 2.6.1): stops the selected queue; as new when this returns. */
void virtio_queue_do_reset(struct virtio_device *vdev);
/* Legacy: the three parts one behind the other from page `pfn`, each `align` bytes aligned (virtio 1.2, 2.7.2). 0: none. */
void virtio_queue_set_legacy(struct virtio_device *vdev, uint32_t pfn, uint32_t page_size,
			     uint32_t align);
/* A vector for the selected queue; what the transport refused is VIRTIO_NO_VECTOR. */
void virtio_queue_set_vector(struct virtio_device *vdev, uint16_t vector);

/* The driver's access to the device configuration space; beyond its end reads 0. size: 1, 2, 4, 8. */
uint64_t virtio_config_read(struct virtio_device *vdev, uint64_t offset, unsigned size);
void virtio_config_write(struct virtio_device *vdev, uint64_t offset, unsigned size,
			 uint64_t value);

/* A notification that did not go by the queue's eventfd. */
void virtio_kick(struct virtio_device *vdev, uint32_t queue);

#endif

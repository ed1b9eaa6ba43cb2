// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kick costs an exit to the host's kernel, where KVM matches QueueNotify's value and counts up the queue's eventfd; what
 * no eventfd matches comes here and names no queue. The interrupt is a level that stays until the driver acknowledges all
 * that InterruptStatus says.
 */
#include <errno.h>
#include <stdlib.h>
#include <linux/virtio_mmio.h>
#include <lkvm/report.h>
#include "mmio.h"

#define MAGIC     0x74726976 /* "virt" */
#define VENDOR_ID 0x4d564b4c /* "LKVM" */
#define REGISTERS (VIRTIO_MMIO_CONFIG / 4)

/* The kinds that have a legacy interface: those older than virtio 1.0. */
#define LEGACY_KINDS                                                                               \
	(1u << VIRTIO_ID_NET | 1u << VIRTIO_ID_BLOCK | 1u << VIRTIO_ID_CONSOLE |                   \
	 1u << VIRTIO_ID_RNG | 1u << VIRTIO_ID_BALLOON | 1u << VIRTIO_ID_SCSI |                    \
	 1u << VIRTIO_ID_9P)

struct virtio_mmio {
	struct virtio_device *vdev;
	struct mmio_bus *bus;
	struct mmio_region region;
	uint32_t line;
	struct vm *vm; /* attached */
	struct irq_controller *irq;
	pthread_mutex_t lock; /* guards all below; taken after vdev->lock, nothing under it */
	uint32_t interrupt_status;
	uint32_t page_size, align; /* legacy: GuestPageSize, QueueAlign */
};

struct virtio_mmio_register {
	uint32_t (*read)(struct virtio_mmio *mmio);
	void (*write)(struct virtio_mmio *mmio, uint32_t value);
};

/* --- interrupts --- */

static void change_interrupts(struct virtio_mmio *mmio, uint32_t set, uint32_t clear)
{
	uint32_t before;

	pthread_mutex_lock(&mmio->lock);
	before = mmio->interrupt_status;
	mmio->interrupt_status = (before & ~clear) | set;
	if (!before != !mmio->interrupt_status)
		irq_set_level(mmio->irq, mmio->line, mmio->interrupt_status);
	pthread_mutex_unlock(&mmio->lock);
}

static void interrupt(struct virtio_device *vdev, struct virtq *vq)
{
	change_interrupts(vdev->transport, vq ? VIRTIO_MMIO_INT_VRING : VIRTIO_MMIO_INT_CONFIG, 0);
}

static const struct virtio_transport_class transport_class = { .interrupt = interrupt };

/* --- registers (virtio 1.2, 4.2.2) --- */

static uint32_t read_magic(struct virtio_mmio *mmio)
{
	(void)mmio;
	return MAGIC;
}

static uint32_t read_version(struct virtio_mmio *mmio)
{
	return mmio->vdev->legacy ? 1 : 2;
}

static uint32_t read_device_id(struct virtio_mmio *mmio)
{
	return mmio->vdev->class->id;
}

static uint32_t read_vendor_id(struct virtio_mmio *mmio)
{
	(void)mmio;
	return VENDOR_ID;
}

static uint32_t read_device_features(struct virtio_mmio *mmio)
{
	return virtio_offered_features(mmio->vdev);
}

static void write_select(struct virtio_mmio *mmio, uint32_t *select, uint32_t value)
{
	virtio_lock(mmio->vdev);
	*select = value;
	virtio_unlock(mmio->vdev);
}

static void write_device_features_sel(struct virtio_mmio *mmio, uint32_t value)
{
	write_select(mmio, &mmio->vdev->offered_select, value);
}

static void write_driver_features(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_accept_features(mmio->vdev, value);
}

static void write_driver_features_sel(struct virtio_mmio *mmio, uint32_t value)
{
	write_select(mmio, &mmio->vdev->accepted_select, value);
}

static void write_queue_sel(struct virtio_mmio *mmio, uint32_t value)
{
	write_select(mmio, &mmio->vdev->queue_select, value);
}

static uint32_t read_queue_num_max(struct virtio_mmio *mmio)
{
	return virtio_selected_queue(mmio->vdev).max;
}

static void write_queue_num(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_size(mmio->vdev, value);
}

static uint32_t read_queue_ready(struct virtio_mmio *mmio)
{
	return virtio_selected_queue(mmio->vdev).enabled;
}

static void write_queue_ready(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_enabled(mmio->vdev, value & 1);
}

static void write_queue_notify(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_kick(mmio->vdev, value);
}

static uint32_t read_interrupt_status(struct virtio_mmio *mmio)
{
	uint32_t status;

	pthread_mutex_lock(&mmio->lock);
	status = mmio->interrupt_status;
	pthread_mutex_unlock(&mmio->lock);
	return status;
}

static void write_interrupt_ack(struct virtio_mmio *mmio, uint32_t value)
{
	change_interrupts(mmio, 0, value);
}

static uint32_t read_status(struct virtio_mmio *mmio)
{
	return virtio_status(mmio->vdev);
}

/* What the driver has written to GuestPageSize outlives a reset: Linux writes it once, before its first. */
static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_set_status(mmio->vdev, (uint8_t)value);
	if (!(uint8_t)value)
		change_interrupts(mmio, 0, ~0u);
}

static void write_queue_desc_low(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_address(mmio->vdev, VIRTQ_DESC, false, value);
}

static void write_queue_desc_high(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_address(mmio->vdev, VIRTQ_DESC, true, value);
}

static void write_queue_driver_low(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_address(mmio->vdev, VIRTQ_DRIVER, false, value);
}

static void write_queue_driver_high(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_address(mmio->vdev, VIRTQ_DRIVER, true, value);
}

static void write_queue_device_low(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_address(mmio->vdev, VIRTQ_DEVICE, false, value);
}

static void write_queue_device_high(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_queue_set_address(mmio->vdev, VIRTQ_DEVICE, true, value);
}

/* No device has shared memory: a length of all ones (virtio 1.2, 4.2.2.1). */
static uint32_t read_shm(struct virtio_mmio *mmio)
{
	(void)mmio;
	return ~0u;
}

static void write_queue_reset(struct virtio_mmio *mmio, uint32_t value)
{
	if (value & 1)
		virtio_queue_do_reset(mmio->vdev);
}

static uint32_t read_config_generation(struct virtio_mmio *mmio)
{
	return virtio_config_generation(mmio->vdev);
}

/* --- registers of version 1 alone (virtio 1.2, 4.2.4) --- */

static void write_guest_page_size(struct virtio_mmio *mmio, uint32_t value)
{
	pthread_mutex_lock(&mmio->lock);
	mmio->page_size = value;
	pthread_mutex_unlock(&mmio->lock);
}

static void write_queue_align(struct virtio_mmio *mmio, uint32_t value)
{
	pthread_mutex_lock(&mmio->lock);
	mmio->align = value;
	pthread_mutex_unlock(&mmio->lock);
}

static uint32_t read_queue_pfn(struct virtio_mmio *mmio)
{
	struct virtio_queue_state queue = virtio_selected_queue(mmio->vdev);
	uint32_t page_size;

	pthread_mutex_lock(&mmio->lock);
	page_size = mmio->page_size;
	pthread_mutex_unlock(&mmio->lock);
	return queue.enabled && page_size ? (uint32_t)(queue.place.desc / page_size) : 0;
}

static void write_queue_pfn(struct virtio_mmio *mmio, uint32_t value)
{
	uint32_t page_size, align;

	pthread_mutex_lock(&mmio->lock);
	page_size = mmio->page_size;
	align = mmio->align;
	pthread_mutex_unlock(&mmio->lock);
	virtio_queue_set_legacy(mmio->vdev, value, page_size, align);
}

#define COMMON_REGISTERS                                                                           \
	[VIRTIO_MMIO_MAGIC_VALUE /                                                                 \
		4] = { read_magic, NULL },                                                         \
		[VIRTIO_MMIO_VERSION / 4] = { read_version, NULL },                                \
		[VIRTIO_MMIO_DEVICE_ID / 4] = { read_device_id, NULL },                            \
		[VIRTIO_MMIO_VENDOR_ID / 4] = { read_vendor_id, NULL },                            \
		[VIRTIO_MMIO_DEVICE_FEATURES / 4] = { read_device_features, NULL },                \
		[VIRTIO_MMIO_DEVICE_FEATURES_SEL / 4] = { NULL, write_device_features_sel },       \
		[VIRTIO_MMIO_DRIVER_FEATURES / 4] = { NULL, write_driver_features },               \
		[VIRTIO_MMIO_DRIVER_FEATURES_SEL / 4] = { NULL, write_driver_features_sel },       \
		[VIRTIO_MMIO_QUEUE_SEL / 4] = { NULL, write_queue_sel },                           \
		[VIRTIO_MMIO_QUEUE_NUM_MAX / 4] = { read_queue_num_max, NULL },                    \
		[VIRTIO_MMIO_QUEUE_NUM / 4] = { NULL, write_queue_num },                           \
		[VIRTIO_MMIO_QUEUE_NOTIFY / 4] = { NULL, write_queue_notify },                     \
		[VIRTIO_MMIO_INTERRUPT_STATUS / 4] = { read_interrupt_status, NULL },              \
		[VIRTIO_MMIO_INTERRUPT_ACK / 4] = { NULL, write_interrupt_ack },                   \
		[VIRTIO_MMIO_STATUS / 4] = { read_status, write_status }

static const struct virtio_mmio_register registers[REGISTERS] = {
	COMMON_REGISTERS,
	[VIRTIO_MMIO_QUEUE_READY / 4] = { read_queue_ready, write_queue_ready },
	[VIRTIO_MMIO_QUEUE_DESC_LOW / 4] = { NULL, write_queue_desc_low },
	[VIRTIO_MMIO_QUEUE_DESC_HIGH / 4] = { NULL, write_queue_desc_high },
	[VIRTIO_MMIO_QUEUE_AVAIL_LOW / 4] = { NULL, write_queue_driver_low },
	[VIRTIO_MMIO_QUEUE_AVAIL_HIGH / 4] = { NULL, write_queue_driver_high },
	[VIRTIO_MMIO_QUEUE_USED_LOW / 4] = { NULL, write_queue_device_low },
	[VIRTIO_MMIO_QUEUE_USED_HIGH / 4] = { NULL, write_queue_device_high },
	[VIRTIO_MMIO_SHM_LEN_LOW / 4] = { read_shm, NULL },
	[VIRTIO_MMIO_SHM_LEN_HIGH / 4] = { read_shm, NULL },
	[VIRTIO_MMIO_SHM_BASE_LOW / 4] = { read_shm, NULL },
	[VIRTIO_MMIO_SHM_BASE_HIGH / 4] = { read_shm, NULL },
	[0x0c0 / 4] = { NULL, write_queue_reset }, /* QueueReset: reads 0, as it is over at once */
	[VIRTIO_MMIO_CONFIG_GENERATION / 4] = { read_config_generation, NULL },
};

static const struct virtio_mmio_register legacy_registers[REGISTERS] = {
	COMMON_REGISTERS,
	[VIRTIO_MMIO_GUEST_PAGE_SIZE / 4] = { NULL, write_guest_page_size },
	[VIRTIO_MMIO_QUEUE_ALIGN / 4] = { NULL, write_queue_align },
	[VIRTIO_MMIO_QUEUE_PFN / 4] = { read_queue_pfn, write_queue_pfn },
};

/* Registers are accessed 32 bits at a time (virtio 1.2, 4.2.2.2): NULL for anything else. */
static const struct virtio_mmio_register *find(const struct virtio_mmio *mmio, uint64_t offset,
					       unsigned size)
{
	if (size != 4 || offset % 4)
		return NULL;
	return mmio->vdev->legacy ? &legacy_registers[offset / 4] : &registers[offset / 4];
}

static uint64_t mmio_read(void *device, uint64_t offset, unsigned size)
{
	struct virtio_mmio *mmio = device;
	const struct virtio_mmio_register *reg;

	if (offset >= VIRTIO_MMIO_CONFIG)
		return virtio_config_read(mmio->vdev, offset - VIRTIO_MMIO_CONFIG, size);
	reg = find(mmio, offset, size);
	return reg && reg->read ? reg->read(mmio) : 0;
}

static void mmio_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_mmio *mmio = device;
	const struct virtio_mmio_register *reg;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		virtio_config_write(mmio->vdev, offset - VIRTIO_MMIO_CONFIG, size, value);
		return;
	}
	reg = find(mmio, offset, size);
	if (reg && reg->write)
		reg->write(mmio, (uint32_t)value);
}

static const struct mmio_ops ops = { .read = mmio_read, .write = mmio_write };

/* --- creation --- */

int virtio_mmio_create(struct virtio_mmio **mmio, struct virtio_device *vdev, struct mmio_bus *bus,
		       uint64_t base, bool legacy)
{
	struct virtio_mmio *new = malloc(sizeof(*new));
	int err;

	if (!new)
		return report(-ENOMEM, "cannot make registers for %s", vdev->name);
	*new = (struct virtio_mmio){
		.vdev = vdev,
		.bus = bus,
		.region = { vdev->name, base, VIRTIO_MMIO_SIZE, &ops, new },
	};
	err = mmio_bus_add(bus, &new->region);
	if (err) {
		free(new);
		return report(err, "cannot put %s on the bus", vdev->name);
	}
	pthread_mutex_init(&new->lock, NULL);
	vdev->legacy = legacy && vdev->class->id < 32 && LEGACY_KINDS & 1u << vdev->class->id;
	vdev->transport_class = &transport_class;
	vdev->transport = new;
	*mmio = new;
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *mmio)
{
	if (!mmio)
		return;
	mmio_bus_remove(mmio->bus, &mmio->region);
	mmio->vdev->transport_class = NULL;
	pthread_mutex_destroy(&mmio->lock);
	free(mmio);
}

void virtio_mmio_set_line(struct virtio_mmio *mmio, uint32_t line)
{
	mmio->line = line;
}

void virtio_mmio_where(const struct virtio_mmio *mmio, uint64_t *base, uint32_t *line)
{
	*base = mmio->region.base;
	*line = mmio->line;
}

/* Where KVM has no room for one more, kicks of that queue exit to write_queue_notify(). */
static void set_ioeventfds(struct virtio_mmio *mmio, bool assign)
{
	for (unsigned i = 0; i < mmio->vdev->queue_count; i++) {
		const struct vm_ioeventfd kick = {
			.gpa = mmio->region.base + VIRTIO_MMIO_QUEUE_NOTIFY,
			.size = 4,
			.match = true,
			.value = i,
			.fd = mmio->vdev->queues[i].kick.fd,
		};

		vm_ioeventfd(mmio->vm, &kick, assign);
	}
}

void virtio_mmio_attach(struct virtio_mmio *mmio, struct vm *vm, struct irq_controller *irq)
{
	mmio->vm = vm;
	mmio->irq = irq;
	set_ioeventfds(mmio, true);
}

void virtio_mmio_detach(struct virtio_mmio *mmio)
{
	if (!mmio->vm)
		return;
	set_ioeventfds(mmio, false);
	virtio_device_reset(mmio->vdev);
	change_interrupts(mmio, 0, ~0u);
	mmio->page_size = mmio->align = 0;
	mmio->vm = NULL;
	mmio->irq = NULL;
}

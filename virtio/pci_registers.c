// SPDX-License-Identifier: GPL-2.0-only
#include <linux/virtio_pci.h>
#include "pci_registers.h"

struct pci_register {
	uint8_t offset, width; /* bytes */
	uint32_t (*read)(struct virtio_pci *pci);
	void (*write)(struct virtio_pci *pci, uint32_t value);
};

/* --- fields of both interfaces --- */

/* Of the two interfaces of a transitional device the driver uses the one through which it sets the device up. */
static void use_interface(struct virtio_pci *pci, bool legacy)
{
	struct virtio_device *vdev = pci->vdev;

	if (!pci->transitional)
		return;
	virtio_lock(vdev);
	if (!vdev->active &&
	    !(vdev->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK)))
		vdev->legacy = legacy;
	virtio_unlock(vdev);
}

/* The driver chooses what the registers beside it are about. */
static void choose(struct virtio_pci *pci, uint32_t *select, uint32_t value)
{
	virtio_lock(pci->vdev);
	*select = value;
	virtio_unlock(pci->vdev);
}

static uint32_t chosen(struct virtio_pci *pci, const uint32_t *select)
{
	uint32_t value;

	virtio_lock(pci->vdev);
	value = *select;
	virtio_unlock(pci->vdev);
	return value;
}

static uint32_t read_offered(struct virtio_pci *pci)
{
	return virtio_offered_features(pci->vdev);
}

static uint32_t read_accepted(struct virtio_pci *pci)
{
	return virtio_accepted_features(pci->vdev);
}

static void write_accepted(struct virtio_pci *pci, uint32_t value)
{
	virtio_accept_features(pci->vdev, value);
}

static uint32_t read_status(struct virtio_pci *pci)
{
	return virtio_status(pci->vdev);
}

/* A device that was reset interrupts no more. */
static void write_status(struct virtio_pci *pci, uint32_t value)
{
	virtio_set_status(pci->vdev, (uint8_t)value);
	if (!value)
		virtio_pci_read_isr(pci);
}

static uint32_t read_queue_select(struct virtio_pci *pci)
{
	return chosen(pci, &pci->vdev->queue_select);
}

static void write_queue_select(struct virtio_pci *pci, uint32_t value)
{
	choose(pci, &pci->vdev->queue_select, value);
}

/* What there is no vector for reads back as none (virtio 1.2, 4.1.5.1.2). */
static uint16_t usable_vector(const struct virtio_pci *pci, uint32_t value)
{
	return value < pci->msix.table.vectors ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

static uint32_t read_config_vector(struct virtio_pci *pci)
{
	uint32_t vector;

	virtio_lock(pci->vdev);
	vector = pci->vdev->config_vector;
	virtio_unlock(pci->vdev);
	return vector;
}

static void write_config_vector(struct virtio_pci *pci, uint32_t value)
{
	virtio_lock(pci->vdev);
	pci->vdev->config_vector = usable_vector(pci, value);
	virtio_unlock(pci->vdev);
}

static uint32_t read_queue_vector(struct virtio_pci *pci)
{
	return virtio_selected_queue(pci->vdev).vector;
}

static void write_queue_vector(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_vector(pci->vdev, usable_vector(pci, value));
}

/* --- the common configuration structure --- */

static uint32_t read_offered_select(struct virtio_pci *pci)
{
	return chosen(pci, &pci->vdev->offered_select);
}

static void write_offered_select(struct virtio_pci *pci, uint32_t value)
{
	choose(pci, &pci->vdev->offered_select, value);
}

static uint32_t read_accepted_select(struct virtio_pci *pci)
{
	return chosen(pci, &pci->vdev->accepted_select);
}

static void write_accepted_select(struct virtio_pci *pci, uint32_t value)
{
	choose(pci, &pci->vdev->accepted_select, value);
}

static uint32_t read_num_queues(struct virtio_pci *pci)
{
	return pci->vdev->queue_count;
}

static uint32_t read_generation(struct virtio_pci *pci)
{
	return virtio_config_generation(pci->vdev);
}

static uint32_t read_queue_size(struct virtio_pci *pci)
{
	return virtio_selected_queue(pci->vdev).size;
}

static void write_queue_size(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_size(pci->vdev, value);
}

static uint32_t read_queue_enable(struct virtio_pci *pci)
{
	return virtio_selected_queue(pci->vdev).enabled;
}

/* Only 1 has a meaning (virtio 1.2, 4.1.4.3.2). */
static void write_queue_enable(struct virtio_pci *pci, uint32_t value)
{
	if (value == 1)
		virtio_queue_set_enabled(pci->vdev, true);
}

static uint32_t read_notify_off(struct virtio_pci *pci)
{
	uint32_t queue = read_queue_select(pci);

	return queue < pci->vdev->queue_count ? queue : 0;
}

static uint32_t read_desc_low(struct virtio_pci *pci)
{
	return (uint32_t)virtio_selected_queue(pci->vdev).place.desc;
}

static uint32_t read_desc_high(struct virtio_pci *pci)
{
	return (uint32_t)(virtio_selected_queue(pci->vdev).place.desc >> 32);
}

static uint32_t read_driver_low(struct virtio_pci *pci)
{
	return (uint32_t)virtio_selected_queue(pci->vdev).place.driver;
}

static uint32_t read_driver_high(struct virtio_pci *pci)
{
	return (uint32_t)(virtio_selected_queue(pci->vdev).place.driver >> 32);
}

static uint32_t read_device_low(struct virtio_pci *pci)
{
	return (uint32_t)virtio_selected_queue(pci->vdev).place.device;
}

static uint32_t read_device_high(struct virtio_pci *pci)
{
	return (uint32_t)(virtio_selected_queue(pci->vdev).place.device >> 32);
}

static void write_desc_low(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_address(pci->vdev, VIRTQ_DESC, false, value);
}

static void write_desc_high(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_address(pci->vdev, VIRTQ_DESC, true, value);
}

static void write_driver_low(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_address(pci->vdev, VIRTQ_DRIVER, false, value);
}

static void write_driver_high(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_address(pci->vdev, VIRTQ_DRIVER, true, value);
}

static void write_device_low(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_address(pci->vdev, VIRTQ_DEVICE, false, value);
}

static void write_device_high(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_address(pci->vdev, VIRTQ_DEVICE, true, value);
}

/* A queue is reset when the write returns: queue_reset always reads 0 (virtio 1.2, 4.1.4.3.1). */
static void write_queue_reset(struct virtio_pci *pci, uint32_t value)
{
	if (value == 1)
		virtio_queue_do_reset(pci->vdev);
}

/* Without VIRTIO_F_NOTIF_CONFIG_DATA and VIRTIO_F_ADMIN_VQ there is no register behind queue_reset. */
static const struct pci_register common_registers[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, read_offered_select, write_offered_select },
	{ VIRTIO_PCI_COMMON_DF, 4, read_offered, NULL },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, read_accepted_select, write_accepted_select },
	{ VIRTIO_PCI_COMMON_GF, 4, read_accepted, write_accepted },
	{ VIRTIO_PCI_COMMON_MSIX, 2, read_config_vector, write_config_vector },
	{ VIRTIO_PCI_COMMON_NUMQ, 2, read_num_queues, NULL },
	{ VIRTIO_PCI_COMMON_STATUS, 1, read_status, write_status },
	{ VIRTIO_PCI_COMMON_CFGGENERATION, 1, read_generation, NULL },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, read_queue_select, write_queue_select },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, read_queue_size, write_queue_size },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, read_queue_vector, write_queue_vector },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, read_queue_enable, write_queue_enable },
	{ VIRTIO_PCI_COMMON_Q_NOFF, 2, read_notify_off, NULL },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, read_desc_low, write_desc_low },
	{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, read_desc_high, write_desc_high },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, read_driver_low, write_driver_low },
	{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4, read_driver_high, write_driver_high },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, read_device_low, write_device_low },
	{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, read_device_high, write_device_high },
	{ VIRTIO_PCI_COMMON_Q_RESET, 2, NULL, write_queue_reset },
};

/* --- the legacy interface --- */

static uint32_t read_queue_max(struct virtio_pci *pci)
{
	return virtio_selected_queue(pci->vdev).max;
}

static uint32_t read_pfn(struct virtio_pci *pci)
{
	struct virtio_queue_state queue = virtio_selected_queue(pci->vdev);

	return queue.enabled ? (uint32_t)(queue.place.desc >> VIRTIO_PCI_QUEUE_ADDR_SHIFT) : 0;
}

static void write_pfn(struct virtio_pci *pci, uint32_t value)
{
	virtio_queue_set_legacy(pci->vdev, value, 1U << VIRTIO_PCI_QUEUE_ADDR_SHIFT,
				VIRTIO_PCI_VRING_ALIGN);
}

static void write_notify(struct virtio_pci *pci, uint32_t value)
{
	virtio_kick(pci->vdev, value);
}

static uint32_t read_isr(struct virtio_pci *pci)
{
	return virtio_pci_read_isr(pci);
}

static const struct pci_register legacy_registers[] = {
	{ VIRTIO_PCI_HOST_FEATURES, 4, read_offered, NULL },
	{ VIRTIO_PCI_GUEST_FEATURES, 4, read_accepted, write_accepted },
	{ VIRTIO_PCI_QUEUE_PFN, 4, read_pfn, write_pfn },
	{ VIRTIO_PCI_QUEUE_NUM, 2, read_queue_max, NULL },
	{ VIRTIO_PCI_QUEUE_SEL, 2, read_queue_select, write_queue_select },
	{ VIRTIO_PCI_QUEUE_NOTIFY, 2, NULL, write_notify },
	{ VIRTIO_PCI_STATUS, 1, read_status, write_status },
	{ VIRTIO_PCI_ISR, 1, read_isr, NULL },
	/* There only while MSI-X is enabled; else the device configuration space starts here. */
	{ VIRTIO_MSI_CONFIG_VECTOR, 2, read_config_vector, write_config_vector },
	{ VIRTIO_MSI_QUEUE_VECTOR, 2, read_queue_vector, write_queue_vector },
};

/* --- accesses --- */

static const struct pci_register *find(const struct pci_register *registers, size_t count,
				       uint64_t offset, unsigned size)
{
	for (size_t i = 0; i < count; i++)
		if (registers[i].offset == offset)
			return registers[i].width == size ? &registers[i] : NULL;
	return NULL;
}

static const struct pci_register *find_common(uint64_t offset, unsigned size)
{
	return find(common_registers, sizeof(common_registers) / sizeof(common_registers[0]),
		    offset, size);
}

static const struct pci_register *find_legacy(uint64_t offset, unsigned size)
{
	return find(legacy_registers, sizeof(legacy_registers) / sizeof(legacy_registers[0]),
		    offset, size);
}

uint64_t virtio_pci_common_read(struct virtio_pci *pci, uint64_t offset, unsigned size)
{
	const struct pci_register *reg;

	if (size == 8)
		return virtio_pci_common_read(pci, offset, 4) |
		       virtio_pci_common_read(pci, offset + 4, 4) << 32;
	reg = find_common(offset, size);
	if (!reg || !reg->read)
		return 0;
	use_interface(pci, false);
	return reg->read(pci);
}

void virtio_pci_common_write(struct virtio_pci *pci, uint64_t offset, unsigned size, uint64_t value)
{
	const struct pci_register *reg;

	if (size == 8) {
		virtio_pci_common_write(pci, offset, 4, (uint32_t)value);
		virtio_pci_common_write(pci, offset + 4, 4, value >> 32);
		return;
	}
	reg = find_common(offset, size);
	if (!reg || !reg->write)
		return;
	use_interface(pci, false);
	reg->write(pci, (uint32_t)value);
}

static unsigned legacy_config_at(const struct virtio_pci *pci)
{
	return VIRTIO_PCI_CONFIG_OFF(pci_msix_enabled(&pci->msix));
}

uint64_t virtio_pci_legacy_read(struct virtio_pci *pci, uint64_t offset, unsigned size)
{
	unsigned config = legacy_config_at(pci);
	const struct pci_register *reg;

	use_interface(pci, true);
	if (offset >= config)
		return virtio_config_read(pci->vdev, offset - config, size);
	reg = find_legacy(offset, size);
	return reg && reg->read ? reg->read(pci) : 0;
}

void virtio_pci_legacy_write(struct virtio_pci *pci, uint64_t offset, unsigned size, uint64_t value)
{
	unsigned config = legacy_config_at(pci);
	const struct pci_register *reg;

	use_interface(pci, true);
	if (offset >= config) {
		virtio_config_write(pci->vdev, offset - config, size, value);
		return;
	}
	reg = find_legacy(offset, size);
	if (reg && reg->write)
		reg->write(pci, (uint32_t)value);
}

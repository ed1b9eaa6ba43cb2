// SPDX-License-Identifier: GPL-2.0-only
/* All of a machine's virtio devices, together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include <lkvm/virtio.h>
#include "9p.h"
#include "back_end.h"
#include "balloon.h"
#include "blk.h"
#include "console.h"
#include "device.h"
#include "mmio.h"
#include "net.h"
#include "pci.h"
#include "rng.h"
#include "vsock.h"

/* One device and what it hangs on: on one of the buses, once it is there. */
struct placed_device {
	struct virtio_device *vdev;
	enum virtio_transport transport;
	struct virtio_pci *pci;
	struct virtio_mmio *mmio;
};

struct virtio {
	const struct virtio_config *config;
	struct virtio_env env;
	struct placed_device *devices; /* in the order of the guest's buses */
	size_t count, asked;           /* the first `asked` of them were asked for */
};

int virtio_transport_parse(enum virtio_transport *transport, const char *text)
{
	static const struct {
		const char *name;
		enum virtio_transport transport;
	} transports[] = {
		{ "pci", VIRTIO_PCI },
		{ "pci-legacy", VIRTIO_PCI_LEGACY },
		{ "mmio", VIRTIO_MMIO },
		{ "mmio-legacy", VIRTIO_MMIO_LEGACY },
	};

	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		if (strcmp(text, transports[i].name) != 0)
			continue;
		*transport = transports[i].transport;
		return 0;
	}
	return -EINVAL;
}

/* --- creation: in the order that the guest finds them in --- */

/* Takes what a kind's create() made, or hands its failure on. */
static int add(struct virtio *virtio, int err, struct virtio_device *const *vdev)
{
	struct placed_device *grown;

	if (err)
		return err;
	grown = reallocarray(virtio->devices, virtio->count + 1, sizeof(*grown));
	if (!grown) {
		report(-ENOMEM, "no memory for %s", (*vdev)->name);
		(*vdev)->class->destroy(*vdev);
		return -ENOMEM;
	}
	virtio->devices = grown;
	grown[virtio->count++] = (struct placed_device){
		.vdev = *vdev,
		.transport = virtio->config->transport,
	};
	return 0;
}

static int create_disks(struct virtio *virtio)
{
	const struct virtio_config *config = virtio->config;
	struct virtio_device *vdev;
	int err = 0;

	for (size_t i = 0; i < config->disk_count && !err; i++)
		err = add(virtio, blk_create(&vdev, &config->disks[i], &virtio->env), &vdev);
	return err;
}

/* A card may be on another bus than the other devices. */
static int create_network(struct virtio *virtio, unsigned index)
{
	const struct virtio_network_config *network = &virtio->config->networks[index];
	struct virtio_device *vdev;
	int err;

	if (network->mode == VIRTIO_NETWORK_NONE)
		return 0;
	err = add(virtio, net_create(&vdev, network, index, &virtio->env), &vdev);
	if (!err && network->transport)
		virtio_transport_parse(&virtio->devices[virtio->count - 1].transport,
				       network->transport);
	return err;
}

static int create_networks(struct virtio *virtio, bool unasked)
{
	int err = 0;

	for (unsigned i = 0; i < virtio->config->network_count && !err; i++)
		if (virtio->config->networks[i].unasked == unasked)
			err = create_network(virtio, i);
	return err;
}

static int create_shares(struct virtio *virtio)
{
	const struct virtio_config *config = virtio->config;
	struct virtio_device *vdev;
	int err = 0;

	for (size_t i = 0; i < config->share_count && !err; i++)
		err = add(virtio, p9_create(&vdev, &config->shares[i], &virtio->env), &vdev);
	return err;
}

static int create_vsock(struct virtio *virtio)
{
	uint32_t cid = virtio->config->vsock_cid;
	struct virtio_device *vdev;

	return cid ? add(virtio, vsock_create(&vdev, cid, &virtio->env), &vdev) : 0;
}

static int create_console(struct virtio *virtio)
{
	struct virtio_device *vdev;

	if (!virtio->config->terminal)
		return 0;
	return add(virtio, console_create(&vdev, virtio->config->terminal, &virtio->env), &vdev);
}

static int create_rng_and_balloon(struct virtio *virtio)
{
	const struct virtio_config *config = virtio->config;
	struct virtio_device *vdev;
	int err = 0;

	if (config->rng)
		err = add(virtio, rng_create(&vdev, &virtio->env), &vdev);
	if (!err && (config->balloon || config->balloon_control))
		err = add(virtio, balloon_create(&vdev, config->balloon_control, &virtio->env),
			  &vdev);
	return err;
}

static int create_back_ends(struct virtio *virtio)
{
	const struct virtio_config *config = virtio->config;
	struct virtio_device *vdev;
	int err = 0;

	for (size_t i = 0; i < config->back_end_count && !err; i++)
		err = add(virtio, back_end_create(&vdev, &config->back_ends[i], &virtio->env),
			  &vdev);
	return err;
}

static int create_devices(struct virtio *virtio)
{
	int err = create_disks(virtio);

	if (!err)
		err = create_networks(virtio, false);
	if (!err)
		err = create_shares(virtio);
	if (!err)
		err = create_vsock(virtio);
	if (!err)
		err = create_console(virtio);
	if (!err)
		err = create_rng_and_balloon(virtio);
	if (!err)
		err = create_back_ends(virtio);
	virtio->asked = virtio->count;
	if (!err)
		err = create_networks(virtio, true);
	return err;
}

int virtio_create(struct virtio **virtio, const struct virtio_config *config, struct loop *loop,
		  const struct guest_mem *ram)
{
	struct virtio *new = malloc(sizeof(*new));
	int err;

	if (!new)
		return report(-ENOMEM, "no memory for virtio devices");
	*new = (struct virtio){
		.config = config,
		.env = { .loop = loop, .ram = ram, .assigned = config->assigned },
	};
	err = create_devices(new);
	if (err) {
		virtio_destroy(new);
		return err;
	}
	*virtio = new;
	return 0;
}

void virtio_destroy(struct virtio *virtio)
{
	if (!virtio)
		return;
	virtio_detach(virtio);
	for (size_t i = virtio->count; i-- > 0;) {
		struct placed_device *device = &virtio->devices[i];

		virtio_pci_destroy(device->pci);
		virtio_mmio_destroy(device->mmio);
		device->vdev->class->destroy(device->vdev);
	}
	free(virtio->devices);
	free(virtio);
}

/* --- the machine's buses --- */

static bool on_pci(const struct placed_device *device)
{
	return device->transport == VIRTIO_PCI || device->transport == VIRTIO_PCI_LEGACY;
}

static uint64_t next_mmio_base(const struct virtio *virtio)
{
	uint64_t base = MAP_VIRTIO_BASE;

	for (size_t i = 0; i < virtio->count; i++)
		if (virtio->devices[i].mmio)
			base += MAP_VIRTIO_STRIDE;
	return base;
}

static int add_to_bus(const struct virtio *virtio, struct placed_device *device,
		      struct pci_bus *pci, int devfn, struct mmio_bus *mmio)
{
	if (on_pci(device))
		return virtio_pci_create(&device->pci, device->vdev, pci, devfn,
					 device->transport == VIRTIO_PCI_LEGACY);
	return virtio_mmio_create(&device->mmio, device->vdev, mmio, next_mmio_base(virtio),
				  device->transport == VIRTIO_MMIO_LEGACY);
}

int virtio_add_to_bus(struct virtio *virtio, struct pci_bus *pci, struct mmio_bus *mmio)
{
	int err = 0;

	for (size_t i = 0; i < virtio->asked && !err; i++)
		err = add_to_bus(virtio, &virtio->devices[i], pci, -1, mmio);
	return err;
}

int virtio_add_unasked_to_bus(struct virtio *virtio, struct pci_bus *pci, struct mmio_bus *mmio)
{
	int err = 0;

	for (size_t i = virtio->asked; i < virtio->count && !err; i++) {
		struct placed_device *device = &virtio->devices[i];
		int devfn = pci_bus_last_devfn(pci);

		if (on_pci(device) && devfn < 0)
			report_info("%s: left out, the guest's PCI bus has no free slot",
				    device->vdev->name);
		else
			err = add_to_bus(virtio, device, pci, devfn, mmio);
	}
	return err;
}

unsigned virtio_assign_lines(struct virtio *virtio, uint32_t first)
{
	uint32_t line = first;

	for (size_t i = 0; i < virtio->count; i++)
		if (virtio->devices[i].mmio)
			virtio_mmio_set_line(virtio->devices[i].mmio, line++);
	return line - first;
}

bool virtio_mmio_device(const struct virtio *virtio, unsigned n, uint64_t *base, uint32_t *line)
{
	for (size_t i = 0; i < virtio->count; i++) {
		if (!virtio->devices[i].mmio || n-- > 0)
			continue;
		virtio_mmio_where(virtio->devices[i].mmio, base, line);
		return true;
	}
	return false;
}

/* --- the VM --- */

int virtio_attach(struct virtio *virtio, struct vm *vm, struct irq_routes *routes,
		  struct irq_controller *irq)
{
	int err = 0;

	for (size_t i = 0; i < virtio->count && !err; i++) {
		struct placed_device *device = &virtio->devices[i];

		if (device->mmio)
			virtio_mmio_attach(device->mmio, vm, irq);
		else if (device->pci)
			err = virtio_pci_attach(device->pci, vm, routes, irq);
	}
	if (err)
		virtio_detach(virtio);
	return err;
}

void virtio_detach(struct virtio *virtio)
{
	for (size_t i = 0; i < virtio->count; i++) {
		struct placed_device *device = &virtio->devices[i];

		if (device->mmio)
			virtio_mmio_detach(device->mmio);
		else if (device->pci)
			virtio_pci_detach(device->pci);
	}
}

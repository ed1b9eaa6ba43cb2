// SPDX-License-Identifier: GPL-2.0-only
/* All of a machine's passed-through devices, together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "container.h"
#include "hindrance.h"

static int refuse_duplicates(const struct vfio_device_config *configs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++) {
			if (!strcmp(configs[i].bdf, configs[j].bdf))
				return refuse(-EINVAL, "--vfio-pci names %s twice", configs[i].bdf);
			if (configs[i].guest_devfn >= 0 &&
			    configs[i].guest_devfn == configs[j].guest_devfn)
				return refuse(-EINVAL,
					      "--vfio-pci: %s and %s want the same place in the "
					      "guest, %d.%d",
					      configs[i].bdf, configs[j].bdf,
					      configs[i].guest_devfn >> 3,
					      configs[i].guest_devfn & 7);
		}
	return 0;
}

/* Everything that can be wrong with any of them is said before anything is opened. */
static int inspect(const struct vfio *vfio, struct sysfs_function *functions)
{
	for (size_t i = 0; i < vfio->count; i++) {
		struct hindrances found;
		int err =
			sysfs_function_read(&functions[i], vfio->host, vfio->devices[i].config.bdf);

		if (err)
			return err;
		hindrances_find(&found, &functions[i], vfio->host);
		if (found.count)
			return hindrances_refuse(&found, -ENODEV);
	}
	return 0;
}

static int open_all(struct vfio *vfio, const struct sysfs_function *functions)
{
	int err = vfio_container_open(vfio, &functions[0]);

	for (size_t i = 0; i < vfio->count && !err; i++)
		err = vfio_group_open(vfio, &functions[i], vfio->devices[i].config.bdf);
	for (size_t i = 0; i < vfio->count && !err; i++)
		err = vfio_device_open(&vfio->devices[i],
				       vfio_group_numbered(vfio, functions[i].group));
	return err;
}

static int inspect_and_open(struct vfio *vfio)
{
	struct sysfs_function *functions = calloc(vfio->count, sizeof(*functions));
	int err;

	if (!functions)
		return report(-ENOMEM, "cannot look at %zu devices", vfio->count);
	err = inspect(vfio, functions);
	if (!err)
		err = open_all(vfio, functions);
	for (size_t i = 0; i < vfio->count; i++)
		sysfs_function_release(&functions[i]);
	free(functions);
	return err;
}

static void device_init(struct vfio_device *dev, struct vfio *vfio,
			const struct vfio_device_config *config)
{
	dev->config = *config;
	dev->vfio = vfio;
	dev->loop = vfio->loop;
	dev->fd = -1;
	dev->irq.intx_trigger = dev->irq.intx_resample = -1;
	dev->err = (struct loop_source){ .fd = -1 };
	dev->req = (struct loop_source){ .fd = -1 };
}

int vfio_create_on(const struct vfio_host *host, struct vfio **vfio,
		   const struct vfio_device_config *configs, size_t count, struct loop *loop)
{
	struct vfio *new;
	int err = refuse_duplicates(configs, count);

	if (err)
		return err;
	new = calloc(1, sizeof(*new));
	if (!new)
		return report(-ENOMEM, "cannot keep track of %zu devices", count);
	*new = (struct vfio){ .host = host, .loop = loop, .fd = -1, .kvm_fd = -1 };
	new->groups = calloc(count, sizeof(*new->groups));
	new->devices = calloc(count, sizeof(*new->devices));
	if (!new->groups || !new->devices) {
		vfio_destroy(new);
		return report(-ENOMEM, "cannot keep track of %zu devices", count);
	}
	new->count = count;
	for (size_t i = 0; i < count; i++)
		device_init(&new->devices[i], new, &configs[i]);
	err = inspect_and_open(new);
	if (err) {
		vfio_destroy(new);
		return err;
	}
	*vfio = new;
	return 0;
}

void vfio_destroy(struct vfio *vfio)
{
	if (!vfio)
		return;
	vfio_detach(vfio);
	for (size_t i = vfio->count; i-- > 0;)
		vfio_device_close(&vfio->devices[i]);
	vfio_container_close(vfio);
	free(vfio->devices);
	free(vfio->groups);
	free(vfio);
}

static int add_device(struct vfio_device *dev, struct pci_bus *bus)
{
	int err;

	pthread_mutex_lock(&dev->function.lock);
	err = vfio_irq_probe(dev);
	pthread_mutex_unlock(&dev->function.lock);
	if (!err)
		err = vfio_regions_probe(dev);
	if (!err)
		err = vfio_config_build(dev);
	if (!err)
		err = vfio_regions_set_bars(dev);
	if (err)
		return err;
	dev->pristine = malloc(PCI_CONFIG_SIZE);
	if (!dev->pristine)
		return report(-ENOMEM, "cannot keep the configuration space of %s",
			      dev->config.bdf);
	return pci_bus_add(bus, &dev->function, dev->config.guest_devfn);
}

/* Functions that ask for a place get it before the others take the first free ones. */
int vfio_add_to_bus(struct vfio *vfio, struct pci_bus *bus)
{
	int err = 0;

	for (unsigned anywhere = 0; anywhere < 2; anywhere++)
		for (size_t i = 0; i < vfio->count && !err; i++)
			if ((vfio->devices[i].config.guest_devfn < 0) == anywhere)
				err = add_device(&vfio->devices[i], bus);
	return err;
}

/* The bus has placed function and BARs by now: this is what the guest finds, each time it starts. */
static int attach_device(struct vfio_device *dev, struct vm *vm, struct irq_routes *routes,
			 struct irq_controller *irq)
{
	int err;

	pthread_mutex_lock(&dev->function.lock);
	memcpy(dev->pristine, dev->function.config, PCI_CONFIG_SIZE);
	dev->clean = false;
	dev->vm = vm;
	dev->routes = routes;
	dev->irqs = irq;
	err = vfio_irq_attach(dev);
	pthread_mutex_unlock(&dev->function.lock);
	return err;
}

int vfio_attach(struct vfio *vfio, struct vm *vm, struct irq_routes *routes,
		struct irq_controller *irq)
{
	int err = 0;

	vfio->attached = true;
	vfio->kvm_fd = vm_vfio_device(vm);
	if (vfio->kvm_fd < 0)
		err = vfio->kvm_fd;
	for (size_t i = 0; i < vfio->groups_count && !err; i++)
		err = vm_vfio_add_file(vfio->kvm_fd, vfio->groups[i].fd);
	for (size_t i = 0; i < vfio->count && !err; i++)
		err = attach_device(&vfio->devices[i], vm, routes, irq);
	if (err)
		vfio_detach(vfio);
	return err;
}

/* Silences a device on the VM's side; it is reset only when all are silent, since a reset may be a bus's. */
static void quiesce(struct vfio_device *dev)
{
	if (!dev->vm)
		return;
	pthread_mutex_lock(&dev->function.lock);
	vfio_irq_detach(dev);
	pthread_mutex_unlock(&dev->function.lock);
	pci_function_reset(&dev->function);
}

static void detach_device(struct vfio_device *dev)
{
	if (!dev->vm)
		return;
	vfio_device_reset(dev);
	pthread_mutex_lock(&dev->function.lock);
	memcpy(dev->function.config, dev->pristine, PCI_CONFIG_SIZE);
	vfio_config_sync(dev);
	dev->vm = NULL;
	dev->routes = NULL;
	dev->irqs = NULL;
	pthread_mutex_unlock(&dev->function.lock);
}

void vfio_detach(struct vfio *vfio)
{
	if (!vfio->attached)
		return;
	for (size_t i = 0; i < vfio->count; i++)
		quiesce(&vfio->devices[i]);
	for (size_t i = 0; i < vfio->count; i++)
		detach_device(&vfio->devices[i]);
	if (vfio->kvm_fd >= 0)
		close(vfio->kvm_fd);
	vfio->kvm_fd = -1;
	vfio->attached = false;
}

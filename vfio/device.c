// SPDX-License-Identifier: GPL-2.0-only
/* A passed-through function from its opening to its closing, and the host's wishes in between. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "container.h"
#include "irq.h"

static const struct pci_function_class vfio_function_class = {
	.config_read = vfio_config_read,
	.config_written = vfio_config_written,
	.bar_read = vfio_bar_read,
	.bar_write = vfio_bar_write,
	.bar_map = vfio_bar_map,
	.bar_unmap = vfio_bar_unmap,
};

/* --- ERR and REQ: eventfds by which the host speaks --- */

/* Once is enough: the kernel signals REQ over and over until the device is released. */
static void host_speaks(struct vfio_device *dev, struct loop_source *source)
{
	uint64_t count;

	(void)!read(source->fd, &count, sizeof(count));
	loop_modify(dev->loop, source, 0);
	loop_end(dev->loop, RUN_HOST_ERROR);
}

static void err_ready(struct loop_source *source, uint32_t events)
{
	struct vfio_device *dev =
		(struct vfio_device *)((char *)source - offsetof(struct vfio_device, err));

	(void)events;
	refuse(-EIO,
	       "%s reported an unrecoverable error, so the guest cannot go on: `dmesg | grep -i "
	       "aer` "
	       "on the host tells which",
	       dev->config.bdf);
	host_speaks(dev, source);
}

static void req_ready(struct loop_source *source, uint32_t events)
{
	struct vfio_device *dev =
		(struct vfio_device *)((char *)source - offsetof(struct vfio_device, req));

	(void)events;
	refuse(-ENODEV,
	       "the host wants %s back (it is being unbound or removed), so the guest ends",
	       dev->config.bdf);
	host_speaks(dev, source);
}

/* fd < 0 takes the trigger away. */
static int set_trigger(struct vfio_device *dev, uint32_t index, int32_t fd)
{
	return vfio_irq_set_eventfds(dev, index, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, &fd);
}

/* A device without the interrupt (ERR needs PCI Express) is watched for the other only. */
static int watch(struct vfio_device *dev, struct loop_source *source, uint32_t index,
		 void (*ready)(struct loop_source *source, uint32_t events))
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int err;

	if (vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count ||
	    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	source->ready = ready;
	source->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (source->fd < 0)
		return report(-errno, "cannot create an eventfd for %s", dev->config.bdf);
	err = loop_add(dev->loop, source, EPOLLIN);
	if (err < 0) {
		close(source->fd);
		source->fd = -1;
		return report(err, "cannot wait for the events of %s", dev->config.bdf);
	}
	err = set_trigger(dev, index, source->fd);
	return err < 0 ? report(err, "cannot watch %s for %s", dev->config.bdf,
				index == VFIO_PCI_ERR_IRQ_INDEX ? "errors" : "the host's requests")
		       : 0;
}

static void unwatch(struct vfio_device *dev, struct loop_source *source, uint32_t index)
{
	if (source->fd < 0)
		return;
	set_trigger(dev, index, -1);
	loop_remove(dev->loop, source);
	close(source->fd);
	source->fd = -1;
}

/* --- opening and closing --- */

static int get_info(struct vfio_device *dev)
{
	int err;

	dev->info = (struct vfio_device_info){ .argsz = sizeof(dev->info) };
	err = vfio_ioctl_call(dev->fd, VFIO_DEVICE_GET_INFO, &dev->info);
	if (err < 0)
		return report(err, "cannot ask VFIO about %s", dev->config.bdf);
	if (!(dev->info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    dev->info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return refuse(-ENODEV, "VFIO does not take %s for a PCI function", dev->config.bdf);
	return 0;
}

int vfio_device_open(struct vfio_device *dev, const struct vfio_group *group)
{
	int err;

	dev->fd = vfio_ioctl_call(group->fd, VFIO_GROUP_GET_DEVICE_FD, dev->config.bdf);
	if (dev->fd < 0)
		return report(dev->fd, "cannot open %s in its IOMMU group %d", dev->config.bdf,
			      group->number);
	err = get_info(dev);
	if (!err)
		err = pci_function_init(&dev->function, &vfio_function_class, dev->config.bdf);
	if (err)
		return err;
	/* The kernel resets a function on opening it, where it can, and says here that it could. */
	dev->clean = dev->clean || dev->info.flags & VFIO_DEVICE_FLAGS_RESET;
	vfio_device_reset(dev);
	err = watch(dev, &dev->err, VFIO_PCI_ERR_IRQ_INDEX, err_ready);
	return err ? err : watch(dev, &dev->req, VFIO_PCI_REQ_IRQ_INDEX, req_ready);
}

void vfio_device_close(struct vfio_device *dev)
{
	if (dev->fd < 0)
		return;
	unwatch(dev, &dev->req, VFIO_PCI_REQ_IRQ_INDEX);
	unwatch(dev, &dev->err, VFIO_PCI_ERR_IRQ_INDEX);
	vfio_irq_release(dev);
	vfio_regions_release(dev);
	if (dev->function.class)
		pci_function_destroy(&dev->function);
	free(dev->irq_rows);
	dev->irq_rows = NULL;
	free(dev->pristine);
	dev->pristine = NULL;
	close(dev->fd);
	dev->fd = -1;
}

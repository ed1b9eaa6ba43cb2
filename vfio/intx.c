// SPDX-License-Identifier: GPL-2.0-only
/*
 * INTx (PCIe 5.0, 6.1.2). VFIO masks the line in the host when it fires and signals the trigger eventfd (AUTOMASKED);
 * KVM raises the guest's line, and at the guest's EOI lowers it and signals the resample eventfd, on which VFIO unmasks
 * the host's line again: a device that still asserts it starts over.
 */
#include <unistd.h>
#include <lkvm/report.h>
#include "irq.h"

static void close_eventfds(struct vfio_irq *irq)
{
	if (irq->intx_trigger >= 0)
		close(irq->intx_trigger);
	if (irq->intx_resample >= 0)
		close(irq->intx_resample);
	irq->intx_trigger = irq->intx_resample = -1;
}

static int set_eventfd(struct vfio_device *dev, uint32_t action, int32_t fd)
{
	return vfio_irq_set_eventfds(dev, VFIO_PCI_INTX_IRQ_INDEX, action, 0, 1, &fd);
}

/*
 * VFIO takes the resample eventfd only once INTx is in force. An EOI that comes before that is not lost: VFIO looks at
 * the eventfd's count when it is given it.
 */
static int arm(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;
	int ret = set_eventfd(dev, VFIO_IRQ_SET_ACTION_TRIGGER, irq->intx_trigger);

	if (ret == 0)
		ret = set_eventfd(dev, VFIO_IRQ_SET_ACTION_UNMASK, irq->intx_resample);
	return ret;
}

void vfio_intx_enter(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;
	int ret;

	if (irq->refused)
		return;
	irq->intx_trigger = irq_eventfd();
	irq->intx_resample = irq_eventfd();
	if (irq->intx_trigger < 0 || irq->intx_resample < 0) {
		vfio_vectors_complain(
			dev, irq->intx_trigger < 0 ? irq->intx_trigger : irq->intx_resample, 1);
		close_eventfds(irq);
		return;
	}
	ret = irq_routes_attach(dev->routes, dev->function.intx_line, irq->intx_trigger,
				irq->intx_resample);
	if (ret < 0) {
		irq->refused = true; /* the controller reports each failure: let there be one */
		close_eventfds(irq);
		return;
	}
	ret = arm(dev);
	if (ret == 0)
		return;
	vfio_vectors_complain(dev, ret, 1);
	vfio_intx_leave(dev);
}

/* The host's end first, so that nothing counts on an eventfd that is about to go. */
void vfio_intx_leave(struct vfio_device *dev)
{
	struct vfio_irq *irq = &dev->irq;

	if (irq->intx_trigger < 0)
		return;
	vfio_irq_disable(dev, VFIO_PCI_INTX_IRQ_INDEX);
	irq_routes_detach(dev->routes, dev->function.intx_line, irq->intx_trigger);
	close_eventfds(irq);
}

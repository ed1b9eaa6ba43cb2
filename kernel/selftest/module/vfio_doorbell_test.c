// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests of VFIO's MSI doorbells only: things that the machine at hand does not have. Each is
 * a parameter to write to; what goes wrong is the result of the write.
 *
 * map "BDF IOVA PHYS"     map a doorbell page in the container of an open device, as if the
 *                         device's interrupt controller had its doorbell there
 * unmap "BDF IOVA"        undo that
 * no_64bit_msi "BDF 0|1"  take a device for one with a 32-bit MSI capability
 * fail_attach "N"         the Nth call of iommu_attach_group() from now on fails; "0" asks
 *                         whether one did: EALREADY if so
 */

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>

#include "../drivers/vfio/msi_doorbell.h"

static struct pci_dev *device_of(const char *bdf)
{
	unsigned int domain, bus, slot, fn;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) != 4)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, fn));
}

static struct vfio_device *vfio_of(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev;

	if (!pdev || !pdev->driver || strcmp(pdev->driver->name, "vfio-pci"))
		return NULL;
	vdev = dev_get_drvdata(&pdev->dev);
	return &vdev->vdev;
}

static int map_set(const char *value, const struct kernel_param *param)
{
	unsigned long long iova, phys = 0;
	bool map = param->arg;
	struct vfio_device *device;
	struct pci_dev *pdev;
	int ret = -ENODEV;
	char bdf[16];

	if (sscanf(value, "%15s %llx %llx", bdf, &iova, &phys) != (map ? 3 : 2))
		return -EINVAL;
	pdev = device_of(bdf);
	device = vfio_of(pdev);
	if (device && map)
		ret = vfio_msi_doorbell_map(device, iova, phys);
	if (device && !map) {
		vfio_msi_doorbell_unmap(device, iova);
		ret = 0;
	}
	pci_dev_put(pdev);
	return ret;
}

static const struct kernel_param_ops map_ops = { .set = map_set };
module_param_cb(map, &map_ops, (void *)true, 0200);
module_param_cb(unmap, &map_ops, NULL, 0200);

static int no_64bit_msi_set(const char *value, const struct kernel_param *param)
{
	struct pci_dev *pdev;
	unsigned int on;
	char bdf[16];

	if (sscanf(value, "%15s %u", bdf, &on) != 2)
		return -EINVAL;
	pdev = device_of(bdf);
	if (!pdev)
		return -ENODEV;
	pdev->no_64bit_msi = on;
	pci_dev_put(pdev);
	return 0;
}

static const struct kernel_param_ops no_64bit_msi_ops = { .set = no_64bit_msi_set };
module_param_cb(no_64bit_msi, &no_64bit_msi_ops, NULL, 0200);

static atomic_t attach_calls_left;
static atomic_t attach_failed;

static int attach_entry(struct kprobe *probe, struct pt_regs *regs)
{
	if (atomic_read(&attach_calls_left) <= 0 || atomic_dec_return(&attach_calls_left))
		return 0;
	atomic_set(&attach_failed, 1);
	regs->regs[0] = -EINVAL;
	instruction_pointer_set(regs, procedure_link_pointer(regs));
	return 1;
}

static struct kprobe attach_probe = {
	.symbol_name = "iommu_attach_group",
	.pre_handler = attach_entry,
};

static int fail_attach_set(const char *value, const struct kernel_param *param)
{
	unsigned int n;
	int ret = kstrtouint(value, 0, &n);

	if (ret)
		return ret;
	atomic_set(&attach_calls_left, n);
	if (!n)
		return atomic_xchg(&attach_failed, 0) ? -EALREADY : 0;
	return 0;
}

static const struct kernel_param_ops fail_attach_ops = { .set = fail_attach_set };
module_param_cb(fail_attach, &fail_attach_ops, NULL, 0200);

static int __init test_init(void)
{
	return register_kprobe(&attach_probe);
}
module_init(test_init);

static void __exit test_exit(void)
{
	unregister_kprobe(&attach_probe);
}
module_exit(test_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test of VFIO's MSI doorbells");

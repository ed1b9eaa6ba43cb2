// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <lkvm/report.h>
#include "run_devices.h"

void run_devices_free(struct run_options *options)
{
	(void)options;
}

int run_take_virtio_transport(void *target, const struct cli_option *option, const char *value)
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
	struct run_options *options = target;

	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		if (!strcmp(value, transports[i].name)) {
			options->machine.virtio.transport = transports[i].transport;
			return 0;
		}
	}
	return refuse(-EINVAL, "--%s: %s is none of %s", option->name, value, option->value);
}

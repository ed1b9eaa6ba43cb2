// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include <lkvm/virtio_vsock.h>
#include "run_devices.h"

void run_devices_free(struct run_options *options)
{
	for (size_t i = 0; i < options->machine.virtio.disk_count; i++)
		virtio_disk_config_free(&options->disks[i]);
	free(options->disks);
	for (size_t i = 0; i < options->machine.virtio.network_count; i++)
		virtio_network_config_free(&options->networks[i]);
	free(options->networks);
	free(options->shares);
	free(options->back_ends);
}

int run_take_virtio_transport(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;

	if (virtio_transport_parse(&options->machine.virtio.transport, value) < 0)
		return refuse(-EINVAL, "--%s: %s is none of %s", option->name, value,
			      option->value);
	return 0;
}

int run_take_disk(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct virtio_config *virtio = &options->machine.virtio;
	struct virtio_disk_config *grown =
		reallocarray(options->disks, virtio->disk_count + 1, sizeof(*grown));

	if (!grown)
		return report(-ENOMEM, "--%s", option->name);
	options->disks = grown;
	virtio->disks = grown;
	return virtio_disk_config_parse(&grown[virtio->disk_count++], value);
}

int run_take_network(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct virtio_config *virtio = &options->machine.virtio;
	struct virtio_network_config *grown =
		reallocarray(options->networks, virtio->network_count + 1, sizeof(*grown));

	if (!grown)
		return report(-ENOMEM, "--%s", option->name);
	options->networks = grown;
	virtio->networks = grown;
	return virtio_network_config_parse(&grown[virtio->network_count++], value);
}

/* A guest has a network, unless its user says otherwise: as with kvmtool. */
static int add_default_network(struct run_options *options)
{
	static const struct cli_option network = { .name = "network" };
	int err = run_take_network(options, &network, "mode=user");

	if (!err)
		options->networks[0].unasked = true;
	return err;
}

int run_devices_finish(struct run_options *options)
{
	if (!options->machine.virtio.network_count && !options->machine.nodefaults) {
		int err = add_default_network(options);

		if (err)
			return err;
	}
	for (size_t i = 0; i < options->machine.virtio.network_count; i++)
		options->networks[i].no_dhcp = options->no_dhcp;
	return 0;
}

int run_take_share(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct virtio_config *virtio = &options->machine.virtio;
	struct virtio_share_config *grown =
		reallocarray(options->shares, virtio->share_count + 1, sizeof(*grown));
	int err;

	if (!grown)
		return report(-ENOMEM, "--%s", option->name);
	options->shares = grown;
	virtio->shares = grown;
	err = virtio_share_config_parse(grown, virtio->share_count, value);
	if (!err)
		virtio->share_count++;
	return err;
}

int run_take_vsock(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;

	(void)option;
	return virtio_vsock_cid_parse(&options->machine.virtio.vsock_cid, value);
}

int run_take_back_end(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct virtio_config *virtio = &options->machine.virtio;
	struct virtio_back_end_config *grown =
		reallocarray(options->back_ends, virtio->back_end_count + 1, sizeof(*grown));

	if (!grown)
		return report(-ENOMEM, "--%s", option->name);
	options->back_ends = grown;
	virtio->back_ends = grown;
	return virtio_back_end_config_parse(&grown[virtio->back_end_count++], value);
}

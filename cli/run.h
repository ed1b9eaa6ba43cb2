/* SPDX-License-Identifier: GPL-2.0-only */
/* Between run.c (the table) and run_options.c (options that are more than a string or a number). */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli.h"

struct run_options {
	struct machine_config machine;
	const char *name;
	/* What machine points to; growing arrays and strings of ours. */
	struct vfio_device_config *vfio;
	struct vcpu_affinity *affinity;
	struct virtio_disk_config *disks;
	struct virtio_network_config *networks;
	bool no_dhcp;
	struct virtio_share_config *shares;
	struct virtio_back_end_config *back_ends;
	char *console;
	char *params;
};

void run_options_free(struct run_options *options);

int run_take_params(void *target, const struct cli_option *option, const char *value);
int run_take_mem(void *target, const struct cli_option *option, const char *value);
int run_take_vfio(void *target, const struct cli_option *option, const char *value);
int run_take_doorbell(void *target, const struct cli_option *option, const char *value);
int run_take_console(void *target, const struct cli_option *option, const char *value);
int run_take_tty(void *target, const struct cli_option *option, const char *value);
int run_take_irqchip(void *target, const struct cli_option *option, const char *value);
int run_take_affinity(void *target, const struct cli_option *option, const char *value);
int run_take_sve(void *target, const struct cli_option *option, const char *value);
int run_take_kaslr(void *target, const struct cli_option *option, const char *value);
int run_take_on_reset(void *target, const struct cli_option *option, const char *value);
int run_take_loglevel(void *target, const struct cli_option *option, const char *value);

#endif

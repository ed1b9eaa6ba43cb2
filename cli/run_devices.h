/* SPDX-License-Identifier: GPL-2.0-only */
/* Options of virtio devices; run.c has the table. */
#ifndef CLI_RUN_DEVICES_H
#define CLI_RUN_DEVICES_H

#include "run.h"

int run_take_virtio_transport(void *target, const struct cli_option *option, const char *value);
int run_take_disk(void *target, const struct cli_option *option, const char *value);
int run_take_network(void *target, const struct cli_option *option, const char *value);
int run_take_share(void *target, const struct cli_option *option, const char *value);
int run_take_vsock(void *target, const struct cli_option *option, const char *value);
int run_take_back_end(void *target, const struct cli_option *option, const char *value);

/* What one option says of another's devices, and a network if none was spoken of. After the last. -errno, reported. */
int run_devices_finish(struct run_options *options);

/* Frees what these takers allocated. */
void run_devices_free(struct run_options *options);

#endif

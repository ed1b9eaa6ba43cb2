/* SPDX-License-Identifier: GPL-2.0-only */
/* What a virtio console's ports are connected to. */
#ifndef LKVM_VIRTIO_CONSOLE_H
#define LKVM_VIRTIO_CONSOLE_H

#include <stdbool.h>

#define VIRTIO_CONSOLE_PORTS 8

struct virtio_port_config {
	const char *name;  /* /dev/virtio-ports/NAME in the guest; NULL: the console, port 0 */
	int in_fd, out_fd; /* the caller's; -1: nothing connected */
	bool escape;       /* Ctrl-a x in the input ends the run */
};

struct virtio_terminal_config {
	struct virtio_port_config ports[VIRTIO_CONSOLE_PORTS];
	unsigned count; /* with the console; 0: there is no such device */
};

#endif

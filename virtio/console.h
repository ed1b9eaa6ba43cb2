/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Console device (virtio 1.2, 5.3). Port 0 is the console; others are pipes with a name. All that goes through a port
 * does so on the main thread, and never waits for the host.
 */
#ifndef VIRTIO_CONSOLE_H
#define VIRTIO_CONSOLE_H

#include <signal.h>
#include <linux/virtio_console.h>
#include <lkvm/escape.h>
#include <lkvm/virtio_console.h>
#include "device.h"
#include "stream.h"

#define CONSOLE_BACKLOG  4096 /* input that the guest has no room for yet */
#define CONSOLE_STALL_MS 250

struct console;

/* Main thread only, but for what vdev->lock guards: from guest_open on. */
struct console_port {
	struct console *console;
	const struct virtio_port_config *config;
	unsigned number;
	struct loop_source input;
	bool input_open;   /* there may be more */
	bool input_polled; /* on the loop; off it while there is no room */
	bool input_file;   /* epoll takes none such: it is read at will */
	struct escape escape;
	struct loop_source
		writable; /* the output's descriptor, on the loop while it has to be waited for */
	bool writable_polled;
	struct loop_source
		stall; /* a timer, the console's alone: others wait as long as it takes; -1: none */
	struct stream out;
	atomic_bool complained; /* that it cannot be written */

	bool guest_open; /* by VIRTIO_CONSOLE_PORT_OPEN: drivers throw away what comes before */
	unsigned owed;   /* bit n: the driver is still to be told of VIRTIO_CONSOLE_* event n */
	bool timed;      /* stall is set */
	bool dropping;   /* its reader stalls: what does not go out at once is lost */
	bool holds;      /* a chain is being sent: held, of which `sent` bytes are out */
	size_t sent;
	struct virtq_chain held;
	uint8_t backlog[CONSOLE_BACKLOG];
	unsigned backlog_head, backlog_count;
};

struct console {
	struct virtio_device vdev;
	struct virtio_console_config space; /* the configuration space, ... */
	struct virtio_console_config truth; /* ... and what it says whatever the driver writes */
	struct loop_source resize;          /* a signalfd: SIGWINCH; -1: no terminal */
	sigset_t old_mask;
	bool masked; /* old_mask is what was there before */
	int terminal_fd;
	unsigned port_count;
	struct console_port ports[];
};

/*
 * A console with the ports that config tells of; config->count > 0. It stays the caller's, as its descriptors do, and
 * outlives the device. Blocks SIGWINCH in this thread and those it makes, if a terminal is connected. Expects SIGPIPE to be
 * ignored. Reported.
 */
int console_create(struct virtio_device **vdev, const struct virtio_terminal_config *config,
		   const struct virtio_env *env);

/* console_port.c. start: its input and output; reported. stop: even if start failed or never was. Main thread. */
int console_port_start(struct console_port *port);
void console_port_stop(struct console_port *port);
/* Under vdev->lock, on the main thread: the driver has put buffers into the port's receive or transmit queue. */
void console_port_receive(struct console_port *port);
void console_port_transmit(struct console_port *port);
/* Under vdev->lock, any thread: forgets what is under way in the transmit queue. */
void console_port_cancel(struct console_port *port);
/* Under vdev->lock, any thread: a byte past all queues, if it can go at once. */
void console_port_emergency(struct console_port *port, uint8_t byte);

/* The port's queues (virtio 1.2, 5.3.2). */
static inline unsigned console_receive_queue(unsigned port)
{
	return port ? 2 * port + 2 : 0;
}

/* Whether the driver is one that knows of ports. */
static inline bool console_multiport(const struct console *console)
{
	return virtio_has(&console->vdev, VIRTIO_CONSOLE_F_MULTIPORT);
}

#endif

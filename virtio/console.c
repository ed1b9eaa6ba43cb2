// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "console.h"

#define BIT64(n) (1ULL << (n))

/* Each buffer that a driver puts into a receive queue costs it a page. */
#define QUEUE_SIZE 64

/* The control queues (virtio 1.2, 5.3.2). */
#define CONTROL_RECEIVE  2
#define CONTROL_TRANSMIT 3

static struct console *console_of(struct virtio_device *vdev)
{
	return (struct console *)vdev;
}

/* --- control messages (virtio 1.2, 5.3.6.2): the device's, each owed to a port at most once at a time --- */

/* In the order that a port is told of them. */
static const unsigned events[] = {
	VIRTIO_CONSOLE_PORT_ADD,  VIRTIO_CONSOLE_CONSOLE_PORT, VIRTIO_CONSOLE_PORT_NAME,
	VIRTIO_CONSOLE_PORT_OPEN, VIRTIO_CONSOLE_RESIZE,
};

struct control_message {
	struct virtio_console_control control;
	union {
		uint16_t size[2]; /* columns, rows */
		char name[64];
	};
};

/* Returns the message's length. */
static size_t make_message(const struct console_port *port, unsigned event,
			   struct control_message *message)
{
	const struct virtio_console_config *truth = &port->console->truth;

	*message = (struct control_message){
		.control = { .id = port->number, .event = (uint16_t)event, .value = 1 },
	};
	if (event == VIRTIO_CONSOLE_RESIZE) {
		message->size[0] = truth->cols;
		message->size[1] = truth->rows;
		return sizeof(message->control) + sizeof(message->size);
	}
	if (event != VIRTIO_CONSOLE_PORT_NAME)
		return sizeof(message->control);
	strncpy(message->name, port->config->name, sizeof(message->name) - 1);
	return sizeof(message->control) + strlen(message->name);
}

/* Tells what is owed, as far as the driver has buffers for it. */
static void tell(struct console *console)
{
	struct virtq *vq = virtio_queue(&console->vdev, CONTROL_RECEIVE);
	struct control_message message;
	struct virtq_chain chain;

	for (unsigned n = 0; n < console->port_count; n++) {
		struct console_port *port = &console->ports[n];

		for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && port->owed; i++) {
			if (!(port->owed & 1U << events[i]))
				continue;
			if (!vq->ready || virtq_pop(vq, &chain) <= 0)
				goto out;
			virtq_push(vq, &chain,
				   (uint32_t)iov_write(chain.iov + chain.out, chain.in, 0, &message,
						       make_message(port, events[i], &message)));
			port->owed &= ~(1U << events[i]);
		}
	}
out:
	virtio_notify(&console->vdev, vq);
}

static void owe(struct console_port *port, unsigned event)
{
	port->owed |= 1U << event;
}

/* --- control messages: the driver's --- */

static void port_is_ready(struct console_port *port)
{
	if (port->number) {
		owe(port, VIRTIO_CONSOLE_PORT_NAME);
	} else {
		owe(port, VIRTIO_CONSOLE_CONSOLE_PORT);
		if (port->console->terminal_fd >= 0)
			owe(port, VIRTIO_CONSOLE_RESIZE);
	}
	owe(port, VIRTIO_CONSOLE_PORT_OPEN);
}

static void obey(struct console *console, const struct virtio_console_control *control)
{
	struct console_port *port =
		control->id < console->port_count ? &console->ports[control->id] : NULL;

	if (control->event == VIRTIO_CONSOLE_DEVICE_READY && control->value) {
		for (unsigned n = 0; n < console->port_count; n++)
			owe(&console->ports[n], VIRTIO_CONSOLE_PORT_ADD);
	} else if (control->event == VIRTIO_CONSOLE_PORT_READY && control->value && port) {
		port_is_ready(port);
	} else if (control->event == VIRTIO_CONSOLE_PORT_OPEN && port) {
		port->guest_open = control->value;
		console_port_receive(port);
	}
}

static void listen_to_driver(struct console *console)
{
	struct virtq *vq = virtio_queue(&console->vdev, CONTROL_TRANSMIT);
	struct virtio_console_control control;
	unsigned left = vq->size;
	struct virtq_chain chain;

	while (left > 0 && virtq_pop(vq, &chain) > 0) {
		if (iov_read(chain.iov, chain.out, 0, &control, sizeof(control)) == sizeof(control))
			obey(console, &control);
		virtq_push(vq, &chain, 0);
		left--;
	}
	if (!left)
		virtio_kick(&console->vdev, CONTROL_TRANSMIT);
	virtio_notify(&console->vdev, vq);
	tell(console);
}

/* --- the terminal's size --- */

/* Whether it was to be had. */
static bool ask_size(struct console *console)
{
	struct winsize size;

	if (ioctl(console->terminal_fd, TIOCGWINSZ, &size) < 0)
		return false;
	console->truth.cols = size.ws_col;
	console->truth.rows = size.ws_row;
	console->space = console->truth;
	return true;
}

static void resize_ready(struct loop_source *source, uint32_t ready)
{
	struct console *console =
		(struct console *)((char *)source - offsetof(struct console, resize));
	struct signalfd_siginfo info;

	(void)ready;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	virtio_lock(&console->vdev);
	if (ask_size(console)) {
		virtio_config_changed(&console->vdev);
		if (console->vdev.active && console_multiport(console)) {
			owe(&console->ports[0], VIRTIO_CONSOLE_RESIZE);
			tell(console);
		}
	}
	virtio_unlock(&console->vdev);
}

static int find_terminal(const struct virtio_port_config *port)
{
	if (port->out_fd >= 0 && isatty(port->out_fd))
		return port->out_fd;
	return port->in_fd >= 0 && isatty(port->in_fd) ? port->in_fd : -1;
}

static int watch_terminal(struct console *console)
{
	sigset_t set;
	int err;

	if (console->terminal_fd < 0)
		return 0;
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, &console->old_mask);
	console->masked = true;
	console->resize.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (console->resize.fd < 0)
		return report(-errno, "cannot create a signalfd for the terminal's size");
	err = loop_add(console->vdev.env->loop, &console->resize, EPOLLIN);
	return err ? report(err, "cannot wait for the terminal's size") : 0;
}

static void unwatch_terminal(struct console *console)
{
	sigset_t set;

	if (!console->masked)
		return;
	if (console->resize.fd >= 0) {
		loop_remove(console->vdev.env->loop, &console->resize);
		close(console->resize.fd);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	if (!sigismember(&console->old_mask, SIGWINCH))
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* --- a driver that does not know of ports --- */

/*
 * It does not say when it is ready for input, and Linux throws away what comes before its probe is over. But then it reads
 * the size that it is told has changed, or prints; a driver that took no interest in the size is ready from the start.
 */
static int activate(struct virtio_device *vdev)
{
	struct console *console = console_of(vdev);

	if (console_multiport(console))
		return 0;
	console->ports[0].guest_open = !virtio_has(vdev, VIRTIO_CONSOLE_F_SIZE);
	if (!console->ports[0].guest_open)
		virtio_config_changed(vdev);
	return 0;
}

/* Input may only be touched on the main thread. */
static void driver_shows_itself(struct console *console)
{
	if (!console->vdev.active || console_multiport(console) || console->ports[0].guest_open)
		return;
	console->ports[0].guest_open = true;
	virtio_kick(&console->vdev, console_receive_queue(0));
}

static void config_read(struct virtio_device *vdev)
{
	driver_shows_itself(console_of(vdev));
}

/* --- the class --- */

static void handle_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct console *console = console_of(vdev);
	unsigned n = vq->index < CONTROL_RECEIVE ? 0 : vq->index / 2 - 1;

	if (vq->index == console_receive_queue(0) + 1 && virtq_has_chain(vq))
		driver_shows_itself(console);
	if (vq->index == CONTROL_RECEIVE)
		tell(console);
	else if (vq->index == CONTROL_TRANSMIT)
		listen_to_driver(console);
	else if (vq->index % 2)
		console_port_transmit(&console->ports[n]);
	else
		console_port_receive(&console->ports[n]);
}

static void stop_queue(struct virtio_device *vdev, struct virtq *vq)
{
	struct console *console = console_of(vdev);

	for (unsigned n = 0; n < console->port_count; n++)
		if (vq->index == console_receive_queue(n) + 1)
			console_port_cancel(&console->ports[n]);
}

static void deactivate(struct virtio_device *vdev)
{
	struct console *console = console_of(vdev);

	for (unsigned n = 0; n < console->port_count; n++) {
		console->ports[n].guest_open = false;
		console->ports[n].owed = 0;
	}
}

/* Of all registers only emerg_wr may be written, at any time (virtio 1.2, 5.3.4). */
static void config_written(struct virtio_device *vdev, size_t offset, size_t size)
{
	struct console *console = console_of(vdev);
	size_t at = offsetof(struct virtio_console_config, emerg_wr);

	if (offset <= at && offset + size > at)
		console_port_emergency(&console->ports[0], (uint8_t)console->space.emerg_wr);
	console->space = console->truth;
}

static void destroy(struct virtio_device *vdev)
{
	struct console *console = console_of(vdev);

	for (unsigned n = 0; n < console->port_count; n++)
		console_port_stop(&console->ports[n]);
	unwatch_terminal(console);
	virtio_device_fini(vdev);
	free(console);
}

static const struct virtio_device_class class = {
	.id = VIRTIO_ID_CONSOLE,
	.activate = activate,
	.handle_queue = handle_queue,
	.stop_queue = stop_queue,
	.deactivate = deactivate,
	.config_read = config_read,
	.config_written = config_written,
	.destroy = destroy,
};

/*
 * A console alone needs no control queues, and its driver is told of its size as it should be by all versions of Linux: 0
 * by 0 is unknown to it, too.
 */
static int set_up(struct console *console, const struct virtio_terminal_config *config)
{
	bool multiport = config->count > 1;
	int err;

	console->terminal_fd = find_terminal(&config->ports[0]);
	console->truth.max_nr_ports = config->count;
	console->space = console->truth;
	if (console->terminal_fd >= 0 && !ask_size(console))
		console->terminal_fd = -1;
	console->vdev.offered = BIT64(VIRTIO_CONSOLE_F_EMERG_WRITE) | BIT64(VIRTIO_CONSOLE_F_SIZE) |
				(multiport ? BIT64(VIRTIO_CONSOLE_F_MULTIPORT) : 0);
	err = virtio_device_init(&console->vdev, multiport ? 2 * (config->count + 1) : 2,
				 QUEUE_SIZE);
	if (!err)
		err = watch_terminal(console);
	for (unsigned n = 0; n < config->count && !err; n++) {
		console->ports[n].config = &config->ports[n];
		err = console_port_start(&console->ports[n]);
	}
	return err;
}

int console_create(struct virtio_device **vdev, const struct virtio_terminal_config *config,
		   const struct virtio_env *env)
{
	struct console *console =
		calloc(1, sizeof(*console) + config->count * sizeof(console->ports[0]));
	int err;

	if (!console)
		return report(-ENOMEM, "cannot create the virtio console");
	console->vdev.class = &class;
	console->vdev.env = env;
	console->vdev.name = "virtio console";
	console->vdev.config = (uint8_t *)&console->space;
	console->vdev.config_size = sizeof(console->space);
	console->vdev.config_writable = sizeof(console->space);
	console->resize = (struct loop_source){ -1, resize_ready };
	console->port_count = config->count;
	for (unsigned n = 0; n < config->count; n++) {
		console->ports[n].console = console;
		console->ports[n].number = n;
	}
	err = set_up(console, config);
	if (err) {
		destroy(&console->vdev);
		return err;
	}
	*vdev = &console->vdev;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "console.h"

#define BUDGET 0x10000 /* bytes of a port before others have their turn */
#define CHUNKS 16      /* the same of a file's input, in backlogs */

static struct virtio_device *device_of(const struct console_port *port)
{
	return &port->console->vdev;
}

static struct virtq *receive_queue(const struct console_port *port)
{
	return virtio_queue(device_of(port), console_receive_queue(port->number));
}

static struct virtq *transmit_queue(const struct console_port *port)
{
	return virtio_queue(device_of(port), console_receive_queue(port->number) + 1);
}

/* Events of ours come whatever the driver is about. */
static bool usable(const struct console_port *port, const struct virtq *vq)
{
	const struct virtio_device *vdev = device_of(port);

	return vdev->active && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET) && vq->ready &&
	       !vq->broken;
}

/* --- input --- */

static void backlog_push(struct console_port *port, uint8_t byte)
{
	port->backlog[(port->backlog_head + port->backlog_count++) % CONSOLE_BACKLOG] = byte;
}

/* A byte more than was read may be owed to an escape. */
static unsigned backlog_room(const struct console_port *port)
{
	unsigned room = CONSOLE_BACKLOG - port->backlog_count;

	return room > ESCAPE_BYTES ? room - ESCAPE_BYTES : 0;
}

static uint32_t backlog_fill(struct console_port *port, const struct virtq_chain *chain)
{
	size_t total = 0, part;

	do {
		size_t contiguous = CONSOLE_BACKLOG - port->backlog_head;

		if (contiguous > port->backlog_count)
			contiguous = port->backlog_count;
		part = iov_write(chain->iov + chain->out, chain->in, total,
				 port->backlog + port->backlog_head, contiguous);
		port->backlog_head = (port->backlog_head + part) % CONSOLE_BACKLOG;
		port->backlog_count -= (unsigned)part;
		total += part;
	} while (part && port->backlog_count);
	return (uint32_t)total;
}

static void feed(struct console_port *port)
{
	struct virtq *vq = receive_queue(port);
	unsigned left = vq->size;
	struct virtq_chain chain;

	if (!usable(port, vq) || !port->guest_open)
		return;
	while (port->backlog_count && left > 0 && virtq_pop(vq, &chain) > 0) {
		virtq_push(vq, &chain, backlog_fill(port, &chain));
		left--;
	}
	if (!left)
		virtio_kick(device_of(port), vq->index);
	virtio_notify(device_of(port), vq);
}

/* Takes the input off the loop; with no events it would still be woken by every EPOLLHUP. */
static void park_input(struct console_port *port)
{
	if (port->input_polled)
		loop_remove(device_of(port)->env->loop, &port->input);
	port->input_polled = false;
}

/* The end of the input, quietly. */
static void end_input(struct console_port *port)
{
	uint8_t bytes[ESCAPE_BYTES];

	port->input_open = false;
	if (escape_end(&port->escape, bytes))
		backlog_push(port, bytes[0]);
}

/* Reads once, what there is room for. Returns whether more may follow. */
static bool read_input(struct console_port *port)
{
	uint8_t typed[CONSOLE_BACKLOG], bytes[ESCAPE_BYTES];
	unsigned room = backlog_room(port);
	ssize_t count;

	if (!room || !port->input_open)
		return false;
	count = read(port->input.fd, typed, room);
	if (count < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (count <= 0) {
		end_input(port);
		return false;
	}
	for (ssize_t i = 0; i < count; i++) {
		unsigned n = escape_take(&port->escape, typed[i], bytes);

		for (unsigned b = 0; b < n; b++)
			backlog_push(port, bytes[b]);
	}
	return true;
}

static void input_ready(struct loop_source *source, uint32_t events)
{
	struct console_port *port =
		(struct console_port *)((char *)source - offsetof(struct console_port, input));

	(void)events;
	virtio_lock(device_of(port));
	if (!read_input(port))
		park_input(port);
	feed(port);
	virtio_unlock(device_of(port));
}

/* Always ready; the other devices have their turn in between. */
static void read_file(struct console_port *port)
{
	unsigned left = CHUNKS;

	while (left > 0 && read_input(port)) {
		feed(port);
		left--;
	}
	if (!left)
		virtio_kick(device_of(port), console_receive_queue(port->number));
	feed(port);
}

/* Back to reading, when there is room again. */
static void resume_input(struct console_port *port)
{
	int err;

	if (!port->input_open || port->input_polled || !backlog_room(port))
		return;
	if (port->input_file) {
		read_file(port);
		return;
	}
	err = loop_add(device_of(port)->env->loop, &port->input, EPOLLIN);
	port->input_polled = !err;
	port->input_file = err == -EPERM;
	if (port->input_file)
		read_file(port);
	else if (err)
		report_warning("cannot read the input of the guest's %s: %s", device_of(port)->name,
			       strerror(-err));
}

void console_port_receive(struct console_port *port)
{
	feed(port);
	resume_input(port);
}

/* --- output --- */

static void set_timer(struct console_port *port, bool on)
{
	const struct itimerspec spec = { .it_value.tv_nsec = on ? CONSOLE_STALL_MS * 1000000 : 0 };

	if (port->stall.fd < 0 || port->timed == on)
		return;
	timerfd_settime(port->stall.fd, 0, &spec, NULL);
	port->timed = on;
}

/* Waits for the reader, or no longer. */
static void watch_output(struct console_port *port, bool wait)
{
	struct loop *loop = device_of(port)->env->loop;

	if (wait)
		set_timer(port, true);
	if (port->writable_polled == wait)
		return;
	if (wait && loop_add(loop, &port->writable, EPOLLOUT) < 0)
		port->dropping = true; /* it cannot be waited for */
	else if (!wait)
		loop_remove(loop, &port->writable);
	port->writable_polled = wait && !port->dropping;
}

/* Takes the next chain to be sent, of at most *left. Whether there is one. */
static bool take_chain(struct console_port *port, struct virtq *vq, unsigned *left)
{
	if (port->holds)
		return true;
	if (!*left || virtq_pop(vq, &port->held) <= 0)
		return false;
	--*left;
	port->holds = true;
	port->sent = 0;
	return true;
}

static void finish_chain(struct console_port *port, struct virtq *vq)
{
	virtq_push(vq, &port->held, 0);
	port->holds = false;
}

/* Sends some of the held chain, up to *budget bytes, straight from the guest's memory. False: its reader has to go on first. */
static bool send_some(struct console_port *port, struct virtq *vq, size_t *budget)
{
	struct iovec pieces[VIRTQ_SIZE_MAX];
	const struct virtq_chain *chain = &port->held;
	size_t left = chain->out_bytes - port->sent;
	unsigned count = iov_slice(pieces, chain->iov, chain->out, port->sent,
				   left < *budget ? left : *budget);
	ssize_t sent = count ? stream_write(&port->out, pieces, count) : 0;

	if (sent == -EAGAIN && !port->dropping)
		return false;
	if (sent < 0 && sent != -EAGAIN && port->out.kind != STREAM_CLOSED)
		report_once(&port->complained,
			    "cannot write what the guest sends to its %s: %s; it is dropped",
			    device_of(port)->name, strerror((int)-sent));
	if (sent > 0) {
		port->sent += (size_t)sent;
		*budget -= (size_t)sent;
		port->dropping = false;
		set_timer(port, false);
	}
	if (sent <= 0 || port->sent == chain->out_bytes)
		finish_chain(port, vq);
	return true;
}

void console_port_transmit(struct console_port *port)
{
	struct virtq *vq = transmit_queue(port);
	size_t budget = BUDGET;
	unsigned left = vq->size;
	bool waits = false;

	if (!usable(port, vq)) {
		watch_output(port, false);
		return;
	}
	while (budget && !waits && take_chain(port, vq, &left))
		waits = !send_some(port, vq, &budget);
	watch_output(port, waits);
	if (!waits && (!budget || !left))
		virtio_kick(device_of(port), vq->index);
	virtio_notify(device_of(port), vq);
}

static void writable_ready(struct loop_source *source, uint32_t events)
{
	struct console_port *port =
		(struct console_port *)((char *)source - offsetof(struct console_port, writable));

	(void)events;
	virtio_lock(device_of(port));
	console_port_transmit(port);
	virtio_unlock(device_of(port));
}

/* A guest that prints with its interrupts off waits for us: what its reader does not want is lost to it. */
static void stall_ready(struct loop_source *source, uint32_t events)
{
	struct console_port *port =
		(struct console_port *)((char *)source - offsetof(struct console_port, stall));
	uint64_t count;

	(void)events;
	virtio_lock(device_of(port));
	if (read(source->fd, &count, sizeof(count)) == sizeof(count) && port->timed) {
		port->timed = false;
		port->dropping = port->holds;
		console_port_transmit(port);
	}
	virtio_unlock(device_of(port));
}

void console_port_cancel(struct console_port *port)
{
	port->holds = false;
	set_timer(port, false);
}

void console_port_emergency(struct console_port *port, uint8_t byte)
{
	const struct iovec piece = { &byte, 1 };

	(void)stream_write(&port->out, &piece, 1);
}

/* --- start and stop --- */

static int start_timer(struct console_port *port)
{
	int err;

	if (port->number || port->out.kind == STREAM_CLOSED)
		return 0;
	port->stall.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (port->stall.fd < 0)
		return report(-errno, "cannot create a timer for the %s", device_of(port)->name);
	err = loop_add(device_of(port)->env->loop, &port->stall, EPOLLIN);
	return err ? report(err, "cannot wait for a timer of the %s", device_of(port)->name) : 0;
}

int console_port_start(struct console_port *port)
{
	struct loop *loop = device_of(port)->env->loop;
	int err;

	port->input = (struct loop_source){ port->config->in_fd, input_ready };
	port->stall = (struct loop_source){ -1, stall_ready };
	err = stream_open(&port->out, port->config->out_fd);
	if (err)
		return report(err, "cannot use descriptor %d for the %s", port->config->out_fd,
			      device_of(port)->name);
	port->writable = (struct loop_source){ port->out.fd, writable_ready };
	port->input_open = port->config->in_fd >= 0;
	port->escape.loop = port->config->escape ? loop : NULL;
	err = start_timer(port);
	if (!err)
		resume_input(port);
	return err;
}

void console_port_stop(struct console_port *port)
{
	struct loop *loop = device_of(port)->env->loop;

	if (!port->config)
		return;
	park_input(port);
	watch_output(port, false);
	if (port->stall.fd >= 0) {
		loop_remove(loop, &port->stall);
		close(port->stall.fd);
		port->stall.fd = -1;
	}
	stream_close(&port->out);
}

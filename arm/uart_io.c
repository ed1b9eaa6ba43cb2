// SPDX-License-Identifier: GPL-2.0-only
/* The host's side of a UART: where its bytes go to and come from. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <lkvm/report.h>
#include <lkvm/uart.h>
#include "uart.h"

/* --- output: a vCPU's thread, without the lock --- */

static void close_output(struct uart *uart, int err)
{
	bool was_open;

	lock_take(&uart->lock);
	was_open = uart->output_open;
	uart->output_open = false;
	lock_give(&uart->lock);
	if (was_open)
		report_warning("cannot write what the guest sends to %s: %s; it is dropped",
			       uart->config.name, strerror(err));
}

static void set_stalled(struct uart *uart, bool stalled)
{
	lock_take(&uart->lock);
	uart->output_stalled = stalled;
	lock_give(&uart->lock);
}

/* A write was interrupted or would have blocked: whether to try once more. Nobody waits twice for one stalled reader. */
static bool wait_for_reader(struct uart *uart, bool stalled)
{
	struct pollfd reader = { .fd = uart->config.out_fd, .events = POLLOUT };
	int ready;

	if (stalled)
		return false;
	ready = poll(&reader, 1, UART_STALL_MS);
	if (ready == 0)
		set_stalled(uart, true);
	return ready == 1;
}

/* A signal means that the vCPU is wanted: the byte gets one more chance, of bounded length. */
void uart_send(struct uart *uart, uint8_t byte, bool stalled)
{
	ssize_t sent = write(uart->config.out_fd, &byte, 1);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (!wait_for_reader(uart, stalled))
			return;
		sent = write(uart->config.out_fd, &byte, 1);
	}
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		close_output(uart, errno);
	else if (sent == 1 && stalled)
		set_stalled(uart, false);
}

/* --- input: the main thread --- */

static void backlog_push(struct uart *uart, uint8_t byte)
{
	uart->backlog[(uart->backlog_head + uart->backlog_count++) % UART_BACKLOG_SIZE] = byte;
}

/* Room for more input; as much as the FIFO holds stays free for uart_reset() to put back. */
static unsigned backlog_room(const struct uart *uart)
{
	return UART_BACKLOG_SIZE - UART_FIFO_SIZE - uart->backlog_count;
}

/* Takes the input off the loop; with no events it would still be woken by every EPOLLHUP. */
static void park_input(struct uart *uart)
{
	if (uart->input_polled)
		loop_remove(uart->loop, &uart->input);
	uart->input_polled = false;
}

/* Under the lock. */
static void take_byte(struct uart *uart, uint8_t byte)
{
	uint8_t bytes[ESCAPE_BYTES];
	unsigned count = escape_take(&uart->escape, byte, bytes);

	for (unsigned i = 0; i < count; i++)
		backlog_push(uart, bytes[i]);
}

/* The end of the input, quietly. */
static void end_input(struct uart *uart)
{
	uint8_t bytes[ESCAPE_BYTES];

	park_input(uart);
	lock_take(&uart->lock);
	uart->input_open = false;
	if (escape_end(&uart->escape, bytes))
		backlog_push(uart, bytes[0]);
	uart_feed(uart);
	uart_update_irq(uart);
	lock_give(&uart->lock);
}

/* A byte more than the backlog has room for may be owed to an escape. */
static unsigned input_room(struct uart *uart)
{
	unsigned room;

	lock_take(&uart->lock);
	room = backlog_room(uart);
	room = room > 1 ? room - 1 : 0;
	uart->input_waits = !room;
	lock_give(&uart->lock);
	return room;
}

/* Reads once, what there is room for. Returns whether more may follow. */
static bool read_input(struct uart *uart)
{
	uint8_t bytes[UART_BACKLOG_SIZE];
	unsigned room = input_room(uart);
	ssize_t count;

	if (!room)
		return false;
	count = read(uart->input.fd, bytes, room);
	if (count < 0 && (errno == EINTR || (errno == EAGAIN && uart->input_polled)))
		return true;
	if (count <= 0) {
		end_input(uart);
		return false;
	}
	lock_take(&uart->lock);
	for (ssize_t i = 0; i < count; i++)
		take_byte(uart, bytes[i]);
	uart_feed(uart);
	uart_update_irq(uart);
	lock_give(&uart->lock);
	return true;
}

static void input_ready(struct loop_source *source, uint32_t events)
{
	struct uart *uart = (struct uart *)((char *)source - offsetof(struct uart, input));

	(void)events;
	if (!read_input(uart))
		park_input(uart);
}

/* Back onto the loop; a file that epoll refuses is always ready and read here. */
static void resume_input(struct uart *uart)
{
	int err;

	if (!uart->input_open || uart->input_polled)
		return;
	err = loop_add(uart->loop, &uart->input, EPOLLIN);
	uart->input_polled = !err;
	if (err == -EPERM)
		while (read_input(uart))
			;
	else if (err)
		report_warning("cannot read the input of %s: %s", uart->config.name,
			       strerror(-err));
}

static void refill_ready(struct loop_source *source, uint32_t events)
{
	struct uart *uart = (struct uart *)((char *)source - offsetof(struct uart, refill));
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	resume_input(uart);
}

int uart_input_start(struct uart *uart)
{
	int err;

	uart->input = (struct loop_source){ uart->config.in_fd, input_ready };
	uart->refill = (struct loop_source){ -1, refill_ready };
	uart->input_open = uart->config.in_fd >= 0;
	uart->escape.loop = uart->config.escape ? uart->loop : NULL;
	if (!uart->input_open)
		return 0;
	uart->refill.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (uart->refill.fd < 0)
		return report(-errno, "cannot create an eventfd for %s", uart->config.name);
	err = loop_add(uart->loop, &uart->refill, EPOLLIN);
	if (err)
		return report(err, "cannot wait for %s", uart->config.name);
	resume_input(uart);
	return 0;
}

void uart_input_stop(struct uart *uart)
{
	park_input(uart);
	if (uart->refill.fd < 0)
		return;
	loop_remove(uart->loop, &uart->refill);
	close(uart->refill.fd);
}

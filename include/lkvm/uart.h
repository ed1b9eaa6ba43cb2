/* SPDX-License-Identifier: GPL-2.0-only */
/* A 16550A UART (National PC16550D), one register a byte. */
#ifndef LKVM_UART_H
#define LKVM_UART_H

#include <stdbool.h>
#include <stdint.h>
#include <lkvm/escape.h>
#include <lkvm/irq.h>
#include <lkvm/lock.h>
#include <lkvm/loop.h>
#include <lkvm/mmio.h>

struct uart_config {
	uint64_t base; /* guest-physical */
	uint32_t spi;
	int in_fd, out_fd; /* the caller's; -1: nothing connected */
	bool escape;       /* Ctrl-a x in the input ends the run */
	const char *name;  /* for messages */
};

#define UART_FIFO_SIZE    16 /* the hardware's */
#define UART_STALL_MS     250
#define UART_BACKLOG_SIZE 1024 /* input that was read but does not fit the FIFO yet */

struct uart {
	struct uart_config config;
	struct mmio_bus *mmio;
	struct irq_controller *irq;
	struct loop *loop;
	struct mmio_region region;
	struct loop_source input;  /* parked (off the loop) while the backlog is full */
	struct loop_source refill; /* eventfd: the guest has made room */
	bool input_polled;         /* on the epoll set; main thread only, as are the next two */
	bool input_open;
	struct escape escape;
	struct lock lock; /* guards all below; taken before nothing but the IRQ line */
	bool output_open, output_stalled;
	bool input_waits; /* for a write to refill */
	uint8_t ier, lcr, mcr, msr, scr, fcr, dll, dlm;
	bool overrun, thr_empty_pending, irq_level;
	unsigned idle_polls; /* reads of LSR since a byte was last sent: is the guest listening? */
	uint8_t fifo[UART_FIFO_SIZE];
	unsigned fifo_head, fifo_count;
	uint8_t backlog[UART_BACKLOG_SIZE];
	unsigned backlog_head, backlog_count;
};

/*
 * Puts the UART on the bus and its input on the loop. Output goes to out_fd with write(2); a reader that is gone (EPIPE,
 * EIO) is reported once and its output dropped; a reader that stalls stalls the writing vCPU until it is stopped, but
 * one behind a non-blocking descriptor only for UART_STALL_MS, then its output is dropped until it reads again.
 *
 * Input reaches the receiver FIFO once the guest is seen to listen (it enables the receive interrupt, or polls LSR and
 * sends nothing), so that what a pipe or file holds survives drivers that clear the FIFO when they start. Expects
 * SIGPIPE to be ignored. Reported. destroy accepts a zeroed object.
 */
int uart_create(struct uart *uart, const struct uart_config *config, struct mmio_bus *mmio,
		struct irq_controller *irq, struct loop *loop);
void uart_destroy(struct uart *uart);

/* Power-on state; what the guest has not read is kept. `irq` replaces the controller (the VM may be another). No vCPU runs. */
void uart_reset(struct uart *uart, struct irq_controller *irq);

#endif

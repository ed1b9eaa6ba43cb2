/* SPDX-License-Identifier: GPL-2.0-only */
/* A 16550A UART (National PC16550D), one register a byte. */
#ifndef LKVM_UART_H
#define LKVM_UART_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <lkvm/irq.h>
#include <lkvm/loop.h>
#include <lkvm/mmio.h>

struct uart_config {
	uint64_t base; /* guest-physical */
	uint32_t spi;
	int in_fd, out_fd; /* the caller's; -1: nothing connected */
	bool escape;       /* Ctrl-a x in the input ends the run */
	const char *name;  /* for messages */
};

#define UART_FIFO_SIZE 64

struct uart {
	struct uart_config config;
	struct irq_controller *irq;
	struct loop *loop;
	struct mmio_region region;
	struct loop_source input; /* parked while the FIFO is full */
	struct loop_source
		refill; /* eventfd: the guest has made room; for parked and for unpollable inputs */
	bool input_polled; /* on the epoll set, as opposed to a plain file */
	bool input_open, output_open, escaped;
	pthread_mutex_t lock; /* guards all below; taken before nothing but the IRQ line */
	uint8_t ier, lcr, mcr, scr, fcr, dll, dlm, overrun;
	bool thr_empty_pending, irq_level, break_seen;
	uint8_t fifo[UART_FIFO_SIZE];
	unsigned fifo_head, fifo_count;
};

/*
 * Puts the UART on the bus and its input on the loop. Output goes to out_fd with write(2); a reader that is gone (EPIPE,
 * EIO) is reported once and its output dropped; a reader that stalls stalls the writing vCPU until it is stopped.
 * Reported. destroy accepts a zeroed object.
 */
int uart_create(struct uart *uart, const struct uart_config *config, struct mmio_bus *mmio,
		struct irq_controller *irq, struct loop *loop);
void uart_destroy(struct uart *uart);

/* Power-on state; unread input is kept. `irq` replaces the controller (the VM may be another). No vCPU runs. */
void uart_reset(struct uart *uart, struct irq_controller *irq);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* Between a UART's registers (uart.c) and the host's side of it (uart_io.c). */
#ifndef ARM_UART_H
#define ARM_UART_H

#include <lkvm/uart.h>

/* Under uart->lock: moves input from the backlog into the FIFO; sets the interrupt line as the registers have it. */
void uart_feed(struct uart *uart);
void uart_update_irq(struct uart *uart);

/* Without it: writes a byte to the output. stalled: what output_stalled was. */
void uart_send(struct uart *uart, uint8_t byte, bool stalled);

/* Input onto the loop and off it again. Reported. stop goes with a start, even one that failed. */
int uart_input_start(struct uart *uart);
void uart_input_stop(struct uart *uart);

#endif

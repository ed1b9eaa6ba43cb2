/* SPDX-License-Identifier: GPL-2.0-only */
/* A UART on a bus, a loop and two pipes, and the guest and the user at its two ends. */
#ifndef UART_RIG_H
#define UART_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lkvm/uart.h>

#define UART_RIG_BASE 0x1000000ULL
#define UART_RIG_SPI  3
#define PATTERN_SIZE  60000

extern struct mmio_bus rig_mmio;
extern struct loop rig_loop;
extern struct uart rig_uart;
extern struct irq_controller rig_irq;
extern int rig_in[2], rig_out[2];
extern atomic_bool
	rig_line; /* the interrupt line, and how often it changed since the UART was created */
extern atomic_uint rig_line_changes;
extern char pattern[PATTERN_SIZE];

/* Around each test: what the UART needs, not the UART. */
int uart_rig_setup(void **state);
int uart_rig_teardown(void **state);
void uart_rig_create(int in_fd, int out_fd, bool escape);
void rig_close(int *fd);

/* The guest's accesses. */
uint64_t reg_read(unsigned reg, unsigned size);
uint8_t reg_get(unsigned reg);
void reg_put(unsigned reg, uint8_t value);

/* Scripts of accesses: R expects the value, W writes it. */
enum { R, W };

struct reg_access {
	int dir;
	uint8_t reg, value;
};

void reg_run(const struct reg_access *accesses, size_t count);

#define RUN(...)                                                                                   \
	reg_run((const struct reg_access[]){ __VA_ARGS__ },                                        \
		sizeof((const struct reg_access[]){ __VA_ARGS__ }) / sizeof(struct reg_access))

/* Lets the main thread's loop handle what is ready; returns how many times it had something to do. */
int loop_pump(void);

/* The user types; the guest reads all there is. */
void type_input(const char *text, size_t size);
size_t receive_input(char *buf, size_t size);
void assert_receives(const char *expected, size_t size);
void assert_sent(const char *expected);

/* A long input that has no two places alike. */
void pattern_make(void);
void assert_receives_pattern(size_t size);

#endif

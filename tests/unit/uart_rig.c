// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/serial_reg.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "uart_rig.h"

struct mmio_bus rig_mmio;
struct loop rig_loop;
struct uart rig_uart;
int rig_in[2], rig_out[2];

/* An interrupt controller that remembers one line. */
atomic_bool rig_line;
atomic_uint rig_line_changes;

static int set_level(struct irq_controller *controller, uint32_t spi, bool level)
{
	(void)controller;
	assert_int_equal(spi, UART_RIG_SPI);
	assert_true(atomic_exchange(&rig_line, level) != level);
	rig_line_changes++;
	return 0;
}

static const struct irq_controller_class irq_class = { .set_level = set_level };
struct irq_controller rig_irq = { .class = &irq_class };

void uart_rig_create(int in_fd, int out_fd, bool escape)
{
	struct uart_config config = {
		.base = UART_RIG_BASE,
		.spi = UART_RIG_SPI,
		.in_fd = in_fd,
		.out_fd = out_fd,
		.escape = escape,
		.name = "UART 0",
	};

	rig_line = false;
	rig_line_changes = 0;
	assert_int_equal(uart_create(&rig_uart, &config, &rig_mmio, &rig_irq, &rig_loop), 0);
}

int uart_rig_setup(void **state)
{
	if (files_setup(state) || mmio_bus_create(&rig_mmio) || loop_create(&rig_loop) ||
	    pipe(rig_in) || pipe(rig_out))
		return -1;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

void rig_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int uart_rig_teardown(void **state)
{
	uart_destroy(&rig_uart);
	uart_destroy(&rig_uart);
	loop_destroy(&rig_loop);
	mmio_bus_destroy(&rig_mmio);
	for (int i = 0; i < 2; i++) {
		rig_close(&rig_in[i]);
		rig_close(&rig_out[i]);
	}
	return files_teardown(state);
}

uint64_t reg_read(unsigned reg, unsigned size)
{
	uint64_t value;

	assert_true(mmio_bus_read(&rig_mmio, UART_RIG_BASE + reg, size, &value));
	return value;
}

uint8_t reg_get(unsigned reg)
{
	return (uint8_t)reg_read(reg, 1);
}

void reg_put(unsigned reg, uint8_t value)
{
	assert_true(mmio_bus_write(&rig_mmio, UART_RIG_BASE + reg, 1, value));
}

void reg_run(const struct reg_access *accesses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct reg_access *access = &accesses[i];

		if (access->dir == W)
			reg_put(access->reg, access->value);
		else if (reg_get(access->reg) != access->value)
			fail_msg("access %zu: register %u does not read 0x%02x", i, access->reg,
				 access->value);
	}
}

int loop_pump(void)
{
	struct epoll_event event;
	int count = 0;

	while (count < 1000 && epoll_wait(rig_loop.epoll_fd, &event, 1, 0) == 1) {
		struct loop_source *source = event.data.ptr;

		source->ready(source, event.events);
		count++;
	}
	return count;
}

void type_input(const char *text, size_t size)
{
	assert_int_equal(write(rig_in[1], text, size), size);
	loop_pump();
}

size_t receive_input(char *buf, size_t size)
{
	size_t count = 0;

	while (count < size && reg_get(UART_LSR) & UART_LSR_DR) {
		buf[count++] = (char)reg_get(UART_RX);
		loop_pump();
	}
	return count;
}

void assert_receives(const char *expected, size_t size)
{
	char buf[4096];

	assert_int_equal(receive_input(buf, sizeof(buf)), size);
	assert_memory_equal(buf, expected, size);
}

void assert_sent(const char *expected)
{
	char buf[256];
	ssize_t count = read(rig_out[0], buf, sizeof(buf));

	assert_int_equal(count, strlen(expected));
	assert_memory_equal(buf, expected, strlen(expected));
}

char pattern[PATTERN_SIZE];

void pattern_make(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 7 + i / 251);
}

void assert_receives_pattern(size_t size)
{
	char buf[sizeof(pattern) + 1];

	assert_int_equal(receive_input(buf, size + 1), size);
	assert_memory_equal(buf, pattern, size);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The UART as a driver sees it, through resets and from several threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "uart_rig.h"

/* --- registers --- */

static void registers_hold_what_they_hold(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	RUN({ R, UART_RX, 0 }, { R, UART_IER, 0 }, { R, UART_IIR, 0x01 }, { R, UART_LCR, 0 },
	    { R, UART_MCR, 0 }, { R, UART_LSR, 0x60 }, { R, UART_MSR, 0xb0 }, { R, UART_SCR, 0 });
	RUN({ W, UART_SCR, 0x5a }, { R, UART_SCR, 0x5a }, { W, UART_IER, 0xf8 },
	    { R, UART_IER, 0x08 }, { W, UART_MCR, 0xeb }, { R, UART_MCR, 0x0b },
	    { W, UART_LSR, 0xff }, { R, UART_LSR, 0x60 }, { W, UART_MSR, 0xff },
	    { R, UART_MSR, 0xb0 });
	/* DLAB turns the first two into the divisor, and back. */
	RUN({ W, UART_LCR, 0x83 }, { W, UART_DLL, 0x34 }, { W, UART_DLM, 0x12 },
	    { R, UART_DLL, 0x34 }, { R, UART_DLM, 0x12 }, { R, UART_LCR, 0x83 },
	    { W, UART_LCR, 0x03 }, { R, UART_IER, 0x08 }, { R, UART_RX, 0 });
	assert_int_equal(rig_line_changes, 0);
}

static void fifo_control_shows_in_iir(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	RUN({ W, UART_FCR, 0xc0 }, { R, UART_IIR, 0x01 }, { W, UART_FCR, 0xc7 },
	    { R, UART_IIR, 0xc1 }, { W, UART_FCR, 0 }, { R, UART_IIR, 0x01 });
}

static void wide_accesses_reach_one_register(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	assert_true(mmio_bus_write(&rig_mmio, UART_RIG_BASE + UART_LCR, 4, 0x11223303));
	assert_int_equal(reg_read(UART_LCR, 4), 0x03);
	assert_int_equal(reg_read(UART_MCR, 2), 0);
	assert_int_equal(reg_read(UART_RX, 8), 0);
}

/* What Linux does to find out whether the THRE interrupt works. */
static void enabling_thri_interrupts_at_once(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	for (int i = 0; i < 2; i++) {
		reg_put(UART_IER, UART_IER_THRI);
		assert_true(rig_line);
		assert_int_equal(reg_get(UART_IIR), UART_IIR_THRI);
		assert_false(rig_line);
		assert_int_equal(reg_get(UART_IIR), UART_IIR_NO_INT);
		reg_put(UART_IER, UART_IER_THRI); /* no edge */
		assert_false(rig_line);
		reg_put(UART_IER, 0);
	}
	assert_int_equal(rig_line_changes, 4);
}

static void sending_interrupts_once_for_many_bytes(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	reg_put(UART_IER, UART_IER_THRI);
	reg_get(UART_IIR);
	rig_line_changes = 0;
	for (const char *c = "sixteen bytes ok"; *c; c++) {
		reg_put(UART_TX, (uint8_t)*c);
		assert_int_equal(reg_get(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	}
	assert_true(rig_line);
	assert_int_equal(rig_line_changes, 1);
	assert_sent("sixteen bytes ok");
	assert_int_equal(reg_get(UART_IIR), UART_IIR_THRI);
	assert_int_equal(rig_line_changes, 2);
}

static void loopback_returns_the_modem_lines(void **state)
{
	static const uint8_t table[][2] = {
		{ 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 }, { 0x14, 0x40 },
		{ 0x18, 0x80 }, { 0x1a, 0x90 }, { 0x1f, 0xf0 }, { 0x0f, 0xb0 },
	};

	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		reg_put(UART_MCR, table[i][0]);
		assert_int_equal(reg_get(UART_MSR) & 0xf0, table[i][1]);
		assert_int_equal(reg_get(UART_MSR) & 0x0f, 0);
	}
	reg_put(UART_IER, UART_IER_MSI);
	assert_false(rig_line);
	reg_put(UART_MCR, 0x14); /* CTS, DSR, DCD fall, RI rises: no TERI */
	assert_true(rig_line);
	assert_int_equal(reg_get(UART_IIR), UART_IIR_MSI);
	assert_int_equal(reg_get(UART_MSR), 0x4b);
	assert_false(rig_line);
	reg_put(UART_MCR, 0x10);
	assert_int_equal(reg_get(UART_MSR), UART_MSR_TERI);
}

static void loopback_returns_bytes_and_sends_none(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	type_input("host", 4);
	RUN({ W, UART_FCR, UART_FCR_ENABLE_FIFO }, { W, UART_MCR, UART_MCR_LOOP },
	    { W, UART_IER, UART_IER_RDI | UART_IER_RLSI });
	for (int i = 0; i < UART_FIFO_SIZE; i++)
		reg_put(UART_TX, (uint8_t)('a' + i));
	assert_int_equal(reg_get(UART_IIR), 0xc0 | UART_IIR_RDI);
	reg_put(UART_TX, 'z'); /* one too many */
	assert_int_equal(reg_get(UART_IIR), 0xc0 | UART_IIR_RLSI);
	assert_int_equal(reg_get(UART_LSR), 0x60 | UART_LSR_OE | UART_LSR_DR);
	assert_int_equal(reg_get(UART_LSR), 0x60 | UART_LSR_DR);
	assert_receives("abcdefghijklmnop", 16);
	assert_false(rig_line);
	reg_put(UART_MCR, 0);
	assert_true(rig_line);
	assert_receives("host", 4);
	reg_put(UART_TX, '.');
	assert_sent(".");
}

/* --- life --- */

static void a_reset_keeps_unread_input(void **state)
{
	struct irq_controller other = { .class = rig_irq.class };

	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	reg_put(UART_IER, UART_IER_RDI);
	reg_put(UART_FCR, UART_FCR_ENABLE_FIFO);
	type_input("0123456789abcdefghij", 20);
	assert_int_equal(reg_get(UART_RX), '0');
	assert_true(rig_line);
	rig_line = false; /* the new VM's */
	uart_reset(&rig_uart, &other);
	RUN({ R, UART_IER, 0 }, { R, UART_IIR, 0x01 }, { R, UART_LSR, 0x60 });
	assert_false(rig_line);
	reg_put(UART_IER, UART_IER_RDI);
	assert_true(rig_line);
	assert_ptr_equal(rig_uart.irq, &other);
	assert_receives("123456789abcdefghij", 19);
}

static void a_reset_lowers_the_line_it_keeps(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	reg_put(UART_MCR, UART_MCR_LOOP);
	reg_put(UART_IER, UART_IER_THRI);
	reg_put(UART_TX, 'x');
	assert_true(rig_line);
	uart_reset(&rig_uart, &rig_irq);
	assert_false(rig_line);
	reg_put(UART_IER, UART_IER_RDI);
	assert_receives("", 0); /* what was looped back is nobody's input */
}

static void a_reset_with_a_full_backlog(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	pattern_make();
	reg_put(UART_IER, UART_IER_RDI);
	type_input(pattern, 5000);
	for (int i = 0; i < 5; i++)
		uart_reset(&rig_uart, &rig_irq);
	reg_put(UART_IER, UART_IER_RDI);
	assert_receives_pattern(5000);
}

static void an_address_that_is_taken(void **state)
{
	struct uart_config config = {
		.base = UART_RIG_BASE + 4, .in_fd = rig_in[0], .out_fd = -1, .name = "UART 1"
	};
	struct uart second;

	(void)state;
	uart_rig_create(-1, -1, false);
	stderr_keep();
	assert_int_equal(uart_create(&second, &config, &rig_mmio, &rig_irq, &rig_loop), -EEXIST);
	assert_reported("UART 1");
	uart_destroy(&second);
}

/* Two vCPUs and the main thread at once: every byte arrives, in order. */
static atomic_bool done;

static void *noisy_vcpu(void *arg)
{
	while (!done) {
		reg_get(UART_IIR);
		reg_get(UART_LSR);
		reg_put(UART_IER, UART_IER_RDI | UART_IER_THRI);
		reg_put(UART_SCR, 1);
		reg_put(UART_MCR, UART_MCR_RTS);
	}
	return arg;
}

static void *reading_vcpu(void *arg)
{
	for (size_t i = 0; i < 20000;) {
		if (!(reg_get(UART_LSR) & UART_LSR_DR))
			continue;
		if (reg_get(UART_RX) != (uint8_t)pattern[i++])
			break;
		if (i == 20000)
			*(bool *)arg = true;
	}
	done = true;
	return NULL;
}

static void many_threads_at_once(void **state)
{
	pthread_t threads[2];
	bool all = false;

	(void)state;
	pattern_make();
	done = false;
	uart_rig_create(rig_in[0], rig_out[1], false);
	assert_int_equal(write(rig_in[1], pattern, 20000), 20000);
	pthread_create(&threads[0], NULL, noisy_vcpu, NULL);
	pthread_create(&threads[1], NULL, reading_vcpu, &all);
	while (!done)
		loop_pump();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(all);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, uart_rig_setup, uart_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_hold_what_they_hold),
		TEST(fifo_control_shows_in_iir),
		TEST(wide_accesses_reach_one_register),
		TEST(enabling_thri_interrupts_at_once),
		TEST(sending_interrupts_once_for_many_bytes),
		TEST(loopback_returns_the_modem_lines),
		TEST(loopback_returns_bytes_and_sends_none),
		TEST(a_reset_keeps_unread_input),
		TEST(a_reset_lowers_the_line_it_keeps),
		TEST(a_reset_with_a_full_backlog),
		TEST(an_address_that_is_taken),
		TEST(many_threads_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

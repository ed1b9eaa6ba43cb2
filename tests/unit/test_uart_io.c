// SPDX-License-Identifier: GPL-2.0-only
/* The host's side of a UART: pipes, files, escapes, readers that stall or go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "uart_rig.h"

/* --- input --- */

static void input_waits_for_a_guest_that_listens(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	type_input("typed early", 11);
	assert_int_equal(reg_get(UART_LSR) & UART_LSR_DR, 0);
	/* A driver's start: clear the FIFO, read what is in it, enable the interrupt. */
	RUN({ W, UART_FCR, 0x01 }, { W, UART_FCR, 0x07 }, { W, UART_FCR, 0 }, { R, UART_LSR, 0x60 },
	    { R, UART_RX, 0 }, { R, UART_IIR, 0x01 }, { W, UART_FCR, 0x01 });
	assert_false(rig_line);
	reg_put(UART_IER, UART_IER_RDI);
	assert_true(rig_line);
	assert_int_equal(reg_get(UART_IIR), 0xc0 | UART_IIR_RDI);
	assert_receives("typed early", 11);
	assert_false(rig_line);
	assert_int_equal(rig_line_changes, 2);
	type_input("!", 1);
	assert_true(rig_line);
	reg_put(UART_IER, 0);
	assert_false(rig_line);
	assert_receives("!", 1); /* what is in the FIFO stays there */
}

static void a_guest_that_polls_listens(void **state)
{
	int polls = 1;

	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	type_input("firmware", 8);
	for (int i = 0; i < 100; i++) { /* a console driver's waiting for room */
		assert_int_equal(reg_get(UART_LSR), 0x60);
		assert_int_equal(reg_get(UART_LSR), 0x60);
		reg_put(UART_TX, '.');
	}
	while (!(reg_get(UART_LSR) & UART_LSR_DR) && polls < 100)
		polls++;
	assert_true(polls < 20);
	assert_int_equal(reg_get(UART_RX), 'f');
	reg_put(UART_TX, 'f'); /* its echo does not make it deaf */
	assert_receives("irmware", 7);
	assert_false(rig_line);
}

static void clearing_the_fifo_drops_what_is_in_it(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	reg_put(UART_FCR, UART_FCR_ENABLE_FIFO);
	reg_put(UART_IER, UART_IER_RDI);
	type_input("0123456789abcdefghij", 20);
	reg_put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_receives("ghij", 4);
}

static void a_pipe_arrives_in_full(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	pattern_make();
	type_input(pattern, sizeof(pattern));
	rig_close(&rig_in[1]);
	/* Nobody reads: the input is parked, and its hang-up does not keep the loop busy. */
	assert_true(loop_pump() < 10);
	reg_put(UART_IER, UART_IER_RDI);
	assert_receives_pattern(sizeof(pattern));
	assert_false(rig_line);
	assert_int_equal(loop_pump(), 0);
}

/* The guest's reads cost an eventfd write when half the backlog is gone, not each. */
static void the_main_thread_is_woken_once(void **state)
{
	uint64_t woken;

	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	pattern_make();
	type_input(pattern, 2000);
	reg_put(UART_IER, UART_IER_RDI);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(reg_get(UART_RX), (uint8_t)pattern[i]);
	assert_int_equal(read(rig_uart.refill.fd, &woken, sizeof(woken)), sizeof(woken));
	assert_int_equal(woken, 1);
}

static void files_are_read_without_polling(void **state)
{
	static const size_t sizes[] = { 0, 1, 1006, 1007, 1008, 1024, 5000, sizeof(pattern) };

	(void)state;
	pattern_make();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = open(file_make("input", pattern, sizes[i]), O_RDONLY | O_CLOEXEC);

		uart_rig_create(fd, rig_out[1], false);
		assert_true(loop_pump() < 5);
		reg_put(UART_IER, UART_IER_RDI);
		assert_receives_pattern(sizes[i]);
		uart_destroy(&rig_uart);
		close(fd);
	}
}

static void inputs_that_never_say_anything(void **state)
{
	static const char *const paths[] = { "/dev/null", "/", "/dev/zero" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		uart_rig_create(fd, -1, true);
		reg_put(UART_IER, UART_IER_RDI);
		assert_true(loop_pump() < 5);
		assert_int_equal(reg_get(UART_LSR) & UART_LSR_DR, i == 2);
		reg_put(UART_TX, 'x');
		uart_destroy(&rig_uart);
		close(fd);
	}
	uart_rig_create(-1, -1, true);
	reg_put(UART_IER, UART_IER_RDI);
	assert_int_equal(loop_pump(), 0);
}

static void non_blocking_input_that_is_empty(void **state)
{
	(void)state;
	fcntl(rig_in[0], F_SETFL, O_NONBLOCK);
	uart_rig_create(rig_in[0], rig_out[1], false);
	rig_uart.input.ready(&rig_uart.input, EPOLLIN); /* somebody else took it first */
	reg_put(UART_IER, UART_IER_RDI);
	type_input("later", 5);
	assert_receives("later", 5);
}

static void escapes(void **state)
{
	static const struct {
		const char *typed;
		bool escape;
		const char *received;
		int end;
	} table[] = {
		{ "ab", true, "ab", RUN_GOES_ON },
		{ "a\001xb", true, "ab", RUN_QUIT },
		{ "\001x", true, "", RUN_QUIT },
		{ "\001\001x", true, "\001x", RUN_GOES_ON },
		{ "\001\001\001x", true, "\001", RUN_QUIT },
		{ "\001cX", true, "\001cX", RUN_GOES_ON },
		{ "\001X\001", true, "\001X", RUN_GOES_ON },
		{ "\001x", false, "\001x", RUN_GOES_ON },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uart_rig_create(rig_in[0], rig_out[1], table[i].escape);
		reg_put(UART_IER, UART_IER_RDI);
		for (const char *c = table[i].typed; *c; c++)
			type_input(c, 1);
		assert_receives(table[i].received, strlen(table[i].received));
		assert_int_equal(rig_loop.end, table[i].end);
		loop_rewind(&rig_loop);
		uart_destroy(&rig_uart);
	}
}

static void a_ctrl_a_at_the_end_is_the_guests(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], true);
	reg_put(UART_IER, UART_IER_RDI);
	type_input("x\001", 2);
	assert_receives("x", 1);
	rig_close(&rig_in[1]);
	loop_pump();
	assert_true(rig_line);
	assert_receives("\001", 1);
}

static void a_guest_that_reads_nothing_can_be_quit(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], true);
	for (int i = 0; i < 500; i++)
		type_input("k", 1);
	assert_int_equal(rig_loop.end, RUN_GOES_ON);
	type_input("\001x", 2);
	assert_int_equal(rig_loop.end, RUN_QUIT);
}

/* Every byte of the backlog's last place, and the one an escape may owe, has room. */
static void escapes_where_the_backlog_ends(void **state)
{
	char text[3000];

	(void)state;
	for (size_t lead = 1000; lead < 1012; lead++) {
		memset(text, 'k', lead);
		for (size_t i = lead; i + 1 < sizeof(text); i += 2)
			memcpy(text + i, "\001k", 2);
		uart_rig_create(rig_in[0], rig_out[1], true);
		for (size_t i = 0; i < lead; i += 100)
			type_input(text + i, lead - i < 100 ? lead - i : 100);
		type_input(text + lead, (sizeof(text) - lead) & ~1ULL);
		reg_put(UART_IER, UART_IER_RDI);
		assert_receives(text, lead + ((sizeof(text) - lead) & ~1ULL));
		uart_destroy(&rig_uart);
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- output --- */

static void a_reader_that_is_gone_is_reported_once(void **state)
{
	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	rig_close(&rig_out[0]);
	stderr_keep();
	for (int i = 0; i < 100; i++)
		reg_put(UART_TX, 'x');
	assert_reported("UART 0: Broken pipe");
	assert_int_equal(reg_get(UART_LSR), 0x60);
}

static size_t filled;

static void fill(int fd)
{
	char page[4096] = { 0 };
	ssize_t count;

	filled = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((count = write(fd, page, sizeof(page))) > 0)
		filled += (size_t)count;
}

/* Reads what fill() wrote, and nothing that was written since. */
static void drain(int fd)
{
	char page[4096];

	while (filled) {
		size_t size = filled < sizeof(page) ? filled : sizeof(page);
		ssize_t count = read(fd, page, size);

		assert_true(count > 0);
		filled -= (size_t)count;
	}
}

static void a_stalled_reader_stalls_once(void **state)
{
	double start;

	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	fill(rig_out[1]);
	start = now();
	for (int i = 0; i < 100; i++)
		reg_put(UART_TX, 'l'); /* lost */
	assert_true(now() - start >= UART_STALL_MS / 1e3);
	assert_true(now() - start < 20 * UART_STALL_MS / 1e3);
	drain(rig_out[0]);
	reg_put(UART_TX, 'b');
	assert_sent("b");
	assert_false(rig_uart.output_stalled);
}

static void *slow_reader(void *arg)
{
	usleep(UART_STALL_MS * 1000 / 5);
	drain(rig_out[0]);
	return arg;
}

static void a_slow_reader_loses_nothing(void **state)
{
	pthread_t thread;

	(void)state;
	uart_rig_create(rig_in[0], rig_out[1], false);
	fill(rig_out[1]);
	pthread_create(&thread, NULL, slow_reader, NULL);
	reg_put(UART_TX, 's');
	pthread_join(thread, NULL);
	assert_sent("s");
}

static atomic_bool sending, sent;

static void *send_one(void *arg)
{
	sending = true;
	reg_put(UART_TX, 'x');
	sent = true;
	return arg;
}

static void on_signal(int signo)
{
	(void)signo;
}

static pthread_t block_in_send(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	sending = sent = false;
	uart_rig_create(rig_in[0], rig_out[1], false);
	fill(rig_out[1]);
	fcntl(rig_out[1], F_SETFL, 0);
	pthread_create(&thread, NULL, send_one, NULL);
	while (!sending)
		usleep(1000);
	usleep(20000);
	assert_false(sent);
	return thread;
}

/* A vCPU that waits for the console's reader: others use the UART meanwhile, and a kick frees it. */
static void a_blocked_write_holds_up_nobody_and_ends_with_a_kick(void **state)
{
	pthread_t thread;

	(void)state;
	thread = block_in_send();
	reg_put(UART_IER, UART_IER_RDI);
	type_input("input", 5);
	assert_receives("input", 5);
	assert_false(sent);
	while (!sent) {
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	}
	pthread_join(thread, NULL);
}

static void an_interrupted_write_waits_for_a_reader_that_reads(void **state)
{
	pthread_t thread;

	(void)state;
	thread = block_in_send();
	pthread_kill(thread, SIGUSR1);
	usleep(20000);
	assert_false(sent);
	drain(rig_out[0]);
	pthread_join(thread, NULL);
	assert_sent("x");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, uart_rig_setup, uart_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_waits_for_a_guest_that_listens),
		TEST(a_guest_that_polls_listens),
		TEST(clearing_the_fifo_drops_what_is_in_it),
		TEST(a_pipe_arrives_in_full),
		TEST(the_main_thread_is_woken_once),
		TEST(files_are_read_without_polling),
		TEST(inputs_that_never_say_anything),
		TEST(non_blocking_input_that_is_empty),
		TEST(escapes),
		TEST(a_ctrl_a_at_the_end_is_the_guests),
		TEST(a_guest_that_reads_nothing_can_be_quit),
		TEST(escapes_where_the_backlog_ends),
		TEST(a_reader_that_is_gone_is_reported_once),
		TEST(a_stalled_reader_stalls_once),
		TEST(a_slow_reader_loses_nothing),
		TEST(a_blocked_write_holds_up_nobody_and_ends_with_a_kick),
		TEST(an_interrupted_write_waits_for_a_reader_that_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The UART as a driver sees it, and its host side: pipes, files, readers that stall or go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/uart.h>
#include "files.h"

#define BASE 0x1000000ULL
#define SPI  3

static struct mmio_bus mmio;
static struct loop loop;
static struct uart uart;
static int in[2], out[2];

/* An interrupt controller that remembers one line. */
static atomic_bool line;
static atomic_uint line_changes;

static int set_level(struct irq_controller *controller, uint32_t spi, bool level)
{
	(void)controller;
	assert_int_equal(spi, SPI);
	assert_true(atomic_exchange(&line, level) != level);
	line_changes++;
	return 0;
}

static const struct irq_controller_class irq_class = { .set_level = set_level };
static struct irq_controller irq = { .class = &irq_class };

static void create_on(int in_fd, int out_fd, bool escape)
{
	struct uart_config config = {
		.base = BASE,
		.spi = SPI,
		.in_fd = in_fd,
		.out_fd = out_fd,
		.escape = escape,
		.name = "UART 0",
	};

	line = false;
	line_changes = 0;
	assert_int_equal(uart_create(&uart, &config, &mmio, &irq, &loop), 0);
}

static int setup(void **state)
{
	if (files_setup(state) || mmio_bus_create(&mmio) || loop_create(&loop) || pipe(in) ||
	    pipe(out))
		return -1;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int teardown(void **state)
{
	uart_destroy(&uart);
	uart_destroy(&uart);
	loop_destroy(&loop);
	mmio_bus_destroy(&mmio);
	for (int i = 0; i < 2; i++) {
		close_fd(&in[i]);
		close_fd(&out[i]);
	}
	return files_teardown(state);
}

static void create(void)
{
	create_on(in[0], out[1], false);
}

static uint64_t read_wide(unsigned reg, unsigned size)
{
	uint64_t value;

	assert_true(mmio_bus_read(&mmio, BASE + reg, size, &value));
	return value;
}

static uint8_t get(unsigned reg)
{
	return (uint8_t)read_wide(reg, 1);
}

static void put(unsigned reg, uint8_t value)
{
	assert_true(mmio_bus_write(&mmio, BASE + reg, 1, value));
}

/* Lets the main thread's loop handle what is ready; returns how many times it had something to do. */
static int pump(void)
{
	struct epoll_event event;
	int count = 0;

	while (count < 1000 && epoll_wait(loop.epoll_fd, &event, 1, 0) == 1) {
		struct loop_source *source = event.data.ptr;

		source->ready(source, event.events);
		count++;
	}
	return count;
}

static void type(const char *text, size_t size)
{
	assert_int_equal(write(in[1], text, size), size);
	pump();
}

/* What the guest can read now. */
static size_t receive(char *buf, size_t size)
{
	size_t count = 0;

	while (count < size && get(UART_LSR) & UART_LSR_DR) {
		buf[count++] = (char)get(UART_RX);
		pump();
	}
	return count;
}

static void assert_receives(const char *expected, size_t size)
{
	char buf[4096];

	assert_int_equal(receive(buf, sizeof(buf)), size);
	assert_memory_equal(buf, expected, size);
}

static void assert_sent(const char *expected)
{
	char buf[256];
	ssize_t count = read(out[0], buf, sizeof(buf));

	assert_int_equal(count, strlen(expected));
	assert_memory_equal(buf, expected, strlen(expected));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- registers --- */

enum { R, W };

struct access {
	int dir;
	uint8_t reg, value;
};

static void run(const struct access *accesses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct access *a = &accesses[i];

		if (a->dir == W)
			put(a->reg, a->value);
		else if (get(a->reg) != a->value)
			fail_msg("access %zu: register %u does not read 0x%02x", i, a->reg,
				 a->value);
	}
}

#define RUN(...)                                                                                   \
	run((const struct access[]){ __VA_ARGS__ },                                                \
	    sizeof((const struct access[]){ __VA_ARGS__ }) / sizeof(struct access))

static void registers_hold_what_they_hold(void **state)
{
	(void)state;
	create();
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
	assert_int_equal(line_changes, 0);
}

static void fifo_control_shows_in_iir(void **state)
{
	(void)state;
	create();
	RUN({ W, UART_FCR, 0xc0 }, { R, UART_IIR, 0x01 }, { W, UART_FCR, 0xc7 },
	    { R, UART_IIR, 0xc1 }, { W, UART_FCR, 0 }, { R, UART_IIR, 0x01 });
}

static void wide_accesses_reach_one_register(void **state)
{
	(void)state;
	create();
	assert_true(mmio_bus_write(&mmio, BASE + UART_LCR, 4, 0x11223303));
	assert_int_equal(read_wide(UART_LCR, 4), 0x03);
	assert_int_equal(read_wide(UART_MCR, 2), 0);
	assert_int_equal(read_wide(UART_RX, 8), 0);
}

/* What Linux does to find out whether the THRE interrupt works. */
static void enabling_thri_interrupts_at_once(void **state)
{
	(void)state;
	create();
	for (int i = 0; i < 2; i++) {
		put(UART_IER, UART_IER_THRI);
		assert_true(line);
		assert_int_equal(get(UART_IIR), UART_IIR_THRI);
		assert_false(line);
		assert_int_equal(get(UART_IIR), UART_IIR_NO_INT);
		put(UART_IER, UART_IER_THRI); /* no edge */
		assert_false(line);
		put(UART_IER, 0);
	}
	assert_int_equal(line_changes, 4);
}

static void sending_interrupts_once_for_many_bytes(void **state)
{
	(void)state;
	create();
	put(UART_IER, UART_IER_THRI);
	get(UART_IIR);
	line_changes = 0;
	for (const char *c = "sixteen bytes ok"; *c; c++) {
		put(UART_TX, (uint8_t)*c);
		assert_int_equal(get(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	}
	assert_true(line);
	assert_int_equal(line_changes, 1);
	assert_sent("sixteen bytes ok");
	assert_int_equal(get(UART_IIR), UART_IIR_THRI);
	assert_int_equal(line_changes, 2);
}

static void loopback_returns_the_modem_lines(void **state)
{
	static const uint8_t table[][2] = {
		{ 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 }, { 0x14, 0x40 },
		{ 0x18, 0x80 }, { 0x1a, 0x90 }, { 0x1f, 0xf0 }, { 0x0f, 0xb0 },
	};

	(void)state;
	create();
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		put(UART_MCR, table[i][0]);
		assert_int_equal(get(UART_MSR) & 0xf0, table[i][1]);
		assert_int_equal(get(UART_MSR) & 0x0f, 0);
	}
	put(UART_IER, UART_IER_MSI);
	assert_false(line);
	put(UART_MCR, 0x14); /* CTS, DSR, DCD fall, RI rises: no TERI */
	assert_true(line);
	assert_int_equal(get(UART_IIR), UART_IIR_MSI);
	assert_int_equal(get(UART_MSR), 0x4b);
	assert_false(line);
	put(UART_MCR, 0x10);
	assert_int_equal(get(UART_MSR), UART_MSR_TERI);
}

static void loopback_returns_bytes_and_sends_none(void **state)
{
	(void)state;
	create();
	type("host", 4);
	RUN({ W, UART_FCR, UART_FCR_ENABLE_FIFO }, { W, UART_MCR, UART_MCR_LOOP },
	    { W, UART_IER, UART_IER_RDI | UART_IER_RLSI });
	for (int i = 0; i < UART_FIFO_SIZE; i++)
		put(UART_TX, (uint8_t)('a' + i));
	assert_int_equal(get(UART_IIR), 0xc0 | UART_IIR_RDI);
	put(UART_TX, 'z'); /* one too many */
	assert_int_equal(get(UART_IIR), 0xc0 | UART_IIR_RLSI);
	assert_int_equal(get(UART_LSR), 0x60 | UART_LSR_OE | UART_LSR_DR);
	assert_int_equal(get(UART_LSR), 0x60 | UART_LSR_DR);
	assert_receives("abcdefghijklmnop", 16);
	assert_false(line);
	put(UART_MCR, 0);
	assert_true(line);
	assert_receives("host", 4);
	put(UART_TX, '.');
	assert_sent(".");
}

/* --- input --- */

static void input_waits_for_a_guest_that_listens(void **state)
{
	(void)state;
	create();
	type("typed early", 11);
	assert_int_equal(get(UART_LSR) & UART_LSR_DR, 0);
	/* A driver's start: clear the FIFO, read what is in it, enable the interrupt. */
	RUN({ W, UART_FCR, 0x01 }, { W, UART_FCR, 0x07 }, { W, UART_FCR, 0 }, { R, UART_LSR, 0x60 },
	    { R, UART_RX, 0 }, { R, UART_IIR, 0x01 }, { W, UART_FCR, 0x01 });
	assert_false(line);
	put(UART_IER, UART_IER_RDI);
	assert_true(line);
	assert_int_equal(get(UART_IIR), 0xc0 | UART_IIR_RDI);
	assert_receives("typed early", 11);
	assert_false(line);
	assert_int_equal(line_changes, 2);
	type("!", 1);
	assert_true(line);
	put(UART_IER, 0);
	assert_false(line);
	assert_receives("!", 1); /* what is in the FIFO stays there */
}

static void a_guest_that_polls_listens(void **state)
{
	int polls = 1;

	(void)state;
	create();
	type("firmware", 8);
	for (int i = 0; i < 100; i++) { /* a console driver's waiting for room */
		assert_int_equal(get(UART_LSR), 0x60);
		assert_int_equal(get(UART_LSR), 0x60);
		put(UART_TX, '.');
	}
	while (!(get(UART_LSR) & UART_LSR_DR) && polls < 100)
		polls++;
	assert_true(polls < 20);
	assert_int_equal(get(UART_RX), 'f');
	put(UART_TX, 'f'); /* its echo does not make it deaf */
	assert_receives("irmware", 7);
	assert_false(line);
}

static void clearing_the_fifo_drops_what_is_in_it(void **state)
{
	(void)state;
	create();
	put(UART_FCR, UART_FCR_ENABLE_FIFO);
	put(UART_IER, UART_IER_RDI);
	type("0123456789abcdefghij", 20);
	put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_receives("ghij", 4);
}

static char pattern[60000];

static void make_pattern(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(i * 7 + i / 251);
}

static void assert_receives_pattern(size_t size)
{
	char buf[sizeof(pattern) + 1];

	assert_int_equal(receive(buf, size + 1), size);
	assert_memory_equal(buf, pattern, size);
}

static void a_pipe_arrives_in_full(void **state)
{
	(void)state;
	create();
	make_pattern();
	type(pattern, sizeof(pattern));
	close_fd(&in[1]);
	/* Nobody reads: the input is parked, and its hang-up does not keep the loop busy. */
	assert_true(pump() < 10);
	put(UART_IER, UART_IER_RDI);
	assert_receives_pattern(sizeof(pattern));
	assert_false(line);
	assert_int_equal(pump(), 0);
}

static void files_are_read_without_polling(void **state)
{
	static const size_t sizes[] = { 0, 1, 1006, 1007, 1008, 1024, 5000, sizeof(pattern) };

	(void)state;
	make_pattern();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = open(file_make("input", pattern, sizes[i]), O_RDONLY | O_CLOEXEC);

		create_on(fd, out[1], false);
		assert_true(pump() < 5);
		put(UART_IER, UART_IER_RDI);
		assert_receives_pattern(sizes[i]);
		uart_destroy(&uart);
		close(fd);
	}
}

static void inputs_that_never_say_anything(void **state)
{
	static const char *const paths[] = { "/dev/null", "/", "/dev/zero" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		create_on(fd, -1, true);
		put(UART_IER, UART_IER_RDI);
		assert_true(pump() < 5);
		assert_int_equal(get(UART_LSR) & UART_LSR_DR, i == 2);
		put(UART_TX, 'x');
		uart_destroy(&uart);
		close(fd);
	}
	create_on(-1, -1, true);
	put(UART_IER, UART_IER_RDI);
	assert_int_equal(pump(), 0);
}

static void non_blocking_input_that_is_empty(void **state)
{
	(void)state;
	fcntl(in[0], F_SETFL, O_NONBLOCK);
	create();
	uart.input.ready(&uart.input, EPOLLIN); /* somebody else took it first */
	put(UART_IER, UART_IER_RDI);
	type("later", 5);
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
		create_on(in[0], out[1], table[i].escape);
		put(UART_IER, UART_IER_RDI);
		for (const char *c = table[i].typed; *c; c++)
			type(c, 1);
		assert_receives(table[i].received, strlen(table[i].received));
		assert_int_equal(loop.end, table[i].end);
		loop_rewind(&loop);
		uart_destroy(&uart);
	}
}

static void a_ctrl_a_at_the_end_is_the_guests(void **state)
{
	(void)state;
	create_on(in[0], out[1], true);
	put(UART_IER, UART_IER_RDI);
	type("x\001", 2);
	assert_receives("x", 1);
	close_fd(&in[1]);
	pump();
	assert_true(line);
	assert_receives("\001", 1);
}

static void a_guest_that_reads_nothing_can_be_quit(void **state)
{
	(void)state;
	create_on(in[0], out[1], true);
	for (int i = 0; i < 500; i++)
		type("k", 1);
	assert_int_equal(loop.end, RUN_GOES_ON);
	type("\001x", 2);
	assert_int_equal(loop.end, RUN_QUIT);
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
		create_on(in[0], out[1], true);
		for (size_t i = 0; i < lead; i += 100)
			type(text + i, lead - i < 100 ? lead - i : 100);
		type(text + lead, (sizeof(text) - lead) & ~1ULL);
		put(UART_IER, UART_IER_RDI);
		assert_receives(text, lead + ((sizeof(text) - lead) & ~1ULL));
		uart_destroy(&uart);
	}
}

/* --- output --- */

static void a_reader_that_is_gone_is_reported_once(void **state)
{
	(void)state;
	create();
	close_fd(&out[0]);
	stderr_keep();
	for (int i = 0; i < 100; i++)
		put(UART_TX, 'x');
	assert_reported("UART 0: Broken pipe");
	assert_int_equal(get(UART_LSR), 0x60);
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
	create();
	fill(out[1]);
	start = now();
	for (int i = 0; i < 100; i++)
		put(UART_TX, 'l'); /* lost */
	assert_true(now() - start >= UART_STALL_MS / 1e3);
	assert_true(now() - start < 20 * UART_STALL_MS / 1e3);
	drain(out[0]);
	put(UART_TX, 'b');
	assert_sent("b");
	assert_false(uart.output_stalled);
}

static void *slow_reader(void *arg)
{
	usleep(UART_STALL_MS * 1000 / 5);
	drain(out[0]);
	return arg;
}

static void a_slow_reader_loses_nothing(void **state)
{
	pthread_t thread;

	(void)state;
	create();
	fill(out[1]);
	pthread_create(&thread, NULL, slow_reader, NULL);
	put(UART_TX, 's');
	pthread_join(thread, NULL);
	assert_sent("s");
}

static atomic_bool sending, sent;

static void *send_one(void *arg)
{
	sending = true;
	put(UART_TX, 'x');
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
	create();
	fill(out[1]);
	fcntl(out[1], F_SETFL, 0);
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
	put(UART_IER, UART_IER_RDI);
	type("input", 5);
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
	drain(out[0]);
	pthread_join(thread, NULL);
	assert_sent("x");
}

/* --- life --- */

static void a_reset_keeps_unread_input(void **state)
{
	struct irq_controller other = { .class = &irq_class };

	(void)state;
	create();
	put(UART_IER, UART_IER_RDI);
	put(UART_FCR, UART_FCR_ENABLE_FIFO);
	type("0123456789abcdefghij", 20);
	assert_int_equal(get(UART_RX), '0');
	assert_true(line);
	line = false; /* the new VM's */
	uart_reset(&uart, &other);
	RUN({ R, UART_IER, 0 }, { R, UART_IIR, 0x01 }, { R, UART_LSR, 0x60 });
	assert_false(line);
	put(UART_IER, UART_IER_RDI);
	assert_true(line);
	assert_ptr_equal(uart.irq, &other);
	assert_receives("123456789abcdefghij", 19);
}

static void a_reset_lowers_the_line_it_keeps(void **state)
{
	(void)state;
	create();
	put(UART_MCR, UART_MCR_LOOP);
	put(UART_IER, UART_IER_THRI);
	put(UART_TX, 'x');
	assert_true(line);
	uart_reset(&uart, &irq);
	assert_false(line);
	put(UART_IER, UART_IER_RDI);
	assert_receives("", 0); /* what was looped back is nobody's input */
}

static void a_reset_with_a_full_backlog(void **state)
{
	(void)state;
	create();
	make_pattern();
	put(UART_IER, UART_IER_RDI);
	type(pattern, 5000);
	for (int i = 0; i < 5; i++)
		uart_reset(&uart, &irq);
	put(UART_IER, UART_IER_RDI);
	assert_receives_pattern(5000);
}

static void an_address_that_is_taken(void **state)
{
	struct uart_config config = {
		.base = BASE + 4, .in_fd = in[0], .out_fd = -1, .name = "UART 1"
	};
	struct uart second;

	(void)state;
	create_on(-1, -1, false);
	stderr_keep();
	assert_int_equal(uart_create(&second, &config, &mmio, &irq, &loop), -EEXIST);
	assert_reported("UART 1");
	uart_destroy(&second);
}

/* Two vCPUs and the main thread at once: every byte arrives, in order. */
static atomic_bool done;

static void *noisy_vcpu(void *arg)
{
	while (!done) {
		get(UART_IIR);
		get(UART_LSR);
		put(UART_IER, UART_IER_RDI | UART_IER_THRI);
		put(UART_SCR, 1);
		put(UART_MCR, UART_MCR_RTS);
	}
	return arg;
}

static void *reading_vcpu(void *arg)
{
	for (size_t i = 0; i < 20000;) {
		if (!(get(UART_LSR) & UART_LSR_DR))
			continue;
		if (get(UART_RX) != (uint8_t)pattern[i++])
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
	make_pattern();
	done = false;
	create();
	assert_int_equal(write(in[1], pattern, 20000), 20000);
	pthread_create(&threads[0], NULL, noisy_vcpu, NULL);
	pthread_create(&threads[1], NULL, reading_vcpu, &all);
	while (!done)
		pump();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(all);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

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
		TEST(input_waits_for_a_guest_that_listens),
		TEST(a_guest_that_polls_listens),
		TEST(clearing_the_fifo_drops_what_is_in_it),
		TEST(a_pipe_arrives_in_full),
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
		TEST(a_reset_keeps_unread_input),
		TEST(a_reset_lowers_the_line_it_keeps),
		TEST(a_reset_with_a_full_backlog),
		TEST(an_address_that_is_taken),
		TEST(many_threads_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

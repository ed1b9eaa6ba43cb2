// SPDX-License-Identifier: GPL-2.0-only
/* The virtio console (virtio 1.2, 5.3): what goes through its ports, and that nothing there waits, grows or breaks. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "virtio/console.h"
#include "virtio_rig.h"

#define RX           0
#define TX           1
#define CONTROL_RX   2
#define CONTROL_TX   3
#define PORT_RX(n)   (2 * (n) + 2)
#define PORT_TX(n)   (2 * (n) + 3)
#define MULTIPORT    (1ULL << VIRTIO_CONSOLE_F_MULTIPORT)
#define EMERG_OFFSET offsetof(struct virtio_console_config, emerg_wr)
#define CTRL_A       "\001"

static struct virtio_terminal_config config;
static int in[2], out[2]; /* pipes: [1] into the console, [0] out of it */

static int setup(void **state)
{
	if (virtio_rig_setup(state) || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC | O_NONBLOCK))
		return -1;
	/* What the console gets may block: it must not rely on more. */
	fcntl(out[1], F_SETFL, 0);
	signal(SIGPIPE, SIG_IGN);
	config = (struct virtio_terminal_config){
		.ports = { { .in_fd = in[0], .out_fd = out[1] } },
		.count = 1,
	};
	return 0;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int teardown(void **state)
{
	virtio_rig_destroy_device();
	for (unsigned i = 0; i < 2; i++) {
		close_end(&in[i]);
		close_end(&out[i]);
	}
	return virtio_rig_teardown(state);
}

/* Another port, by name, connected to nothing. */
static struct virtio_port_config *add_port(const char *name)
{
	config.ports[config.count] =
		(struct virtio_port_config){ .name = name, .in_fd = -1, .out_fd = -1 };
	return &config.ports[config.count++];
}

static void make(void)
{
	struct virtio_device *vdev;

	assert_int_equal(console_create(&vdev, &config, &vrig.env), 0);
	virtio_rig_connect(vdev, false);
}

static void start(void)
{
	make();
	virtio_rig_start(config.count > 1 ? MULTIPORT : 0, 0);
}

/* --- the driver --- */

static int offer(unsigned queue, uint64_t gpa, uint32_t size, bool write)
{
	const struct virtq_buffer buffer = { gpa, size };

	return virtq_driver_add(&vrig.queues[queue], &buffer, write ? 0 : 1, write ? 1 : 0);
}

/* The guest prints; how much of it was sent is the reader's to see. */
static void print(unsigned queue, const char *text)
{
	uint64_t gpa = virtio_rig_alloc(strlen(text));

	memcpy(virtio_rig_at(gpa, strlen(text)), text, strlen(text));
	assert_true(offer(queue, gpa, (uint32_t)strlen(text), false) >= 0);
	virtio_kick(vrig.vdev, queue);
	assert_int_equal(virtio_rig_wait_used(queue, NULL), 0);
}

static void assert_printed(const char *text)
{
	char buf[256];
	ssize_t count = read(out[0], buf, sizeof(buf));

	assert_int_equal(count, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

/* The guest reads; a buffer of `size` bytes. */
static void assert_read(unsigned queue, uint32_t size, const char *text)
{
	uint64_t gpa = virtio_rig_alloc(size);

	assert_true(offer(queue, gpa, size, true) >= 0);
	virtio_kick(vrig.vdev, queue);
	assert_int_equal(virtio_rig_wait_used(queue, NULL), strlen(text));
	assert_memory_equal(virtio_rig_at(gpa, size), text, strlen(text));
}

static void type(const char *text)
{
	assert_int_equal(write(in[1], text, strlen(text)), strlen(text));
	virtio_rig_pump();
}

static void control(uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control message = { id, event, value };
	uint64_t gpa = virtio_rig_alloc(sizeof(message));

	memcpy(virtio_rig_at(gpa, sizeof(message)), &message, sizeof(message));
	assert_true(offer(CONTROL_TX, gpa, sizeof(message), false) >= 0);
	virtio_kick(vrig.vdev, CONTROL_TX);
	virtio_rig_wait_used(CONTROL_TX, NULL);
}

/* The device's next message; its text or numbers behind it. */
static void assert_told(uint32_t id, uint16_t event, const void *more, size_t size)
{
	const struct virtio_console_control expected = { id, event, 1 };
	uint64_t gpa = virtio_rig_alloc(64);
	uint8_t *message = virtio_rig_at(gpa, 64);

	offer(CONTROL_RX, gpa, 64, true);
	virtio_kick(vrig.vdev, CONTROL_RX);
	assert_int_equal(virtio_rig_wait_used(CONTROL_RX, NULL), sizeof(expected) + size);
	assert_memory_equal(message, &expected, sizeof(expected));
	if (size)
		assert_memory_equal(message + sizeof(expected), more, size);
}

static void open_port(uint32_t id)
{
	control(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

/* --- what it is --- */

static void console_alone_has_two_queues(void **state)
{
	(void)state;
	make();
	assert_int_equal(vrig.vdev->queue_count, 2);
	assert_int_equal(vrig.vdev->offered, 1 << VIRTIO_CONSOLE_F_EMERG_WRITE);
	assert_int_equal(virtio_rig_config(4, 4), 1);
}

static void ports_have_queues_each_and_two_for_control(void **state)
{
	(void)state;
	add_port("one");
	add_port("two");
	make();
	assert_int_equal(vrig.vdev->queue_count, 8);
	assert_true(vrig.vdev->offered & MULTIPORT);
	assert_int_equal(virtio_rig_config(4, 4), 3);
}

static void only_the_emergency_register_is_written(void **state)
{
	(void)state;
	make();
	virtio_config_write(vrig.vdev, 0, 4, 0x12345678);
	virtio_config_write(vrig.vdev, 4, 4, 77);
	virtio_config_write(vrig.vdev, 9, 1, 'x');
	assert_int_equal(read(out[0], &(char){ 0 }, 1), -1);
	virtio_config_write(vrig.vdev, EMERG_OFFSET, 4, 'a');
	virtio_config_write(vrig.vdev, EMERG_OFFSET, 1, 'b');
	virtio_config_write(vrig.vdev, 4, 8, (uint64_t)'c' << 32);
	assert_printed("abc");
	assert_int_equal(virtio_rig_config(0, 8), 1ULL << 32);
	assert_int_equal(virtio_rig_config(EMERG_OFFSET, 4), 0);
}

/* --- output --- */

static void what_the_guest_prints_comes_out(void **state)
{
	struct virtq_buffer pieces[3];
	uint64_t gpa;

	(void)state;
	start();
	print(TX, "hello\n");
	assert_printed("hello\n");
	gpa = virtio_rig_alloc(16);
	memcpy(virtio_rig_at(gpa, 16), "abcdefghijklmnop", 16);
	for (unsigned i = 0; i < 3; i++)
		pieces[i] = (struct virtq_buffer){ gpa + 4 * i, i == 1 ? 0 : 3 };
	assert_int_equal(virtio_rig_exchange(TX, pieces, 3, 0), 0);
	assert_printed("abcijk");
	assert_int_equal(virtio_rig_exchange(TX, pieces, 0, 1), 0);
	assert_int_equal(read(out[0], pieces, 1), -1);
}

static void fill_pattern(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
}

#define MUCH (1 << 20)

static void a_mebibyte_comes_out_unchanged(void **state)
{
	int file = memfd_create("out", MFD_CLOEXEC);
	uint8_t *expected = malloc(MUCH), *seen = malloc(MUCH);
	uint64_t gpa;

	(void)state;
	config.ports[0].out_fd = file;
	start();
	gpa = virtio_rig_alloc(MUCH);
	fill_pattern(virtio_rig_at(gpa, MUCH), MUCH);
	fill_pattern(expected, MUCH);
	for (unsigned done = 0; done < MUCH;) {
		unsigned piece = MUCH - done < 77777 ? MUCH - done : 77777;
		const struct virtq_buffer buffer = { gpa + done, piece };

		virtio_rig_exchange(TX, &buffer, 1, 0);
		done += piece;
	}
	assert_int_equal(pread(file, seen, MUCH, 0), MUCH);
	assert_memory_equal(seen, expected, MUCH);
	close(file);
	free(expected);
	free(seen);
}

/* Others have their turn after 64 KiB, however much one chain holds. */
static void one_port_does_not_keep_the_main_thread(void **state)
{
	int file = memfd_create("out", MFD_CLOEXEC);
	struct stat st;

	(void)state;
	config.ports[0].out_fd = file;
	start();
	assert_true(offer(TX, virtio_rig_alloc(MUCH), MUCH, false) >= 0);
	virtio_lock(vrig.vdev);
	vrig.vdev->class->handle_queue(vrig.vdev, virtio_queue(vrig.vdev, TX));
	virtio_unlock(vrig.vdev);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, 1 << 16);
	virtio_rig_wait_used(TX, NULL);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, MUCH);
	close(file);
}

static size_t drain_output(void)
{
	char buf[4096];
	size_t total = 0;
	ssize_t count;

	while ((count = read(out[0], buf, sizeof(buf))) > 0)
		total += (size_t)count;
	return total;
}

/* Row 25: a flood meets a reader who does not read: it is lost, and the guest is not held up for long. */
static void console_drops_what_a_stalled_reader_leaves(void **state)
{
	uint64_t gpa;

	(void)state;
	start();
	gpa = virtio_rig_alloc(MUCH);
	for (unsigned i = 0; i < 50; i++) {
		const struct virtq_buffer buffer = { gpa, MUCH / 4 };

		virtio_rig_exchange(TX, &buffer, 1, 0);
	}
	assert_true(drain_output() <= 2 << 16);
	print(TX, "once more");
	assert_printed("once more");
}

/* A port that is no console loses nothing, and the others go on. */
static void port_waits_for_its_reader(void **state)
{
	struct virtio_port_config *port = add_port("data");
	size_t total = 0;
	uint64_t gpa;
	int file[2];
	int id;

	(void)state;
	assert_int_equal(pipe2(file, O_CLOEXEC | O_NONBLOCK), 0);
	fcntl(file[1], F_SETFL, 0);
	port->out_fd = file[1];
	start();
	gpa = virtio_rig_alloc(MUCH);
	id = offer(PORT_TX(1), gpa, MUCH, false);
	virtio_rig_kick(PORT_TX(1));
	for (unsigned i = 0; i < 3; i++) {
		poll(NULL, 0, 150);
		virtio_rig_pump();
		print(TX, "go on");
		assert_printed("go on");
	}
	assert_false(virtq_driver_used(&vrig.queues[PORT_TX(1)], NULL, NULL));
	while (total < MUCH) {
		char buf[8192];
		ssize_t count = read(file[0], buf, sizeof(buf));

		if (count > 0)
			total += (size_t)count;
		virtio_rig_pump();
	}
	assert_true(virtq_driver_used(&vrig.queues[PORT_TX(1)], &id, NULL));
	virtio_rig_destroy_device();
	close(file[0]);
	close(file[1]);
}

static void output_without_a_reader_is_dropped_and_said_once(void **state)
{
	(void)state;
	start();
	close_end(&out[0]);
	stderr_keep();
	print(TX, "to nobody");
	print(TX, "to nobody");
	assert_reported("cannot write what the guest sends to its virtio console: Broken pipe; it "
			"is dropped");
}

static void console_may_be_connected_to_nothing(void **state)
{
	(void)state;
	config.ports[0].in_fd = config.ports[0].out_fd = -1;
	start();
	stderr_keep();
	print(TX, "nothing");
	virtio_config_write(vrig.vdev, EMERG_OFFSET, 4, 'a');
	assert_string_equal(stderr_text(), "");
}

/* --- input --- */

static void what_is_typed_comes_in(void **state)
{
	(void)state;
	start();
	type("hello");
	assert_read(RX, 3, "hel");
	assert_read(RX, 100, "lo");
	assert_int_equal(vrig.interrupts[RX], 2);
}

static void input_waits_for_the_driver(void **state)
{
	(void)state;
	make();
	type("early");
	virtio_rig_start(0, 0);
	assert_read(RX, 100, "early");
	type("kept");
	virtio_rig_reset();
	virtio_rig_start(0, 0);
	assert_read(RX, 100, "kept");
}

static void buffers_without_room_do_no_harm(void **state)
{
	uint64_t gpa = virtio_rig_alloc(64);
	const struct virtq_buffer buffers[] = { { gpa, 8 }, { gpa + 8, 0 }, { gpa + 16, 4 } };

	(void)state;
	start();
	type("abcdef");
	assert_int_equal(virtio_rig_exchange(RX, buffers, 1, 0), 0);
	assert_int_equal(virtio_rig_exchange(RX, buffers + 1, 0, 2), 4);
	assert_memory_equal(virtio_rig_at(gpa + 16, 4), "abcd", 4);
	assert_read(RX, 10, "ef");
}

static void assert_mebibyte_comes_in(void)
{
	uint8_t *expected = malloc(MUCH), *seen = malloc(MUCH);
	uint64_t gpa = virtio_rig_alloc(3000);
	unsigned done = 0;

	fill_pattern(expected, MUCH);
	while (done < MUCH) {
		uint32_t count;

		assert_true(offer(RX, gpa, 3000, true) >= 0);
		virtio_kick(vrig.vdev, RX);
		count = virtio_rig_wait_used(RX, NULL);
		assert_in_range(count, 1, MUCH - done);
		memcpy(seen + done, virtio_rig_at(gpa, count), count);
		done += count;
	}
	assert_memory_equal(seen, expected, MUCH);
	free(expected);
	free(seen);
}

static void a_mebibyte_comes_in_unchanged_from_a_file(void **state)
{
	uint8_t *bytes = malloc(MUCH);
	int file;

	(void)state;
	fill_pattern(bytes, MUCH);
	file = open(file_make("in", bytes, MUCH), O_RDONLY | O_CLOEXEC);
	free(bytes);
	config.ports[0].in_fd = file;
	start();
	assert_mebibyte_comes_in();
	close(file);
}

static void *write_much(void *arg)
{
	uint8_t *bytes = malloc(MUCH);

	(void)arg;
	fill_pattern(bytes, MUCH);
	for (ssize_t done = 0; done < MUCH;)
		done += write(in[1], bytes + done, (size_t)(MUCH - done));
	free(bytes);
	return NULL;
}

static void a_mebibyte_comes_in_unchanged_from_a_pipe(void **state)
{
	pthread_t writer;

	(void)state;
	start();
	assert_int_equal(pthread_create(&writer, NULL, write_much, NULL), 0);
	assert_mebibyte_comes_in();
	assert_int_equal(pthread_join(writer, NULL), 0);
}

/* Neither memory nor the main thread is a guest's that does not read: the pipe keeps what there is no room for. */
static void input_that_nobody_reads_stays_outside(void **state)
{
	static char much[60000];
	unsigned events;

	(void)state;
	start();
	assert_int_equal(write(in[1], much, sizeof(much)), sizeof(much));
	events = virtio_rig_pump();
	assert_true(events < 10);
	assert_int_equal(virtio_rig_pump(), 0);
	close_end(&in[1]);
	assert_int_equal(virtio_rig_pump(), 0);
}

static void escape_ends_the_run_whatever_the_guest_does(void **state)
{
	(void)state;
	config.ports[0].escape = true;
	make();
	type("a" CTRL_A CTRL_A CTRL_A "b" CTRL_A);
	assert_int_equal(loop_ended(&vrig.loop), RUN_GOES_ON);
	type("x");
	assert_int_equal(loop_ended(&vrig.loop), RUN_QUIT);
	virtio_rig_start(0, 0);
	assert_read(RX, 100, "a" CTRL_A CTRL_A "b");
	type(CTRL_A);
	close_end(&in[1]);
	virtio_rig_pump();
	assert_read(RX, 100, CTRL_A);
}

/* --- ports --- */

static void driver_is_told_of_the_ports(void **state)
{
	(void)state;
	add_port("data");
	start();
	control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_told(0, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	assert_told(1, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	control(1, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_told(1, VIRTIO_CONSOLE_PORT_NAME, "data", 4);
	assert_told(1, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_told(0, VIRTIO_CONSOLE_CONSOLE_PORT, NULL, 0);
	assert_told(0, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	assert_false(virtio_rig_needs_reset());
}

static void messages_of_nonsense_are_ignored(void **state)
{
	static const struct virtio_console_control messages[] = {
		{ 0, VIRTIO_CONSOLE_DEVICE_READY, 0 }, { 2, VIRTIO_CONSOLE_PORT_READY, 1 },
		{ ~0U, VIRTIO_CONSOLE_PORT_OPEN, 1 },  { 1, VIRTIO_CONSOLE_PORT_READY, 0 },
		{ 0, VIRTIO_CONSOLE_PORT_NAME, 1 },    { 0, 0xffff, 1 },
		{ 1, VIRTIO_CONSOLE_PORT_REMOVE, 1 },  { 1, VIRTIO_CONSOLE_RESIZE, 1 },
	};
	uint64_t gpa = virtio_rig_alloc(64);
	const struct virtq_buffer buffers[] = { { gpa, 7 }, { gpa, 0 }, { gpa, 64 } };

	(void)state;
	add_port("data");
	start();
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		control(messages[i].id, messages[i].event, messages[i].value);
	for (unsigned i = 0; i < 3; i++)
		virtio_rig_exchange(CONTROL_TX, &buffers[i], i == 2 ? 0 : 1, i == 2 ? 1 : 0);
	offer(CONTROL_RX, gpa, 64, true);
	virtio_rig_kick(CONTROL_RX);
	assert_false(virtq_driver_used(&vrig.queues[CONTROL_RX], NULL, NULL));
	assert_false(virtio_rig_needs_reset());
}

static void port_gets_input_once_it_is_open(void **state)
{
	struct virtio_port_config *port = add_port("data");
	uint64_t gpa = virtio_rig_alloc(64);

	(void)state;
	port->in_fd = in[0];
	config.ports[0].in_fd = -1;
	start();
	type("data");
	offer(PORT_RX(1), gpa, 64, true);
	virtio_rig_kick(PORT_RX(1));
	assert_false(virtq_driver_used(&vrig.queues[PORT_RX(1)], NULL, NULL));
	open_port(1);
	assert_int_equal(virtio_rig_wait_used(PORT_RX(1), NULL), 4);
	control(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	type("more");
	offer(PORT_RX(1), gpa, 64, true);
	virtio_rig_kick(PORT_RX(1));
	assert_false(virtq_driver_used(&vrig.queues[PORT_RX(1)], NULL, NULL));
}

/* --- the terminal --- */

static void set_size(int fd, unsigned short cols, unsigned short rows)
{
	const struct winsize size = { .ws_col = cols, .ws_row = rows };

	assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
}

static void terminal_tells_its_size(void **state)
{
	sigset_t before, after;
	int master, slave;

	(void)state;
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	set_size(slave, 80, 25);
	config.ports[0].out_fd = slave;
	start();
	assert_true(vrig.vdev->offered & 1 << VIRTIO_CONSOLE_F_SIZE);
	assert_int_equal(virtio_rig_config(0, 4), 25 << 16 | 80);
	set_size(slave, 132, 43);
	kill(getpid(), SIGWINCH);
	virtio_rig_pump();
	assert_int_equal(virtio_rig_config(0, 4), 43 << 16 | 132);
	assert_int_equal(vrig.config_interrupts, 1);
	virtio_rig_destroy_device();
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	assert_int_equal(sigismember(&before, SIGWINCH), sigismember(&after, SIGWINCH));
	close(master);
	close(slave);
}

static void terminal_among_ports_tells_by_message(void **state)
{
	static const uint16_t small[] = { 80, 25 }, large[] = { 132, 43 };
	int master, slave;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	set_size(slave, 80, 25);
	config.ports[0].out_fd = slave;
	add_port("data");
	start();
	control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_told(0, VIRTIO_CONSOLE_CONSOLE_PORT, NULL, 0);
	assert_told(0, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	assert_told(0, VIRTIO_CONSOLE_RESIZE, small, sizeof(small));
	set_size(slave, 132, 43);
	for (unsigned i = 0; i < 3; i++) {
		kill(getpid(), SIGWINCH);
		virtio_rig_pump();
	}
	assert_told(0, VIRTIO_CONSOLE_RESIZE, large, sizeof(large));
	print(TX, "wide");
	virtio_rig_destroy_device();
	close(master);
	close(slave);
}

/* --- what a guest may do (rows 1-6, 11, 14) --- */

static const struct {
	const char *what;
	struct vring_desc desc;
	uint16_t head, ahead;
} mistakes[] = {
	{ "a descriptor loop", { VRIG_RAM, 16, VRING_DESC_F_NEXT, 0 }, 0, 1 },
	{ "a head beyond the ring", { VRIG_RAM, 16, 0, 0 }, 64, 1 },
	{ "a next beyond the ring", { VRIG_RAM, 16, VRING_DESC_F_NEXT, 64 }, 0, 1 },
	{ "an index far ahead", { VRIG_RAM, 16, 0, 0 }, 0, 65 },
	{ "a buffer outside RAM", { 0x1000, 16, 0, 0 }, 0, 1 },
	{ "a buffer over RAM's end", { VRIG_RAM + VRIG_RAM_SIZE - 8, 16, 0, 0 }, 0, 1 },
	{ "a buffer that wraps", { ~7ULL, 16, 0, 0 }, 0, 1 },
	{ "an indirect table of odd length", { VRIG_RAM, 17, VRING_DESC_F_INDIRECT, 0 }, 0, 1 },
};

static void mistake_breaks_the_device_until_its_reset(void **state)
{
	(void)state;
	add_port("data");
	make();
	type("typed");
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		for (unsigned queue = 0; queue < vrig.vdev->queue_count; queue++) {
			struct virtq_driver *driver = &vrig.queues[queue];

			virtio_rig_start(MULTIPORT, 0);
			open_port(0);
			open_port(1);
			control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
			if (queue == PORT_RX(1)) /* nothing to read: its ring is left alone */
				continue;
			driver->desc[0] = mistakes[i].desc;
			driver->avail->ring[driver->avail->idx % driver->size] = mistakes[i].head;
			driver->avail->idx += mistakes[i].ahead;
			virtio_rig_kick(queue);
			if (!virtio_rig_needs_reset())
				fail_msg("queue %u: %s", queue, mistakes[i].what);
			virtio_rig_reset();
		}
	}
	virtio_rig_start(0, 0);
	print(TX, "alive");
	assert_printed("alive");
	assert_read(RX, 64, "typed");
}

static void reset_forgets_what_is_under_way(void **state)
{
	uint16_t used;

	(void)state;
	start();
	offer(TX, virtio_rig_alloc(MUCH), MUCH, false);
	virtio_rig_kick(TX);
	used = vrig.queues[TX].used->idx;
	virtio_rig_reset();
	drain_output();
	poll(NULL, 0, CONSOLE_STALL_MS + 50);
	virtio_rig_pump();
	assert_int_equal(drain_output(), 0);
	assert_int_equal(vrig.queues[TX].used->idx, used);
	virtio_rig_start(0, 0);
	print(TX, "again");
	assert_printed("again");
}

#define ROUNDS 100

static void *reset_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		virtio_rig_start(0, 0);
		virtio_config_write(vrig.vdev, EMERG_OFFSET, 4, 'e');
		for (unsigned n = 0; n < 8; n++) {
			offer(TX, VRIG_RAM + (16 << 20), 30000, false);
			offer(RX, VRIG_RAM + (18 << 20), 64, true);
			virtio_kick(vrig.vdev, TX);
			virtio_kick(vrig.vdev, RX);
		}
		virtio_rig_reset();
	}
	return NULL;
}

/* Row 14, with two threads: a vCPU resets the device while the main thread sends and receives. */
static void resets_do_not_race(void **state)
{
	pthread_t vcpu;

	(void)state;
	make();
	assert_int_equal(pthread_create(&vcpu, NULL, reset_often, NULL), 0);
	for (unsigned i = 0; i < 500; i++) {
		(void)!write(in[1], "typed", 5);
		virtio_rig_pump();
		if (i % 10 == 0)
			drain_output();
	}
	assert_int_equal(pthread_join(vcpu, NULL), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(console_alone_has_two_queues),
		T(ports_have_queues_each_and_two_for_control),
		T(only_the_emergency_register_is_written),
		T(what_the_guest_prints_comes_out),
		T(a_mebibyte_comes_out_unchanged),
		T(one_port_does_not_keep_the_main_thread),
		T(console_drops_what_a_stalled_reader_leaves),
		T(port_waits_for_its_reader),
		T(output_without_a_reader_is_dropped_and_said_once),
		T(console_may_be_connected_to_nothing),
		T(what_is_typed_comes_in),
		T(input_waits_for_the_driver),
		T(buffers_without_room_do_no_harm),
		T(a_mebibyte_comes_in_unchanged_from_a_file),
		T(a_mebibyte_comes_in_unchanged_from_a_pipe),
		T(input_that_nobody_reads_stays_outside),
		T(escape_ends_the_run_whatever_the_guest_does),
		T(driver_is_told_of_the_ports),
		T(messages_of_nonsense_are_ignored),
		T(port_gets_input_once_it_is_open),
		T(terminal_tells_its_size),
		T(terminal_among_ports_tells_by_message),
		T(mistake_breaks_the_device_until_its_reset),
		T(reset_forgets_what_is_under_way),
		T(resets_do_not_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

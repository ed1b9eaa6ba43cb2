// SPDX-License-Identifier: GPL-2.0-only
/* The virtio console (virtio 1.2, 5.3): what goes through it, and that nothing there waits or grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "console_rig.h"
#include "files.h"

/* --- what it is --- */

static void console_alone_has_two_queues(void **state)
{
	(void)state;
	crig_make();
	assert_int_equal(vrig.vdev->queue_count, 2);
	assert_int_equal(vrig.vdev->offered, SIZE | 1 << VIRTIO_CONSOLE_F_EMERG_WRITE);
	assert_int_equal(virtio_rig_config(4, 4), 1);
}

static void ports_have_queues_each_and_two_for_control(void **state)
{
	(void)state;
	crig_add_port("one");
	crig_add_port("two");
	crig_make();
	assert_int_equal(vrig.vdev->queue_count, 8);
	assert_true(vrig.vdev->offered & MULTIPORT);
	assert_int_equal(virtio_rig_config(4, 4), 3);
}

static void only_the_emergency_register_is_written(void **state)
{
	(void)state;
	crig_make();
	virtio_config_write(vrig.vdev, 0, 4, 0x12345678);
	virtio_config_write(vrig.vdev, 4, 4, 77);
	virtio_config_write(vrig.vdev, 9, 1, 'x');
	assert_int_equal(read(crig.out[0], &(char){ 0 }, 1), -1);
	virtio_config_write(vrig.vdev, EMERG_OFFSET, 4, 'a');
	virtio_config_write(vrig.vdev, EMERG_OFFSET, 1, 'b');
	virtio_config_write(vrig.vdev, 4, 8, (uint64_t)'c' << 32);
	crig_assert_printed("abc");
	assert_int_equal(virtio_rig_config(0, 8), 1ULL << 32);
	assert_int_equal(virtio_rig_config(EMERG_OFFSET, 4), 0);
}

/* --- output --- */

static void what_the_guest_prints_comes_out(void **state)
{
	struct virtq_buffer pieces[3];
	uint64_t gpa;

	(void)state;
	crig_start();
	crig_print(TX, "hello\n");
	crig_assert_printed("hello\n");
	gpa = virtio_rig_alloc(16);
	memcpy(virtio_rig_at(gpa, 16), "abcdefghijklmnop", 16);
	for (unsigned i = 0; i < 3; i++)
		pieces[i] = (struct virtq_buffer){ gpa + 4 * i, i == 1 ? 0 : 3 };
	assert_int_equal(virtio_rig_exchange(TX, pieces, 3, 0), 0);
	crig_assert_printed("abcijk");
	assert_int_equal(virtio_rig_exchange(TX, pieces, 0, 1), 0);
	assert_int_equal(read(crig.out[0], pieces, 1), -1);
}

static void fill_pattern(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
}

static void a_mebibyte_comes_out_unchanged(void **state)
{
	int file = memfd_create("out", MFD_CLOEXEC);
	uint8_t *expected = malloc(MUCH), *seen = malloc(MUCH);
	uint64_t gpa;

	(void)state;
	crig.config.ports[0].out_fd = file;
	crig_start();
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
	crig.config.ports[0].out_fd = file;
	crig_start();
	assert_true(crig_offer(TX, virtio_rig_alloc(MUCH), MUCH, false) >= 0);
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

/* Row 25: a flood meets a reader who does not read: it is lost, and the guest is not held up for long. */
static void console_drops_what_a_stalled_reader_leaves(void **state)
{
	uint64_t gpa;

	(void)state;
	crig_start();
	gpa = virtio_rig_alloc(MUCH);
	for (unsigned i = 0; i < 50; i++) {
		const struct virtq_buffer buffer = { gpa, MUCH / 4 };

		virtio_rig_exchange(TX, &buffer, 1, 0);
	}
	assert_true(crig_drain_output() <= 2 << 16);
	crig_print(TX, "once more");
	crig_assert_printed("once more");
}

/* A port that is no console loses nothing, and the others go on. */
static void port_waits_for_its_reader(void **state)
{
	struct virtio_port_config *port = crig_add_port("data");
	size_t total = 0;
	uint64_t gpa;
	int file[2];
	int id;

	(void)state;
	assert_int_equal(pipe2(file, O_CLOEXEC | O_NONBLOCK), 0);
	fcntl(file[1], F_SETFL, 0);
	port->out_fd = file[1];
	crig_start();
	gpa = virtio_rig_alloc(MUCH);
	id = crig_offer(PORT_TX(1), gpa, MUCH, false);
	virtio_rig_kick(PORT_TX(1));
	for (unsigned i = 0; i < 3; i++) {
		poll(NULL, 0, 150);
		virtio_rig_pump();
		crig_print(TX, "go on");
		crig_assert_printed("go on");
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
	crig_start();
	crig_close_end(&crig.out[0]);
	stderr_keep();
	crig_print(TX, "to nobody");
	crig_print(TX, "to nobody");
	assert_reported("cannot write what the guest sends to its virtio console: Broken pipe; it "
			"is dropped");
}

static void console_may_be_connected_to_nothing(void **state)
{
	(void)state;
	crig.config.ports[0].in_fd = crig.config.ports[0].out_fd = -1;
	crig_start();
	stderr_keep();
	crig_print(TX, "nothing");
	virtio_config_write(vrig.vdev, EMERG_OFFSET, 4, 'a');
	assert_string_equal(stderr_text(), "");
}

/* --- input --- */

static void what_is_typed_comes_in(void **state)
{
	(void)state;
	crig_start();
	crig_type("hello");
	crig_assert_read(RX, 3, "hel");
	crig_assert_read(RX, 100, "lo");
	assert_int_equal(vrig.interrupts[RX], 2);
}

static void input_waits_for_the_driver(void **state)
{
	(void)state;
	crig_make();
	crig_type("early");
	virtio_rig_start(0, 0);
	crig_assert_read(RX, 100, "early");
	crig_type("kept");
	virtio_rig_reset();
	virtio_rig_start(0, 0);
	crig_assert_read(RX, 100, "kept");
}

static void offer_room(void)
{
	assert_true(crig_offer(RX, virtio_rig_alloc(64), 64, true) >= 0);
	virtio_rig_kick(RX);
}

static void assert_nothing_comes(void)
{
	virtio_rig_pump();
	assert_false(virtq_driver_used(&vrig.queues[RX], NULL, NULL));
}

/* Linux throws input away until its probe is over; only then does it look at the size or print. */
static void input_waits_for_the_driver_to_show_itself(void **state)
{
	(void)state;
	crig_make();
	crig_type("early");
	for (unsigned prints = 0; prints < 2; prints++) {
		virtio_rig_config(0, 4);
		virtio_rig_start(SIZE, 0);
		assert_int_equal(vrig.config_interrupts, prints + 1);
		offer_room();
		virtio_rig_kick(TX);
		assert_nothing_comes();
		if (prints)
			crig_print(TX, "login: ");
		else
			assert_int_equal(virtio_rig_config(0, 4), 0);
		assert_int_equal(virtio_rig_wait_used(RX, NULL), 5);
		virtio_rig_reset();
		crig_type("again");
	}
}

static void ports_do_not_open_by_what_is_printed(void **state)
{
	(void)state;
	crig_add_port("data");
	crig_make();
	virtio_rig_start(MULTIPORT | SIZE, 0);
	crig_type("early");
	offer_room();
	crig_print(TX, "login: ");
	virtio_rig_config(0, 4);
	assert_nothing_comes();
	assert_int_equal(vrig.config_interrupts, 0);
	crig_open_port(0);
	assert_int_equal(virtio_rig_wait_used(RX, NULL), 5);
}

static void buffers_without_room_do_no_harm(void **state)
{
	uint64_t gpa = virtio_rig_alloc(64);
	const struct virtq_buffer buffers[] = { { gpa, 8 }, { gpa + 8, 0 }, { gpa + 16, 4 } };

	(void)state;
	crig_start();
	crig_type("abcdef");
	assert_int_equal(virtio_rig_exchange(RX, buffers, 1, 0), 0);
	assert_int_equal(virtio_rig_exchange(RX, buffers + 1, 0, 2), 4);
	assert_memory_equal(virtio_rig_at(gpa + 16, 4), "abcd", 4);
	crig_assert_read(RX, 10, "ef");
}

static void assert_mebibyte_comes_in(void)
{
	uint8_t *expected = malloc(MUCH), *seen = malloc(MUCH);
	uint64_t gpa = virtio_rig_alloc(3000);
	unsigned done = 0;

	fill_pattern(expected, MUCH);
	while (done < MUCH) {
		uint32_t count;

		assert_true(crig_offer(RX, gpa, 3000, true) >= 0);
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
	crig.config.ports[0].in_fd = file;
	crig_start();
	assert_mebibyte_comes_in();
	close(file);
}

static void *write_much(void *arg)
{
	uint8_t *bytes = malloc(MUCH);

	(void)arg;
	fill_pattern(bytes, MUCH);
	for (ssize_t done = 0; done < MUCH;)
		done += write(crig.in[1], bytes + done, (size_t)(MUCH - done));
	free(bytes);
	return NULL;
}

static void a_mebibyte_comes_in_unchanged_from_a_pipe(void **state)
{
	pthread_t writer;

	(void)state;
	crig_start();
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
	crig_start();
	assert_int_equal(write(crig.in[1], much, sizeof(much)), sizeof(much));
	events = virtio_rig_pump();
	assert_true(events < 10);
	assert_int_equal(virtio_rig_pump(), 0);
	crig_close_end(&crig.in[1]);
	assert_int_equal(virtio_rig_pump(), 0);
}

static void escape_ends_the_run_whatever_the_guest_does(void **state)
{
	(void)state;
	crig.config.ports[0].escape = true;
	crig_make();
	crig_type("a" CTRL_A CTRL_A CTRL_A "b" CTRL_A);
	assert_int_equal(loop_ended(&vrig.loop), RUN_GOES_ON);
	crig_type("x");
	assert_int_equal(loop_ended(&vrig.loop), RUN_QUIT);
	virtio_rig_start(0, 0);
	crig_assert_read(RX, 100, "a" CTRL_A CTRL_A "b");
	crig_type(CTRL_A);
	crig_close_end(&crig.in[1]);
	virtio_rig_pump();
	crig_assert_read(RX, 100, CTRL_A);
}

#define T(test) cmocka_unit_test_setup_teardown(test, crig_setup, crig_teardown)

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
		T(input_waits_for_the_driver_to_show_itself),
		T(ports_do_not_open_by_what_is_printed),
		T(buffers_without_room_do_no_harm),
		T(a_mebibyte_comes_in_unchanged_from_a_file),
		T(a_mebibyte_comes_in_unchanged_from_a_pipe),
		T(input_that_nobody_reads_stays_outside),
		T(escape_ends_the_run_whatever_the_guest_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

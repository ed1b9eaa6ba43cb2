// SPDX-License-Identifier: GPL-2.0-only
/* The virtio console's control messages and its terminal's size (virtio 1.2, 5.3.6), and drivers that break the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>
#include "console_rig.h"
#include "files.h"

/* --- ports --- */

static void driver_is_told_of_the_ports(void **state)
{
	(void)state;
	crig_add_port("data");
	crig_start();
	crig_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	crig_assert_told(0, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	crig_assert_told(1, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	crig_control(1, VIRTIO_CONSOLE_PORT_READY, 1);
	crig_assert_told(1, VIRTIO_CONSOLE_PORT_NAME, "data", 4);
	crig_assert_told(1, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	crig_control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	crig_assert_told(0, VIRTIO_CONSOLE_CONSOLE_PORT, NULL, 0);
	crig_assert_told(0, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
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
	crig_add_port("data");
	crig_start();
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		crig_control(messages[i].id, messages[i].event, messages[i].value);
	for (unsigned i = 0; i < 3; i++)
		virtio_rig_exchange(CONTROL_TX, &buffers[i], i == 2 ? 0 : 1, i == 2 ? 1 : 0);
	crig_offer(CONTROL_RX, gpa, 64, true);
	virtio_rig_kick(CONTROL_RX);
	assert_false(virtq_driver_used(&vrig.queues[CONTROL_RX], NULL, NULL));
	assert_false(virtio_rig_needs_reset());
}

static void port_gets_input_once_it_is_open(void **state)
{
	struct virtio_port_config *port = crig_add_port("data");
	uint64_t gpa = virtio_rig_alloc(64);

	(void)state;
	port->in_fd = crig.in[0];
	crig.config.ports[0].in_fd = -1;
	crig_start();
	crig_type("data");
	crig_offer(PORT_RX(1), gpa, 64, true);
	virtio_rig_kick(PORT_RX(1));
	assert_false(virtq_driver_used(&vrig.queues[PORT_RX(1)], NULL, NULL));
	crig_open_port(1);
	assert_int_equal(virtio_rig_wait_used(PORT_RX(1), NULL), 4);
	crig_control(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	crig_type("more");
	crig_offer(PORT_RX(1), gpa, 64, true);
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
	crig.config.ports[0].out_fd = slave;
	crig_start();
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
	crig.config.ports[0].out_fd = slave;
	crig_add_port("data");
	crig_start();
	crig_control(0, VIRTIO_CONSOLE_PORT_READY, 1);
	crig_assert_told(0, VIRTIO_CONSOLE_CONSOLE_PORT, NULL, 0);
	crig_assert_told(0, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	crig_assert_told(0, VIRTIO_CONSOLE_RESIZE, small, sizeof(small));
	set_size(slave, 132, 43);
	for (unsigned i = 0; i < 3; i++) {
		kill(getpid(), SIGWINCH);
		virtio_rig_pump();
	}
	crig_assert_told(0, VIRTIO_CONSOLE_RESIZE, large, sizeof(large));
	crig_print(TX, "wide");
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
	crig_add_port("data");
	crig_make();
	crig_type("typed");
	stderr_keep();
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		for (unsigned queue = 0; queue < vrig.vdev->queue_count; queue++) {
			struct virtq_driver *driver = &vrig.queues[queue];

			virtio_rig_start(MULTIPORT, 0);
			crig_open_port(0);
			crig_open_port(1);
			crig_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
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
	assert_reported("broke the rules");
	virtio_rig_start(0, 0);
	crig_print(TX, "alive");
	crig_assert_printed("alive");
	crig_assert_read(RX, 64, "typed");
}

static void reset_forgets_what_is_under_way(void **state)
{
	uint16_t used;

	(void)state;
	crig_start();
	crig_offer(TX, virtio_rig_alloc(MUCH), MUCH, false);
	virtio_rig_kick(TX);
	used = vrig.queues[TX].used->idx;
	virtio_rig_reset();
	crig_drain_output();
	poll(NULL, 0, CONSOLE_STALL_MS + 50);
	virtio_rig_pump();
	assert_int_equal(crig_drain_output(), 0);
	assert_int_equal(vrig.queues[TX].used->idx, used);
	virtio_rig_start(0, 0);
	crig_print(TX, "again");
	crig_assert_printed("again");
}

#define ROUNDS 100

static void *reset_often(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		virtio_rig_start(0, 0);
		virtio_config_write(vrig.vdev, EMERG_OFFSET, 4, 'e');
		for (unsigned n = 0; n < 8; n++) {
			crig_offer(TX, VRIG_RAM + (16 << 20), 30000, false);
			crig_offer(RX, VRIG_RAM + (18 << 20), 64, true);
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
	crig_make();
	assert_int_equal(pthread_create(&vcpu, NULL, reset_often, NULL), 0);
	for (unsigned i = 0; i < 500; i++) {
		(void)!write(crig.in[1], "typed", 5);
		virtio_rig_pump();
		if (i % 10 == 0)
			crig_drain_output();
	}
	assert_int_equal(pthread_join(vcpu, NULL), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, crig_setup, crig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
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

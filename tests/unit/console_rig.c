// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "console_rig.h"

struct console_rig crig;

int crig_setup(void **state)
{
	if (virtio_rig_setup(state) || pipe2(crig.in, O_CLOEXEC) ||
	    pipe2(crig.out, O_CLOEXEC | O_NONBLOCK))
		return -1;
	/* What the console gets may block: it must not rely on more. */
	fcntl(crig.out[1], F_SETFL, 0);
	signal(SIGPIPE, SIG_IGN);
	crig.config = (struct virtio_terminal_config){
		.ports = { { .in_fd = crig.in[0], .out_fd = crig.out[1] } },
		.count = 1,
	};
	return 0;
}

void crig_close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int crig_teardown(void **state)
{
	virtio_rig_destroy_device();
	for (unsigned i = 0; i < 2; i++) {
		crig_close_end(&crig.in[i]);
		crig_close_end(&crig.out[i]);
	}
	return virtio_rig_teardown(state);
}

/* Another port, by name, connected to nothing. */
struct virtio_port_config *crig_add_port(const char *name)
{
	crig.config.ports[crig.config.count] =
		(struct virtio_port_config){ .name = name, .in_fd = -1, .out_fd = -1 };
	return &crig.config.ports[crig.config.count++];
}

void crig_make(void)
{
	struct virtio_device *vdev;

	assert_int_equal(console_create(&vdev, &crig.config, &vrig.env), 0);
	virtio_rig_connect(vdev, false);
}

void crig_start(void)
{
	crig_make();
	virtio_rig_start(crig.config.count > 1 ? MULTIPORT : 0, 0);
}

/* --- the driver --- */

int crig_offer(unsigned queue, uint64_t gpa, uint32_t size, bool write)
{
	const struct virtq_buffer buffer = { gpa, size };

	return virtq_driver_add(&vrig.queues[queue], &buffer, write ? 0 : 1, write ? 1 : 0);
}

/* The guest prints; how much of it was sent is the reader's to see. */
void crig_print(unsigned queue, const char *text)
{
	uint64_t gpa = virtio_rig_alloc(strlen(text));

	memcpy(virtio_rig_at(gpa, strlen(text)), text, strlen(text));
	assert_true(crig_offer(queue, gpa, (uint32_t)strlen(text), false) >= 0);
	virtio_kick(vrig.vdev, queue);
	assert_int_equal(virtio_rig_wait_used(queue, NULL), 0);
}

void crig_assert_printed(const char *text)
{
	char buf[256];
	ssize_t count = read(crig.out[0], buf, sizeof(buf));

	assert_int_equal(count, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

/* The guest reads; a buffer of `size` bytes. */
void crig_assert_read(unsigned queue, uint32_t size, const char *text)
{
	uint64_t gpa = virtio_rig_alloc(size);

	assert_true(crig_offer(queue, gpa, size, true) >= 0);
	virtio_kick(vrig.vdev, queue);
	assert_int_equal(virtio_rig_wait_used(queue, NULL), strlen(text));
	assert_memory_equal(virtio_rig_at(gpa, size), text, strlen(text));
}

void crig_type(const char *text)
{
	assert_int_equal(write(crig.in[1], text, strlen(text)), strlen(text));
	virtio_rig_pump();
}

void crig_control(uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control message = { id, event, value };
	uint64_t gpa = virtio_rig_alloc(sizeof(message));

	memcpy(virtio_rig_at(gpa, sizeof(message)), &message, sizeof(message));
	assert_true(crig_offer(CONTROL_TX, gpa, sizeof(message), false) >= 0);
	virtio_kick(vrig.vdev, CONTROL_TX);
	virtio_rig_wait_used(CONTROL_TX, NULL);
}

/* The device's next message; its text or numbers behind it. */
void crig_assert_told(uint32_t id, uint16_t event, const void *more, size_t size)
{
	const struct virtio_console_control expected = { id, event, 1 };
	uint64_t gpa = virtio_rig_alloc(64);
	uint8_t *message = virtio_rig_at(gpa, 64);

	crig_offer(CONTROL_RX, gpa, 64, true);
	virtio_kick(vrig.vdev, CONTROL_RX);
	assert_int_equal(virtio_rig_wait_used(CONTROL_RX, NULL), sizeof(expected) + size);
	assert_memory_equal(message, &expected, sizeof(expected));
	if (size)
		assert_memory_equal(message + sizeof(expected), more, size);
}

void crig_open_port(uint32_t id)
{
	crig_control(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

size_t crig_drain_output(void)
{
	char buf[4096];
	size_t total = 0;
	ssize_t count;

	while ((count = read(crig.out[0], buf, sizeof(buf))) > 0)
		total += (size_t)count;
	return total;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtio console between pipes, on the virtio rig: its user at one end, its driver at the other. */
#ifndef CONSOLE_RIG_H
#define CONSOLE_RIG_H

#include "virtio/console.h"
#include "virtio_rig.h"

#define RX           0
#define TX           1
#define CONTROL_RX   2
#define CONTROL_TX   3
#define PORT_RX(n)   (2 * (n) + 2)
#define PORT_TX(n)   (2 * (n) + 3)
#define SIZE         (1ULL << VIRTIO_CONSOLE_F_SIZE)
#define MULTIPORT    (1ULL << VIRTIO_CONSOLE_F_MULTIPORT)
#define EMERG_OFFSET offsetof(struct virtio_console_config, emerg_wr)
#define CTRL_A       "\001"

#define MUCH (1 << 20)

struct console_rig {
	struct virtio_terminal_config
		config; /* the console alone, on the pipes; a test may change it before it makes it */
	int in[2], out[2]; /* [1] leads into the console, [0] out of it, without blocking */
};

extern struct console_rig crig;

/* Around each test: what the console needs, not the console. */
int crig_setup(void **state);
int crig_teardown(void **state);
void crig_close_end(int *fd);
/* Another port, by name, connected to nothing. */
struct virtio_port_config *crig_add_port(const char *name);
/* Makes the device; and starts its driver, one that knows of ports if there are any. */
void crig_make(void);
void crig_start(void);

/* The driver: a buffer in a queue; a text that the guest prints; what the guest reads into a buffer of `size` bytes. */
int crig_offer(unsigned queue, uint64_t gpa, uint32_t size, bool write);
void crig_print(unsigned queue, const char *text);
void crig_assert_read(unsigned queue, uint32_t size, const char *text);
/* Control messages: the driver's, and the device's next one with what is behind it. */
void crig_control(uint32_t id, uint16_t event, uint16_t value);
void crig_assert_told(uint32_t id, uint16_t event, const void *more, size_t size);
void crig_open_port(uint32_t id);

/* The user: types, and reads what was printed, all there is and no more; or throws it away, and how much that was. */
void crig_type(const char *text);
void crig_assert_printed(const char *text);
size_t crig_drain_output(void);

#endif

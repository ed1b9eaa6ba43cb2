// SPDX-License-Identifier: GPL-2.0-only
/* The network card that nobody asked for, on a host where its library is missing, or will not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <errno.h>
#include <cmocka.h>
#include "files.h"
#include "net_rig.h"
#include "virtio/slirp.h"

#define RX 0
#define TX 1

/* In place of the library's loader. */
static struct {
	bool present; /* but good for nothing */
	unsigned loads;
} library;

static void *new (const struct slirp_config *config, const struct slirp_callbacks *callbacks,
		  void *opaque)
{
	(void)config;
	(void)callbacks;
	(void)opaque;
	return NULL;
}

const char *slirp_load(struct slirp_library *into, char *why, size_t size)
{
	library.loads++;
	*into = (struct slirp_library){ .new = new };
	if (library.present)
		return NULL;
	snprintf(why, size, "it is not here");
	return why;
}

void slirp_unload(struct slirp_library *from)
{
	(void)from;
}

static int setup(void **state)
{
	library.present = false;
	library.loads = 0;
	return net_rig_setup(state);
}

static void make_unasked(bool no_dhcp)
{
	struct virtio_device *vdev;

	assert_int_equal(virtio_network_config_parse(&net_rig.config, "mode=user"), 0);
	net_rig.config.unasked = true;
	net_rig.config.no_dhcp = no_dhcp;
	assert_int_equal(net_create(&vdev, &net_rig.config, 0, &vrig.env), 0);
	net_rig.net = net_of(vdev);
	virtio_rig_connect(vdev, false);
}

static bool link_is_up(void)
{
	return virtio_rig_config(offsetof(struct virtio_net_config, status), 2) &
	       VIRTIO_NET_S_LINK_UP;
}

/* The driver sends a packet, and gets its buffer back. */
static void send_one(void)
{
	net_rig_guest_sends(TX, 60, 1);
	virtio_rig_kick(TX);
	assert_true(virtq_driver_used(&vrig.queues[TX], NULL, NULL));
}

static void start(void)
{
	virtio_rig_start(NET_BIT(MRG_RXBUF) | NET_BIT(STATUS), 0);
	net_rig_offer(RX, 2048);
	virtio_rig_kick(RX);
}

/* Nothing is looked for until the guest uses its card; then the link goes down, and that is said once. */
static void missing_library_is_a_link_that_is_down(void **state)
{
	const uint8_t *bytes;

	(void)state;
	make_unasked(false);
	start();
	assert_true(link_is_up());
	assert_int_equal(library.loads, 0);
	stderr_keep();
	send_one();
	send_one();
	assert_reported(
		"Warning: network card 0: no network for the guest: the default, mode=user, "
		"needs libslirp (it is not here); install it (Debian: `apt install "
		"libslirp0`), or say -n none");
	assert_false(link_is_up());
	assert_int_equal(vrig.config_interrupts, 1);
	assert_int_equal(library.loads, 1);
	assert_int_equal(net_rig_received(RX, &bytes), 0);
	assert_false(virtio_rig_needs_reset());
}

/* Nor does it come back, or is it complained of again, with another driver. */
static void link_stays_down(void **state)
{
	(void)state;
	make_unasked(false);
	start();
	stderr_keep();
	send_one();
	virtio_rig_reset();
	start();
	assert_false(link_is_up());
	send_one();
	assert_reported("no network for the guest");
	assert_int_equal(library.loads, 1);
}

static void library_that_is_too_old_is_the_same(void **state)
{
	(void)state;
	library.present = true;
	make_unasked(true);
	start();
	stderr_keep();
	send_one();
	assert_reported(
		"Warning: network card 0: no network for the guest: the default, mode=user, "
		"needs libslirp 4.7 for --no-dhcp, or say -n none");
	assert_false(link_is_up());
}

/* Who asks for user mode has it, or no run. */
static void card_that_was_asked_for_is_refused(void **state)
{
	static const struct {
		bool present;
		int err;
		const char *says;
	} cases[] = {
		{ false, -ENOENT,
		  "Fatal: network card 0: mode=user needs libslirp (it is not here); install it" },
		{ true, -ENOTSUP, "Fatal: network card 0: mode=user cannot start libslirp" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		library.present = cases[i].present;
		stderr_keep();
		assert_int_equal(net_rig_try("mode=user"), cases[i].err);
		assert_reported(cases[i].says);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, net_rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(missing_library_is_a_link_that_is_down),
		TEST(link_stays_down),
		TEST(library_that_is_too_old_is_the_same),
		TEST(card_that_was_asked_for_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

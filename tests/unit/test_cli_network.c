// SPDX-License-Identifier: GPL-2.0-only
/* lkvm run: the network cards that -n and --no-dhcp ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "run_rig.h"

static void two_cards(const struct machine_config *config)
{
	assert_int_equal(config->virtio.network_count, 2);
	assert_int_equal(config->virtio.networks[0].mode, VIRTIO_NETWORK_USER);
	assert_true(config->virtio.networks[0].no_dhcp && config->virtio.networks[1].no_dhcp);
	assert_false(config->virtio.networks[0].unasked);
	assert_int_equal(config->virtio.networks[0].forwards[0].guest_port, 22);
	assert_int_equal(config->virtio.networks[1].mode, VIRTIO_NETWORK_TAP);
	assert_string_equal(config->virtio.networks[1].tapif, "tap9");
	assert_string_equal(config->virtio.networks[1].transport, "mmio");
	assert_true(config->virtio.networks[1].vhost);
}

/* --no-dhcp is of all, before and behind it. */
static void cards_are_in_their_order(void **state)
{
	(void)state;
	made.inspect = two_cards;
	assert_int_equal(RUN_IMAGE("-n", "mode=user,hostfwd=tcp::2222-:22", "--no-dhcp",
				   "--network", "tapif=tap9,vhost=1,trans=mmio"),
			 EXIT_STATUS_POWEROFF);
	assert_int_equal(made.created, 1);
}

static void dhcp(const struct machine_config *config)
{
	assert_int_equal(config->virtio.network_count, 1);
	assert_false(config->virtio.networks[0].no_dhcp);
}

static void dhcp_is_the_default(void **state)
{
	(void)state;
	made.inspect = dhcp;
	assert_int_equal(RUN_IMAGE("-n", "mode=user"), EXIT_STATUS_POWEROFF);
}

/* --- what a guest has that nobody spoke of a network for --- */

static void default_card(const struct machine_config *config)
{
	const struct virtio_network_config *network = config->virtio.networks;

	assert_int_equal(config->virtio.network_count, 1);
	assert_int_equal(network->mode, VIRTIO_NETWORK_USER);
	assert_true(network->unasked);
	assert_false(network->no_dhcp || network->transport || network->forward_count);
}

static void default_card_without_dhcp(const struct machine_config *config)
{
	assert_int_equal(config->virtio.network_count, 1);
	assert_true(config->virtio.networks[0].unasked && config->virtio.networks[0].no_dhcp);
}

static void no_unasked_card(const struct machine_config *config)
{
	for (size_t i = 0; i < config->virtio.network_count; i++)
		assert_false(config->virtio.networks[i].unasked);
	assert_true(config->virtio.network_count <= 1);
}

static void no_card_at_all(const struct machine_config *config)
{
	assert_int_equal(config->virtio.network_count, 0);
}

static void user_mode_is_the_default(void **state)
{
	(void)state;
	made.inspect = default_card;
	assert_int_equal(RUN("Image"), EXIT_STATUS_POWEROFF);
	assert_int_equal(RUN("-f", "firmware"), EXIT_STATUS_POWEROFF);
	assert_int_equal(RUN_IMAGE("--rng", "--virtio-transport", "mmio"), EXIT_STATUS_POWEROFF);
	made.inspect = default_card_without_dhcp;
	assert_int_equal(RUN_IMAGE("--no-dhcp"), EXIT_STATUS_POWEROFF);
	made.inspect = no_unasked_card;
	assert_int_equal(RUN_IMAGE("-n", "none"), EXIT_STATUS_POWEROFF);
	assert_int_equal(RUN_IMAGE("-n", "mode=none"), EXIT_STATUS_POWEROFF);
	assert_int_equal(RUN_IMAGE("-n", "mode=tap"), EXIT_STATUS_POWEROFF);
	made.inspect = no_card_at_all;
	assert_int_equal(RUN_IMAGE("--nodefaults"), EXIT_STATUS_POWEROFF);
	assert_int_equal(RUN_IMAGE("--nodefaults", "--no-dhcp"), EXIT_STATUS_POWEROFF);
	assert_int_equal(made.created, 9);
}

static void wrong_card_is_refused(void **state)
{
	(void)state;
	stderr_keep();
	assert_int_equal(RUN_IMAGE("-n", "mode=user", "-n", "mode=tap,tapif=tap%d"),
			 EXIT_STATUS_USAGE);
	assert_reported("tapif=tap%d");
	assert_int_equal(made.created, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, run_setup, files_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(cards_are_in_their_order),
		TEST(dhcp_is_the_default),
		TEST(user_mode_is_the_default),
		TEST(wrong_card_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

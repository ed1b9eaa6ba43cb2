// SPDX-License-Identifier: GPL-2.0-only
/* What -n/--network takes, and what it refuses: bad-inputs of the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/virtio_net.h>

static struct virtio_network_config config;

static int parse(const char *text)
{
	virtio_network_config_free(&config);
	return virtio_network_config_parse(&config, text);
}

static int forget(void **state)
{
	(void)state;
	virtio_network_config_free(&config);
	return 0;
}

static void every_key_is_taken(void **state)
{
	static const uint8_t guest[] = { 2, 0x15, 0xab, 0, 0, 1 }, host[] = { 2, 1, 1, 1, 1, 0xfe };

	(void)state;
	assert_int_equal(
		parse("mode=tap,guest_mac=02:15:ab:00:00:01,host_mac=02:01:01:01:01:FE,"
		      "script=/etc/up,downscript=/etc/down,guest_ip=10.1.2.3,host_ip=10.1.2.1,"
		      "trans=mmio,tapif=tap-of_15.chars,vhost=1,mq=4"),
		0);
	assert_int_equal(config.mode, VIRTIO_NETWORK_TAP);
	assert_true(config.guest_mac_given && config.host_mac_given);
	assert_memory_equal(config.guest_mac, guest, sizeof(guest));
	assert_memory_equal(config.host_mac, host, sizeof(host));
	assert_string_equal(config.script, "/etc/up");
	assert_string_equal(config.downscript, "/etc/down");
	assert_int_equal(config.guest_ip.s_addr, inet_addr("10.1.2.3"));
	assert_int_equal(config.host_ip.s_addr, inet_addr("10.1.2.1"));
	assert_string_equal(config.transport, "mmio");
	assert_string_equal(config.tapif, "tap-of_15.chars");
	assert_null(config.macvtap);
	assert_true(config.vhost);
	assert_int_equal(config.pairs, 4);
	assert_int_equal(config.fd, -1);
}

static void modes_and_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("mode=user"), 0);
	assert_int_equal(config.mode, VIRTIO_NETWORK_USER);
	assert_int_equal(config.pairs, 1);
	assert_false(config.vhost || config.guest_mac_given || config.no_dhcp || config.unasked);
	assert_int_equal(parse("mode=none"), 0);
	assert_int_equal(config.mode, VIRTIO_NETWORK_NONE);
	assert_int_equal(parse("none"), 0);
	assert_int_equal(config.mode, VIRTIO_NETWORK_NONE);
	assert_int_equal(parse("script=none"), 0);
	assert_int_equal(config.mode, VIRTIO_NETWORK_TAP);
	assert_null(config.script);
	assert_int_equal(parse("tapif=/dev/tap7"), 0);
	assert_string_equal(config.macvtap, "/dev/tap7");
	assert_string_equal(config.tapif, "");
	assert_int_equal(parse("fd=7"), 0);
	assert_int_equal(config.fd, 7);
}

static void ports_are_forwarded(void **state)
{
	(void)state;
	assert_int_equal(parse("mode=user,hostfwd=tcp:127.0.0.1:2222-:22,"
			       "hostfwd=udp::53-192.168.33.15:5353"),
			 0);
	assert_int_equal(config.forward_count, 2);
	assert_false(config.forwards[0].udp);
	assert_int_equal(config.forwards[0].host_ip.s_addr, inet_addr("127.0.0.1"));
	assert_int_equal(config.forwards[0].host_port, 2222);
	assert_int_equal(config.forwards[0].guest_ip.s_addr, 0);
	assert_int_equal(config.forwards[0].guest_port, 22);
	assert_true(config.forwards[1].udp);
	assert_int_equal(config.forwards[1].host_ip.s_addr, 0);
	assert_int_equal(config.forwards[1].guest_ip.s_addr, inet_addr("192.168.33.15"));
	assert_int_equal(config.forwards[1].guest_port, 5353);
}

static const char *const wrong[] = {
	"",
	"mode",
	"mode=",
	"mode=bridge",
	"mode=tap,",
	"mode=tap,,vhost=1",
	"speed=10",
	"tapif=",
	"tapif=.",
	"tapif=..",
	"tapif=sixteencharacter",
	"tapif=tap%d",
	"tapif=a/b",
	"tapif=eth0:1",
	"tapif=a b",
	"tapif=a\tb",
	"tapif=\xc3\xa4",
	"tapif=tap0,fd=3",
	"tapif=/dev/tap7,fd=3",
	"tapif=/dev/tap7,tapif=tap0",
	"guest_mac=",
	"guest_mac=0",
	"guest_mac=02:15:15:15:15",
	"guest_mac=02:15:15:15:15:15:15",
	"guest_mac=02:15:15:15:15:1g",
	"guest_mac=02-15-15-15-15-15",
	"guest_mac=2:15:15:15:15:15",
	"guest_mac=02:15:15:15:15:15x",
	"guest_mac=01:15:15:15:15:15",
	"guest_mac=ff:ff:ff:ff:ff:ff",
	"guest_mac=00:00:00:00:00:00",
	"host_mac=03:00:00:00:00:00",
	"guest_ip=300.1.1.1",
	"guest_ip=",
	"host_ip=router",
	"trans=isa",
	"vhost=2",
	"vhost=yes",
	"vhost=-1",
	"fd=-1",
	"fd=99999999999",
	"fd=3x",
	"fd=3,mq=2",
	"mq=0",
	"mq=17",
	"mq=",
	"script=",
	"mode=user,vhost=1",
	"mode=user,tapif=tap0",
	"mode=user,mq=2",
	"mode=none,fd=3",
	"mode=tap,hostfwd=tcp::1-:1",
	"mode=user,hostfwd=",
	"mode=user,hostfwd=tcp::1",
	"mode=user,hostfwd=sctp::1-:1",
	"mode=user,hostfwd=tcp::0-:1",
	"mode=user,hostfwd=tcp::1-:0",
	"mode=user,hostfwd=tcp::1-:65536",
	"mode=user,hostfwd=tcp:1-:1",
	"mode=user,hostfwd=tcp:host:1-:1",
	"mode=user,hostfwd=tcp::1-:1-:2",
};

static void what_is_wrong_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (parse(wrong[i]) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(modes_and_defaults),
		cmocka_unit_test(ports_are_forwarded),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}

// SPDX-License-Identifier: GPL-2.0-only
/* A machine with a device that another process serves: its memory is shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/virtio_config.h>
#include <cmocka.h>
#include <lkvm/machine.h>
#include "files.h"
#include "machine_rig.h"
#include "vhost_user_peer.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct peer peer;

static bool is_mapped(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	bool found = false;
	char line[512];

	while (fgets(line, sizeof(line), maps))
		found = found || strstr(line, name);
	fclose(maps);
	return found;
}

struct maps {
	bool shared, image;
};

/* On the vCPU's thread, where a test cannot fail. */
static void see_maps(void *seen)
{
	*(struct maps *)seen = (struct maps){ is_mapped("memfd:guest RAM"), is_mapped("/kernel") };
}

/* An image mapped into it would be what the back end does not see. */
static void its_ram_is_shared_and_holds_all_there_is(void **state)
{
	struct virtio_back_end_config back_end = { .fs = true, .queues = 1, .tag = "tag" };
	struct machine_config config = rig_config();
	static const char code[0x10000] = "guest code";
	struct maps seen;
	const struct fake_kvm_exit exits[] = {
		{ .err = EINTR, .hook = see_maps, .arg = &seen },
		GUEST_POWERS_OFF,
	};

	(void)state;
	peer = (struct peer){ .features = 1ULL << VIRTIO_F_VERSION_1 };
	back_end.address.sun_family = AF_UNIX;
	strcpy(back_end.address.sun_path, file_path("socket"));
	config.kernel = file_make("kernel", code, sizeof(code));
	config.map_images = true;
	assert_int_equal(rig_run(&config, exits, ARRAY_SIZE(exits)), RUN_POWEROFF);
	assert_true(!seen.shared && seen.image);
	config.virtio.back_ends = &back_end;
	config.virtio.back_end_count = 1;
	peer_start(&peer, back_end.address.sun_path);
	assert_int_equal(rig_run(&config, exits, ARRAY_SIZE(exits)), RUN_POWEROFF);
	assert_true(seen.shared && !seen.image);
	assert_false(is_mapped("memfd:guest RAM"));
	peer_stop(&peer);
}

static void a_back_end_that_is_missing_is_named(void **state)
{
	struct virtio_back_end_config back_end = { .queues = 1 };
	struct machine_config config = rig_config();
	struct machine *machine;

	(void)state;
	back_end.address.sun_family = AF_UNIX;
	strcpy(back_end.address.sun_path, file_path("socket"));
	config.virtio.back_ends = &back_end;
	config.virtio.back_end_count = 1;
	stderr_keep();
	assert_true(machine_create(&machine, &config) < 0);
	assert_reported("cannot connect to its back end: No such file or directory");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_rig_setup, machine_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(its_ram_is_shared_and_holds_all_there_is),
		TEST(a_back_end_that_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

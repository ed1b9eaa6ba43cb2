// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/virtio_disk.h>
#include "files.h"

static void what_is_said_of_a_disk_is_taken(void **state)
{
	static const struct {
		const char *text;
		struct virtio_disk_config config;
	} cases[] = {
		{ "disk.img", { .path = "disk.img", .queues = 1 } },
		{ "/dev/sda,ro", { .path = "/dev/sda", .queues = 1, .read_only = true } },
		{ "a,direct", { .path = "a", .queues = 1, .direct = true } },
		{ "a,direct,ro,serial=S1",
		  { .path = "a", .queues = 1, .direct = true, .read_only = true, .serial = "S1" } },
		{ "a,serial=12345678901234567890",
		  { .path = "a", .queues = 1, .serial = "12345678901234567890" } },
		{ "a,queues=16,iops=100", { .path = "a", .queues = 16, .iops = 100 } },
		{ "a,bps=20M,iops=2k",
		  { .path = "a", .queues = 1, .bps = 20 << 20, .iops = 2048 } },
		{ "a,bps=1T", { .path = "a", .queues = 1, .bps = 1ULL << 40 } },
		{ "a=b c", { .path = "a=b c", .queues = 1 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct virtio_disk_config *wanted = &cases[i].config;
		struct virtio_disk_config got;

		assert_int_equal(virtio_disk_config_parse(&got, cases[i].text), 0);
		assert_string_equal(got.path, wanted->path);
		assert_int_equal(got.read_only, wanted->read_only);
		assert_int_equal(got.direct, wanted->direct);
		assert_int_equal(got.queues, wanted->queues);
		assert_int_equal(got.iops, wanted->iops);
		assert_int_equal(got.bps, wanted->bps);
		assert_string_equal(got.serial ? got.serial : "none",
				    wanted->serial ? wanted->serial : "none");
		virtio_disk_config_free(&got);
	}
}

static void what_makes_no_sense_is_refused_in_one_line(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "", "needs a file" },
		{ ",ro", "needs a file" },
		{ "a,rw", "disk a: rw is none of ro, direct" },
		{ "a,", "is none of ro, direct" },
		{ "a,ro=1", "ro is none of" },
		{ "a,serial", "serial is none of" },
		{ "a,serial=123456789012345678901", "longer than 20 bytes" },
		{ "a,queues=0", "queues=0 is none of 1 to 16" },
		{ "a,queues=17", "queues=17" },
		{ "a,queues=-1", "queues=-1" },
		{ "a,queues=", "queues=" },
		{ "a,iops=0", "iops=0 is no number above 0" },
		{ "a,iops=1KB", "iops=1KB" },
		{ "a,bps=x", "bps=x" },
		{ "a,bps=-1", "bps=-1" },
		{ "a,bps=99999999999999999999", "bps=9999" },
		{ "a,bps=9999999T", "bps=9999999T" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_disk_config config;
		int err;

		stderr_keep();
		err = virtio_disk_config_parse(&config, cases[i].text);
		assert_reported(cases[i].said);
		assert_int_equal(err, -EINVAL);
		virtio_disk_config_free(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_of_a_disk_is_taken),
		cmocka_unit_test(what_makes_no_sense_is_refused_in_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

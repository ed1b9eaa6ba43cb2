// SPDX-License-Identifier: GPL-2.0-only
/* The file behind the flash: odd sizes, no right to write, a full disk, and no file at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "flash_rig.h"

static void sizes_that_are_no_power_of_two(void **state)
{
	static const struct {
		uint64_t file, flash;
	} table[] = {
		{ 1, BLOCK },     { 4096, BLOCK },          { 5000, BLOCK },
		{ BLOCK, BLOCK }, { BLOCK + 1, 2 * BLOCK }, { 3 * BLOCK, 4 * BLOCK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		flash_rig_create(table[i].file);
		assert_int_equal(rig_flash.size, table[i].flash);
		assert_memory_equal(rig_flash.data, flash_content, table[i].file);
		for (uint64_t at = table[i].file; at < rig_flash.size; at++)
			assert_int_equal(rig_flash.data[at], 0xff);
		flash_destroy(&rig_flash);
	}
}

static void beyond_the_end_of_the_file(void **state)
{
	struct stat st;

	(void)state;
	flash_rig_create(5000);
	stderr_keep();
	for (int i = 0; i < 3; i++) {
		flash_command(4996, 0x40);
		flash_store(4997, 4, 0); /* the last byte is outside */
		assert_int_equal(flash_status(), 0x90);
		flash_command(0, 0x50);
	}
	assert_reported("the file ends before the flash does");
	flash_program_buffer(4992, 2, 0);
	assert_int_equal(flash_status(), 0x80);
	flash_command(0, 0x20);
	flash_command(0, 0xd0);
	assert_int_equal(flash_status(), 0x80);
	assert_int_equal(stat(file_path("flash"), &st), 0);
	assert_int_equal(st.st_size, 5000);
	assert_file_holds(rig_flash.data, 0, 5000);
	assert_int_equal(rig_flash.data[4999], 0xff);
}

static void a_file_that_is_read_only(void **state)
{
	const char *path = file_make("flash", flash_content, SIZE);
	uid_t uid = geteuid();
	int err;

	(void)state;
	assert_int_equal(chmod(file_path(""), 0711), 0);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(seteuid(uid ? uid : 65534), 0); /* root may write to any file */
	err = flash_create(&rig_flash, path, &flash_mmio);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(err, 0);
	assert_int_equal(flash_attach(&rig_flash, &flash_vm), 0);
	stderr_keep();
	flash_command(0, 0x40);
	flash_store(0, 4, 0);
	assert_int_equal(flash_status(), 0x98);
	flash_command(0, 0x50);
	flash_command(0, 0x20);
	flash_command(0, 0xd0);
	assert_int_equal(flash_status(), 0xa8);
	assert_reported("cannot write to flash file");
	assert_memory_equal(rig_flash.data, flash_content, SIZE);
	assert_file_holds(flash_content, 0, SIZE);
}

/* A full disk, played by a limit on file size: an error bit, and not the end. */
static void a_disk_that_is_full(void **state)
{
	struct rlimit unlimited, limit;

	(void)state;
	flash_rig_create(SIZE);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &unlimited);
	limit = unlimited;
	limit.rlim_cur = BLOCK + 6;
	stderr_keep();
	setrlimit(RLIMIT_FSIZE, &limit);
	flash_command(0, 0x40);
	flash_store(BLOCK + 8, 4, 0);
	assert_int_equal(flash_status(), 0x90);
	flash_command(0, 0x50);
	flash_command(0, 0x40);
	flash_store(BLOCK + 4, 4, 0); /* half of it is written */
	assert_int_equal(flash_status(), 0x90);
	flash_command(0, 0x50);
	flash_command(2 * BLOCK, 0x20);
	flash_command(2 * BLOCK, 0xd0);
	assert_int_equal(flash_status(), 0xa0);
	setrlimit(RLIMIT_FSIZE, &unlimited);
	assert_reported("cannot write to flash file");
	assert_memory_equal(rig_flash.data, flash_content, SIZE);
}

static void files_that_are_none(void **state)
{
	static const struct {
		const char *name, *text;
		int result;
	} table[] = {
		{ "missing", "cannot open flash file", -ENOENT },
		{ "empty", "is empty", -EINVAL },
		{ "folder", "cannot open flash file", -EISDIR },
		{ "fifo", "is no regular file", -EINVAL },
		{ "large", "at most 16777216", -EFBIG },
	};
	int fd;

	(void)state;
	file_make("empty", "", 0);
	assert_int_equal(mkdir(file_path("folder"), 0700), 0);
	assert_int_equal(mkfifo(file_path("fifo"), 0600), 0);
	fd = open(file_path("large"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, MAP_FLASH_SIZE + 1), 0);
	close(fd);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		stderr_keep();
		assert_int_equal(flash_create(&rig_flash, file_path(table[i].name), &flash_mmio),
				 table[i].result);
		assert_reported(table[i].text);
	}
	rmdir(file_path("folder"));
}

#define TEST(function)                                                                             \
	cmocka_unit_test_setup_teardown(function, flash_rig_setup, flash_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sizes_that_are_no_power_of_two),
		TEST(beyond_the_end_of_the_file),
		TEST(a_file_that_is_read_only),
		TEST(a_disk_that_is_full),
		TEST(files_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

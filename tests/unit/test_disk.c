// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "virtio/disk.h"

static const char *make(const char *name, off_t size)
{
	const char *path = file_make(name, "", 0);

	assert_int_equal(truncate(path, size), 0);
	return path;
}

static int open_disk(struct disk *disk, const char *path, bool read_only, bool direct)
{
	const struct virtio_disk_config config = {
		.path = path,
		.read_only = read_only,
		.direct = direct,
		.queues = 1,
	};

	return disk_open(disk, &config);
}

static void a_file_is_a_disk_of_whole_sectors(void **state)
{
	static const struct {
		off_t size;
		uint64_t sectors;
	} cases[] = { { 1, 1 },   { 511, 1 },        { 512, 1 },
		      { 513, 2 }, { 1 << 20, 2048 }, { 1LL << 42, 1ULL << 33 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct disk disk;

		assert_int_equal(open_disk(&disk, make("disk", cases[i].size), false, false), 0);
		assert_int_equal(disk.size, cases[i].size);
		assert_int_equal(disk.sectors, cases[i].sectors);
		assert_int_equal(disk.block, 512);
		assert_true(disk.physical >= 512 && disk.physical % disk.block == 0);
		disk_close(&disk);
	}
}

/* Each message names what is wrong, and nothing stays open. */
static void what_is_no_disk_is_refused_in_one_line(void **state)
{
	static const struct {
		const char *name, *said;
		bool read_only;
		int err;
	} cases[] = {
		{ "missing", "there is no disk", false, -ENOENT },
		{ "missing", "truncate -s", true, -ENOENT },
		{ "folder", "is a folder; --9p", false, -EISDIR },
		{ "folder", "is a folder", true, -EISDIR },
		{ "fifo", "neither a file nor a block device", false, -EINVAL },
		{ "fifo", "neither a file nor a block device", true, -EINVAL },
		{ "empty", "is empty; `truncate -s", false, -EINVAL },
		{ "file/below", "Not a directory", false, -ENOTDIR },
		{ "loop", "symbolic links", false, -ELOOP },
	};

	(void)state;
	mkdir(file_path("folder"), 0700);
	mkfifo(file_path("fifo"), 0600);
	make("empty", 0);
	make("file", 512);
	assert_int_equal(symlink("loop", file_path("loop")), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct disk disk;
		int err;

		stderr_keep();
		err = open_disk(&disk, file_path(cases[i].name), cases[i].read_only, false);
		assert_reported(cases[i].said);
		assert_int_equal(err, cases[i].err);
		assert_int_equal(disk.fd, -1);
	}
	rmdir(file_path("folder"));
	stderr_keep();
	assert_int_equal(open_disk(&(struct disk){ 0 }, "/dev/null", false, false), -EINVAL);
	assert_reported("neither a file nor a block device");
}

/* Of two that want the same disk one must not write it: whichever came first. */
static void a_disk_has_one_writer_or_many_readers(void **state)
{
	static const struct {
		bool first_reads, second_reads;
		const char *said;
	} cases[] = {
		{ false, false, "reads or writes it" },
		{ false, true, "by another that writes it" },
		{ true, false, "any number may read it with ,ro" },
		{ true, true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *path = make("disk", 4096);
		struct disk first, second;
		int err;

		assert_int_equal(open_disk(&first, path, cases[i].first_reads, false), 0);
		stderr_keep();
		err = open_disk(&second, path, cases[i].second_reads, false);
		if (cases[i].said)
			assert_reported(cases[i].said);
		else
			assert_string_equal(stderr_text(), "");
		assert_int_equal(err, cases[i].said ? -EBUSY : 0);
		disk_close(&first);
		disk_close(&second);
		assert_int_equal(open_disk(&second, path, false, false), 0);
		disk_close(&second);
	}
}

/* Where the file system of the test's folder has no direct I/O, that is what must be said. */
static bool open_direct(struct disk *disk, const char *path)
{
	int err;

	stderr_keep();
	err = open_disk(disk, path, false, true);
	if (err)
		assert_reported("has no direct I/O; leave out direct");
	else
		assert_string_equal(stderr_text(), "");
	return !err;
}

static void direct_io_takes_aligned_pieces_only(void **state)
{
	struct disk disk;
	uint8_t *buffer = aligned_alloc(65536, 131072);

	(void)state;
	if (open_direct(&disk, make("disk", 1 << 20))) {
		struct iovec iov[] = { { buffer, 65536 }, { buffer + 65536, 65536 } };

		assert_true(disk.block >= 512 && !(disk.block & (disk.block - 1)));
		assert_true(disk_aligned(&disk, iov, 2, 0));
		assert_true(disk_aligned(&disk, iov, 2, 65536));
		assert_false(disk_aligned(&disk, iov, 2, disk.block / 2));
		iov[1].iov_len -= disk.block / 2;
		assert_false(disk_aligned(&disk, iov, 2, 0));
		assert_int_equal(pread(disk.fd, buffer, disk.block, 0), disk.block);
		assert_int_equal(pread(disk.cached_fd, buffer + 1, 7, 3), 7);
		iov[1].iov_len += disk.block / 2;
		iov[0].iov_base = buffer + 1;
		assert_false(disk_aligned(&disk, iov, 2, 0));
		disk_close(&disk);
	}
	assert_int_equal(open_disk(&disk, make("disk", 1 << 20), false, false), 0);
	assert_true(disk_aligned(&disk, &(struct iovec){ buffer + 1, 7 }, 1, 3));
	disk_close(&disk);
	free(buffer);
}

static void direct_io_needs_whole_blocks(void **state)
{
	const char *path = make("disk", 65536 + 300);
	struct disk disk;
	const char *said;
	int err;

	(void)state;
	stderr_keep();
	err = open_disk(&disk, path, false, true);
	said = stderr_text();
	assert_int_equal(err, -EINVAL);
	assert_true(strstr(said, "not whole blocks; leave out direct") ||
		    strstr(said, "no direct I/O"));
}

static void zeroing_and_discarding_leave_the_rest(void **state)
{
	uint8_t bytes[65536];
	struct disk disk;
	int err;

	(void)state;
	memset(bytes, 0x55, sizeof(bytes));
	assert_int_equal(open_disk(&disk, file_make("disk", bytes, sizeof(bytes)), false, false),
			 0);
	for (int unmap = 0; unmap < 2; unmap++) {
		assert_int_equal(pwrite(disk.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		err = disk_zero(&disk, 512, 8192, unmap);
		assert_true(err == 0 || err == -EOPNOTSUPP);
		if (err)
			continue;
		memset(bytes + 512, 0, 8192);
		for (unsigned i = 0; i < sizeof(bytes); i += 512) {
			uint8_t sector[512];

			assert_int_equal(pread(disk.fd, sector, 512, i), 512);
			assert_memory_equal(sector, bytes + i, 512);
		}
		memset(bytes, 0x55, sizeof(bytes));
	}
	err = disk_discard(&disk, 4096, 4096);
	assert_int_equal(err, disk.discards ? 0 : -EOPNOTSUPP);
	assert_int_equal(lseek(disk.fd, 0, SEEK_END), sizeof(bytes));
	disk_close(&disk);
}

static void a_file_that_cannot_be_written_is_offered_to_be_read(void **state)
{
	struct disk disk;
	int err;

	(void)state;
	/* Nobody may write what is being executed. */
	stderr_keep();
	err = open_disk(&disk, "/proc/self/exe", false, false);
	assert_reported("cannot be written; /proc/self/exe,ro only reads it");
	assert_true(err == -ETXTBSY || err == -EACCES || err == -EROFS);
	assert_int_equal(open_disk(&disk, "/proc/self/exe", true, false), 0);
	assert_false(disk.discards);
	disk_close(&disk);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_file_is_a_disk_of_whole_sectors),
		TEST(what_is_no_disk_is_refused_in_one_line),
		TEST(a_disk_has_one_writer_or_many_readers),
		TEST(direct_io_takes_aligned_pieces_only),
		TEST(direct_io_needs_whole_blocks),
		TEST(zeroing_and_discarding_leave_the_rest),
		TEST(a_file_that_cannot_be_written_is_offered_to_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

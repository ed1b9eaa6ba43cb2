// SPDX-License-Identifier: GPL-2.0-only
/* A shared folder as its guest uses it: every message of 9P2000.L, with what it does to the host's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <linux/magic.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "p9_client.h"
#include "virtio_rig.h"

#define UID 4711
#define KIB 1024

/* --- sessions --- */

static void version_agrees_on_the_smaller_msize(void **state)
{
	static const struct {
		uint32_t asked, agreed;
	} rows[] = { { 4096, 4096 },
		     { 8192, 8192 },
		     { 512 * KIB, 512 * KIB },
		     { 512 * KIB + 1, 512 * KIB },
		     { 0xffffffff, 512 * KIB } };

	(void)state;
	p9_share(file_path("share"), false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(p9_call(P9_TVERSION, "ds", rows[i].asked, "9P2000.L"), 0);
		assert_int_equal(p9_next(4), rows[i].agreed);
		assert_string_equal(p9_next_string(), "9P2000.L");
	}
	assert_int_equal(p9_call(P9_TVERSION, "ds", 4095, "9P2000.L"), -EMSGSIZE);
}

static void another_version_is_unknown_and_no_session(void **state)
{
	(void)state;
	p9_share(file_path("share"), false);
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192, "9P2000.u"), 0);
	p9_next(4);
	assert_string_equal(p9_next_string(), "unknown");
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NOFID, "", "", 0), -EPROTO);
}

static void version_forgets_all_fids(void **state)
{
	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192, "9P2000.L"), 0);
	assert_int_equal(p9_call(P9_TGETATTR, "dq", P9_ROOT, ~0ULL), -EBADF);
}

static void a_reset_forgets_all_fids(void **state)
{
	(void)state;
	p9_start(file_path("share"), false);
	virtio_rig_start(0, 0);
	assert_int_equal(p9_call(P9_TGETATTR, "dq", P9_ROOT, ~0ULL), -EBADF);
}

static void attach_gives_the_folder_or_one_in_it(void **state)
{
	(void)state;
	mkdir(p9_shared("sub"), 0755);
	assert_int_equal(symlink("/sub", p9_shared("link")), 0);
	assert_int_equal(symlink("/../../..", p9_shared("up")), 0);
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NOFID, "u", "sub", 0), 0);
	assert_int_equal(p9_next(1), 0x80);
	p9_next(4);
	assert_int_equal(p9_next(8), p9_stat_of("sub").st_ino);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 2, P9_NOFID, "u", "/link", 0), 0);
	p9_next(5);
	assert_int_equal(p9_next(8), p9_stat_of("sub").st_ino);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 3, P9_NOFID, "u", "up/../../..", 0), 0);
	p9_next(5);
	assert_int_equal(p9_next(8), p9_stat_of("").st_ino);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 4, P9_NOFID, "u", "none", 0), -ENOENT);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NOFID, "u", "", 0), -EEXIST);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", P9_NOFID, P9_NOFID, "u", "", 0), -EEXIST);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 5, 1U, "u", "", 0), -EINVAL);
	assert_int_equal(p9_call(P9_TAUTH, "dssd", 6, "u", "", 0), -EOPNOTSUPP);
}

static void flush_is_answered(void **state)
{
	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TFLUSH, "w", 77), 0);
	assert_int_equal(p9_left(), 0);
}

/* --- fids --- */

static void walk_goes_as_far_as_it_can(void **state)
{
	(void)state;
	mkdir(p9_shared("a"), 0755);
	mkdir(p9_shared("a/b"), 0755);
	p9_make("a/b/c", "");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TWALK, "ddwsss", P9_ROOT, 1, 3, "a", "b", "c"), 0);
	assert_int_equal(p9_next(2), 3);
	assert_int_equal(p9_left(), 3 * P9_QID_SIZE);
	p9_next_bytes(2 * P9_QID_SIZE);
	assert_int_equal(p9_next(1), 0);
	p9_next(4);
	assert_int_equal(p9_next(8), p9_stat_of("a/b/c").st_ino);
	/* The newfid comes into being only with the whole walk. */
	assert_int_equal(p9_call(P9_TWALK, "ddwsss", P9_ROOT, 2, 3, "a", "x", "c"), 0);
	assert_int_equal(p9_next(2), 1);
	assert_int_equal(p9_left(), P9_QID_SIZE);
	assert_int_equal(p9_clunk(2), -EBADF);
	assert_int_equal(p9_call(P9_TWALK, "ddws", P9_ROOT, 2, 1, "x"), -ENOENT);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 1, 2, 1, "x"), -ENOTDIR);
	assert_int_equal(p9_call(P9_TWALK, "ddws", P9_ROOT, 1, 1, "a"), -EBUSY);
	/* To nowhere: a clone. To itself: it moves. */
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 2, 0), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 2, 2, 1, "a"), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 2, 3, 1, "b"), 0);
	assert_int_equal(p9_clunk(3), 0);
	assert_int_equal(p9_clunk(3), -EBADF);
}

/* --- attributes --- */

static void getattr_tells_what_stat_does(void **state)
{
	struct stat st;

	(void)state;
	p9_make("f", "12345");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_call(P9_TGETATTR, "dq", 1, 0x7ffULL), 0);
	st = p9_stat_of("f");
	assert_int_equal(p9_left(), 153);
	assert_int_equal(p9_next(8), 0x7ff);
	assert_int_equal(p9_next(1), 0);
	p9_next(4);
	assert_int_equal(p9_next(8), st.st_ino);
	assert_int_equal(p9_next(4), st.st_mode);
	assert_int_equal(p9_next(4), st.st_uid);
	assert_int_equal(p9_next(4), st.st_gid);
	assert_int_equal(p9_next(8), 1);
	p9_next(8);
	assert_int_equal(p9_next(8), 5);
	assert_int_equal(p9_next(8), st.st_blksize);
	assert_int_equal(p9_next(8), st.st_blocks);
	assert_int_equal(p9_next(8), st.st_atim.tv_sec);
	assert_int_equal(p9_next(8), st.st_atim.tv_nsec);
	assert_int_equal(p9_next(8), st.st_mtim.tv_sec);
	assert_int_equal(p9_next(8), st.st_mtim.tv_nsec);
	assert_int_equal(p9_next(8), st.st_ctim.tv_sec);
	assert_int_equal(p9_next(8), st.st_ctim.tv_nsec);
}

static void setattr_changes_only_what_is_valid(void **state)
{
	struct stat st;

	(void)state;
	p9_make("f", "12345");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_set(1, P9_SET_MODE | P9_SET_UID | P9_SET_GID, 04751, 0, 0, 0), 0);
	st = p9_stat_of("f");
	assert_int_equal(st.st_mode & 07777, 04751);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(p9_set(1,
				P9_SET_SIZE | P9_SET_ATIME | P9_SET_ATIME_VALUE | P9_SET_MTIME |
					P9_SET_MTIME_VALUE,
				0, 3, 1000, 2000),
			 0);
	st = p9_stat_of("f");
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_atim.tv_sec, 1000);
	assert_int_equal(st.st_atim.tv_nsec, 11);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mtim.tv_nsec, 22);
	assert_int_equal(p9_set(1, P9_SET_MTIME, 0, 0, 0, 0), 0);
	st = p9_stat_of("f");
	assert_int_equal(st.st_atim.tv_sec, 1000);
	assert_true(st.st_mtim.tv_sec > 2000);
	assert_int_equal(p9_set(1, P9_SET_SIZE, 0, 1ULL << 63, 0, 0), -EINVAL);
	assert_int_equal(p9_set(P9_ROOT, P9_SET_SIZE, 0, 1, 0, 0), -EINVAL);
	assert_int_equal(p9_set(P9_ROOT, P9_SET_MODE, 0700, 0, 0, 0), 0);
	assert_int_equal(p9_stat_of("").st_mode & 07777, 0700);
}

/* A file that is open for writing may be truncated whatever its mode has become. */
static void setattr_truncates_through_the_open_file(void **state)
{
	(void)state;
	p9_make("f", "12345");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, O_RDWR), 0);
	chmod(p9_shared("f"), 0);
	assert_int_equal(p9_set(1, P9_SET_SIZE, 0, 2, 0, 0), 0);
	assert_int_equal(p9_stat_of("f").st_size, 2);
}

/* A link's own times and owner, never its target's. */
static void setattr_does_not_follow_links(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(symlink("../outside", p9_shared("link")), 0);
	stat(file_path("outside"), &before);
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "link"), 0);
	assert_int_equal(p9_set(1, P9_SET_MTIME | P9_SET_MTIME_VALUE, 0, 0, 0, 77), 0);
	assert_int_equal(p9_stat_of("link").st_mtim.tv_sec, 77);
	assert_true(p9_set(1, P9_SET_SIZE, 0, 0, 0, 0) < 0);
	assert_true(p9_set(1, P9_SET_MODE, 0777, 0, 0, 0) < 0);
	stat(file_path("outside"), &after);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
	assert_int_equal(before.st_mode, after.st_mode);
	assert_int_equal(after.st_size, 6);
}

static void statfs_tells_the_file_systems_numbers(void **state)
{
	struct statvfs st;

	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TSTATFS, "d", P9_ROOT), 0);
	statvfs(p9_shared(""), &st);
	assert_int_equal(p9_next(4), V9FS_MAGIC);
	assert_int_equal(p9_next(4), st.f_bsize);
	assert_int_equal(p9_next(8), st.f_blocks);
	p9_next(8 * 4);
	p9_next(8);
	assert_int_equal(p9_next(4), NAME_MAX);
	assert_int_equal(p9_left(), 0);
}

static void there_are_no_extended_attributes(void **state)
{
	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TXATTRWALK, "dds", P9_ROOT, 1, "user.x"), -EOPNOTSUPP);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", P9_ROOT, "user.x", 1ULL << 40, 0),
			 -EOPNOTSUPP);
}

/* --- open files --- */

static void a_file_is_read_and_written_in_place(void **state)
{
	static const size_t pieces[] = { 1 << 20, 4096, 1021, 700 };
	char *bytes = malloc(32 * KIB), *zeros = calloc(1, 8 * KIB);

	(void)state;
	for (int i = 0; i < 32 * KIB; i++)
		bytes[i] = (char)(i * 7 + (i >> 8));
	p9_start(file_path("share"), false);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 1, 0), 0);
		assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, "f", O_RDWR, 0644, getgid()), 0);
		assert_int_equal(p9_write_call(1, 5000, 32 * KIB, bytes, 32 * KIB, pieces[i]), 0);
		assert_int_equal(p9_next(4), 32 * KIB);
		assert_int_equal(p9_read_call(1, 5000, 32 * KIB, 40 * KIB, pieces[i]), 0);
		assert_int_equal(p9_next(4), 32 * KIB);
		assert_memory_equal(p9_next_bytes(32 * KIB), bytes, 32 * KIB);
		assert_int_equal(p9_read_call(1, 0, 5000, 40 * KIB, pieces[i]), 0);
		assert_int_equal(p9_next(4), 5000);
		assert_memory_equal(p9_next_bytes(5000), zeros, 5000);
		/* At the end, and behind it. */
		assert_int_equal(p9_read_call(1, 5000 + 32 * KIB - 10, 100, 4096, pieces[i]), 0);
		assert_int_equal(p9_next(4), 10);
		assert_int_equal(p9_read_call(1, 1 << 20, 100, 4096, pieces[i]), 0);
		assert_int_equal(p9_next(4), 0);
		assert_int_equal(p9_call(P9_TFSYNC, "dd", 1, 0), 0);
		assert_int_equal(p9_call(P9_TFSYNC, "dd", 1, 1), 0);
		assert_int_equal(p9_call(P9_TREMOVE, "d", 1), 0);
		assert_false(p9_is_there("f"));
	}
	free(bytes);
	free(zeros);
}

static void lopen_takes_linuxs_flags(void **state)
{
	(void)state;
	p9_make("f", "12345");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, P9_OPEN_APPEND | 1 | 0100000), 0);
	assert_int_equal(p9_next(1), 0);
	p9_next(12);
	assert_int_equal(p9_next(4), 0);
	assert_int_equal(p9_left(), 0);
	assert_int_equal(p9_write_call(1, 0, 2, "67", 2, 4096), 0);
	p9_assert_holds("f", "1234567");
	assert_int_equal(p9_read_call(1, 0, 2, 4096, 4096), -EBADF);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 0), -EBUSY);
	assert_int_equal(p9_call(P9_TWALK, "ddw", 1, 1, 0), -EBUSY);
	assert_int_equal(p9_walk(2, "f"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, P9_OPEN_DIRECTORY), -ENOTDIR);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 3), -EINVAL);
	assert_int_equal(p9_read_call(2, 0, 2, 4096, 4096), -EBADF);
	assert_int_equal(p9_call(P9_TFSYNC, "dd", 2, 0), -EBADF);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 2 | P9_OPEN_TRUNC | P9_OPEN_SYNC), 0);
	p9_assert_holds("f", "");
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 3, 0), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, 1), -EISDIR);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, P9_OPEN_DIRECTORY), 0);
	assert_int_equal(p9_read_call(3, 0, 100, 4096, 4096), -EISDIR);
}

static void lcreate_opens_what_is_there_unless_exclusive(void **state)
{
	struct stat st;

	(void)state;
	p9_make("old", "12345");
	mkdir(p9_shared("dir"), 0755);
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NOFID, "", "", UID), 0);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, "new", O_RDWR, 0102666, P9_GID), 0);
	st = p9_stat_of("new");
	assert_int_equal(st.st_mode, S_IFREG | 02666);
	assert_int_equal(st.st_uid, geteuid() ? geteuid() : UID);
	assert_int_equal(st.st_gid, p9_given_gid());
	/* The fid is the file's now. */
	assert_int_equal(p9_call(P9_TGETATTR, "dq", 1, 0x7ffULL), 0);
	p9_next(8 + 5);
	assert_int_equal(p9_next(8), st.st_ino);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, "new", O_RDWR, 0666, P9_GID), -EBUSY);

	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 2, 0), 0);
	assert_int_equal(
		p9_call(P9_TLCREATE, "dsddd", 2, "old", P9_OPEN_EXCL | O_RDWR, 0666, P9_GID),
		-EEXIST);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 2, "dir", O_RDWR, 0666, P9_GID), -EISDIR);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 2, "old", O_RDWR, 0600, P9_GID), 0);
	assert_int_equal(p9_read_call(2, 0, 100, 4096, 4096), 0);
	assert_int_equal(p9_next(4), 5);
	assert_int_equal(p9_stat_of("old").st_mode & 0777, 0644);
}

static void locks_are_answered(void **state)
{
	(void)state;
	p9_make("f", "");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_call(P9_TLOCK, "dbdqqds", 1, 1, 0, 0ULL, 0ULL, 1, "guest"), -EBADF);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 2), 0);
	assert_int_equal(p9_call(P9_TLOCK, "dbdqqds", 1, 1, 0, 0ULL, 0ULL, 1, "guest"), 0);
	assert_int_equal(p9_next(1), P9_LOCK_SUCCESS);
	assert_int_equal(p9_call(P9_TGETLOCK, "dbqqds", 1, 1, 3ULL, 4ULL, 5, "guest"), 0);
	assert_int_equal(p9_next(1), P9_LOCK_UNLOCKED);
	assert_int_equal(p9_next(8), 3);
	assert_int_equal(p9_next(8), 4);
	assert_int_equal(p9_next(4), 5);
	assert_string_equal(p9_next_string(), "guest");
}

/* The last test: what is taken from a process's limit it does not get back. */
static void there_are_so_many_fids_and_no_more(void **state)
{
	const struct rlimit few = { 512, 512 };
	uint32_t fid = 1;

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	p9_start(file_path("share"), false);
	while (fid < 1000000 && !p9_call(P9_TWALK, "ddw", P9_ROOT, fid, 0))
		fid++;
	assert_int_equal(fid, 128);
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, fid, 0), -EMFILE);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", P9_ROOT, 0), -EMFILE);
	assert_int_equal(p9_clunk(1), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 1, 0), 0);
	assert_int_equal(p9_clunk(1), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", P9_ROOT, 0), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 1, 0), -EMFILE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, p9_setup, p9_teardown)
	const struct CMUnitTest tests[] = {
		TEST(version_agrees_on_the_smaller_msize),
		TEST(another_version_is_unknown_and_no_session),
		TEST(version_forgets_all_fids),
		TEST(a_reset_forgets_all_fids),
		TEST(attach_gives_the_folder_or_one_in_it),
		TEST(flush_is_answered),
		TEST(walk_goes_as_far_as_it_can),
		TEST(getattr_tells_what_stat_does),
		TEST(setattr_changes_only_what_is_valid),
		TEST(setattr_truncates_through_the_open_file),
		TEST(setattr_does_not_follow_links),
		TEST(statfs_tells_the_file_systems_numbers),
		TEST(there_are_no_extended_attributes),
		TEST(a_file_is_read_and_written_in_place),
		TEST(lopen_takes_linuxs_flags),
		TEST(lcreate_opens_what_is_there_unless_exclusive),
		TEST(locks_are_answered),
		TEST(there_are_so_many_fids_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

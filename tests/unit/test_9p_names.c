// SPDX-License-Identifier: GPL-2.0-only
/* A shared folder's names as its guest uses them: how they are read, come, move and go. */
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

/* --- folders --- */

/* Reads on from `offset`, count bytes at most; returns the next offset, or 0 at the end. Names are crossed off. */
static uint64_t read_some(uint32_t fid, uint64_t offset, uint32_t count, bool *seen,
			  unsigned *total)
{
	uint64_t next = 0;
	unsigned number;
	size_t size;

	assert_int_equal(p9_call(P9_TREADDIR, "dqd", fid, offset, count), 0);
	assert_in_range(p9_left(), 4, count + 4);
	size = p9_next(4);
	assert_int_equal(size, p9_left());
	while (p9_left()) {
		const char *name;
		uint64_t path;
		uint8_t type = (uint8_t)p9_next(1);

		p9_next(4);
		path = p9_next(8);
		next = p9_next(8);
		assert_int_equal(p9_next(1), type == 0x80 ? DT_DIR : DT_REG);
		name = p9_next_string();
		if (sscanf(name, "file-%u", &number) == 1) {
			assert_false(seen[number]);
			seen[number] = true;
			assert_int_equal(path, p9_stat_of(name).st_ino);
		} else {
			assert_true(!strcmp(name, ".") || !strcmp(name, ".."));
			assert_int_equal(path, p9_stat_of("").st_ino);
		}
		++*total;
	}
	return next;
}

static void readdir_tells_every_entry_once(void **state)
{
	static const uint32_t counts[] = { 65536, 4096, 300, 1 << 30 };
	enum { FILES = 500 };

	(void)state;
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-%03u-with-a-long-name", i);
		p9_make(name, "");
	}
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 1, 0), 0);
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 1, 0ULL, 4096), -EBADF);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 0), 0);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		bool seen[FILES] = { 0 };
		unsigned total = 0;
		uint64_t offset = 0;

		while ((offset = read_some(1, offset, counts[i], seen, &total)))
			assert_true(total <= FILES + 2);
		assert_int_equal(total, FILES + 2);
	}
	/* Not even one fits; no such place. */
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 1, 0ULL, 20), -EINVAL);
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 1, ~0ULL, 4096), -EINVAL);
}

static void names_come_and_go(void **state)
{
	char target[64] = { 0 };
	struct stat st;

	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", P9_ROOT, "dir", 02750, P9_GID), 0);
	st = p9_stat_of("dir");
	assert_int_equal(st.st_mode, S_IFDIR | 02750);
	assert_int_equal(st.st_gid, p9_given_gid());
	assert_int_equal(p9_next(1), 0x80);
	p9_next(4);
	assert_int_equal(p9_next(8), st.st_ino);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", P9_ROOT, "dir", 0755, P9_GID), -EEXIST);
	assert_int_equal(p9_walk(1, "dir"), 0);

	assert_int_equal(p9_call(P9_TSYMLINK, "dssd", 1, "link", "/etc/passwd", P9_GID), 0);
	assert_int_equal(p9_next(1), 0x02);
	assert_int_equal(readlink(p9_shared("dir/link"), target, sizeof(target)), 11);
	assert_string_equal(target, "/etc/passwd");
	assert_int_equal(p9_walk(2, "dir/link"), 0);
	assert_int_equal(p9_call(P9_TREADLINK, "d", 2), 0);
	assert_string_equal(p9_next_string(), "/etc/passwd");
	assert_int_equal(p9_call(P9_TREADLINK, "d", 1), -EINVAL);

	assert_int_equal(p9_call(P9_TMKNOD, "dsdddd", 1, "fifo", S_IFIFO | 0622, 0, 0, P9_GID), 0);
	assert_int_equal(p9_stat_of("dir/fifo").st_mode, S_IFIFO | 0622);
	assert_int_equal(p9_call(P9_TMKNOD, "dsdddd", 1, "file", S_IFREG | 0600, 0, 0, P9_GID), 0);
	assert_int_equal(p9_stat_of("dir/file").st_mode, S_IFREG | 0600);

	assert_int_equal(p9_walk(3, "dir/file"), 0);
	assert_int_equal(p9_call(P9_TLINK, "dds", P9_ROOT, 3, "second"), 0);
	assert_int_equal(p9_stat_of("second").st_ino, p9_stat_of("dir/file").st_ino);
	assert_int_equal(p9_call(P9_TLINK, "dds", P9_ROOT, 2, "link2"), 0);
	assert_int_equal(p9_stat_of("link2").st_mode & S_IFMT, S_IFLNK);
	assert_int_equal(p9_call(P9_TLINK, "dds", P9_ROOT, 99, "third"), -EBADF);

	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "fifo", 0), 0);
	assert_false(p9_is_there("dir/fifo"));
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "fifo", 0), -ENOENT);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", P9_ROOT, "dir", P9_UNLINK_DIRECTORY),
			 -ENOTEMPTY);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", P9_ROOT, "dir", 0), -EISDIR);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", P9_ROOT, "dir", 1), -EINVAL);
}

static void files_are_renamed_by_name_and_by_fid(void **state)
{
	(void)state;
	mkdir(p9_shared("a"), 0755);
	mkdir(p9_shared("b"), 0755);
	p9_make("a/f", "1");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "a"), 0);
	assert_int_equal(p9_walk(2, "b"), 0);
	assert_int_equal(p9_walk(3, "a/f"), 0);
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "f", 2, "g"), 0);
	p9_assert_holds("b/g", "1");
	/* The fid knows where its file has gone, whoever moved it. */
	assert_int_equal(p9_call(P9_TRENAME, "dds", 3, 1, "h"), 0);
	p9_assert_holds("a/h", "1");
	assert_int_equal(rename(p9_shared("a"), p9_shared("c")), 0);
	assert_int_equal(p9_call(P9_TRENAME, "dds", 3, 2, "i"), 0);
	p9_assert_holds("b/i", "1");
	assert_int_equal(p9_call(P9_TREMOVE, "d", 3), 0);
	assert_false(p9_is_there("b/i"));
	assert_int_equal(p9_clunk(3), -EBADF);
	/* A folder, open: and the root, which stays. */
	assert_int_equal(p9_call(P9_TREMOVE, "d", 1), 0);
	assert_false(p9_is_there("c"));
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", P9_ROOT, "b", 77, "g"), -EBADF);
	assert_int_equal(p9_call(P9_TRENAME, "dds", 2, 77, "g"), -EBADF);
	assert_int_equal(p9_call(P9_TRENAME, "dds", P9_ROOT, 2, "g"), -EBUSY);
	assert_int_equal(p9_call(P9_TREMOVE, "d", P9_ROOT), -EBUSY);
	assert_int_equal(p9_clunk(P9_ROOT), -EBADF);
}

/* What is not in the share any more is not touched through the share. */
static void a_file_that_left_the_share_stays(void **state)
{
	(void)state;
	p9_make("f", "1");
	p9_make("g", "2");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_walk(2, "g"), 0);
	assert_int_equal(rename(p9_shared("f"), file_path("gone")), 0);
	assert_int_equal(p9_call(P9_TRENAME, "dds", 1, P9_ROOT, "back"), -ESTALE);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 1), -ESTALE);
	assert_int_equal(access(file_path("gone"), F_OK), 0);
	assert_int_equal(unlink(p9_shared("g")), 0);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 2), -ESTALE);
}

static void an_unlinked_file_lives_while_its_fid_does(void **state)
{
	(void)state;
	p9_make("f", "12345");
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "f"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 2), 0);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", P9_ROOT, "f", 0), 0);
	assert_int_equal(p9_read_call(1, 0, 5, 4096, 4096), 0);
	assert_int_equal(p9_next(4), 5);
	assert_int_equal(p9_call(P9_TGETATTR, "dq", 1, 0x7ffULL), 0);
	assert_int_equal(p9_set(1, P9_SET_SIZE, 0, 1, 0, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, p9_setup, p9_teardown)
	const struct CMUnitTest tests[] = {
		TEST(readdir_tells_every_entry_once),
		TEST(names_come_and_go),
		TEST(files_are_renamed_by_name_and_by_fid),
		TEST(a_file_that_left_the_share_stays),
		TEST(an_unlinked_file_lives_while_its_fid_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

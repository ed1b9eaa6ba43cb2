// SPDX-License-Identifier: GPL-2.0-only
/* What a guest, or whoever else may change a shared folder, tries on it: nothing outside is reached, nothing waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/virtio_9p.h>
#include "files.h"
#include "p9_client.h"
#include "virtio_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KIB           1024

/* share/file, share/dir/outside; outside: what nobody may see. */
static int setup(void **state)
{
	int err = p9_setup(state);

	if (err)
		return err;
	p9_make("file", "12345");
	mkdir(p9_shared("dir"), 0755);
	p9_make("dir/outside", "inside");
	return 0;
}

static int counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path, (void)st, (void)type, (void)ftw;
	counted++;
	return 0;
}

/* Files in the test's folder, all of them. */
static int count_files(void)
{
	counted = 0;
	nftw(file_path("."), count_one, 16, FTW_PHYS);
	return counted;
}

/* --- names --- */

static char too_long[65535];

static const struct {
	const char *text;
	size_t size;
	int err;
} bad_names[] = {
	{ "", 0, -EINVAL },
	{ ".", 1, -EINVAL },
	{ "..", 2, -EINVAL },
	{ "/", 1, -EINVAL },
	{ "a/b", 3, -EINVAL },
	{ "/etc", 4, -EINVAL },
	{ "../outside", 10, -EINVAL },
	{ "dir/", 4, -EINVAL },
	{ "file\0", 5, -EINVAL },
	{ "\0", 1, -EINVAL },
	{ "..\0x", 4, -EINVAL },
	{ too_long, 256, -ENAMETOOLONG },
	{ too_long, 65535, -ENAMETOOLONG },
};

static void a_name_is_one_component(void **state)
{
	int files = count_files();

	(void)state;
	memset(too_long, 'x', sizeof(too_long));
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "file"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
		const char *name = bad_names[i].text;
		size_t size = bad_names[i].size;
		const int results[] = {
			p9_call(P9_TWALK, "ddwS", P9_ROOT, 2, 1, name, size),
			p9_call(P9_TLCREATE, "dSddd", P9_ROOT, name, size, O_RDWR, 0644, 0),
			p9_call(P9_TSYMLINK, "dSsd", P9_ROOT, name, size, "target", 0),
			p9_call(P9_TMKNOD, "dSdddd", P9_ROOT, name, size, S_IFIFO | 0600, 0, 0, 0),
			p9_call(P9_TMKDIR, "dSdd", P9_ROOT, name, size, 0755, 0),
			p9_call(P9_TLINK, "ddS", P9_ROOT, 1, name, size),
			p9_call(P9_TRENAME, "ddS", 1, P9_ROOT, name, size),
			p9_call(P9_TRENAMEAT, "dSds", P9_ROOT, name, size, P9_ROOT, "x"),
			p9_call(P9_TRENAMEAT, "dsdS", P9_ROOT, "file", P9_ROOT, name, size),
			p9_call(P9_TUNLINKAT, "dSd", P9_ROOT, name, size, 0),
			p9_call(P9_TUNLINKAT, "dSd", P9_ROOT, name, size, P9_UNLINK_DIRECTORY),
		};

		for (size_t n = 0; n < ARRAY_SIZE(results); n++)
			assert_int_equal(results[n], bad_names[i].err);
	}
	/* In the middle of a walk, too, which then has gone nowhere at all. */
	assert_int_equal(p9_call(P9_TWALK, "ddwss", P9_ROOT, 2, 2, "dir", ".."), -EINVAL);
	assert_int_equal(p9_clunk(2), -EBADF);
	assert_int_equal(count_files(), files);
}

static void other_strings_are_bounded(void **state)
{
	(void)state;
	memset(too_long, 'x', sizeof(too_long));
	p9_start(file_path("share"), false);
	assert_int_equal(p9_call(P9_TSYMLINK, "dsSd", P9_ROOT, "l", too_long, (size_t)PATH_MAX, 0),
			 -ENAMETOOLONG);
	assert_int_equal(p9_call(P9_TSYMLINK, "dsSd", P9_ROOT, "l", "a\0b", (size_t)3, 0), -EINVAL);
	assert_int_equal(p9_call(P9_TSYMLINK, "dssd", P9_ROOT, "l", "", 0), -ENOENT);
	assert_int_equal(p9_call(P9_TATTACH, "ddsSd", 1, P9_NOFID, "", too_long, (size_t)65535, 0),
			 -ENAMETOOLONG);
	assert_int_equal(p9_call(P9_TATTACH, "ddSSd", 1, P9_NOFID, too_long, (size_t)4095, too_long,
				 (size_t)4095, 0),
			 -ENAMETOOLONG);
	assert_int_equal(p9_call(P9_TVERSION, "dS", 8192, too_long, (size_t)65535), -ENAMETOOLONG);
	assert_int_equal(
		p9_call(P9_TSYMLINK, "dsSd", P9_ROOT, "l", too_long, (size_t)PATH_MAX - 1, 0), 0);
}

/* --- links --- */

static void a_link_is_never_followed(void **state)
{
	static const char *const targets[] = { "../outside",      "..",  "/",
					       "/proc/self/root", "dir", "file" };

	(void)state;
	p9_start(file_path("share"), false);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		assert_int_equal(symlink(targets[i], p9_shared("link")), 0);
		assert_int_equal(p9_walk(1, "link"), 0);
		assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 0), -ELOOP);
		assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, P9_OPEN_DIRECTORY), -ELOOP);
		assert_int_equal(p9_call(P9_TWALK, "ddws", 1, 2, 1, "outside"), -ENOTDIR);
		assert_int_equal(p9_call(P9_TWALK, "ddwss", P9_ROOT, 2, 2, "link", "etc"), 0);
		assert_int_equal(p9_next(2), 1);
		assert_int_equal(p9_clunk(2), -EBADF);
		assert_int_equal(p9_call(P9_TLCREATE, "dsddd", P9_ROOT, "link", O_RDWR, 0644, 0),
				 -ELOOP);
		assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, "new", O_RDWR, 0644, 0),
				 -ENOTDIR);
		assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, "new", 0755, 0), -ENOTDIR);
		assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "outside", 0), -ENOTDIR);
		assert_int_equal(p9_call(P9_TREMOVE, "d", 1), 0);
	}
	assert_int_equal(access(file_path("outside"), F_OK), 0);
}

/* A magic link is only a link: /proc itself may be shared. */
static void a_magic_link_is_never_followed(void **state)
{
	(void)state;
	p9_start("/proc/self", false);
	assert_int_equal(p9_walk(1, "root"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 0), -ELOOP);
	assert_int_equal(p9_call(P9_TWALK, "ddwss", P9_ROOT, 2, 2, "root", "etc"), 0);
	assert_int_equal(p9_next(2), 1);
	assert_true(p9_call(P9_TATTACH, "ddssd", 3, P9_NOFID, "", "cwd", 0) < 0);
	assert_true(p9_call(P9_TATTACH, "ddssd", 3, P9_NOFID, "", "root/etc", 0) < 0);
}

struct swapper {
	char dir[128], link[128], aside[128];
	atomic_bool stop;
};

/* Puts a link to the folder above in the place of dir, and dir back, again and again. */
static void *swap(void *data)
{
	struct swapper *swapper = data;

	while (!atomic_load(&swapper->stop)) {
		rename(swapper->dir, swapper->aside);
		rename(swapper->link, swapper->dir);
		rename(swapper->dir, swapper->link);
		rename(swapper->aside, swapper->dir);
	}
	return NULL;
}

static unsigned read_through_dir(void)
{
	unsigned reads = 0;

	for (int i = 0; i < 3000; i++) {
		if (p9_walk(1, "dir/outside"))
			continue;
		if (!p9_call(P9_TLOPEN, "dd", 1, 0) && !p9_read_call(1, 0, 100, 4096, 4096)) {
			assert_int_equal(p9_next(4), 6);
			assert_memory_equal(p9_next_bytes(6), "inside", 6);
			reads++;
		}
		assert_int_equal(p9_clunk(1), 0);
	}
	return reads;
}

static void a_folder_swapped_for_a_link_leads_nowhere(void **state)
{
	struct swapper swapper = { 0 };
	pthread_t thread;
	unsigned reads;

	(void)state;
	strcpy(swapper.dir, p9_shared("dir"));
	strcpy(swapper.link, p9_shared("link"));
	strcpy(swapper.aside, p9_shared("aside"));
	assert_int_equal(symlink("..", swapper.link), 0);
	p9_start(file_path("share"), false);
	assert_int_equal(pthread_create(&thread, NULL, swap, &swapper), 0);
	reads = read_through_dir();
	atomic_store(&swapper.stop, true);
	pthread_join(thread, NULL);
	reads += read_through_dir();
	assert_true(reads >= 3000);
}

/* --- files that are none --- */

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void what_is_no_file_is_not_opened(void **state)
{
	static const char *const names[] = { "fifo", "socket" };
	static const uint32_t flags[] = { 0, 1, 2, 2 | P9_OPEN_TRUNC, 04000, 1 | 04000 };

	(void)state;
	assert_int_equal(mkfifo(p9_shared("fifo"), 0666), 0);
	make_socket(p9_shared("socket"));
	p9_start(file_path("share"), false);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(p9_walk(1, names[i]), 0);
		for (size_t n = 0; n < ARRAY_SIZE(flags); n++) {
			assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, flags[n]), -EPERM);
			assert_int_equal(
				p9_call(P9_TLCREATE, "dsddd", P9_ROOT, names[i], flags[n], 0644, 0),
				-EPERM);
		}
		assert_int_equal(p9_call(P9_TSETATTR, "dddddqqqqq", 1, P9_SET_SIZE, 0, 0, 0, 0ULL,
					 0ULL, 0ULL, 0ULL, 0ULL),
				 -EINVAL);
		assert_int_equal(p9_clunk(1), 0);
	}
}

static void a_device_is_neither_opened_nor_made(void **state)
{
	static const uint32_t types[] = { S_IFCHR, S_IFBLK, S_IFSOCK, S_IFDIR, S_IFLNK, 0 };

	(void)state;
	p9_start("/dev", false);
	assert_int_equal(p9_walk(1, "null"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 2), -EPERM);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", P9_ROOT, "null", O_WRONLY, 0644, 0), -EPERM);
	virtio_rig_destroy_device();
	p9_start(file_path("share"), false);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(
			p9_call(P9_TMKNOD, "dsdddd", P9_ROOT, "node", types[i] | 0666, 1, 3, 0),
			-EPERM);
	assert_int_equal(access(p9_shared("node"), F_OK), -1);
}

/* --- a read-only share --- */

static void a_read_only_share_stays_as_it_is(void **state)
{
	int files = count_files();

	(void)state;
	p9_start(file_path("share"), true);
	assert_int_equal(p9_walk(1, "file"), 0);
	const int results[] = {
		p9_call(P9_TLCREATE, "dsddd", P9_ROOT, "new", O_RDWR, 0644, 0),
		p9_call(P9_TLCREATE, "dsddd", P9_ROOT, "file", O_RDONLY, 0644, 0),
		p9_call(P9_TSYMLINK, "dssd", P9_ROOT, "new", "target", 0),
		p9_call(P9_TMKNOD, "dsdddd", P9_ROOT, "new", S_IFIFO | 0600, 0, 0, 0),
		p9_call(P9_TMKDIR, "dsdd", P9_ROOT, "new", 0755, 0),
		p9_call(P9_TLINK, "dds", P9_ROOT, 1, "new"),
		p9_call(P9_TRENAME, "dds", 1, P9_ROOT, "new"),
		p9_call(P9_TRENAMEAT, "dsds", P9_ROOT, "file", P9_ROOT, "new"),
		p9_call(P9_TUNLINKAT, "dsd", P9_ROOT, "file", 0),
		p9_call(P9_TSETATTR, "dddddqqqqq", 1, P9_SET_MODE, 0, 0, 0, 0ULL, 0ULL, 0ULL, 0ULL,
			0ULL),
		p9_call(P9_TXATTRCREATE, "dsqd", 1, "user.x", 1ULL, 0),
		p9_call(P9_TLOPEN, "dd", 1, 1),
		p9_call(P9_TLOPEN, "dd", 1, 2),
		p9_call(P9_TLOPEN, "dd", 1, P9_OPEN_TRUNC),
	};

	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		assert_int_equal(results[i], -EROFS);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 0), 0);
	assert_int_equal(p9_write_call(1, 0, 1, "x", 1, 4096), -EROFS);
	assert_int_equal(p9_read_call(1, 0, 5, 4096, 4096), 0);
	assert_int_equal(p9_next(4), 5);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 1), -EROFS);
	assert_int_equal(p9_clunk(1), -EBADF);
	assert_int_equal(count_files(), files);
}

/* --- messages that lie --- */

static void unknown_messages_are_refused(void **state)
{
	(void)state;
	p9_start(file_path("share"), false);
	for (unsigned type = 0; type < 256; type++) {
		bool request = (type >= 8 && type <= 32) || type == 40 || type == 50 ||
			       type == 52 || type == 54 || (type >= 70 && type <= 76) ||
			       (type >= 100 && type <= 122);

		if (!request || type & 1 || type == 28 || type == 106 || type == 112 || type == 114)
			assert_int_equal(p9_call((uint8_t)type, "dddd", 0, 0, 0, 0), -EOPNOTSUPP);
	}
	assert_int_equal(p9_call(P9_TGETATTR, "dq", P9_ROOT, ~0ULL), 0);
}

/* Too short by any number of bytes: an error, never what is behind the end. */
static void a_message_cut_short_is_refused(void **state)
{
	static const struct {
		uint8_t bytes[64];
		size_t size;
	} messages
		[] = {
			{ { 0, 0, 0, 0, P9_TWALK, 1, 0, 0,   0, 0, 0,  9,
			    0, 0, 0, 2, 0,        1, 0, 'a', 1, 0, 'b' },
			  23 },
			{ { 0,   0, 0, 0, P9_TLCREATE, 1, 0, 0, 0, 0, 0, 1, 0,
			    'a', 2, 0, 0, 0,           0, 1, 0, 0, 0, 0, 0, 0 },
			  26 },
			{ { 0, 0, 0,   0, P9_TMKDIR, 1, 0, 0, 0, 0, 0,
			    1, 0, 'b', 0, 1,         0, 0, 0, 0, 0, 0 },
			  22 },
			{ { 0, 0, 0, 0, P9_TREAD, 1, 0, 0, 0, 0, 0, 0,
			    0, 0, 0, 0, 0,        0, 0, 1, 0, 0, 0 },
			  23 },
			{ { 0, 0, 0, 0, P9_TWRITE, 1, 0, 0, 0, 0, 0, 0,
			    0, 0, 0, 0, 0,         0, 0, 1, 0, 0, 0, 'x' },
			  24 },
			{ { 0, 0, 0,   0,   P9_TVERSION, 1,   0,   0,   32,  0,  0,
			    8, 0, '9', 'P', '2',         '0', '0', '0', '.', 'L' },
			  21 },
			{ { 0, 0, 0, 0, P9_TFLUSH, 1, 0, 9, 9 }, 9 },
			{ { 0, 0, 0, 0, P9_TCLUNK, 1, 0, 0, 0, 0, 9 }, 11 },
		};

	(void)state;
	p9_start(file_path("share"), false);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		for (size_t size = P9_HEADER; size < messages[i].size; size++) {
			uint8_t bytes[64];

			memcpy(bytes, messages[i].bytes, sizeof(bytes));
			bytes[0] = (uint8_t)size; /* honest, and all there is */
			assert_true(p9_raw_call(bytes, size, 4096) < 0);
			assert_true(p9_raw_call(bytes, messages[i].size, 4096) < 0);
			bytes[0] = (uint8_t)messages[i].size; /* more than there is */
			assert_int_equal(p9_raw_call(bytes, size, 4096), -EINVAL);
			for (uint8_t lie = 0; lie < P9_HEADER; lie++) {
				bytes[0] = lie;
				assert_int_equal(p9_raw_call(bytes, messages[i].size, 4096),
						 -EINVAL);
			}
			bytes[3] = 0xff;
			assert_int_equal(p9_raw_call(bytes, messages[i].size, 4096), -EINVAL);
		}
	}
	assert_int_equal(access(p9_shared("b"), F_OK), -1);
}

static void counts_are_only_numbers(void **state)
{
	char *bytes = calloc(1, 600 * KIB);

	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 1, 2), 0);
	assert_int_equal(p9_read_call(1, 0, 0xffffffff, 4096, 4096), 0);
	assert_int_equal(p9_next(4), 5);
	assert_int_equal(p9_read_call(1, 0, 0, 4096, 4096), 0);
	assert_int_equal(p9_next(4), 0);
	assert_int_equal(p9_read_call(1, 0, 100, P9_READ_HEADER, 4096), 0);
	assert_int_equal(p9_next(4), 0);
	assert_int_equal(p9_read_call(1, 0, 100, P9_READ_HEADER + 2, 4096), 0);
	assert_int_equal(p9_next(4), 2);
	assert_int_equal(p9_read_call(1, ~0ULL, 1, 4096, 4096), -EINVAL);
	assert_int_equal(p9_read_call(1, INT64_MAX, 100, 4096, 4096), -EINVAL);
	assert_int_equal(p9_write_call(1, 0, 6, "abcde", 5, 4096), -EINVAL);
	assert_int_equal(p9_write_call(1, 0, 0xffffffff, "abcde", 5, 4096), -EINVAL);
	assert_int_equal(p9_write_call(1, ~0ULL, 5, "abcde", 5, 4096), -EINVAL);
	assert_int_equal(p9_write_call(1, 0, 2, "abcde", 5, 4096), 0);
	assert_int_equal(p9_next(4), 2);
	/* A chain may hold more than msize: no message does. */
	assert_int_equal(p9_write_call(1, 0, 600 * KIB, bytes, 600 * KIB, 64 * KIB), -EINVAL);
	assert_int_equal(truncate(p9_shared("file"), 600 * KIB), 0);
	assert_int_equal(p9_read_call(1, 0, 600 * KIB, 600 * KIB, 64 * KIB), 0);
	assert_int_equal(p9_next(4), 512 * KIB - P9_READ_HEADER);
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 2, 17), -EINVAL);
	assert_int_equal(p9_call(P9_TWALK, "ddw", P9_ROOT, 2, 65535), -EINVAL);
	free(bytes);
}

/* The reply does not fit: an error does. */
static void a_small_room_gets_a_small_reply(void **state)
{
	static const uint8_t getattr[] = { 19, 0, 0, 0, P9_TGETATTR, 1, 0, 0, 0, 0, 0 };
	uint8_t bytes[19] = { 0 };

	(void)state;
	memcpy(bytes, getattr, sizeof(getattr));
	p9_start(file_path("share"), false);
	assert_int_equal(p9_raw_call(bytes, sizeof(bytes), P9_READ_HEADER), -EMSGSIZE);
	assert_int_equal(p9_raw_call(bytes, sizeof(bytes), 159), -EMSGSIZE);
	assert_int_equal(p9_raw_call(bytes, sizeof(bytes), 160), 0);
}

static void offer(size_t out, size_t in)
{
	const struct virtq_buffer buffers[] = { { virtio_rig_alloc(64), (uint32_t)out },
						{ virtio_rig_alloc(64), (uint32_t)in } };

	virtq_driver_add(&vrig.queues[0], buffers + !out, out ? 1 : 0, in ? 1 : 0);
	virtio_rig_kick(0);
}

/* Without a header there is nothing to answer, without room no way to: only this device stops, with one message. */
static void what_cannot_be_answered_breaks_the_device(void **state)
{
	static const size_t rows[][2] = { { 6, 64 }, { 0, 64 }, { 23, 10 }, { 23, 0 } };

	(void)state;
	stderr_keep();
	p9_start(file_path("share"), false);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		offer(rows[i][0], rows[i][1]);
		assert_true(virtio_rig_needs_reset());
		assert_false(virtq_driver_used(&vrig.queues[0], NULL, NULL));
		virtio_rig_start(0, 0);
		assert_int_equal(p9_call(P9_TVERSION, "ds", 8192, "9P2000.L"), 0);
	}
	assert_reported(": a request or the room for its reply is too short");
}

/* Several requests at once: each finds what those before it left. */
static void requests_on_one_fid_come_one_after_the_other(void **state)
{
	static const uint8_t types[] = { P9_TSTATFS, P9_TCLUNK, P9_TSTATFS, P9_TCLUNK, P9_TREMOVE };
	uint64_t replies[ARRAY_SIZE(types)];

	(void)state;
	p9_start(file_path("share"), false);
	assert_int_equal(p9_walk(1, "file"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct virtq_buffer buffers[] = { { virtio_rig_alloc(64), 11 },
							{ virtio_rig_alloc(128), 128 } };
		const uint8_t bytes[] = { 11, 0, 0, 0, types[i], 7, 0, 1, 0, 0, 0 };

		memcpy(virtio_rig_at(buffers[0].addr, 11), bytes, sizeof(bytes));
		replies[i] = buffers[1].addr;
		assert_true(virtq_driver_add(&vrig.queues[0], buffers, 1, 1) >= 0);
	}
	virtio_rig_kick(0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const uint8_t *reply = virtio_rig_at(replies[i], 128);

		virtio_rig_wait_used(0, NULL);
		assert_int_equal(reply[4], i < 2 ? types[i] + 1 : P9_RLERROR);
		if (i >= 2)
			assert_int_equal(reply[7], EBADF);
	}
	assert_int_equal(access(p9_shared("file"), F_OK), 0);
}

/* --- the option --- */

static void the_option_names_folder_tag_and_ro(void **state)
{
	static const struct {
		const char *text, *dir, *tag;
		bool readonly;
	} rows[] = {
		{ "/usr/lib", "/usr/lib", "lib", false },
		{ "/usr/lib/", "/usr/lib/", "lib", false },
		{ "/", "/", "root", false },
		{ "/usr/share/..", "/usr/share/..", "usr", false },
		{ "/usr,host", "/usr", "host", false },
		{ "/usr,ro", "/usr", "usr", true },
		{ "/usr,host,ro", "/usr", "host", true },
		{ "/nowhere,ro,host", "/nowhere", "host", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct virtio_share_config config;

		assert_int_equal(virtio_share_config_parse(&config, 0, rows[i].text), 0);
		assert_string_equal(config.dir, rows[i].dir);
		assert_string_equal(config.tag, rows[i].tag);
		assert_int_equal(config.readonly, rows[i].readonly);
	}
}

static void a_wrong_option_is_named(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "", "--9p : it takes a folder, DIR[,TAG][,ro]" },
		{ ",tag", "--9p ,tag: it takes a folder" },
		{ "/usr,,ro", "the tag is empty or longer than 31 bytes" },
		{ "/usr,abcdefghijklmnopqrstuvwxyz-abcdef", "longer than 31 bytes" },
		{ "/usr,a,b", "--9p /usr: a second tag, b; the only option is ro" },
		{ "/no/such", "cannot share the folder /no/such: No such file or directory" },
		{ "/lib,taken", "--9p: /usr and /lib both have the tag taken" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct virtio_share_config configs[2] = { { .dir = "/usr", .tag = "taken" } };

		stderr_keep();
		assert_int_equal(virtio_share_config_parse(configs, 1, rows[i].text) < 0, 1);
		assert_reported(rows[i].message);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, p9_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_name_is_one_component),
		TEST(other_strings_are_bounded),
		TEST(a_link_is_never_followed),
		TEST(a_magic_link_is_never_followed),
		TEST(a_folder_swapped_for_a_link_leads_nowhere),
		TEST(what_is_no_file_is_not_opened),
		TEST(a_device_is_neither_opened_nor_made),
		TEST(a_read_only_share_stays_as_it_is),
		TEST(unknown_messages_are_refused),
		TEST(a_message_cut_short_is_refused),
		TEST(counts_are_only_numbers),
		TEST(a_small_room_gets_a_small_reply),
		TEST(what_cannot_be_answered_breaks_the_device),
		TEST(requests_on_one_fid_come_one_after_the_other),
		cmocka_unit_test(the_option_names_folder_tag_and_ro),
		cmocka_unit_test(a_wrong_option_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

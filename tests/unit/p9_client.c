// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "p9_client.h"
#include "virtio/9p.h"
#include "virtio_rig.h"

#define MESSAGE_MAX (640 * 1024)
#define PIECES_MAX  64
#define TAG         0x1234

struct client {
	uint64_t out, in; /* guest-physical: buffers of MESSAGE_MAX bytes */
	uint8_t *request, *reply;
	size_t used, reply_size, at;
	char text[65536];
};

static struct client client;

void p9_share(const char *dir, bool readonly)
{
	struct virtio_share_config config = { .tag = "share", .readonly = readonly };
	struct virtio_device *vdev;
	int err;

	strncpy(config.dir, dir, sizeof(config.dir) - 1);
	err = p9_create(&vdev, &config, &vrig.env);
	assert_int_equal(err, 0);
	virtio_rig_connect(vdev, false);
	virtio_rig_start(1ULL << VIRTIO_RING_F_INDIRECT_DESC, 0);
	client.out = virtio_rig_alloc(MESSAGE_MAX);
	client.in = virtio_rig_alloc(MESSAGE_MAX);
	client.request = virtio_rig_at(client.out, MESSAGE_MAX);
	client.reply = virtio_rig_at(client.in, MESSAGE_MAX);
}

void p9_start(const char *dir, bool readonly)
{
	int err;

	p9_share(dir, readonly);
	err = p9_call(P9_TVERSION, "ds", P9_MSIZE_MAX, P9_VERSION);
	assert_int_equal(err, 0);
	err = p9_call(P9_TATTACH, "ddssd", P9_ROOT, P9_NOFID, "root", "", P9_NOFID);
	assert_int_equal(err, 0);
}

static void put(uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		client.request[client.used++] = (uint8_t)(value >> 8 * i);
}

static void put_bytes(const void *bytes, size_t size)
{
	assert_true(client.used + size <= MESSAGE_MAX);
	if (size)
		memcpy(client.request + client.used, bytes, size);
	client.used += size;
}

static void put_text(const char *text, size_t size)
{
	put(size, 2);
	put_bytes(text, size);
}

static void begin(uint8_t type)
{
	client.used = 0;
	put(0, 4);
	put(type, 1);
	put(TAG, 2);
}

static void put_size(void)
{
	for (unsigned i = 0; i < 4; i++)
		client.request[i] = (uint8_t)(client.used >> 8 * i);
}

/* [gpa, gpa + size) in pieces. */
static unsigned split(struct virtq_buffer *buffers, uint64_t gpa, size_t size, size_t piece)
{
	unsigned count = 0;

	for (size_t at = 0; at < size; at += piece) {
		assert_true(count < PIECES_MAX);
		buffers[count++] =
			(struct virtq_buffer){ gpa + at,
					       (uint32_t)(size - at < piece ? size - at : piece) };
	}
	return count;
}

static int exchange(size_t in, size_t piece)
{
	struct virtq_buffer buffers[2 * PIECES_MAX];
	uint8_t type = client.request[4];
	unsigned out_count = split(buffers, client.out, client.used, piece);
	unsigned in_count = split(buffers + out_count, client.in, in, piece);

	memset(client.reply, 0xa5, in + 64 < MESSAGE_MAX ? in + 64 : in);
	client.reply_size = virtio_rig_exchange(0, buffers, out_count, in_count);
	assert_true(client.reply_size >= P9_HEADER && client.reply_size <= in);
	client.at = 0;
	assert_int_equal(p9_next(4), client.reply_size);
	if (client.reply[4] == P9_RLERROR) {
		client.at = P9_HEADER;
		assert_int_equal(client.reply_size, P9_HEADER + 4);
		return -(int)p9_next(4);
	}
	assert_int_equal(p9_next(1), type + 1);
	assert_int_equal(p9_next(2), client.request[5] | client.request[6] << 8);
	return 0;
}

int p9_call(uint8_t type, const char *format, ...)
{
	const char *text;
	va_list args;

	begin(type);
	va_start(args, format);
	for (; *format; format++) {
		switch (*format) {
		case 'b':
			put((uint64_t)va_arg(args, int), 1);
			break;
		case 'w':
			put((uint64_t)va_arg(args, int), 2);
			break;
		case 'd':
			put(va_arg(args, uint32_t), 4);
			break;
		case 'q':
			put(va_arg(args, uint64_t), 8);
			break;
		case 's':
			text = va_arg(args, const char *);
			put_text(text, strlen(text));
			break;
		default:
			text = va_arg(args, const char *);
			put_text(text, va_arg(args, size_t));
			break;
		}
	}
	va_end(args);
	put_size();
	return exchange(P9_REPLY_MAX, MESSAGE_MAX);
}

int p9_write_call(uint32_t fid, uint64_t offset, uint32_t count, const void *data, size_t size,
		  size_t piece)
{
	begin(P9_TWRITE);
	put(fid, 4);
	put(offset, 8);
	put(count, 4);
	put_bytes(data, size);
	put_size();
	return exchange(4096, piece);
}

int p9_read_call(uint32_t fid, uint64_t offset, uint32_t count, size_t in, size_t piece)
{
	begin(P9_TREAD);
	put(fid, 4);
	put(offset, 8);
	put(count, 4);
	put_size();
	return exchange(in, piece);
}

int p9_raw_call(const void *bytes, size_t size, size_t in)
{
	client.used = 0;
	put_bytes(bytes, size);
	return exchange(in, MESSAGE_MAX);
}

uint64_t p9_next(unsigned width)
{
	const uint8_t *bytes = p9_next_bytes(width);
	uint64_t value = 0;

	while (width--)
		value = value << 8 | bytes[width];
	return value;
}

const void *p9_next_bytes(size_t size)
{
	const void *at = client.reply + client.at;

	assert_true(size <= client.reply_size - client.at);
	client.at += size;
	return at;
}

const char *p9_next_string(void)
{
	size_t size = p9_next(2);

	memcpy(client.text, p9_next_bytes(size), size);
	client.text[size] = 0;
	return client.text;
}

size_t p9_left(void)
{
	return client.reply_size - client.at;
}

int p9_walk(uint32_t newfid, const char *path)
{
	unsigned names = 0;

	begin(P9_TWALK);
	put(P9_ROOT, 4);
	put(newfid, 4);
	put(0, 2);
	while (*path) {
		size_t size = strcspn(path, "/");

		put_text(path, size);
		path += size + (path[size] == '/');
		names++;
	}
	client.request[15] = (uint8_t)names;
	put_size();
	if (exchange(P9_REPLY_MAX, MESSAGE_MAX))
		return -(int)(client.reply[7] | client.reply[8] << 8);
	return p9_next(2) == names ? 0 : -1000;
}

int p9_clunk(uint32_t fid)
{
	return p9_call(P9_TCLUNK, "d", fid);
}

/* --- the folder --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int p9_setup(void **state)
{
	int err = virtio_rig_setup(state);

	if (err)
		return err;
	file_make("outside", "secret", 6);
	return mkdir(file_path("share"), 0755);
}

int p9_teardown(void **state)
{
	nftw(file_path("share"), remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return virtio_rig_teardown(state);
}

const char *p9_shared(const char *name)
{
	char path[NAME_MAX + 16];

	snprintf(path, sizeof(path), "share/%s", name);
	return file_path(path);
}

void p9_make(const char *name, const char *text)
{
	char path[NAME_MAX + 16];

	snprintf(path, sizeof(path), "share/%s", name);
	file_make(path, text, strlen(text));
}

struct stat p9_stat_of(const char *name)
{
	struct stat st;
	int err = lstat(p9_shared(name), &st);

	assert_int_equal(err, 0);
	return st;
}

bool p9_is_there(const char *name)
{
	struct stat st;

	return lstat(p9_shared(name), &st) == 0;
}

void p9_assert_holds(const char *name, const char *text)
{
	char bytes[256] = { 0 };
	int fd = open(p9_shared(name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes) - 1), strlen(text));
	assert_string_equal(bytes, text);
	close(fd);
}

uint32_t p9_given_gid(void)
{
	return geteuid() ? getgid() : P9_GID;
}

int p9_set(uint32_t fid, uint32_t valid, uint32_t mode, uint64_t size, uint64_t atime,
	   uint64_t mtime)
{
	return p9_call(P9_TSETATTR,
		       "ddddd"
		       "qqqqq",
		       fid, valid, mode, getuid(), getgid(), size, atime, 11ULL, mtime, 22ULL);
}

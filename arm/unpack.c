// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "codec.h"
#include "unpack.h"

#define CHUNK 65536

/* One unpacking under way: input comes from a file, output goes to a memfd. */
struct unpacker {
	int in_fd, out_fd;
	uint64_t in_offset, in_left; /* what has not been read yet */
	uint64_t out_size, limit;
	size_t in_len; /* bytes in in[] */
	uint8_t in[CHUNK], out[CHUNK];
};

/* Why unpacking failed, where errno has no word for it. */
enum { BAD_TRUNCATED = -1000, BAD_CORRUPT, BAD_GARBAGE, BAD_TOO_LARGE };

static const uint8_t gzip_magic[] = { 0x1f, 0x8b, 0x08 };       /* RFC 1952, 2.3.1: CM 8 */
static const uint8_t zstd_magic[] = { 0x28, 0xb5, 0x2f, 0xfd }; /* RFC 8878, 3.1.1 */

enum packing packing_of(const void *head, size_t len)
{
	if (len >= sizeof(gzip_magic) && !memcmp(head, gzip_magic, sizeof(gzip_magic)))
		return PACKING_GZIP;
	if (len >= sizeof(zstd_magic) && !memcmp(head, zstd_magic, sizeof(zstd_magic)))
		return PACKING_ZSTD;
	return PACKING_NONE;
}

/* Fills in[]; in_len 0 at the end. */
static int fill(struct unpacker *unpacker)
{
	int err;

	unpacker->in_len = unpacker->in_left < CHUNK ? unpacker->in_left : CHUNK;
	err = pread_full(unpacker->in_fd, unpacker->in, unpacker->in_len, unpacker->in_offset);
	unpacker->in_offset += unpacker->in_len;
	unpacker->in_left -= unpacker->in_len;
	return err;
}

static int drain(struct unpacker *unpacker, size_t len)
{
	if (len > unpacker->limit - unpacker->out_size)
		return BAD_TOO_LARGE;
	unpacker->out_size += len;
	return write_full(unpacker->out_fd, unpacker->out, len);
}

/* Some tools pad what they wrote with zeros; anything else behind the end is a mistake somebody should know of. */
static int only_zeros(struct unpacker *unpacker, const uint8_t *rest, size_t len)
{
	int err;

	for (;;) {
		for (size_t i = 0; i < len; i++)
			if (rest[i])
				return BAD_GARBAGE;
		if (!unpacker->in_left)
			return 0;
		err = fill(unpacker);
		if (err)
			return err;
		rest = unpacker->in;
		len = unpacker->in_len;
	}
}

static int refill(struct unpacker *unpacker, z_stream *z)
{
	int err = 0;

	if (!z->avail_in) {
		err = fill(unpacker);
		z->next_in = unpacker->in;
		z->avail_in = unpacker->in_len;
	}
	return err;
}

/* One member (RFC 1952, 2.2) up to its end. */
static int inflate_member(struct unpacker *unpacker, const struct zlib *zlib, z_stream *z)
{
	int ret = Z_OK, err;

	do {
		err = refill(unpacker, z);
		if (!err && !z->avail_in)
			err = BAD_TRUNCATED;
		if (err)
			return err;
		do {
			z->next_out = unpacker->out;
			z->avail_out = CHUNK;
			ret = zlib->inflate(z, Z_NO_FLUSH);
			if (ret != Z_OK && ret != Z_STREAM_END && ret != Z_BUF_ERROR)
				return ret == Z_MEM_ERROR ? -ENOMEM : BAD_CORRUPT;
			err = drain(unpacker, CHUNK - z->avail_out);
			if (err)
				return err;
		} while (ret != Z_STREAM_END && !z->avail_out);
	} while (ret != Z_STREAM_END);
	return refill(unpacker, z);
}

static int unpack_gzip(struct unpacker *unpacker, const struct zlib *zlib)
{
	z_stream z = { 0 };
	int err;

	if (zlib->init(&z, 16 + MAX_WBITS, ZLIB_VERSION, sizeof(z)) != Z_OK)
		return -ENOMEM;
	do {
		err = inflate_member(unpacker, zlib, &z);
		zlib->reset(&z);
	} while (!err && z.avail_in && *z.next_in == gzip_magic[0]);
	if (!err)
		err = only_zeros(unpacker, z.next_in, z.avail_in);
	zlib->end(&z);
	return err;
}

/* Unpacks in[]; *hint: 0 at a frame's end. A frame's last byte is consumed when all its output has been given out. */
static int unpack_zstd_chunk(struct unpacker *unpacker, const struct zstd *zstd,
			     ZSTD_DStream *stream, size_t *hint)
{
	ZSTD_inBuffer in = { unpacker->in, unpacker->in_len, 0 };

	while (in.pos < in.size) {
		ZSTD_outBuffer out = { unpacker->out, CHUNK, 0 };
		bool frame_done = *hint == 0;
		int err;

		*hint = zstd->decompress(stream, &out, &in);
		if (zstd->is_error(*hint) && frame_done &&
		    zstd->error_code(*hint) == ZSTD_error_prefix_unknown)
			return BAD_GARBAGE;
		if (zstd->is_error(*hint))
			return BAD_CORRUPT;
		err = drain(unpacker, out.pos);
		if (err)
			return err;
	}
	return 0;
}

static int unpack_zstd(struct unpacker *unpacker, const struct zstd *zstd)
{
	ZSTD_DStream *stream = zstd->create();
	size_t hint = 1;
	int err;

	if (!stream)
		return -ENOMEM;
	do {
		err = fill(unpacker);
		if (!err)
			err = unpack_zstd_chunk(unpacker, zstd, stream, &hint);
	} while (!err && unpacker->in_left);
	zstd->free(stream);
	return err || !hint ? err : BAD_TRUNCATED;
}

static int report_failure(int err, const char *what, const char *path, uint64_t limit)
{
	switch (err) {
	case BAD_TRUNCATED:
		return refuse(-EINVAL, "%s %s is compressed, and truncated", what, path);
	case BAD_CORRUPT:
		return refuse(-EINVAL, "%s %s is compressed, and corrupt", what, path);
	case BAD_GARBAGE:
		return refuse(-EINVAL, "%s %s is compressed, and followed by something else", what,
			      path);
	case BAD_TOO_LARGE:
		return refuse(-EFBIG, "%s %s unpacks to more than %llu KiB, all that fits: see -m",
			      what, path, (unsigned long long)(limit >> 10));
	default:
		return report(err, "cannot unpack %s %s", what, path);
	}
}

static int unpack(struct unpacker *unpacker, enum packing packing, const char *what,
		  const char *path)
{
	struct zlib zlib;
	struct zstd zstd;
	int err;

	if (packing == PACKING_GZIP) {
		err = zlib_open(&zlib, what, path);
		if (err)
			return err;
		err = unpack_gzip(unpacker, &zlib);
		zlib_close(&zlib);
	} else {
		err = zstd_open(&zstd, what, path);
		if (err)
			return err;
		err = unpack_zstd(unpacker, &zstd);
		zstd_close(&zstd);
	}
	return err ? report_failure(err, what, path, unpacker->limit) : 0;
}

int image_file_unpack(struct image_file *file, enum packing packing, uint64_t offset, uint64_t size,
		      const char *what, const char *path, uint64_t limit)
{
	struct unpacker *unpacker = malloc(sizeof(*unpacker));
	int err = -ENOMEM;

	if (!unpacker)
		return report(err, "cannot unpack %s %s", what, path);
	unpacker->in_fd = file->fd;
	unpacker->in_offset = offset;
	unpacker->in_left = size;
	unpacker->out_size = 0;
	unpacker->limit = limit;
	unpacker->out_fd = memfd_open(what);
	if (unpacker->out_fd < 0) {
		err = unpacker->out_fd;
		goto out;
	}
	err = unpack(unpacker, packing, what, path);
	if (err) {
		close(unpacker->out_fd);
		goto out;
	}
	close(file->fd);
	*file = (struct image_file){ unpacker->out_fd, unpacker->out_size };
out:
	free(unpacker);
	return err;
}

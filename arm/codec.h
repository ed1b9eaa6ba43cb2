/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What compressed kernels are unpacked with: zlib and libzstd. They are larger than all that lkvm needs else, and
 * few kernels are compressed: codec_loaded.c loads them when one is. A program with libc in it cannot: it has these
 * two in it as well, by codec_linked.c (make STATIC=1).
 */
#ifndef ARM_CODEC_H
#define ARM_CODEC_H

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct zlib {
	void *handle;
	typeof(inflateInit2_) *init;
	typeof(inflate) *inflate;
	typeof(inflateReset) *reset;
	typeof(inflateEnd) *end;
};

struct zstd {
	void *handle;
	typeof(ZSTD_createDStream) *create;
	typeof(ZSTD_freeDStream) *free;
	typeof(ZSTD_decompressStream) *decompress;
	typeof(ZSTD_isError) *is_error;
	typeof(ZSTD_getErrorCode) *error_code;
};

/* -ENOENT, reported as what keeps `what` path from being unpacked, where the library is not there. */
int zlib_open(struct zlib *zlib, const char *what, const char *path);
int zstd_open(struct zstd *zstd, const char *what, const char *path);
void zlib_close(struct zlib *zlib);
void zstd_close(struct zstd *zstd);

#endif

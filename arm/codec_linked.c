// SPDX-License-Identifier: GPL-2.0-only
#include "codec.h"

int zlib_open(struct zlib *zlib, const char *what, const char *path)
{
	(void)what;
	(void)path;
	*zlib = (struct zlib){
		.init = inflateInit2_,
		.inflate = inflate,
		.reset = inflateReset,
		.end = inflateEnd,
	};
	return 0;
}

int zstd_open(struct zstd *zstd, const char *what, const char *path)
{
	(void)what;
	(void)path;
	*zstd = (struct zstd){
		.create = ZSTD_createDStream,
		.free = ZSTD_freeDStream,
		.decompress = ZSTD_decompressStream,
		.is_error = ZSTD_isError,
		.error_code = ZSTD_getErrorCode,
	};
	return 0;
}

void zlib_close(struct zlib *zlib)
{
	(void)zlib;
}

void zstd_close(struct zstd *zstd)
{
	(void)zstd;
}

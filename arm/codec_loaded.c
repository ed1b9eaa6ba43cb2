// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <lkvm/library.h>
#include <lkvm/report.h>
#include "codec.h"

static const struct library_function zlib_functions[] = {
	{ "inflateInit2_", offsetof(struct zlib, init) },
	{ "inflate", offsetof(struct zlib, inflate) },
	{ "inflateReset", offsetof(struct zlib, reset) },
	{ "inflateEnd", offsetof(struct zlib, end) },
};

static const struct library_function zstd_functions[] = {
	{ "ZSTD_createDStream", offsetof(struct zstd, create) },
	{ "ZSTD_freeDStream", offsetof(struct zstd, free) },
	{ "ZSTD_decompressStream", offsetof(struct zstd, decompress) },
	{ "ZSTD_isError", offsetof(struct zstd, is_error) },
	{ "ZSTD_getErrorCode", offsetof(struct zstd, error_code) },
};

int zlib_open(struct zlib *zlib, const char *what, const char *path)
{
	char why[256];

	zlib->handle = library_load("libz.so.1", zlib_functions,
				    sizeof(zlib_functions) / sizeof(zlib_functions[0]), zlib, why,
				    sizeof(why));
	if (zlib->handle)
		return 0;
	return refuse(-ENOENT,
		      "%s %s is compressed with gzip, and there is no zlib (%s): install it "
		      "(Debian: `apt install zlib1g`), or use gunzip",
		      what, path, why);
}

int zstd_open(struct zstd *zstd, const char *what, const char *path)
{
	char why[256];

	zstd->handle = library_load("libzstd.so.1", zstd_functions,
				    sizeof(zstd_functions) / sizeof(zstd_functions[0]), zstd, why,
				    sizeof(why));
	if (zstd->handle)
		return 0;
	return refuse(-ENOENT,
		      "%s %s is compressed with zstd, and there is no libzstd (%s): install it "
		      "(Debian: `apt install libzstd1`), or use unzstd",
		      what, path, why);
}

void zlib_close(struct zlib *zlib)
{
	library_unload(zlib->handle);
}

void zstd_close(struct zstd *zstd)
{
	library_unload(zstd->handle);
}

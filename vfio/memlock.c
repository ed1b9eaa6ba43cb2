// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>
#include <lkvm/report.h>
#include "memlock.h"

static uint64_t limit_bytes(rlim_t limit)
{
	return limit == RLIM_INFINITY ? MEMLOCK_INFINITE : limit;
}

/* The effective capabilities; libcap would be a dependency for one call. */
static uint64_t capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

void memlock_read(struct memlock *memlock)
{
	struct rlimit limit = { 0, 0 };
	uint64_t caps = capabilities();

	getrlimit(RLIMIT_MEMLOCK, &limit);
	*memlock = (struct memlock){
		.soft = limit_bytes(limit.rlim_cur),
		.hard = limit_bytes(limit.rlim_max),
		.exempt = caps & 1ULL << CAP_IPC_LOCK,
		.may_raise = caps & 1ULL << CAP_SYS_RESOURCE,
	};
}

uint64_t memlock_reach(const struct memlock *memlock)
{
	return memlock->exempt || memlock->may_raise ? MEMLOCK_INFINITE : memlock->hard;
}

const char *size_text(char buf[SIZE_TEXT], uint64_t bytes)
{
	static const char units[][4] = { "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = 0;
	uint64_t value = bytes >> 10;

	if (bytes == MEMLOCK_INFINITE) {
		snprintf(buf, SIZE_TEXT, "unlimited");
	} else if (!bytes || bytes & 1023) {
		snprintf(buf, SIZE_TEXT, "%" PRIu64 " bytes", bytes);
	} else {
		for (; unit < 3 && !(value & 1023); unit++)
			value >>= 10;
		snprintf(buf, SIZE_TEXT, "%" PRIu64 " %s", value, units[unit]);
	}
	return buf;
}

int memlock_refuse(uint64_t bytes, const char *bdf)
{
	char needed[SIZE_TEXT], have[SIZE_TEXT];
	uint64_t kib = (bytes >> 10) + !!(bytes & 1023);
	struct memlock memlock;

	memlock_read(&memlock);
	return refuse(-ENOMEM,
		      "cannot lock %s of guest RAM for DMA by %s: the limit on locked memory "
		      "(RLIMIT_MEMLOCK) is %s: run `ulimit -l %" PRIu64 "` in the root shell that "
		      "starts lkvm, or set LimitMEMLOCK=%" PRIu64 "K in its systemd unit, or put "
		      "`* - memlock %" PRIu64
		      "` into /etc/security/limits.d/lkvm.conf and log in again",
		      size_text(needed, bytes), bdf, size_text(have, memlock.hard), kib, kib, kib);
}

int memlock_raise(uint64_t bytes, const char *bdf)
{
	struct memlock memlock;
	struct rlimit limit;

	memlock_read(&memlock);
	if (memlock.soft >= bytes)
		return 0;
	limit.rlim_cur = bytes;
	limit.rlim_max = memlock.hard >= bytes ? (rlim_t)memlock.hard : (rlim_t)bytes;
	if (memlock.hard == MEMLOCK_INFINITE)
		limit.rlim_max = RLIM_INFINITY;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || memlock.exempt)
		return 0;
	return memlock_refuse(bytes, bdf);
}

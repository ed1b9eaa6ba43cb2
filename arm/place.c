// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <lkvm/image.h>
#include <lkvm/report.h>
#include "unpack.h"

/* Maps the file's whole pages over host; returns how many bytes that is, or -errno. */
static int64_t map_pages(const struct image_file *file, uint8_t *host)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t size = file->size & ~(page - 1);
	void *mapped;

	if (!size || (uintptr_t)host & (page - 1))
		return 0;
	mapped = mmap(host, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file->fd, 0);
	return mapped == MAP_FAILED ? -errno : (int64_t)size;
}

/* Gives whole pages back rather than touch them: most are zero and not there yet. */
static void clear(uint8_t *host, uint64_t size, bool discard)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t head = -(uintptr_t)host & (page - 1);
	uint64_t whole = size > head ? (size - head) & ~(page - 1) : 0;

	if (!discard || !whole || madvise(host + head, whole, MADV_DONTNEED) < 0) {
		memset(host, 0, size);
		return;
	}
	memset(host, 0, head);
	memset(host + head + whole, 0, size - head - whole);
}

int64_t image_place(const struct image_file *file, const char *what, struct guest_mem *mem,
		    uint64_t gpa, uint64_t mem_size, bool map)
{
	uint8_t *host = guest_mem_range(mem, gpa, mem_size);
	int64_t mapped = 0;
	int err;

	if (!host || file->size > mem_size)
		return refuse(-ENOSPC, "%s does not fit into guest memory at 0x%llx", what,
			      (unsigned long long)gpa);
	if (map)
		mapped = map_pages(file, host);
	if (mapped < 0)
		return report(mapped, "cannot map %s into guest memory", what);
	err = pread_full(file->fd, host + mapped, file->size - mapped, mapped);
	if (err)
		return report(err, "cannot read %s into guest memory", what);
	clear(host + file->size, mem_size - file->size, map);
	return file->size - mapped;
}

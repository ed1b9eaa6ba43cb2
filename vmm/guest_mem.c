// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <lkvm/guest_mem.h>
#include <lkvm/sizes.h>
#include <lkvm/report.h>

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

/* An unlinked file on the hugetlbfs mount, of the RAM's size. Returns its fd and, in *page_size, its pages' size. */
static int open_hugetlbfs(const char *dir, uint64_t size, uint64_t *page_size)
{
	struct statfs fs;
	int fd;

	if (statfs(dir, &fs) < 0)
		return report(-errno, "cannot use %s for guest memory", dir);
	if (fs.f_type != HUGETLBFS_MAGIC)
		return refuse(-EINVAL,
			      "%s is no hugetlbfs: mount one with `mount -t hugetlbfs none %s`",
			      dir, dir);
	*page_size = (uint64_t)fs.f_bsize;
	if (size % *page_size)
		return refuse(-EINVAL, "guest memory is no multiple of the %lu KiB pages of %s",
			      (unsigned long)(*page_size >> 10), dir);
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return report(-errno, "cannot create a file in %s", dir);
	return fd;
}

static int map_hugetlbfs(struct guest_mem *mem, const char *dir)
{
	uint64_t page_size = 0;
	int fd = open_hugetlbfs(dir, mem->size, &page_size);
	int err = 0;

	if (fd < 0)
		return fd;
	mem->reserved = mem->size;
	if (ftruncate(fd, (off_t)mem->size) < 0) {
		err = report(-errno, "cannot size guest memory in %s", dir);
	} else {
		/* MAP_PRIVATE would fail on the first fault beyond the pool; a shared mapping reserves its pages now. */
		mem->reservation =
			mmap(NULL, mem->reserved, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (mem->reservation == MAP_FAILED) {
			mem->reservation = NULL;
			err = refuse(-ENOMEM,
				     "not enough huge pages for %lu MiB in %s: raise "
				     "vm.nr_hugepages to %lu more",
				     (unsigned long)(mem->size >> 20), dir,
				     (unsigned long)(mem->size / page_size));
		}
	}
	if (mem->shared)
		mem->fd = fd;
	else
		close(fd);
	mem->host = mem->reservation;
	mem->page_size = page_size;
	mem->huge = true;
	return err;
}

/* 2 MiB-aligned in this process as in the guest, so that KVM can map 2 MiB blocks at stage 2. */
static int map_anonymous(struct guest_mem *mem)
{
	void *at = MAP_FAILED;

	errno = ENOMEM;
	if (!__builtin_add_overflow(mem->size, SZ_2M, &mem->reserved))
		at = mmap(NULL, mem->reserved, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return report(-errno, "cannot reserve %lu MiB of guest memory",
			      (unsigned long)(mem->size >> 20));
	mem->reservation = at;
	mem->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	mem->host = (uint8_t *)align_up((uintptr_t)at, SZ_2M);
	/* Without THP in the host's kernel the guest runs on small pages: slower, not wrong. */
	madvise(mem->host, mem->size, MADV_HUGEPAGE);
	return 0;
}

/* The same memory as a file's, which other processes may map, too. */
static int map_memfd(struct guest_mem *mem)
{
	void *at;

	mem->fd = memfd_create("guest RAM", MFD_CLOEXEC);
	if (mem->fd < 0 || ftruncate(mem->fd, (off_t)mem->size) < 0)
		return report(-errno, "cannot make %lu MiB of guest memory that can be shared",
			      (unsigned long)(mem->size >> 20));
	at = mmap(mem->host, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mem->fd, 0);
	if (at == MAP_FAILED)
		return report(-errno, "cannot map guest memory that is shared");
	madvise(mem->host, mem->size, MADV_HUGEPAGE);
	return 0;
}

int guest_mem_create(struct guest_mem *mem, const struct guest_mem_config *config)
{
	int err;

	*mem = (struct guest_mem){
		.base = config->base, .size = config->size, .shared = config->shared, .fd = -1
	};
	if (config->hugetlbfs)
		return map_hugetlbfs(mem, config->hugetlbfs);
	err = map_anonymous(mem);
	return err || !mem->shared ? err : map_memfd(mem);
}

void guest_mem_destroy(struct guest_mem *mem)
{
	if (mem->shared && mem->fd >= 0)
		close(mem->fd);
	if (mem->reservation)
		munmap(mem->reservation, mem->reserved);
	*mem = (struct guest_mem){ 0 };
}

void *guest_mem_range(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	if (gpa < mem->base || gpa - mem->base > mem->size || len > mem->size - (gpa - mem->base))
		return NULL;
	return mem->host + (gpa - mem->base);
}

/* A file's pages live on in it until they are punched out. */
int guest_mem_discard(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	uint64_t start = align_up(gpa - mem->base, mem->page_size);
	uint64_t end = (gpa - mem->base + len) & ~(mem->page_size - 1);

	if (start >= end)
		return 0;
	if (madvise(mem->host + start, end - start,
		    mem->huge || mem->shared ? MADV_REMOVE : MADV_DONTNEED) < 0)
		return -errno;
	return 0;
}

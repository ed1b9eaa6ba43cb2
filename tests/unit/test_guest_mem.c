// SPDX-License-Identifier: GPL-2.0-only
/* RAM: what of it a range may name, and how it is reserved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <cmocka.h>
#include <lkvm/guest_mem.h>
#include <lkvm/memory_map.h>
#include "files.h"

#define BASE  MAP_RAM_BASE
#define SIZE  (4 * SZ_1M + SZ_64K)
#define SHMEM "/dev/shm" /* stands in for a hugetlbfs mount */

static uint64_t huge_page = SZ_2M;

/* In place of libc's: no test machine need have huge pages. */
int statfs(const char *path, struct statfs *fs)
{
	*fs = (struct statfs){ .f_type = strcmp(path, SHMEM) ? TMPFS_MAGIC : HUGETLBFS_MAGIC,
			       .f_bsize = (long)huge_page };
	if (!access(path, F_OK))
		return 0;
	errno = ENOENT;
	return -1;
}

static int setup(void **state)
{
	huge_page = SZ_2M;
	return files_setup(state);
}

static void create(struct guest_mem *mem, uint64_t base, uint64_t size)
{
	struct guest_mem_config config = { .base = base, .size = size };

	assert_int_equal(guest_mem_create(mem, &config), 0);
	assert_int_equal(mem->base, base);
	assert_int_equal(mem->size, size);
}

static size_t resident_pages(const struct guest_mem *mem)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = mem->size / page, count = 0;
	unsigned char *in_core = malloc(pages);

	assert_int_equal(mincore(mem->host, mem->size, in_core), 0);
	for (size_t i = 0; i < pages; i++)
		count += in_core[i] & 1;
	free(in_core);
	return count;
}

static void ram_is_aligned_and_not_touched(void **state)
{
	struct guest_mem mem;

	(void)state;
	create(&mem, BASE, SIZE);
	assert_int_equal((uintptr_t)mem.host % SZ_2M, 0);
	assert_int_equal(resident_pages(&mem), 0);
	assert_int_equal(mem.host[0] | mem.host[SIZE - 1], 0);
	mem.host[SIZE - 1] = 1;
	assert_true(resident_pages(&mem) > 0);
	guest_mem_destroy(&mem);
}

static void destroying_gives_all_of_it_back(void **state)
{
	struct guest_mem mem;
	unsigned char in_core;
	uint8_t *host, *reservation;
	size_t reserved;

	(void)state;
	create(&mem, BASE, SIZE);
	host = mem.host;
	reservation = mem.reservation;
	reserved = mem.reserved;
	assert_true(reservation <= host && host + SIZE <= reservation + reserved);
	guest_mem_destroy(&mem);
	assert_int_equal(mincore(reservation, 1, &in_core), -1);
	assert_int_equal(mincore(host, 1, &in_core), -1);
	assert_int_equal(mincore(reservation + reserved - sysconf(_SC_PAGESIZE), 1, &in_core), -1);
	guest_mem_destroy(&mem);
	assert_null(guest_mem_range(&mem, BASE, 1));
}

static void a_range_is_all_in_ram_or_nothing(void **state)
{
	static const struct {
		uint64_t gpa, len;
		int64_t offset; /* -1: not RAM */
	} cases[] = {
		{ BASE, 1, 0 },
		{ BASE, SIZE, 0 },
		{ BASE, SIZE + 1, -1 },
		{ BASE, ~0ULL, -1 },
		{ BASE + 1, SIZE, -1 },
		{ BASE + 1, SIZE - 1, 1 },
		{ BASE + SIZE - 1, 1, SIZE - 1 },
		{ BASE + SIZE - 1, 2, -1 },
		{ BASE + SIZE, 1, -1 },
		{ BASE + SIZE, 0, SIZE },
		{ BASE + SIZE + 1, 0, -1 },
		{ BASE - 1, 1, -1 },
		{ BASE - 1, 2, -1 },
		{ BASE - 1, SIZE, -1 },
		{ BASE, 0, 0 },
		{ 0, 0, -1 },
		{ 0, ~0ULL, -1 },
		{ ~0ULL, 1, -1 },
		/* gpa + len wraps around 2^64 into RAM */
		{ BASE + 0x1000, -0x800ULL, -1 },
		{ BASE + 0x1000, -(BASE + 0x1000), -1 },
		{ ~0ULL, BASE + 2, -1 },
		{ -0x1000ULL, BASE + 0x2000, -1 },
	};
	struct guest_mem mem;

	(void)state;
	create(&mem, BASE, SIZE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_ptr_equal(guest_mem_range(&mem, cases[i].gpa, cases[i].len),
				 cases[i].offset < 0 ? NULL : mem.host + cases[i].offset);
	guest_mem_destroy(&mem);
}

static void ram_may_end_where_the_address_space_does(void **state)
{
	struct guest_mem mem;

	(void)state;
	create(&mem, -SZ_2M, SZ_2M);
	assert_ptr_equal(guest_mem_range(&mem, -SZ_2M, SZ_2M), mem.host);
	assert_ptr_equal(guest_mem_range(&mem, ~0ULL, 1), mem.host + SZ_2M - 1);
	assert_null(guest_mem_range(&mem, ~0ULL, 2));
	assert_null(guest_mem_range(&mem, 0, 1));
	guest_mem_destroy(&mem);
}

static void ram_that_no_process_can_have_is_refused(void **state)
{
	static const uint64_t sizes[] = { 1ULL << 47, 1ULL << 48, 1ULL << 63, -SZ_2M, -SZ_64K };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct guest_mem_config config = { .base = BASE, .size = sizes[i] };
		struct guest_mem mem;
		int err;

		stderr_keep();
		err = guest_mem_create(&mem, &config);
		assert_reported("guest memory: Cannot allocate memory");
		assert_int_equal(err, -ENOMEM);
		guest_mem_destroy(&mem);
	}
}

static void huge_pages_come_from_the_mount_that_is_named(void **state)
{
	struct guest_mem_config config = { .base = BASE, .size = 4 * SZ_2M, .hugetlbfs = SHMEM };
	struct guest_mem mem;

	(void)state;
	assert_int_equal(guest_mem_create(&mem, &config), 0);
	assert_int_equal(mem.host[0] | mem.host[4 * SZ_2M - 1], 0);
	mem.host[4 * SZ_2M - 1] = 1;
	assert_ptr_equal(guest_mem_range(&mem, BASE, 4 * SZ_2M), mem.host);
	guest_mem_destroy(&mem);
}

/* What another process does through the file is in RAM, also in huge pages; what is given back is given back for both. */
static void shared_ram_is_a_file(void **state)
{
	static const char *const mounts[] = { NULL, SHMEM };

	(void)state;
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		struct guest_mem_config config = {
			.base = BASE, .size = 4 * SZ_2M, .hugetlbfs = mounts[i], .shared = true
		};
		struct guest_mem mem;
		uint8_t byte = 7;

		assert_int_equal(guest_mem_create(&mem, &config), 0);
		assert_int_equal((uintptr_t)mem.host % SZ_2M * !mounts[i], 0);
		assert_int_equal(pwrite(mem.fd, &byte, 1, 3 * SZ_2M), 1);
		assert_int_equal(mem.host[3 * SZ_2M], 7);
		assert_int_equal(guest_mem_discard(&mem, BASE + 2 * SZ_2M, 2 * SZ_2M), 0);
		assert_int_equal(pread(mem.fd, &byte, 1, 3 * SZ_2M), 1);
		assert_int_equal(byte, 0);
		guest_mem_destroy(&mem);
	}
}

static void only_whole_pages_are_given_back(void **state)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct {
		uint64_t at, len, first, count;
	} cases[] = {
		{ 0, SIZE, 0, SIZE / page },
		{ 0, page, 0, 1 },
		{ 1, page, 0, 0 },
		{ 1, 2 * page, 1, 1 },
		{ page - 1, page + 1, 1, 1 },
		{ page, 2 * page - 1, 1, 1 },
		{ 0, page - 1, 0, 0 },
		{ SIZE - page, page, SIZE / page - 1, 1 },
		{ SIZE, 0, 0, 0 },
	};
	struct guest_mem mem;

	(void)state;
	create(&mem, BASE, SIZE);
	assert_int_equal(mem.page_size, page);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(mem.host, 1, SIZE);
		assert_int_equal(guest_mem_discard(&mem, BASE + cases[i].at, cases[i].len), 0);
		for (uint64_t n = 0; n < SIZE / page; n++)
			assert_int_equal(mem.host[n * page], n - cases[i].first >= cases[i].count);
	}
	guest_mem_destroy(&mem);
}

static void huge_pages_are_given_back_to_their_pool(void **state)
{
	struct guest_mem_config config = { .base = BASE, .size = 4 * SZ_2M, .hugetlbfs = SHMEM };
	struct guest_mem mem;

	(void)state;
	assert_int_equal(guest_mem_create(&mem, &config), 0);
	assert_int_equal(mem.page_size, SZ_2M);
	memset(mem.host, 1, 4 * SZ_2M);
	assert_int_equal(guest_mem_discard(&mem, BASE + SZ_1M, 3 * SZ_1M), 0);
	assert_int_equal(resident_pages(&mem), 3 * SZ_2M / (uint64_t)sysconf(_SC_PAGESIZE));
	assert_int_equal(mem.host[SZ_2M - 1], 1);
	assert_int_equal(mem.host[SZ_2M], 0);
	assert_int_equal(mem.host[2 * SZ_2M], 1);
	guest_mem_destroy(&mem);
}

static void huge_pages_that_cannot_be_had_are_explained(void **state)
{
	static const struct {
		const char *dir;
		uint64_t page, size;
		int err;
		const char *told;
	} cases[] = {
		{ "/nowhere", SZ_2M, SZ_2M, -ENOENT, "cannot use /nowhere for guest memory: No" },
		{ "/", SZ_2M, SZ_2M, -EINVAL, "mount one with `mount -t hugetlbfs none /`" },
		{ SHMEM, SZ_2M, SZ_2M + SZ_1M, -EINVAL, "no multiple of the 2048 KiB pages of" },
		{ SHMEM, SZ_1G, 3 * SZ_2M, -EINVAL, "no multiple of the 1048576 KiB pages of" },
		{ SHMEM, SZ_2M, 1ULL << 47, -ENOMEM, "raise vm.nr_hugepages to 67108864 more" },
		{ SHMEM, SZ_2M, 1ULL << 63, -EINVAL, "cannot size guest memory in" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest_mem_config config = { .base = BASE,
						   .size = cases[i].size,
						   .hugetlbfs = cases[i].dir };
		struct guest_mem mem;
		int err;

		huge_page = cases[i].page;
		stderr_keep();
		err = guest_mem_create(&mem, &config);
		assert_reported(cases[i].told);
		assert_int_equal(err, cases[i].err);
		guest_mem_destroy(&mem);
	}
}

static void zeroed_ram_can_be_destroyed(void **state)
{
	struct guest_mem mem = { 0 };

	(void)state;
	guest_mem_destroy(&mem);
	assert_null(guest_mem_range(&mem, 1, 0));
	assert_null(guest_mem_range(&mem, 0, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(ram_is_aligned_and_not_touched),
		TEST(destroying_gives_all_of_it_back),
		TEST(a_range_is_all_in_ram_or_nothing),
		TEST(ram_may_end_where_the_address_space_does),
		TEST(ram_that_no_process_can_have_is_refused),
		TEST(huge_pages_come_from_the_mount_that_is_named),
		TEST(shared_ram_is_a_file),
		TEST(only_whole_pages_are_given_back),
		TEST(huge_pages_are_given_back_to_their_pool),
		TEST(huge_pages_that_cannot_be_had_are_explained),
		TEST(zeroed_ram_can_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* How files get into guest RAM, the first time and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/image.h>
#include <lkvm/memory_map.h>
#include "files.h"

#define RAM   MAP_RAM_BASE
#define PAGE  65536 /* the largest of any host */
#define TAIL  123
#define PAGES 5
#define SIZE  (PAGES * PAGE + TAIL)

static uint8_t contents[SIZE];
static struct guest_mem mem;
static struct image_file file;

static int setup(void **state)
{
	struct guest_mem_config config = { .base = RAM, .size = 8 * SZ_1M };

	for (size_t i = 0; i < SIZE; i++)
		contents[i] = 1 + i % 251;
	if (files_setup(state))
		return -1;
	file.fd = open(file_make("file", contents, SIZE), O_RDWR | O_CLOEXEC);
	file.size = SIZE;
	return guest_mem_create(&mem, &config);
}

static int teardown(void **state)
{
	guest_mem_destroy(&mem);
	image_file_close(&file);
	return files_teardown(state);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1);
}

/* How many of the RAM's pages are there, file pages or not. */
static size_t resident(uint64_t offset, uint64_t size)
{
	unsigned char in_core[2048];
	size_t count = 0;

	assert_int_equal(mincore(mem.host + offset, size, in_core), 0);
	for (size_t i = 0; i < size / sysconf(_SC_PAGESIZE); i++)
		count += in_core[i] & 1;
	return count;
}

/* Places at RAM + offset and checks every byte up to mem_size. */
static void assert_placed(uint64_t offset, uint64_t mem_size, bool map, int64_t copied)
{
	assert_int_equal(image_place(&file, "kernel", &mem, RAM + offset, mem_size, map), copied);
	assert_memory_equal(mem.host + offset, contents, SIZE);
	if (mem_size > SIZE)
		assert_true(is_zero(mem.host + offset + SIZE, mem_size - SIZE));
}

static void only_the_tail_is_copied_when_mapping(void **state)
{
	(void)state;
	assert_placed(0, SIZE, true, TAIL);
	assert_placed(SZ_2M, SIZE + 5 * PAGE, true, TAIL);
}

static void all_is_copied_when_not_mapping(void **state)
{
	(void)state;
	assert_placed(0, SIZE, false, SIZE);
	assert_placed(SZ_2M, SIZE + 5 * PAGE, false, SIZE);
}

static void all_is_copied_where_no_page_begins(void **state)
{
	(void)state;
	assert_placed(64, SIZE + 10000, true, SIZE);
}

static void a_file_smaller_than_a_page_is_copied(void **state)
{
	(void)state;
	file.size = TAIL;
	assert_int_equal(image_place(&file, "kernel", &mem, RAM, PAGE, true), TAIL);
	assert_memory_equal(mem.host, contents, TAIL);
	assert_true(is_zero(mem.host + TAIL, PAGE - TAIL));
}

static void whole_pages_need_no_copy(void **state)
{
	(void)state;
	file.size = PAGES * PAGE;
	assert_int_equal(image_place(&file, "kernel", &mem, RAM, file.size, true), 0);
	assert_memory_equal(mem.host, contents, file.size);
}

static void the_guest_does_not_write_to_the_file(void **state)
{
	uint8_t found[SIZE];

	(void)state;
	assert_placed(0, SIZE, true, TAIL);
	memset(mem.host, 0xff, SZ_1M);
	assert_int_equal(pread(file.fd, found, SIZE, 0), SIZE);
	assert_memory_equal(found, contents, SIZE);
}

/* On a restart the guest has scribbled over all of it. */
static void placing_again_makes_it_pristine(void **state)
{
	(void)state;
	for (unsigned map = 0; map < 2; map++) {
		for (uint64_t offset = 0; offset < 128; offset += 64) {
			uint64_t mem_size = SIZE + 3 * PAGE + 50;

			image_place(&file, "kernel", &mem, RAM + offset, mem_size, map);
			memset(mem.host, 0xff, SZ_1M);
			assert_int_equal(
				image_place(&file, "kernel", &mem, RAM + offset, mem_size, map),
				map && !offset ? TAIL : SIZE);
			assert_memory_equal(mem.host + offset, contents, SIZE);
			assert_true(is_zero(mem.host + offset + SIZE, mem_size - SIZE));
			/* What lies around it is not its business. */
			assert_int_equal(mem.host[offset + mem_size], 0xff);
			if (offset)
				assert_int_equal(mem.host[offset - 1], 0xff);
		}
	}
}

/* A kernel's .bss is the guest's to touch. */
static void zero_pages_are_not_touched(void **state)
{
	(void)state;
	madvise(mem.host, mem.size, MADV_NOHUGEPAGE);
	assert_int_equal(image_place(&file, "kernel", &mem, RAM, 4 * SZ_1M, true), TAIL);
	assert_int_equal(resident((PAGES + 1) * PAGE, 3 * SZ_1M), 0);
	memset(mem.host, 0xff, 4 * SZ_1M);
	assert_int_equal(image_place(&file, "kernel", &mem, RAM, 4 * SZ_1M, true), TAIL);
	assert_int_equal(resident((PAGES + 1) * PAGE, 3 * SZ_1M), 0);
	assert_true(is_zero(mem.host + SIZE, 4 * SZ_1M - SIZE));
}

/* Pages that a device's DMA goes to stay where they are, whatever they hold. */
static void not_mapping_keeps_the_pages(void **state)
{
	uint8_t *alias;
	int ram = memfd_create("ram", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(ram, mem.size), 0);
	assert_ptr_equal(
		mmap(mem.host, mem.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, ram, 0),
		mem.host);
	alias = mmap(NULL, mem.size, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0);
	assert_true(alias != MAP_FAILED);
	close(ram);
	memset(alias, 0xff, SZ_1M);
	assert_placed(0, SZ_1M, false, SIZE);
	assert_memory_equal(alias, contents, SIZE);
	assert_true(is_zero(alias + SIZE, SZ_1M - SIZE));
	munmap(alias, mem.size);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct {
		uint64_t gpa, mem_size;
	} bad[] = { { 0, SIZE },
		    { RAM - PAGE, SIZE },
		    { RAM + 8 * SZ_1M - SIZE + 1, SIZE },
		    { RAM + 16 * SZ_1M, SIZE },
		    { RAM, 8 * SZ_1M + 1 },
		    { RAM, UINT64_MAX },
		    { RAM, SIZE - 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		stderr_keep();
		assert_int_equal(
			image_place(&file, "initrd", &mem, bad[i].gpa, bad[i].mem_size, true),
			-ENOSPC);
		assert_reported("initrd does not fit into guest memory");
	}
}

static void a_file_that_has_shrunk_is_refused(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(file.fd, SIZE - 1), 0);
	stderr_keep();
	assert_int_equal(image_place(&file, "kernel", &mem, RAM, SIZE, true), -EIO);
	assert_reported("cannot read kernel into guest memory");
	stderr_keep();
	assert_int_equal(image_place(&file, "kernel", &mem, RAM, SIZE, false), -EIO);
	assert_reported("cannot read kernel into guest memory");
}

static void a_file_that_cannot_be_mapped_is_refused(void **state)
{
	struct image_file writer = { .fd = open("/dev/null", O_WRONLY), .size = SIZE };

	(void)state;
	stderr_keep();
	assert_int_equal(image_place(&writer, "kernel", &mem, RAM, SIZE, true), -EACCES);
	assert_reported("cannot map kernel into guest memory: Permission denied");
	close(writer.fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(only_the_tail_is_copied_when_mapping),
		TEST(all_is_copied_when_not_mapping),
		TEST(all_is_copied_where_no_page_begins),
		TEST(a_file_smaller_than_a_page_is_copied),
		TEST(whole_pages_need_no_copy),
		TEST(the_guest_does_not_write_to_the_file),
		TEST(placing_again_makes_it_pristine),
		TEST(zero_pages_are_not_touched),
		TEST(not_mapping_keeps_the_pages),
		TEST(what_does_not_fit_is_refused),
		TEST(a_file_that_has_shrunk_is_refused),
		TEST(a_file_that_cannot_be_mapped_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

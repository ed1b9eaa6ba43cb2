// SPDX-License-Identifier: GPL-2.0-only
/* Pieces of memory, by offsets into all of them: each way of cutting is compared with a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "virtio/iov.h"

#define SIZE 13

/* 3, 0, 1, 4 and 5 bytes, with a byte between them that nobody may touch. */
static uint8_t memory[SIZE + 5];
static const struct iovec pieces[] = {
	{ memory, 3 }, { memory + 4, 0 }, { memory + 5, 1 }, { memory + 7, 4 }, { memory + 12, 5 },
};
static const uint8_t gaps[] = { 3, 4, 6, 11, 17 };

static void fill(void)
{
	uint8_t next = 0;

	memset(memory, 0xee, sizeof(memory));
	for (unsigned i = 0; i < 5; i++)
		for (size_t n = 0; n < pieces[i].iov_len; n++)
			((uint8_t *)pieces[i].iov_base)[n] = next++;
}

static size_t expected(size_t offset, size_t size)
{
	size_t rest = offset < SIZE ? SIZE - offset : 0;

	return size < rest ? size : rest;
}

static void all_bytes_are_counted(void **state)
{
	(void)state;
	for (unsigned count = 0; count <= 5; count++)
		assert_int_equal(iov_size(pieces, count), ((size_t[]){ 0, 3, 3, 4, 8, 13 })[count]);
}

static void reads_begin_and_end_anywhere(void **state)
{
	uint8_t to[SIZE + 3];

	(void)state;
	fill();
	for (size_t offset = 0; offset < SIZE + 3; offset++) {
		for (size_t size = 0; size < SIZE + 3; size++) {
			size_t want = expected(offset, size);

			memset(to, 0xee, sizeof(to));
			assert_int_equal(iov_read(pieces, 5, offset, to, size), want);
			for (size_t i = 0; i < sizeof(to); i++)
				assert_int_equal(to[i], i < want ? offset + i : 0xee);
		}
	}
	assert_int_equal(iov_read(pieces, 0, 0, to, SIZE), 0);
	assert_int_equal(iov_read(pieces, 5, SIZE_MAX, to, SIZE), 0);
}

static void writes_begin_and_end_anywhere(void **state)
{
	static const uint8_t from[SIZE + 3] = { 100, 101, 102, 103, 104, 105, 106, 107,
						108, 109, 110, 111, 112, 113, 114, 115 };
	uint8_t all[SIZE];

	(void)state;
	for (size_t offset = 0; offset < SIZE + 3; offset++) {
		for (size_t size = 0; size < SIZE + 3; size++) {
			size_t want = expected(offset, size);

			fill();
			assert_int_equal(iov_write(pieces, 5, offset, from, size), want);
			assert_int_equal(iov_read(pieces, 5, 0, all, SIZE), SIZE);
			for (size_t i = 0; i < SIZE; i++)
				assert_int_equal(all[i], i - offset < want ? 100 + i - offset : i);
			for (unsigned i = 0; i < sizeof(gaps); i++)
				assert_int_equal(memory[gaps[i]], 0xee);
		}
	}
}

static void slices_are_the_same_bytes(void **state)
{
	struct iovec slice[5];
	uint8_t to[SIZE];

	(void)state;
	fill();
	for (size_t offset = 0; offset < SIZE + 3; offset++) {
		for (size_t size = 0; size < SIZE + 3; size++) {
			unsigned count = iov_slice(slice, pieces, 5, offset, size);

			assert_true(count <= 5);
			assert_int_equal(iov_size(slice, count), expected(offset, size));
			iov_read(slice, count, 0, to, SIZE);
			for (size_t i = 0; i < expected(offset, size); i++)
				assert_int_equal(to[i], offset + i);
			for (unsigned i = 0; i < count; i++)
				assert_true(slice[i].iov_len > 0);
		}
	}
	assert_int_equal(iov_slice(slice, pieces, 5, 1, SIZE_MAX), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_bytes_are_counted),
		cmocka_unit_test(reads_begin_and_end_anywhere),
		cmocka_unit_test(writes_begin_and_end_anywhere),
		cmocka_unit_test(slices_are_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

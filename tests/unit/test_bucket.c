// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "virtio/bucket.h"

#define MS 1000000ULL

static void no_rate_is_no_limit(void **state)
{
	struct bucket bucket;

	(void)state;
	bucket_init(&bucket, 0, 0);
	for (int i = 0; i < 100; i++) {
		bucket_take(&bucket, UINT64_MAX);
		assert_int_equal(bucket_wait(&bucket, 0), 0);
	}
}

static void a_burst_is_100_ms_of_tokens(void **state)
{
	struct bucket bucket;

	(void)state;
	bucket_init(&bucket, 1000, 5 * MS);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(bucket_wait(&bucket, 5 * MS), 0);
		bucket_take(&bucket, 1);
	}
	assert_in_range(bucket_wait(&bucket, 5 * MS), MS, MS + 1);
	assert_int_equal(bucket_wait(&bucket, 7 * MS), 0);
	bucket_take(&bucket, 2);
	assert_true(bucket_wait(&bucket, 7 * MS));
	assert_int_equal(bucket_wait(&bucket, 10000 * MS), 0);
	bucket_take(&bucket, 100);
	assert_true(bucket_wait(&bucket, 10000 * MS));
}

/* Over any time the rate holds, whatever the sizes and however often one asks. */
static void the_rate_holds(void **state)
{
	static const struct {
		uint64_t rate, size;
	} cases[] = { { 1, 1 },
		      { 3, 1 },
		      { 7, 2 },
		      { 1000, 1 },
		      { 1 << 20, 1 << 16 },
		      { 1 << 20, 1 << 24 },
		      { 1ULL << 40, 1ULL << 32 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t rate = cases[i].rate, size = cases[i].size, burst, now = 0, taken = 0;
		struct bucket bucket;

		bucket_init(&bucket, rate, 0);
		for (int n = 0; n < 2000; n++) {
			uint64_t wait = bucket_wait(&bucket, now);

			now += wait > 10 ? wait / 3 : wait;
			if (wait)
				continue;
			bucket_take(&bucket, size);
			taken += size;
		}
		burst = rate / 10 + 1 + size;
		assert_true(taken <= burst + (unsigned __int128)now * rate / 1000000000);
	}
}

static void more_than_the_bucket_holds_gets_through_and_is_paid_for(void **state)
{
	struct bucket bucket;

	(void)state;
	bucket_init(&bucket, 1000, 0);
	assert_int_equal(bucket_wait(&bucket, 0), 0);
	bucket_take(&bucket, 2100);
	assert_in_range(bucket_wait(&bucket, 0), 2001 * MS, 2001 * MS + 1);
	assert_in_range(bucket_wait(&bucket, 1000 * MS), 1001 * MS, 1001 * MS + 1);
	assert_int_equal(bucket_wait(&bucket, 2001 * MS), 0);
}

static void no_debt_overflows(void **state)
{
	struct bucket bucket;

	(void)state;
	bucket_init(&bucket, 1, 0);
	for (int i = 0; i < 10; i++)
		bucket_take(&bucket, UINT64_MAX);
	for (int i = 0; i < 10; i++)
		bucket_take(&bucket, INT64_MAX / 2);
	assert_true(bucket_wait(&bucket, 1000 * MS) > 0);
	assert_true(bucket_wait(&bucket, UINT64_MAX / 2) <= INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rate_is_no_limit),
		cmocka_unit_test(a_burst_is_100_ms_of_tokens),
		cmocka_unit_test(the_rate_holds),
		cmocka_unit_test(more_than_the_bucket_holds_gets_through_and_is_paid_for),
		cmocka_unit_test(no_debt_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The lock: one holder at a time, and nobody sleeps for ever. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/lock.h>

#define THREADS 4
#define ROUNDS  20000

struct shared {
	struct lock lock;
	unsigned count;
};

static void *count(void *opaque)
{
	struct shared *shared = opaque;

	for (unsigned i = 0; i < ROUNDS; i++) {
		lock_take(&shared->lock);
		shared->count++;
		lock_give(&shared->lock);
	}
	return NULL;
}

static void no_two_hold_it(void **state)
{
	struct shared shared = { .count = 0 };
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, &shared), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared.count, THREADS * ROUNDS);
	assert_int_equal(shared.lock.state, LOCK_FREE);
}

/* All of them sleep before the lock is given; each that wakes wakes the next. */
static void who_sleeps_is_woken(void **state)
{
	struct shared shared = { .count = 0 };
	pthread_t threads[THREADS];

	(void)state;
	lock_take(&shared.lock);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, &shared), 0);
	while (atomic_load(&shared.lock.state) != LOCK_WANTED)
		usleep(1000);
	usleep(10000);
	assert_int_equal(shared.count, 0);
	lock_give(&shared.lock);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared.count, THREADS * ROUNDS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_hold_it),
		cmocka_unit_test(who_sleeps_is_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The main thread's loop: who is served, and how a run ends when several want to end it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/loop.h>
#include "files.h"

static struct loop loop;

/* A source that counts how often it was served, and may do one thing more. */
struct probe {
	struct loop_source source;
	unsigned served;
	uint32_t events;
	int ends_with; /* RUN_GOES_ON: does not end the run */
	bool busy;     /* goes on to be ready */
	struct loop_source *removes;
};

static void probe_ready(struct loop_source *source, uint32_t events)
{
	struct probe *probe = (struct probe *)source;
	uint64_t count;

	probe->served++;
	probe->events = events;
	if (!probe->busy)
		assert_int_equal(read(source->fd, &count, sizeof(count)), sizeof(count));
	if (probe->removes)
		loop_remove(&loop, probe->removes);
	if (probe->ends_with)
		loop_end(&loop, probe->ends_with);
}

static struct probe probe_of(unsigned count, int ends_with)
{
	return (struct probe){ .source = { eventfd(count, EFD_CLOEXEC), probe_ready },
			       .ends_with = ends_with };
}

static int setup(void **state)
{
	int err = files_setup(state);

	return err ? err : loop_create(&loop);
}

static int teardown(void **state)
{
	loop_destroy(&loop);
	return files_teardown(state);
}

static void a_ready_source_is_served_with_its_events(void **state)
{
	struct probe probe = probe_of(1, RUN_POWEROFF);

	(void)state;
	assert_int_equal(loop_add(&loop, &probe.source, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), RUN_POWEROFF);
	assert_int_equal(probe.served, 1);
	assert_int_equal(probe.events, EPOLLIN);
	loop_remove(&loop, &probe.source);
	close(probe.source.fd);
}

static void a_source_that_anothers_handler_removes_is_not_served(void **state)
{
	struct probe one = probe_of(1, RUN_POWEROFF), other = probe_of(1, RUN_POWEROFF);

	(void)state;
	one.removes = &other.source;
	other.removes = &one.source;
	assert_int_equal(loop_add(&loop, &one.source, EPOLLIN), 0);
	assert_int_equal(loop_add(&loop, &other.source, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), RUN_POWEROFF);
	assert_int_equal(one.served + other.served > 0, 1);
	assert_true(!one.served || !other.served);
	close(one.source.fd);
	close(other.source.fd);
}

static void a_parked_source_waits_until_it_is_wanted_again(void **state)
{
	struct probe parked = probe_of(1, RUN_PANIC), other = probe_of(1, RUN_POWEROFF);

	(void)state;
	assert_int_equal(loop_add(&loop, &parked.source, EPOLLIN), 0);
	assert_int_equal(loop_modify(&loop, &parked.source, 0), 0);
	assert_int_equal(loop_add(&loop, &other.source, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), RUN_POWEROFF);
	assert_int_equal(parked.served, 0);

	loop_remove(&loop, &other.source);
	loop_rewind(&loop);
	assert_int_equal(loop_modify(&loop, &parked.source, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop), RUN_PANIC);
	loop_remove(&loop, &parked.source);
	close(parked.source.fd);
	close(other.source.fd);
}

static void a_file_that_is_always_ready_is_the_owners_affair(void **state)
{
	struct loop_source file = { open(file_make("f", "x", 1), O_RDONLY | O_CLOEXEC),
				    probe_ready };

	(void)state;
	assert_int_equal(loop_add(&loop, &file, EPOLLIN), -EPERM);
	close(file.fd);
}

static void *end_soon(void *end)
{
	usleep(20000);
	loop_end(&loop, *(int *)end);
	return NULL;
}

static void another_thread_ends_a_loop_that_waits(void **state)
{
	int end = RUN_CRASH;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, end_soon, &end);
	assert_int_equal(loop_run(&loop), RUN_CRASH);
	pthread_join(thread, NULL);
	assert_int_equal(loop_ended(&loop), RUN_CRASH);
}

/* Every pair that matters; the first column came first. */
static void the_first_end_counts_but_for_those_that_outrank_it(void **state)
{
	static const struct {
		int first, second, result;
	} cases[] = {
		{ RUN_POWEROFF, RUN_RESET, RUN_POWEROFF },
		{ RUN_POWEROFF, RUN_SIGNAL + SIGTERM, RUN_POWEROFF },
		{ RUN_POWEROFF, RUN_HOST_ERROR, RUN_HOST_ERROR },
		{ RUN_PANIC, RUN_RESET, RUN_PANIC },
		{ RUN_PANIC, RUN_TIMEOUT, RUN_PANIC },
		{ RUN_CRASH, RUN_POWEROFF, RUN_CRASH },
		{ RUN_RESET, RUN_POWEROFF, RUN_RESET },
		{ RUN_RESET, RUN_CRASH, RUN_RESET },
		{ RUN_RESET, RUN_HOST_ERROR, RUN_HOST_ERROR },
		{ RUN_RESET, RUN_TIMEOUT, RUN_TIMEOUT },
		{ RUN_RESET, RUN_QUIT, RUN_QUIT },
		{ RUN_RESET, RUN_SIGNAL + SIGHUP, RUN_SIGNAL + SIGHUP },
		{ RUN_SIGNAL + SIGTERM, RUN_SIGNAL + SIGINT, RUN_SIGNAL + SIGTERM },
		{ RUN_SIGNAL + SIGTERM, RUN_RESET, RUN_SIGNAL + SIGTERM },
		{ RUN_SIGNAL + SIGTERM, RUN_HOST_ERROR, RUN_HOST_ERROR },
		{ RUN_TIMEOUT, RUN_RESET, RUN_TIMEOUT },
		{ RUN_QUIT, RUN_TIMEOUT, RUN_QUIT },
		{ RUN_HOST_ERROR, RUN_POWEROFF, RUN_HOST_ERROR },
		{ RUN_HOST_ERROR, RUN_SIGNAL + SIGTERM, RUN_HOST_ERROR },
		{ RUN_HOST_ERROR, RUN_HOST_ERROR, RUN_HOST_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		loop_rewind(&loop);
		loop_end(&loop, cases[i].first);
		loop_end(&loop, cases[i].second);
		assert_int_equal(loop_run(&loop), cases[i].result);
	}
}

static void a_rewound_loop_runs_again(void **state)
{
	struct probe probe = probe_of(0, RUN_POWEROFF);
	uint64_t one = 1;

	(void)state;
	assert_int_equal(loop_add(&loop, &probe.source, EPOLLIN), 0);
	loop_end(&loop, RUN_RESET);
	assert_int_equal(loop_run(&loop), RUN_RESET);
	loop_rewind(&loop);
	assert_int_equal(loop_ended(&loop), RUN_GOES_ON);
	assert_int_equal(write(probe.source.fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(loop_run(&loop), RUN_POWEROFF);
	loop_remove(&loop, &probe.source);
	close(probe.source.fd);
}

/* A guest that resets before the main thread gets round to wait could otherwise be restarted for ever, unstoppable. */
static void a_reset_that_came_first_does_not_hide_a_signal(void **state)
{
	struct probe other = probe_of(1, RUN_GOES_ON), probe = probe_of(1, RUN_SIGNAL + SIGTERM);

	(void)state;
	assert_int_equal(loop_add(&loop, &other.source, EPOLLIN), 0);
	assert_int_equal(loop_add(&loop, &probe.source, EPOLLIN), 0);
	loop_end(&loop, RUN_RESET);
	assert_int_equal(loop_run(&loop), RUN_SIGNAL + SIGTERM);
	loop_remove(&loop, &other.source);
	loop_remove(&loop, &probe.source);
	close(other.source.fd);
	close(probe.source.fd);
}

static void a_source_that_is_always_ready_does_not_keep_the_loop_from_ending(void **state)
{
	struct probe busy = probe_of(1, RUN_GOES_ON);

	(void)state;
	busy.busy = true;
	assert_int_equal(loop_add(&loop, &busy.source, EPOLLIN), 0);
	loop_end(&loop, RUN_RESET);
	assert_int_equal(loop_run(&loop), RUN_RESET);
	loop_remove(&loop, &busy.source);
	close(busy.source.fd);
}

static void *reset_and_crash(void *arg)
{
	(void)arg;
	loop_end(&loop, RUN_RESET);
	loop_end(&loop, RUN_CRASH);
	return NULL;
}

static void of_ends_from_many_threads_the_highest_counts(void **state)
{
	pthread_t threads[2];

	(void)state;
	for (int round = 0; round < 100; round++) {
		loop_rewind(&loop);
		for (int i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, reset_and_crash, NULL);
		loop_end(&loop, RUN_HOST_ERROR);
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(loop_run(&loop), RUN_HOST_ERROR);
	}
}

static void failing_to_create_leaves_nothing_and_says_so(void **state)
{
	struct rlimit old, few;
	int lowest = dup(0);
	struct loop failed;

	(void)state;
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &old);
	for (int spare = 0; spare < 2; spare++) {
		int err;

		stderr_keep();
		few = (struct rlimit){ (rlim_t)(dup(0) + spare), old.rlim_max };
		close((int)few.rlim_cur - spare);
		setrlimit(RLIMIT_NOFILE, &few);
		err = loop_create(&failed);
		setrlimit(RLIMIT_NOFILE, &old);
		assert_reported("Too many open files");
		assert_int_equal(err, -EMFILE);
		loop_destroy(&failed);
	}
	assert_int_equal(dup(0), lowest);
	close(lowest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_ready_source_is_served_with_its_events),
		TEST(a_source_that_anothers_handler_removes_is_not_served),
		TEST(a_parked_source_waits_until_it_is_wanted_again),
		TEST(a_file_that_is_always_ready_is_the_owners_affair),
		TEST(another_thread_ends_a_loop_that_waits),
		TEST(the_first_end_counts_but_for_those_that_outrank_it),
		TEST(a_rewound_loop_runs_again),
		TEST(a_reset_that_came_first_does_not_hide_a_signal),
		TEST(a_source_that_is_always_ready_does_not_keep_the_loop_from_ending),
		TEST(of_ends_from_many_threads_the_highest_counts),
		TEST(failing_to_create_leaves_nothing_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

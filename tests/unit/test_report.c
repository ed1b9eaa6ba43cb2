// SPDX-License-Identifier: GPL-2.0-only
/* What is printed for whom, and that it comes in one piece. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/report.h>
#include "files.h"

static int setup(void **state)
{
	report_set_level(LOG_WARNING);
	return files_setup(state);
}

static void a_report_says_text_and_cause_and_returns_the_error(void **state)
{
	(void)state;
	stderr_keep();
	assert_int_equal(report(-ENOENT, "cannot open initrd %s", "/x"), -ENOENT);
	assert_string_equal(stderr_text(),
			    "  Fatal: cannot open initrd /x: No such file or directory\n");
}

static void a_refusal_says_its_text_only_and_returns_the_error(void **state)
{
	(void)state;
	stderr_keep();
	assert_int_equal(refuse(-EINVAL, "--mem: %d is odd", 7), -EINVAL);
	assert_string_equal(stderr_text(), "  Fatal: --mem: 7 is odd\n");
}

/* A careless user's 64 KiB of text ends up in messages. */
static void a_huge_message_is_cut_but_its_cause_is_not(void **state)
{
	static char huge[65536];
	const char *text;

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	stderr_keep();
	report(-EFBIG, "cannot open %s", huge);
	text = stderr_text();
	assert_in_range(strlen(text), 1000, 1200);
	assert_string_equal(text + strlen(text) - 18, "x: File too large\n");
}

static void what_is_printed_follows_the_level(void **state)
{
	static const struct {
		int level;
		const char *printed;
	} cases[] = {
		{ LOG_ERR, "  Fatal: f\n" },
		{ LOG_WARNING, "  Fatal: f\n  Warning: w\n  Warning: o\n" },
		{ LOG_INFO, "  Fatal: f\n  Warning: w\n  Info: i\n  Warning: o\n" },
		{ LOG_DEBUG, "  Fatal: f\n  Warning: w\n  Info: i\n  Debug: d\n  Warning: o\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		atomic_bool said = false;

		report_set_level(cases[i].level);
		stderr_keep();
		refuse(-1, "f");
		report_warning("w");
		report_info("i");
		report_debug("d");
		report_once(&said, "o");
		assert_string_equal(stderr_text(), cases[i].printed);
	}
}

static void a_mistake_is_told_once_a_device(void **state)
{
	atomic_bool one = false, other = false;

	(void)state;
	stderr_keep();
	for (int i = 0; i < 3; i++) {
		report_once(&one, "one does %d", i);
		report_once(&other, "other does %d", i);
	}
	assert_string_equal(stderr_text(), "  Warning: one does 0\n  Warning: other does 0\n");
}

static void what_was_not_printed_does_not_count_as_told(void **state)
{
	atomic_bool said = false;

	(void)state;
	stderr_keep();
	report_set_level(LOG_ERR);
	report_once(&said, "lost");
	report_set_level(LOG_WARNING);
	report_once(&said, "told");
	assert_string_equal(stderr_text(), "  Warning: told\n");
}

#define THREADS  4
#define MESSAGES 50

static void *talk(void *said)
{
	for (int i = 0; i < MESSAGES; i++) {
		report(-EIO, "%s", "a text of some length, in one piece");
		report_once(said, "first of all threads");
	}
	return NULL;
}

/* A packet socket keeps apart what was written apart. */
static void each_message_of_many_threads_is_one_write(void **state)
{
	int pair[2], saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), wrong = 0;
	pthread_t threads[THREADS];
	atomic_bool said = false;
	char text[256];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	dup2(pair[1], STDERR_FILENO);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, talk, &said);
	for (int i = 0; i < THREADS * MESSAGES + 1; i++) {
		ssize_t len = recv(pair[0], text, sizeof(text) - 1, 0);

		text[len < 0 ? 0 : len] = '\0';
		wrong += strcmp(text, "  Fatal: a text of some length, in one piece: "
				      "Input/output error\n") &&
			 strcmp(text, "  Warning: first of all threads\n");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	wrong += recv(pair[0], text, sizeof(text), MSG_DONTWAIT) >= 0;
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(wrong, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_report_says_text_and_cause_and_returns_the_error),
		TEST(a_refusal_says_its_text_only_and_returns_the_error),
		TEST(a_huge_message_is_cut_but_its_cause_is_not),
		TEST(what_is_printed_follows_the_level),
		TEST(a_mistake_is_told_once_a_device),
		TEST(what_was_not_printed_does_not_count_as_told),
		TEST(each_message_of_many_threads_is_one_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

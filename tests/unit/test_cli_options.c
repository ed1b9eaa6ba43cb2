// SPDX-License-Identifier: GPL-2.0-only
/* The option parser and the verbs, with a table of their own: what is written how, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/report.h>
#include "cli/cli.h"
#include "files.h"

struct target {
	const char *kernel, *words[4];
	unsigned words_count, cpus;
	bool pmu, pvtime;
	uint64_t seed;
};

#define FIELD(member) offsetof(struct target, member)

static const struct cli_option options[] = {
	{ 'k', "kernel", "FILE", "The kernel", cli_take_string, FIELD(kernel) },
	{ 'c', "cpus", "N", "How many", cli_take_unsigned, FIELD(cpus) },
	{ 'p', "pmu", NULL, "A PMU", cli_take_true, FIELD(pmu) },
	{ 0, "no-pvtime", NULL, "No steal time", cli_take_false, FIELD(pvtime) },
	{ 0, "seed", "N", "A seed", cli_take_u64, FIELD(seed) },
	{ 0, "seed-of-a-very-long-name", "N", "Another seed", cli_take_u64, FIELD(seed) },
	{ 0 },
};

static int take_word(void *opaque, const char *text)
{
	struct target *target = opaque;

	if (target->words_count == 4)
		return refuse(-EINVAL, "too many words: %s", text);
	target->words[target->words_count++] = text;
	return 0;
}

static struct target target;

/* The words of argv, up to NULL; argv[0] is the verb. */
static int parse(const char *const *argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	target = (struct target){ .pvtime = true };
	return cli_parse(argc, (char **)argv, options, &target, take_word);
}

#define PARSE(...) parse((const char *const[]){ "run", __VA_ARGS__, NULL })

static void assert_refused(const char *const *argv, const char *told)
{
	int err;

	stderr_keep();
	err = parse(argv);
	assert_reported(told);
	assert_int_equal(err, -EINVAL);
}

#define REFUSED(told, ...) assert_refused((const char *const[]){ "run", __VA_ARGS__, NULL }, told)

static void a_value_may_be_written_in_five_ways(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--kernel=Image"), 0);
	assert_string_equal(target.kernel, "Image");
	assert_int_equal(PARSE("--kernel", "Image"), 0);
	assert_string_equal(target.kernel, "Image");
	assert_int_equal(PARSE("-k", "Image"), 0);
	assert_string_equal(target.kernel, "Image");
	assert_int_equal(PARSE("-kImage"), 0);
	assert_string_equal(target.kernel, "Image");
	assert_int_equal(PARSE("--ker", "Image"), 0);
	assert_string_equal(target.kernel, "Image");
	assert_int_equal(PARSE("--kernel=a=b,c"), 0);
	assert_string_equal(target.kernel, "a=b,c");
	assert_int_equal(target.words_count, 0);
}

static void options_without_a_value_set_and_clear(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-p", "--no-pvtime"), 0);
	assert_true(target.pmu);
	assert_false(target.pvtime);
	assert_int_equal(PARSE("--pm"), 0);
	assert_true(target.pmu);
	assert_true(target.pvtime);
}

static void of_an_option_given_twice_the_last_counts(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-c1", "--cpus=2", "-c", "3"), 0);
	assert_int_equal(target.cpus, 3);
}

static void other_words_are_kept_apart(void **state)
{
	(void)state;
	assert_int_equal(PARSE("one", "-p", "-", "--", "--pmu", "-x"), 0);
	assert_int_equal(target.words_count, 4);
	assert_string_equal(target.words[0], "one");
	assert_string_equal(target.words[1], "-");
	assert_string_equal(target.words[2], "--pmu");
	assert_string_equal(target.words[3], "-x");
	assert_true(target.pmu);
	assert_int_equal(PARSE(""), 0);
	assert_int_equal(target.words_count, 1);
	assert_int_equal(PARSE("--"), 0);
	assert_int_equal(target.words_count, 0);
	REFUSED("too many words: five", "1", "2", "3", "4", "five", "-p");
	assert_false(target.pmu);
}

static void an_exact_name_is_not_ambiguous(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--seed", "7"), 0);
	assert_int_equal(target.seed, 7);
	assert_int_equal(PARSE("--seed-", "8"), 0);
	assert_int_equal(target.seed, 8);
	REFUSED("--see is ambiguous", "--see", "7");
	REFUSED("--s is ambiguous: --seed-of-a-very-long-name is one of 2 options", "--s=7");
}

static void what_is_no_option_is_refused_by_name(void **state)
{
	(void)state;
	REFUSED("no such option: --bogus", "--bogus");
	REFUSED("no such option: --bogus", "--bogus=1");
	REFUSED("no such option: --kernelx", "--kernelx=1");
	REFUSED("no such option: ---kernel", "---kernel", "x");
	REFUSED("no such option: -x", "-x");
	REFUSED("no such option: -x", "-xyz");
	REFUSED("no such option: -=", "-=");
	REFUSED("no such option: --", "--=x");
}

static void values_that_are_missing_or_too_many_are_refused(void **state)
{
	(void)state;
	REFUSED("--kernel needs a value: FILE", "--kernel");
	REFUSED("--kernel needs a value: FILE", "-k");
	REFUSED("--kernel needs a value: FILE", "--ker");
	REFUSED("--kernel needs a value: FILE", "--kernel=");
	REFUSED("--kernel needs a value: FILE", "--kernel", "");
	REFUSED("--pmu takes no value, not yes", "--pmu=yes");
	REFUSED("--pmu takes no value, not ", "--pmu=");
	REFUSED("--pmu takes no value, not k", "-pk");
	/* What follows is the value, whatever it looks like. */
	assert_int_equal(PARSE("-k", "--pmu"), 0);
	assert_string_equal(target.kernel, "--pmu");
	assert_false(target.pmu);
}

static void numbers_are_decimal_or_hexadecimal_and_nothing_else(void **state)
{
	static const struct {
		const char *text;
		uint64_t number;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "010", 10 },
		{ "0x10", 16 },
		{ "0XfF", 255 },
		{ "18446744073709551615", ~0ULL },
		{ "0xffffffffffffffff", ~0ULL },
		{ "00000000000000000000000000000000000005", 5 },
	};
	static const char *const bad[] = {
		"",
		"x",
		"0x",
		"0xg",
		"-1",
		"-0",
		"+1",
		" 1",
		"1 ",
		"\t1",
		"1k",
		"1.5",
		"1e3",
		"1,2",
		"0x1 ",
		"--1",
		"18446744073709551616",
		"0x10000000000000000",
		"99999999999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(PARSE("--seed", good[i].text), 0);
		assert_int_equal(target.seed, good[i].number);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		REFUSED("--seed: ", "--seed", bad[i]);
		REFUSED("--cpus: ", "--cpus", bad[i]);
		assert_int_equal(target.seed, 0);
	}
}

static void counts_are_between_one_and_two_billion(void **state)
{
	static const char *const bad[] = { "0",          "0x0",        "2147483648",
					   "4294967297", "0xffffffff", "18446744073709551615" };

	(void)state;
	assert_int_equal(PARSE("-c", "1"), 0);
	assert_int_equal(target.cpus, 1);
	assert_int_equal(PARSE("-c", "2147483647"), 0);
	assert_int_equal(target.cpus, 2147483647);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED("is out of range: 1 to 2147483647", "-c", bad[i]);
}

static void sixty_four_kibibytes_do_no_harm(void **state)
{
	static char huge[65536], long_option[65536 + 2] = "--";

	(void)state;
	memset(huge, 'k', sizeof(huge) - 1);
	memcpy(long_option + 2, huge, sizeof(huge));
	assert_int_equal(PARSE("-k", huge, huge), 0);
	assert_ptr_equal(target.kernel, huge);
	assert_ptr_equal(target.words[0], huge);
	REFUSED("no such option: --kkkk", long_option);
	REFUSED("--cpus: kkkk", "-c", huge);
	memset(huge, '9', sizeof(huge) - 1);
	REFUSED("--seed: 9999", "--seed", huge);
	long_option[1] = 'p';
	REFUSED("--pmu takes no value, not kkkk", long_option);
}

static void parsing_ends_at_the_first_mistake(void **state)
{
	(void)state;
	REFUSED("no such option: -x", "-c1", "-x", "-c2", "-y");
	assert_int_equal(target.cpus, 1);
}

/* What fd 1 got from a call. */
static char printed[16384];

static int print_of(int (*call)(int argc, char **argv), int argc, const char *const *argv)
{
	int file = memfd_create("stdout", MFD_CLOEXEC), saved = dup(1), status;
	ssize_t len;

	fflush(stdout);
	dup2(file, 1);
	status = call(argc, (char **)argv);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	len = pread(file, printed, sizeof(printed) - 1, 0);
	close(file);
	printed[len < 0 ? 0 : len] = '\0';
	return status;
}

static int parse_help(int argc, char **argv)
{
	int result = cli_parse(argc, argv, options, &target, take_word);

	cli_print_options(stdout, options);
	return result;
}

static void help_lists_every_option_with_its_text_in_a_column(void **state)
{
	static const char *const argv[] = { "run", "-p", "--help", "--bogus", NULL };
	static const char text[] = "    -k, --kernel FILE             The kernel\n"
				   "    -c, --cpus N                  How many\n"
				   "    -p, --pmu                     A PMU\n"
				   "        --no-pvtime               No steal time\n"
				   "        --seed N                  A seed\n"
				   "        --seed-of-a-very-long-name N\n"
				   "                                  Another seed\n";

	(void)state;
	assert_int_equal(print_of(parse_help, 4, argv), 1);
	assert_string_equal(printed, text);
}

#define LKVM(...)                                                                                  \
	print_of(cli_main,                                                                         \
		 (int)(sizeof((const char *[]){ "lkvm", ##__VA_ARGS__ }) / sizeof(char *)),        \
		 (const char *const[]){ "lkvm", ##__VA_ARGS__, NULL })

static void help_is_printed_where_kvmtool_users_look_for_it(void **state)
{
	static const char *const asks[] = { "--help", "-h", "help" };

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		assert_int_equal(LKVM(asks[i]), 0);
		assert_non_null(strstr(printed, "\nThe most commonly used lkvm commands are:\n"));
		for (const struct cli_verb *verb = cli_verbs; verb->name; verb++)
			assert_non_null(strstr(printed, verb->help));
	}
	assert_int_equal(LKVM("help", "run"), 0);
	assert_non_null(strstr(printed, "usage: lkvm run"));
	assert_non_null(strstr(printed, "--kernel FILE"));
	assert_int_equal(LKVM("run", "-c", "2", "--help"), 0);
	assert_non_null(strstr(printed, "usage: lkvm run"));
	assert_int_equal(LKVM("help", "help"), 0);
	assert_non_null(strstr(printed, "The most commonly"));
}

static void a_command_that_is_none_is_a_usage_error(void **state)
{
	const char *told;
	int status;

	(void)state;
	stderr_keep();
	status = LKVM("rnu");
	assert_reported("no such command: rnu");
	assert_int_equal(status, EXIT_STATUS_USAGE);
	assert_string_equal(printed, "");
	stderr_keep();
	status = LKVM("help", "rnu");
	assert_reported("no such command: rnu");
	assert_int_equal(status, EXIT_STATUS_USAGE);
	stderr_keep();
	status = LKVM();
	told = stderr_text();
	assert_non_null(strstr(told, "The most commonly used lkvm commands are:"));
	assert_int_equal(status, EXIT_STATUS_USAGE);
	assert_string_equal(printed, "");
}

static void the_version_is_one_line(void **state)
{
	int status;

	(void)state;
	assert_int_equal(LKVM("version"), 0);
	assert_memory_equal(printed, "lkvm ", 5);
	assert_ptr_equal(strchr(printed, '\n'), printed + strlen(printed) - 1);
	assert_int_equal(LKVM("--version"), 0);
	stderr_keep();
	status = LKVM("version", "--bogus");
	assert_reported("lkvm version takes no argument, not --bogus");
	assert_int_equal(status, EXIT_STATUS_USAGE);
}

/* lkvm(1): --loglevel, default: warning. libc's own default is everything. */
static void warnings_are_told_and_no_more_unless_asked_for(void **state)
{
	(void)state;
	report_set_level(LOG_DEBUG);
	assert_int_equal(LKVM("version"), 0);
	stderr_keep();
	report_info("not asked for");
	report_warning("told");
	assert_reported("Warning: told");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_value_may_be_written_in_five_ways),
		TEST(options_without_a_value_set_and_clear),
		TEST(of_an_option_given_twice_the_last_counts),
		TEST(other_words_are_kept_apart),
		TEST(an_exact_name_is_not_ambiguous),
		TEST(what_is_no_option_is_refused_by_name),
		TEST(values_that_are_missing_or_too_many_are_refused),
		TEST(numbers_are_decimal_or_hexadecimal_and_nothing_else),
		TEST(counts_are_between_one_and_two_billion),
		TEST(sixty_four_kibibytes_do_no_harm),
		TEST(parsing_ends_at_the_first_mistake),
		TEST(help_lists_every_option_with_its_text_in_a_column),
		TEST(help_is_printed_where_kvmtool_users_look_for_it),
		TEST(a_command_that_is_none_is_a_usage_error),
		TEST(the_version_is_one_line),
		TEST(warnings_are_told_and_no_more_unless_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

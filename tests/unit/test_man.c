// SPDX-License-Identifier: GPL-2.0-only
/* lkvm.1 agrees with the option tables, the verbs and the exit statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/cli.h>

#define HELP_INDENT 4
#define HELP_COLUMN 34

static char page[65536], help[16384];

static int read_page(void **state)
{
	FILE *file = fopen("lkvm.1", "r");
	size_t len;

	(void)state;
	if (!file)
		return -1;
	len = fread(page, 1, sizeof(page) - 1, file);
	fclose(file);
	return len > 0 && len < sizeof(page) - 1 ? 0 : -1;
}

/* What `lkvm VERB --help` prints, in help[]. */
static void ask(char *verb)
{
	char *argv[] = { (char[]){ "lkvm" }, verb, (char[]){ "--help" }, NULL };
	int file = memfd_create("help", MFD_CLOEXEC), saved = dup(1), status;
	ssize_t len;

	fflush(stdout);
	dup2(file, 1);
	status = cli_main(3, argv);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	len = pread(file, help, sizeof(help) - 1, 0);
	close(file);
	assert_int_equal(status, 0);
	assert_true(len > 0 && len < (ssize_t)sizeof(help) - 1);
	help[len] = '\0';
}

static bool has_line(const char *line)
{
	size_t len = strlen(line);

	for (const char *at = page; (at = strstr(at, line)); at++)
		if ((at == page || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

static void assert_line(const char *line)
{
	if (!has_line(line))
		fail_msg("lkvm.1 lacks: %s", line);
}

/* "-k, --kernel FILE" as the page has it: ".It Fl k , Fl -kernel Ar FILE". */
static void assert_option(char *text)
{
	char line[256], letter[16] = "", *name = strstr(text, "--") + 1, *value;

	if (text[0] == '-' && text[1] != '-')
		snprintf(letter, sizeof(letter), "Fl %c , ", text[1]);
	value = strchr(name, ' ');
	if (value)
		*value++ = '\0';
	snprintf(line, sizeof(line), ".It %sFl %s%s%s", letter, name, value ? " Ar " : "",
		 value ? value : "");
	assert_line(line);
}

/* An option's line of the help, without its explanation; false where it is no such line. */
static bool option_of_line(char *text, const char *line, size_t len)
{
	if (len <= HELP_INDENT || strncmp(line, "    ", HELP_INDENT))
		return false;
	if (len > HELP_COLUMN && line[HELP_COLUMN - 1] == ' ')
		len = HELP_COLUMN;
	while (line[len - 1] == ' ')
		len--;
	while (len && *line == ' ') {
		line++;
		len--;
	}
	memcpy(text, line, len);
	text[len] = '\0';
	return *text == '-';
}

/* Checks every option in help[] and returns how many there are. */
static unsigned check_options(void)
{
	unsigned count = 0;
	char text[256];

	for (const char *line = help; *line; line += strcspn(line, "\n") + 1) {
		size_t len = strcspn(line, "\n");

		assert_true(len < sizeof(text));
		if (option_of_line(text, line, len)) {
			assert_option(text);
			count++;
		}
	}
	return count;
}

static unsigned count_options_in_page(void)
{
	unsigned count = 0;

	for (const char *at = page; (at = strstr(at, "\n.It Fl ")); at++)
		count++;
	return count;
}

static void every_option_is_on_the_page_and_no_other(void **state)
{
	unsigned run, vfio;

	(void)state;
	ask((char[]){ "run" });
	run = check_options();
	ask((char[]){ "vfio" });
	vfio = check_options();
	assert_true(run > 20 && vfio > 0);
	assert_int_equal(count_options_in_page(), run + vfio);
}

static void every_command_is_on_the_page(void **state)
{
	char line[64];

	(void)state;
	for (const struct cli_verb *verb = cli_verbs; verb->name; verb++) {
		snprintf(line, sizeof(line), ".It Cm %s", verb->name);
		assert_line(line);
	}
}

static void every_exit_status_is_on_the_page(void **state)
{
	static const enum exit_status statuses[] = { EXIT_STATUS_POWEROFF, EXIT_STATUS_ERROR,
						     EXIT_STATUS_USAGE,    EXIT_STATUS_RESET,
						     EXIT_STATUS_CRASH,    EXIT_STATUS_PANIC,
						     EXIT_STATUS_TIMEOUT };
	char line[64];

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		snprintf(line, sizeof(line), ".It %d", statuses[i]);
		assert_line(line);
	}
	snprintf(line, sizeof(line), ".It %d+n", EXIT_STATUS_SIGNAL);
	assert_line(line);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_on_the_page_and_no_other),
		cmocka_unit_test(every_command_is_on_the_page),
		cmocka_unit_test(every_exit_status_is_on_the_page),
	};

	return cmocka_run_group_tests(tests, read_page, NULL);
}

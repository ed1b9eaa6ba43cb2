// SPDX-License-Identifier: GPL-2.0-only
/* The option parser: one table a verb. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "cli.h"

#define HELP_COLUMN 34

/* Prints one option as "    -k, --kernel FILE      text". */
static void print_option(FILE *out, const struct cli_option *option)
{
	char left[128];
	int width;

	width = snprintf(left, sizeof(left), "    %c%c%s--%s%s%s", option->letter ? '-' : ' ',
			 option->letter ? option->letter : ' ', option->letter ? ", " : "  ",
			 option->name, option->value ? " " : "",
			 option->value ? option->value : "");
	if (width >= HELP_COLUMN)
		fprintf(out, "%s\n%*s%s\n", left, HELP_COLUMN, "", option->help);
	else
		fprintf(out, "%-*s%s\n", HELP_COLUMN, left, option->help);
}

void cli_print_options(FILE *out, const struct cli_option *options)
{
	for (const struct cli_option *option = options; option->name; option++)
		print_option(out, option);
}

/* The option whose name begins with the `len` bytes at `name`: the exact one, else the only one. */
static const struct cli_option *find_long(const struct cli_option *options, const char *name,
					  size_t len)
{
	const struct cli_option *found = NULL;
	unsigned count = 0;

	for (const struct cli_option *option = options; option->name; option++) {
		if (strncmp(option->name, name, len))
			continue;
		if (!option->name[len])
			return option;
		found = option;
		count++;
	}
	if (!len)
		count = 0;
	if (count > 1)
		refuse(-EINVAL, "--%.*s is ambiguous: --%s is one of %u options that begin so",
		       (int)len, name, found->name, count);
	else if (!count)
		refuse(-EINVAL, "no such option: --%.*s", (int)len, name);
	return count == 1 ? found : NULL;
}

static const struct cli_option *find_short(const struct cli_option *options, char letter)
{
	for (const struct cli_option *option = options; option->name; option++)
		if (option->letter == letter)
			return option;
	refuse(-EINVAL, "no such option: -%c", letter);
	return NULL;
}

/* One option at argv[at]; returns how many words it took, or -EINVAL, reported. */
static int parse_one(int argc, char **argv, int at, const struct cli_option *options, void *target)
{
	const char *text = argv[at], *value = NULL;
	const struct cli_option *option;
	int err, words = 1;

	if (text[1] == '-') {
		size_t len = strcspn(text + 2, "=");

		option = find_long(options, text + 2, len);
		value = text[2 + len] == '=' ? text + 2 + len + 1 : NULL;
	} else {
		option = find_short(options, text[1]);
		value = text[2] ? text + 2 : NULL;
	}
	if (!option)
		return -EINVAL;
	if (!option->value && value)
		return refuse(-EINVAL, "--%s takes no value, not %s", option->name, value);
	if (option->value && !value) {
		if (at + 1 >= argc)
			return refuse(-EINVAL, "--%s needs a value: %s", option->name,
				      option->value);
		value = argv[at + 1];
		words = 2;
	}
	err = option->take(target, option, value);
	return err ? err : words;
}

int cli_parse(int argc, char **argv, const struct cli_option *options, void *target,
	      int (*word)(void *target, const char *text))
{
	bool only_words = false;
	int words;

	for (int at = 1; at < argc; at += words) {
		const char *text = argv[at];

		words = 1;
		if (!only_words && !strcmp(text, "--")) {
			only_words = true;
		} else if (only_words || text[0] != '-' || !text[1]) {
			if (word(target, text))
				return -EINVAL;
		} else if (!strcmp(text, "--help") || !strcmp(text, "-h")) {
			return 1;
		} else {
			words = parse_one(argc, argv, at, options, target);
			if (words < 0)
				return words;
		}
	}
	return 0;
}

static void *field(void *target, const struct cli_option *option)
{
	return (char *)target + option->offset;
}

int cli_take_string(void *target, const struct cli_option *option, const char *value)
{
	if (!*value)
		return refuse(-EINVAL, "--%s needs a value: %s", option->name, option->value);
	*(const char **)field(target, option) = value;
	return 0;
}

int cli_take_true(void *target, const struct cli_option *option, const char *value)
{
	(void)value;
	*(bool *)field(target, option) = true;
	return 0;
}

int cli_take_false(void *target, const struct cli_option *option, const char *value)
{
	(void)value;
	*(bool *)field(target, option) = false;
	return 0;
}

bool cli_parse_number(const char *text, const char **end, uint64_t *number)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long value;
	char *stop;

	*end = text;
	if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoull(text, &stop, hex ? 16 : 10);
	*end = stop;
	*number = value;
	return !errno;
}

int cli_take_u64(void *target, const struct cli_option *option, const char *value)
{
	const char *end;
	uint64_t number;

	if (!cli_parse_number(value, &end, &number) || *end)
		return refuse(-EINVAL, "--%s: %s is no number", option->name, value);
	*(uint64_t *)field(target, option) = number;
	return 0;
}

int cli_take_unsigned(void *target, const struct cli_option *option, const char *value)
{
	struct cli_option whole = *option;
	uint64_t number;
	int err;

	whole.offset = 0;
	err = cli_take_u64(&number, &whole, value);
	if (err)
		return err;
	if (!number || number > INT32_MAX)
		return refuse(-EINVAL, "--%s: %s is out of range: 1 to %d", option->name, value,
			      INT32_MAX);
	*(unsigned *)field(target, option) = (unsigned)number;
	return 0;
}

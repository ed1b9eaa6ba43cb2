/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs of the command line and what they share. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <lkvm/cli.h>
#include <lkvm/machine.h>

/* One option of a verb. The tables feed the parser and --help; lkvm.1 is checked against them. */
struct cli_option {
	char letter;       /* 0: none */
	const char *name;  /* without the dashes */
	const char *value; /* what stands for its value in --help; NULL: it takes none */
	const char *help;
	/* Takes the value (NULL for an option without one). Reported; names the option. */
	int (*take)(void *target, const struct cli_option *option, const char *value);
	size_t offset; /* of the field in target, for the takers below */
};

/*
 * Parses argv[1..] by a table that ends with an entry without a name. Options may be abbreviated as long as they are
 * unambiguous, and written --name=value, --name value, -x value or -xvalue. Other words are given to `word`.
 * Returns 0, 1 where --help is asked for, or -EINVAL, reported.
 */
int cli_parse(int argc, char **argv, const struct cli_option *options, void *target,
	      int (*word)(void *target, const char *text));
void cli_print_options(FILE *out, const struct cli_option *options);

/* The decimal or, after 0x, hexadecimal number at the start of text, and where it ends. False: none, or beyond 64 bits. */
bool cli_parse_number(const char *text, const char **end, uint64_t *number);

/* Takers for plain fields: const char *, bool (set), bool (cleared), unsigned (not 0), uint64_t. */
int cli_take_string(void *target, const struct cli_option *option, const char *value);
int cli_take_true(void *target, const struct cli_option *option, const char *value);
int cli_take_false(void *target, const struct cli_option *option, const char *value);
int cli_take_unsigned(void *target, const struct cli_option *option, const char *value);
int cli_take_u64(void *target, const struct cli_option *option, const char *value);

/* Each verb: argv[0] is its name; returns lkvm's exit status. */
int cli_run(int argc, char **argv);
int cli_vfio(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_help(int argc, char **argv);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <lkvm/report.h>
#include "cli.h"

const struct cli_verb cli_verbs[] = {
	{ "run", "Run a guest", cli_run },
	{ "vfio", "List the host's PCI functions, and check whether one can be passed through",
	  cli_vfio },
	{ "version", "Print lkvm's version", cli_version },
	{ "help", "Print this text, or a command's own", cli_help },
	{ NULL, NULL, NULL },
};

static const struct cli_verb *find_verb(const char *name)
{
	for (const struct cli_verb *verb = cli_verbs; verb->name; verb++)
		if (!strcmp(verb->name, name))
			return verb;
	return NULL;
}

int cli_version(int argc, char **argv)
{
	if (argc > 1) {
		refuse(-1, "lkvm version takes no argument, not %s", argv[1]);
		return EXIT_STATUS_USAGE;
	}
	puts("lkvm " LKVM_VERSION);
	return 0;
}

static int print_help(FILE *out)
{
	fputs("usage: lkvm COMMAND [ARGS]\n\n"
	      "The most commonly used lkvm commands are:\n",
	      out);
	for (const struct cli_verb *verb = cli_verbs; verb->name; verb++)
		fprintf(out, "   %-10s %s\n", verb->name, verb->help);
	fputs("\nSee `lkvm help COMMAND` for a command's options, and lkvm(1).\n", out);
	return 0;
}

int cli_help(int argc, char **argv)
{
	const struct cli_verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
	char *args[] = { argc > 1 ? argv[1] : NULL, (char[]){ "--help" }, NULL };

	if (argc > 1 && !verb) {
		refuse(-1, "no such command: %s", argv[1]);
		return EXIT_STATUS_USAGE;
	}
	if (!verb || verb->main == cli_help || verb->main == cli_version)
		return print_help(stdout);
	return verb->main(2, args);
}

int cli_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";
	const struct cli_verb *verb;

	report_set_level(LOG_WARNING);
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	verb = find_verb(name);
	if (!verb) {
		refuse(-1, "no such command: %s (lkvm help lists them)", name);
		return EXIT_STATUS_USAGE;
	}
	if (argc < 2) {
		print_help(stderr);
		return EXIT_STATUS_USAGE;
	}
	return verb->main(argc - 1, argv + 1);
}

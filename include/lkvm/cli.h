/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line's verbs. */
#ifndef LKVM_CLI_H
#define LKVM_CLI_H

/* Exit statuses, as lkvm(1) documents them; 128 + n for signal n. */
enum exit_status {
	EXIT_STATUS_POWEROFF = 0,
	EXIT_STATUS_ERROR = 1,
	EXIT_STATUS_USAGE = 2,
	EXIT_STATUS_RESET = 32,
	EXIT_STATUS_CRASH = 33,
	EXIT_STATUS_PANIC = 34,
	EXIT_STATUS_TIMEOUT = 124,
	EXIT_STATUS_SIGNAL = 128,
};

struct cli_verb {
	const char *name;
	const char *help;
	int (*main)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
};

/* All verbs, ended by one without a name. */
extern const struct cli_verb cli_verbs[];

/* Finds the verb that argv[1] names (--help and --version count) and runs it; without one, help. The exit status. */
int cli_main(int argc, char **argv);

#endif

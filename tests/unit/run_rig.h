/* SPDX-License-Identifier: GPL-2.0-only */
/* `lkvm run` down to the machine it would make: for a test program that has no other machine. */
#ifndef RUN_RIG_H
#define RUN_RIG_H

#include <stdbool.h>
#include <string.h>
#include <lkvm/cli.h>
#include <lkvm/machine.h>
#include "files.h"

/* The machine that was asked for. */
static struct {
	struct machine_config config; /* pointers are good until run() returns */
	unsigned created, destroyed;
	int create_fails, end;
	void (*inspect)(const struct machine_config *config);
} made;

int machine_create(struct machine **machine, const struct machine_config *config)
{
	made.config = *config;
	made.created++;
	*machine = (struct machine *)&made;
	if (made.inspect)
		made.inspect(config);
	return made.create_fails;
}

int machine_run(struct machine *machine)
{
	assert_ptr_equal(machine, &made);
	return made.end;
}

void machine_destroy(struct machine *machine)
{
	assert_ptr_equal(machine, &made);
	made.destroyed++;
}

static inline int run_setup(void **state)
{
	memset(&made, 0, sizeof(made));
	made.end = RUN_POWEROFF;
	return files_setup(state);
}

static inline int run(const char *const *argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return cli_main(argc, (char **)argv);
}

#define RUN(...)       run((const char *const[]){ "lkvm", "run", __VA_ARGS__, NULL })
#define RUN_IMAGE(...) RUN("Image", __VA_ARGS__)

#endif

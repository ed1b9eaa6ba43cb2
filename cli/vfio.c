// SPDX-License-Identifier: GPL-2.0-only
/* lkvm vfio: what of the host can be passed through. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <lkvm/report.h>
#include <lkvm/vfio.h>
#include "cli.h"

struct check_options {
	const char *bdf;
	bool json;
};

static const struct cli_option check_table[] = {
	{ 0, "json", NULL, "Print one JSON object", cli_take_true,
	  offsetof(struct check_options, json) },
	{ 0, NULL, NULL, NULL, NULL, 0 },
};

static int usage(const char *what, const char *word)
{
	refuse(-1, "%s %s (lkvm vfio --help tells how it is used)", what, word);
	return EXIT_STATUS_USAGE;
}

static int print_help(void)
{
	puts("usage: lkvm vfio list\n"
	     "       lkvm vfio check [DOMAIN:]BUS:DEV.FN [--json]\n"
	     "       lkvm vfio irqs FILE\n\n"
	     "list    the host's PCI functions: driver, IOMMU group, and whether each is ready\n"
	     "        to be passed through\n"
	     "check   all that decides it for one function, what stands in the way, and the\n"
	     "        commands that cure it; status 0: ready, 1: not\n"
	     "irqs    what lkvm run --irq-report wrote to FILE, as a table\n");
	cli_print_options(stdout, check_table);
	return 0;
}

static int take_word(void *target, const char *text)
{
	struct check_options *options = target;

	if (options->bdf)
		return refuse(-1, "lkvm vfio check takes one function, not also %s", text);
	options->bdf = text;
	return 0;
}

/* Whether help is asked for anywhere. */
static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static int check(int argc, char **argv)
{
	struct check_options options = { 0 };
	int result;

	if (cli_parse(argc, argv, check_table, &options, take_word))
		return EXIT_STATUS_USAGE;
	if (!options.bdf)
		return usage("lkvm vfio check:", "which function?");
	result = vfio_check(options.bdf, options.json, stdout);
	if (result == -EINVAL)
		return EXIT_STATUS_USAGE;
	return result ? EXIT_STATUS_ERROR : 0;
}

static int irqs(int argc, char **argv)
{
	int err;

	if (argc != 2)
		return usage("lkvm vfio irqs takes the name of a report,",
			     argc < 2 ? "which?" : "and nothing else");
	err = vfio_irqs_print(argv[1], stdout);
	return err ? EXIT_STATUS_ERROR : 0;
}

int cli_vfio(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : NULL;

	if (!what)
		return usage("lkvm vfio:", "list, check or irqs?");
	if (wants_help(argc, argv) || !strcmp(what, "help"))
		return print_help();
	if (!strcmp(what, "check"))
		return check(argc - 1, argv + 1);
	if (!strcmp(what, "irqs"))
		return irqs(argc - 1, argv + 1);
	if (strcmp(what, "list") != 0)
		return usage("lkvm vfio: no such command:", what);
	if (argc > 2)
		return usage("lkvm vfio list takes no argument, not", argv[2]);
	return vfio_list(stdout) == 0 ? 0 : EXIT_STATUS_ERROR;
}

// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/report.h>
#include "run.h"
#include "run_devices.h"

#define SVE_VL_STEP 128
#define SVE_VL_MAX  2048

#define PORT_NAME_MAX 63

void run_options_free(struct run_options *options)
{
	run_devices_free(options);
	free(options->vfio);
	free(options->affinity);
	free(options->console);
	free(options->params);
}

/* Several -p are one command line. */
int run_take_params(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	const char *before = options->params ? options->params : "";
	char *joined;

	if (asprintf(&joined, "%s%s%s", before, *before && *value ? " " : "", value) < 0)
		return report(-ENOMEM, "--%s", option->name);
	free(options->params);
	options->params = joined;
	options->machine.params = joined;
	return 0;
}

static int unit_shift(char unit)
{
	static const char units[] = "BKMGTP";
	const char *at = isalpha((unsigned char)unit) ? strchr(units, toupper(unit)) : NULL;

	return at ? (int)(at - units) * 10 : -1;
}

/* "NUMBER[UNIT]" up to `stop` or the end, in bytes; a number alone is in units of 2^shift. -EINVAL, -ERANGE. */
static int parse_size(const char *text, char stop, int shift, const char **end, uint64_t *bytes)
{
	if (!cli_parse_number(text, end, bytes))
		return *end == text ? -EINVAL : -ERANGE;
	if (**end && **end != stop)
		shift = unit_shift(*(*end)++);
	if (shift < 0 || (**end && **end != stop))
		return -EINVAL;
	if (*bytes > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes <<= shift;
	return 0;
}

int run_take_mem(void *target, const struct cli_option *option, const char *value)
{
	struct machine_config *config = &((struct run_options *)target)->machine;
	const char *end;
	int err = parse_size(value, '@', 20, &end, &config->ram_size);

	if (err == -EINVAL)
		return refuse(err, "--%s: %s is no %s", option->name, value, option->value);
	if (err || !config->ram_size)
		return refuse(-EINVAL, "--%s: %s is out of range", option->name, value);
	if (*end && parse_size(end + 1, '\0', 0, &end, &config->ram_base))
		return refuse(-EINVAL, "--%s: %s names no address after its @", option->name,
			      value);
	return 0;
}

int run_take_vfio(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	size_t count = options->machine.vfio_count;
	struct vfio_device_config *grown = reallocarray(options->vfio, count + 1, sizeof(*grown));

	if (!grown)
		return report(-ENOMEM, "--%s", option->name);
	options->vfio = grown;
	options->machine.vfio = grown;
	if (vfio_device_config_parse(&grown[count], value))
		return -EINVAL;
	options->machine.vfio_count = count + 1;
	return 0;
}

int run_take_doorbell(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;

	if (vfio_doorbell_parse(&options->machine.msi_doorbell, value))
		return refuse(-EINVAL, "--%s: %s is neither auto nor kernel nor an address but 0",
			      option->name, value);
	return 0;
}

/* A port's name, and where its in= and out= go. */
static int take_port(struct machine_config *config, const struct cli_option *option,
		     const char *name)
{
	unsigned most = sizeof(config->ports) / sizeof(config->ports[0]);

	if (!config->console_virtio)
		return refuse(-EINVAL, "--%s: a serial console has no ports", option->name);
	if (!*name || strlen(name) > PORT_NAME_MAX || strchr(name, '/'))
		return refuse(-EINVAL,
			      "--%s: \"%s\" is no port's name: 1 to %d characters without a /",
			      option->name, name, PORT_NAME_MAX);
	if (config->port_count == most)
		return refuse(-EINVAL, "--%s: more than %u ports", option->name, most);
	config->ports[config->port_count++] = (struct machine_port){ .name = name };
	return 0;
}

static int take_console_part(struct machine_config *config, const struct cli_option *option,
			     const char *part)
{
	struct machine_port *port =
		config->port_count ? &config->ports[config->port_count - 1] : NULL;

	if (!strncmp(part, "out=", 4) && part[4])
		*(port ? &port->out : &config->console_out) = part + 4;
	else if (!strncmp(part, "in=", 3) && part[3])
		*(port ? &port->in : &config->console_in) = part + 3;
	else if (!strncmp(part, "port=", 5))
		return take_port(config, option, part + 5);
	else
		return refuse(-EINVAL,
			      "--%s: %s is none of out=FILE|fd:N, in=FILE|fd:N and port=NAME",
			      option->name, part);
	return 0;
}

int run_take_console(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct machine_config *config = &options->machine;
	char *rest, *part;
	int err = 0;

	free(options->console);
	options->console = strdup(value);
	if (!options->console)
		return report(-ENOMEM, "--%s", option->name);
	config->console_in = config->console_out = NULL;
	config->port_count = 0;
	rest = options->console;
	part = strsep(&rest, ",");
	config->console_virtio = !strcmp(part, "virtio");
	if (!config->console_virtio && strcmp(part, "serial"))
		return refuse(-EINVAL, "--%s: %s is neither serial nor virtio", option->name, part);
	while (!err && (part = strsep(&rest, ",")))
		err = take_console_part(config, option, part);
	return err;
}

int run_take_tty(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;

	if (value[0] < '0' || value[0] >= '0' + MAP_UARTS || value[1])
		return refuse(-EINVAL, "--%s: %s is no UART: 0 to %d", option->name, value,
			      MAP_UARTS - 1);
	options->machine.tty[value[0] - '0'] = true;
	return 0;
}

int run_take_irqchip(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;

	if (irqchip_parse(value, &options->machine.irqchip))
		return refuse(-EINVAL, "--%s: %s is none of %s", option->name, value,
			      option->value);
	return 0;
}

/* "0-3,8" into a set; -EINVAL where it is none. */
static int parse_cpu_list(const char *text, cpu_set_t *cpus)
{
	const char *end;

	CPU_ZERO(cpus);
	for (;; text = end + 1) {
		uint64_t first, last;

		if (!cli_parse_number(text, &end, &first))
			return -EINVAL;
		last = first;
		if (*end == '-' && !cli_parse_number(end + 1, &end, &last))
			return -EINVAL;
		if (first > last || last >= CPU_SETSIZE)
			return -EINVAL;
		for (uint64_t cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, cpus);
		if (!*end)
			return 0;
		if (*end != ',')
			return -EINVAL;
	}
}

int run_take_affinity(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	size_t count = options->machine.affinity_count;
	struct vcpu_affinity *grown = reallocarray(options->affinity, count + 1, sizeof(*grown));
	const char *list = strchr(value, '=');

	if (!grown)
		return report(-ENOMEM, "--%s", option->name);
	options->affinity = grown;
	options->machine.affinity = grown;
	grown[count].vcpu = -1;
	if (list) {
		const char *end;
		uint64_t vcpu;

		if (!cli_parse_number(value, &end, &vcpu) || end != list || vcpu > INT32_MAX)
			return refuse(-EINVAL, "--%s: %s names no vCPU before its =", option->name,
				      value);
		grown[count].vcpu = (int)vcpu;
	}
	if (parse_cpu_list(list ? list + 1 : value, &grown[count].cpus))
		return refuse(-EINVAL, "--%s: %s is no list of CPUs such as 0-3,8", option->name,
			      value);
	options->machine.affinity_count = count + 1;
	return 0;
}

int run_take_sve(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct cli_option at = *option;
	unsigned bits;

	at.offset = 0;
	if (cli_take_unsigned(&bits, &at, value))
		return -EINVAL;
	if (bits % SVE_VL_STEP || bits > SVE_VL_MAX)
		return refuse(-EINVAL,
			      "--%s: %s is no vector length: a multiple of %d up to %d bits",
			      option->name, value, SVE_VL_STEP, SVE_VL_MAX);
	options->machine.features.sve_max_vl = bits;
	return 0;
}

int run_take_kaslr(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;
	struct cli_option at = *option;

	at.offset = offsetof(struct run_options, machine.kaslr_seed);
	options->machine.kaslr_seed_given = true;
	return cli_take_u64(target, &at, value);
}

int run_take_on_reset(void *target, const struct cli_option *option, const char *value)
{
	struct run_options *options = target;

	if (strcmp(value, "exit") && strcmp(value, "restart"))
		return refuse(-EINVAL, "--%s: %s is neither exit nor restart", option->name, value);
	options->machine.restart_on_reset = !strcmp(value, "restart");
	return 0;
}

int run_take_loglevel(void *target, const struct cli_option *option, const char *value)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = { { "error", LOG_ERR },
		       { "warning", LOG_WARNING },
		       { "info", LOG_INFO },
		       { "debug", LOG_DEBUG } };

	(void)target;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(value, levels[i].name)) {
			report_set_level(levels[i].level);
			return 0;
		}
	}
	return refuse(-EINVAL, "--%s: %s is none of %s", option->name, value, option->value);
}

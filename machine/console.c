// SPDX-License-Identifier: GPL-2.0-only
/* What the UARTs and the virtio console are connected to: stdio, files, file descriptors, ptys. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "machine.h"

/* An open descriptor of the caller's, that can be used as `flags` say. */
static int use_fd(const char *number, int flags, int *out_fd)
{
	char *end;
	long fd = strtol(number, &end, 10);
	int mode;

	if (*number < '0' || *number > '9' || *end || fd > INT_MAX)
		return refuse(-EINVAL, "--console: fd:%s is no file descriptor", number);
	mode = fcntl((int)fd, F_GETFL);
	if (mode < 0)
		return refuse(-EBADF, "--console: file descriptor %ld is not open", fd);
	if ((mode & O_ACCMODE) != O_RDWR && (mode & O_ACCMODE) != (flags & O_ACCMODE))
		return refuse(-EBADF, "--console: file descriptor %ld is not open for %s", fd,
			      flags & O_WRONLY ? "writing" : "reading");
	*out_fd = (int)fd;
	return 0;
}

static int open_file(const char *path, int flags, int *out_fd)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		fd = -1;
		errno = EISDIR;
	}
	if (fd < 0)
		return report(-errno, "cannot open %s for the console", path);
	*out_fd = fd;
	return 0;
}

/* "fd:N" or a file; ours: to be closed. */
static int open_spec(const char *spec, int flags, int *out_fd, bool *ours)
{
	int err;

	if (!strncmp(spec, "fd:", 3))
		return use_fd(spec + 3, flags, out_fd);
	err = open_file(spec, flags, out_fd);
	*ours = !err;
	return err;
}

/* NULL stays what it is. */
static int open_specs(struct console *console, const char *in, const char *out)
{
	int err = 0;

	if (in)
		err = open_spec(in, O_RDONLY, &console->in_fd, &console->close_in);
	if (!err && out)
		err = open_spec(out, O_WRONLY | O_CREAT | O_TRUNC, &console->out_fd,
				&console->close_out);
	return err;
}

/* Which of them is the console: UART 0, or port 0 of the virtio console. */
static unsigned console_index(const struct machine *machine)
{
	return machine->config.console_virtio ? MAP_UARTS : 0;
}

static int open_console(struct console *console, const struct machine_config *config)
{
	console->in_fd = STDIN_FILENO;
	console->out_fd = STDOUT_FILENO;
	return open_specs(console, config->console_in, config->console_out);
}

static int open_ports(struct machine *machine)
{
	const struct machine_config *config = &machine->config;
	struct virtio_terminal_config *terminal = &machine->terminal;
	int err = 0;

	if (!config->console_virtio)
		return 0;
	terminal->count = 1 + config->port_count;
	for (unsigned n = 0; n < terminal->count && !err; n++) {
		struct console *console = &machine->consoles[MAP_UARTS + n];
		const struct machine_port *port = n ? &config->ports[n - 1] : NULL;

		if (port)
			err = open_specs(console, port->in, port->out);
		terminal->ports[n] = (struct virtio_port_config){
			.name = port ? port->name : NULL,
			.in_fd = console->in_fd,
			.out_fd = console->out_fd,
			.escape = console->in_fd == STDIN_FILENO,
		};
	}
	machine->config.virtio.terminal = terminal;
	return err;
}

/* The slave's side is put into raw mode: a terminal program sees what the guest writes and nothing else. */
static int make_raw(const char *name)
{
	struct termios attributes;
	int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &attributes) == 0) {
		cfmakeraw(&attributes);
		tcsetattr(fd, TCSANOW, &attributes);
	}
	return fd;
}

static int open_pty(struct console *console, unsigned n)
{
	char name[64];
	int slave;

	console->in_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	console->close_in = true;
	if (console->in_fd < 0 || grantpt(console->in_fd) < 0 || unlockpt(console->in_fd) < 0 ||
	    ptsname_r(console->in_fd, name, sizeof(name)) != 0)
		return report(-errno, "cannot create a pty for --tty %u", n);
	/* Kept open as the output's owner: without a slave that is open the master reads EIO for ever. */
	slave = make_raw(name);
	if (slave < 0)
		return report(slave, "cannot open %s for --tty %u", name, n);
	console->out_fd = console->in_fd;
	console->slave_fd = slave;
	fprintf(stderr, "  Info: Assigned terminal %u to pty %s\n", n, name);
	return 0;
}

int consoles_open(struct machine *machine)
{
	int err = 0;

	for (unsigned n = 0; n < CONSOLES && !err; n++) {
		struct console *console = &machine->consoles[n];

		*console = (struct console){ .in_fd = -1, .out_fd = -1, .slave_fd = -1 };
		if (n < MAP_UARTS && machine->config.tty[n])
			err = open_pty(console, n);
		else if (n == console_index(machine))
			err = open_console(console, &machine->config);
	}
	return err ? err : open_ports(machine);
}

/* Another job's terminal is in the mode that job wants, and who changed it would be stopped. */
static bool in_foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void consoles_raw(struct machine *machine)
{
	struct console *console = &machine->consoles[console_index(machine)];
	struct termios raw;

	if (console->in_fd != STDIN_FILENO || tcgetattr(STDIN_FILENO, &console->saved) < 0 ||
	    !in_foreground())
		return;
	raw = console->saved;
	cfmakeraw(&raw);
	raw.c_oflag = console->saved.c_oflag; /* our own messages go there too */
	console->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void consoles_close(struct machine *machine)
{
	for (unsigned n = 0; n < CONSOLES; n++) {
		struct console *console = &machine->consoles[n];

		if (console->raw && in_foreground())
			tcsetattr(STDIN_FILENO, TCSANOW, &console->saved);
		if (console->close_in && console->in_fd >= 0)
			close(console->in_fd);
		if (console->close_out && console->out_fd >= 0)
			close(console->out_fd);
		if (console->slave_fd >= 0)
			close(console->slave_fd);
		*console = (struct console){ .in_fd = -1, .out_fd = -1, .slave_fd = -1 };
	}
}

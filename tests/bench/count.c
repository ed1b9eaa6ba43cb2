// SPDX-License-Identifier: GPL-2.0-only
/*
 * count FILE COMMAND...: run a command and write to FILE what it cost from its exec to its exit, all its threads
 * together: instructions in user and in kernel mode, context switches, and time in ns. A guest's own instructions are
 * not among them. The exit status is the command's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INST_RETIRED 0x08 /* (Arm ARM, D13.12.4) */
#define NOT_RUN      127

struct event {
	const char *name;
	uint32_t type;
	uint64_t config;
	int exclude_user, exclude_kernel;
};

static const struct event events[] = {
	{ "user_instructions", PERF_TYPE_RAW, INST_RETIRED, 0, 1 },
	{ "kernel_instructions", PERF_TYPE_RAW, INST_RETIRED, 1, 0 },
	{ "context_switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 0, 0 },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

static void fail(const char *what)
{
	fprintf(stderr, "count: %s: %s\n", what, strerror(errno));
	exit(NOT_RUN);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int open_event(const struct event *event, pid_t pid)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = event->type,
		.config = event->config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.disabled = 1,
		.inherit = 1,
		.enable_on_exec = 1,
		.exclude_user = event->exclude_user,
		.exclude_kernel = event->exclude_kernel,
		.exclude_hv = event->exclude_kernel,
		.exclude_guest = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		fail(event->name);
	return fd;
}

static void write_event(FILE *out, const struct event *event, int fd)
{
	struct {
		uint64_t value, enabled, running;
	} count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		fail(event->name);
	if (count.running != count.enabled) {
		errno = EBUSY; /* had to share its counter: only an estimate */
		fail(event->name);
	}
	fprintf(out, "%s %llu\n", event->name, (unsigned long long)count.value);
}

/* The child: nothing happens between the time it writes down and its exec. */
static void run(char **argv, int go, uint64_t *start)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(NOT_RUN);
	*start = now();
	execvp(argv[0], argv);
	fprintf(stderr, "count: %s: %s\n", argv[0], strerror(errno));
	_exit(NOT_RUN);
}

int main(int argc, char **argv)
{
	uint64_t *start = mmap(NULL, sizeof(*start), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fds[EVENTS], go[2], status;
	uint64_t end;
	FILE *out;
	pid_t pid;

	if (argc < 3 || start == MAP_FAILED || pipe2(go, O_CLOEXEC) < 0) {
		fprintf(stderr, "usage: count FILE COMMAND...\n");
		return NOT_RUN;
	}
	out = fopen(argv[1], "we");
	pid = out ? fork() : -1;
	if (pid < 0)
		fail(argv[1]);
	if (!pid)
		run(argv + 2, go[0], start);
	for (size_t i = 0; i < EVENTS; i++)
		fds[i] = open_event(&events[i], pid);
	if (write(go[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		fail(argv[2]);
	end = now();
	for (size_t i = 0; i < EVENTS; i++)
		write_event(out, &events[i], fds[i]);
	fprintf(out, "ns %llu\n", (unsigned long long)(end - *start));
	if (fclose(out))
		fail(argv[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

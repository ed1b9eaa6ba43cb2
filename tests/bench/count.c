// SPDX-License-Identifier: GPL-2.0-only
/*
 * count [-aemr] FILE COMMAND...: run a command and write to FILE what it cost from its exec to its exit, all its threads
 * together: instructions in user and in kernel mode, context switches, and time in ns. A guest's own instructions are
 * not among them. The exit status is the command's.
 *
 * -a: instructions of the whole machine instead, whoever executes them, guests too: what there was to do.
 * -e: events as well: system calls, KVM's exits, page faults. They cost instructions of the kernel's.
 * -m: the command's standard output is followed; what was counted up to a line "mark NAME" since the one before is
 *     written as NAME_COUNTER.
 * -r: up to the first KVM_RUN, of any thread, which never begins: the command is killed. Besides, what it had read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INST_RETIRED 0x08 /* (Arm ARM, D13.12.4) */
#define NOT_RUN      127
#define TRACING      "/sys/kernel/tracing/"
#define CPUS_MAX     16
#define COUNTERS_MAX 16

enum mode { TASK = 1, EVENTS = 2, MACHINE = 4 };

/* A counter: of the PMU, of the kernel's own, or of a tracepoint. */
static const struct counter {
	const char *name;
	enum mode mode;
	uint32_t type;
	uint64_t config;
	int exclude_user, exclude_kernel;
	const char *tracepoint;
} counters[] = {
	{ "user_instructions", TASK, PERF_TYPE_RAW, INST_RETIRED, 0, 1, NULL },
	{ "kernel_instructions", TASK, PERF_TYPE_RAW, INST_RETIRED, 1, 0, NULL },
	{ "context_switches", TASK, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 0, 0,
	  NULL },
	{ "page_faults", EVENTS, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 0, 0, NULL },
	{ "syscalls", EVENTS, PERF_TYPE_TRACEPOINT, 0, 0, 0, "raw_syscalls/sys_enter" },
	{ "ioctls", EVENTS, PERF_TYPE_TRACEPOINT, 0, 0, 0, "syscalls/sys_enter_ioctl" },
	{ "exits", EVENTS, PERF_TYPE_TRACEPOINT, 0, 0, 0, "kvm/kvm_exit" },
	{ "userspace_exits", EVENTS, PERF_TYPE_TRACEPOINT, 0, 0, 0, "kvm/kvm_userspace_exit" },
	{ "stage2_faults", EVENTS, PERF_TYPE_TRACEPOINT, 0, 0, 0, "kvm/kvm_guest_fault" },
	{ "instructions", MACHINE, PERF_TYPE_RAW, INST_RETIRED, 0, 0, NULL },
};

/* What the two processes share: the child's start, and the number of its listener for KVM_RUN. */
struct shared {
	uint64_t start;
	int listener;
};

struct session {
	const struct counter *counter[COUNTERS_MAX];
	int fds[COUNTERS_MAX][CPUS_MAX];
	uint64_t last[COUNTERS_MAX], last_ns;
	size_t count;
	unsigned cpus;
	enum mode mode;
	FILE *out;
};

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

static uint64_t tracepoint_id(const char *tracepoint)
{
	unsigned long long id = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), TRACING "events/%s/id", tracepoint);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%llu", &id) != 1)
		fail(path);
	fclose(file);
	return id;
}

static int open_counter(const struct counter *counter, pid_t pid, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = counter->type,
		.config =
			counter->tracepoint ? tracepoint_id(counter->tracepoint) : counter->config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.disabled = pid >= 0,
		.inherit = pid >= 0,
		.enable_on_exec = pid >= 0,
		.exclude_user = counter->exclude_user,
		.exclude_kernel = counter->exclude_kernel,
		.exclude_hv = counter->exclude_kernel,
		.exclude_guest = pid >= 0,
	};
	int fd = syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		fail(counter->name);
	return fd;
}

static void open_counters(struct session *session, pid_t pid)
{
	long cpus = session->mode & MACHINE ? sysconf(_SC_NPROCESSORS_ONLN) : 1;

	session->cpus = cpus < CPUS_MAX ? cpus : CPUS_MAX;
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		if (!(counters[i].mode & session->mode))
			continue;
		for (unsigned cpu = 0; cpu < session->cpus; cpu++)
			session->fds[session->count][cpu] =
				open_counter(&counters[i], session->mode & MACHINE ? -1 : pid,
					     session->mode & MACHINE ? (int)cpu : -1);
		session->counter[session->count++] = &counters[i];
	}
}

static uint64_t read_counter(const struct session *session, size_t i)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < session->cpus; cpu++) {
		struct {
			uint64_t value, enabled, running;
		} count;

		if (read(session->fds[i][cpu], &count, sizeof(count)) != sizeof(count))
			fail(session->counter[i]->name);
		if (count.running != count.enabled) {
			errno = EBUSY; /* had to share its counter: only an estimate */
			fail(session->counter[i]->name);
		}
		sum += count.value;
	}
	return sum;
}

/* All counters now, less what they were at `last` and `last_ns`, as PREFIXCOUNTER. */
static void write_counters(struct session *session, const char *prefix, uint64_t *last,
			   uint64_t *last_ns)
{
	uint64_t ns = now();

	for (size_t i = 0; i < session->count; i++) {
		uint64_t value = read_counter(session, i);

		fprintf(session->out, "%s%s %llu\n", prefix, session->counter[i]->name,
			(unsigned long long)(value - last[i]));
		last[i] = value;
	}
	fprintf(session->out, "%sns %llu\n", prefix, (unsigned long long)(ns - *last_ns));
	*last_ns = ns;
}

/* Has each KVM_RUN reported to a listener, which it returns. */
static int listen_for_run(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		       &program);
}

/* The child: nothing happens between the time it writes down and its exec. */
static void run(char **argv, int ready, int go, bool to_run, struct shared *shared)
{
	char byte;

	if (to_run)
		shared->listener = listen_for_run();
	if (write(ready, "", 1) != 1 || read(go, &byte, 1) != 1)
		_exit(NOT_RUN);
	shared->start = now();
	execvp(argv[0], argv);
	fprintf(stderr, "count: %s: %s\n", argv[0], strerror(errno));
	_exit(NOT_RUN);
}

/* What the process has read from files by now, its kernel among it. */
static void write_bytes_read(FILE *out, pid_t pid)
{
	unsigned long long bytes;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "rchar: %llu", &bytes) != 1)
		fail(path);
	fclose(file);
	fprintf(out, "bytes_read %llu\n", bytes);
}

/* Waits for the first KVM_RUN and takes the figures while it waits for its permission. */
static void stop_at_run(struct session *session, int pidfd, int listener, pid_t pid,
			const uint64_t *start)
{
	struct pollfd fds[] = { { listener, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
	uint64_t since = *start, zero[COUNTERS_MAX] = { 0 };
	struct seccomp_notif notification = { 0 };

	if (poll(fds, 2, -1) < 0 || !(fds[0].revents & POLLIN) ||
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0) {
		errno = ESRCH;
		fail("no KVM_RUN");
	}
	since = *start;
	write_counters(session, "", zero, &since);
	write_bytes_read(session->out, pid);
	kill(pid, SIGKILL);
}

/* Copies what the command prints, and takes the figures at each mark. */
static void follow(struct session *session, int output, const uint64_t *start)
{
	FILE *in = fdopen(output, "re");
	char line[4096], prefix[64], *mark;

	while (in && fgets(line, sizeof(line), in)) {
		mark = strstr(line, "mark ");
		if (!session->last_ns)
			session->last_ns = *start;
		if (mark && sscanf(mark, "mark %60[a-z0-9_]", prefix) == 1) {
			strcat(prefix, "_");
			write_counters(session, prefix, session->last, &session->last_ns);
		}
		fputs(line, stdout);
	}
}

static enum mode parse(int argc, char **argv, bool *marks, bool *to_run)
{
	enum mode mode = TASK;
	int option;

	while ((option = getopt(argc, argv, "+aemr")) >= 0) {
		if (option == 'a')
			mode = (mode & ~TASK) | MACHINE;
		else if (option == 'e')
			mode |= EVENTS;
		else if (option == 'm')
			*marks = true;
		else if (option == 'r')
			*to_run = true;
		else
			exit(NOT_RUN);
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: count [-aemr] FILE COMMAND...\n");
		exit(NOT_RUN);
	}
	return mode;
}

static pid_t start(struct session *session, char **argv, bool to_run, struct shared *shared,
		   const int *output, int *go)
{
	int ready[2], start[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(start, O_CLOEXEC) < 0)
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		if (output[1] >= 0)
			dup2(output[1], STDOUT_FILENO);
		run(argv, ready[1], start[0], to_run, shared);
	}
	if (read(ready[0], &byte, 1) != 1)
		fail(argv[0]);
	open_counters(session, pid);
	*go = start[1];
	return pid;
}

int main(int argc, char **argv)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t since, zero[COUNTERS_MAX] = { 0 };
	int output[2] = { -1, -1 }, go, pidfd, listener = -1, status;
	bool marks = false, to_run = false;
	struct session session = { .mode = parse(argc, argv, &marks, &to_run) };
	pid_t pid;

	session.out = fopen(argv[optind], "we");
	if (shared == MAP_FAILED || !session.out || (marks && pipe2(output, O_CLOEXEC) < 0))
		fail(argv[optind]);
	pid = start(&session, argv + optind + 1, to_run, shared, output, &go);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (to_run)
		listener = syscall(SYS_pidfd_getfd, pidfd, shared->listener, 0);
	if (pidfd < 0 || (to_run && listener < 0))
		fail("pidfd");
	close(output[1]);
	for (size_t i = 0; i < session.count; i++)
		zero[i] = session.last[i] = session.mode & MACHINE ? read_counter(&session, i) : 0;
	if (write(go, "", 1) != 1)
		fail("exec");
	if (to_run)
		stop_at_run(&session, pidfd, listener, pid, &shared->start);
	if (marks)
		follow(&session, output[0], &shared->start);
	if (waitpid(pid, &status, 0) != pid)
		fail(argv[optind + 1]);
	since = shared->start;
	if (!to_run)
		write_counters(&session, "", zero, &since);
	if (fclose(session.out))
		fail(argv[optind]);
	if (to_run)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// SPDX-License-Identifier: GPL-2.0-only
/* What the UARTs of a machine are connected to: stdio, descriptors, files, ptys; and the terminal's mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>
#include "machine_rig.h"

#define UART(n)  (MAP_UART_BASE + (n)*MAP_UART_STRIDE)
#define UART_IER 1
#define UART_LSR 5

static const struct fake_kvm_exit says_hi[] = { GUEST_STORES(UART(0), 'h', 1),
						GUEST_STORES(UART(0), 'i', 1), GUEST_POWERS_OFF };

static void a_console_writes_where_it_is_told(void **state)
{
	struct machine_config config = rig_config();
	int file = open(file_path("by-number"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char spec[16], text[8] = "";

	(void)state;
	assert_int_equal(rig_run(&config, says_hi, 3), RUN_POWEROFF);
	assert_string_equal(rig_console(), "hi");
	assert_int_equal(rig_run(&config, says_hi, 3), RUN_POWEROFF);
	assert_string_equal(rig_console(), "hi"); /* truncated in between */

	snprintf(spec, sizeof(spec), "fd:%d", file);
	config.console_out = spec;
	assert_int_equal(rig_run(&config, says_hi, 3), RUN_POWEROFF);
	assert_int_equal(rig_run(&config, says_hi, 3), RUN_POWEROFF);
	assert_int_equal(pread(file, text, sizeof(text), 0), 4); /* still open, and not truncated */
	assert_string_equal(text, "hihi");
	close(file);
}

/* Port 0 of a virtio console stands for UART 0; input that is still open does not hold up the end. */
static void a_virtio_console_comes_and_goes_with_the_machine(void **state)
{
	struct machine_config config = rig_config();
	char spec[16], path[128];
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(write(pipe_fds[1], "typed", 5), 5);
	snprintf(spec, sizeof(spec), "fd:%d", pipe_fds[0]);
	strcpy(path, file_path("port"));
	config.console_in = spec;
	config.console_virtio = true;
	config.ports[0] = (struct machine_port){ .name = "port", .out = path };
	for (unsigned transport = VIRTIO_PCI; transport <= VIRTIO_MMIO_LEGACY; transport++) {
		config.virtio.transport = transport;
		config.port_count = transport % 2;
		assert_int_equal(rig_run(&config, says_hi, 3), RUN_POWEROFF);
		assert_string_equal(rig_console(), "");
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void stdio_is_the_console_where_nothing_else_is_said(void **state)
{
	struct machine_config config = rig_config();
	int file = open(file_path("stdout"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int saved = fcntl(1, F_DUPFD_CLOEXEC, 3), end;
	char text[8] = "";

	(void)state;
	config.console_in = config.console_out = NULL;
	fflush(stdout);
	dup2(file, 1);
	end = rig_run(&config, says_hi, 3);
	dup2(saved, 1);
	close(saved);
	assert_int_equal(end, RUN_POWEROFF);
	assert_int_equal(pread(file, text, sizeof(text), 0), 2);
	assert_string_equal(text, "hi");
	assert_true(fcntl(0, F_GETFD) >= 0);
	close(file);
}

/* The guest turns the receive interrupt on, waits for a byte and reads it. */
static struct fake_kvm_vcpu *vcpu;
static unsigned char byte_seen;

static void wait_for_input(void *arg)
{
	(void)arg;
	fake_kvm_wait_line(rig_kvm->vms_count - 1, 32);
}

static void take_byte(void *arg)
{
	(void)arg;
	byte_seen = (unsigned char)vcpu->reads[1];
}

static void a_console_reads_what_it_is_given(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		GUEST_STORES(UART(0) + UART_IER, 1, 1), { .err = EINTR, .hook = wait_for_input },
		GUEST_LOADS(UART(0) + UART_LSR, 1),     GUEST_LOADS(UART(0), 1),
		{ .err = EINTR, .hook = take_byte },    GUEST_POWERS_OFF,
	};
	struct machine_config config = rig_config();
	char path[128], spec[16];
	int pipe_fds[2];

	(void)state;
	strcpy(path, file_make("in", "Z", 1));
	config.console_in = path;
	vcpu = &rig_kvm->vms[0].vcpus[0];
	assert_int_equal(rig_run(&config, exits, 6), RUN_POWEROFF);
	assert_int_equal(byte_seen, 'Z');

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(write(pipe_fds[1], "Y", 1), 1);
	close(pipe_fds[1]);
	snprintf(spec, sizeof(spec), "fd:%d", pipe_fds[0]);
	config.console_in = spec;
	vcpu = &rig_kvm->vms[1].vcpus[0];
	assert_int_equal(rig_run(&config, exits, 6), RUN_POWEROFF);
	assert_int_equal(byte_seen, 'Y');
	close(pipe_fds[0]);
}

static void consoles_that_cannot_be_are_refused(void **state)
{
	static const struct {
		const char *in, *out;
		int err;
		const char *told;
	} cases[] = {
		{ "/nowhere", NULL, -ENOENT, "cannot open /nowhere for the console: No such" },
		{ NULL, "/nowhere/x", -ENOENT, "cannot open /nowhere/x for the console" },
		{ "/", NULL, -EISDIR, "cannot open / for the console: Is a directory" },
		{ NULL, "/", -EISDIR, "cannot open / for the console: Is a directory" },
		{ "fd:999", NULL, -EBADF, "file descriptor 999 is not open" },
		{ NULL, "fd:999", -EBADF, "file descriptor 999 is not open" },
		{ "fd:", NULL, -EINVAL, "fd: is no file descriptor" },
		{ "fd:x", NULL, -EINVAL, "fd:x is no file descriptor" },
		{ "fd:-1", NULL, -EINVAL, "fd:-1 is no file descriptor" },
		{ "fd: 0", NULL, -EINVAL, "is no file descriptor" },
		{ "fd:0x", NULL, -EINVAL, "is no file descriptor" },
		{ "fd:4294967296", NULL, -EINVAL, "is no file descriptor" },
		{ "fd:99999999999999999999", NULL, -EINVAL, "is no file descriptor" },
		{ NULL, "READ-ONLY", -EBADF, "is not open for writing" },
		{ "WRITE-ONLY", NULL, -EBADF, "is not open for reading" },
	};
	char read_only[16], write_only[16];
	int null_in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int null_out = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	snprintf(read_only, sizeof(read_only), "fd:%d", null_in);
	snprintf(write_only, sizeof(write_only), "fd:%d", null_out);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine_config config = rig_config();
		int err;

		if (cases[i].in)
			config.console_in = *cases[i].in == 'W' ? write_only : cases[i].in;
		if (cases[i].out)
			config.console_out = *cases[i].out == 'R' ? read_only : cases[i].out;
		stderr_keep();
		err = rig_run(&config, NULL, 0);
		assert_reported(cases[i].told);
		assert_int_equal(err, cases[i].err);
		assert_true(fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0);
	}
	close(null_in);
	close(null_out);
}

static void a_console_whose_reader_is_gone_does_not_end_the_guest(void **state)
{
	struct machine_config config = rig_config();
	char spec[16];
	int pipe_fds[2], end;

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[0]);
	snprintf(spec, sizeof(spec), "fd:%d", pipe_fds[1]);
	config.console_out = spec;
	stderr_keep();
	end = rig_run(&config, says_hi, 3);
	assert_reported("Warning: cannot write what the guest sends to UART 0: Broken pipe");
	assert_int_equal(end, RUN_POWEROFF);
	close(pipe_fds[1]);
}

/* What `lkvm run --tty N` prints is where a user attaches a terminal program. */
static int pty_fd;
static const char *pty_name;

static void read_pty(void *arg)
{
	struct pollfd ready = { .fd = pty_fd, .events = POLLIN };
	char text[8] = "";

	(void)arg;
	if (poll(&ready, 1, 5000) == 1 && read(pty_fd, text, sizeof(text) - 1) == 1)
		byte_seen = (unsigned char)text[0];
	(void)!write(pty_fd, "b", 1);
	fake_kvm_wait_line(0, 34);
}

static void take_pty_byte(void *arg)
{
	(void)arg;
	byte_seen = (unsigned char)(byte_seen << 4 ^ (unsigned char)vcpu->reads[0]);
}

static void uarts_may_have_a_pty_each(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		GUEST_STORES(UART(2) + UART_IER, 1, 1),  GUEST_STORES(UART(2), 'a', 1),
		{ .err = EINTR, .hook = read_pty },      GUEST_LOADS(UART(2), 1),
		{ .err = EINTR, .hook = take_pty_byte }, GUEST_POWERS_OFF,
	};
	struct machine_config config = rig_config();
	struct machine *machine;
	char told[256], *name;

	(void)state;
	config.tty[0] = config.tty[2] = true;
	stderr_keep();
	assert_int_equal(machine_create(&machine, &config), 0);
	strcpy(told, stderr_text());
	assert_non_null(strstr(told, "  Info: Assigned terminal 0 to pty /dev/pts/"));
	name = strstr(told, "  Info: Assigned terminal 2 to pty /dev/pts/");
	assert_non_null(name);
	pty_name = strtok(strrchr(name, ' ') + 1, "\n");
	pty_fd = open(pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(pty_fd >= 0);
	vcpu = &rig_kvm->vms[0].vcpus[0];
	byte_seen = 0;
	fake_kvm_play(0, exits, 6);
	assert_int_equal(machine_run(machine), RUN_POWEROFF);
	machine_destroy(machine);
	assert_int_equal(byte_seen, (unsigned char)('a' << 4 ^ 'b'));
	close(pty_fd);
}

/* --- the terminal that lkvm runs on --- */

static bool is_raw(int fd)
{
	struct termios attributes;

	return tcgetattr(fd, &attributes) == 0 && !(attributes.c_lflag & (ICANON | ECHO | ISIG));
}

static int raw_while_running, cooked_output;

static void see_terminal(void *arg)
{
	struct termios attributes;

	(void)arg;
	raw_while_running = is_raw(0);
	tcgetattr(0, &attributes);
	cooked_output = attributes.c_oflag & OPOST ? 1 : 0;
}

static void send_term(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static void take_terminal(void)
{
	signal(SIGTTOU, SIG_IGN);
	setpgid(0, 0);
	tcsetpgrp(0, getpid());
	signal(SIGTTOU, SIG_DFL);
}

static void give_terminal_away(void *arg)
{
	pid_t other = fork();

	if (!other) {
		take_terminal();
		_exit(0);
	}
	waitpid(other, NULL, 0);
	see_terminal(arg);
}

#define STILL_RAW 8
#define STOPPED   64

/* What was wrong, bit by bit. */
static int run_as_job(const struct fake_kvm_exit *exits, size_t count, int wanted_end,
		      bool background)
{
	struct machine_config config = rig_config();
	int wrong = is_raw(0) ? 1 : 0;

	if (background)
		setpgid(0, 0);
	else
		take_terminal();
	config.console_in = NULL;
	wrong |= rig_run(&config, exits, count) == wanted_end ? 0 : 2;
	wrong |= raw_while_running == !background ? 0 : 4;
	wrong |= is_raw(0) ? STILL_RAW : 0;
	return wrong | (cooked_output ? 0 : 16);
}

/* On a terminal of its own, as the job of a shell, which has the terminal while no job in the foreground does. */
static int run_on_terminal(const struct fake_kvm_exit *exits, size_t count, int wanted_end,
			   bool background)
{
	int master, status;
	pid_t shell = forkpty(&master, NULL, NULL, NULL);

	assert_true(shell >= 0);
	if (!shell) {
		pid_t job = fork();

		if (!job)
			_exit(run_as_job(exits, count, wanted_end, background));
		waitpid(job, &status, WUNTRACED);
		if (WIFSTOPPED(status))
			kill(job, SIGKILL);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : STOPPED);
	}
	assert_int_equal(waitpid(shell, &status, 0), shell);
	close(master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_terminal_is_raw_while_the_guest_runs_and_no_longer(void **state)
{
	static const struct fake_kvm_exit ends[][2] = {
		{ { .err = EINTR, .hook = see_terminal }, GUEST_POWERS_OFF },
		{ { .err = EINTR, .hook = see_terminal }, { .reason = KVM_EXIT_UNKNOWN } },
		{ { .err = EINTR, .hook = see_terminal }, { .wait = true, .hook = send_term } },
	};

	(void)state;
	assert_int_equal(run_on_terminal(ends[0], 2, RUN_POWEROFF, false), 0);
	assert_int_equal(run_on_terminal(ends[1], 2, RUN_CRASH, false), 0);
	assert_int_equal(run_on_terminal(ends[2], 2, RUN_SIGNAL + SIGTERM, false), 0);
}

/* Changing the mode of a terminal that is another's would stop the process. */
static void a_background_job_leaves_the_terminal_alone(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .err = EINTR, .hook = see_terminal },
						      GUEST_POWERS_OFF };

	(void)state;
	assert_int_equal(run_on_terminal(exits, 2, RUN_POWEROFF, true), 0);
}

/* Stopped, and gone on in the background: by now the terminal is in the mode that its new owner wants. */
static void a_terminal_that_is_anothers_by_now_is_left_alone(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .err = EINTR, .hook = give_terminal_away },
						      GUEST_POWERS_OFF };

	(void)state;
	assert_int_equal(run_on_terminal(exits, 2, RUN_POWEROFF, false), STILL_RAW);
}

/* Ctrl-a x, typed on the terminal. */
static void type_escape(void *arg)
{
	(void)arg;
	(void)!write(pty_fd, "\x01x", 2);
}

static void ctrl_a_x_ends_the_run(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .wait = true, .hook = type_escape } };
	struct machine_config config = rig_config();
	int pipe_fds[2], saved = fcntl(0, F_DUPFD_CLOEXEC, 3), end;

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	config.console_in = NULL;
	pty_fd = pipe_fds[1];
	dup2(pipe_fds[0], 0);
	end = rig_run(&config, exits, 1);
	dup2(saved, 0);
	close(saved);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_int_equal(end, RUN_QUIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_rig_setup, machine_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_console_writes_where_it_is_told),
		TEST(stdio_is_the_console_where_nothing_else_is_said),
		TEST(a_virtio_console_comes_and_goes_with_the_machine),
		TEST(a_console_reads_what_it_is_given),
		TEST(consoles_that_cannot_be_are_refused),
		TEST(a_console_whose_reader_is_gone_does_not_end_the_guest),
		TEST(uarts_may_have_a_pty_each),
		TEST(a_terminal_is_raw_while_the_guest_runs_and_no_longer),
		TEST(a_background_job_leaves_the_terminal_alone),
		TEST(a_terminal_that_is_anothers_by_now_is_left_alone),
		TEST(ctrl_a_x_ends_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

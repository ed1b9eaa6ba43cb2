// SPDX-License-Identifier: GPL-2.0-only
/* How a run ends, how it is restarted, and that nothing outlives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/vfio.h>
#include "machine_rig.h"

static const struct fake_kvm_exit power_off[] = { GUEST_POWERS_OFF };

static uint64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void send_term(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static void send_hup(void *arg)
{
	(void)arg;
	kill(getpid(), SIGHUP);
}

static void send_int(void *arg)
{
	(void)arg;
	kill(getpid(), SIGINT);
}

static void each_end_is_told_apart(void **state)
{
	static const struct {
		struct fake_kvm_exit exits[2];
		int end;
	} cases[] = {
		{ { GUEST_POWERS_OFF }, RUN_POWEROFF },
		{ { GUEST_RESETS }, RUN_RESET },
		{ { GUEST_STORES(MAP_PVPANIC_BASE, 1, 1), GUEST_POWERS_OFF }, RUN_PANIC },
		{ { GUEST_STORES(MAP_PVPANIC_BASE, 2, 1), GUEST_POWERS_OFF }, RUN_POWEROFF },
		{ { { .reason = KVM_EXIT_INTERNAL_ERROR } }, RUN_CRASH },
		{ { { .err = ENOMEM } }, RUN_HOST_ERROR },
		{ { { .wait = true, .hook = send_term } }, RUN_SIGNAL + SIGTERM },
		{ { { .wait = true, .hook = send_hup } }, RUN_SIGNAL + SIGHUP },
		{ { { .wait = true, .hook = send_int } }, RUN_SIGNAL + SIGINT },
	};
	struct machine_config config = rig_config();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int end;

		rig_kvm = fake_kvm_begin();
		stderr_keep();
		end = rig_run(&config, cases[i].exits, 2);
		stderr_text();
		assert_int_equal(end, cases[i].end);
	}
}

static void a_time_limit_ends_the_run(void **state)
{
	struct machine_config config = rig_config();
	uint64_t start = milliseconds();

	(void)state;
	config.timeout = 1;
	config.restart_on_reset = true;
	assert_int_equal(rig_run(&config, NULL, 0), RUN_TIMEOUT);
	assert_in_range(milliseconds() - start, 990, 5000);
}

/* --- the report on interrupts --- */

static void send_usr1(void *arg)
{
	(void)arg;
	kill(getpid(), SIGUSR1);
}

static void usr1_writes_the_report_and_the_run_goes_on(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .hook = send_usr1, .wait = true } };
	struct machine_config config = rig_config();
	const char *path = file_path("report.json");

	(void)state;
	config.irq_report = path;
	config.timeout = 1;
	assert_int_equal(rig_run(&config, exits, 1), RUN_TIMEOUT);
	assert_int_equal(access(path, R_OK), 0);
	assert_int_equal(vfio_irqs_print(path, stdout), 0);
}

static void a_report_that_cannot_be_written_is_said_before_the_guest_starts(void **state)
{
	struct machine_config config = rig_config();

	(void)state;
	config.irq_report = "/nowhere/report.json";
	stderr_keep();
	assert_int_equal(rig_run(&config, NULL, 0), -ENOENT);
	assert_reported("cannot write the report on interrupts to /nowhere/report.json");
	config.irq_report = "/dev/full";
	config.timeout = 1;
	stderr_keep();
	assert_int_equal(rig_run(&config, NULL, 0), -ENOSPC);
	assert_reported("cannot write the report on interrupts to /dev/full");
}

/* --- signals at bad moments --- */

static void term_when_ready(unsigned long request)
{
	if (request == KVM_SET_ONE_REG)
		kill(getpid(), SIGTERM);
}

static void a_signal_between_boot_and_start_is_not_lost(void **state)
{
	struct machine_config config = rig_config();

	(void)state;
	rig_kvm->asked = term_when_ready;
	assert_int_equal(rig_run(&config, NULL, 0), RUN_SIGNAL + SIGTERM);
}

/* The guest resets at once, each time, for as long as it is let. */
static void a_guest_that_resets_all_the_time_can_be_ended(void **state)
{
	static struct fake_kvm_exit resets[100];
	struct machine_config config = rig_config();

	(void)state;
	for (size_t i = 0; i < 100; i++)
		resets[i] = (struct fake_kvm_exit)GUEST_RESETS;
	resets[10].hook = send_term;
	config.restart_on_reset = true;
	assert_int_equal(rig_run(&config, resets, 100), RUN_SIGNAL + SIGTERM);
	assert_in_range(rig_kvm->vms_count, 11, 12);
}

static void a_signal_that_was_ignored_stays_so(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .err = EINTR, .hook = send_hup },
						      { .err = EINTR, .hook = send_int },
						      GUEST_POWERS_OFF };
	struct machine_config config = rig_config();

	(void)state;
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	assert_int_equal(rig_run(&config, exits, 3), RUN_POWEROFF);
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
}

static int full_pipe[2];

/* Its console writes to a pipe that nobody reads; by the time the signal comes it sleeps in write(). */
static void *term_soon(void *arg)
{
	(void)arg;
	usleep(50000);
	kill(getpid(), SIGTERM);
	return NULL;
}

static void a_guest_whose_console_is_stuck_can_be_ended(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_STORES(MAP_UART_BASE, 'x', 1) };
	struct machine_config config = rig_config();
	char page[4096] = { 0 }, out[16];
	pthread_t thread;
	uint64_t start;
	sigset_t term;

	(void)state;
	assert_int_equal(pipe2(full_pipe, O_CLOEXEC), 0);
	fcntl(full_pipe[1], F_SETFL, O_NONBLOCK);
	while (write(full_pipe[1], page, sizeof(page)) > 0)
		;
	fcntl(full_pipe[1], F_SETFL, 0);
	snprintf(out, sizeof(out), "fd:%d", full_pipe[1]);
	config.console_out = out;
	start = milliseconds();
	/* As machine_run() does, but for threads that are there already, too. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	pthread_create(&thread, NULL, term_soon, NULL);
	assert_int_equal(rig_run(&config, exits, 1), RUN_SIGNAL + SIGTERM);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	assert_in_range(milliseconds() - start, 0, 5000);
	close(full_pipe[0]);
	close(full_pipe[1]);
}

/* --- restarts --- */

static unsigned descriptors[100], started;
static uint64_t entries[100];
static char ram_was[100];

static void note_start(void *arg)
{
	(void)arg;
	descriptors[started] = rig_descriptors();
	entries[started] = rig_pc(started);
	ram_was[started] = *(char *)rig_memory(started, RIG_ENTRY);
	*(char *)rig_memory(started, RIG_ENTRY) = 'X'; /* the guest writes over its kernel */
	started++;
}

static void a_hundred_resets_leak_nothing_and_start_alike(void **state)
{
	static struct fake_kvm_exit resets[100];
	struct machine_config config = rig_config();

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		resets[i] = (struct fake_kvm_exit)GUEST_RESETS;
		resets[i].hook = note_start;
	}
	resets[99].event = KVM_SYSTEM_EVENT_SHUTDOWN;
	started = 0;
	config.cpus = 2;
	config.restart_on_reset = true;
	assert_int_equal(rig_run(&config, resets, 100), RUN_POWEROFF);
	assert_int_equal(started, 100);
	assert_int_equal(rig_kvm->vms_count, 100);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(descriptors[i], descriptors[0]);
		assert_int_equal(entries[i], RIG_ENTRY);
		assert_int_equal(ram_was[i], 'g');
	}
}

static void a_reset_ends_the_run_unless_a_restart_is_asked_for(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_RESETS, GUEST_POWERS_OFF };
	struct machine_config config = rig_config();

	(void)state;
	assert_int_equal(rig_run(&config, exits, 2), RUN_RESET);
	assert_int_equal(rig_kvm->vms_count, 1);
}

static void a_restart_that_fails_ends_the_run(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_RESETS, GUEST_RESETS,
						      GUEST_POWERS_OFF };
	struct machine_config config = rig_config();
	int end;

	(void)state;
	config.restart_on_reset = true;
	fake_kvm_fail(KVM_CREATE_VM, EMFILE, 2, 1);
	stderr_keep();
	end = rig_run(&config, exits, 3);
	assert_reported("KVM_CREATE_VM failed: Too many open files");
	assert_int_equal(end, -EMFILE);
}

/* vCPU 1 hits a host's fault while vCPU 0's reset has ended the loop and all are being stopped. */
static atomic_bool entered;

static void wait_for_vcpu_1(void *arg)
{
	(void)arg;
	while (!atomic_load(&entered))
		usleep(1000);
}

static void wait_for_stop(void *arg)
{
	struct kvm_run *run = rig_kvm->vms[0].vcpus[1].run;

	(void)arg;
	atomic_store(&entered, true);
	while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_RELAXED))
		usleep(1000);
}

static void a_host_error_is_not_lost_to_a_restart(void **state)
{
	static const struct fake_kvm_exit resets[] = { { .err = EINTR, .hook = wait_for_vcpu_1 },
						       GUEST_RESETS,
						       GUEST_POWERS_OFF };
	static const struct fake_kvm_exit fails[] = { { .err = ENOMEM, .hook = wait_for_stop } };
	struct machine_config config = rig_config();
	int end;

	(void)state;
	atomic_store(&entered, false);
	config.cpus = 2;
	config.restart_on_reset = true;
	fake_kvm_play(1, fails, 1);
	stderr_keep();
	end = rig_run(&config, resets, 3);
	assert_reported("vCPU 1: KVM_RUN failed: Cannot allocate memory");
	assert_int_equal(end, RUN_HOST_ERROR);
	assert_int_equal(rig_kvm->vms_count, 1);
}

static void a_vcpu_that_does_not_start_stops_the_others(void **state)
{
	struct vcpu_affinity affinity = { .vcpu = 1 };
	struct machine_config config = rig_config();
	int end;

	(void)state;
	CPU_SET(CPU_SETSIZE - 1, &affinity.cpus);
	config.cpus = 3;
	config.affinity = &affinity;
	config.affinity_count = 1;
	stderr_keep();
	end = rig_run(&config, NULL, 0);
	assert_reported("vCPU 1: --vcpu-affinity names no CPU that this process may use");
	assert_int_equal(end, -EINVAL);
}

static cpu_set_t seen[3];
static atomic_uint looked;

static void see_affinity(void *arg)
{
	sched_getaffinity(0, sizeof(seen[0]), arg);
	atomic_fetch_add(&looked, 1);
}

static void term_when_all_have_looked(void *arg)
{
	while (atomic_load(&looked) < 3)
		usleep(1000);
	send_term(arg);
}

/* "1=LIST" counts for vCPU 1, LIST for the others; the last of each kind. */
static void each_vcpu_gets_its_own_affinity(void **state)
{
	static const struct fake_kvm_exit looks[][1] = {
		{ { .err = EINTR, .hook = see_affinity, .arg = &seen[1] } },
		{ { .err = EINTR, .hook = see_affinity, .arg = &seen[2] } },
	};
	static const struct fake_kvm_exit exits[] = {
		{ .err = EINTR, .hook = see_affinity, .arg = &seen[0] },
		{ .wait = true, .hook = term_when_all_have_looked },
	};
	struct vcpu_affinity affinity[4] = {
		{ .vcpu = -1 }, { .vcpu = 1 }, { .vcpu = -1 }, { .vcpu = 1 }
	};
	struct machine_config config = rig_config();
	cpu_set_t mine;
	int cpu = 0, last = CPU_SETSIZE - 1;

	(void)state;
	atomic_store(&looked, 0);
	sched_getaffinity(0, sizeof(mine), &mine);
	while (!CPU_ISSET(cpu, &mine))
		cpu++;
	while (!CPU_ISSET(last, &mine))
		last--;
	affinity[0].cpus = affinity[1].cpus = mine;
	CPU_SET(cpu, &affinity[2].cpus);
	CPU_SET(last, &affinity[3].cpus);
	config.cpus = 3;
	config.affinity = affinity;
	config.affinity_count = 4;
	fake_kvm_play(1, looks[0], 1);
	fake_kvm_play(2, looks[1], 1);
	assert_int_equal(rig_run(&config, exits, 2), RUN_SIGNAL + SIGTERM);
	assert_true(CPU_EQUAL(&seen[0], &affinity[2].cpus));
	assert_true(CPU_EQUAL(&seen[1], &affinity[3].cpus));
	assert_true(CPU_EQUAL(&seen[2], &affinity[2].cpus));
}

/* --- several in one process --- */

static void two_machines_live_in_one_process(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_STORES(MAP_UART_BASE, '1', 1),
						      GUEST_POWERS_OFF,
						      GUEST_STORES(MAP_UART_BASE, '2', 1),
						      GUEST_RESETS };
	struct machine_config one = rig_config(), other = rig_config();
	struct machine *machine, *another;
	char path[128];

	(void)state;
	strcpy(path, file_path("other"));
	other.console_out = path;
	other.ram_base = SZ_4G;
	other.ram_size = 128 * SZ_1M;
	other.irqchip = IRQCHIP_GICV2M;
	fake_kvm_play(0, exits, 4);
	assert_int_equal(machine_create(&machine, &one), 0);
	assert_int_equal(machine_create(&another, &other), 0);
	assert_int_equal(machine_run(machine), RUN_POWEROFF);
	machine_destroy(machine);
	assert_int_equal(machine_run(another), RUN_RESET);
	machine_destroy(another);
	assert_string_equal(rig_console(), "1");
	assert_int_equal(rig_kvm->vms[0].gic_type, KVM_DEV_TYPE_ARM_VGIC_V3);
	assert_int_equal(rig_kvm->vms[1].gic_type, KVM_DEV_TYPE_ARM_VGIC_V2);
	assert_int_equal(rig_pc(0), RIG_ENTRY);
	assert_int_equal(rig_pc(1), SZ_4G + 0x80000);
}

static void *run_one(void *arg)
{
	struct machine *machine;
	uintptr_t failed = machine_create(&machine, arg) != 0;

	if (!failed) {
		failed = machine_run(machine) != RUN_POWEROFF;
		machine_destroy(machine);
	}
	return (void *)failed;
}

static void two_machines_run_at_once(void **state)
{
	struct machine_config one = rig_config(), other = rig_config();
	pthread_t thread;
	void *failed;

	(void)state;
	other.console_out = "/dev/null";
	fake_kvm_play(0, power_off, 1);
	fake_kvm_play(0, power_off, 1);
	assert_int_equal(pthread_create(&thread, NULL, run_one, &other), 0);
	assert_null(run_one(&one));
	pthread_join(thread, &failed);
	assert_null(failed);
	signal(SIGPIPE, SIG_DFL); /* is the process's: each put back what it found, in some order */
	signal(SIGXFSZ, SIG_DFL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_rig_setup, machine_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_end_is_told_apart),
		TEST(a_time_limit_ends_the_run),
		TEST(a_signal_between_boot_and_start_is_not_lost),
		TEST(a_guest_that_resets_all_the_time_can_be_ended),
		TEST(a_signal_that_was_ignored_stays_so),
		TEST(a_guest_whose_console_is_stuck_can_be_ended),
		TEST(a_hundred_resets_leak_nothing_and_start_alike),
		TEST(a_reset_ends_the_run_unless_a_restart_is_asked_for),
		TEST(a_restart_that_fails_ends_the_run),
		TEST(a_host_error_is_not_lost_to_a_restart),
		TEST(a_vcpu_that_does_not_start_stops_the_others),
		TEST(each_vcpu_gets_its_own_affinity),
		TEST(two_machines_live_in_one_process),
		TEST(two_machines_run_at_once),
		TEST(usr1_writes_the_report_and_the_run_goes_on),
		TEST(a_report_that_cannot_be_written_is_said_before_the_guest_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

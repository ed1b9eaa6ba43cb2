// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's thread: what each exit leads to, and that it can always be stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/report.h>
#include <lkvm/vcpu.h>
#include "fake_kvm.h"
#include "files.h"

#define DEVICE 0x1000000ULL

static struct fake_kvm *kvm;
static struct fake_kvm_vcpu *fake_vcpus;
static struct kvm_host host;
static struct vm vm;
static struct mmio_bus mmio;
static struct loop loop;
static struct vcpu vcpus[2];

static int setup(void **state)
{
	static const struct vcpu_features features = { 0 };

	kvm = fake_kvm_begin();
	fake_vcpus = kvm->vms[0].vcpus;
	if (files_setup(state) || kvm_host_open(&host) || vm_create(&vm, &host, 40) ||
	    mmio_bus_create(&mmio) || loop_create(&loop) || vcpu_signal_setup())
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		if (vcpu_create(&vcpus[i], &vm, i, &features))
			return -1;
		vcpus[i].mmio = &mmio;
		vcpus[i].loop = &loop;
	}
	return 0;
}

static int teardown(void **state)
{
	int left;

	for (unsigned i = 0; i < 2; i++)
		vcpu_destroy(&vcpus[i]);
	loop_destroy(&loop);
	mmio_bus_destroy(&mmio);
	vm_destroy(&vm);
	kvm_host_close(&host);
	left = fake_kvm_end();
	return files_teardown(state) ? -1 : left;
}

static void stop(struct vcpu *vcpu)
{
	vcpu_request_stop(vcpu);
	vcpu_join(vcpu);
}

/* Runs vCPU 0 to the end of the guest. */
static int run(void)
{
	int end;

	assert_int_equal(vcpu_start(&vcpus[0]), 0);
	end = loop_run(&loop);
	stop(&vcpus[0]);
	return end;
}

static uint64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- exits --- */

static void each_exit_ends_the_run_as_documented(void **state)
{
	static const struct {
		struct fake_kvm_exit exit;
		int end;
		const char *told; /* NULL: nothing */
	} cases[] = {
		{ GUEST_POWERS_OFF, RUN_POWEROFF, NULL },
		{ GUEST_RESETS, RUN_RESET, NULL },
		{ { .reason = KVM_EXIT_SYSTEM_EVENT, .event = KVM_SYSTEM_EVENT_CRASH },
		  RUN_CRASH,
		  "KVM_SYSTEM_EVENT_CRASH" },
		{ { .reason = KVM_EXIT_SYSTEM_EVENT, .event = 77 },
		  RUN_CRASH,
		  "unknown system event 77" },
		{ { .reason = KVM_EXIT_INTERNAL_ERROR, .event = 3 },
		  RUN_CRASH,
		  "vCPU 0 at 0x1234: KVM_EXIT_INTERNAL_ERROR, suberror 3" },
		{ { .reason = KVM_EXIT_FAIL_ENTRY, .event = 9 },
		  RUN_CRASH,
		  "cannot be entered: KVM_EXIT_FAIL_ENTRY, reason 0x9" },
		{ { .reason = KVM_EXIT_UNKNOWN }, RUN_CRASH, "at 0x1234: KVM exit 0, which" },
		{ { .reason = KVM_EXIT_DEBUG }, RUN_CRASH, "KVM exit 4, which lkvm does not know" },
		{ { .reason = 9999 }, RUN_CRASH, "KVM exit 9999" },
		{ { .err = EFAULT }, RUN_CRASH, "at 0x1234 touched memory that the host cannot" },
		{ { .err = ENOSYS }, RUN_CRASH, "at 0x1234: KVM_RUN failed: Function not impl" },
		{ { .err = EINVAL }, RUN_CRASH, "KVM_RUN failed: Invalid argument" },
		{ { .err = ENOMEM }, RUN_HOST_ERROR, "KVM_RUN failed: Cannot allocate memory" },
	};
	static const struct vcpu_features features = { 0 };

	(void)state;
	assert_int_equal(vcpu_set_entry(&vcpus[0], &features, 0x1234, 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int end;

		loop_rewind(&loop);
		fake_kvm_play(0, &cases[i].exit, 1);
		stderr_keep();
		end = run();
		if (cases[i].told)
			assert_reported(cases[i].told);
		else
			assert_string_equal(stderr_text(), "");
		assert_int_equal(end, cases[i].end);
	}
}

static void interruptions_do_not_end_the_run(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		{ .err = EINTR }, { .err = EAGAIN }, { .reason = KVM_EXIT_INTR }, GUEST_POWERS_OFF
	};

	(void)state;
	fake_kvm_play(0, exits, 4);
	assert_int_equal(run(), RUN_POWEROFF);
	assert_int_equal(fake_vcpus[0].runs, 4);
}

static void an_access_that_kvm_cannot_decode_gets_an_abort_and_the_guest_goes_on(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		{ .reason = KVM_EXIT_ARM_NISV, .address = 0x3ff00000 },
		{ .reason = KVM_EXIT_ARM_NISV, .address = 0x3ff00000 },
		{ .reason = KVM_EXIT_ARM_NISV, .address = 0x40000000 },
		GUEST_POWERS_OFF,
	};
	int end;

	(void)state;
	fake_kvm_play(0, exits, 4);
	stderr_keep();
	end = run();
	assert_reported("accesses 0x3ff00000 in a way that cannot be emulated");
	assert_int_equal(end, RUN_POWEROFF);
	assert_int_equal(fake_vcpus[0].aborts, 3);
}

static void an_abort_that_cannot_be_given_is_the_hosts_fault(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .reason = KVM_EXIT_ARM_NISV },
						      GUEST_POWERS_OFF };
	const char *told;
	int end;

	(void)state;
	report_set_level(LOG_ERR);
	fake_kvm_play(0, exits, 2);
	fake_kvm_fail(KVM_SET_VCPU_EVENTS, EINVAL, 0, 1);
	stderr_keep();
	end = run();
	told = stderr_text();
	report_set_level(LOG_WARNING);
	assert_string_equal(told, "  Fatal: KVM_SET_VCPU_EVENTS failed: Invalid argument\n");
	assert_int_equal(end, RUN_HOST_ERROR);
}

/* --- MMIO --- */

struct probe {
	struct mmio_region region;
	uint64_t offset[8], value[8];
	unsigned size[8], writes;
};

static uint64_t probe_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)size;
	return 0x8877665544332211ULL + offset;
}

static void probe_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct probe *probe = device;
	unsigned n = probe->writes++;

	probe->offset[n] = offset;
	probe->size[n] = size;
	probe->value[n] = value;
}

static const struct mmio_ops probe_ops = { probe_read, probe_write };

static void put_on_bus(struct probe *probe, const struct mmio_ops *ops)
{
	probe->region = (struct mmio_region){ "probe", DEVICE, 0x100, ops, probe };
	assert_int_equal(mmio_bus_add(&mmio, &probe->region), 0);
}

static void loads_and_stores_reach_the_bus_in_their_size(void **state)
{
	static const struct fake_kvm_exit exits[] = {
		GUEST_STORES(DEVICE, 0x1122334455667788, 8),
		GUEST_STORES(DEVICE + 4, 0x11223344, 4),
		GUEST_STORES(DEVICE + 2, 0x1122, 2),
		GUEST_STORES(DEVICE + 1, 0x11, 1),
		GUEST_LOADS(DEVICE, 8),
		GUEST_LOADS(DEVICE, 4),
		GUEST_LOADS(DEVICE, 2),
		GUEST_LOADS(DEVICE + 1, 1),
		GUEST_LOADS(DEVICE + 0xff, 4), /* straddles the region's end */
		GUEST_LOADS(DEVICE - 1, 1),
		GUEST_STORES(DEVICE + 0x100, 1, 1),
		GUEST_POWERS_OFF,
	};
	static const uint64_t stored[] = { 0x1122334455667788, 0x11223344, 0x1122, 0x11 };
	static const uint64_t loaded[] = { 0x8877665544332211, 0x44332211, 0x2211, 0x12, 0, 0 };
	struct probe probe = { 0 };

	(void)state;
	put_on_bus(&probe, &probe_ops);
	fake_kvm_play(0, exits, sizeof(exits) / sizeof(exits[0]));
	assert_int_equal(run(), RUN_POWEROFF);
	assert_int_equal(probe.writes, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(probe.value[i], stored[i]);
		assert_int_equal(probe.size[i], 8u >> i);
	}
	assert_int_equal(fake_vcpus[0].reads_count, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fake_vcpus[0].reads[i], loaded[i]);
}

/* --- stopping --- */

static void assert_stops_at_once(struct vcpu *vcpu)
{
	uint64_t start = milliseconds();

	stop(vcpu);
	assert_false(vcpu->started);
	assert_in_range(milliseconds() - start, 0, 5000);
	assert_int_equal(loop_ended(&loop), RUN_GOES_ON);
}

static void a_guest_that_never_exits_is_stopped(void **state)
{
	(void)state;
	assert_int_equal(vcpu_start(&vcpus[0]), 0);
	while (!__atomic_load_n(&fake_vcpus[0].runs, __ATOMIC_RELAXED))
		usleep(1000);
	assert_stops_at_once(&vcpus[0]);
}

static void a_stop_right_after_the_start_is_not_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(vcpu_start(&vcpus[0]), 0);
		assert_stops_at_once(&vcpus[0]);
	}
}

static void a_stopped_guest_goes_on_where_it_was(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_WAITS, GUEST_LOADS(DEVICE, 4),
						      GUEST_POWERS_OFF };
	struct probe probe = { 0 };

	(void)state;
	put_on_bus(&probe, &probe_ops);
	fake_kvm_play(0, exits, 3);
	assert_int_equal(vcpu_start(&vcpus[0]), 0);
	while (!__atomic_load_n(&fake_vcpus[0].runs, __ATOMIC_RELAXED))
		usleep(1000);
	assert_stops_at_once(&vcpus[0]);
	assert_int_equal(run(), RUN_POWEROFF);
	assert_int_equal(fake_vcpus[0].reads[0], 0x44332211);
}

static void what_was_not_started_is_left_alone(void **state)
{
	(void)state;
	vcpu_request_stop(&vcpus[1]);
	vcpu_join(&vcpus[1]);
	assert_int_equal(vcpus[1].run->immediate_exit, 0);
	assert_false(vcpus[1].stop);
}

/* As the UART does: the guest's output goes to a pipe that nobody reads. */
static int full_pipe[2];

static void write_to_pipe(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	char byte = (char)value;

	(void)offset;
	(void)size;
	__atomic_fetch_add(&((struct probe *)device)->writes, 1, __ATOMIC_RELAXED);
	assert_int_equal(write(full_pipe[1], &byte, 1), -1);
	assert_int_equal(errno, EINTR);
}

static void fill_pipe(void)
{
	char page[4096] = { 0 };

	assert_int_equal(pipe2(full_pipe, O_CLOEXEC), 0);
	fcntl(full_pipe[1], F_SETFL, O_NONBLOCK);
	while (write(full_pipe[1], page, sizeof(page)) > 0)
		;
	fcntl(full_pipe[1], F_SETFL, 0);
}

static void a_vcpu_that_writes_to_a_full_pipe_is_stopped(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_STORES(DEVICE, 'x', 1) };
	static const struct mmio_ops ops = { probe_read, write_to_pipe };
	struct probe probe = { 0 };

	(void)state;
	fill_pipe();
	put_on_bus(&probe, &ops);
	fake_kvm_play(0, exits, 1);
	assert_int_equal(vcpu_start(&vcpus[0]), 0);
	while (!__atomic_load_n(&probe.writes, __ATOMIC_RELAXED))
		usleep(1000);
	usleep(5000);
	assert_stops_at_once(&vcpus[0]);
	close(full_pipe[0]);
	close(full_pipe[1]);
}

/* The first kick comes while the device computes, just before its write blocks. */
static void write_after_the_kick(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	while (!atomic_load(&vcpus[0].stop))
		;
	poll(NULL, 0, 5);
	write_to_pipe(device, offset, size, value);
}

static void a_kick_that_came_too_early_is_repeated(void **state)
{
	static const struct fake_kvm_exit exits[] = { GUEST_STORES(DEVICE, 'x', 1) };
	static const struct mmio_ops ops = { probe_read, write_after_the_kick };
	struct probe probe = { 0 };

	(void)state;
	fill_pipe();
	put_on_bus(&probe, &ops);
	fake_kvm_play(0, exits, 1);
	assert_int_equal(vcpu_start(&vcpus[0]), 0);
	while (!__atomic_load_n(&fake_vcpus[0].runs, __ATOMIC_RELAXED))
		usleep(1000);
	assert_stops_at_once(&vcpus[0]);
	assert_int_equal(probe.writes, 1);
	close(full_pipe[0]);
	close(full_pipe[1]);
}

/* A parent may have left every signal blocked, as some launchers do. */
static void a_vcpu_is_stopped_whatever_signals_were_blocked(void **state)
{
	sigset_t all, old;

	(void)state;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	assert_int_equal(vcpu_start(&vcpus[0]), 0);
	while (!__atomic_load_n(&fake_vcpus[0].runs, __ATOMIC_RELAXED))
		usleep(1000);
	usleep(5000);
	assert_stops_at_once(&vcpus[0]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* --- threads --- */

static void two_vcpus_run_at_once_and_the_first_end_counts(void **state)
{
	static const struct fake_kvm_exit loads[] = {
		GUEST_LOADS(DEVICE, 4), GUEST_STORES(0, 0, 4),  GUEST_LOADS(DEVICE, 4),
		GUEST_STORES(0, 0, 4),  GUEST_LOADS(DEVICE, 4), GUEST_STORES(0, 0, 4),
	};
	static const struct fake_kvm_exit off[] = { GUEST_LOADS(DEVICE, 4), GUEST_POWERS_OFF };
	struct probe probe = { 0 };

	(void)state;
	put_on_bus(&probe, &probe_ops);
	for (int round = 0; round < 4; round++)
		fake_kvm_play(0, loads, 6);
	fake_kvm_play(1, off, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vcpu_start(&vcpus[i]), 0);
	assert_int_equal(loop_run(&loop), RUN_POWEROFF);
	for (unsigned i = 0; i < 2; i++)
		vcpu_request_stop(&vcpus[i]);
	for (unsigned i = 0; i < 2; i++)
		vcpu_join(&vcpus[i]);
	assert_int_equal(fake_vcpus[1].reads[0], 0x44332211);
}

static cpu_set_t seen;

static void see_affinity(void *arg)
{
	(void)arg;
	sched_getaffinity(0, sizeof(seen), &seen);
}

static void a_vcpu_stays_on_the_cpus_it_was_given(void **state)
{
	static const struct fake_kvm_exit exits[] = { { .err = EINTR, .hook = see_affinity },
						      GUEST_POWERS_OFF };
	cpu_set_t mine, one;
	int cpu = 0;

	(void)state;
	sched_getaffinity(0, sizeof(mine), &mine);
	while (!CPU_ISSET(cpu, &mine))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	vcpus[0].affinity = &one;
	fake_kvm_play(0, exits, 2);
	assert_int_equal(run(), RUN_POWEROFF);
	assert_true(CPU_EQUAL(&seen, &one));
}

static void cpus_that_are_not_there_are_refused(void **state)
{
	cpu_set_t none;
	int err;

	(void)state;
	CPU_ZERO(&none);
	CPU_SET(CPU_SETSIZE - 1, &none);
	vcpus[0].affinity = &none;
	stderr_keep();
	err = vcpu_start(&vcpus[0]);
	assert_reported("vCPU 0: --vcpu-affinity names no CPU that this process may use");
	assert_int_equal(err, -EINVAL);
	assert_false(vcpus[0].started);
	stop(&vcpus[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_exit_ends_the_run_as_documented),
		TEST(interruptions_do_not_end_the_run),
		TEST(an_access_that_kvm_cannot_decode_gets_an_abort_and_the_guest_goes_on),
		TEST(an_abort_that_cannot_be_given_is_the_hosts_fault),
		TEST(loads_and_stores_reach_the_bus_in_their_size),
		TEST(a_guest_that_never_exits_is_stopped),
		TEST(a_stop_right_after_the_start_is_not_lost),
		TEST(a_stopped_guest_goes_on_where_it_was),
		TEST(what_was_not_started_is_left_alone),
		TEST(a_vcpu_that_writes_to_a_full_pipe_is_stopped),
		TEST(a_kick_that_came_too_early_is_repeated),
		TEST(a_vcpu_is_stopped_whatever_signals_were_blocked),
		TEST(two_vcpus_run_at_once_and_the_first_end_counts),
		TEST(a_vcpu_stays_on_the_cpus_it_was_given),
		TEST(cpus_that_are_not_there_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

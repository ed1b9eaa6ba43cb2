// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's thread: KVM_RUN and what its exits ask for. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>
#include <lkvm/vcpu.h>

#define KICK_SIGNAL    SIGRTMIN
#define FIRST_PAUSE_NS (50 * 1000)
#define LAST_PAUSE_NS  (10 * 1000 * 1000)

static void kicked(int signal)
{
	(void)signal;
}

int vcpu_signal_setup(void)
{
	struct sigaction action = {
		.sa_handler = kicked
	}; /* without SA_RESTART: a blocked write() returns too */

	if (sigaction(KICK_SIGNAL, &action, NULL) < 0)
		return report(-errno, "cannot set up the vCPUs' signal");
	return 0;
}

/* All of data[] moves, whatever the access's size: the bus cuts off what a store does not have, KVM what a load has not. */
static void handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t value = 0;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(run->mmio.data));
		mmio_cache_write(&vcpu->mmio_cache, vcpu->mmio, run->mmio.phys_addr, run->mmio.len,
				 value);
	} else {
		mmio_cache_read(&vcpu->mmio_cache, vcpu->mmio, run->mmio.phys_addr, run->mmio.len,
				&value);
		memcpy(run->mmio.data, &value, sizeof(run->mmio.data));
	}
}

/* A load or store KVM cannot decode: a synchronous external abort, as from a bus that does not know the access. */
static enum run_end handle_nisv(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events = { .exception.ext_dabt_pending = 1 };

	report_once(&vcpu->complained,
		    "vCPU %u: instruction at %#lx accesses %#lx in a way that cannot be emulated; "
		    "it gets an abort",
		    vcpu->index, (unsigned long)vcpu_pc(vcpu),
		    (unsigned long)vcpu->run->arm_nisv.fault_ipa);
	return kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0 ? RUN_HOST_ERROR : RUN_GOES_ON;
}

static enum run_end handle_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return RUN_POWEROFF;
	case KVM_SYSTEM_EVENT_RESET:
		return RUN_RESET;
	case KVM_SYSTEM_EVENT_CRASH:
		refuse(-EFAULT, "the guest crashed, as KVM reports (KVM_SYSTEM_EVENT_CRASH)");
		return RUN_CRASH;
	default:
		refuse(-EFAULT, "the guest crashed: unknown system event %u from KVM",
		       vcpu->run->system_event.type);
		return RUN_CRASH;
	}
}

static enum run_end handle_exit(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu);
		return RUN_GOES_ON;
	case KVM_EXIT_INTR:
		return RUN_GOES_ON;
	case KVM_EXIT_SYSTEM_EVENT:
		return handle_system_event(vcpu);
	case KVM_EXIT_ARM_NISV:
		return handle_nisv(vcpu);
	case KVM_EXIT_INTERNAL_ERROR:
		refuse(-EFAULT,
		       "the guest crashed: vCPU %u at %#lx: KVM_EXIT_INTERNAL_ERROR, suberror %u",
		       vcpu->index, (unsigned long)vcpu_pc(vcpu), run->internal.suberror);
		return RUN_CRASH;
	case KVM_EXIT_FAIL_ENTRY:
		refuse(-EFAULT,
		       "the guest crashed: vCPU %u cannot be entered: KVM_EXIT_FAIL_ENTRY, reason "
		       "%#llx",
		       vcpu->index,
		       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return RUN_CRASH;
	default:
		refuse(-EFAULT,
		       "the guest crashed: vCPU %u at %#lx: KVM exit %u, which lkvm does not know",
		       vcpu->index, (unsigned long)vcpu_pc(vcpu), run->exit_reason);
		return RUN_CRASH;
	}
}

/* KVM_RUN itself fails where the guest touched memory that the host cannot give it, or did what KVM cannot emulate. */
static enum run_end run_failed(struct vcpu *vcpu, int err)
{
	if (err == -EINTR || err == -EAGAIN)
		return RUN_GOES_ON;
	if (err == -ENOMEM) {
		report(err, "vCPU %u: KVM_RUN failed", vcpu->index);
		return RUN_HOST_ERROR;
	}
	if (err == -EFAULT)
		report(err,
		       "the guest crashed: vCPU %u at %#lx touched memory that the host cannot "
		       "provide",
		       vcpu->index, (unsigned long)vcpu_pc(vcpu));
	else
		report(err, "the guest crashed: vCPU %u at %#lx: KVM_RUN failed", vcpu->index,
		       (unsigned long)vcpu_pc(vcpu));
	return RUN_CRASH;
}

/* Whoever started lkvm may have left the signal blocked: KVM_RUN would not see it. */
static void unblock_kicks(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;
	enum run_end end = RUN_GOES_ON;

	unblock_kicks();
	while (end == RUN_GOES_ON && !atomic_load_explicit(&vcpu->stop, memory_order_relaxed)) {
		int err = kvm_call_value(vcpu->fd, KVM_RUN, 0, NULL);

		end = err < 0 ? run_failed(vcpu, err) : handle_exit(vcpu);
	}
	atomic_store(&vcpu->left, true);
	if (end != RUN_GOES_ON)
		loop_end(vcpu->loop, (int)end);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (!err && vcpu->affinity)
		err = pthread_attr_setaffinity_np(&attr, sizeof(*vcpu->affinity), vcpu->affinity);
	vcpu->stop = false;
	vcpu->left = false;
	if (!err)
		err = pthread_create(&vcpu->thread, &attr, vcpu_thread, vcpu);
	pthread_attr_destroy(&attr);
	if (err == EINVAL && vcpu->affinity)
		return refuse(-EINVAL,
			      "vCPU %u: --vcpu-affinity names no CPU that this process may use",
			      vcpu->index);
	if (err)
		return report(-err, "cannot start vCPU %u", vcpu->index);
	vcpu->started = true;
	return 0;
}

static void kick(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void vcpu_request_stop(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	atomic_store(&vcpu->stop, true);
	if (!atomic_load(&vcpu->left))
		kick(vcpu);
}

/* A kick that comes just before a system call blocks is lost on it: kick until the thread has left the guest. */
void vcpu_join(struct vcpu *vcpu)
{
	struct timespec pause = { .tv_nsec = FIRST_PAUSE_NS };

	if (!vcpu->started)
		return;
	while (!atomic_load(&vcpu->left)) {
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < LAST_PAUSE_NS)
			pause.tv_nsec *= 2;
		kick(vcpu);
	}
	pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
	vcpu->run->immediate_exit = 0;
}

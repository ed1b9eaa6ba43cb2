// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/report.h>
#include "machine_rig.h"

#define CORE_U64 (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE)

struct fake_kvm *rig_kvm;

static char kernel[128], console[128];

int machine_rig_setup(void **state)
{
	if (files_setup(state))
		return -1;
	rig_kvm = fake_kvm_begin();
	report_set_level(LOG_WARNING);
	strcpy(kernel, file_make("kernel", "guest code", 10));
	strcpy(console, file_path("console"));
	return 0;
}

/* A machine leaves the process's signals as it found them. */
static int signals_left(void)
{
	struct sigaction pipe, fsize;
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	sigaction(SIGPIPE, NULL, &pipe);
	sigaction(SIGXFSZ, NULL, &fsize);
	if (pipe.sa_handler == SIG_DFL && fsize.sa_handler == SIG_DFL &&
	    !sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGINT) &&
	    !sigismember(&mask, SIGHUP))
		return 0;
	print_error("signals are not what they were\n");
	return -1;
}

int machine_rig_teardown(void **state)
{
	int left = fake_kvm_end() | signals_left();

	return files_teardown(state) | left;
}

struct machine_config rig_config(void)
{
	return (struct machine_config){
		.kernel = kernel,
		.cpus = 1,
		.ram_base = MAP_RAM_BASE,
		.ram_size = RIG_RAM_SIZE,
		.console_in = "/dev/null",
		.console_out = console,
	};
}

const char *rig_console(void)
{
	static char text[4096];
	FILE *file = fopen(console, "r");
	size_t len;

	assert_non_null(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	return text;
}

int rig_run(const struct machine_config *config, const struct fake_kvm_exit *exits, size_t count)
{
	struct machine *machine;
	int end;

	fake_kvm_play(0, exits, count);
	end = machine_create(&machine, config);
	if (end)
		return end;
	end = machine_run(machine);
	machine_destroy(machine);
	return end;
}

void *rig_memory(unsigned vm, uint64_t gpa)
{
	const struct kvm_userspace_memory_region *slots = rig_kvm->vms[vm].slots;

	for (unsigned i = 0; i < FAKE_KVM_SLOTS; i++)
		if (gpa - slots[i].guest_phys_addr < slots[i].memory_size)
			return (uint8_t *)(uintptr_t)slots[i].userspace_addr +
			       (gpa - slots[i].guest_phys_addr);
	return NULL;
}

uint64_t rig_x0(unsigned vm)
{
	return fake_kvm_register(&rig_kvm->vms[vm].vcpus[0], CORE_U64);
}

uint64_t rig_pc(unsigned vm)
{
	return fake_kvm_register(&rig_kvm->vms[vm].vcpus[0], CORE_U64 | 64);
}

unsigned rig_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

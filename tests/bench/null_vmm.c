// SPDX-License-Identifier: GPL-2.0-only
/*
 * null_vmm [-m] CPUS MIB DTB IMAGE [INITRD]: the least that boots an arm64 kernel under KVM, as the limit for whatever
 * a VMM adds. RAM, a vGICv3 with ITS, PSCI by KVM, the kernel, its initrd and a device tree made beforehand
 * (tests/bench/null_dtb). There is no device: a load from any other address gives 0, a store does nothing. It ends when
 * the guest powers off. -m maps kernel and initrd in place of reading them.
 *
 * It shares nothing with lkvm but the kernel's interface, and checks nothing that the kernel does not check for it.
 *
 *	0x0800_0000  GIC distributor, 64 KiB
 *	0x0808_0000  ITS, 128 KiB
 *	0x080a_0000  redistributors, 128 KiB a vCPU
 *	0x8000_0000  RAM: kernel; at 128 MiB the device tree; at 130 MiB the initrd
 */
#include <asm/kvm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SZ_1M 0x100000UL
#define SZ_2M (2 * SZ_1M)

#define GICD_BASE 0x08000000UL
#define ITS_BASE  0x08080000UL
#define GICR_BASE 0x080a0000UL
#define RAM_BASE  0x80000000UL

#define DTB_OFFSET    (128 * SZ_1M)
#define INITRD_OFFSET (130 * SZ_1M)

/* A kernel's header (Documentation/arch/arm64/booting.rst); a flat binary without one goes where kernels used to. */
#define IMAGE_TEXT_OFFSET 8
#define IMAGE_MAGIC_AT    56
#define IMAGE_MAGIC       0x644d5241 /* "ARM\x64" */
#define FLAT_TEXT_OFFSET  0x80000UL

/* KVM_REG_ARM_VGIC_...: count of registers, base, flags, index (Documentation/virt/kvm/devices/arm-vgic-v3.rst). */
#define GICR_REGION(cpus) ((uint64_t)(cpus) << 52 | GICR_BASE)

#define CORE_REG(field)                                                                            \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                                     \
	 (offsetof(struct kvm_regs, field) / sizeof(uint32_t)))

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static int check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "null_vmm: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

#define kvm(fd, request, arg) check(ioctl(fd, request, arg), #request)

/* 2 MiB-aligned and in huge pages, so that KVM maps it in blocks of 2 MiB at stage 2. */
static uint8_t *make_ram(int vm, uint64_t size)
{
	uint8_t *at = mmap(NULL, size + SZ_2M, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = RAM_BASE,
		.memory_size = size,
	};

	check(at == MAP_FAILED ? -1 : 0, "RAM");
	at = (uint8_t *)(((uintptr_t)at + SZ_2M - 1) & ~(SZ_2M - 1));
	madvise(at, size, MADV_HUGEPAGE);
	slot.userspace_addr = (uintptr_t)at;
	kvm(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	return at;
}

static int open_file(const char *path, size_t *size)
{
	int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
	struct stat st;

	check(fstat(fd, &st), path);
	*size = (size_t)st.st_size;
	return fd;
}

static void place(uint8_t *at, const char *path, bool map)
{
	size_t size, done = 0;
	int fd = open_file(path, &size);

	if (map && !((uintptr_t)at & (SZ_2M - 1)))
		check(mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == at
			      ? 0
			      : -1,
		      path);
	else
		while (done < size) {
			ssize_t n = read(fd, at + done, size - done);

			check(n > 0 ? 0 : -1, path);
			done += (size_t)n;
		}
	close(fd);
}

/* Where in RAM the kernel wants to be. */
static uint64_t text_offset(const char *path)
{
	uint8_t header[64] = { 0 };
	uint64_t offset;
	uint32_t magic;
	size_t size;
	int fd = open_file(path, &size);

	check(pread(fd, header, sizeof(header), 0), path);
	close(fd);
	memcpy(&offset, header + IMAGE_TEXT_OFFSET, sizeof(offset));
	memcpy(&magic, header + IMAGE_MAGIC_AT, sizeof(magic));
	return magic == IMAGE_MAGIC ? offset : FLAT_TEXT_OFFSET;
}

static void set_attr(int device, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr set = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)value,
	};

	kvm(device, KVM_SET_DEVICE_ATTR, &set);
}

static int make_device(int vm, uint32_t type)
{
	struct kvm_create_device create = { .type = type };

	kvm(vm, KVM_CREATE_DEVICE, &create);
	return (int)create.fd;
}

/* After the vCPUs: the redistributors are theirs. */
static void make_gic(int vm, unsigned cpus)
{
	uint32_t lines = 64; /* the least, with 32 SPIs: the kernel sets up each */
	uint64_t distributor = GICD_BASE, redistributors = GICR_REGION(cpus), its_base = ITS_BASE;
	int gic = make_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3), its;

	set_attr(gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &lines);
	set_attr(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
	set_attr(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
		 &redistributors);
	set_attr(gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	its = make_device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
	set_attr(its, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &its_base);
	set_attr(its, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

static void make_vcpu(struct vcpu *vcpu, int vm, unsigned index, int run_size)
{
	struct kvm_vcpu_init init;

	vcpu->fd = check(ioctl(vm, KVM_CREATE_VCPU, (unsigned long)index), "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	check(vcpu->run == MAP_FAILED ? -1 : 0, "struct kvm_run");
	kvm(vm, KVM_ARM_PREFERRED_TARGET, &init);
	init.features[0] |= 1U << KVM_ARM_VCPU_PSCI_0_2;
	init.features[0] |= index ? 1U << KVM_ARM_VCPU_POWER_OFF : 0;
	kvm(vcpu->fd, KVM_ARM_VCPU_INIT, &init);
}

static void set_register(const struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	kvm(vcpu->fd, KVM_SET_ONE_REG, &reg);
}

/* Returns when the guest has powered off; any other end is an error. */
static void *run_vcpu(void *opaque)
{
	struct vcpu *vcpu = opaque;
	struct kvm_run *run = vcpu->run;

	for (;;) {
		kvm(vcpu->fd, KVM_RUN, NULL);
		if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0, sizeof(run->mmio.data));
		} else if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT &&
			   run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN) {
			exit(0);
		} else {
			fprintf(stderr, "null_vmm: exit reason %u\n", run->exit_reason);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	bool map = argc > 1 && !strcmp(argv[1], "-m");
	uint64_t entry, size;
	struct vcpu *vcpus;
	int host, vm, run_size;
	unsigned cpus;
	uint8_t *ram;

	argv += map;
	argc -= map;
	cpus = argc >= 5 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	size = argc >= 5 ? strtoul(argv[2], NULL, 10) * SZ_1M : 0;
	if (!cpus || size <= INITRD_OFFSET) {
		fprintf(stderr, "usage: null_vmm [-m] CPUS MIB DTB IMAGE [INITRD]\n");
		return 2;
	}
	host = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = check(ioctl(host, KVM_CREATE_VM, 0UL), "KVM_CREATE_VM");
	run_size = check(ioctl(host, KVM_GET_VCPU_MMAP_SIZE, 0UL), "KVM_GET_VCPU_MMAP_SIZE");
	vcpus = calloc(cpus, sizeof(*vcpus));
	check(vcpus ? 0 : -1, "vCPUs");
	for (unsigned i = 0; i < cpus; i++)
		make_vcpu(&vcpus[i], vm, i, run_size);
	make_gic(vm, cpus);

	ram = make_ram(vm, size);
	entry = text_offset(argv[4]);
	place(ram + entry, argv[4], map);
	place(ram + DTB_OFFSET, argv[3], false);
	if (argc > 5)
		place(ram + INITRD_OFFSET, argv[5], map);

	set_register(&vcpus[0], CORE_REG(regs.pc), RAM_BASE + entry);
	set_register(&vcpus[0], CORE_REG(regs.regs[0]), RAM_BASE + DTB_OFFSET);
	for (unsigned i = 1; i < cpus; i++) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, run_vcpu, &vcpus[i]);
		check(errno ? -1 : 0, "thread");
	}
	run_vcpu(&vcpus[0]);
	return 0;
}

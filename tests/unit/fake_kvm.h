/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A host's KVM in memory, behind the door of arm/kvm.c. It keeps the rules of the arm64 KVM that lkvm could break (memory
 * slots, the order in which vCPUs and interrupt controllers come up, routes and irqfds), notes what it was asked, and plays
 * scripted exits to KVM_RUN. Fds are real ones (memfds), so that close(2) needs no door. One host at a time, any number of
 * threads; read it when the threads that use it are gone.
 */
#ifndef FAKE_KVM_H
#define FAKE_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

#define FAKE_KVM_VMS   128
#define FAKE_KVM_VCPUS 16
#define FAKE_KVM_SLOTS 64
#define FAKE_KVM_LOG   2048

/* Pseudo requests for fake_kvm_fail(): what is no ioctl. */
#define FAKE_KVM_OPEN    0x1000000UL
#define FAKE_KVM_MAP_RUN 0x1000001UL

enum fake_kvm_kind { FAKE_KVM_HOST, FAKE_KVM_VM, FAKE_KVM_VCPU, FAKE_KVM_DEVICE };

/* One request as it came. KVM_CHECK_EXTENSION, KVM_RUN, KVM_IRQ_LINE and what only asks (HAS, TEST) are not noted. */
struct fake_kvm_call {
	unsigned long request;
	enum fake_kvm_kind kind; /* of the fd */
	unsigned vm;             /* the how manieth VM of this host, from 0 */
	uint32_t number;         /* of a vCPU: its index; of a device: KVM_DEV_TYPE_* */
	uint32_t
		group; /* KVM_SET_DEVICE_ATTR; KVM_ENABLE_CAP: the capability; KVM_CREATE_DEVICE: the type */
	uint64_t attr;  /* KVM_SET_DEVICE_ATTR; KVM_{GET,SET}_ONE_REG: the register */
	uint64_t value; /* KVM_SET_DEVICE_ATTR's or KVM_SET_ONE_REG's; or the request's number */
	int result;
};

struct fake_kvm_vcpu {
	bool exists, inited, finalized;
	struct kvm_vcpu_init init;
	struct kvm_run *run; /* NULL: not mapped */
	struct {
		uint64_t id, value;
	} registers[16];
	unsigned registers_count;
	uint64_t sve_vls[8]; /* KVM_REG_ARM64_SVE_VLS */
	unsigned runs;       /* KVM_RUN was called */
	unsigned aborts;     /* external aborts injected */
	bool read_pending;
	uint64_t reads[64]; /* what MMIO reads gave the guest */
	unsigned reads_count;
};

struct fake_kvm_irqfd {
	uint32_t gsi;
	int fd, resample_fd; /* resample_fd -1: none */
};

struct fake_kvm_ioeventfd {
	uint64_t address, value;
	uint32_t size; /* 0: any */
	bool match;    /* only stores of `value` */
	int fd;
};

struct fake_kvm_vm {
	unsigned long type;
	unsigned ipa_bits;
	bool nisv, mte;
	struct fake_kvm_vcpu vcpus[FAKE_KVM_VCPUS];
	struct kvm_userspace_memory_region slots[FAKE_KVM_SLOTS]; /* memory_size 0: none */
	unsigned slots_ever;
	bool gic, gic_inited, its;
	uint32_t gic_type, nr_irqs;
	struct kvm_irq_routing_entry *routes;
	unsigned routes_count, routes_updates;
	bool route_changed_live; /* a table moved or took a route from under an irqfd: a bug */
	struct fake_kvm_irqfd irqfds[64];
	unsigned irqfds_count;
	struct fake_kvm_ioeventfd ioeventfds[256]; /* a store that meets one is no exit */
	unsigned ioeventfds_count;
	struct {
		uint32_t irq;
		bool level;
	} lines[256]; /* the first KVM_IRQ_LINEs */
	unsigned lines_count;
	int vfio_files[8]; /* KVM_DEV_VFIO_GROUP_ADD's argument */
	unsigned vfio_files_count;
};

struct fake_kvm {
	/* What the host is like; a test may change it at will. */
	int api_version, run_size;
	unsigned ipa_bits;   /* the largest; KVM_CAP_ARM_VM_IPA_SIZE follows it */
	uint32_t devices;    /* bit KVM_DEV_TYPE_*: offered */
	bool redist_regions; /* KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION is known */
	uint64_t sve_vls;    /* bit n: vectors of (n + 1) * 128 bits */
	void (*asked)(
		unsigned long request); /* called before each ioctl but KVM_RUN, on its thread */
	/* What happened. */
	struct fake_kvm_vm vms[FAKE_KVM_VMS];
	unsigned vms_count;
	struct fake_kvm_call calls[FAKE_KVM_LOG]; /* the first ones */
	unsigned calls_count;
};

/* A fresh host with all an arm64 KVM can have but AArch32 and MTE, and GICv2 to v3 with ITS. The object is the fake's. */
struct fake_kvm *fake_kvm_begin(void);
/* Not 0, and said on stderr: an fd was not closed, a struct kvm_run not unmapped, or a live route was changed. */
int fake_kvm_end(void);

/* What KVM_CHECK_EXTENSION says; 0: KVM does not know it. */
void fake_kvm_cap(unsigned capability, int value);
/* After `skip` successes, the next `times` calls of `request` fail with -errno `err` (> 0). */
void fake_kvm_fail(unsigned long request, int err, unsigned skip, unsigned times);
/* How many fds that the fake handed out are still open. */
unsigned fake_kvm_fds(void);
/* The value of a vCPU's register as it was set last; 0: never. */
uint64_t fake_kvm_register(const struct fake_kvm_vcpu *vcpu, uint64_t id);
/* How often a request was made, and the first call that made it (or NULL). */
unsigned fake_kvm_count(unsigned long request);
const struct fake_kvm_call *fake_kvm_find(unsigned long request);

/* Waits, 5 s at most, until a VM's interrupt (INTID) is raised. For hooks of exits; whether it was. */
bool fake_kvm_wait_line(unsigned vm, uint32_t irq);

/* What KVM_RUN does next. */
struct fake_kvm_exit {
	uint32_t reason; /* KVM_EXIT_* */
	int err;         /* > 0: KVM_RUN fails with it */
	bool wait;       /* runs until a signal comes (-EINTR) */
	uint64_t address, data;
	uint8_t len;
	bool is_write;
	uint32_t event; /* SYSTEM_EVENT's type, INTERNAL_ERROR's suberror, FAIL_ENTRY's reason */
	void (*hook)(void *arg); /* called first, on the vCPU's thread */
	void *arg;
};

#define GUEST_STORES(at, value, bytes)                                                             \
	{                                                                                          \
		.reason = KVM_EXIT_MMIO, .address = (at), .data = (value), .len = (bytes),         \
		.is_write = true                                                                   \
	}
#define GUEST_LOADS(at, bytes)                                                                     \
	{                                                                                          \
		.reason = KVM_EXIT_MMIO, .address = (at), .len = (bytes)                           \
	}
#define GUEST_POWERS_OFF                                                                           \
	{                                                                                          \
		.reason = KVM_EXIT_SYSTEM_EVENT, .event = KVM_SYSTEM_EVENT_SHUTDOWN                \
	}
#define GUEST_RESETS                                                                               \
	{                                                                                          \
		.reason = KVM_EXIT_SYSTEM_EVENT, .event = KVM_SYSTEM_EVENT_RESET                   \
	}
#define GUEST_WAITS                                                                                \
	{                                                                                          \
		.wait = true                                                                       \
	}

/*
 * Appends to what vCPUs of index `vcpu` do, whichever VM they are of: one script lasts over restarts. A script that is over
 * waits for a signal, for ever. The array stays the caller's.
 */
void fake_kvm_play(unsigned vcpu, const struct fake_kvm_exit *exits, size_t count);

#endif

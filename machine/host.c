// SPDX-License-Identifier: GPL-2.0-only
/* What the host can do for this machine, asked before anything is opened, and where the guest's address space ends. */
#include <errno.h>
#include <unistd.h>
#include <lkvm/kvm.h>
#include <lkvm/report.h>
#include "machine.h"

#define IPA_BITS_WANTED                                                                            \
	40 /* 1 TiB: room above RAM for large 64-bit BARs, at no cost in stage-2 levels */
#define RAM_GRANULE      SZ_64K /* the largest host page */
#define DEFAULT_RAM_STEP (64 * SZ_1M)

static void choose_cpus(struct machine *machine)
{
	struct machine_config *config = &machine->config;
	unsigned max = machine->host.max_vcpus;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->cpus > max)
		report_warning("--cpus %u: this host's KVM runs at most %u vCPUs a guest; the "
			       "guest gets these",
			       config->cpus, max);
	if (!config->cpus)
		config->cpus = online > 0 ? (unsigned)online : 1;
	if (config->cpus > max)
		config->cpus = max;
}

static void check_affinity(const struct machine_config *config)
{
	for (size_t i = 0; i < config->affinity_count; i++)
		if (config->affinity[i].vcpu >= 0 &&
		    (unsigned)config->affinity[i].vcpu >= config->cpus)
			report_warning("--vcpu-affinity: there is no vCPU %d among %u",
				       config->affinity[i].vcpu, config->cpus);
}

static int choose_address_space(struct machine *machine)
{
	struct machine_config *config = &machine->config;
	uint64_t limit = 1ULL << machine->host.ipa_bits;

	if (!config->ram_size)
		config->ram_size = DEFAULT_RAM_STEP * (config->cpus + 3);
	if (config->ram_base < MAP_RAM_BASE || config->ram_base % SZ_2M)
		return refuse(-EINVAL,
			      "--mem: RAM cannot start at %#lx: it starts at %#llx or above, at a "
			      "multiple of 2 MiB",
			      (unsigned long)config->ram_base, MAP_RAM_BASE);
	if (config->ram_size % RAM_GRANULE)
		return refuse(-EINVAL, "--mem: the size of RAM must be a multiple of %llu KiB",
			      RAM_GRANULE >> 10);
	if (config->ram_base >= limit || config->ram_size > limit - config->ram_base)
		return refuse(-EINVAL,
			      "--mem: %lu MiB at %#lx do not fit: this host's guests have %u bits "
			      "of physical address space",
			      (unsigned long)(config->ram_size >> 20),
			      (unsigned long)config->ram_base, machine->host.ipa_bits);
	machine->ipa_bits = IPA_BITS_WANTED;
	while (machine->ipa_bits < 52 &&
	       config->ram_base + config->ram_size > (1ULL << machine->ipa_bits) / 2)
		machine->ipa_bits++;
	if (machine->ipa_bits > machine->host.ipa_bits)
		machine->ipa_bits = machine->host.ipa_bits;
	return 0;
}

/* Guest pages with tags must be private anonymous memory of small or THP pages, and no device writes tags. */
static void choose_mte(struct machine *machine)
{
	const struct machine_config *config = &machine->config;

	machine->mte = !config->disable_mte && !config->vfio_count && !config->hugetlbfs &&
		       !config->virtio.back_end_count && !config->features.aarch32 &&
		       kvm_check(machine->vm.fd, KVM_CAP_ARM_MTE) > 0;
}

int machine_check_host(struct machine *machine)
{
	int err = kvm_host_open(&machine->host);

	if (err)
		return err;
	choose_cpus(machine);
	check_affinity(&machine->config);
	err = choose_address_space(machine);
	if (!err)
		err = vm_create(&machine->vm, &machine->host, machine->ipa_bits);
	if (!err)
		err = vcpu_features_choose(&machine->features, &machine->vm,
					   &machine->config.features);
	if (!err)
		err = gic_choose(&machine->vm, machine->config.irqchip, machine->config.cpus,
				 &machine->irqchip);
	if (!err)
		choose_mte(machine);
	return err;
}

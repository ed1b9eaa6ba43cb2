// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lkvm/gic.h>
#include <lkvm/kvm.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include "gic.h"

#define GICV2_MAX_VCPUS      8
#define GIC_SGIS_PPIS        32
#define GITS_TRANSLATER_PAGE 0x10000 /* GICv3 IHI 0069, 12.18: the ITS' second 64 KiB frame */
#define GICV2M_SPIS          64

static const char *const names[] = {
	[IRQCHIP_AUTO] = "auto",   [IRQCHIP_GICV2] = "gicv2",         [IRQCHIP_GICV2M] = "gicv2m",
	[IRQCHIP_GICV3] = "gicv3", [IRQCHIP_GICV3_ITS] = "gicv3-its",
};

const char *irqchip_name(enum irqchip kind)
{
	return names[kind];
}

int irqchip_parse(const char *name, enum irqchip *kind)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (name && !strcmp(name, names[i])) {
			*kind = (enum irqchip)i;
			return 0;
		}
	}
	return -EINVAL;
}

static bool offers(const struct vm *vm, enum irqchip kind)
{
	switch (kind) {
	case IRQCHIP_GICV2:
	case IRQCHIP_GICV2M:
		return kvm_create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V2, true) == 0;
	case IRQCHIP_GICV3_ITS:
		if (kvm_create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_ITS, true) != 0)
			return false;
		return kvm_create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V3, true) == 0;
	default:
		return kvm_create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V3, true) == 0;
	}
}

int gic_choose(const struct vm *vm, enum irqchip wanted, unsigned vcpus, enum irqchip *chosen)
{
	static const enum irqchip order[] = { IRQCHIP_GICV3_ITS, IRQCHIP_GICV3, IRQCHIP_GICV2M,
					      IRQCHIP_GICV2 };
	char offered[64] = "";

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (wanted != IRQCHIP_AUTO && wanted != order[i])
			continue;
		if (!offers(vm, order[i]))
			continue;
		if (order[i] <= IRQCHIP_GICV2M && vcpus > GICV2_MAX_VCPUS)
			return refuse(-ENOTSUP, "%s has at most %d vCPUs, not %u",
				      irqchip_name(order[i]), GICV2_MAX_VCPUS, vcpus);
		*chosen = order[i];
		return 0;
	}
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (offers(vm, order[i]))
			snprintf(offered + strlen(offered), sizeof(offered) - strlen(offered),
				 " %s", irqchip_name(order[i]));
	return refuse(-ENOTSUP, "this host's KVM has no irqchip %s; it offers:%s",
		      wanted == IRQCHIP_AUTO ? "at all" : irqchip_name(wanted),
		      *offered ? offered : " none");
}

/* The frames below the distributor; see memory_map.h. */
static void choose_frames(struct gic *gic)
{
	bool v3 = gic->kind == IRQCHIP_GICV3 || gic->kind == IRQCHIP_GICV3_ITS;

	gic->redist_size = v3 ? gic->vcpus * MAP_GICR_SIZE : MAP_GICC_SIZE;
	gic->redist_base = MAP_GICD_BASE - gic->redist_size;
	if (gic->kind == IRQCHIP_GICV3_ITS)
		gic->msi_size = MAP_ITS_SIZE;
	else if (gic->kind == IRQCHIP_GICV2M)
		gic->msi_size = MAP_GICV2M_SIZE;
	gic->msi_base = gic->redist_base - gic->msi_size;
	gic->base.msi = gic->msi_size > 0;
}

static int set_address(struct gic *gic, uint64_t type, uint64_t address, const char *what)
{
	return kvm_set_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address, what);
}

static int place_v3(struct gic *gic)
{
	/* One region of all redistributors: count in bits 63:52, base in 51:16 (devices/arm-vgic-v3.rst). */
	uint64_t region = (uint64_t)gic->vcpus << 52 | gic->redist_base;
	int err = set_address(gic, KVM_VGIC_V3_ADDR_TYPE_DIST, MAP_GICD_BASE,
			      "KVM_VGIC_V3_ADDR_TYPE_DIST");

	if (err)
		return err;
	if (kvm_has_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION))
		return set_address(gic, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, region,
				   "KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION");
	return set_address(gic, KVM_VGIC_V3_ADDR_TYPE_REDIST, gic->redist_base,
			   "KVM_VGIC_V3_ADDR_TYPE_REDIST");
}

static int place_v2(struct gic *gic)
{
	int err = set_address(gic, KVM_VGIC_V2_ADDR_TYPE_DIST, MAP_GICD_BASE,
			      "KVM_VGIC_V2_ADDR_TYPE_DIST");

	if (err)
		return err;
	return set_address(gic, KVM_VGIC_V2_ADDR_TYPE_CPU, gic->redist_base,
			   "KVM_VGIC_V2_ADDR_TYPE_CPU");
}

static int init_distributor(struct gic *gic)
{
	bool v3 = gic->kind == IRQCHIP_GICV3 || gic->kind == IRQCHIP_GICV3_ITS;
	uint32_t irqs = GIC_SGIS_PPIS + gic->spis;
	int err;

	gic->fd = kvm_create_device(
		gic->vm->fd, v3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2, false);
	if (gic->fd < 0)
		return report(gic->fd, "cannot create the %s", irqchip_name(gic->kind));
	err = v3 ? place_v3(gic) : place_v2(gic);
	if (!err)
		err = kvm_set_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs,
				   "KVM_DEV_ARM_VGIC_GRP_NR_IRQS");
	if (!err)
		err = kvm_set_attr(gic->fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT,
				   NULL, "KVM_DEV_ARM_VGIC_CTRL_INIT");
	return err;
}

static int init_its(struct gic *gic)
{
	int err;

	gic->its_fd = kvm_create_device(gic->vm->fd, KVM_DEV_TYPE_ARM_VGIC_ITS, false);
	if (gic->its_fd < 0)
		return report(gic->its_fd, "cannot create the ITS");
	err = kvm_set_attr(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE,
			   &gic->msi_base, "KVM_VGIC_ITS_ADDR_TYPE");
	if (err)
		return err;
	return kvm_set_attr(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT,
			    NULL, "KVM_DEV_ARM_VGIC_CTRL_INIT of the ITS");
}

int gic_create(struct gic *gic, struct vm *vm, struct mmio_bus *mmio, enum irqchip kind,
	       unsigned vcpus, unsigned spis)
{
	int err;

	*gic = (struct gic){ .vm = vm, .kind = kind, .fd = -1, .its_fd = -1, .vcpus = vcpus };
	gic->base.class = &gic_class;
	if (kind == IRQCHIP_GICV2M) {
		gic->v2m_first = GIC_SGIS_PPIS + spis;
		gic->v2m_count = GICV2M_SPIS;
		spis += GICV2M_SPIS;
	}
	gic->spis = (spis + 31u) & ~31u;
	choose_frames(gic);
	err = init_distributor(gic);
	if (!err && kind == IRQCHIP_GICV3_ITS)
		err = init_its(gic);
	if (!err && kind == IRQCHIP_GICV2M)
		err = gicv2m_create(gic, mmio);
	if (err)
		gic_destroy(gic);
	return err;
}

void gic_destroy(struct gic *gic)
{
	if (!gic->vm)
		return;
	gicv2m_destroy(gic);
	if (gic->its_fd >= 0)
		close(gic->its_fd);
	if (gic->fd >= 0)
		close(gic->fd);
	*gic = (struct gic){ .fd = -1, .its_fd = -1 };
}

uint64_t gic_msi_doorbell(const struct gic *gic)
{
	if (gic->kind == IRQCHIP_GICV3_ITS)
		return gic->msi_base + GITS_TRANSLATER_PAGE;
	return gic->kind == IRQCHIP_GICV2M ? gic->msi_base : 0;
}

uint64_t gic_msi_doorbell_of(enum irqchip kind, unsigned vcpus)
{
	struct gic gic = { .kind = kind, .vcpus = vcpus };

	choose_frames(&gic);
	return gic_msi_doorbell(&gic);
}

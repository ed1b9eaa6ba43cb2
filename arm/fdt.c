// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <libfdt.h>
#include <lkvm/fdt.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include <lkvm/vcpu.h>
#include "fdt_tree.h"

#define UART_CLOCK   1843200 /* Hz: the 16550's customary crystal */
#define USUAL_SIZE   (32 << 10)
#define UART_TX_FIFO 64 /* bytes; the UART takes any number at any time */

static bool is_gicv2(const struct fdt_config *config)
{
	return config->gic->kind == IRQCHIP_GICV2 || config->gic->kind == IRQCHIP_GICV2M;
}

/* The third cell of a PPI: a GICv2's specifier also has a mask of the (up to eight) CPUs, a GICv3's has not. */
static uint32_t ppi_flags(const struct fdt_config *config, uint32_t trigger)
{
	unsigned cpus = config->vcpus < 8 ? config->vcpus : 8;

	return is_gicv2(config) ? ((1u << cpus) - 1) << 8 | trigger : trigger;
}

static unsigned long long uart_address(unsigned n)
{
	return MAP_UART_BASE + n * MAP_UART_STRIDE;
}

/* Fixed numbers, so that ttyS0 is UART 0 whatever the order of probing. */
static void aliases_node(struct tree *tree)
{
	char alias[16], path[32];

	tree_begin(tree, "aliases");
	for (unsigned n = 0; n < MAP_UARTS; n++) {
		snprintf(alias, sizeof(alias), "serial%u", n);
		snprintf(path, sizeof(path), "/serial@%llx", uart_address(n));
		tree_string(tree, alias, path);
	}
	tree_end(tree);
}

static void chosen_node(struct tree *tree)
{
	const struct fdt_config *config = tree->config;
	const struct boot_layout *layout = config->layout;
	char path[32];

	tree_begin(tree, "chosen");
	tree_string(tree, "bootargs", config->bootargs);
	if (config->stdout_uart) {
		snprintf(path, sizeof(path), "/serial@%llx", uart_address(0));
		tree_string(tree, "stdout-path", path);
	}
	if (layout->initrd_size) {
		TREE_CELLS64(tree, "linux,initrd-start", layout->initrd);
		TREE_CELLS64(tree, "linux,initrd-end", layout->initrd + layout->initrd_size);
	}
	TREE_CELLS64(tree, "kaslr-seed", config->kaslr_seed);
	tree_bytes(tree, "rng-seed", config->rng_seed, sizeof(config->rng_seed));
	TREE_CELLS(tree, "linux,pci-probe-only", 0);
	tree_end(tree);
}

static void memory_node(struct tree *tree)
{
	tree_begin_at(tree, "memory", tree->config->ram_base);
	tree_string(tree, "device_type", "memory");
	TREE_CELLS64(tree, "reg", tree->config->ram_base, tree->config->ram_size);
	tree_end(tree);
}

/* One address cell: KVM numbers vCPUs in Aff2:Aff0 only. */
static void cpus_node(struct tree *tree)
{
	tree_begin(tree, "cpus");
	TREE_CELLS(tree, "#address-cells", 1);
	TREE_CELLS(tree, "#size-cells", 0);
	for (unsigned i = 0; i < tree->config->vcpus; i++) {
		uint32_t mpidr = vcpu_mpidr(i) & 0xffffff;

		tree_begin_at(tree, "cpu", mpidr);
		tree_string(tree, "device_type", "cpu");
		tree_string(tree, "compatible", "arm,armv8");
		tree_string(tree, "enable-method", "psci");
		TREE_CELLS(tree, "reg", mpidr);
		tree_end(tree);
	}
	tree_end(tree);
}

static void psci_node(struct tree *tree)
{
	tree_begin(tree, "psci");
	TREE_STRINGS(tree, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	tree_string(tree, "method", "hvc");
	tree_end(tree);
}

static void timer_node(struct tree *tree)
{
	uint32_t flags = ppi_flags(tree->config, IRQ_LEVEL_LOW);

	tree_begin(tree, "timer");
	tree_string(tree, "compatible",
		    tree->config->aarch32 ? "arm,armv7-timer" : "arm,armv8-timer");
	TREE_CELLS(tree, "interrupts", GIC_PPI, PPI_TIMER_SECURE, flags, GIC_PPI, PPI_TIMER_PHYS,
		   flags, GIC_PPI, PPI_TIMER_VIRT, flags, GIC_PPI, PPI_TIMER_HYP, flags);
	tree_empty(tree, "always-on");
	tree_end(tree);
}

static void pmu_node(struct tree *tree)
{
	if (!tree->config->pmu)
		return;
	tree_begin(tree, "pmu");
	tree_string(tree, "compatible", "arm,armv8-pmuv3");
	TREE_CELLS(tree, "interrupts", GIC_PPI, PPI_PMU, ppi_flags(tree->config, IRQ_LEVEL_HIGH));
	tree_end(tree);
}

static void its_node(struct tree *tree)
{
	const struct gic *gic = tree->config->gic;

	tree_begin_at(tree, "msi-controller", gic->msi_base);
	tree_string(tree, "compatible", "arm,gic-v3-its");
	TREE_CELLS64(tree, "reg", gic->msi_base, gic->msi_size);
	tree_empty(tree, "msi-controller");
	TREE_CELLS(tree, "#msi-cells", 1);
	TREE_CELLS(tree, "phandle", PHANDLE_MSI);
	tree_end(tree);
}

static void v2m_node(struct tree *tree)
{
	const struct gic *gic = tree->config->gic;

	tree_begin_at(tree, "v2m", gic->msi_base);
	tree_string(tree, "compatible", "arm,gic-v2m-frame");
	TREE_CELLS64(tree, "reg", gic->msi_base, gic->msi_size);
	tree_empty(tree, "msi-controller");
	TREE_CELLS(tree, "arm,msi-base-spi", gic->v2m_first);
	TREE_CELLS(tree, "arm,msi-num-spis", gic->v2m_count);
	TREE_CELLS(tree, "phandle", PHANDLE_MSI);
	tree_end(tree);
}

static void gic_node(struct tree *tree)
{
	const struct gic *gic = tree->config->gic;

	tree_begin_at(tree, "interrupt-controller", MAP_GICD_BASE);
	tree_string(tree, "compatible",
		    is_gicv2(tree->config) ? "arm,cortex-a15-gic" : "arm,gic-v3");
	TREE_CELLS64(tree, "reg", MAP_GICD_BASE, MAP_GICD_SIZE, gic->redist_base, gic->redist_size);
	tree_empty(tree, "interrupt-controller");
	TREE_CELLS(tree, "#interrupt-cells", 3);
	TREE_CELLS(tree, "phandle", PHANDLE_GIC);
	TREE_CELLS(tree, "#address-cells", 2);
	TREE_CELLS(tree, "#size-cells", 2);
	tree_empty(tree, "ranges");
	if (gic->msi_size && gic->kind == IRQCHIP_GICV3_ITS)
		its_node(tree);
	else if (gic->msi_size)
		v2m_node(tree);
	tree_end(tree);
}

/*
 * Linux takes "ns16550a" at its word and probes nothing. The FIFO's size saves it looking at LSR every 16 bytes:
 * each access is an exit.
 */
static void uart_nodes(struct tree *tree)
{
	for (unsigned n = 0; n < MAP_UARTS; n++) {
		tree_begin_at(tree, "serial", uart_address(n));
		tree_string(tree, "compatible", "ns16550a");
		TREE_CELLS64(tree, "reg", uart_address(n), 8);
		TREE_CELLS(tree, "interrupts", GIC_SPI, SPI_UART_BASE + n, IRQ_LEVEL_HIGH);
		TREE_CELLS(tree, "clock-frequency", UART_CLOCK);
		TREE_CELLS(tree, "fifo-size", UART_TX_FIFO);
		tree_end(tree);
	}
}

static void rtc_node(struct tree *tree)
{
	tree_begin_at(tree, "rtc", MAP_RTC_BASE);
	tree_string(tree, "compatible", "motorola,mc146818");
	TREE_CELLS64(tree, "reg", MAP_RTC_BASE, MAP_RTC_SIZE);
	tree_end(tree);
}

static void pvpanic_node(struct tree *tree)
{
	tree_begin_at(tree, "pvpanic", MAP_PVPANIC_BASE);
	tree_string(tree, "compatible", "qemu,pvpanic-mmio");
	TREE_CELLS64(tree, "reg", MAP_PVPANIC_BASE, MAP_PVPANIC_SIZE);
	tree_end(tree);
}

static void flash_node(struct tree *tree)
{
	if (!tree->config->flash_size)
		return;
	tree_begin_at(tree, "flash", MAP_FLASH_BASE);
	tree_string(tree, "compatible", "cfi-flash");
	TREE_CELLS64(tree, "reg", MAP_FLASH_BASE, tree->config->flash_size);
	TREE_CELLS(tree, "bank-width", 4);
	tree_end(tree);
}

/* What the driver hands to the device is RAM that the host's caches know. */
static void virtio_nodes(struct tree *tree)
{
	for (size_t n = 0; n < tree->config->virtio_count; n++) {
		const struct fdt_virtio *virtio = &tree->config->virtio[n];

		tree_begin_at(tree, "virtio", virtio->base);
		tree_string(tree, "compatible", "virtio,mmio");
		TREE_CELLS64(tree, "reg", virtio->base, MAP_VIRTIO_STRIDE);
		TREE_CELLS(tree, "interrupts", GIC_SPI, virtio->line, IRQ_LEVEL_HIGH);
		tree_empty(tree, "dma-coherent");
		tree_end(tree);
	}
}

static void root_node(struct tree *tree)
{
	tree_begin(tree, "");
	TREE_CELLS(tree, "#address-cells", 2);
	TREE_CELLS(tree, "#size-cells", 2);
	TREE_CELLS(tree, "interrupt-parent", PHANDLE_GIC);
	tree_string(tree, "compatible", "linux,dummy-virt");
	tree_string(tree, "model", "linux,dummy-virt");
	aliases_node(tree);
	chosen_node(tree);
	memory_node(tree);
	cpus_node(tree);
	psci_node(tree);
	timer_node(tree);
	pmu_node(tree);
	gic_node(tree);
	uart_nodes(tree);
	rtc_node(tree);
	pvpanic_node(tree);
	flash_node(tree);
	virtio_nodes(tree);
	fdt_pci_node(tree);
	tree_end(tree);
}

/*
 * Looking up each property's name among those already there would cost more than all the rest: names are repeated. Returns
 * an error of libfdt's.
 */
static int build(const struct fdt_config *config, void *buf, int size)
{
	struct tree tree = { .config = config, .fdt = buf };

	tree.error = fdt_create_with_flags(buf, size, FDT_CREATE_FLAG_NO_NAME_DEDUP);
	if (!tree.error)
		tree.error = fdt_finish_reservemap(buf);
	root_node(&tree);
	return tree.error ? tree.error : fdt_finish(buf);
}

/* libfdt clears all that it is given: most trees fit into a part of it. */
int fdt_build(const struct fdt_config *config, void *buf, size_t size)
{
	int all = size > INT_MAX ? INT_MAX : (int)size;
	int error = build(config, buf, all < USUAL_SIZE ? all : USUAL_SIZE);

	if (error == -FDT_ERR_NOSPACE && all > USUAL_SIZE)
		error = build(config, buf, all);
	if (error == -FDT_ERR_NOSPACE)
		return refuse(-ENOSPC,
			      "the device tree does not fit into %zu KiB: is the kernel command "
			      "line too long?",
			      size >> 10);
	if (error)
		return refuse(-EINVAL, "cannot build the device tree: %s", fdt_strerror(error));
	return fdt_totalsize(buf);
}

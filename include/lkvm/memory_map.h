/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-physical memory map. Scripts and firmware rely on these addresses.
 *
 *	0x0000_0000  PCI I/O ports 0-0xffff
 *	0x0100_0000  UARTs 0-3, 0x1000 apart
 *	0x0101_0000  RTC
 *	0x0102_0000  steal time (64 bytes a vCPU)
 *	0x0103_0000  pvpanic
 *	0x0200_0000  CFI flash, up to 16 MiB
 *	0x0300_0000  virtio-mmio, 0x200 apart
 *	     ...     ITS, 128 KiB                 | or the GICv2m frame, 64 KiB
 *	     ...     redistributors, 128 KiB a vCPU | or the GICv2 CPU interface, 64 KiB
 *	0x3fff_0000  GIC distributor, 64 KiB
 *	0x4000_0000  PCI ECAM, 256 MiB
 *	0x5000_0000  PCI window for 32-bit BARs
 *	0x8000_0000  RAM (-m SIZE@ADDR moves it up)
 *	     ...     PCI window for 64-bit prefetchable BARs: from the next 4 GiB boundary after RAM
 *	             to the end of the guest's address space
 */
#ifndef LKVM_MEMORY_MAP_H
#define LKVM_MEMORY_MAP_H

#include <lkvm/sizes.h>

#define MAP_PCI_IO_BASE   0x0ULL
#define MAP_PCI_IO_SIZE   0x10000ULL
#define MAP_UART_BASE     0x1000000ULL
#define MAP_UART_STRIDE   0x1000ULL
#define MAP_UARTS         4
#define MAP_RTC_BASE      0x1010000ULL
#define MAP_RTC_SIZE      0x1000ULL
#define MAP_PVTIME_BASE   0x1020000ULL
#define MAP_PVTIME_SIZE   0x10000ULL
#define MAP_PVPANIC_BASE  0x1030000ULL
#define MAP_PVPANIC_SIZE  0x1000ULL
#define MAP_FLASH_BASE    0x2000000ULL
#define MAP_FLASH_SIZE    0x1000000ULL
#define MAP_VIRTIO_BASE   0x3000000ULL
#define MAP_VIRTIO_STRIDE 0x200ULL
#define MAP_GICD_BASE     0x3fff0000ULL
#define MAP_GICD_SIZE     0x10000ULL
#define MAP_GICR_SIZE     0x20000ULL /* a vCPU */
#define MAP_GICC_SIZE     0x10000ULL
#define MAP_ITS_SIZE      0x20000ULL
#define MAP_GICV2M_SIZE   0x10000ULL
#define MAP_ECAM_BASE     0x40000000ULL
#define MAP_ECAM_SIZE     0x10000000ULL
#define MAP_PCI_MEM_BASE  0x50000000ULL
#define MAP_PCI_MEM_SIZE  0x30000000ULL
#define MAP_RAM_BASE      0x80000000ULL

/* Wired interrupts: SPI n is INTID 32 + n. */
#define SPI_UART_BASE   0
#define SPI_DEVICE_BASE 4   /* virtio on MMIO, then PCI functions with an INTx pin */
#define SPI_LIMIT       988 /* SPIs of a GIC: INTIDs 32-1019 */

/* PPIs, as numbered in the FDT (INTID - 16). */
#define PPI_TIMER_SECURE 13
#define PPI_TIMER_PHYS   14
#define PPI_TIMER_VIRT   11
#define PPI_TIMER_HYP    10
#define PPI_PMU          7

#endif

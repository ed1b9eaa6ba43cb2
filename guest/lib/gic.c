// SPDX-License-Identifier: GPL-2.0-only
#include "gic.h"

/* Distributor and redistributor (12.9, 12.11). */
#define GICD_CTLR       (GICD_BASE + 0x0)
#define GICD_IGROUPR    (GICD_BASE + 0x80)
#define GICD_ISENABLER  (GICD_BASE + 0x100)
#define GICD_IPRIORITYR (GICD_BASE + 0x400)
#define GICD_ICFGR      (GICD_BASE + 0xc00)
#define GICD_IROUTER    (GICD_BASE + 0x6000)
#define GICR_CTLR       0x0
#define GICR_WAKER      0x14
#define GICR_PROPBASER  0x70
#define GICR_PENDBASER  0x78

#define GICD_CTLR_ENABLE_G1   0x2
#define GICD_CTLR_ARE         0x10
#define GICR_CTLR_ENABLE_LPIS 0x1

/* ITS (12.19); command and table layouts: 5.2, 5.3. */
#define GITS_CTLR       0x0
#define GITS_CBASER     0x80
#define GITS_CWRITER    0x88
#define GITS_CREADR     0x90
#define GITS_BASER(n)   (0x100 + 8 * (n))
#define GITS_TRANSLATER 0x10040

#define BASER_VALID       (1UL << 63)
#define BASER_TYPE(baser) ((unsigned)((baser) >> 56) & 7)
#define BASER_PAGE_64K    (2UL << 8)

#define ITS_SYNC  0x05
#define ITS_MAPD  0x08
#define ITS_MAPC  0x09
#define ITS_MAPTI 0x0a
#define ITS_INV   0x0c

#define LPI_ID_BITS 14

/* Where the tables are; each has 64 KiB. */
#define LPI_CONFIG  (RAM_GIC + 0x00000)
#define LPI_PENDING (RAM_GIC + 0x10000)
#define ITS_QUEUE   (RAM_GIC + 0x20000)
#define ITS_TABLES  (RAM_GIC + 0x30000) /* one for each of eight GITS_BASERs */
#define ITS_ITTS    (RAM_GIC + 0xc0000)
#define RAM_GIC_END (RAM_GIC + 0x400000)

volatile unsigned gic_spis_taken[64], gic_lpis_taken[GIC_LPIS], gic_others_taken;
void (*gic_spi_hook)(unsigned spi);

static uint64_t redistributor, its, next_itt;

void gic_init(void)
{
	redistributor = GICD_BASE - cpu_count() * GICR_SIZE;
	write32(GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_G1);
	write32(redistributor + GICR_WAKER, 0);
	sysreg_write(s3_0_c12_c12_5, 1);  /* ICC_SRE_EL1.SRE */
	sysreg_write(s3_0_c4_c6_0, 0xff); /* ICC_PMR_EL1 */
	sysreg_write(s3_0_c12_c12_7, 1);  /* ICC_IGRPEN1_EL1 */
}

void gic_enable_spi(unsigned spi)
{
	unsigned intid = GIC_SPI_BASE + spi;
	uint32_t bit = 1U << (intid % 32);
	uint64_t config = GICD_ICFGR + 4 * (intid / 16);

	write32(GICD_IGROUPR + 4 * (intid / 32), read32(GICD_IGROUPR + 4 * (intid / 32)) | bit);
	write32(config, read32(config) & ~(2U << (2 * (intid % 16))));
	write8(GICD_IPRIORITYR + intid, 0x80);
	write64(GICD_IROUTER + 8 * intid, sysreg_read(mpidr_el1) & 0xff00ffffffUL);
	write32(GICD_ISENABLER + 4 * (intid / 32), bit);
}

static void its_command(uint64_t dw0, uint64_t dw1, uint64_t dw2)
{
	uint64_t writer = read64(its + GITS_CWRITER), entry = ITS_QUEUE + writer;

	write64(entry, dw0);
	write64(entry + 8, dw1);
	write64(entry + 16, dw2);
	write64(entry + 24, 0);
	asm volatile("dsb sy" : : : "memory");
	writer = (writer + 32) % 0x10000;
	write64(its + GITS_CWRITER, writer);
	while (read64(its + GITS_CREADR) != writer)
		;
}

uint64_t its_init(void)
{
	for (uint64_t p = RAM_GIC; p < RAM_GIC_END; p += 8)
		write64(p, 0);
	for (uint64_t p = LPI_CONFIG; p < LPI_CONFIG + GIC_LPIS; p += 8)
		write64(p, 0x8383838383838383UL); /* group 1, priority 0x80, enabled */
	write64(redistributor + GICR_PROPBASER, LPI_CONFIG | (LPI_ID_BITS - 1));
	write64(redistributor + GICR_PENDBASER, LPI_PENDING | 1UL << 62);
	write32(redistributor + GICR_CTLR, GICR_CTLR_ENABLE_LPIS);

	its = redistributor - ITS_SIZE;
	next_itt = ITS_ITTS;
	write64(its + GITS_CBASER, BASER_VALID | ITS_QUEUE | 0xf);
	for (unsigned n = 0; n < 8; n++) {
		if (BASER_TYPE(read64(its + GITS_BASER(n))))
			write64(its + GITS_BASER(n),
				BASER_VALID | (ITS_TABLES + n * 0x10000) | BASER_PAGE_64K);
	}
	write64(its + GITS_CWRITER, 0);
	write32(its + GITS_CTLR, 1);
	its_command(ITS_MAPC, 0, 1UL << 63); /* collection 0: vCPU 0 */
	its_command(ITS_SYNC, 0, 0);
	return its + GITS_TRANSLATER;
}

/* An interrupt translation table of 2^bits entries, 16 bytes each at most. */
void its_map_device(uint32_t device, unsigned events)
{
	unsigned bits = 1;

	while (1U << bits < events)
		bits++;
	its_command(ITS_MAPD | (uint64_t)device << 32, bits - 1, 1UL << 63 | next_itt);
	next_itt += ((16UL << bits) + 0xff) & ~0xffUL;
}

void its_map_event(uint32_t device, uint32_t event, unsigned lpi)
{
	uint64_t dw0 = (uint64_t)device << 32;

	its_command(ITS_MAPTI | dw0, event | (uint64_t)(GIC_LPI_BASE + lpi) << 32, 0);
	its_command(ITS_INV | dw0, event, 0);
	its_command(ITS_SYNC, 0, 0);
}

#define INTID_SPECIAL 1020 /* and the three after it: nothing pending */

void gic_take_irq(void)
{
	uint64_t intid = sysreg_read(s3_0_c12_c12_0); /* ICC_IAR1_EL1 */

	if (intid >= INTID_SPECIAL && intid < INTID_SPECIAL + 4)
		return;
	if (intid >= GIC_LPI_BASE && intid < GIC_LPI_BASE + GIC_LPIS)
		gic_lpis_taken[intid - GIC_LPI_BASE]++;
	else if (intid >= GIC_SPI_BASE && intid < GIC_SPI_BASE + 64)
		gic_spis_taken[intid - GIC_SPI_BASE]++;
	else
		gic_others_taken++;
	if (gic_spi_hook && intid >= GIC_SPI_BASE && intid < GIC_SPI_BASE + 64)
		gic_spi_hook((unsigned)intid - GIC_SPI_BASE);
	sysreg_write(s3_0_c12_c12_1, intid); /* ICC_EOIR1_EL1 */
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Building the virtual configuration space of a passed-through function (PCIe 5.0, 7.5-7.9): which bits are virtual and
 * which live. Identity, COMMAND, BARs, interrupt registers, MSI, MSI-X and the lists of capabilities are virtual.
 */
#include <errno.h>
#include <string.h>
#include <lkvm/report.h>
#include "irq.h"

#define CONFIG_SIZE 256 /* of a function without PCI Express */

/* Offset and masks of a register in a capability. The masks repeat every four bytes where it is longer. */
struct cap_field {
	uint8_t offset, length;
	uint32_t live, through, writable;
};

/*
 * Error reporting goes to the host's root port and is the host's to configure. Extended tags and 10-bit tags, LTR and OBFF
 * depend on the path to memory, which the guest does not see; ARI on the device's neighbours.
 */
#define DEVCTL_VIRTUAL                                                                             \
	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |  \
	 PCI_EXP_DEVCTL_EXT_TAG)
#define DEVCAP2_10BIT_TAG_REQ 0x00020000U /* 10-Bit Tag Requester Supported */
#define DEVCTL2_10BIT_TAG_EN  0x1000U     /* 10-Bit Tag Requester Enable */
#define DEVCAP2_HIDDEN                                                                             \
	(PCI_EXP_DEVCAP2_ARI | PCI_EXP_DEVCAP2_LTR | PCI_EXP_DEVCAP2_OBFF_MASK |                   \
	 DEVCAP2_10BIT_TAG_REQ)
#define DEVCTL2_HIDDEN                                                                             \
	(PCI_EXP_DEVCTL2_ARI | PCI_EXP_DEVCTL2_LTR_EN | PCI_EXP_DEVCTL2_OBFF_WAKE_EN |             \
	 DEVCTL2_10BIT_TAG_EN)

/* PCI Express (7.5.3). Link and slot registers are not here: an integrated endpoint has none, they read as zero. */
static const struct cap_field pcie_fields[] = {
	{ PCI_EXP_DEVCAP, 4, ~0U, 0, 0 },
	{ PCI_EXP_DEVCTL, 2, ~(uint32_t)DEVCTL_VIRTUAL, ~(uint32_t)DEVCTL_VIRTUAL, DEVCTL_VIRTUAL },
	{ PCI_EXP_DEVSTA, 2, ~0U, 0, 0 },
	{ PCI_EXP_DEVCAP2, 4, ~(uint32_t)DEVCAP2_HIDDEN, 0, 0 },
	{ PCI_EXP_DEVCTL2, 2, ~(uint32_t)DEVCTL2_HIDDEN, ~(uint32_t)DEVCTL2_HIDDEN, 0 },
};

/* MSI-X (7.7.2): Message Control's enable and function mask. */
static const struct cap_field msix_fields[] = {
	{ PCI_MSIX_FLAGS, 2, 0, 0, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL },
};

/* The type 0 header (7.5.1) but for its BARs, which regions.c declares. What is copied is read once. */
static const struct header_field {
	uint8_t offset, length;
	bool copied;
	uint32_t live, writable;
} header_fields[] = {
	{ PCI_VENDOR_ID, 4, true, 0, 0 },
	{ PCI_COMMAND, 2, false, 0,
	  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
		  PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE },
	/* VFIO lets no one clear its error bits: nothing is written through. */
	{ PCI_STATUS, 2, false, 0xffff & ~PCI_STATUS_CAP_LIST, 0 },
	{ PCI_CLASS_REVISION, 4, true, 0, 0 },
	{ PCI_CACHE_LINE_SIZE, 1, true, 0, 0xff },
	{ PCI_LATENCY_TIMER, 3, false, 0, 0 }, /* and header type and BIST: none */
	{ PCI_CARDBUS_CIS, 4, true, 0, 0 },
	{ PCI_SUBSYSTEM_VENDOR_ID, 4, true, 0, 0 },
	{ PCI_ROM_ADDRESS, 4, false, 0, 0 }, /* hidden: option ROMs are code for another machine */
	{ PCI_CAPABILITY_LIST, 8, false, 0, 0 },
	{ PCI_INTERRUPT_LINE, 1, false, 0, 0xff },
	{ PCI_INTERRUPT_PIN, 1, false, 0, 0 },
	{ PCI_MIN_GNT, 2, true, 0, 0 },
};

typedef unsigned measure_fn(const uint8_t *raw, unsigned pos);
typedef void lay_out_fn(struct vfio_device *dev, const uint8_t *raw, unsigned pos, unsigned length);

static measure_fn measure_msi, measure_vendor, measure_pcix, measure_pcie, measure_sata;
static lay_out_fn lay_out_live, lay_out_pm, lay_out_msi, lay_out_msix, lay_out_pcie;

/*
 * Capabilities of the first 256 bytes. One without lay_out is hidden, and its bytes read as zero; so is one that is not
 * listed: bridges' and buses' (slot ID, hot-plug, CompactPCI, AGP), and Enhanced Allocation, whose BARs do not move.
 */
static const struct standard_rule {
	uint8_t id, length; /* bytes; or measured */
	measure_fn *measure;
	lay_out_fn *lay_out;
} standard_rules[] = {
	{ PCI_CAP_ID_PM, PCI_PM_SIZEOF, NULL, lay_out_pm }, /* 7.5.2 */
	{ PCI_CAP_ID_AGP, PCI_AGP_SIZEOF, NULL, NULL },
	{ PCI_CAP_ID_VPD, PCI_CAP_VPD_SIZEOF, NULL, lay_out_live },   /* 7.9.19 */
	{ PCI_CAP_ID_MSI, 0, measure_msi, lay_out_msi },              /* 7.7.1 */
	{ PCI_CAP_ID_PCIX, 0, measure_pcix, lay_out_live },           /* PCI-X 2.0, 7.2 */
	{ PCI_CAP_ID_HT, 28, NULL, NULL },                            /* the host's fabric */
	{ PCI_CAP_ID_VNDR, 0, measure_vendor, lay_out_live },         /* 7.9.4 */
	{ PCI_CAP_ID_EXP, 0, measure_pcie, lay_out_pcie },            /* 7.5.3 */
	{ PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF, NULL, lay_out_msix }, /* 7.7.2 */
	{ PCI_CAP_ID_SATA, 0, measure_sata, lay_out_live },       /* Serial ATA AHCI 1.3.1, 2.4 */
	{ PCI_CAP_ID_AF, PCI_CAP_AF_SIZEOF, NULL, lay_out_live }, /* 7.9.22; VFIO does its reset */
};

static measure_fn measure_vsec, measure_dvsec;

/*
 * Extended capabilities (7.6, 7.9): those that tell about the device and nothing else. Not here, and so hidden: what
 * addresses the host's IOMMU (ATS, PRI, PASID, ACS), what makes or resizes functions and BARs behind our back (SR-IOV,
 * MR-IOV, resizable BARs, multicast), what configures the host's links and fabric (VC, LTR, L1 substates, PTM, DPC, lanes,
 * ARI), steering tags of the host's caches (TPH) and mailboxes to firmware (DOE). AER is shown but not written: drivers
 * look at it for diagnosis, while the errors are the host's to mask, clear and answer.
 */
static const struct extended_rule {
	uint16_t id, length; /* bytes; or measured, 0: hidden after all */
	bool through;
	measure_fn *measure;
} extended_rules[] = {
	{ PCI_EXT_CAP_ID_ERR, PCI_ERR_ROOT_COMMAND, false, NULL },   /* 7.8.4 */
	{ PCI_EXT_CAP_ID_DSN, PCI_EXT_CAP_DSN_SIZEOF, false, NULL }, /* 7.9.3 */
	{ PCI_EXT_CAP_ID_PWR, PCI_EXT_CAP_PWR_SIZEOF, true, NULL },  /* 7.8.1: its index register */
	{ PCI_EXT_CAP_ID_VNDR, 0, true, measure_vsec },              /* 7.9.5 */
	{ PCI_EXT_CAP_ID_DVSEC, 0, true, measure_dvsec },            /* 7.9.6 */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Capabilities lie on double words, of which each is visited once: a list that loops ends. */
static unsigned next_standard(const uint8_t *raw, unsigned pos, uint64_t *seen)
{
	unsigned next = raw[pos ? pos + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] & ~3U;

	if (!(pci_get(raw, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) || next < PCI_STD_HEADER_SIZEOF ||
	    (*seen >> next / 4 & 1))
		return 0;
	*seen |= 1ULL << next / 4;
	return next;
}

unsigned vfio_capability_find(const uint8_t *raw, uint8_t id, unsigned length)
{
	uint64_t seen = 0;
	unsigned pos = 0;

	while ((pos = next_standard(raw, pos, &seen)))
		if (raw[pos + PCI_CAP_LIST_ID] == id)
			return pos + length <= CONFIG_SIZE ? pos : 0;
	return 0;
}

static void set_field(struct vfio_device *dev, unsigned pos, const struct cap_field *field)
{
	for (unsigned i = 0; i < field->length; i++) {
		unsigned at = pos + field->offset + i, shift = 8 * (i % 4);

		dev->live[at] = (uint8_t)(field->live >> shift);
		dev->through[at] = (uint8_t)(field->through >> shift);
		dev->function.writable[at] = (uint8_t)(field->writable >> shift);
	}
}

/* [pos, pos + length) virtual: as in the device for now, or zero; not writable. */
static void set_virtual(struct vfio_device *dev, unsigned pos, unsigned length, const uint8_t *raw)
{
	memset(&dev->live[pos], 0, length);
	memset(&dev->through[pos], 0, length);
	memset(&dev->function.writable[pos], 0, length);
	if (raw)
		memcpy(&dev->function.config[pos], &raw[pos], length);
	else
		memset(&dev->function.config[pos], 0, length);
}

static void set_live(struct vfio_device *dev, unsigned pos, unsigned length, bool through)
{
	memset(&dev->live[pos], 0xff, length);
	memset(&dev->through[pos], through ? 0xff : 0, length);
}

static unsigned measure_msi(const uint8_t *raw, unsigned pos)
{
	return vfio_msi_size((uint16_t)pci_get(raw, pos + PCI_MSI_FLAGS, 2));
}

static unsigned measure_vendor(const uint8_t *raw, unsigned pos)
{
	return raw[pos + PCI_CAP_FLAGS];
}

static unsigned measure_pcix(const uint8_t *raw, unsigned pos)
{
	bool version0 = !(pci_get(raw, pos + PCI_X_CMD, 2) & 0x3000);

	return version0 ? PCI_CAP_PCIX_SIZEOF_V0 : PCI_CAP_PCIX_SIZEOF_V2;
}

/* Without the second link and slot registers, which not every device of version 2 has. */
static unsigned measure_pcie(const uint8_t *raw, unsigned pos)
{
	uint32_t flags = pci_get(raw, pos + PCI_EXP_FLAGS, 2);

	if ((flags & PCI_EXP_FLAGS_VERS) >= 2)
		return PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2;
	return (flags & PCI_EXP_FLAGS_TYPE) >> 4 == PCI_EXP_TYPE_RC_END
		       ? PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V1
		       : PCI_CAP_EXP_ENDPOINT_SIZEOF_V1;
}

static unsigned measure_sata(const uint8_t *raw, unsigned pos)
{
	bool in_line = (raw[pos + PCI_SATA_REGS] & PCI_SATA_REGS_MASK) == PCI_SATA_REGS_INLINE;

	return in_line ? PCI_SATA_SIZEOF_LONG : PCI_SATA_SIZEOF_SHORT;
}

static unsigned measure_vsec(const uint8_t *raw, unsigned pos)
{
	return PCI_VNDR_HEADER_LEN(pci_get(raw, pos + PCI_VNDR_HEADER, 4));
}

#define DVSEC_VENDOR_CXL 0x1e98 /* address decoders of the host's memory map */

static unsigned measure_dvsec(const uint8_t *raw, unsigned pos)
{
	uint32_t header = pci_get(raw, pos + PCI_DVSEC_HEADER1, 4);

	return (header & 0xffff) == DVSEC_VENDOR_CXL ? 0 : header >> 20;
}

static void lay_out_live(struct vfio_device *dev, const uint8_t *raw, unsigned pos, unsigned length)
{
	(void)raw;
	set_live(dev, pos + PCI_CAP_FLAGS, length - PCI_CAP_FLAGS, true);
}

static void lay_out_pm(struct vfio_device *dev, const uint8_t *raw, unsigned pos, unsigned length)
{
	lay_out_live(dev, raw, pos, length);
	if (!dev->pm_cap)
		dev->pm_cap = (uint8_t)pos;
}

/* 16 bits of data, and as many vectors and mask bits as the host has. */
static void lay_out_msi(struct vfio_device *dev, const uint8_t *raw, unsigned pos, unsigned length)
{
	uint8_t *config = dev->function.config, *writable = dev->function.writable;
	uint32_t control = pci_get(raw, pos + PCI_MSI_FLAGS, 2);
	unsigned mask = vfio_msi_mask_offset((uint16_t)control), capable = 0;

	while (1U << (capable + 1) <= dev->irq.msi_vectors)
		capable++;
	memset(&config[pos + PCI_MSI_FLAGS], 0, length - PCI_MSI_FLAGS);
	control &= PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT;
	pci_put(config, pos + PCI_MSI_FLAGS, 2, control | capable << 1);
	pci_put(writable, pos + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_put(writable, pos + PCI_MSI_ADDRESS_LO, 4, ~3U);
	if (control & PCI_MSI_FLAGS_64BIT)
		pci_put(writable, pos + PCI_MSI_ADDRESS_HI, 4, ~0U);
	pci_put(writable, pos + (control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32),
		2, 0xffff);
	if (mask)
		pci_put(writable, pos + mask, 4, ~0U >> (32 - dev->irq.msi_vectors));
}

static void lay_out_msix(struct vfio_device *dev, const uint8_t *raw, unsigned pos, unsigned length)
{
	(void)raw;
	(void)length;
	pci_put(dev->function.config, pos + PCI_MSIX_FLAGS, 2, dev->irq.msix.vectors - 1);
	for (unsigned i = 0; i < COUNT(msix_fields); i++)
		set_field(dev, pos, &msix_fields[i]);
}

/*
 * The guest finds the function on its root bus, where there is no link: an endpoint there is an integrated one
 * (1.3.2.3). Software that follows the specification would look for a root port above any other.
 */
static void lay_out_pcie(struct vfio_device *dev, const uint8_t *raw, unsigned pos, unsigned length)
{
	uint8_t *config = dev->function.config;
	uint32_t flags = pci_get(raw, pos + PCI_EXP_FLAGS, 2);
	unsigned type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;

	if (type == PCI_EXP_TYPE_ENDPOINT || type == PCI_EXP_TYPE_LEG_END)
		type = PCI_EXP_TYPE_RC_END;
	flags &= ~(uint32_t)(PCI_EXP_FLAGS_TYPE | PCI_EXP_FLAGS_SLOT);
	memset(&config[pos + PCI_EXP_FLAGS], 0, length - PCI_EXP_FLAGS);
	pci_put(config, pos + PCI_EXP_FLAGS, 2, flags | type << 4);
	pci_put(config, pos + PCI_EXP_DEVCTL, 2,
		pci_get(raw, pos + PCI_EXP_DEVCTL, 2) & DEVCTL_VIRTUAL);
	for (unsigned i = 0; i < COUNT(pcie_fields); i++)
		if (pcie_fields[i].offset + pcie_fields[i].length <= length)
			set_field(dev, pos, &pcie_fields[i]);
}

/* Whether [pos, pos + length) lies in the space and no capability before it has claimed a byte of it. */
static bool claim(uint8_t *claimed, unsigned limit, unsigned pos, unsigned length)
{
	if (length <= PCI_CAP_FLAGS || pos + length > limit || memchr(&claimed[pos], 1, length))
		return false;
	memset(&claimed[pos], 1, length);
	return true;
}

static const struct standard_rule *find_rule(uint8_t id)
{
	for (unsigned i = 0; i < COUNT(standard_rules); i++)
		if (standard_rules[i].id == id)
			return &standard_rules[i];
	return NULL;
}

/* MSI and MSI-X where irq.c found them and the host has vectors for them. */
static bool offered(const struct vfio_device *dev, uint8_t id, unsigned pos)
{
	if (id == PCI_CAP_ID_MSI)
		return pos == dev->irq.msi_cap;
	if (id == PCI_CAP_ID_MSIX)
		return pos == dev->irq.msix_cap;
	return true;
}

/* Whether it is kept; then its body is laid out. */
static bool add_standard(struct vfio_device *dev, const uint8_t *raw, unsigned pos,
			 uint8_t *claimed)
{
	const struct standard_rule *rule = find_rule(raw[pos]);
	unsigned length;

	if (!rule || !rule->lay_out || !offered(dev, rule->id, pos))
		return false;
	length = rule->measure && pos + 4 <= CONFIG_SIZE ? rule->measure(raw, pos) : rule->length;
	if (!claim(claimed, CONFIG_SIZE, pos, length))
		return false;
	set_virtual(dev, pos, length, raw);
	rule->lay_out(dev, raw, pos, length);
	return true;
}

/* The bytes of hidden capabilities, as far as no kept one has them. */
static void blank(struct vfio_device *dev, unsigned pos, unsigned length, const uint8_t *claimed)
{
	for (unsigned i = pos; i < pos + length && i < CONFIG_SIZE; i++)
		if (!claimed[i])
			set_virtual(dev, i, 1, NULL);
}

static void blank_hidden(struct vfio_device *dev, const uint8_t *raw, const uint8_t *claimed)
{
	uint64_t seen = 0;
	unsigned pos = 0;

	while ((pos = next_standard(raw, pos, &seen))) {
		const struct standard_rule *rule = find_rule(raw[pos]);
		unsigned length = 4;

		if (rule)
			length = rule->measure ? rule->measure(raw, pos) : rule->length;
		/* The second link and slot registers, which measure_pcie() leaves out. */
		if (rule && rule->lay_out == lay_out_pcie &&
		    length == PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2)
			length = PCI_EXP_SLTSTA2 + 2;
		blank(dev, pos, length, claimed);
	}
}

/*
 * The list, rebuilt of what is kept, in its order. Bytes outside of all capabilities stay live: devices hide registers of
 * their own there, which their drivers use (a kernel that passes the function through lets them).
 */
static void build_standard(struct vfio_device *dev, const uint8_t *raw)
{
	uint8_t *config = dev->function.config, claimed[CONFIG_SIZE] = { 0 };
	unsigned pos = 0, last = 0;
	bool msi = false, msix = false;
	uint64_t seen = 0;

	set_live(dev, PCI_STD_HEADER_SIZEOF, CONFIG_SIZE - PCI_STD_HEADER_SIZEOF, true);
	while ((pos = next_standard(raw, pos, &seen))) {
		if (!add_standard(dev, raw, pos, claimed))
			continue;
		config[last ? last + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] = (uint8_t)pos;
		config[pos + PCI_CAP_LIST_NEXT] = 0;
		last = pos;
		msi |= raw[pos] == PCI_CAP_ID_MSI;
		msix |= raw[pos] == PCI_CAP_ID_MSIX;
	}
	if (last)
		config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	vfio_irq_keep(dev, msi, msix);
	blank_hidden(dev, raw, claimed);
}

static unsigned next_extended(const uint8_t *raw, unsigned pos, uint8_t *seen)
{
	uint32_t header = pos ? pci_get(raw, pos, 4) : 0;
	unsigned next = pos ? PCI_EXT_CAP_NEXT(header) : CONFIG_SIZE;

	if (next < CONFIG_SIZE || seen[next])
		return 0;
	header = pci_get(raw, next, 4);
	if (header == 0 || header == ~0U)
		return 0;
	seen[next] = 1;
	return next;
}

static bool add_extended(struct vfio_device *dev, const uint8_t *raw, unsigned pos,
			 uint8_t *claimed)
{
	uint32_t header = pci_get(raw, pos, 4);

	for (unsigned i = 0; i < COUNT(extended_rules); i++) {
		const struct extended_rule *rule = &extended_rules[i];
		unsigned length = rule->length;

		if (rule->id != PCI_EXT_CAP_ID(header))
			continue;
		if (rule->measure)
			length = pos + 12 <= PCI_CONFIG_SIZE ? rule->measure(raw, pos) : 0;
		if (length < 8 || !claim(claimed, PCI_CONFIG_SIZE, pos, length))
			return false;
		pci_put(dev->function.config, pos, 4, header & 0xfffff);
		set_live(dev, pos + 4, length - 4, rule->through);
		return true;
	}
	return false;
}

/*
 * The list always starts at 0x100 (7.6.1): where what is there is hidden, a header without ID leads on. What lies between
 * reads as zero: here the kernel hides capabilities whose registers it would let through.
 */
static void build_extended(struct vfio_device *dev, const uint8_t *raw)
{
	uint8_t *config = dev->function.config;
	uint8_t claimed[PCI_CONFIG_SIZE] = { 0 }, seen[PCI_CONFIG_SIZE] = { 0 };
	unsigned pos = 0, last = CONFIG_SIZE;

	while ((pos = next_extended(raw, pos, seen))) {
		if (!add_extended(dev, raw, pos, claimed))
			continue;
		if (pos != last)
			pci_put(config, last, 4, pci_get(config, last, 4) | pos << 20);
		last = pos;
	}
}

static void build_header(struct vfio_device *dev, const uint8_t *raw)
{
	uint8_t *config = dev->function.config;

	for (unsigned i = 0; i < COUNT(header_fields); i++) {
		const struct header_field *field = &header_fields[i];
		const struct cap_field masks = { field->offset, field->length, field->live, 0,
						 field->writable };

		set_virtual(dev, field->offset, field->length, field->copied ? raw : NULL);
		set_field(dev, 0, &masks);
	}
	/* VFIO's INTx masks itself when it fires; without that there is no way to deliver a level. */
	if (dev->irq.counts[VFIO_PCI_INTX_IRQ_INDEX] &&
	    (dev->irq.flags[VFIO_PCI_INTX_IRQ_INDEX] & VFIO_IRQ_INFO_AUTOMASKED) &&
	    raw[PCI_INTERRUPT_PIN] <= 4)
		config[PCI_INTERRUPT_PIN] = raw[PCI_INTERRUPT_PIN];
}

static uint16_t decode_bits(const struct vfio_device *dev, const uint8_t *raw)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (!dev->regions[i].size)
			continue;
		bits |= raw[PCI_BASE_ADDRESS_0 + 4 * i] & PCI_BASE_ADDRESS_SPACE_IO
				? PCI_COMMAND_IO
				: PCI_COMMAND_MEMORY;
	}
	return (uint16_t)bits;
}

int vfio_config_build(struct vfio_device *dev)
{
	const struct vfio_region *region = &dev->regions[VFIO_PCI_CONFIG_REGION_INDEX];
	const char *name = dev->function.name;
	uint8_t raw[PCI_CONFIG_SIZE] = { 0 };
	uint64_t size = region->size < sizeof(raw) ? region->size : sizeof(raw);

	if (size < CONFIG_SIZE || vfio_pread(dev->fd, raw, size, region->offset) != (int64_t)size)
		return report(-EIO, "cannot read the configuration space of %s", name);
	if (pci_get(raw, PCI_VENDOR_ID, 2) == 0xffff)
		return refuse(-EIO, "%s does not answer: it is powered down, or broken", name);
	if ((raw[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) != PCI_HEADER_TYPE_NORMAL)
		return refuse(-EINVAL, "%s is a bridge: only endpoints can be passed through",
			      name);
	build_header(dev, raw);
	build_standard(dev, raw);
	/* Beyond 256 bytes a conventional function is not there (7.2.1). */
	if (size == PCI_CONFIG_SIZE && vfio_capability_find(raw, PCI_CAP_ID_EXP, PCI_EXP_LNKCAP))
		build_extended(dev, raw);
	else
		memset(&dev->function.config[CONFIG_SIZE], 0xff, PCI_CONFIG_SIZE - CONFIG_SIZE);
	dev->decode_bits = decode_bits(dev, raw);
	vfio_config_sync(dev);
	return 0;
}

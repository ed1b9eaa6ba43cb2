// SPDX-License-Identifier: GPL-2.0-only
#include <stddef.h>
#include "pci_class.h"

/* Ascending by base and sub class; a name without a sub class of its own has sub class 0xff and ends its base class. */
static const struct {
	uint8_t base, sub;
	const char *name;
} classes[] = {
	{ 0x00, 0xff, "Unclassified" },
	{ 0x01, 0x00, "SCSI controller" },
	{ 0x01, 0x01, "IDE controller" },
	{ 0x01, 0x04, "RAID controller" },
	{ 0x01, 0x06, "SATA controller" },
	{ 0x01, 0x07, "SAS controller" },
	{ 0x01, 0x08, "NVM controller" },
	{ 0x01, 0x09, "UFS controller" },
	{ 0x01, 0xff, "Mass storage" },
	{ 0x02, 0x00, "Ethernet controller" },
	{ 0x02, 0x07, "InfiniBand controller" },
	{ 0x02, 0xff, "Network controller" },
	{ 0x03, 0x00, "VGA controller" },
	{ 0x03, 0x02, "3D controller" },
	{ 0x03, 0xff, "Display controller" },
	{ 0x04, 0x01, "Audio device" },
	{ 0x04, 0x03, "HD audio device" },
	{ 0x04, 0xff, "Multimedia device" },
	{ 0x05, 0x02, "CXL memory device" },
	{ 0x05, 0xff, "Memory controller" },
	{ 0x06, 0x00, "Host bridge" },
	{ 0x06, 0x01, "ISA bridge" },
	{ 0x06, 0x04, "PCI bridge" },
	{ 0x06, 0x07, "CardBus bridge" },
	{ 0x06, 0xff, "Bridge" },
	{ 0x07, 0x00, "Serial controller" },
	{ 0x07, 0xff, "Communication device" },
	{ 0x08, 0x01, "DMA controller" },
	{ 0x08, 0x05, "SD host controller" },
	{ 0x08, 0x06, "IOMMU" },
	{ 0x08, 0x07, "Root complex event collector" },
	{ 0x08, 0xff, "System peripheral" },
	{ 0x09, 0xff, "Input device" },
	{ 0x0a, 0xff, "Docking station" },
	{ 0x0b, 0xff, "Processor" },
	{ 0x0c, 0x03, "USB controller" },
	{ 0x0c, 0x05, "SMBus controller" },
	{ 0x0c, 0xff, "Serial bus controller" },
	{ 0x0d, 0xff, "Wireless controller" },
	{ 0x0e, 0xff, "Intelligent controller" },
	{ 0x0f, 0xff, "Satellite controller" },
	{ 0x10, 0xff, "Encryption controller" },
	{ 0x11, 0xff, "Signal processing controller" },
	{ 0x12, 0xff, "Processing accelerator" },
	{ 0x13, 0xff, "Non-essential instrumentation" },
	{ 0xff, 0xff, "Unassigned class" },
};

const char *pci_class_name(uint32_t class)
{
	uint8_t base = (uint8_t)(class >> 16), sub = (uint8_t)(class >> 8);

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (classes[i].base == base && (classes[i].sub == sub || classes[i].sub == 0xff))
			return classes[i].name;
	return "Unknown class";
}

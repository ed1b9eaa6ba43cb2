/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VFIO_PCI_CLASS_H
#define VFIO_PCI_CLASS_H

#include <stdint.h>

/* What a class code (24 bits: base, sub, interface) stands for (PCI Code and ID Assignment 1.11). Never NULL. */
const char *pci_class_name(uint32_t class);

#endif

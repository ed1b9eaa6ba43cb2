/* SPDX-License-Identifier: GPL-2.0-only */
/* Sizes of memory, in bytes. */
#ifndef LKVM_SIZES_H
#define LKVM_SIZES_H

#define SZ_64K 0x10000ULL
#define SZ_1M  0x100000ULL
#define SZ_2M  0x200000ULL
#define SZ_1G  0x40000000ULL
#define SZ_4G  0x100000000ULL

#endif

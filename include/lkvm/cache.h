/* SPDX-License-Identifier: GPL-2.0-only */
/* Data caches, for memory that the guest maps as a device's and we as memory. */
#ifndef LKVM_CACHE_H
#define LKVM_CACHE_H

#include <stddef.h>

/* Writes back what the caches hold of [at, at + size), to where accesses that use no cache find it (Arm ARM, B2.9). */
void cache_clean(const void *at, size_t size);

#endif

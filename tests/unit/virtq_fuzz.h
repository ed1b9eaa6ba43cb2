/* SPDX-License-Identifier: GPL-2.0-only */
/* A device that serves a ring full of anything, for the fuzz targets of both formats. */
#ifndef TESTS_VIRTQ_FUZZ_H
#define TESTS_VIRTQ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One input: struct fuzz_ring in virtq_fuzz.c, then what driver and device do, a byte each. Asserts what must hold. */
void virtq_fuzz(const uint8_t *data, size_t size, bool packed);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* A split virtqueue in which anything may be: see tests/unit/virtq_fuzz.c. */
#include "virtq_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	virtq_fuzz(data, size, false);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* A CFI NOR flash with the Intel command set (JESD68.01, JEP137: command set 0x0001), 32 bits wide, for firmware. */
#ifndef LKVM_FLASH_H
#define LKVM_FLASH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <lkvm/mmio.h>
#include <lkvm/vm.h>

struct flash {
	struct vm *vm;
	struct mmio_region region;
	int slot; /* read-only memory slot while in read-array mode, or -1 */
	bool read_only; /* the file could not be opened for writing: programming fails with a status bit */
	uint8_t *data;            /* MAP_SHARED of the file */
	uint64_t file_size, size; /* bytes; size: rounded up to whole erase blocks */
	pthread_mutex_t lock;     /* guards all below, slot; taken before the VM's slots */
	unsigned state;
	uint8_t status;
	uint32_t count, written; /* words of a buffered program */
	uint64_t buffer_base;
	uint32_t buffer[128];
	atomic_bool complained;
};

/* Opens `path` (reported: missing, larger than MAP_FLASH_SIZE, empty) and maps it; attach puts it into a VM. */
int flash_create(struct flash *flash, const char *path, struct mmio_bus *mmio);
int flash_attach(struct flash *flash, struct vm *vm);
void flash_detach(struct flash *flash);
void flash_destroy(struct flash *flash);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM on a fake KVM, a flash for it, and the guest's accesses. */
#ifndef FLASH_RIG_H
#define FLASH_RIG_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>
#include <lkvm/flash.h>
#include "fake_kvm.h"

#define BASE  MAP_FLASH_BASE
#define BLOCK FLASH_BLOCK_SIZE
#define SIZE  (4 * BLOCK)

/* A command to both chips. */
#define DUAL(command) ((command) << 16 | (command))

extern struct fake_kvm *flash_kvm;
extern struct vm flash_vm;
extern struct mmio_bus flash_mmio;
extern struct flash rig_flash;
extern uint8_t flash_content[SIZE]; /* of the file, at first */

/* Around each test: the VM, not the flash. create: a flash with the first `size` bytes of flash_content, attached. */
int flash_rig_setup(void **state);
int flash_rig_teardown(void **state);
void flash_rig_create(size_t size);

/* The slot the guest reads the flash through, or NULL. */
const struct kvm_userspace_memory_region *flash_slot(void);

/* The guest's accesses: from the slot if there is one. command: to both chips; status: by a command, then read. */
uint64_t flash_load(uint64_t offset, unsigned size);
uint32_t flash_get(uint64_t offset);
void flash_store(uint64_t offset, unsigned size, uint64_t value);
void flash_command(uint64_t offset, uint32_t nn);
uint32_t flash_status(void);
/* A buffered program of value, value + 1, ... */
void flash_program_buffer(uint64_t offset, unsigned words, uint32_t value);

void assert_file_holds(const uint8_t *bytes, size_t offset, size_t size);

#endif

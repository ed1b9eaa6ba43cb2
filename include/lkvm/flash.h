/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A CFI NOR flash for firmware (JESD68.01, command set 0x0001 of JEP137): what the kvmtool flavours of EDK2's flash driver
 * and Linux' cfi-flash with bank-width 4 expect: two 16-bit chips side by side on a 32-bit bus, every command given to both
 * (0x00nn00nn), erase blocks of 32 KiB a chip, 64 KiB as the guest sees them, a program buffer of 64 bytes a chip, blocks
 * that can be locked and start unlocked. Programming clears bits, erasing sets them.
 *
 * In read-array mode the content is a read-only memory slot: reads do not leave the guest, and code runs in place. Any
 * command but read array takes the slot away.
 */
#ifndef LKVM_FLASH_H
#define LKVM_FLASH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <lkvm/memory_map.h>
#include <lkvm/mmio.h>
#include <lkvm/vm.h>

#define FLASH_BLOCK_SIZE   SZ_64K
#define FLASH_BLOCKS       (MAP_FLASH_SIZE / FLASH_BLOCK_SIZE)
#define FLASH_BUFFER_WORDS 32 /* of 32 bits */

enum flash_state {
	FLASH_READ_ARRAY,
	FLASH_READ_STATUS,
	FLASH_READ_ID,
	FLASH_READ_QUERY,
	/* Part of a command sequence was seen; reads give the status. */
	FLASH_PROGRAM,
	FLASH_BUFFER_COUNT,
	FLASH_BUFFER_DATA,
	FLASH_BUFFER_CONFIRM,
	FLASH_ERASE_CONFIRM,
	FLASH_LOCK_CONFIRM,
};

struct flash {
	struct mmio_bus *mmio;
	struct vm *vm; /* NULL: not attached */
	struct mmio_region region;
	const char *path;
	int fd;
	bool read_only; /* the file could not be opened for writing: programming fails with a status bit */
	uint8_t *data;            /* [size], anonymous: the file's content, then 0xff */
	uint64_t file_size, size; /* bytes; size: a power of two, at least one erase block */
	pthread_mutex_t lock;     /* guards all below; taken before the VM's slots */
	int slot;                 /* read-only memory slot while in read-array mode, or -1 */
	bool trapped;             /* there was no slot: reads are emulated until the next attach */
	enum flash_state state;
	uint8_t status;
	uint32_t count, written; /* words of a buffered program */
	uint64_t buffer_base,
		buffer_size; /* bytes, from the first word's place to the last's end */
	uint32_t buffer[FLASH_BUFFER_WORDS];
	uint64_t locked[FLASH_BLOCKS / 64];
	atomic_bool complained;
};

/*
 * Opens `path` (the caller's, and kept) and reads it; what the guest writes is written through. Reported: missing, no regular file, empty, larger than MAP_FLASH_SIZE.
 * Where the file's size is no power of two the rest reads as erased and cannot be programmed. destroy accepts a zeroed
 * object.
 */
int flash_create(struct flash *flash, const char *path, struct mmio_bus *mmio);
void flash_destroy(struct flash *flash);

/* Power-on state, in this VM; off it again. No vCPU runs. attach: reported. detach without attach is ignored. */
int flash_attach(struct flash *flash, struct vm *vm);
void flash_detach(struct flash *flash);

#endif

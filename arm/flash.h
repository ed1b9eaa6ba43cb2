/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the flash's commands (flash.c) and the file it is stored in (flash_file.c). */
#ifndef ARM_FLASH_H
#define ARM_FLASH_H

#include <lkvm/flash.h>

/* Opens and reads flash->path; sets fd, read_only, data, sizes. Reported. close accepts what open left behind. */
int flash_file_open(struct flash *flash);
void flash_file_close(struct flash *flash);

/*
 * Under the lock; [offset, offset + size) is part of the flash. program: clears in the file what is clear in bytes; size at
 * most FLASH_BUFFER_WORDS words. erase: the block at offset. -EROFS, -ENXIO (beyond the file), -errno of write(2).
 */
int flash_file_program(struct flash *flash, uint64_t offset, const uint8_t *bytes, uint64_t size);
int flash_file_erase(struct flash *flash, uint64_t offset);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* The command state machine of the two chips, which always agree. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <lkvm/report.h>
#include "flash.h"

enum flash_command {
	COMMAND_LOCK = 0x01,
	COMMAND_PROGRAM_ALTERNATE = 0x10,
	COMMAND_ERASE = 0x20,
	COMMAND_LOCK_DOWN = 0x2f,
	COMMAND_PROGRAM = 0x40,
	COMMAND_CLEAR_STATUS = 0x50,
	COMMAND_LOCK_SETUP = 0x60,
	COMMAND_READ_STATUS = 0x70,
	COMMAND_READ_ID = 0x90,
	COMMAND_READ_QUERY = 0x98,
	COMMAND_SUSPEND = 0xb0,
	COMMAND_CONFIRM = 0xd0,
	COMMAND_BUFFERED_PROGRAM = 0xe8,
	COMMAND_READ_ARRAY = 0xff,
};

#define STATUS_READY         0x80
#define STATUS_ERASE_ERROR   0x20
#define STATUS_PROGRAM_ERROR 0x10
#define STATUS_VPP_ERROR     0x08 /* how a chip says that its write-protect pin is tied */
#define STATUS_LOCKED        0x02
#define STATUS_SEQUENCE      (STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR)

#define CHIPS           2
#define BUS_WIDTH       4    /* bytes */
#define ID_MANUFACTURER 0x89 /* Intel */
#define ID_DEVICE       0x18
#define ID_LOCKED       0x01                             /* of a block's third word */
#define BLOCK_SIZE_256  (FLASH_BLOCK_SIZE / CHIPS / 256) /* a chip's, in units of 256 bytes */
#define QUERY_SIZE      0x27                             /* log2 of bytes */
#define QUERY_BLOCKS    0x2d                             /* erase blocks less one, 16 bits */

/*
 * CFI query (JESD68.01, 2; JEP137, 0x0001): a byte a word of a chip, from a word address on; zero where nothing stands.
 * What depends on the size is filled in on reading.
 */
static const struct {
	uint8_t word, count, bytes[5];
} query_table[] = {
	{ 0x10, 3, "QRY" },
	{ 0x13, 2, { 0x01, 0x00 } },             /* Intel/Sharp extended command set ... */
	{ 0x15, 2, { 0x31, 0x00 } },             /* ... whose table is there; no alternative one */
	{ 0x1b, 2, { 0x27, 0x36 } },             /* Vcc: 2.7 to 3.6 V; no Vpp pin */
	{ 0x1f, 4, { 0x01, 0x01, 0x01, 0x00 } }, /* word, buffer 2 us, block 2 ms, no chip erase */
	{ 0x23, 4, { 0x01, 0x01, 0x01, 0x00 } }, /* at most twice as long */
	{ 0x28, 2, { 0x01, 0x00 } },             /* 16 bits wide */
	{ 0x2a, 2, { 0x06, 0x00 } },             /* log2 of the program buffer's bytes */
	{ 0x2c, 1, { 0x01 } },                   /* one region of erase blocks ... */
	{ 0x2f, 2, { BLOCK_SIZE_256, 0x00 } },   /* ... of this size */
	{ 0x31, 5, "PRI10" },
	{ 0x36, 2, { 0x20, 0x00 } }, /* blocks can be locked one by one; no suspend */
	{ 0x3b, 2, { 0x01, 0x00 } }, /* their status word has a lock bit */
	{ 0x3d, 1, { 0x33 } },       /* best at 3.3 V; no protection registers */
};

/* --- the slot; under the lock --- */

static void set_state(struct flash *flash, enum flash_state state)
{
	flash->state = state;
	if (!flash->vm)
		return;
	if (state != FLASH_READ_ARRAY && flash->slot >= 0) {
		vm_slot_remove(flash->vm, flash->slot, flash->region.base);
		flash->slot = -1;
	} else if (state == FLASH_READ_ARRAY && flash->slot < 0 && !flash->trapped) {
		flash->slot = vm_slot_add(flash->vm, flash->region.base, flash->size, flash->data,
					  KVM_MEM_READONLY);
		flash->trapped = flash->slot < 0;
	}
}

/* --- locks; under the lock --- */

static bool block_locked(const struct flash *flash, uint64_t offset)
{
	uint64_t block = offset / FLASH_BLOCK_SIZE;

	return flash->locked[block / 64] >> block % 64 & 1;
}

static void lock_block(struct flash *flash, uint64_t offset, bool lock)
{
	uint64_t block = offset / FLASH_BLOCK_SIZE;
	uint64_t bit = 1ULL << block % 64;

	if (lock)
		flash->locked[block / 64] |= bit;
	else
		flash->locked[block / 64] &= ~bit;
}

/* --- what changes the content; under the lock --- */

/* Puts the outcome of a program or erase (`error` is its bit) into the status register. */
static void finish(struct flash *flash, int err, uint8_t error)
{
	if (err)
		flash->status |= error;
	if (err == -EROFS)
		flash->status |= STATUS_VPP_ERROR;
	if (err)
		report_once(&flash->complained, "the guest cannot write to flash file %s: %s",
			    flash->path,
			    err == -ENXIO ? "the file ends before the flash does" : strerror(-err));
	set_state(flash, FLASH_READ_STATUS);
}

static void fail(struct flash *flash, uint8_t error)
{
	flash->status |= error;
	set_state(flash, FLASH_READ_STATUS);
}

static void program(struct flash *flash, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
	if (block_locked(flash, offset) || block_locked(flash, offset + size - 1))
		fail(flash, STATUS_PROGRAM_ERROR | STATUS_LOCKED);
	else
		finish(flash, flash_file_program(flash, offset, bytes, size), STATUS_PROGRAM_ERROR);
}

static void erase(struct flash *flash, uint64_t offset)
{
	uint64_t block = offset & ~(FLASH_BLOCK_SIZE - 1);

	if (block_locked(flash, block))
		fail(flash, STATUS_ERASE_ERROR | STATUS_LOCKED);
	else
		finish(flash, flash_file_erase(flash, block), STATUS_ERASE_ERROR);
}

/* --- second and later writes of a command sequence; under the lock --- */

static void value_bytes(uint64_t value, uint8_t *bytes, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

static void write_program(struct flash *flash, uint64_t offset, unsigned size, uint64_t value)
{
	uint8_t bytes[8];

	value_bytes(value, bytes, size);
	program(flash, offset, bytes, size);
}

/* Words of 16 bits a chip, less one. */
static void write_buffer_count(struct flash *flash, uint64_t value)
{
	uint32_t count = (value & 0xffff) + 1;

	if (count > FLASH_BUFFER_WORDS) {
		fail(flash, STATUS_SEQUENCE);
		return;
	}
	flash->count = count;
	flash->written = 0;
	flash->buffer_size = 0;
	memset(flash->buffer, 0xff, sizeof(flash->buffer));
	set_state(flash, FLASH_BUFFER_DATA);
}

/* The first word says where the buffer lies; all go into one erase block. */
static void write_buffer_data(struct flash *flash, uint64_t offset, unsigned size, uint64_t value)
{
	uint64_t index;

	if (!flash->written)
		flash->buffer_base = offset;
	index = (offset - flash->buffer_base) / BUS_WIDTH;
	if (size != BUS_WIDTH || offset % BUS_WIDTH || offset < flash->buffer_base ||
	    index >= FLASH_BUFFER_WORDS ||
	    offset / FLASH_BLOCK_SIZE != flash->buffer_base / FLASH_BLOCK_SIZE) {
		fail(flash, STATUS_SEQUENCE);
		return;
	}
	flash->buffer[index] = (uint32_t)value;
	if (flash->buffer_size < (index + 1) * BUS_WIDTH)
		flash->buffer_size = (index + 1) * BUS_WIDTH;
	if (++flash->written == flash->count)
		set_state(flash, FLASH_BUFFER_CONFIRM);
}

/* Words between that were not written are all ones, and program nothing. */
static void write_buffer_confirm(struct flash *flash, uint8_t command)
{
	uint8_t bytes[sizeof(flash->buffer)];

	if (command != COMMAND_CONFIRM) {
		fail(flash, STATUS_SEQUENCE);
		return;
	}
	for (unsigned i = 0; i < FLASH_BUFFER_WORDS; i++)
		value_bytes(flash->buffer[i], bytes + (size_t)BUS_WIDTH * i, BUS_WIDTH);
	program(flash, flash->buffer_base, bytes, flash->buffer_size);
}

static void write_erase_confirm(struct flash *flash, uint64_t offset, uint8_t command)
{
	if (command == COMMAND_CONFIRM)
		erase(flash, offset);
	else if (command == COMMAND_READ_ARRAY)
		set_state(flash, FLASH_READ_ARRAY);
	else
		fail(flash, STATUS_SEQUENCE);
}

static void write_lock_confirm(struct flash *flash, uint64_t offset, uint8_t command)
{
	switch (command) {
	case COMMAND_LOCK:
	case COMMAND_LOCK_DOWN:
	case COMMAND_CONFIRM:
		lock_block(flash, offset, command != COMMAND_CONFIRM);
		set_state(flash, FLASH_READ_STATUS);
		break;
	case COMMAND_READ_ARRAY:
		set_state(flash, FLASH_READ_ARRAY);
		break;
	default:
		fail(flash, STATUS_SEQUENCE);
	}
}

/* --- first writes --- */

static void write_command(struct flash *flash, uint8_t command)
{
	switch (command) {
	case COMMAND_PROGRAM:
	case COMMAND_PROGRAM_ALTERNATE:
		set_state(flash, FLASH_PROGRAM);
		break;
	case COMMAND_BUFFERED_PROGRAM:
		set_state(flash, FLASH_BUFFER_COUNT);
		break;
	case COMMAND_ERASE:
		set_state(flash, FLASH_ERASE_CONFIRM);
		break;
	case COMMAND_LOCK_SETUP:
		set_state(flash, FLASH_LOCK_CONFIRM);
		break;
	case COMMAND_READ_STATUS:
		set_state(flash, FLASH_READ_STATUS);
		break;
	case COMMAND_READ_ID:
		set_state(flash, FLASH_READ_ID);
		break;
	case COMMAND_READ_QUERY:
		set_state(flash, FLASH_READ_QUERY);
		break;
	case COMMAND_CLEAR_STATUS:
		flash->status = STATUS_READY;
		break;
	case COMMAND_SUSPEND: /* there is never anything to suspend or resume */
	case COMMAND_CONFIRM:
		break;
	default: /* READ_ARRAY, and what other chips call a reset */
		set_state(flash, FLASH_READ_ARRAY);
	}
}

static void flash_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct flash *flash = device;
	uint8_t command = (uint8_t)value;

	pthread_mutex_lock(&flash->lock);
	switch (flash->state) {
	case FLASH_PROGRAM:
		write_program(flash, offset, size, value);
		break;
	case FLASH_BUFFER_COUNT:
		write_buffer_count(flash, value);
		break;
	case FLASH_BUFFER_DATA:
		write_buffer_data(flash, offset, size, value);
		break;
	case FLASH_BUFFER_CONFIRM:
		write_buffer_confirm(flash, command);
		break;
	case FLASH_ERASE_CONFIRM:
		write_erase_confirm(flash, offset, command);
		break;
	case FLASH_LOCK_CONFIRM:
		write_lock_confirm(flash, offset, command);
		break;
	default:
		write_command(flash, command);
	}
	pthread_mutex_unlock(&flash->lock);
}

/* --- reads; under the lock --- */

static uint8_t query_byte(const struct flash *flash, uint64_t word)
{
	uint64_t blocks = flash->size / FLASH_BLOCK_SIZE - 1;

	switch (word) {
	case QUERY_SIZE:
		return (uint8_t)__builtin_ctzll(flash->size / CHIPS);
	case QUERY_BLOCKS:
		return blocks & 0xff;
	case QUERY_BLOCKS + 1:
		return (uint8_t)(blocks >> 8);
	default:
		break;
	}
	for (size_t i = 0; i < sizeof(query_table) / sizeof(query_table[0]); i++)
		if (word >= query_table[i].word &&
		    word - query_table[i].word < query_table[i].count)
			return query_table[i].bytes[word - query_table[i].word];
	return 0;
}

static uint8_t id_byte(const struct flash *flash, uint64_t offset)
{
	if (offset / BUS_WIDTH == 0)
		return ID_MANUFACTURER;
	if (offset / BUS_WIDTH == 1)
		return ID_DEVICE;
	if (offset % FLASH_BLOCK_SIZE / BUS_WIDTH == 2)
		return block_locked(flash, offset) ? ID_LOCKED : 0;
	return 0;
}

/* What each chip answers in the low byte of its half of the bus. */
static uint8_t chip_byte(const struct flash *flash, uint64_t offset)
{
	switch (flash->state) {
	case FLASH_READ_ID:
		return id_byte(flash, offset);
	case FLASH_READ_QUERY:
		return query_byte(flash, offset / BUS_WIDTH);
	default:
		return flash->status;
	}
}

static uint8_t read_byte(const struct flash *flash, uint64_t offset)
{
	if (flash->state == FLASH_READ_ARRAY)
		return flash->data[offset];
	return offset % (BUS_WIDTH / CHIPS) ? 0 : chip_byte(flash, offset);
}

static uint64_t flash_read(void *device, uint64_t offset, unsigned size)
{
	struct flash *flash = device;
	uint64_t value = 0;

	pthread_mutex_lock(&flash->lock);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_byte(flash, offset + i) << (8 * i);
	pthread_mutex_unlock(&flash->lock);
	return value;
}

static const struct mmio_ops flash_ops = { flash_read, flash_write };

/* --- creation --- */

static void power_on(struct flash *flash)
{
	memset(flash->locked, 0, sizeof(flash->locked));
	flash->status = STATUS_READY;
	flash->trapped = false;
	flash->slot = -1;
	set_state(flash, FLASH_READ_ARRAY);
}

int flash_create(struct flash *flash, const char *path, struct mmio_bus *mmio)
{
	int err;

	*flash = (struct flash){
		.mmio = mmio,
		.path = path,
		.fd = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	power_on(flash);
	err = flash_file_open(flash);
	if (!err) {
		flash->region = (struct mmio_region){ "flash", MAP_FLASH_BASE, flash->size,
						      &flash_ops, flash };
		err = mmio_bus_add(mmio, &flash->region);
		if (err)
			report(err, "cannot put the flash on the bus");
	}
	if (err)
		flash_destroy(flash);
	return err;
}

void flash_destroy(struct flash *flash)
{
	if (!flash->mmio)
		return;
	flash_detach(flash);
	mmio_bus_remove(flash->mmio, &flash->region);
	flash_file_close(flash);
	pthread_mutex_destroy(&flash->lock);
	*flash = (struct flash){ 0 };
}

int flash_attach(struct flash *flash, struct vm *vm)
{
	int err;

	pthread_mutex_lock(&flash->lock);
	flash->vm = vm;
	power_on(flash);
	err = flash->slot < 0 ? flash->slot : 0;
	if (err)
		flash->vm = NULL;
	pthread_mutex_unlock(&flash->lock);
	return err;
}

void flash_detach(struct flash *flash)
{
	if (!flash->mmio)
		return;
	pthread_mutex_lock(&flash->lock);
	if (flash->vm && flash->slot >= 0)
		vm_slot_remove(flash->vm, flash->slot, flash->region.base);
	flash->vm = NULL;
	flash->slot = -1;
	pthread_mutex_unlock(&flash->lock);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CFI flash with the Intel command set (JESD68.01, JEP137), 32 bits wide: query, erase, program by word and by buffer.
 * What stays in it: 0xc001d00d in the second block's first word, the numbers 0 to 15 from its 64th on.
 */
#include "lib.h"

/* A command goes to both halves of the bus: the flash may be one 32-bit chip or two of 16 bits. */
#define BOTH(x) ((x) << 16 | (x))

enum {
	CMD_PROGRAM = 0x40,
	CMD_ERASE = 0x20,
	CMD_CONFIRM = 0xd0,
	CMD_LOCK = 0x60,
	CMD_CLEAR_STATUS = 0x50,
	CMD_READ_STATUS = 0x70,
	CMD_READ_ID = 0x90,
	CMD_QUERY = 0x98,
	CMD_BUFFER = 0xe8,
	CMD_READ_ARRAY = 0xff,
};

#define STATUS_READY 0x80U
#define STATUS_FAULT 0x3aU

static uint64_t block; /* where the second erase block begins */

static void command(uint64_t addr, uint32_t code)
{
	write32(addr, BOTH(code));
}

static uint32_t query(unsigned offset)
{
	return read32(FLASH_BASE + 4 * offset) & 0xff;
}

static bool finished(void)
{
	bool ready = wait_until(read32(block) & STATUS_READY, 20000);
	uint32_t status = read32(block);

	command(block, CMD_CLEAR_STATUS);
	command(block, CMD_READ_ARRAY);
	return ready && !(status & STATUS_FAULT);
}

static bool program(uint64_t addr, uint32_t value)
{
	command(addr, CMD_PROGRAM);
	write32(addr, value);
	return finished();
}

static bool program_buffer(uint64_t addr)
{
	command(addr, CMD_BUFFER);
	if (!wait_until(read32(addr) & STATUS_READY, 20000))
		return false;
	write32(addr, BOTH(15)); /* words - 1 */
	for (uint32_t i = 0; i < 16; i++)
		write32(addr + 4 * i, i);
	command(addr, CMD_CONFIRM);
	return finished();
}

static void identify(void)
{
	unsigned chips, size, block_size;

	command(FLASH_BASE + 4 * 0x55, CMD_QUERY);
	check(query(0x10) == 'Q' && query(0x11) == 'R' && query(0x12) == 'Y', "CFI query");
	check(query(0x13) == 1 && query(0x14) == 0, "Intel command set");
	chips = read32(FLASH_BASE + 4 * 0x10) >> 16 ? 2 : 1;
	size = chips << query(0x27);
	block_size = (query(0x2f) | query(0x30) << 8) * 256 * chips;
	print("flash %u bytes in blocks of %u\n", size, block_size);
	check(block_size && (query(0x2d) | query(0x2e) << 8) + 1U == size / block_size,
	      "blocks make up the size");
	block = FLASH_BASE + block_size;
	command(FLASH_BASE, CMD_READ_ID);
	read32(FLASH_BASE);
	command(FLASH_BASE, CMD_READ_ARRAY);
}

static bool buffer_is_right(uint64_t addr)
{
	for (uint32_t i = 0; i < 16; i++) {
		if (read32(addr + 4 * i) != i)
			return false;
	}
	return true;
}

static void change(void)
{
	uint32_t neighbour = read32(block - 4);

	command(block, CMD_LOCK);
	command(block, CMD_CONFIRM); /* unlock */
	command(block, CMD_READ_ARRAY);
	command(block, CMD_ERASE);
	command(block, CMD_CONFIRM);
	check(finished() && read32(block) == ~0U && read32(block + 0x400) == ~0U, "erase");
	check(program(block, 0xf00fd00d) && read32(block) == 0xf00fd00d, "program a word");
	program(block, 0xcff1ffff);
	check(read32(block) == (0xf00fd00d & 0xcff1ffff), "programming only clears bits");
	command(block, CMD_ERASE);
	command(block, CMD_CONFIRM);
	finished();
	check(program(block, 0xc001d00d) && read32(block) == 0xc001d00d, "erase and program again");
	check(program_buffer(block + 0x100) && buffer_is_right(block + 0x100), "program a buffer");
	check(read32(block - 4) == neighbour, "the block before is as it was");
}

/* Commands that make no sense, in every state; then it is a flash as before. */
static void nonsense(void)
{
	for (uint32_t code = 0; code < 0x100; code++) {
		if (code == CMD_ERASE || code == CMD_PROGRAM || code == 0x10)
			continue;
		command(block + 0x1000, code);
		read32(block + 0x1000);
		write8(block + 0x1001, (uint8_t)code);
		write64(block + 0x1000, 0);
		command(block + 0x1000, CMD_READ_ARRAY);
	}
	/* A buffer longer than any, and one that leaves its block. */
	command(block + 0x1000, CMD_BUFFER);
	write32(block + 0x1000, ~0U);
	for (uint32_t i = 0; i < 600; i++)
		write32(block + 0x1000 + 4 * i, ~0U);
	write32(FLASH_BASE, ~0U);
	command(block + 0x1000, CMD_READ_ARRAY);
	command(block + 0x1000, CMD_CLEAR_STATUS);
	command(block + 0x1000, CMD_READ_ARRAY);
	check(read32(block) == 0xc001d00d && buffer_is_right(block + 0x100),
	      "contents survive nonsense");
}

void guest_main(const void *fdt)
{
	(void)fdt;
	print("first %08x\n", read32(FLASH_BASE));
	identify();
	change();
	nonsense();
}

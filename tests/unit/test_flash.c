// SPDX-License-Identifier: GPL-2.0-only
/* The flash as EDK2's and Linux' drivers use it, on a fake KVM, and guests that know no manners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "flash_rig.h"

/* --- reading --- */

static void reads_do_not_leave_the_guest(void **state)
{
	(void)state;
	flash_rig_create(SIZE);
	assert_non_null(flash_slot());
	assert_int_equal(flash_slot()->guest_phys_addr, BASE);
	assert_int_equal(flash_slot()->memory_size, SIZE);
	assert_int_equal(flash_slot()->flags, KVM_MEM_READONLY);
	assert_memory_equal((void *)(uintptr_t)flash_slot()->userspace_addr, flash_content, SIZE);
	flash_command(0, 0x50); /* clearing the status is no reason to take it away */
	assert_non_null(flash_slot());
	assert_int_equal(flash_kvm->vms[0].slots_ever, 1);
	flash_detach(&rig_flash);
	assert_null(flash_slot());
}

static void any_command_takes_the_slot_away_until_read_array(void **state)
{
	static const uint8_t commands[] = { 0x70, 0x90, 0x98, 0x20, 0x40, 0x10, 0xe8, 0x60 };

	(void)state;
	flash_rig_create(SIZE);
	for (size_t i = 0; i < sizeof(commands); i++) {
		flash_command(0x100, commands[i]);
		assert_null(flash_slot());
		flash_store(0x100, 4, 0xffffffff); /* as data for some: programs nothing */
		flash_command(0, 0xff);
		flash_command(0, 0xff);
		assert_non_null(flash_slot());
		assert_int_equal(flash_get(0x1000),
				 flash_content[0x1003] << 24 | flash_content[0x1002] << 16 |
					 flash_content[0x1001] << 8 | flash_content[0x1000]);
	}
	/* What other chips call a reset. */
	flash_command(0, 0x98);
	flash_command(0, 0xf0);
	assert_non_null(flash_slot());
	assert_int_equal(memcmp(rig_flash.data, flash_content, SIZE), 0);
}

static void identification(void **state)
{
	(void)state;
	flash_rig_create(SIZE);
	flash_command(0, 0x90);
	assert_int_equal(flash_get(0), DUAL(0x89));
	assert_int_equal(flash_get(4), DUAL(0x18));
	assert_int_equal(flash_get(8), 0);
	assert_int_equal(flash_load(0, 1), 0x89);
	assert_int_equal(flash_load(1, 1), 0);
	assert_int_equal(flash_load(2, 2), 0x89);
	assert_int_equal(flash_load(0, 8), 0x0018001800890089);
}

/* What Linux reads out of struct cfi_ident, for each size a flash can have. */
static void the_query_tells_the_geometry(void **state)
{
	static const uint32_t fixed[][2] = {
		{ 0x10, 'Q' },  { 0x11, 'R' },  { 0x12, 'Y' }, { 0x13, 1 },   { 0x14, 0 },
		{ 0x15, 0x31 }, { 0x16, 0 },    { 0x17, 0 },   { 0x19, 0 },   { 0x20, 1 },
		{ 0x28, 1 },    { 0x2a, 6 },    { 0x2b, 0 },   { 0x2c, 1 },   { 0x2f, 0x80 },
		{ 0x30, 0 },    { 0x31, 'P' },  { 0x32, 'R' }, { 0x33, 'I' }, { 0x34, '1' },
		{ 0x35, '0' },  { 0x36, 0x20 }, { 0x3f, 0 },   { 0x50, 0 },
	};

	(void)state;
	for (uint64_t size = BLOCK; size <= MAP_FLASH_SIZE; size *= 2) {
		int fd = open(file_path("flash"), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		close(fd);
		assert_int_equal(flash_create(&rig_flash, file_path("flash"), &flash_mmio), 0);
		assert_int_equal(flash_attach(&rig_flash, &flash_vm), 0);
		flash_command(0x55 * 4, 0x98);
		for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
			assert_int_equal(flash_get(fixed[i][0] * 4), DUAL(fixed[i][1]));
		/* Chip size, and blocks times their size: the same number. */
		assert_int_equal(2ULL << (flash_get(0x27 * 4) & 0xff), size);
		assert_int_equal(
			(((flash_get(0x2e * 4) & 0xff) << 8 | (flash_get(0x2d * 4) & 0xff)) +
			 1ULL) * 0x8000 *
				2,
			size);
		flash_destroy(&rig_flash);
	}
}

/* --- programming and erasing, as EDK2's driver does --- */

static void a_word_is_programmed(void **state)
{
	static const uint8_t zeros[4];

	(void)state;
	flash_rig_create(SIZE);
	flash_command(0x2000, 0x40);
	flash_store(0x2000, 4, 0);
	assert_int_equal(flash_status(), 0x80);
	flash_command(0, 0x50);
	flash_command(0, 0xff);
	assert_int_equal(flash_get(0x2000), 0);
	assert_file_holds(zeros, 0x2000, 4);
	assert_file_holds(flash_content + 0x2004, 0x2004, 0x100);
	/* Programming clears bits and sets none. */
	flash_command(0x2000, 0x10);
	flash_store(0x2000, 4, 0xffffffff);
	flash_command(0x2010, 0x40);
	flash_store(0x2012, 2, 0x0ff0);
	flash_command(0, 0xff);
	assert_int_equal(flash_get(0x2000), 0);
	assert_int_equal(flash_load(0x2012, 2),
			 (flash_content[0x2013] << 8 | flash_content[0x2012]) & 0x0ff0);
	assert_int_equal(flash_load(0x2010, 2), flash_content[0x2011] << 8 | flash_content[0x2010]);
}

static void a_block_is_erased(void **state)
{
	uint8_t ones[BLOCK];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	flash_rig_create(SIZE);
	flash_command(BLOCK + 0x40, 0x20); /* any address of the block */
	flash_command(BLOCK + 0x40, 0xd0);
	assert_int_equal(flash_status(), 0x80);
	flash_command(0, 0xff);
	assert_memory_equal(rig_flash.data, flash_content, BLOCK);
	assert_memory_equal(rig_flash.data + BLOCK, ones, BLOCK);
	assert_memory_equal(rig_flash.data + 2 * BLOCK, flash_content + 2 * BLOCK, 2 * BLOCK);
	assert_file_holds(ones, BLOCK, BLOCK);
	assert_file_holds(flash_content + 2 * BLOCK, 2 * BLOCK, BLOCK);
}

static void a_buffer_is_programmed(void **state)
{
	(void)state;
	flash_rig_create(SIZE);
	flash_command(BLOCK, 0x20);
	flash_command(BLOCK, 0xd0);
	flash_program_buffer(BLOCK, 32, 0x12340000);
	flash_program_buffer(BLOCK + 128, 1, 0xabcd0000);
	flash_program_buffer(2 * BLOCK - 4, 1, 0x55aa0000);
	assert_int_equal(flash_status(), 0x80);
	flash_command(0, 0xff);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(flash_get(BLOCK + 4 * i), 0x12340000 + i);
	assert_int_equal(flash_get(BLOCK + 128), 0xabcd0000);
	assert_int_equal(flash_get(BLOCK + 132), 0xffffffff);
	assert_int_equal(flash_get(2 * BLOCK - 4), 0x55aa0000);
	assert_file_holds(rig_flash.data, 0, SIZE);
}

static void buffer_words_in_any_order(void **state)
{
	(void)state;
	flash_rig_create(SIZE);
	flash_command(BLOCK, 0x20);
	flash_command(BLOCK, 0xd0);
	flash_command(BLOCK, 0xe8);
	flash_command(BLOCK, 2);
	flash_store(BLOCK, 4, 1);
	flash_store(BLOCK + 16, 4, 3);
	flash_store(BLOCK + 8, 4, 2);
	flash_command(BLOCK, 0xd0);
	assert_int_equal(flash_status(), 0x80);
	flash_command(0, 0xff);
	assert_int_equal(flash_get(BLOCK), 1);
	assert_int_equal(flash_get(BLOCK + 4), 0xffffffff);
	assert_int_equal(flash_get(BLOCK + 8), 2);
	assert_int_equal(flash_get(BLOCK + 16), 3);
}

static void locked_blocks_stay_as_they_are(void **state)
{
	(void)state;
	flash_rig_create(SIZE);
	flash_command(BLOCK, 0x60);
	flash_command(BLOCK, 0x01);
	assert_int_equal(flash_get(0), DUAL(0x80));
	flash_command(0, 0x90);
	assert_int_equal(flash_get(BLOCK + 8), DUAL(1));
	assert_int_equal(flash_get(8), 0);
	assert_int_equal(flash_get(2 * BLOCK + 8), 0);

	flash_command(BLOCK, 0x20);
	flash_command(BLOCK, 0xd0);
	assert_int_equal(flash_status(), 0xa2);
	flash_command(0, 0x50);
	flash_command(BLOCK, 0x40);
	flash_store(BLOCK, 4, 0);
	assert_int_equal(flash_status(), 0x92);
	flash_command(0, 0x50);
	assert_int_equal(flash_status(), 0x80);
	flash_program_buffer(BLOCK, 4, 0);
	assert_int_equal(flash_status(), 0x92);
	flash_command(0, 0x50);
	flash_command(0, 0x40);
	flash_store(BLOCK - 4, 8, 0); /* half of it would be in the locked block */
	assert_int_equal(flash_status(), 0x92);
	assert_memory_equal(rig_flash.data, flash_content, SIZE);

	flash_command(0, 0x50);
	flash_command(BLOCK, 0x60);
	flash_command(BLOCK, 0xd0);
	flash_command(BLOCK, 0x40);
	flash_store(BLOCK, 4, 0);
	assert_int_equal(flash_status(), 0x80);
	flash_command(BLOCK, 0x60);
	flash_command(BLOCK, 0x2f);
	flash_detach(&rig_flash);
	assert_int_equal(flash_attach(&rig_flash, &flash_vm),
			 0); /* power-on: all unlocked, array mode */
	assert_non_null(flash_slot());
	flash_command(0, 0x90);
	assert_int_equal(flash_get(BLOCK + 8), 0);
}

/* --- sequences that are none --- */

static void broken_sequences(void **state)
{
	static const struct {
		const char *what;
		unsigned count;
		struct {
			uint64_t offset;
			unsigned size;
			uint32_t value;
		} writes[5];
	} table[] = {
		{ "erase without confirmation", 2, { { 0, 4, DUAL(0x20) }, { 0, 4, DUAL(0x70) } } },
		{ "lock without confirmation", 2, { { 0, 4, DUAL(0x60) }, { 0, 4, DUAL(0x03) } } },
		{ "buffer too large", 2, { { 0, 4, DUAL(0xe8) }, { 0, 4, DUAL(32) } } },
		{ "buffer far too large", 2, { { 0, 4, DUAL(0xe8) }, { 0, 4, 0xffffffff } } },
		{ "buffer without confirmation",
		  4,
		  { { 0, 4, DUAL(0xe8) }, { 0, 4, 0 }, { 0, 4, 0 }, { 0, 4, DUAL(0xff) } } },
		{ "buffer of bytes", 3, { { 0, 4, DUAL(0xe8) }, { 0, 4, 1 }, { 0, 1, 0 } } },
		{ "buffer askew", 3, { { 0, 4, DUAL(0xe8) }, { 0, 4, 1 }, { 2, 4, 0 } } },
		{ "buffer backwards",
		  4,
		  { { 8, 4, DUAL(0xe8) }, { 8, 4, 1 }, { 8, 4, 0 }, { 4, 4, 0 } } },
		{ "buffer too far",
		  4,
		  { { 0, 4, DUAL(0xe8) }, { 0, 4, 1 }, { 0, 4, 0 }, { 128, 4, 0 } } },
		{ "buffer over two blocks",
		  4,
		  { { BLOCK - 4, 4, DUAL(0xe8) },
		    { BLOCK - 4, 4, 1 },
		    { BLOCK - 4, 4, 0 },
		    { BLOCK, 4, 0 } } },
	};

	(void)state;
	flash_rig_create(SIZE);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (unsigned n = 0; n < table[i].count; n++)
			flash_store(table[i].writes[n].offset, table[i].writes[n].size,
				    table[i].writes[n].value);
		if (flash_status() != 0xb0)
			fail_msg("%s: status 0x%x", table[i].what, flash_status());
		flash_command(0, 0x50);
		flash_command(0, 0xff);
		assert_non_null(flash_slot());
		assert_memory_equal(rig_flash.data, flash_content, SIZE);
	}
}

static void random_writes(void **state)
{
	static const uint8_t bytes[] = { 0x01, 0x10, 0x20, 0x2f, 0x40, 0x50, 0x60, 0x70,
					 0x90, 0x98, 0xb0, 0xd0, 0xd0, 0xe8, 0xff, 0x1f };
	uint32_t seed = 99;

	(void)state;
	flash_rig_create(SIZE);
	for (int i = 0; i < 20000; i++) {
		uint64_t offset;
		unsigned size;

		seed = seed * 1103515245 + 12345;
		size = 1U << (seed >> 28 & 3);
		offset = (seed >> 4) % (SIZE - size + 1);
		if (seed >> 27 & 1)
			offset &= ~3ULL;
		flash_store(offset, size, DUAL(bytes[seed >> 10 & 15]));
		flash_load((SIZE - 8) & (uint64_t)~seed, 8);
	}
	flash_command(0, 0xff);
	flash_command(0, 0xff);
	flash_command(0, 0xff);
	assert_non_null(flash_slot());
	assert_file_holds(rig_flash.data, 0, SIZE);
}

static void *vcpu(void *arg)
{
	for (int i = 0; i < 300; i++) {
		uint64_t value;

		flash_command(0, 0x40);
		flash_store(BLOCK, 4, 0xffffffff);
		mmio_bus_read(&flash_mmio, BASE + 4, 4, &value);
		flash_command(0, 0xff);
	}
	return arg;
}

static void two_vcpus_at_once(void **state)
{
	pthread_t threads[2];

	(void)state;
	flash_rig_create(SIZE);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, vcpu, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	flash_command(0, 0xff);
	flash_command(0, 0xff);
	assert_non_null(flash_slot());
}

/* --- the VM --- */

static void a_vm_without_a_slot_left(void **state)
{
	(void)state;
	flash_rig_create(SIZE);
	flash_command(0, 0x70);
	fake_kvm_fail(KVM_SET_USER_MEMORY_REGION, ENOSPC, 0, 1);
	stderr_keep();
	flash_command(0, 0xff);
	flash_command(0, 0x70);
	flash_command(0, 0xff);
	assert_reported("KVM does not map 256 KiB at guest address 0x2000000");
	assert_null(flash_slot());
	assert_int_equal(flash_get(0x100), flash_content[0x103] << 24 | flash_content[0x102] << 16 |
						   flash_content[0x101] << 8 |
						   flash_content[0x100]);
	flash_detach(&rig_flash);
	assert_int_equal(flash_attach(&rig_flash, &flash_vm), 0);
	assert_non_null(flash_slot());
}

static void attach_that_fails(void **state)
{
	(void)state;
	assert_int_equal(
		flash_create(&rig_flash, file_make("flash", flash_content, SIZE), &flash_mmio), 0);
	fake_kvm_fail(KVM_SET_USER_MEMORY_REGION, EINVAL, 0, 1);
	stderr_keep();
	assert_int_equal(flash_attach(&rig_flash, &flash_vm), -EINVAL);
	assert_reported("KVM does not map");
	assert_null(rig_flash.vm);
	flash_detach(&rig_flash);
}

#define TEST(function)                                                                             \
	cmocka_unit_test_setup_teardown(function, flash_rig_setup, flash_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_do_not_leave_the_guest),
		TEST(any_command_takes_the_slot_away_until_read_array),
		TEST(identification),
		TEST(the_query_tells_the_geometry),
		TEST(a_word_is_programmed),
		TEST(a_block_is_erased),
		TEST(a_buffer_is_programmed),
		TEST(buffer_words_in_any_order),
		TEST(locked_blocks_stay_as_they_are),
		TEST(broken_sequences),
		TEST(random_writes),
		TEST(two_vcpus_at_once),
		TEST(a_vm_without_a_slot_left),
		TEST(attach_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

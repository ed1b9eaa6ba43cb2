// SPDX-License-Identifier: GPL-2.0-only
/* The flash as EDK2's and Linux' drivers use it, on a fake KVM; the file behind it; and guests that know no manners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <lkvm/flash.h>
#include "fake_kvm.h"
#include "files.h"

#define BASE  MAP_FLASH_BASE
#define BLOCK FLASH_BLOCK_SIZE
#define SIZE  (4 * BLOCK)

/* A command to both chips. */
#define DUAL(command) ((command) << 16 | (command))

static struct fake_kvm *kvm;
static struct kvm_host host;
static struct vm vm;
static struct mmio_bus mmio;
static struct flash flash;
static uint8_t content[SIZE];

static int setup(void **state)
{
	if (files_setup(state) || mmio_bus_create(&mmio))
		return -1;
	kvm = fake_kvm_begin();
	if (kvm_host_open(&host) || vm_create(&vm, &host, 40))
		return -1;
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (uint8_t)(i * 13 + i / 256);
	return 0;
}

static int teardown(void **state)
{
	flash_destroy(&flash);
	flash_destroy(&flash);
	assert_int_equal(mmio.count, 0);
	vm_destroy(&vm);
	kvm_host_close(&host);
	fake_kvm_end();
	mmio_bus_destroy(&mmio);
	return files_teardown(state);
}

static void create(size_t size)
{
	const char *path = file_make("flash", content, size);

	assert_int_equal(flash_create(&flash, path, &mmio), 0);
	assert_int_equal(flash_attach(&flash, &vm), 0);
}

/* The slot the guest reads the flash through, or NULL. */
static const struct kvm_userspace_memory_region *slot(void)
{
	const struct kvm_userspace_memory_region *found = NULL;

	for (int i = 0; i < FAKE_KVM_SLOTS; i++) {
		if (!kvm->vms[0].slots[i].memory_size)
			continue;
		assert_null(found);
		found = &kvm->vms[0].slots[i];
	}
	return found;
}

/* A load by the guest: from the slot if there is one, as KVM does. */
static uint64_t load(uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	if (slot())
		memcpy(&value, (uint8_t *)(uintptr_t)slot()->userspace_addr + offset, size);
	else
		assert_true(mmio_bus_read(&mmio, BASE + offset, size, &value));
	return value;
}

static void store(uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(mmio_bus_write(&mmio, BASE + offset, size, value));
}

static uint32_t get(uint64_t offset)
{
	return (uint32_t)load(offset, 4);
}

static void command(uint64_t offset, uint32_t nn)
{
	store(offset, 4, DUAL(nn));
}

static uint32_t status(void)
{
	uint32_t both;

	command(0, 0x70);
	both = get(0);
	assert_int_equal(both >> 16, both & 0xffff);
	return both & 0xffff;
}

static void assert_file_holds(const uint8_t *bytes, size_t offset, size_t size)
{
	uint8_t *read_back = malloc(size);
	int fd = open(file_path("flash"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, read_back, size, (off_t)offset), size);
	close(fd);
	assert_memory_equal(read_back, bytes, size);
	free(read_back);
}

/* --- reading --- */

static void reads_do_not_leave_the_guest(void **state)
{
	(void)state;
	create(SIZE);
	assert_non_null(slot());
	assert_int_equal(slot()->guest_phys_addr, BASE);
	assert_int_equal(slot()->memory_size, SIZE);
	assert_int_equal(slot()->flags, KVM_MEM_READONLY);
	assert_memory_equal((void *)(uintptr_t)slot()->userspace_addr, content, SIZE);
	command(0, 0x50); /* clearing the status is no reason to take it away */
	assert_non_null(slot());
	assert_int_equal(kvm->vms[0].slots_ever, 1);
	flash_detach(&flash);
	assert_null(slot());
}

static void any_command_takes_the_slot_away_until_read_array(void **state)
{
	static const uint8_t commands[] = { 0x70, 0x90, 0x98, 0x20, 0x40, 0x10, 0xe8, 0x60 };

	(void)state;
	create(SIZE);
	for (size_t i = 0; i < sizeof(commands); i++) {
		command(0x100, commands[i]);
		assert_null(slot());
		store(0x100, 4, 0xffffffff); /* as data for some: programs nothing */
		command(0, 0xff);
		command(0, 0xff);
		assert_non_null(slot());
		assert_int_equal(get(0x1000), content[0x1003] << 24 | content[0x1002] << 16 |
						      content[0x1001] << 8 | content[0x1000]);
	}
	/* What other chips call a reset. */
	command(0, 0x98);
	command(0, 0xf0);
	assert_non_null(slot());
	assert_int_equal(memcmp(flash.data, content, SIZE), 0);
}

static void identification(void **state)
{
	(void)state;
	create(SIZE);
	command(0, 0x90);
	assert_int_equal(get(0), DUAL(0x89));
	assert_int_equal(get(4), DUAL(0x18));
	assert_int_equal(get(8), 0);
	assert_int_equal(load(0, 1), 0x89);
	assert_int_equal(load(1, 1), 0);
	assert_int_equal(load(2, 2), 0x89);
	assert_int_equal(load(0, 8), 0x0018001800890089);
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
		assert_int_equal(flash_create(&flash, file_path("flash"), &mmio), 0);
		assert_int_equal(flash_attach(&flash, &vm), 0);
		command(0x55 * 4, 0x98);
		for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
			assert_int_equal(get(fixed[i][0] * 4), DUAL(fixed[i][1]));
		/* Chip size, and blocks times their size: the same number. */
		assert_int_equal(2ULL << (get(0x27 * 4) & 0xff), size);
		assert_int_equal((((get(0x2e * 4) & 0xff) << 8 | (get(0x2d * 4) & 0xff)) + 1ULL) *
					 0x8000 * 2,
				 size);
		flash_destroy(&flash);
	}
}

/* --- programming and erasing, as EDK2's driver does --- */

static void a_word_is_programmed(void **state)
{
	static const uint8_t zeros[4];

	(void)state;
	create(SIZE);
	command(0x2000, 0x40);
	store(0x2000, 4, 0);
	assert_int_equal(status(), 0x80);
	command(0, 0x50);
	command(0, 0xff);
	assert_int_equal(get(0x2000), 0);
	assert_file_holds(zeros, 0x2000, 4);
	assert_file_holds(content + 0x2004, 0x2004, 0x100);
	/* Programming clears bits and sets none. */
	command(0x2000, 0x10);
	store(0x2000, 4, 0xffffffff);
	command(0x2010, 0x40);
	store(0x2012, 2, 0x0ff0);
	command(0, 0xff);
	assert_int_equal(get(0x2000), 0);
	assert_int_equal(load(0x2012, 2), (content[0x2013] << 8 | content[0x2012]) & 0x0ff0);
	assert_int_equal(load(0x2010, 2), content[0x2011] << 8 | content[0x2010]);
}

static void a_block_is_erased(void **state)
{
	uint8_t ones[BLOCK];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	create(SIZE);
	command(BLOCK + 0x40, 0x20); /* any address of the block */
	command(BLOCK + 0x40, 0xd0);
	assert_int_equal(status(), 0x80);
	command(0, 0xff);
	assert_memory_equal(flash.data, content, BLOCK);
	assert_memory_equal(flash.data + BLOCK, ones, BLOCK);
	assert_memory_equal(flash.data + 2 * BLOCK, content + 2 * BLOCK, 2 * BLOCK);
	assert_file_holds(ones, BLOCK, BLOCK);
	assert_file_holds(content + 2 * BLOCK, 2 * BLOCK, BLOCK);
}

static void program_buffer(uint64_t offset, unsigned words, uint32_t value)
{
	command(offset, 0xe8);
	assert_int_equal(get(offset), DUAL(0x80));
	command(offset, words - 1);
	for (unsigned i = 0; i < words; i++)
		store(offset + 4 * i, 4, value + i);
	command(0, 0xd0);
}

static void a_buffer_is_programmed(void **state)
{
	(void)state;
	create(SIZE);
	command(BLOCK, 0x20);
	command(BLOCK, 0xd0);
	program_buffer(BLOCK, 32, 0x12340000);
	program_buffer(BLOCK + 128, 1, 0xabcd0000);
	program_buffer(2 * BLOCK - 4, 1, 0x55aa0000);
	assert_int_equal(status(), 0x80);
	command(0, 0xff);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(get(BLOCK + 4 * i), 0x12340000 + i);
	assert_int_equal(get(BLOCK + 128), 0xabcd0000);
	assert_int_equal(get(BLOCK + 132), 0xffffffff);
	assert_int_equal(get(2 * BLOCK - 4), 0x55aa0000);
	assert_file_holds(flash.data, 0, SIZE);
}

static void buffer_words_in_any_order(void **state)
{
	(void)state;
	create(SIZE);
	command(BLOCK, 0x20);
	command(BLOCK, 0xd0);
	command(BLOCK, 0xe8);
	command(BLOCK, 2);
	store(BLOCK, 4, 1);
	store(BLOCK + 16, 4, 3);
	store(BLOCK + 8, 4, 2);
	command(BLOCK, 0xd0);
	assert_int_equal(status(), 0x80);
	command(0, 0xff);
	assert_int_equal(get(BLOCK), 1);
	assert_int_equal(get(BLOCK + 4), 0xffffffff);
	assert_int_equal(get(BLOCK + 8), 2);
	assert_int_equal(get(BLOCK + 16), 3);
}

static void locked_blocks_stay_as_they_are(void **state)
{
	(void)state;
	create(SIZE);
	command(BLOCK, 0x60);
	command(BLOCK, 0x01);
	assert_int_equal(get(0), DUAL(0x80));
	command(0, 0x90);
	assert_int_equal(get(BLOCK + 8), DUAL(1));
	assert_int_equal(get(8), 0);
	assert_int_equal(get(2 * BLOCK + 8), 0);

	command(BLOCK, 0x20);
	command(BLOCK, 0xd0);
	assert_int_equal(status(), 0xa2);
	command(0, 0x50);
	command(BLOCK, 0x40);
	store(BLOCK, 4, 0);
	assert_int_equal(status(), 0x92);
	command(0, 0x50);
	assert_int_equal(status(), 0x80);
	program_buffer(BLOCK, 4, 0);
	assert_int_equal(status(), 0x92);
	command(0, 0x50);
	command(0, 0x40);
	store(BLOCK - 4, 8, 0); /* half of it would be in the locked block */
	assert_int_equal(status(), 0x92);
	assert_memory_equal(flash.data, content, SIZE);

	command(0, 0x50);
	command(BLOCK, 0x60);
	command(BLOCK, 0xd0);
	command(BLOCK, 0x40);
	store(BLOCK, 4, 0);
	assert_int_equal(status(), 0x80);
	command(BLOCK, 0x60);
	command(BLOCK, 0x2f);
	flash_detach(&flash);
	assert_int_equal(flash_attach(&flash, &vm), 0); /* power-on: all unlocked, array mode */
	assert_non_null(slot());
	command(0, 0x90);
	assert_int_equal(get(BLOCK + 8), 0);
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
	create(SIZE);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (unsigned n = 0; n < table[i].count; n++)
			store(table[i].writes[n].offset, table[i].writes[n].size,
			      table[i].writes[n].value);
		if (status() != 0xb0)
			fail_msg("%s: status 0x%x", table[i].what, status());
		command(0, 0x50);
		command(0, 0xff);
		assert_non_null(slot());
		assert_memory_equal(flash.data, content, SIZE);
	}
}

static void random_writes(void **state)
{
	static const uint8_t bytes[] = { 0x01, 0x10, 0x20, 0x2f, 0x40, 0x50, 0x60, 0x70,
					 0x90, 0x98, 0xb0, 0xd0, 0xd0, 0xe8, 0xff, 0x1f };
	uint32_t seed = 99;

	(void)state;
	create(SIZE);
	for (int i = 0; i < 20000; i++) {
		uint64_t offset;
		unsigned size;

		seed = seed * 1103515245 + 12345;
		size = 1U << (seed >> 28 & 3);
		offset = (seed >> 4) % (SIZE - size + 1);
		if (seed >> 27 & 1)
			offset &= ~3ULL;
		store(offset, size, DUAL(bytes[seed >> 10 & 15]));
		load((SIZE - 8) & (uint64_t)~seed, 8);
	}
	command(0, 0xff);
	command(0, 0xff);
	command(0, 0xff);
	assert_non_null(slot());
	assert_file_holds(flash.data, 0, SIZE);
}

static void *vcpu(void *arg)
{
	for (int i = 0; i < 300; i++) {
		uint64_t value;

		command(0, 0x40);
		store(BLOCK, 4, 0xffffffff);
		mmio_bus_read(&mmio, BASE + 4, 4, &value);
		command(0, 0xff);
	}
	return arg;
}

static void two_vcpus_at_once(void **state)
{
	pthread_t threads[2];

	(void)state;
	create(SIZE);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, vcpu, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	command(0, 0xff);
	command(0, 0xff);
	assert_non_null(slot());
}

/* --- files --- */

static void sizes_that_are_no_power_of_two(void **state)
{
	static const struct {
		uint64_t file, flash;
	} table[] = {
		{ 1, BLOCK },     { 4096, BLOCK },          { 5000, BLOCK },
		{ BLOCK, BLOCK }, { BLOCK + 1, 2 * BLOCK }, { 3 * BLOCK, 4 * BLOCK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		create(table[i].file);
		assert_int_equal(flash.size, table[i].flash);
		assert_memory_equal(flash.data, content, table[i].file);
		for (uint64_t at = table[i].file; at < flash.size; at++)
			assert_int_equal(flash.data[at], 0xff);
		flash_destroy(&flash);
	}
}

static void beyond_the_end_of_the_file(void **state)
{
	struct stat st;

	(void)state;
	create(5000);
	stderr_keep();
	for (int i = 0; i < 3; i++) {
		command(4996, 0x40);
		store(4997, 4, 0); /* the last byte is outside */
		assert_int_equal(status(), 0x90);
		command(0, 0x50);
	}
	assert_reported("the file ends before the flash does");
	program_buffer(4992, 2, 0);
	assert_int_equal(status(), 0x80);
	command(0, 0x20);
	command(0, 0xd0);
	assert_int_equal(status(), 0x80);
	assert_int_equal(stat(file_path("flash"), &st), 0);
	assert_int_equal(st.st_size, 5000);
	assert_file_holds(flash.data, 0, 5000);
	assert_int_equal(flash.data[4999], 0xff);
}

static void a_file_that_is_read_only(void **state)
{
	const char *path = file_make("flash", content, SIZE);
	uid_t uid = geteuid();
	int err;

	(void)state;
	assert_int_equal(chmod(file_path(""), 0711), 0);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(seteuid(uid ? uid : 65534), 0); /* root may write to any file */
	err = flash_create(&flash, path, &mmio);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(err, 0);
	assert_int_equal(flash_attach(&flash, &vm), 0);
	stderr_keep();
	command(0, 0x40);
	store(0, 4, 0);
	assert_int_equal(status(), 0x98);
	command(0, 0x50);
	command(0, 0x20);
	command(0, 0xd0);
	assert_int_equal(status(), 0xa8);
	assert_reported("cannot write to flash file");
	assert_memory_equal(flash.data, content, SIZE);
	assert_file_holds(content, 0, SIZE);
}

/* A full disk, played by a limit on file size: an error bit, and not the end. */
static void a_disk_that_is_full(void **state)
{
	struct rlimit unlimited, limit;

	(void)state;
	create(SIZE);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &unlimited);
	limit = unlimited;
	limit.rlim_cur = BLOCK + 6;
	stderr_keep();
	setrlimit(RLIMIT_FSIZE, &limit);
	command(0, 0x40);
	store(BLOCK + 8, 4, 0);
	assert_int_equal(status(), 0x90);
	command(0, 0x50);
	command(0, 0x40);
	store(BLOCK + 4, 4, 0); /* half of it is written */
	assert_int_equal(status(), 0x90);
	command(0, 0x50);
	command(2 * BLOCK, 0x20);
	command(2 * BLOCK, 0xd0);
	assert_int_equal(status(), 0xa0);
	setrlimit(RLIMIT_FSIZE, &unlimited);
	assert_reported("cannot write to flash file");
	assert_memory_equal(flash.data, content, SIZE);
}

static void files_that_are_none(void **state)
{
	static const struct {
		const char *name, *text;
		int result;
	} table[] = {
		{ "missing", "cannot open flash file", -ENOENT },
		{ "empty", "is empty", -EINVAL },
		{ "folder", "cannot open flash file", -EISDIR },
		{ "fifo", "is no regular file", -EINVAL },
		{ "large", "at most 16777216", -EFBIG },
	};
	int fd;

	(void)state;
	file_make("empty", "", 0);
	assert_int_equal(mkdir(file_path("folder"), 0700), 0);
	assert_int_equal(mkfifo(file_path("fifo"), 0600), 0);
	fd = open(file_path("large"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, MAP_FLASH_SIZE + 1), 0);
	close(fd);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		stderr_keep();
		assert_int_equal(flash_create(&flash, file_path(table[i].name), &mmio),
				 table[i].result);
		assert_reported(table[i].text);
	}
	rmdir(file_path("folder"));
}

/* --- the VM --- */

static void a_vm_without_a_slot_left(void **state)
{
	(void)state;
	create(SIZE);
	command(0, 0x70);
	fake_kvm_fail(KVM_SET_USER_MEMORY_REGION, ENOSPC, 0, 1);
	stderr_keep();
	command(0, 0xff);
	command(0, 0x70);
	command(0, 0xff);
	assert_reported("KVM does not map 256 KiB at guest address 0x2000000");
	assert_null(slot());
	assert_int_equal(get(0x100), content[0x103] << 24 | content[0x102] << 16 |
					     content[0x101] << 8 | content[0x100]);
	flash_detach(&flash);
	assert_int_equal(flash_attach(&flash, &vm), 0);
	assert_non_null(slot());
}

static void attach_that_fails(void **state)
{
	(void)state;
	assert_int_equal(flash_create(&flash, file_make("flash", content, SIZE), &mmio), 0);
	fake_kvm_fail(KVM_SET_USER_MEMORY_REGION, EINVAL, 0, 1);
	stderr_keep();
	assert_int_equal(flash_attach(&flash, &vm), -EINVAL);
	assert_reported("KVM does not map");
	assert_null(flash.vm);
	flash_detach(&flash);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

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
		TEST(sizes_that_are_no_power_of_two),
		TEST(beyond_the_end_of_the_file),
		TEST(a_file_that_is_read_only),
		TEST(a_disk_that_is_full),
		TEST(files_that_are_none),
		TEST(a_vm_without_a_slot_left),
		TEST(attach_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

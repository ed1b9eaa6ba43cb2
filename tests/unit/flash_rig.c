// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"
#include "flash_rig.h"

struct fake_kvm *flash_kvm;
static struct kvm_host host;
struct vm flash_vm;
struct mmio_bus flash_mmio;
struct flash rig_flash;
uint8_t flash_content[SIZE];

int flash_rig_setup(void **state)
{
	if (files_setup(state) || mmio_bus_create(&flash_mmio))
		return -1;
	flash_kvm = fake_kvm_begin();
	if (kvm_host_open(&host) || vm_create(&flash_vm, &host, 40))
		return -1;
	for (size_t i = 0; i < SIZE; i++)
		flash_content[i] = (uint8_t)(i * 13 + i / 256);
	return 0;
}

int flash_rig_teardown(void **state)
{
	flash_destroy(&rig_flash);
	flash_destroy(&rig_flash);
	assert_int_equal(flash_mmio.count, 0);
	vm_destroy(&flash_vm);
	kvm_host_close(&host);
	fake_kvm_end();
	mmio_bus_destroy(&flash_mmio);
	return files_teardown(state);
}

void flash_rig_create(size_t size)
{
	const char *path = file_make("flash", flash_content, size);

	assert_int_equal(flash_create(&rig_flash, path, &flash_mmio), 0);
	assert_int_equal(flash_attach(&rig_flash, &flash_vm), 0);
}

/* The slot the guest reads the flash through, or NULL. */
const struct kvm_userspace_memory_region *flash_slot(void)
{
	const struct kvm_userspace_memory_region *found = NULL;

	for (int i = 0; i < FAKE_KVM_SLOTS; i++) {
		if (!flash_kvm->vms[0].slots[i].memory_size)
			continue;
		assert_null(found);
		found = &flash_kvm->vms[0].slots[i];
	}
	return found;
}

/* A load by the guest: from the slot if there is one, as KVM does. */
uint64_t flash_load(uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	if (flash_slot())
		memcpy(&value, (uint8_t *)(uintptr_t)flash_slot()->userspace_addr + offset, size);
	else
		assert_true(mmio_bus_read(&flash_mmio, BASE + offset, size, &value));
	return value;
}

void flash_store(uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(mmio_bus_write(&flash_mmio, BASE + offset, size, value));
}

uint32_t flash_get(uint64_t offset)
{
	return (uint32_t)flash_load(offset, 4);
}

void flash_command(uint64_t offset, uint32_t nn)
{
	flash_store(offset, 4, DUAL(nn));
}

uint32_t flash_status(void)
{
	uint32_t both;

	flash_command(0, 0x70);
	both = flash_get(0);
	assert_int_equal(both >> 16, both & 0xffff);
	return both & 0xffff;
}

void assert_file_holds(const uint8_t *bytes, size_t offset, size_t size)
{
	uint8_t *read_back = malloc(size);
	int fd = open(file_path("flash"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, read_back, size, (off_t)offset), size);
	close(fd);
	assert_memory_equal(read_back, bytes, size);
	free(read_back);
}

void flash_program_buffer(uint64_t offset, unsigned words, uint32_t value)
{
	flash_command(offset, 0xe8);
	assert_int_equal(flash_get(offset), DUAL(0x80));
	flash_command(offset, words - 1);
	for (unsigned i = 0; i < words; i++)
		flash_store(offset + 4 * i, 4, value + i);
	flash_command(0, 0xd0);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The doors to KVM and VFIO themselves, which all other tests have fakes of, at files that every machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>
#include "arm/kvm.c"
#include "files.h"
#include "vfio/door.c"

/* Where VFIO has a device's configuration space: regions are 2^40 apart. */
#define FAR (7ULL << 40)

static int memory(void)
{
	int fd = memfd_create("door", 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(FAR + 0x2000)), 0);
	return fd;
}

static void files_are_opened_for_both_ways_and_for_us_alone(void **state)
{
	int fd = vfio_open_path(file_make("group", "", 0));
	uint32_t word = 0x12345678;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(vfio_pwrite(fd, &word, sizeof(word), 0), sizeof(word));
	assert_int_equal(vfio_pread(fd, &word, sizeof(word), 0), sizeof(word));
	close(fd);
	assert_int_equal(vfio_open_path(file_path("none")), -ENOENT);
	assert_int_equal(vfio_open_path("/tmp"), -EISDIR);
}

static void regions_are_far_apart(void **state)
{
	int fd = memory();
	uint64_t wrote = 0x0123456789abcdef, got = 0;

	(void)state;
	assert_int_equal(vfio_pwrite(fd, &wrote, 8, FAR), 8);
	assert_int_equal(vfio_pread(fd, &got, 8, FAR), 8);
	assert_int_equal(got, wrote);
	assert_int_equal(vfio_pread(fd, &got, 8, 0), 8);
	assert_int_equal(got, 0);
	assert_int_equal(vfio_pread(fd, &got, 8, FAR + 0x2000), 0);
	close(fd);
	assert_int_equal(vfio_pread(-1, &got, 8, 0), -EBADF);
	assert_int_equal(vfio_pwrite(-1, &got, 8, 0), -EBADF);
}

static void a_mapping_is_the_file_itself(void **state)
{
	uint64_t page = (uint64_t)vfio_host_page_size();
	int fd = memory(), count = eventfd(0, EFD_CLOEXEC);
	uint32_t *addr = vfio_mmap(fd, page, FAR, PROT_READ | PROT_WRITE), got = 0;

	(void)state;
	assert_non_null(addr);
	*addr = 0xc0ffee;
	assert_int_equal(vfio_pread(fd, &got, sizeof(got), FAR), sizeof(got));
	assert_int_equal(got, 0xc0ffee);
	vfio_munmap(addr, page);
	assert_null(vfio_mmap(count, page, 0, PROT_READ));
	close(count);
	close(fd);
}

static void requests_have_a_result_or_an_error(void **state)
{
	int ends[2], waiting = -1;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "five", 5), 5);
	assert_int_equal(vfio_ioctl_call(ends[0], FIONREAD, &waiting), 0);
	assert_int_equal(waiting, 5);
	assert_int_equal(vfio_ioctl_value(ends[0], FIOCLEX, 0), 0);
	assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(vfio_ioctl_call(-1, FIONREAD, &waiting), -EBADF);
	assert_int_equal(vfio_ioctl_value(-1, FIOCLEX, 0), -EBADF);
	waiting = -1;
	assert_int_equal(kvm_call(ends[0], FIONREAD, &waiting, "FIONREAD"), 0);
	assert_int_equal(waiting, 5);
	close(ends[0]);
	close(ends[1]);
}

static void a_request_of_kvms_that_fails_names_itself_if_it_shall(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), waiting;

	(void)state;
	stderr_keep();
	assert_int_equal(kvm_call(fd, FIONREAD, &waiting, "FIONREAD"), -ENOTTY);
	assert_reported("Fatal: FIONREAD failed: Inappropriate ioctl for device");
	stderr_keep();
	assert_int_equal(kvm_call_value(-1, FIOCLEX, 0, "FIOCLEX"), -EBADF);
	assert_reported("Fatal: FIOCLEX failed: Bad file descriptor");
	stderr_keep();
	assert_int_equal(kvm_call(fd, FIONREAD, &waiting, NULL), -ENOTTY);
	assert_string_equal(stderr_text(), "");
	close(fd);
}

/* Whether this machine has KVM or not. */
static void kvm_is_opened_or_it_is_said_why_not(void **state)
{
	int fd;

	(void)state;
	stderr_keep();
	fd = kvm_open_device();
	if (fd >= 0) {
		assert_string_equal(stderr_text(), "");
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	} else {
		assert_reported("/dev/kvm");
	}
}

static void a_vcpus_memory_is_its_files(void **state)
{
	int fd = memory(), count = eventfd(0, EFD_CLOEXEC), size = (int)vfio_host_page_size();
	struct kvm_run *run = kvm_map_run(fd, size);
	uint8_t got = 0;

	(void)state;
	assert_non_null(run);
	run->immediate_exit = 1;
	assert_int_equal(pread(fd, &got, 1, offsetof(struct kvm_run, immediate_exit)), 1);
	assert_int_equal(got, 1);
	kvm_unmap_run(run, size);
	assert_null(kvm_map_run(count, size));
	close(count);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, files_setup, files_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_are_opened_for_both_ways_and_for_us_alone),
		TEST(regions_are_far_apart),
		TEST(a_mapping_is_the_file_itself),
		TEST(requests_have_a_result_or_an_error),
		TEST(a_request_of_kvms_that_fails_names_itself_if_it_shall),
		TEST(kvm_is_opened_or_it_is_said_why_not),
		TEST(a_vcpus_memory_is_its_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

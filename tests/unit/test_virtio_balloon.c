// SPDX-License-Identifier: GPL-2.0-only
/* The balloon: what of the guest's memory goes back to the host, when, and what the FIFO says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ring.h>
#include <cmocka.h>
#include "files.h"
#include "virtio/balloon.h"
#include "virtio_rig.h"

#define BIT64(n) (1ULL << (n))
#define PAGE     4096ULL
#define MIB      (1ULL << 20)
#define STATS    BIT64(VIRTIO_BALLOON_F_STATS_VQ)
#define REPORTS  BIT64(VIRTIO_BALLOON_F_REPORTING)
#define FIRST    (VRIG_RAM + 8 * MIB) /* pages that nothing else uses from here on */

static int fifo;

static void make(bool with_control, bool assigned)
{
	const char *path = with_control ? file_path("control") : NULL;
	struct virtio_device *vdev;

	vrig.env.assigned = assigned;
	fifo = -1;
	if (path) {
		assert_int_equal(mkfifo(path, 0600), 0);
		fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		assert_true(fifo >= 0);
	}
	assert_int_equal(balloon_create(&vdev, path, &vrig.env), 0);
	virtio_rig_connect(vdev, false);
}

static int teardown(void **state)
{
	if (fifo >= 0)
		close(fifo);
	fifo = -1;
	return virtio_rig_teardown(state);
}

static void say(const char *text)
{
	assert_int_equal(write(fifo, text, strlen(text)), strlen(text));
	virtio_rig_pump();
}

/* Which of the pages from FIRST on are still the process's. */
static bool resident(uint64_t page)
{
	unsigned char in_core = 0;

	assert_int_equal(mincore(virtio_rig_at(FIRST + page * PAGE, PAGE), PAGE, &in_core), 0);
	return in_core & 1;
}

/* Small ones, so that what mincore() says does not depend on transparent huge pages. */
static void touch(uint64_t pages)
{
	madvise(virtio_rig_at(VRIG_RAM, VRIG_RAM_SIZE), VRIG_RAM_SIZE, MADV_NOHUGEPAGE);
	memset(virtio_rig_at(FIRST, pages * PAGE), 0xab, pages * PAGE);
}

static uint32_t pfn_of(uint64_t page)
{
	return (uint32_t)(FIRST / PAGE + page);
}

static void move(unsigned queue, const uint32_t *pfns, unsigned count)
{
	uint64_t gpa = virtio_rig_alloc(4 * count);

	memcpy(virtio_rig_at(gpa, 4 * count), pfns, 4 * count);
	assert_int_equal(virtio_rig_exchange(queue, &(struct virtq_buffer){ gpa, 4 * count }, 1, 0),
			 0);
}

static void it_offers_what_it_can(void **state)
{
	(void)state;
	make(false, false);
	assert_int_equal(vrig.vdev->class->id, VIRTIO_ID_BALLOON);
	assert_int_equal(vrig.vdev->offered,
			 STATS | REPORTS | BIT64(VIRTIO_BALLOON_F_DEFLATE_ON_OOM));
	assert_int_equal(virtio_rig_config(0, 4), 0);
	assert_int_equal(virtio_rig_config(4, 4), 0);
	assert_int_equal(virtio_rig_config(8, 8), 0);
	virtio_rig_destroy_device();
	make(false, true);
	assert_int_equal(vrig.vdev->offered, STATS | BIT64(VIRTIO_BALLOON_F_DEFLATE_ON_OOM));
}

static void pages_go_back_to_the_host_and_come_again(void **state)
{
	static const uint64_t features[] = { 0, BIT64(VIRTIO_F_RING_PACKED) };
	uint32_t up[16], down[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		up[i] = pfn_of(i);
		down[i] = pfn_of(31 - i);
	}
	make(false, false);
	for (unsigned i = 0; i < 2; i++) {
		virtio_rig_start(features[i], 0);
		touch(33);
		move(0, up, 16);
		move(0, down, 16);
		for (unsigned page = 0; page < 32; page++)
			assert_false(resident(page));
		assert_true(resident(32));
		move(1, up, 16);
		assert_int_equal(*(uint8_t *)virtio_rig_at(FIRST, 1), 0);
		assert_true(resident(0));
	}
}

/* Host pages of 16 KiB, guest pages of 4 KiB: one goes when the last of its four does. */
static void a_host_page_goes_when_all_of_it_is_given(void **state)
{
	(void)state;
	vrig.ram.page_size = 4 * PAGE;
	make(false, false);
	virtio_rig_start(0, 0);
	touch(16);
	move(0, (uint32_t[]){ pfn_of(4), pfn_of(6), pfn_of(7), pfn_of(8) }, 4);
	for (unsigned page = 0; page < 16; page++)
		assert_true(resident(page));
	/* Taken back, it has to be given again. */
	move(1, (uint32_t[]){ pfn_of(6) }, 1);
	move(0, (uint32_t[]){ pfn_of(5) }, 1);
	assert_true(resident(5));
	move(0, (uint32_t[]){ pfn_of(6) }, 1);
	for (unsigned page = 0; page < 16; page++)
		assert_int_equal(resident(page), page < 4 || page >= 8);
}

static void a_huge_page_goes_as_a_whole(void **state)
{
	uint32_t pfns[512];

	(void)state;
	vrig.ram.page_size = 2 * MIB;
	make(false, false);
	virtio_rig_start(0, 0);
	touch(1024);
	for (unsigned i = 0; i < 512; i++)
		pfns[i] = pfn_of(i);
	move(0, pfns, 511);
	assert_true(resident(0) && resident(510));
	move(0, pfns + 511, 1);
	assert_false(resident(0) || resident(511));
	assert_true(resident(512));
}

static void free_pages_that_are_reported_go(void **state)
{
	/* Linux's number for the queue with and without statistics, and the specification's. */
	static const struct {
		uint64_t features;
		unsigned queue;
	} cases[] = { { REPORTS | STATS, 3 }, { REPORTS | STATS, 4 }, { REPORTS, 2 } };
	const struct virtq_buffer ranges[] = { { FIRST + PAGE, 4 * PAGE },
					       { FIRST + 7 * PAGE + 1, 2 * PAGE } };

	(void)state;
	make(false, false);
	for (unsigned i = 0; i < 3; i++) {
		virtio_rig_start(cases[i].features, 0);
		touch(16);
		assert_int_equal(virtio_rig_exchange(cases[i].queue, ranges, 0, 2), 0);
		for (unsigned page = 0; page < 16; page++)
			assert_int_equal(resident(page), page < 1 || (page > 4 && page != 8));
	}
	/* Without the feature they are just buffers. */
	virtio_rig_start(0, 0);
	touch(16);
	assert_int_equal(virtio_rig_exchange(3, ranges, 0, 2), 0);
	assert_true(resident(2));
}

static void with_a_device_passed_through_all_pages_stay(void **state)
{
	(void)state;
	make(true, true);
	virtio_rig_start(0, 0);
	touch(16);
	move(0, (uint32_t[]){ pfn_of(1), pfn_of(2) }, 2);
	assert_true(resident(1) && resident(2));
	stderr_keep();
	say("16\n");
	assert_reported("balloon: it stays empty: devices that are passed through may write to any "
			"page");
	assert_int_equal(virtio_rig_config(0, 4), 0);
	assert_int_equal(atomic_load(&vrig.config_interrupts), 0);
}

static void pages_outside_of_ram_are_ignored_and_told_of_once(void **state)
{
	static const uint32_t wrong[] = { 0, 0xffffffff, VRIG_RAM / PAGE - 1,
					  (VRIG_RAM + VRIG_RAM_SIZE) / PAGE };
	const uint32_t last = (VRIG_RAM + VRIG_RAM_SIZE) / PAGE - 1;

	(void)state;
	make(false, false);
	virtio_rig_start(0, 0);
	stderr_keep();
	for (unsigned queue = 0; queue < 2; queue++) {
		move(queue, wrong, 4);
		move(queue, &last, 1);
	}
	assert_reported("balloon: its driver in the guest named pages that are not RAM");
	assert_false(virtio_rig_needs_reset());
}

/* Lists of any length and shape are answered; what is more than a driver ever sends is passed over. */
static void odd_lists_complete(void **state)
{
	const uint64_t list = virtio_rig_alloc(8192);
	const struct virtq_buffer buffers[] = {
		{ list, 3 }, { list + 3, 5 }, { list + 8, 0 }, { list, MIB }, { list, 16 }
	};

	(void)state;
	make(false, false);
	virtio_rig_start(0, 0);
	touch(1100);
	for (unsigned i = 0; i < 2048; i++)
		((uint32_t *)virtio_rig_at(list, 8192))[i] = pfn_of(i);
	assert_int_equal(virtio_rig_exchange(0, buffers, 3, 0), 0);
	assert_false(resident(0) || resident(1));
	assert_true(resident(2));
	assert_int_equal(virtio_rig_exchange(0, buffers + 3, 1, 1), 0);
	assert_false(resident(1023));
	assert_true(resident(1024));
	assert_int_equal(virtio_rig_exchange(1, buffers + 4, 0, 1), 0);
	assert_int_equal(virtio_rig_exchange(0, buffers + 2, 1, 0), 0);
}

static void the_fifo_says_how_much_is_wanted(void **state)
{
	static const struct {
		const char *line;
		uint64_t pages;
	} cases[] = {
		{ "8\n", 8 * MIB / PAGE },        { "4096K\n", 4 * MIB / PAGE },
		{ "1g\n", VRIG_RAM_SIZE / PAGE }, { "0\n", 0 },
		{ "2M\n3M\n", 3 * MIB / PAGE },   { "18446744073709551615\n", 3 * MIB / PAGE },
	};

	(void)state;
	make(true, false);
	virtio_rig_start(0, 0);
	for (unsigned i = 0; i < 5; i++) {
		say(cases[i].line);
		assert_int_equal(virtio_rig_config(0, 4), cases[i].pages);
	}
	assert_int_equal(atomic_load(&vrig.config_interrupts), 6);
	say("1");
	say("2");
	assert_int_equal(virtio_rig_config(0, 4), 3 * MIB / PAGE);
	say("M\n");
	assert_int_equal(virtio_rig_config(0, 4), 12 * MIB / PAGE);
	/* A driver that comes anew finds it; what it writes there is nothing. */
	virtio_rig_start(0, 0);
	virtio_config_write(vrig.vdev, 0, 4, 5);
	virtio_config_write(vrig.vdev, 4, 4, 77);
	assert_int_equal(virtio_rig_config(0, 4), 12 * MIB / PAGE);
	assert_int_equal(virtio_rig_config(4, 4), 77);
	virtio_rig_reset();
	assert_int_equal(virtio_rig_config(4, 4), 0);
}

static void other_lines_are_refused(void **state)
{
	static const char *const lines[] = { "\n",
					     "-1\n",
					     "M\n",
					     "1MM\n",
					     "1 M\n",
					     "stat\n",
					     "10Q\n",
					     "99999999999999999999\n",
					     "20000000000000M\n" };
	char text[100];

	(void)state;
	make(true, false);
	virtio_rig_start(0, 0);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		stderr_keep();
		say(lines[i]);
		assert_reported("is neither a size, such as 128M, nor stats");
	}
	memset(text, '1', sizeof(text));
	text[98] = '\n';
	text[99] = '\0';
	stderr_keep();
	say(text);
	assert_reported("is too long");
	say("7\n");
	assert_int_equal(virtio_rig_config(0, 4), 7 * MIB / PAGE);
}

static void a_control_that_is_no_fifo_is_refused(void **state)
{
	struct virtio_device *vdev;

	(void)state;
	fifo = -1;
	stderr_keep();
	assert_int_equal(balloon_create(&vdev, file_path("none"), &vrig.env), -ENOENT);
	assert_reported("--balloon-control: cannot open ");
	stderr_keep();
	assert_int_equal(balloon_create(&vdev, file_make("file", "8\n", 2), &vrig.env), -EINVAL);
	assert_reported("is no FIFO: make one with mkfifo");
	stderr_keep();
	assert_int_equal(balloon_create(&vdev, file_path(""), &vrig.env), -EISDIR);
	assert_reported("--balloon-control: cannot open ");
}

static uint64_t offer_stats(unsigned count)
{
	const unsigned size = count * sizeof(struct virtio_balloon_stat);
	const uint64_t gpa = virtio_rig_alloc(size);
	struct virtio_balloon_stat *stats = virtio_rig_at(gpa, size);

	/* Tags that nobody knows come before some that all do. */
	for (unsigned i = 0; i < count; i++)
		stats[i] = (struct virtio_balloon_stat){ (uint16_t)(i < 3 ? i : (i + 7) % 20),
							 1000 + i };
	assert_true(virtq_driver_add(&vrig.queues[2], &(struct virtq_buffer){ gpa, size }, 1, 0) >=
		    0);
	virtio_rig_kick(2);
	return gpa;
}

static void statistics_are_asked_for_and_told(void **state)
{
	(void)state;
	make(true, false);
	virtio_rig_start(STATS, 0);
	/* Nothing of the driver's yet. */
	stderr_keep();
	say("stats\n");
	assert_reported("balloon: wanted 0 KiB, has 0 KiB");
	for (unsigned round = 0; round < 3; round++) {
		offer_stats(4);
		assert_false(virtq_driver_used(&vrig.queues[2], NULL, NULL));
		say("stats\n");
		assert_true(virtq_driver_used(&vrig.queues[2], NULL, NULL));
		stderr_keep();
		offer_stats(20);
		assert_reported(
			"balloon: wanted 0 KiB, has 0 KiB, swap-in 1000, swap-out 1001, "
			"major-faults 1002, swap-in 1013, swap-out 1014, major-faults 1015, "
			"minor-faults 1016, free-memory 1017, total-memory 1018, "
			"available-memory 1019");
		say("stats\n");
		assert_true(virtq_driver_used(&vrig.queues[2], NULL, NULL));
		/* Asked again before the driver has answered: one answer. */
		say("stats\n");
		stderr_keep();
		offer_stats(0 + 1);
		assert_reported("swap-in 1000");
		/* A buffer too many returns the first. */
		offer_stats(1);
		assert_true(virtq_driver_used(&vrig.queues[2], NULL, NULL));
		virtio_rig_start(STATS, 0);
	}
	/* A buffer from before the reset is not given back after it. */
	offer_stats(1);
	virtio_rig_start(STATS, 0);
	stderr_keep();
	say("stats\n");
	assert_reported("balloon: wanted 0 KiB, has 0 KiB");
	assert_false(virtq_driver_used(&vrig.queues[2], NULL, NULL));
}

/* As Linux has it. */
static void statistics_offered_before_driver_ok_are_seen(void **state)
{
	(void)state;
	make(true, false);
	assert_true(virtio_rig_negotiate(STATS));
	for (unsigned i = 0; i < vrig.vdev->queue_count; i++)
		virtio_rig_set_up_queue(i, 16);
	offer_stats(1);
	virtio_rig_driver_ok();
	virtio_rig_pump();
	say("stats\n");
	assert_true(virtq_driver_used(&vrig.queues[2], NULL, NULL));
}

static void a_broken_ring_needs_a_reset(void **state)
{
	const struct virtq_buffer wrong = { 0x1000, 16 };

	(void)state;
	make(false, false);
	for (unsigned queue = 0; queue < 5; queue++) {
		virtio_rig_start(STATS | REPORTS, 0);
		virtq_driver_add(&vrig.queues[queue], &wrong, 1, 0);
		virtio_rig_kick(queue);
		assert_true(virtio_rig_needs_reset());
	}
	virtio_rig_start(0, 0);
	touch(1);
	move(0, (uint32_t[]){ pfn_of(0) }, 1);
	assert_false(resident(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, virtio_rig_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_offers_what_it_can),
		TEST(pages_go_back_to_the_host_and_come_again),
		TEST(a_host_page_goes_when_all_of_it_is_given),
		TEST(a_huge_page_goes_as_a_whole),
		TEST(free_pages_that_are_reported_go),
		TEST(with_a_device_passed_through_all_pages_stay),
		TEST(pages_outside_of_ram_are_ignored_and_told_of_once),
		TEST(odd_lists_complete),
		TEST(the_fifo_says_how_much_is_wanted),
		TEST(other_lines_are_refused),
		TEST(a_control_that_is_no_fifo_is_refused),
		TEST(statistics_are_asked_for_and_told),
		TEST(statistics_offered_before_driver_ok_are_seen),
		TEST(a_broken_ring_needs_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

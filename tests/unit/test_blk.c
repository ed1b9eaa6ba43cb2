// SPDX-License-Identifier: GPL-2.0-only
/* The block device with the kernel's own asynchronous I/O on real files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "blk_rig.h"

#define BIT64(n) (1ULL << (n))
#define PACKED   BIT64(VIRTIO_F_RING_PACKED)
#define INDIRECT BIT64(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENTS   BIT64(VIRTIO_RING_F_EVENT_IDX)
#define SIZE     BLK_RIG_SIZE

#define IN     VIRTIO_BLK_T_IN
#define OUT    VIRTIO_BLK_T_OUT
#define OK     VIRTIO_BLK_S_OK
#define IOERR  VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP

static void assert_zeroes(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			fail_msg("byte %zu is %#x, not 0", i, bytes[i]);
}

/* --- what the driver finds --- */

static uint64_t offered(void)
{
	uint64_t features = 0;

	for (unsigned word = 0; word < 2; word++) {
		vrig.vdev->offered_select = word;
		features |= (uint64_t)virtio_offered_features(vrig.vdev) << (32 * word);
	}
	return features;
}

#define CONFIG(field)                                                                              \
	virtio_rig_config(offsetof(struct virtio_blk_config, field),                               \
			  sizeof(((struct virtio_blk_config *)0)->field))

static void the_disk_is_described(void **state)
{
	(void)state;
	blk_rig_make(SIZE + 512, ",queues=3,serial=abc");
	assert_int_equal(CONFIG(capacity), SIZE / 512 + 1);
	assert_int_equal(CONFIG(blk_size), 512);
	assert_int_equal(CONFIG(seg_max), 254);
	assert_int_equal(CONFIG(num_queues), 3);
	assert_int_equal(CONFIG(wce), 1);
	assert_int_equal(CONFIG(max_write_zeroes_seg), 1);
	assert_int_equal(512u << CONFIG(physical_block_exp), CONFIG(min_io_size) * 512);
	assert_int_equal(virtio_rig_config(60, 4), 0);
	assert_int_equal(vrig.vdev->class->id, VIRTIO_ID_BLOCK);
	assert_true(offered() & BIT64(VIRTIO_BLK_F_MQ));
	assert_true(offered() & BIT64(VIRTIO_BLK_F_FLUSH));
	assert_true(offered() & BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_false(offered() & BIT64(VIRTIO_BLK_F_RO));
}

static void what_is_read_only_says_so(void **state)
{
	(void)state;
	blk_rig_make(SIZE, ",ro");
	assert_true(offered() & BIT64(VIRTIO_BLK_F_RO));
	assert_false(offered() &
		     (BIT64(VIRTIO_BLK_F_MQ) | BIT64(VIRTIO_BLK_F_DISCARD) |
		      BIT64(VIRTIO_BLK_F_WRITE_ZEROES) | BIT64(VIRTIO_BLK_F_CONFIG_WCE)));
}

static void of_the_configuration_only_the_cache_mode_can_be_written(void **state)
{
	struct blk *blk =
		blk_rig_start(SIZE, "", BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_CONFIG_WCE));

	(void)state;
	assert_true(blk->writeback);
	virtio_config_write(vrig.vdev, 0, 8, UINT64_MAX);
	virtio_config_write(vrig.vdev, 20, 4, UINT32_MAX);
	assert_int_equal(CONFIG(capacity), SIZE / 512);
	assert_int_equal(CONFIG(blk_size), 512);
	assert_int_equal(CONFIG(wce), 1);
	virtio_config_write(vrig.vdev, offsetof(struct virtio_blk_config, wce), 1, 0);
	assert_int_equal(CONFIG(wce), 0);
	assert_false(blk->writeback);
	virtio_config_write(vrig.vdev, offsetof(struct virtio_blk_config, num_queues), 2, 9);
	assert_int_equal(CONFIG(num_queues), 1);
	virtio_rig_reset();
	assert_int_equal(CONFIG(wce), 1);
}

/* (virtio 1.2, 5.2.5.2) Who cannot flush must not need to. */
static void without_flush_writes_are_through(void **state)
{
	struct blk *blk = blk_rig_start(SIZE, "", 0);
	static const uint8_t bytes[512] = { 1 };

	(void)state;
	assert_false(blk->writeback);
	assert_int_equal(blk_rig_request(OUT, 1, bytes, 512), OK);
	virtio_rig_start(BIT64(VIRTIO_BLK_F_FLUSH), 0);
	assert_true(blk->writeback);
}

/* --- what is asked for is done --- */

static void read_and_write(void)
{
	uint8_t bytes[4096], got[4096];

	assert_int_equal(blk_rig_request(IN, 3, NULL, 8192), OK);
	assert_int_equal(blk_rig.len, 8193);
	blk_rig_assert_original(blk_rig_data(), 3 * 512, 8192);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 3);
	assert_int_equal(blk_rig_request(OUT, 9, bytes, sizeof(bytes)), OK);
	assert_int_equal(blk_rig.len, 1);
	blk_rig_file(9 * 512, got, sizeof(got));
	assert_memory_equal(got, bytes, sizeof(got));
	blk_rig_file(8 * 512, got, 512);
	blk_rig_assert_original(got, 8 * 512, 512);
	blk_rig_file(17 * 512, got, 512);
	blk_rig_assert_original(got, 17 * 512, 512);
	assert_int_equal(blk_rig_request(IN, 9, NULL, sizeof(bytes)), OK);
	assert_memory_equal(blk_rig_data(), bytes, sizeof(bytes));

	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0), OK);
	assert_int_equal(blk_rig.len, 1);
	assert_int_equal(blk_rig_request(IN, SIZE / 512 - 1, NULL, 512), OK);
	blk_rig_assert_original(blk_rig_data(), SIZE - 512, 512);
}

static void it_reads_and_writes_over_every_kind_of_ring(void **state)
{
	static const uint64_t features[] = {
		0, EVENTS, PACKED, PACKED | EVENTS, BIT64(VIRTIO_BLK_F_FLUSH) | EVENTS,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		blk_rig_start(SIZE, "", features[i]);
		read_and_write();
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
	}
}

static void it_reads_and_writes_past_the_page_cache(void **state)
{
	struct blk *blk = blk_rig_start(SIZE, "", BIT64(VIRTIO_BLK_F_FLUSH));

	(void)state;
	/* As the file system allows: it may have no direct I/O. */
	blk->disk.direct = true;
	blk->disk.align = 512;
	blk->disk.cached_fd = dup(blk->disk.fd);
	read_and_write();
}

static void a_legacy_driver_reads_and_writes(void **state)
{
	(void)state;
	blk_rig_make(SIZE, "");
	vrig.vdev->legacy = true;
	virtio_rig_start(0, 0);
	read_and_write();
}

/* (virtio 1.2, 2.6.4) No layout of descriptors is assumed. */
static void the_layout_of_descriptors_does_not_matter(void **state)
{
	struct virtio_blk_outhdr *header;
	struct virtq_buffer out[40], in[40];
	uint64_t gpa;
	uint8_t *bytes;

	(void)state;
	blk_rig_start(SIZE, "", 0);
	gpa = virtio_rig_alloc(4096);
	bytes = virtio_rig_at(gpa, 4096);
	header = (struct virtio_blk_outhdr *)bytes;

	/* Header and data in one descriptor, then one byte each. */
	*header = (struct virtio_blk_outhdr){ htole32(OUT), 0, htole64(5) };
	memset(bytes + 16, 0x77, 512);
	out[0] = (struct virtq_buffer){ gpa, 528 };
	out[1] = (struct virtq_buffer){ gpa + 600, 1 };
	bytes[600] = 0xaa;
	assert_int_equal(virtio_rig_exchange(0, out, 1, 1), 1);
	assert_int_equal(bytes[600], OK);

	*header = (struct virtio_blk_outhdr){ htole32(IN), 0, htole64(5) };
	for (unsigned i = 0; i < 16; i++)
		in[i] = (struct virtq_buffer){ gpa + i, 1 };
	in[16] = (struct virtq_buffer){ gpa + 1000, 3 };
	in[17] = (struct virtq_buffer){ gpa + 1003, 500 };
	in[18] = (struct virtq_buffer){ gpa + 1503, 10 };
	memset(bytes + 1000, 0xaa, 600);
	assert_int_equal(virtio_rig_exchange(0, in, 16, 3), 513);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(bytes[1000 + i], 0x77);
	assert_int_equal(bytes[1512], OK);
	assert_int_equal(bytes[1513], 0xaa);

	/* A write whose header ends in the middle of its second piece. */
	*header = (struct virtio_blk_outhdr){ htole32(OUT), 0, htole64(6) };
	memset(bytes + 16, 0x66, 512);
	out[0] = (struct virtq_buffer){ gpa, 7 };
	out[1] = (struct virtq_buffer){ gpa + 7, 100 };
	out[2] = (struct virtq_buffer){ gpa + 107, 421 };
	out[3] = (struct virtq_buffer){ gpa + 600, 1 };
	assert_int_equal(virtio_rig_exchange(0, out, 3, 1), 1);
	assert_int_equal(blk_rig_request(IN, 6, NULL, 512), OK);
	assert_memory_equal(blk_rig_data(), bytes + 16, 512);
}

static void the_serial_number_is_told(void **state)
{
	(void)state;
	blk_rig_start(SIZE, ",serial=0123456789abcdefghij", 0);
	memset(blk_rig_data(), 0xaa, 30);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_GET_ID, 0, NULL, 25), OK);
	assert_int_equal(blk_rig.len, 21);
	assert_memory_equal(blk_rig_data(), "0123456789abcdefghij\xaa", 21);
	memset(blk_rig_data(), 0xaa, 30);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_GET_ID, 0, NULL, 4), OK);
	assert_memory_equal(blk_rig_data(), "0123\xaa", 5);
}

/* One request that is larger than any buffer of ours; the rest of the machine has its turn in between. */
static void a_huge_request_is_served_in_slices(void **state)
{
	const uint32_t size = 20 << 20;
	struct virtio_blk_outhdr *header;
	struct virtq_buffer buffers[3];
	uint64_t data, hdr;
	uint8_t *bytes;

	(void)state;
	blk_rig_start(24 << 20, "", 0);
	data = virtio_rig_alloc(size);
	hdr = virtio_rig_alloc(17);
	bytes = virtio_rig_at(data, size);
	header = virtio_rig_at(hdr, 17);
	*header = (struct virtio_blk_outhdr){ htole32(IN), 0, htole64(1) };
	buffers[0] = (struct virtq_buffer){ hdr, 16 };
	buffers[1] = (struct virtq_buffer){ data, size };
	buffers[2] = (struct virtq_buffer){ hdr + 16, 1 };
	assert_int_equal(virtio_rig_exchange(0, buffers, 1, 2), size + 1);
	blk_rig_assert_original(bytes, 512, size);
	bytes[size - 1] ^= 0xff;
	bytes[0] ^= 0xff;
	header->type = htole32(OUT);
	assert_int_equal(virtio_rig_exchange(0, buffers, 2, 1), 1);
	memset(bytes, 0, size);
	header->type = htole32(IN);
	assert_int_equal(virtio_rig_exchange(0, buffers, 1, 2), size + 1);
	assert_int_equal(bytes[size - 1], blk_rig_byte(511 + size) ^ 0xff);
	bytes[size - 1] ^= 0xff;
	bytes[0] ^= 0xff;
	blk_rig_assert_original(bytes, 512, size);
}

static void all_queues_serve(void **state)
{
	struct virtio_blk_outhdr *header;
	uint64_t gpa[4];

	(void)state;
	blk_rig_start(SIZE, ",queues=4", BIT64(VIRTIO_BLK_F_MQ));
	for (unsigned q = 0; q < 4; q++) {
		const struct virtq_buffer buffers[] = {
			{ gpa[q] = virtio_rig_alloc(8192), 16 },
			{ gpa[q] + 16, 4096 },
			{ gpa[q] + 8000, 1 },
		};

		header = virtio_rig_at(gpa[q], 16);
		*header = (struct virtio_blk_outhdr){ htole32(IN), 0, htole64(q * 100) };
		for (int i = 0; i < 20; i++)
			assert_true(virtq_driver_add(&vrig.queues[q], buffers, 1, 2) >= 0);
		virtio_kick(vrig.vdev, q);
	}
	for (unsigned q = 0; q < 4; q++) {
		for (int i = 0; i < 20; i++)
			assert_int_equal(virtio_rig_wait_used(q, NULL), 4097);
		blk_rig_assert_original(virtio_rig_at(gpa[q] + 16, 4096), q * 51200, 4096);
		assert_true(vrig.interrupts[q] > 0);
	}
}

/* --- discard and write zeroes --- */

static void zeroes_are_written_and_nothing_else(void **state)
{
	uint8_t bytes[65536];

	(void)state;
	blk_rig_start(SIZE, "", BIT64(VIRTIO_BLK_F_WRITE_ZEROES) | BIT64(VIRTIO_BLK_F_FLUSH));
	for (uint32_t unmap = 0; unmap < 2; unmap++) {
		uint64_t at = 10 + 100 * unmap;

		assert_int_equal(blk_rig_range(VIRTIO_BLK_T_WRITE_ZEROES, at, 50, unmap), OK);
		blk_rig_file(at * 512 - 512, bytes, 52 * 512);
		blk_rig_assert_original(bytes, at * 512 - 512, 512);
		assert_zeroes(bytes + 512, 50 * 512);
		blk_rig_assert_original(bytes + 51 * 512, (at + 50) * 512, 512);
	}
	assert_int_equal(blk_rig_range(VIRTIO_BLK_T_WRITE_ZEROES, 5, 0, 0), OK);
	blk_rig_file(5 * 512, bytes, 512);
	blk_rig_assert_original(bytes, 5 * 512, 512);
}

static void what_is_discarded_is_within_bounds(void **state)
{
	struct blk *blk = blk_rig_start(SIZE, "", 0);
	uint8_t bytes[512];

	(void)state;
	assert_int_equal(!!(offered() & BIT64(VIRTIO_BLK_F_DISCARD)), blk->disk.discards);
	assert_int_equal(blk_rig_range(VIRTIO_BLK_T_DISCARD, 8, 8, 0),
			 blk->disk.discards ? OK : UNSUPP);
	for (uint64_t at = 7; at < 17; at += 9) {
		blk_rig_file(at * 512, bytes, 512);
		blk_rig_assert_original(bytes, at * 512, 512);
	}
}

/* --- the host's file is not what it was, or not what one expects --- */

/* What the format is, only the command line says. */
static void an_image_of_another_format_stays_raw(void **state)
{
	static const char header[] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\x68\0\0\0\x10/etc/passwd";
	uint8_t sector[512] = { 0 };

	(void)state;
	blk_rig_start(SIZE, "", 0);
	memcpy(sector, header, sizeof(header));
	assert_int_equal(blk_rig_request(OUT, 0, sector, 512), OK);
	virtio_rig_destroy_device();
	virtio_disk_config_free(&blk_rig.config);
	blk_rig_start(0, "", 0);
	assert_int_equal(CONFIG(capacity), SIZE / 512);
	assert_int_equal(blk_rig_request(IN, 0, NULL, 1024), OK);
	assert_memory_equal(blk_rig_data(), sector, 512);
	blk_rig_assert_original(blk_rig_data() + 512, 512, 512);
}

static void the_last_sector_of_a_file_may_be_short(void **state)
{
	uint8_t bytes[512];

	(void)state;
	memset(bytes, 0x31, sizeof(bytes));
	blk_rig_start(5 * 512 + 100, "", 0);
	assert_int_equal(CONFIG(capacity), 6);
	memset(blk_rig_data(), 0xaa, 2048);
	assert_int_equal(blk_rig_request(IN, 4, NULL, 1024), OK);
	assert_int_equal(blk_rig.len, 1025);
	blk_rig_assert_original(blk_rig_data(), 4 * 512, 612);
	assert_zeroes(blk_rig_data() + 612, 412);
	assert_int_equal(blk_rig_data()[1024], 0xaa);
	assert_int_equal(blk_rig_request(IN, 6, NULL, 512), IOERR);
	assert_int_equal(blk_rig_request(OUT, 5, bytes, 512), OK);
	assert_int_equal(blk_rig_request(IN, 5, NULL, 512), OK);
	assert_memory_equal(blk_rig_data(), bytes, 512);
}

static void a_file_that_shrinks_fails_beyond_its_end_and_heals(void **state)
{
	(void)state;
	blk_rig_start(SIZE, "", 0);
	assert_int_equal(truncate(file_path("disk"), SIZE / 2), 0);
	stderr_keep();
	assert_int_equal(blk_rig_request(IN, SIZE / 512 - 8, NULL, 512), IOERR);
	assert_int_equal(blk_rig_request(IN, SIZE / 1024 - 1, NULL, 1024), IOERR);
	assert_reported("has been truncated");
	assert_int_equal(blk_rig_request(IN, SIZE / 1024 - 1, NULL, 512), OK);
	blk_rig_assert_original(blk_rig_data(), SIZE / 2 - 512, 512);
	assert_int_equal(truncate(file_path("disk"), SIZE), 0);
	assert_int_equal(blk_rig_request(IN, SIZE / 512 - 8, NULL, 512), OK);
	assert_zeroes(blk_rig_data(), 512);
}

/* --- limits --- */

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void limits_are_kept(void **state)
{
	static const struct {
		const char *options;
		unsigned requests;
		double least; /* seconds, but for the burst at the start */
	} cases[] = {
		{ ",iops=100", 30, 0.19 },
		{ ",bps=160K", 10, 0.12 },
		{ ",bps=160K,iops=1000000,queues=2", 10, 0.12 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blk *blk = blk_rig_start(SIZE, cases[i].options, 0);
		double start = seconds();

		assert_true(blk->timer.fd >= 0);
		for (unsigned n = 0; n < cases[i].requests; n++)
			blk_rig_offer(IN, 8 * n, NULL, 4096);
		virtio_kick(vrig.vdev, 0);
		for (unsigned n = 0; n < cases[i].requests; n++)
			assert_int_equal(virtio_rig_wait_used(0, NULL), 4097);
		assert_true(seconds() - start >= cases[i].least);
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
	}
}

static void a_reset_forgets_what_a_limit_held_back(void **state)
{
	struct blk *blk = blk_rig_start(SIZE, ",iops=1", 0);

	(void)state;
	for (unsigned n = 0; n < 5; n++)
		blk_rig_offer(IN, n, NULL, 512);
	virtio_rig_kick(0);
	assert_true(blk->throttled);
	virtio_rig_reset();
	assert_false(blk->throttled);
	assert_int_equal(blk->in_flight, 0);
	virtio_rig_pump();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_rig_setup, blk_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_disk_is_described),
		TEST(what_is_read_only_says_so),
		TEST(of_the_configuration_only_the_cache_mode_can_be_written),
		TEST(without_flush_writes_are_through),
		TEST(it_reads_and_writes_over_every_kind_of_ring),
		TEST(it_reads_and_writes_past_the_page_cache),
		TEST(a_legacy_driver_reads_and_writes),
		TEST(the_layout_of_descriptors_does_not_matter),
		TEST(the_serial_number_is_told),
		TEST(a_huge_request_is_served_in_slices),
		TEST(all_queues_serve),
		TEST(zeroes_are_written_and_nothing_else),
		TEST(what_is_discarded_is_within_bounds),
		TEST(an_image_of_another_format_stays_raw),
		TEST(the_last_sector_of_a_file_may_be_short),
		TEST(a_file_that_shrinks_fails_beyond_its_end_and_heals),
		TEST(limits_are_kept),
		TEST(a_reset_forgets_what_a_limit_held_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

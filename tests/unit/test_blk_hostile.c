// SPDX-License-Identifier: GPL-2.0-only
/* What a hostile driver asks of a block device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <string.h>
#include <cmocka.h>
#include "blk_rig.h"

#define SIZE BLK_RIG_SIZE

#define IN     VIRTIO_BLK_T_IN
#define OUT    VIRTIO_BLK_T_OUT
#define OK     VIRTIO_BLK_S_OK
#define IOERR  VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP

static void ranges_that_make_no_sense_change_nothing(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors, flags;
		uint8_t discard, zeroes;
	} cases[] = {
		{ SIZE / 512, 1, 0, IOERR, IOERR }, { SIZE / 512 - 1, 2, 0, IOERR, IOERR },
		{ UINT64_MAX, 1, 0, IOERR, IOERR }, { UINT64_MAX, UINT32_MAX, 0, IOERR, IOERR },
		{ 1ULL << 55, 1, 0, IOERR, IOERR }, { 0, UINT32_MAX, 0, IOERR, IOERR },
		{ 0, 8, 2, UNSUPP, UNSUPP },        { 0, 8, 1U << 31, UNSUPP, UNSUPP },
	};
	struct virtio_blk_discard_write_zeroes many[BLK_DISCARD_SEGS + 1] = { 0 };
	uint8_t file[SIZE];
	struct blk *blk = blk_rig_start(SIZE, "", 0);

	(void)state;
	blk->disk.discards = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(blk_rig_range(VIRTIO_BLK_T_DISCARD, cases[i].sector,
					       cases[i].sectors, cases[i].flags),
				 cases[i].discard);
		assert_int_equal(blk_rig_range(VIRTIO_BLK_T_WRITE_ZEROES, cases[i].sector,
					       cases[i].sectors, cases[i].flags),
				 cases[i].zeroes);
		assert_int_equal(blk_rig.len, 1);
	}
	assert_int_equal(blk_rig_range(VIRTIO_BLK_T_DISCARD, 0, 8, 1), UNSUPP);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_DISCARD, 0, many, sizeof(many)), IOERR);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_DISCARD, 0, many, 15), IOERR);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_DISCARD, 0, many, 17), IOERR);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_DISCARD, 0, NULL, 0), IOERR);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_WRITE_ZEROES, 0, many, 32), IOERR);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_WRITE_ZEROES, 0, NULL, 0), IOERR);

	/* The first is good, the second is not: neither is done. */
	many[0] = (struct virtio_blk_discard_write_zeroes){ 0, htole32(64), 0 };
	many[1] = (struct virtio_blk_discard_write_zeroes){ htole64(SIZE), htole32(1), 0 };
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_DISCARD, 0, many, 32), IOERR);
	blk_rig_file(0, file, SIZE);
	blk_rig_assert_original(file, 0, SIZE);
}

static void bad_requests_fail_once_each(void **state)
{
	static const struct {
		const char *options;
		uint32_t type;
		uint64_t sector;
		uint32_t size;
		bool out;
		uint8_t status;
	} cases[] = {
		{ "", IN, SIZE / 512, 512, false, IOERR },
		{ "", IN, SIZE / 512 - 1, 1024, false, IOERR },
		{ "", OUT, SIZE / 512, 512, true, IOERR },
		{ "", OUT, SIZE / 512 - 1, 1024, true, IOERR },
		{ "", IN, 1ULL << 55, 512, false, IOERR },
		{ "", OUT, 1ULL << 55, 512, true, IOERR },
		{ "", IN, UINT64_MAX, 512, false, IOERR },
		{ "", OUT, UINT64_MAX, 512, true, IOERR },
		{ "", OUT, (1ULL << 55) - 1, 512, true, IOERR },
		{ "", IN, 0, 511, false, IOERR },
		{ "", IN, 0, 1, false, IOERR },
		{ "", OUT, 0, 513, true, IOERR },
		{ "", OUT, 0, 1, true, IOERR },
		{ "", IN, SIZE / 512, 0, false, OK },
		{ "", IN, SIZE / 512 + 1, 0, false, IOERR },
		{ "", OUT, 0, 0, true, OK },
		{ "", VIRTIO_BLK_T_SCSI_CMD, 0, 512, true, UNSUPP },
		{ "", 0x77, 0, 512, false, UNSUPP },
		{ "", UINT32_MAX, 0, 512, true, UNSUPP },
		{ "", VIRTIO_BLK_T_OUT | 0x80000000, 0, 512, true, UNSUPP },
		{ ",ro", OUT, 0, 512, true, IOERR },
		{ ",ro", VIRTIO_BLK_T_DISCARD, 0, 16, true, IOERR },
		{ ",ro", VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, true, IOERR },
		{ ",ro", VIRTIO_BLK_T_FLUSH, 0, 0, false, OK },
		{ ",ro", IN, 0, 512, false, OK },
	};
	static const uint8_t junk[1024] = { 0xff };
	uint8_t file[SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		blk_rig_start(SIZE, cases[i].options, 0);
		assert_int_equal(blk_rig_request(cases[i].type, cases[i].sector,
						 cases[i].out ? junk : NULL, cases[i].size),
				 cases[i].status);
		virtio_rig_pump();
		assert_false(virtq_driver_used(&vrig.queues[0], NULL, NULL));
		assert_false(virtio_rig_needs_reset());
		assert_int_equal(blk_rig_request(IN, 0, NULL, 512), OK);
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
		blk_rig_file(0, file, SIZE);
		blk_rig_assert_original(file, 0, SIZE);
	}
}

/* Chains that are no request: no status byte, half a header, nothing at all. */
static void what_is_no_request_comes_back_unserved(void **state)
{
	static const struct {
		uint32_t header, data, status;
		uint32_t len;
		uint8_t code; /* of a status byte, if there is one */
	} cases[] = {
		{ 16, 512, 0, 0, 0xaa }, { 16, 0, 0, 0, 0xaa }, { 0, 0, 0, 0, 0xaa },
		{ 15, 0, 1, 1, IOERR },  { 0, 0, 1, 1, IOERR },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtq_buffer buffers[3];
		struct virtio_blk_outhdr *header;

		blk_rig_start(SIZE, "", 0);
		header = virtio_rig_at(blk_rig.header, 16);
		*header = (struct virtio_blk_outhdr){ htole32(OUT), 0, 0 };
		*(uint8_t *)virtio_rig_at(blk_rig.status, 1) = 0xaa;
		buffers[0] = (struct virtq_buffer){ blk_rig.header, cases[i].header };
		buffers[1] = (struct virtq_buffer){ blk_rig.data, cases[i].data };
		buffers[2] = (struct virtq_buffer){ blk_rig.status, cases[i].status };
		assert_int_equal(virtio_rig_exchange(0, buffers, 2, 1), cases[i].len);
		assert_int_equal(blk_rig_status(), cases[i].code);
		assert_false(virtio_rig_needs_reset());
		assert_int_equal(blk_rig_request(IN, 0, NULL, 512), OK);
		blk_rig_assert_original(blk_rig_data(), 0, 512);
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
	}
}

/* What virtq.c refuses ends in NEEDS_RESET, and a reset brings the disk back. */
static void a_broken_ring_needs_a_reset(void **state)
{
	(void)state;
	blk_rig_start(SIZE, "", 0);
	blk_rig_offer(IN, 0, NULL, 512);
	for (unsigned i = 0; i < vrig.queues[0].size; i++)
		vrig.queues[0].desc[i].flags |= htole16(VRING_DESC_F_NEXT);
	stderr_keep();
	virtio_rig_kick(0);
	assert_reported("broke the rules");
	assert_true(virtio_rig_needs_reset());
	assert_false(virtq_driver_used(&vrig.queues[0], NULL, NULL));
	virtio_rig_start(0, 0);
	assert_int_equal(blk_rig_request(IN, 0, NULL, 512), OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_rig_setup, blk_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(ranges_that_make_no_sense_change_nothing),
		TEST(bad_requests_fail_once_each),
		TEST(what_is_no_request_comes_back_unserved),
		TEST(a_broken_ring_needs_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

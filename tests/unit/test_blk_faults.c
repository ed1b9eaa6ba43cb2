// SPDX-License-Identifier: GPL-2.0-only
/* The block device on a host that fails, takes its time, or mixes up the order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "blk_rig.h"
#include "fake_aio.h"
#include "virtio/blk.h"

#define BIT64(n) (1ULL << (n))
#define SIZE     BLK_RIG_SIZE
#define BLOCK    4096

#define IN    VIRTIO_BLK_T_IN
#define OUT   VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define OK    VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR

static const uint8_t bytes[2 * BLOCK] = { 0x42, 0x43 };

static int setup(void **state)
{
	fake_aio_begin();
	return blk_rig_setup(state);
}

/* A file system that can neither zero nor discard: fallocate(2) of this program. */
int fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)len;
	errno = EOPNOTSUPP;
	return -1;
}

/* Direct I/O in blocks of 4 KiB, whatever the file system of the test's folder can. */
static struct blk *start_direct(uint64_t features)
{
	struct blk *blk = blk_rig_start(SIZE, "", features);

	blk->disk.direct = true;
	blk->disk.block = blk->disk.align = BLOCK;
	blk->disk.cached_fd = open(file_path("disk"), O_RDWR | O_CLOEXEC);
	return blk;
}

static bool used(void)
{
	return virtq_driver_used(&vrig.queues[0], NULL, NULL);
}

static void kick(void)
{
	virtio_rig_kick(0);
}

static void done(void)
{
	virtio_rig_pump();
}

/* --- errors of the host --- */

static void an_error_of_the_host_is_the_guests_and_heals(void **state)
{
	static const struct {
		uint32_t type;
		int err;
		const char *said;
	} cases[] = {
		{ IN, -EIO, "cannot be read: Input/output error" },
		{ IN, -EAGAIN, "cannot be read" },
		{ OUT, -EIO, "cannot be written: Input/output error" },
		{ OUT, -ENOSPC, "cannot be written: No space left on device" },
		{ OUT, -EDQUOT, "cannot be written" },
		{ FLUSH, -EIO, "cannot be flushed or discarded: Input/output error" },
		{ FLUSH, -ENOSPC, "cannot be flushed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const void *out = cases[i].type == OUT ? bytes : NULL;
		uint32_t size = cases[i].type == FLUSH ? 0 : BLOCK;

		start_direct(BIT64(VIRTIO_BLK_F_FLUSH));
		stderr_keep();
		for (int n = 0; n < 3; n++) {
			fake_aio.hold = true;
			blk_rig_offer(cases[i].type, 8, out, size);
			kick();
			assert_false(used());
			fake_aio_finish(0, cases[i].err);
			done();
			assert_true(used());
			assert_false(used());
			assert_int_equal(blk_rig_status(), IOERR);
		}
		assert_reported(cases[i].said);
		fake_aio.hold = false;
		assert_int_equal(blk_rig_request(cases[i].type, 8, out, size), OK);
		assert_false(virtio_rig_needs_reset());
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
	}
}

static void what_the_kernel_does_not_take_has_failed(void **state)
{
	(void)state;
	blk_rig_start(SIZE, "", 0);
	stderr_keep();
	fake_aio.submit_error = -ENOMEM;
	assert_int_equal(blk_rig_request(IN, 0, NULL, 512), IOERR);
	assert_reported("Cannot allocate memory");
	assert_int_equal(blk_rig_request(IN, 0, NULL, 512), OK);

	/* The first of three. */
	stderr_keep();
	fake_aio.submit_error = -EINVAL;
	fake_aio.take = 1;
	for (int i = 0; i < 3; i++)
		blk_rig_offer(IN, (uint64_t)i, NULL, 512);
	kick();
	for (int i = 0; i < 3; i++)
		assert_true(used());
	assert_false(used());
	assert_string_equal(stderr_text(), "");
}

static void the_hosts_limit_of_requests_is_named_with_its_cure(void **state)
{
	static const struct {
		int err;
		const char *said;
	} cases[] = {
		{ -EAGAIN, "sysctl -w fs.aio-max-nr" },
		{ -ENOSYS, "CONFIG_AIO" },
		{ -ENOMEM, "Cannot allocate memory" },
	};
	const char *path = file_make("disk", bytes, 512);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct virtio_disk_config config = { .path = path, .queues = 1 };
		struct virtio_device *vdev;
		int err;

		fake_aio.create_error = cases[i].err;
		stderr_keep();
		err = blk_create(&vdev, &config, &vrig.env);
		assert_reported(cases[i].said);
		assert_int_equal(err, cases[i].err);
	}
}

/* --- partly done --- */

static void what_was_transferred_in_part_is_gone_on_with(void **state)
{
	uint8_t file[2 * BLOCK];

	(void)state;
	for (unsigned direct = 0; direct < 2; direct++) {
		unsigned part = direct ? BLOCK : 100;

		if (direct)
			start_direct(0);
		else
			blk_rig_start(SIZE, "", 0);
		fake_aio.hold = true;
		blk_rig_offer(OUT, 8, bytes, sizeof(bytes));
		/* Without an eventfd the device waits for it in place. */
		virtio_kick(vrig.vdev, 0);
		if (direct)
			virtio_rig_pump();
		if (direct) {
			fake_aio_finish(0, part);
			done();
			assert_false(used());
			assert_int_equal(fake_aio.pending_count, 1);
			assert_int_equal(fake_aio.pending[0]->u.c.offset, BLOCK + part);
			fake_aio_finish(0, FAKE_AIO_DO);
		}
		fake_aio.hold = false;
		done();
		assert_true(used());
		assert_int_equal(blk_rig_status(), OK);
		blk_rig_file(BLOCK + part, file, BLOCK);
		assert_memory_equal(file, bytes + part, BLOCK);
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
	}
}

static void half_a_block_of_a_direct_read_is_the_files_end(void **state)
{
	(void)state;
	start_direct(0);
	fake_aio.hold = true;
	blk_rig_offer(IN, 8, NULL, 2 * BLOCK);
	kick();
	stderr_keep();
	fake_aio_finish(0, 700);
	done();
	assert_reported("has been truncated");
	assert_true(used());
	assert_int_equal(blk_rig_status(), IOERR);
}

/* --- how often the kernel is called --- */

static void a_kick_is_one_submission(void **state)
{
	(void)state;
	for (unsigned direct = 0; direct < 2; direct++) {
		fake_aio_begin();
		if (direct)
			start_direct(BIT64(VIRTIO_RING_F_EVENT_IDX));
		else
			blk_rig_start(SIZE, "", BIT64(VIRTIO_RING_F_EVENT_IDX));
		for (int i = 0; i < 32; i++)
			blk_rig_offer(IN, 8 * (uint64_t)i, NULL, BLOCK);
		kick();
		for (int i = 0; i < 32; i++)
			assert_true(used());
		assert_int_equal(fake_aio.submits, 1);
		assert_int_equal(fake_aio.waits, 0);
		assert_int_equal(fake_aio.announced, direct ? 32 : 0);
		assert_int_equal(vrig.interrupts[0], 1);
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
		vrig.interrupts[0] = 0;
	}
}

/* (virtio 1.2, 5.2.6.2) */
static void writes_are_through_as_long_as_the_driver_wants_it(void **state)
{
	const size_t wce = offsetof(struct virtio_blk_config, wce);

	(void)state;
	blk_rig_start(SIZE, "", BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_CONFIG_WCE));
	for (unsigned i = 0; i < 4; i++) {
		virtio_config_write(vrig.vdev, wce, 1, i % 2);
		assert_int_equal(blk_rig_request(OUT, 0, bytes, 512), OK);
		assert_int_equal(fake_aio.done[0].obj->aio_rw_flags, i % 2 ? 0 : RWF_DSYNC);
	}
}

/* --- order --- */

static void requests_may_end_in_any_order(void **state)
{
	int ids[3], id;

	(void)state;
	start_direct(0);
	fake_aio.hold = true;
	for (int i = 0; i < 3; i++)
		ids[i] = blk_rig_offer(IN, 8 * (uint64_t)i, NULL, BLOCK);
	kick();
	for (int i = 2; i >= 0; i--) {
		fake_aio_finish((unsigned)i, BLOCK);
		done();
		assert_true(virtq_driver_used(&vrig.queues[0], &id, NULL));
		assert_int_equal(id, ids[i]);
	}
}

/* What is not aligned goes through the page cache, with no other I/O beside it. */
static void what_is_not_aligned_is_alone(void **state)
{
	struct blk *blk = start_direct(0);

	(void)state;
	fake_aio.hold = true;
	blk_rig_offer(IN, 0, NULL, BLOCK);
	blk_rig_offer(IN, 1, NULL, 512);
	blk_rig_offer(IN, 8, NULL, BLOCK);
	kick();
	assert_int_equal(fake_aio.pending_count, 1);
	assert_int_equal(fake_aio.pending[0]->aio_fildes, blk->disk.fd);
	assert_false(used());

	/* Its turn has come when the first is done; without an eventfd the device waits for it. */
	fake_aio_finish(0, BLOCK);
	done();
	assert_true(used());
	assert_true(used());
	assert_false(used());
	assert_int_equal(fake_aio.waits, 1);
	assert_int_equal(fake_aio.announced, 1);
	assert_int_equal(fake_aio.pending_count, 1);
	assert_int_equal(fake_aio.pending[0]->u.c.offset, BLOCK);
	fake_aio_finish(0, FAKE_AIO_DO);
	done();
	assert_true(used());
}

static void what_is_not_aligned_is_right(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t size, shift; /* of the buffer in memory */
	} cases[] = { { 1, 512, 0 },
		      { 7, 1024, 0 },
		      { 0, 2048, 0 },
		      { 3, 3 * BLOCK, 0 },
		      { 8, BLOCK, 512 } };
	uint8_t file[4 * BLOCK], want[4 * BLOCK], all[SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t data;

		start_direct(0);
		data = blk_rig.data;
		blk_rig.data += cases[i].shift;
		for (unsigned n = 0; n < sizeof(want); n++)
			want[n] = (uint8_t)(n * 5 + 1);
		assert_int_equal(blk_rig_request(OUT, cases[i].sector, want, cases[i].size), OK);
		assert_int_equal(blk_rig_request(IN, cases[i].sector, NULL, cases[i].size), OK);
		assert_memory_equal(blk_rig_data(), want, cases[i].size);
		blk_rig_file(cases[i].sector * 512, file, cases[i].size);
		assert_memory_equal(file, want, cases[i].size);
		blk_rig_file(0, all, SIZE);
		for (uint64_t n = 0; n < SIZE; n++)
			if (n / 512 < cases[i].sector || n >= cases[i].sector * 512 + cases[i].size)
				assert_int_equal(all[n], blk_rig_byte(n));
		blk_rig.data = data;
		virtio_rig_destroy_device();
		virtio_disk_config_free(&blk_rig.config);
	}
}

static void a_flush_waits_for_nothing_but_itself(void **state)
{
	(void)state;
	blk_rig_start(SIZE, "", BIT64(VIRTIO_BLK_F_FLUSH));
	fake_aio.hold = true;
	blk_rig_offer(FLUSH, 0, NULL, 0);
	kick();
	assert_int_equal(fake_aio.pending[0]->aio_lio_opcode, IO_CMD_FDSYNC);
	assert_false(used());
	assert_int_equal(fake_aio.waits, 0);
	fake_aio_finish(0, 0);
	done();
	assert_true(used());
}

/* --- zeros and discards that the file system does not know --- */

static void zeroes_are_written_where_the_file_system_cannot(void **state)
{
	struct virtio_blk_discard_write_zeroes range = { htole64(3), htole32(1000), 0 };
	uint8_t file[SIZE];
	struct blk *blk = blk_rig_start(SIZE, "", 0);

	(void)state;
	assert_false(blk->disk.discards);
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, sizeof(range)), OK);
	assert_int_equal(blk_rig.len, 1);
	blk_rig_file(0, file, SIZE);
	for (uint64_t i = 0; i < SIZE; i++)
		assert_int_equal(file[i], i / 512 >= 3 && i / 512 < 1003 ? 0 : blk_rig_byte(i));
	assert_int_equal(blk_rig_request(VIRTIO_BLK_T_DISCARD, 0, &range, sizeof(range)),
			 VIRTIO_BLK_S_UNSUPP);
}

/* --- a guest that does not wait --- */

static void a_header_that_changes_later_changes_nothing(void **state)
{
	struct virtio_blk_outhdr *header;
	uint8_t file[512];

	(void)state;
	start_direct(0);
	fake_aio.hold = true;
	blk_rig_offer(IN, 8, NULL, BLOCK);
	kick();
	header = virtio_rig_at(blk_rig.header, sizeof(*header));
	*header = (struct virtio_blk_outhdr){ htole32(OUT), 0, htole64(UINT64_MAX) };
	fake_aio_finish(0, FAKE_AIO_DO);
	done();
	assert_true(used());
	assert_int_equal(blk_rig_status(), OK);
	blk_rig_file(BLOCK, file, 512);
	assert_int_equal(file[0], blk_rig_byte(BLOCK));
}

/* Neither the ring nor a buffer is touched once a reset is over. */
static void a_reset_waits_for_what_is_in_flight(void **state)
{
	struct blk *blk = start_direct(BIT64(VIRTIO_BLK_F_FLUSH));
	uint8_t *data;

	(void)state;
	fake_aio.hold = true;
	for (int i = 0; i < 5; i++)
		blk_rig_offer(IN, 8 * (uint64_t)i, NULL, BLOCK);
	blk_rig_offer(FLUSH, 0, NULL, 0);
	blk_rig_offer(IN, 1, NULL, 512);
	kick();
	assert_int_equal(blk->in_flight, 7);
	assert_non_null(blk->misaligned);
	virtio_rig_reset();
	assert_int_equal(blk->in_flight, 0);
	assert_null(blk->misaligned);
	assert_int_equal(fake_aio.pending_count, 0);
	assert_int_equal(fake_aio.waits, 6);
	assert_int_equal(blk_rig_status(), 0xaa);
	assert_false(used());
	data = blk_rig_data();
	memset(data, 0x99, BLOCK);
	done();
	assert_int_equal(data[0], 0x99);
	assert_int_equal(vrig.interrupts[0], 0);

	fake_aio.hold = false;
	virtio_rig_start(0, 0);
	assert_int_equal(blk_rig_request(IN, 0, NULL, BLOCK), OK);
}

/* (virtio 1.2, 2.6.1) The other queue's requests are served as ever. */
static void a_queue_is_reset_alone(void **state)
{
	struct virtq_buffer buffers[3];
	struct virtio_blk_outhdr *header;
	struct blk *blk;

	(void)state;
	blk = blk_rig_start(SIZE, ",queues=2",
			    BIT64(VIRTIO_BLK_F_MQ) | BIT64(VIRTIO_F_RING_RESET) |
				    BIT64(VIRTIO_BLK_F_FLUSH));
	fake_aio.hold = true;
	blk_rig_offer(FLUSH, 0, NULL, 0);
	header = virtio_rig_at(blk_rig.header, sizeof(*header));
	buffers[0] = (struct virtq_buffer){ blk_rig.header, 16 };
	buffers[1] = (struct virtq_buffer){ virtio_rig_alloc(1), 1 };
	assert_int_equal(header->type, htole32(FLUSH));
	virtq_driver_add(&vrig.queues[1], buffers, 1, 1);
	virtio_rig_kick(0);
	virtio_rig_kick(1);
	assert_int_equal(blk->in_flight, 2);
	virtio_lock(vrig.vdev);
	vrig.vdev->queue_select = 1;
	virtio_unlock(vrig.vdev);
	virtio_queue_do_reset(vrig.vdev);
	assert_int_equal(blk->in_flight, 1);
	assert_int_equal(*(uint8_t *)virtio_rig_at(buffers[1].addr, 1), 0);
	assert_false(virtq_driver_used(&vrig.queues[1], NULL, NULL));
	assert_false(used());
	fake_aio_finish(0, 0);
	done();
	assert_true(used());
	assert_int_equal(blk_rig_status(), OK);

	fake_aio.hold = false;
	virtio_rig_set_up_queue(1, 16);
	virtq_driver_add(&vrig.queues[1], buffers, 1, 1);
	virtio_rig_kick(1);
	assert_true(virtq_driver_used(&vrig.queues[1], NULL, NULL));
}

/* Offers one flush so often that the ring is full. */
static void fill_ring(unsigned queue)
{
	struct virtq_driver *driver = &vrig.queues[queue];
	const struct virtq_buffer buffers[] = { { blk_rig.header, 16 }, { blk_rig.status, 1 } };

	virtq_driver_add(driver, buffers, 1, 1);
	for (unsigned i = 0; i < driver->size; i++)
		driver->avail->ring[i] = driver->avail->ring[0];
	__atomic_store_n(&driver->avail->idx, htole16(driver->size), __ATOMIC_RELEASE);
	virtio_rig_kick(queue);
}

/* What all rings together hold is more than the device keeps in flight. */
static void more_than_there_is_room_for_waits(void **state)
{
	struct blk *blk = blk_rig_start(SIZE, ",queues=5", BIT64(VIRTIO_BLK_F_MQ));
	unsigned size = vrig.queues[0].size, served = 0;

	(void)state;
	fake_aio.hold = true;
	blk_rig_offer(FLUSH, 0, NULL, 0);
	for (unsigned i = 0; i < 5; i++)
		fill_ring(i);
	assert_true(5 * size > BLK_REQUESTS_MAX);
	assert_int_equal(blk->in_flight, BLK_REQUESTS_MAX);
	while (fake_aio.pending_count) {
		fake_aio_finish(0, 0);
		done();
		served++;
	}
	assert_int_equal(served, 5 * size);
	assert_int_equal(blk->in_flight, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(le16toh(vrig.queues[i].used->idx), size);
	assert_false(virtio_rig_needs_reset());
}

/* The process ends while the host has not: what is in flight is waited for. */
static void a_device_goes_when_its_requests_have_gone(void **state)
{
	struct blk *blk = start_direct(0);

	(void)state;
	fake_aio.hold = true;
	for (int i = 0; i < 9; i++)
		blk_rig_offer(OUT, 8 * (uint64_t)i, bytes, BLOCK);
	kick();
	assert_int_equal(blk->in_flight, 9);
	virtio_rig_destroy_device();
	assert_int_equal(fake_aio.pending_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, blk_rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_error_of_the_host_is_the_guests_and_heals),
		TEST(what_the_kernel_does_not_take_has_failed),
		TEST(the_hosts_limit_of_requests_is_named_with_its_cure),
		TEST(what_was_transferred_in_part_is_gone_on_with),
		TEST(half_a_block_of_a_direct_read_is_the_files_end),
		TEST(a_kick_is_one_submission),
		TEST(writes_are_through_as_long_as_the_driver_wants_it),
		TEST(requests_may_end_in_any_order),
		TEST(what_is_not_aligned_is_alone),
		TEST(what_is_not_aligned_is_right),
		TEST(a_flush_waits_for_nothing_but_itself),
		TEST(zeroes_are_written_where_the_file_system_cannot),
		TEST(a_header_that_changes_later_changes_nothing),
		TEST(a_reset_waits_for_what_is_in_flight),
		TEST(a_queue_is_reset_alone),
		TEST(more_than_there_is_room_for_waits),
		TEST(a_device_goes_when_its_requests_have_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

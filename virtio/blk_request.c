// SPDX-License-Identifier: GPL-2.0-only
/* What a request asks for (virtio 1.2, 5.2.6), once it is known to be something that may be had. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "blk_io.h"

static bool within(const struct blk *blk, uint64_t sector, uint64_t sectors)
{
	return sector <= blk->disk.sectors && sectors <= blk->disk.sectors - sector;
}

static uint8_t begin_transfer(struct blk *blk, struct blk_request *request, uint64_t sector,
			      uint64_t bytes)
{
	if (bytes % DISK_SECTOR || !within(blk, sector, bytes / DISK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	request->offset = sector * DISK_SECTOR;
	request->left = bytes;
	if (!bytes)
		return VIRTIO_BLK_S_OK;
	blk_transfer(blk, request);
	return BLK_PENDING;
}

static uint8_t begin_read(struct blk *blk, struct blk_request *request, uint64_t sector)
{
	struct virtq_chain *chain = &request->chain;

	request->iov = chain->iov + chain->out;
	request->pieces = chain->in;
	request->written = chain->in_bytes < UINT32_MAX ? (uint32_t)chain->in_bytes : 0;
	return begin_transfer(blk, request, sector, chain->in_bytes);
}

/* The header is the chain's first bytes, however they are split into descriptors. */
static uint8_t begin_write(struct blk *blk, struct blk_request *request, uint64_t sector)
{
	struct virtq_chain *chain = &request->chain;
	size_t skip = sizeof(struct virtio_blk_outhdr);

	if (blk->disk.read_only)
		return VIRTIO_BLK_S_IOERR;
	request->iov = chain->iov;
	request->pieces = chain->out;
	while (skip && skip >= request->iov->iov_len) {
		skip -= request->iov->iov_len;
		request->iov++;
		request->pieces--;
	}
	if (skip) {
		request->iov->iov_base = (uint8_t *)request->iov->iov_base + skip;
		request->iov->iov_len -= skip;
	}
	return begin_transfer(blk, request, sector,
			      chain->out_bytes - sizeof(struct virtio_blk_outhdr));
}

static uint8_t begin_flush(struct blk *blk, struct blk_request *request, uint64_t sector)
{
	(void)sector;
	if (blk->disk.read_only)
		return VIRTIO_BLK_S_OK;
	blk_sync(blk, request);
	return BLK_PENDING;
}

/* (virtio 1.2, 5.2.6.1) No NUL behind 20 bytes. */
static uint8_t begin_get_id(struct blk *blk, struct blk_request *request, uint64_t sector)
{
	struct virtq_chain *chain = &request->chain;

	(void)sector;
	request->written = (uint32_t)iov_write(chain->iov + chain->out, chain->in, 0, blk->serial,
					       sizeof(blk->serial));
	return VIRTIO_BLK_S_OK;
}

/* Copies the ranges of a request out of guest memory; how many, or 0: it has none, too many, or half a one. */
static unsigned copy_ranges(const struct virtq_chain *chain,
			    struct virtio_blk_discard_write_zeroes *ranges, unsigned max)
{
	uint64_t bytes = chain->out_bytes - sizeof(struct virtio_blk_outhdr);

	if (bytes % sizeof(*ranges) || bytes > max * sizeof(*ranges))
		return 0;
	iov_read(chain->iov, chain->out, sizeof(struct virtio_blk_outhdr), ranges, bytes);
	return (unsigned)(bytes / sizeof(*ranges));
}

/* (virtio 1.2, 5.2.6.2) */
static uint8_t check_range(const struct blk *blk,
			   const struct virtio_blk_discard_write_zeroes *range, uint32_t flags,
			   uint32_t bytes_max)
{
	uint32_t sectors = le32toh(range->num_sectors);

	if (le32toh(range->flags) & ~flags)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > bytes_max / DISK_SECTOR || !within(blk, le64toh(range->sector), sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Finishes a request that has changed the disk. */
static uint8_t changed(struct blk *blk, struct blk_request *request)
{
	blk->round = 0;
	if (blk->writeback)
		return VIRTIO_BLK_S_OK;
	blk_sync(blk, request);
	return BLK_PENDING;
}

/* All ranges are checked before the first is discarded. */
static uint8_t begin_discard(struct blk *blk, struct blk_request *request, uint64_t sector)
{
	struct virtio_blk_discard_write_zeroes ranges[BLK_DISCARD_SEGS];
	unsigned count = copy_ranges(&request->chain, ranges, BLK_DISCARD_SEGS);
	uint8_t status = VIRTIO_BLK_S_OK;
	int err = 0;

	(void)sector;
	if (!blk->disk.discards && !blk->disk.read_only)
		return VIRTIO_BLK_S_UNSUPP;
	if (blk->disk.read_only || !count)
		return VIRTIO_BLK_S_IOERR;
	for (unsigned i = 0; i < count && !status; i++)
		status = check_range(blk, &ranges[i], 0, BLK_DISCARD_MAX);
	if (status)
		return status;
	for (unsigned i = 0; i < count && !err; i++)
		if (ranges[i].num_sectors)
			err = disk_discard(&blk->disk, le64toh(ranges[i].sector) * DISK_SECTOR,
					   (uint64_t)le32toh(ranges[i].num_sectors) * DISK_SECTOR);
	return err ? blk_failed(blk, BLK_OTHER_FAILED, err) : changed(blk, request);
}

/* Where the file system cannot do it at once: a transfer from one buffer of zeros, over and over. */
static uint8_t write_zeroes(struct blk *blk, struct blk_request *request, uint64_t sector,
			    uint64_t bytes)
{
	struct iovec *iov = request->chain.iov;
	unsigned pieces = 0;

	for (uint64_t left = bytes; left; pieces++) {
		size_t size = left < BLK_ZEROES_SIZE ? left : BLK_ZEROES_SIZE;

		iov[pieces] = (struct iovec){ (void *)blk->zeroes, size };
		left -= size;
	}
	request->iov = iov;
	request->pieces = pieces;
	return begin_transfer(blk, request, sector, bytes);
}

static uint8_t begin_write_zeroes(struct blk *blk, struct blk_request *request, uint64_t sector)
{
	struct virtio_blk_discard_write_zeroes range;
	uint64_t bytes;
	uint8_t status;
	int err;

	(void)sector;
	if (blk->disk.read_only || copy_ranges(&request->chain, &range, 1) != 1)
		return VIRTIO_BLK_S_IOERR;
	status = check_range(blk, &range, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, BLK_ZEROES_MAX);
	if (status)
		return status;
	sector = le64toh(range.sector);
	bytes = (uint64_t)le32toh(range.num_sectors) * DISK_SECTOR;
	if (!bytes)
		return VIRTIO_BLK_S_OK;
	err = disk_zero(&blk->disk, sector * DISK_SECTOR, bytes,
			le32toh(range.flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	if (err == -EOPNOTSUPP)
		return write_zeroes(blk, request, sector, bytes);
	return err ? blk_failed(blk, BLK_WRITE_FAILED, err) : changed(blk, request);
}

static const struct {
	uint32_t type;
	uint8_t (*begin)(struct blk *blk, struct blk_request *request, uint64_t sector);
} types[] = {
	{ VIRTIO_BLK_T_IN, begin_read },         { VIRTIO_BLK_T_OUT, begin_write },
	{ VIRTIO_BLK_T_FLUSH, begin_flush },     { VIRTIO_BLK_T_GET_ID, begin_get_id },
	{ VIRTIO_BLK_T_DISCARD, begin_discard }, { VIRTIO_BLK_T_WRITE_ZEROES, begin_write_zeroes },
};

/* The last byte that may be written; it is none of the data. */
static uint8_t *take_status(struct virtq_chain *chain)
{
	struct iovec *last;

	if (!chain->in)
		return NULL;
	last = &chain->iov[chain->out + chain->in - 1];
	last->iov_len--;
	chain->in_bytes--;
	if (!last->iov_len)
		chain->in--;
	return (uint8_t *)last->iov_base + last->iov_len;
}

uint8_t blk_begin(struct blk *blk, struct blk_request *request)
{
	struct virtq_chain *chain = &request->chain;
	struct virtio_blk_outhdr header;

	request->written = 0;
	request->status = take_status(chain);
	if (!request->status ||
	    iov_read(chain->iov, chain->out, 0, &header, sizeof(header)) < sizeof(header))
		return VIRTIO_BLK_S_IOERR;
	request->type = le32toh(header.type);
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == request->type)
			return types[i].begin(blk, request, le64toh(header.sector));
	return VIRTIO_BLK_S_UNSUPP;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * blkio WHAT FILE [DEPTH [THREADS [COUNT]]]: random I/O of 4 KiB past the page cache, all of it verified, in a guest or
 * anywhere. Each thread has blocks of its own and keeps DEPTH requests (1) in flight until it has made COUNT (1000).
 *
 * fill: writes all blocks once, in order, and flushes. read: random reads of what fill has written. mixed: fill, then
 * random reads and writes; at the end everything is flushed and read back. check: reads all that fill has written.
 *
 * A block says which one it is and how often it was written. What differs from it ends the program, with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK       4096
#define WORDS       (BLOCK / sizeof(uint64_t))
#define DEPTH_MAX   256
#define THREADS_MAX 64

struct job {
	pthread_t thread;
	unsigned index;
	uint64_t random;
};

struct slot {
	struct iocb iocb;
	uint64_t block;
	uint32_t version;
	uint64_t *data;
	bool busy;
};

static int fd;
static const char *what;
static unsigned depth = 1, threads = 1;
static uint64_t count = 1000, blocks;
static uint32_t *versions; /* how often a block was written */

static void fail(const char *text, uint64_t block)
{
	printf("blkio: %s block %llu\n", text, (unsigned long long)block);
	exit(1);
}

static uint64_t word(uint64_t block, uint32_t version, unsigned n)
{
	return (block * 0x9e3779b97f4a7c15 + version) * 0xbf58476d1ce4e5b9 + n;
}

static void fill_block(uint64_t *data, uint64_t block, uint32_t version)
{
	for (unsigned n = 0; n < WORDS; n++)
		data[n] = word(block, version, n);
}

static void check_block(const uint64_t *data, uint64_t block, uint32_t version)
{
	for (unsigned n = 0; n < WORDS; n++)
		if (data[n] != word(block, version, n))
			fail(data[n] == word(block, version - 1, n) ? "an older content of"
								    : "wrong content of",
			     block);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static bool is_busy(const struct slot *slots, uint64_t block)
{
	for (unsigned i = 0; i < depth; i++)
		if (slots[i].busy && slots[i].block == block)
			return true;
	return false;
}

/* A block of this thread's that has nothing in flight. */
static uint64_t choose(struct job *job, const struct slot *slots)
{
	uint64_t block;

	do
		block = next_random(&job->random) % (blocks / threads) * threads + job->index;
	while (is_busy(slots, block));
	return block;
}

static void prepare(struct job *job, struct slot *slots, struct slot *slot)
{
	bool write = *what == 'm' && next_random(&job->random) % 2;

	slot->block = choose(job, slots);
	slot->busy = true;
	slot->version = versions[slot->block];
	if (write)
		fill_block(slot->data, slot->block, ++slot->version);
	slot->iocb = (struct iocb){
		.aio_data = (uintptr_t)slot,
		.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)slot->data,
		.aio_nbytes = BLOCK,
		.aio_offset = (int64_t)(slot->block * BLOCK),
	};
}

static void complete(const struct io_event *event)
{
	struct slot *slot = (struct slot *)(uintptr_t)event->data;

	if (event->res != BLOCK)
		fail(strerror(event->res < 0 ? (int)-event->res : EIO), slot->block);
	if (slot->iocb.aio_lio_opcode == IOCB_CMD_PREAD)
		check_block(slot->data, slot->block, slot->version);
	else
		versions[slot->block] = slot->version;
	slot->busy = false;
}

static void *work(void *arg)
{
	struct job *job = arg;
	struct slot *slots = calloc(depth, sizeof(*slots));
	struct iocb *batch[DEPTH_MAX];
	struct io_event events[DEPTH_MAX];
	aio_context_t context = 0;
	uint64_t begun = 0, done = 0;

	if (!slots || syscall(SYS_io_setup, depth, &context))
		fail("no asynchronous I/O for", 0);
	for (unsigned i = 0; i < depth; i++)
		slots[i].data = aligned_alloc(BLOCK, BLOCK);
	while (done < count) {
		long batched = 0, got;

		for (unsigned i = 0; i < depth && begun < count; i++) {
			if (slots[i].busy)
				continue;
			prepare(job, slots, &slots[i]);
			batch[batched++] = &slots[i].iocb;
			begun++;
		}
		if (batched && syscall(SYS_io_submit, context, batched, batch) != batched)
			fail("cannot submit", 0);
		got = syscall(SYS_io_getevents, context, 1, depth, events, NULL);
		for (long i = 0; i < got; i++)
			complete(&events[i]);
		done += got > 0 ? (uint64_t)got : 0;
	}
	return NULL;
}

static void run_threads(void)
{
	struct job jobs[THREADS_MAX];

	for (unsigned i = 0; i < threads; i++) {
		jobs[i].index = i;
		jobs[i].random = 0x2545f4914f6cdd1d * (i + 1) + (uint64_t)getpid();
		if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]))
			fail("no thread for", i);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(jobs[i].thread, NULL);
}

/* All blocks in order, many at a time. */
static void pass(bool write)
{
	const uint64_t many = 64;
	uint8_t *data = aligned_alloc(BLOCK, many * BLOCK);

	for (uint64_t block = 0; block < blocks; block += many) {
		uint64_t n = blocks - block < many ? blocks - block : many;
		ssize_t done;

		for (uint64_t i = 0; write && i < n; i++)
			fill_block((uint64_t *)(data + i * BLOCK), block + i, versions[block + i]);
		if (write)
			done = pwrite(fd, data, n * BLOCK, (off_t)(block * BLOCK));
		else
			done = pread(fd, data, n * BLOCK, (off_t)(block * BLOCK));
		if (done != (ssize_t)(n * BLOCK))
			fail(done < 0 ? strerror(errno) : "not all of", block);
		for (uint64_t i = 0; !write && i < n; i++)
			check_block((uint64_t *)(data + i * BLOCK), block + i, versions[block + i]);
	}
	if (write && fsync(fd))
		fail(strerror(errno), blocks);
	free(data);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	what = argv[1];
	fd = open(argv[2], O_DIRECT | (*what == 'r' || *what == 'c' ? O_RDONLY : O_RDWR));
	if (fd < 0)
		fail(strerror(errno), 0);
	depth = argc > 3 ? (unsigned)atoi(argv[3]) : depth;
	threads = argc > 4 ? (unsigned)atoi(argv[4]) : threads;
	count = argc > 5 ? strtoull(argv[5], NULL, 10) : count;
	blocks = (uint64_t)lseek(fd, 0, SEEK_END) / BLOCK;
	versions = calloc(blocks, sizeof(*versions));
	if (!versions || !depth || depth > DEPTH_MAX || !threads || threads > THREADS_MAX ||
	    blocks < (uint64_t)threads * depth * 2)
		return 2;
	if (*what == 'f' || *what == 'm')
		pass(true);
	if (*what == 'r' || *what == 'm')
		run_threads();
	if (*what == 'm' && fsync(fd))
		fail(strerror(errno), 0);
	if (*what == 'm' || *what == 'c')
		pass(false);
	printf("blkio: %s is right: %llu blocks, %u x %u x %llu\n", what,
	       (unsigned long long)blocks, threads, depth, (unsigned long long)count);
	return 0;
}

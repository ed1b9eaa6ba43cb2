// SPDX-License-Identifier: GPL-2.0-only
/*
 * aio_read FILE DEPTH COUNT: so many direct reads of 4 KiB, each somewhere else, DEPTH of them under way at a time. Prints
 * "mark begin" and "mark read" around them, for whoever follows (count -m), and at first "mark none" in between: what a
 * mark costs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK     4096
#define DEPTH_MAX 64
#define SETTLE_US 50000 /* the console's way to rest after a line */

static void fail(const char *what)
{
	fprintf(stderr, "aio_read: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct queue {
	aio_context_t context;
	int fd;
	uint64_t blocks, submitted;
	struct iocb iocb[DEPTH_MAX];
	void *buffer[DEPTH_MAX];
};

/* A prime as stride: no two reads in a row are neighbours, which the kernel would merge. */
static void submit(struct queue *queue, unsigned slot)
{
	struct iocb *iocb = &queue->iocb[slot];

	*iocb = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)queue->fd,
		.aio_buf = (uintptr_t)queue->buffer[slot],
		.aio_nbytes = BLOCK,
		.aio_offset = (int64_t)(queue->submitted * 1009 % queue->blocks * BLOCK),
	};
	if (syscall(SYS_io_submit, queue->context, 1, &iocb) != 1)
		fail("io_submit");
	queue->submitted++;
}

static void read_all(struct queue *queue, unsigned depth, uint64_t count)
{
	struct io_event events[DEPTH_MAX];
	uint64_t done = 0;

	for (unsigned slot = 0; slot < depth; slot++)
		submit(queue, slot);
	while (done < count) {
		long n = syscall(SYS_io_getevents, queue->context, 1, DEPTH_MAX, events, NULL);

		if (n < 1)
			fail("io_getevents");
		for (long i = 0; i < n; i++) {
			if (events[i].res != BLOCK)
				fail("a read was short");
			done++;
			if (queue->submitted < count)
				submit(queue, (unsigned)events[i].data);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned depth = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
	uint64_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	struct queue queue = { 0 };
	off_t size;

	if (!depth || depth > DEPTH_MAX || count < depth) {
		fprintf(stderr, "usage: aio_read FILE DEPTH COUNT\n");
		return 2;
	}
	queue.fd = open(argv[1], O_RDONLY | O_DIRECT);
	size = queue.fd < 0 ? -1 : lseek(queue.fd, 0, SEEK_END);
	if (size < BLOCK)
		fail(argv[1]);
	queue.blocks = (uint64_t)size / BLOCK;
	for (unsigned slot = 0; slot < depth; slot++)
		if (posix_memalign(&queue.buffer[slot], BLOCK, BLOCK))
			fail("memory");
	if (syscall(SYS_io_setup, depth, &queue.context) < 0)
		fail("io_setup");
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("mark begin\n");
	usleep(SETTLE_US);
	printf("mark none\n");
	read_all(&queue, depth, count);
	printf("mark read\n");
	return 0;
}

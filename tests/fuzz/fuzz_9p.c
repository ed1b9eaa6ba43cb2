// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever messages a guest sends to a shared folder: every one has a reply that fits, nothing outside of the folder is
 * read or changed, no descriptor is left. The input is messages, each behind a byte that says how long it is; their size
 * field is made right unless the byte's top bit is set.
 */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "virtio/9p_fs.h"

#define SECRET_SIZE 24 /* another one each time: the fuzzer reads what is compared */
#define IN_BYTES    600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	char path[32], share[64], secret[SECRET_SIZE + 1];
	struct p9_fs *fs;
	uint8_t request[P9_REQUEST_MAX], reply[P9_REPLY_MAX], in[IN_BYTES];
};

static void write_file(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t put = write(fd, text, strlen(text));

	assert(put == (ssize_t)strlen(text));
	close(fd);
}

/* share/{a,d/b,l,p}: a file, one in a folder, a link out of it all, a FIFO; and outside. */
static void make_tree(struct world *world)
{
	int folder, err;

	for (unsigned i = 0; i < SECRET_SIZE; i += 8)
		snprintf(world->secret + i, 9, "%08x", arc4random());
	strcpy(world->path, "/tmp/lkvm-fuzz-XXXXXX");
	if (!mkdtemp(world->path))
		abort();
	folder = open(world->path, O_DIRECTORY | O_CLOEXEC);
	write_file(folder, "outside", world->secret);
	err = mkdirat(folder, "share", 0700);
	err |= mkdirat(folder, "share/d", 0700);
	err |= symlinkat("../outside", folder, "share/l");
	err |= mkfifoat(folder, "share/p", 0600);
	assert(!err);
	write_file(folder, "share/a", "12345");
	write_file(folder, "share/d/b", "67890");
	close(folder);
	snprintf(world->share, sizeof(world->share), "%s/share", world->path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int permit_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)ftw;
	return type == FTW_D || type == FTW_DNR ? chmod(path, 0700) : 0;
}

static void check_outside(const struct world *world)
{
	char path[64], text[64] = { 0 };
	unsigned entries = 0;
	DIR *dir = opendir(world->path);
	int fd;

	while (readdir(dir))
		entries++;
	closedir(dir);
	assert(entries == 4);
	snprintf(path, sizeof(path), "%s/outside", world->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert(read(fd, text, sizeof(text)) == SECRET_SIZE && !strcmp(text, world->secret));
	close(fd);
}

static void serve(struct world *world, size_t have)
{
	const struct iovec in[] = { { world->in, 1 },
				    { world->in + 1, 99 },
				    { world->in + 100, IN_BYTES - 100 } };
	struct iovec out = { world->request + P9_WRITE_HEAD, 0 };
	struct p9_request request;
	struct p9_reply reply;
	int err = p9_parse(&request, world->request, have, have);

	p9_reply_begin(&reply, world->reply, sizeof(world->reply), request.type + 1, request.tag);
	if (request.type == P9_TWRITE && have > P9_WRITE_HEAD) {
		out.iov_len = request.data_bytes = have - P9_WRITE_HEAD;
		request.data = &out;
		request.data_count = 1;
	} else if (request.type == P9_TREAD) {
		request.data = in;
		request.data_count = 3;
		request.data_bytes = IN_BYTES;
	}
	if (!err)
		err = p9_fs_serve(world->fs, &request, &reply);
	p9_reply_end(&reply, err);
	assert(reply.used >= P9_HEADER && reply.used <= sizeof(world->reply) && !reply.full);
	assert(reply.data <= IN_BYTES && (!reply.data || request.type == P9_TREAD));
	assert(!memmem(world->in, IN_BYTES, world->secret, SECRET_SIZE));
	assert(!memmem(world->reply, reply.used, world->secret, SECRET_SIZE));
}

static void send(struct world *world, const uint8_t *bytes, size_t size, bool honest)
{
	memcpy(world->request, bytes, size);
	if (honest) {
		const uint8_t field[] = { (uint8_t)size, 0, 0, 0 };

		memcpy(world->request, field, sizeof(field));
	}
	serve(world, size);
}

static void open_session(struct world *world)
{
	static const uint8_t version[] = { 21, 0, 0,   0,   P9_TVERSION, 255, 255, 0,   32,  0,  0,
					   8,  0, '9', 'P', '2',         '0', '0', '0', '.', 'L' };
	static const uint8_t attach[] = { 23, 0, 0, 0,   P9_TATTACH, 0,   0,   0,
					  0,  0, 0, 255, 255,        255, 255, 0,
					  0,  0, 0, 255, 255,        255, 255 };

	send(world, version, sizeof(version), true);
	send(world, attach, sizeof(attach), true);
	assert(world->reply[4] == P9_TATTACH + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int first_free = dup(0), err, next_free;
	struct world *world = calloc(1, sizeof(*world));

	close(first_free);
	make_tree(world);
	err = p9_fs_create(&world->fs, world->share, size && data[0] == 0x7f);
	assert(!err);
	open_session(world);
	while (size > 1) {
		size_t length = data[0] & 0x7f;
		bool honest = !(data[0] & 0x80);

		data++, size--;
		if (length > size)
			length = size;
		if (length >= P9_HEADER)
			send(world, data, length, honest);
		data += length, size -= length;
	}
	check_outside(world);
	p9_fs_destroy(world->fs);
	nftw(world->share, permit_one, 16, FTW_PHYS);
	nftw(world->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(world);
	next_free = dup(0);
	close(next_free);
	assert(next_free == first_free);
	return 0;
}

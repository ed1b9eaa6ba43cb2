// SPDX-License-Identifier: GPL-2.0-only
/* What is done with an open fid, and how one is opened. Data goes between file and guest memory, past us. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "9p_ops.h"
#include "iov.h"

#define ENTRY_MAX 512 /* of getdents64(): no entry is longer */

/*
 * O_NONBLOCK: whatever else a name turns out to be, opening it does not wait. O_DIRECT and O_NOATIME are hints that not
 * every file takes.
 */
static int host_flags(uint32_t flags)
{
	int host = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	switch (flags & P9_OPEN_ACCESS) {
	case 0:
		host |= O_RDONLY;
		break;
	case 1:
		host |= O_WRONLY;
		break;
	case 2:
		host |= O_RDWR;
		break;
	default:
		return -EINVAL;
	}
	if (flags & P9_OPEN_TRUNC)
		host |= O_TRUNC;
	if (flags & P9_OPEN_APPEND)
		host |= O_APPEND;
	if (flags & P9_OPEN_DSYNC)
		host |= O_DSYNC;
	if (flags & P9_OPEN_SYNC)
		host |= O_SYNC;
	return host;
}

static bool opens_for_writing(int host)
{
	return (host & O_ACCMODE) != O_RDONLY;
}

/* By its type as of now, which an O_PATH descriptor cannot change. */
static int may_open(const struct p9_fs *fs, mode_t type, uint32_t flags, int host)
{
	if (S_ISLNK(type))
		return -ELOOP;
	if (!S_ISREG(type) && !S_ISDIR(type))
		return -EPERM;
	if (flags & P9_OPEN_DIRECTORY && !S_ISDIR(type))
		return -ENOTDIR;
	if (fs->readonly && (opens_for_writing(host) || host & O_TRUNC))
		return -EROFS;
	return 0;
}

/* qid[13] iounit[4]: 0, as much as a message holds. */
static void put_opened(struct p9_fs *fs, const struct stat *st, struct p9_reply *reply)
{
	p9_put_qid_of(fs, reply, st);
	p9_put(reply, 0, 4);
}

int p9_lopen(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	     struct p9_reply *reply)
{
	int host = host_flags(request->flags), io, err;
	struct stat st;

	if (host < 0)
		return host;
	if (fid->io >= 0)
		return -EBUSY;
	err = may_open(fs, fid->type, request->flags, host);
	if (err)
		return err;
	io = p9_reopen(&fs->fids, fid->path, host);
	if (io < 0)
		return io;
	err = p9_fid_open(&fs->fids, fid, io, opens_for_writing(host));
	if (!err)
		err = p9_stat(io, &st);
	if (!err)
		put_opened(fs, &st, reply);
	return err;
}

/* A file made here: whatever has the name already is not opened. Returns it open. */
static int create(struct p9_fs *fs, struct p9_fid *folder, const struct p9_request *request,
		  int host)
{
	struct open_how how = {
		.flags = (uint64_t)host | O_CREAT | O_EXCL | O_NOFOLLOW,
		.mode = request->mode & P9_MODE_BITS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int io = (int)syscall(SYS_openat2, folder->path, request->name, &how, sizeof(how));
	int err;

	if (io < 0)
		return -errno;
	err = p9_own(fs, io, request, folder->uid);
	if (err) {
		close(io);
		return err;
	}
	return io;
}

/* It is there, and the guest does not mind: as if it had walked to it and opened it. */
static int open_existing(struct p9_fs *fs, struct p9_fid *folder, const struct p9_request *request,
			 int host)
{
	int path = p9_open_child(folder->path, request->name);
	struct stat st;
	int result;

	if (path < 0)
		return path;
	result = p9_stat(path, &st);
	if (!result)
		result = S_ISDIR(st.st_mode)
				 ? -EISDIR
				 : may_open(fs, st.st_mode & S_IFMT, request->flags, host);
	if (!result)
		result = p9_reopen(&fs->fids, path, host);
	close(path);
	return result;
}

/* The fid, which was the folder's, becomes the file's. */
static int become(struct p9_fs *fs, struct p9_fid *fid, int io, bool writes, struct p9_reply *reply)
{
	struct stat st;
	int path = p9_reopen(&fs->fids, io, O_PATH);
	int err = path < 0 ? path : p9_stat(path, &st);

	if (err) {
		close(io);
		if (path >= 0)
			close(path);
		return err;
	}
	err = p9_fid_open(&fs->fids, fid, io, writes);
	if (err) {
		close(path);
		return err;
	}
	p9_fid_move(fid, path, &st);
	put_opened(fs, &st, reply);
	return 0;
}

int p9_lcreate(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	       struct p9_reply *reply)
{
	int host = host_flags(request->flags), io;

	if (host < 0)
		return host;
	if (fid->io >= 0)
		return -EBUSY;
	io = create(fs, fid, request, host);
	if (io == -EEXIST && !(request->flags & P9_OPEN_EXCL))
		io = open_existing(fs, fid, request, host);
	if (io < 0)
		return io;
	return become(fs, fid, io, opens_for_writing(host), reply);
}

int p9_read(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	    struct p9_reply *reply)
{
	uint64_t room = fs->msize - P9_READ_HEADER;
	unsigned pieces;
	ssize_t got;

	if (fid->io < 0 || request->offset > INT64_MAX)
		return fid->io < 0 ? -EBADF : -EINVAL;
	if (room > request->data_bytes)
		room = request->data_bytes;
	if (room > request->count)
		room = request->count;
	pieces = iov_slice(fs->slice, request->data, request->data_count, 0, room);
	got = preadv(fid->io, fs->slice, (int)pieces, (off_t)request->offset);
	if (got < 0)
		return -errno;
	p9_put(reply, (uint64_t)got, 4);
	reply->data = (size_t)got;
	return 0;
}

int p9_write(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	     struct p9_reply *reply)
{
	unsigned pieces;
	ssize_t put;

	if (fid->io < 0)
		return -EBADF;
	if (request->offset > INT64_MAX || request->count > request->data_bytes ||
	    request->count > fs->msize)
		return -EINVAL;
	pieces = iov_slice(fs->slice, request->data, request->data_count, 0, request->count);
	put = pwritev(fid->io, fs->slice, (int)pieces, (off_t)request->offset);
	if (put < 0)
		return -errno;
	p9_put(reply, (uint64_t)put, 4);
	return 0;
}

/* Above the share's root there is nothing: its ".." is itself. */
static uint64_t inode_of(const struct p9_fs *fs, const struct stat *folder,
			 const struct dirent64 *entry)
{
	if (!strcmp(entry->d_name, "..") && folder->st_ino == fs->fids.home_inode &&
	    folder->st_dev == fs->fids.home)
		return folder->st_ino;
	return entry->d_ino;
}

/* Puts entries[0..size); false: one had no room. */
static bool put_entries(struct p9_fs *fs, const struct stat *folder, ssize_t size, size_t limit,
			struct p9_reply *reply)
{
	const struct dirent64 *entry;

	for (ssize_t at = 0; at < size; at += entry->d_reclen) {
		struct p9_qid qid;

		entry = (const struct dirent64 *)(fs->entries + at);
		qid = p9_qid_of_entry(inode_of(fs, folder, entry), folder->st_dev, entry->d_type,
				      fs->fids.home);
		if (!p9_put_entry(reply, limit, &qid, (uint64_t)entry->d_off, entry->d_type,
				  entry->d_name))
			return false;
	}
	return true;
}

/* As many entries as fit. The next request says where it goes on: how far this one has read ahead does not matter. */
static int put_folder(struct p9_fs *fs, int io, size_t limit, struct p9_reply *reply)
{
	size_t start = reply->used;
	struct stat folder;
	bool fits = true;
	ssize_t got = 1;

	if (fstat(io, &folder) < 0)
		return -errno;
	while (fits && got > 0) {
		size_t wanted = limit - reply->used;

		if (wanted < ENTRY_MAX)
			wanted = ENTRY_MAX;
		if (wanted > sizeof(fs->entries))
			wanted = sizeof(fs->entries);
		got = getdents64(io, fs->entries, wanted);
		fits = put_entries(fs, &folder, got, limit, reply);
	}
	if (reply->used > start)
		return 0;
	return got < 0 ? -errno : fits ? 0 : -EINVAL;
}

int p9_readdir(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	       struct p9_reply *reply)
{
	size_t count_at = reply->used, limit = reply->limit;
	uint64_t bytes;
	int err;

	if (fid->io < 0 || !S_ISDIR(fid->type))
		return fid->io < 0 ? -EBADF : -ENOTDIR;
	if (request->offset > INT64_MAX || lseek(fid->io, (off_t)request->offset, SEEK_SET) < 0)
		return -EINVAL;
	p9_put(reply, 0, 4);
	if (request->count < limit - reply->used)
		limit = reply->used + request->count;
	err = put_folder(fs, fid->io, limit, reply);
	if (err)
		return err;
	bytes = reply->used - count_at - 4;
	for (unsigned i = 0; i < 4; i++)
		reply->bytes[count_at + i] = (uint8_t)(bytes >> 8 * i);
	return 0;
}

int p9_fsync(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	     struct p9_reply *reply)
{
	(void)fs, (void)reply;
	if (fid->io < 0)
		return -EBADF;
	return p9_errno(request->flags ? fdatasync(fid->io) : fsync(fid->io));
}

/* The guest's kernel keeps the locks of all of its processes; the host's do not see them. */
int p9_lock(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	    struct p9_reply *reply)
{
	(void)fs, (void)request;
	if (fid->io < 0)
		return -EBADF;
	p9_put(reply, P9_LOCK_SUCCESS, 1);
	return 0;
}

int p9_getlock(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	       struct p9_reply *reply)
{
	(void)fs;
	if (fid->io < 0)
		return -EBADF;
	p9_put(reply, P9_LOCK_UNLOCKED, 1);
	p9_put(reply, request->offset, 8);
	p9_put(reply, request->length, 8);
	p9_put(reply, request->process, 4);
	p9_put_string(reply, request->text, strlen(request->text));
	return 0;
}

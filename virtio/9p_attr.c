// SPDX-License-Identifier: GPL-2.0-only
/* What is known of a file, and how it is changed. */
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "9p_ops.h"

int p9_getattr(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	       struct p9_reply *reply)
{
	struct p9_qid qid;
	struct stat st;
	int err = p9_stat(fid->path, &st);

	(void)request;
	if (err)
		return err;
	qid = p9_qid_of(&st, fs->fids.home);
	p9_put_attributes(reply, &qid, &st);
	return 0;
}

static int set_size(struct p9_fs *fs, struct p9_fid *fid, uint64_t size)
{
	int fd, err;

	if (!S_ISREG(fid->type) || size > INT64_MAX)
		return -EINVAL;
	if (fid->writes)
		return p9_errno(ftruncate(fid->io, (off_t)size));
	fd = p9_reopen(&fs->fids, fid->path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	err = p9_errno(ftruncate(fd, (off_t)size));
	close(fd);
	return err;
}

static int set_mode(struct p9_fs *fs, int path, mode_t mode)
{
	return p9_errno(fchmodat(fs->fids.proc, p9_proc_name(path).text, mode & P9_MODE_BITS, 0));
}

static int set_owner(int path, uint32_t uid, uint32_t gid)
{
	return p9_errno(fchownat(path, "", uid, gid, AT_EMPTY_PATH));
}

/* Who may not give files away keeps them. */
int p9_own(struct p9_fs *fs, int path, const struct p9_request *request, uint32_t uid)
{
	int err = set_owner(path, uid, request->gid);

	if (err && err != -EPERM && err != -EINVAL)
		return err;
	return request->type == P9_TSYMLINK ? 0 : set_mode(fs, path, request->mode);
}

static struct timespec time_of(uint32_t flags, uint32_t set, uint32_t value, uint64_t seconds,
			       uint64_t nanoseconds)
{
	if (!(flags & set))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (!(flags & value))
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){ (time_t)seconds, (long)nanoseconds };
}

static int set_times(int path, const struct p9_request *request)
{
	struct timespec times[2] = {
		time_of(request->flags, P9_SET_ATIME, P9_SET_ATIME_VALUE, request->atime.seconds,
			request->atime.nanoseconds),
		time_of(request->flags, P9_SET_MTIME, P9_SET_MTIME_VALUE, request->mtime.seconds,
			request->mtime.nanoseconds),
	};

	return p9_errno(utimensat(path, "", times, AT_EMPTY_PATH));
}

/* A size changes times, and an owner the set-user-ID bit: in an order in which nothing asked for is lost. */
int p9_setattr(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	       struct p9_reply *reply)
{
	uint32_t set = request->flags;
	int err = 0;

	(void)reply;
	if (set & P9_SET_SIZE)
		err = set_size(fs, fid, request->length);
	if (!err && set & (P9_SET_UID | P9_SET_GID))
		err = set_owner(fid->path, set & P9_SET_UID ? request->uid : (uint32_t)-1,
				set & P9_SET_GID ? request->gid : (uint32_t)-1);
	if (!err && set & P9_SET_MODE)
		err = set_mode(fs, fid->path, request->mode);
	if (!err && set & (P9_SET_ATIME | P9_SET_MTIME))
		err = set_times(fid->path, request);
	return err;
}

int p9_statfs(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	      struct p9_reply *reply)
{
	struct statfs st;
	uint64_t id;

	(void)fs, (void)request;
	if (fstatfs(fid->path, &st) < 0)
		return -errno;
	memcpy(&id, &st.f_fsid, sizeof(id));
	p9_put(reply, V9FS_MAGIC, 4);
	p9_put(reply, (uint64_t)st.f_bsize, 4);
	p9_put(reply, st.f_blocks, 8);
	p9_put(reply, st.f_bfree, 8);
	p9_put(reply, st.f_bavail, 8);
	p9_put(reply, st.f_files, 8);
	p9_put(reply, st.f_ffree, 8);
	p9_put(reply, id, 8);
	p9_put(reply, (uint64_t)st.f_namelen, 4);
	return 0;
}

int p9_readlink(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		struct p9_reply *reply)
{
	char target[PATH_MAX];
	ssize_t size;

	(void)fs, (void)request;
	if (!S_ISLNK(fid->type))
		return -EINVAL;
	size = readlinkat(fid->path, "", target, sizeof(target));
	if (size < 0)
		return -errno;
	p9_put_string(reply, target, (size_t)size);
	return 0;
}

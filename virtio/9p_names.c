// SPDX-License-Identifier: GPL-2.0-only
/* Names come into folders, move, and go. All are single components: no call here can follow a link. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include "9p_ops.h"

/* What was just made belongs to whom the guest says, provided it is still what it was made as. */
static int finish_new(struct p9_fs *fs, struct p9_fid *folder, const struct p9_request *request,
		      mode_t type, struct p9_reply *reply)
{
	int path = p9_open_child(folder->path, request->name);
	struct stat st;
	int err;

	if (path < 0)
		return path;
	err = p9_stat(path, &st);
	if (!err && (st.st_mode & S_IFMT) != type)
		err = -ESTALE;
	if (!err)
		err = p9_own(fs, path, request, folder->uid);
	close(path);
	if (!err)
		p9_put_qid_of(fs, reply, &st);
	return err;
}

int p9_mkdir(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	     struct p9_reply *reply)
{
	if (mkdirat(fid->path, request->name, request->mode & P9_MODE_BITS) < 0)
		return -errno;
	return finish_new(fs, fid, request, S_IFDIR, reply);
}

/* A device would be the host's; a FIFO or file is the guest's own affair. */
int p9_mknod(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	     struct p9_reply *reply)
{
	mode_t type = request->mode & S_IFMT;

	if (type != S_IFREG && type != S_IFIFO)
		return -EPERM;
	if (mknodat(fid->path, request->name, type | (request->mode & P9_MODE_BITS), 0) < 0)
		return -errno;
	return finish_new(fs, fid, request, type, reply);
}

/* The target is for the guest to follow; here nothing ever does. */
int p9_symlink(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	       struct p9_reply *reply)
{
	if (symlinkat(request->text, fid->path, request->name) < 0)
		return -errno;
	return finish_new(fs, fid, request, S_IFLNK, reply);
}

int p9_link(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	    struct p9_reply *reply)
{
	const struct p9_fid *file = p9_fid_find(&fs->fids, request->newfid);

	(void)reply;
	if (!file)
		return -EBADF;
	return p9_errno(linkat(fs->fids.proc, p9_proc_name(file->path).text, fid->path,
			       request->name, AT_SYMLINK_FOLLOW));
}

int p9_renameat(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		struct p9_reply *reply)
{
	const struct p9_fid *to = p9_fid_find(&fs->fids, request->newfid);

	(void)reply;
	if (!to)
		return -EBADF;
	return p9_errno(renameat(fid->path, request->name, to->path, request->newname));
}

int p9_rename(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	      struct p9_reply *reply)
{
	const struct p9_fid *to = p9_fid_find(&fs->fids, request->newfid);
	char name[NAME_MAX + 1];
	int folder, err;

	(void)reply;
	if (!to)
		return -EBADF;
	folder = p9_locate(&fs->fids, fid->path, name);
	if (folder < 0)
		return folder;
	err = p9_errno(renameat(folder, name, to->path, request->newname));
	close(folder);
	return err;
}

int p9_unlinkat(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		struct p9_reply *reply)
{
	(void)fs, (void)reply;
	if (request->flags & ~(uint32_t)P9_UNLINK_DIRECTORY)
		return -EINVAL;
	return p9_errno(unlinkat(fid->path, request->name,
				 request->flags & P9_UNLINK_DIRECTORY ? AT_REMOVEDIR : 0));
}

static int unlink_fid(struct p9_fs *fs, const struct p9_fid *fid)
{
	char name[NAME_MAX + 1];
	int folder, err;

	if (fs->readonly)
		return -EROFS;
	folder = p9_locate(&fs->fids, fid->path, name);
	if (folder < 0)
		return folder;
	err = p9_errno(unlinkat(folder, name, S_ISDIR(fid->type) ? AT_REMOVEDIR : 0));
	close(folder);
	return err;
}

/* The fid is gone afterwards, whether the file is or not (remove(5) of Plan 9). */
int p9_remove(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
	      struct p9_reply *reply)
{
	int err = unlink_fid(fs, fid);

	(void)request, (void)reply;
	p9_fid_remove(&fs->fids, fid);
	return err;
}

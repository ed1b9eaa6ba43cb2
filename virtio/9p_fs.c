// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "9p_fs.h"
#include "9p_ops.h"

static int fs_version(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		      struct p9_reply *reply)
{
	const char *version = strcmp(request->text, P9_VERSION) ? "unknown" : P9_VERSION;

	(void)fid;
	p9_fs_reset(fs);
	if (request->count < P9_MSIZE_MIN)
		return -EMSGSIZE;
	fs->msize = request->count < P9_MSIZE_MAX ? request->count : P9_MSIZE_MAX;
	fs->session = version[0] == '9';
	p9_put(reply, fs->msize, 4);
	p9_put_string(reply, version, strlen(version));
	return 0;
}

/* aname is a folder in the share; links on the way to it lead from the share's root. */
static int open_attached(const struct p9_fs *fs, const char *aname)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, fs->fids.root, *aname ? aname : ".", &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int fs_attach(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		     struct p9_reply *reply)
{
	struct stat st;
	int err, fd;

	(void)fid;
	if (!fs->session)
		return -EPROTO;
	if (request->newfid != P9_NOFID)
		return -EINVAL;
	fd = open_attached(fs, request->text);
	if (fd < 0)
		return fd;
	err = p9_stat(fd, &st);
	if (err) {
		close(fd);
		return err;
	}
	err = p9_fid_add(&fs->fids, request->fid, fd, &st, request->uid);
	if (!err)
		p9_put_qid_of(fs, reply, &st);
	return err;
}

static int fs_flush(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		    struct p9_reply *reply)
{
	(void)fs, (void)fid, (void)request, (void)reply;
	return 0;
}

static int fs_clunk(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		    struct p9_reply *reply)
{
	(void)request, (void)reply;
	p9_fid_remove(&fs->fids, fid);
	return 0;
}

/* One step of a walk: *path is closed, and becomes the child's. */
static int step(struct p9_fs *fs, int *path, const char *name, struct stat *st,
		struct p9_reply *reply)
{
	int child = p9_open_child(*path, name);
	int err = child < 0 ? child : p9_stat(child, st);

	if (err) {
		if (child >= 0)
			close(child);
		return err;
	}
	close(*path);
	*path = child;
	p9_put_qid_of(fs, reply, st);
	return 0;
}

/* Walks as far as it goes. Returns how many steps, or why not even the first. reply: its qids. */
static int walk(struct p9_fs *fs, int *path, const struct p9_request *request, struct stat *st,
		struct p9_reply *reply)
{
	for (unsigned i = 0; i < request->names; i++) {
		int err = step(fs, path, request->walk[i], st, reply);

		if (err)
			return i ? (int)i : err;
	}
	return request->names;
}

static int finish_walk(struct p9_fs *fs, struct p9_fid *fid, uint32_t newfid, int path,
		       const struct stat *st)
{
	if (newfid != fid->id)
		return p9_fid_add(&fs->fids, newfid, path, st, fid->uid);
	p9_fid_move(fid, path, st);
	return 0;
}

static int fs_walk(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		   struct p9_reply *reply)
{
	struct stat st = { .st_mode = fid->type };
	size_t count_at = reply->used;
	int path, steps;

	if (request->newfid == request->fid ? fid->io >= 0
					    : !!p9_fid_find(&fs->fids, request->newfid))
		return -EBUSY;
	path = fcntl(fid->path, F_DUPFD_CLOEXEC, 0);
	if (path < 0)
		return -errno;
	p9_put(reply, 0, 2);
	steps = walk(fs, &path, request, &st, reply);
	if (steps < 0 || steps < request->names) {
		close(path);
	} else {
		int err = finish_walk(fs, fid, request->newfid, path, &st);

		if (err)
			return err;
	}
	if (steps < 0)
		return steps;
	reply->bytes[count_at] = (uint8_t)steps;
	return 0;
}

/* Authentication and extended attributes. */
static int fs_refuse(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
		     struct p9_reply *reply)
{
	(void)fs, (void)fid, (void)request, (void)reply;
	return -EOPNOTSUPP;
}

static const struct operation {
	uint8_t type;
	bool no_fid; /* the request has none that must be there */
	bool writes; /* refused where the share is read-only */
	p9_operation *serve;
} operations[] = {
	{ P9_TSTATFS, false, false, p9_statfs },
	{ P9_TLOPEN, false, false, p9_lopen },
	{ P9_TLCREATE, false, true, p9_lcreate },
	{ P9_TSYMLINK, false, true, p9_symlink },
	{ P9_TMKNOD, false, true, p9_mknod },
	{ P9_TRENAME, false, true, p9_rename },
	{ P9_TREADLINK, false, false, p9_readlink },
	{ P9_TGETATTR, false, false, p9_getattr },
	{ P9_TSETATTR, false, true, p9_setattr },
	{ P9_TXATTRWALK, false, false, fs_refuse },
	{ P9_TXATTRCREATE, false, true, fs_refuse },
	{ P9_TREADDIR, false, false, p9_readdir },
	{ P9_TFSYNC, false, false, p9_fsync },
	{ P9_TLOCK, false, false, p9_lock },
	{ P9_TGETLOCK, false, false, p9_getlock },
	{ P9_TLINK, false, true, p9_link },
	{ P9_TMKDIR, false, true, p9_mkdir },
	{ P9_TRENAMEAT, false, true, p9_renameat },
	{ P9_TUNLINKAT, false, true, p9_unlinkat },
	{ P9_TVERSION, true, false, fs_version },
	{ P9_TAUTH, true, false, fs_refuse },
	{ P9_TATTACH, true, false, fs_attach },
	{ P9_TFLUSH, true, false, fs_flush },
	{ P9_TWALK, false, false, fs_walk },
	{ P9_TREAD, false, false, p9_read },
	{ P9_TWRITE, false, true, p9_write },
	{ P9_TCLUNK, false, false, fs_clunk },
	{ P9_TREMOVE, false, false, p9_remove }, /* clunks the fid in any case */
};

static int serve(struct p9_fs *fs, const struct operation *operation,
		 const struct p9_request *request, struct p9_reply *reply)
{
	struct p9_fid *fid = NULL;

	if (operation->writes && fs->readonly)
		return -EROFS;
	if (!operation->no_fid) {
		fid = p9_fid_find(&fs->fids, request->fid);
		if (!fid)
			return -EBADF;
	}
	return operation->serve(fs, fid, request, reply);
}

int p9_fs_serve(struct p9_fs *fs, const struct p9_request *request, struct p9_reply *reply)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		if (operations[i].type == request->type)
			return serve(fs, &operations[i], request, reply);
	return -EOPNOTSUPP;
}

uint32_t p9_fs_msize(const struct p9_fs *fs)
{
	return fs->msize;
}

int p9_fs_create(struct p9_fs **fs, const char *dir, bool readonly)
{
	struct p9_fs *new = calloc(1, sizeof(*new));
	int err;

	*fs = NULL;
	if (!new)
		return report(-ENOMEM, "cannot share the folder %s", dir);
	new->readonly = readonly;
	new->msize = P9_MSIZE_MIN;
	err = p9_fids_init(&new->fids, dir);
	if (err) {
		p9_fs_destroy(new);
		return err;
	}
	*fs = new;
	return 0;
}

void p9_fs_reset(struct p9_fs *fs)
{
	p9_fids_drop(&fs->fids);
	fs->msize = P9_MSIZE_MIN;
	fs->session = false;
}

void p9_fs_destroy(struct p9_fs *fs)
{
	if (!fs)
		return;
	p9_fids_fini(&fs->fids);
	free(fs);
}

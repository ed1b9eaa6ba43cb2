/* SPDX-License-Identifier: GPL-2.0-only */
/* The operations of 9P2000.L on a shared folder, between the files that have them; 9p_fs.c has the table. */
#ifndef VIRTIO_9P_OPS_H
#define VIRTIO_9P_OPS_H

#include <errno.h>
#include "9p_fid.h"
#include "9p_wire.h"
#include "virtq.h"

#define P9_MODE_BITS    07777
#define P9_ENTRIES_SIZE 32768

struct p9_fs {
	struct p9_fids fids;
	uint32_t msize;
	bool readonly;
	bool session; /* Tversion was agreed on */
	struct iovec slice[VIRTQ_SIZE_MAX];
	char entries[P9_ENTRIES_SIZE] __attribute__((aligned(8)));
};

/* fid: the request's first. 0, or the -errno to reply with; what was put into the reply does not count then. */
typedef int p9_operation(struct p9_fs *fs, struct p9_fid *fid, const struct p9_request *request,
			 struct p9_reply *reply);

/* 9p_attr.c */
p9_operation p9_getattr, p9_setattr, p9_statfs, p9_readlink;
/* A new file's owner and mode; as far as this process may. */
int p9_own(struct p9_fs *fs, int path, const struct p9_request *request, uint32_t uid);

/* 9p_names.c */
p9_operation p9_mkdir, p9_mknod, p9_symlink, p9_link, p9_rename, p9_renameat, p9_unlinkat,
	p9_remove;

/* 9p_io.c */
p9_operation p9_lopen, p9_lcreate, p9_read, p9_write, p9_readdir, p9_fsync, p9_lock, p9_getlock;

static inline int p9_errno(int result)
{
	return result < 0 ? -errno : 0;
}

static inline void p9_put_qid_of(struct p9_fs *fs, struct p9_reply *reply, const struct stat *st)
{
	struct p9_qid qid = p9_qid_of(st, fs->fids.home);

	p9_put_qid(reply, &qid);
}

#endif

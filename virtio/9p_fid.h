/* SPDX-License-Identifier: GPL-2.0-only */
/* Fids, and the ways from one to a descriptor: the only code of 9p that resolves a name. */
#ifndef VIRTIO_9P_FID_H
#define VIRTIO_9P_FID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define P9_BUCKETS 1024

struct p9_fid {
	struct p9_fid *next; /* in its bucket */
	uint32_t id;
	uint32_t uid; /* who attached, and so creates; ~0: unsaid */
	mode_t type;  /* S_IF* */
	int path;     /* O_PATH */
	int io;       /* what Tlopen or Tlcreate opened, or -1 */
	bool writes;  /* io is open for writing */
};

struct p9_fids {
	int root; /* O_PATH of the folder; -1: none */
	int proc; /* /proc/self/fd: the one way to open what an O_PATH descriptor stands for */
	dev_t home;
	ino_t home_inode;
	struct p9_fid *buckets[P9_BUCKETS];
	unsigned descriptors,
		descriptors_max; /* of all fids; the guest may not use up those of the process */
};

/* Opens the folder. Reported. fini is fine for what init failed at. */
int p9_fids_init(struct p9_fids *fids, const char *dir);
void p9_fids_fini(struct p9_fids *fids);
void p9_fids_drop(struct p9_fids *fids);

/* NULL: no such fid. */
struct p9_fid *p9_fid_find(const struct p9_fids *fids, uint32_t id);
/* A new fid for path, which it takes; the type is st's. -EEXIST, -EMFILE, -ENOMEM: path is closed. */
int p9_fid_add(struct p9_fids *fids, uint32_t id, int path, const struct stat *st, uint32_t uid);
void p9_fid_remove(struct p9_fids *fids, struct p9_fid *fid);
/* The fid stands for another file from now on. Takes path. */
void p9_fid_move(struct p9_fid *fid, int path, const struct stat *st);
/* Takes io as what the fid has open. -EMFILE: io is closed. */
int p9_fid_open(struct p9_fids *fids, struct p9_fid *fid, int io, bool writes);

/* What is called `name` in the folder: an O_PATH descriptor, of the link itself if it is one, or -errno. */
int p9_open_child(int folder, const char *name);
/* Opens what path stands for, which is a folder or a regular file. */
int p9_reopen(const struct p9_fids *fids, int path, int flags);
/* The name in /proc/self/fd. */
struct p9_proc_name {
	char text[12];
};
struct p9_proc_name p9_proc_name(int fd);
int p9_stat(int path, struct stat *st);
/*
 * Where path is now: an O_PATH descriptor of the folder, and the name in it (name[NAME_MAX + 1]). -ESTALE: nowhere in the
 * share; -EBUSY: it is the share's root.
 */
int p9_locate(const struct p9_fids *fids, int path, char *name);

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "9p_fid.h"

#define DESCRIPTORS_MAX 131072 /* of one share */

static int open_below(int folder, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = flags | O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int p9_open_child(int folder, const char *name)
{
	return open_below(folder, name, O_NOFOLLOW, 0);
}

struct p9_proc_name p9_proc_name(int fd)
{
	struct p9_proc_name name;

	snprintf(name.text, sizeof(name.text), "%d", fd);
	return name;
}

int p9_reopen(const struct p9_fids *fids, int path, int flags)
{
	int fd = openat(fids->proc, p9_proc_name(path).text, flags | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd;
}

int p9_stat(int path, struct stat *st)
{
	return fstatat(path, "", st, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* The host's path of a descriptor, as it is now. Returns its length. */
static ssize_t path_of(const struct p9_fids *fids, int fd, char path[PATH_MAX])
{
	ssize_t size = readlinkat(fids->proc, p9_proc_name(fd).text, path, PATH_MAX);

	if (size < 0)
		return -errno;
	if (size == PATH_MAX)
		return -ENAMETOOLONG;
	path[size] = 0;
	return size;
}

/* The kernel's idea of the path is only a hint: it is resolved anew, beneath the root, and what is there compared. */
static int open_hinted(const struct p9_fids *fids, char *hint, const struct stat *wanted,
		       char *name)
{
	char *slash = strrchr(hint, '/');
	const char *base = slash ? slash + 1 : hint;
	struct stat st;
	int folder;

	if (slash)
		*slash = 0;
	if (strlen(base) > NAME_MAX)
		return -ESTALE;
	folder = open_below(fids->root, slash ? hint : ".", O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (folder < 0)
		return -ESTALE;
	if (fstatat(folder, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != wanted->st_ino ||
	    st.st_dev != wanted->st_dev) {
		close(folder);
		return -ESTALE;
	}
	memcpy(name, base, strlen(base) + 1);
	return folder;
}

int p9_locate(const struct p9_fids *fids, int path, char *name)
{
	char root[PATH_MAX], at[PATH_MAX];
	ssize_t root_size = path_of(fids, fids->root, root), size = path_of(fids, path, at);
	struct stat st;
	int err = p9_stat(path, &st);

	if (root_size < 0 || size < 0 || err)
		return -ESTALE;
	if (st.st_ino == fids->home_inode && st.st_dev == fids->home)
		return -EBUSY;
	if (root_size == 1) /* "/" */
		root_size = 0;
	if (size <= root_size + 1 || memcmp(at, root, (size_t)root_size) || at[root_size] != '/')
		return -ESTALE;
	return open_hinted(fids, at + root_size + 1, &st, name);
}

/* A fid costs one descriptor, an open one two. The rest of the limit is for other shares and all else. */
static unsigned descriptors_allowed(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur / 4 < DESCRIPTORS_MAX ? (unsigned)limit.rlim_cur / 4
						    : DESCRIPTORS_MAX;
}

int p9_fids_init(struct p9_fids *fids, const char *dir)
{
	struct stat st;
	int fd;

	*fids = (struct p9_fids){ .root = -1, .proc = -1 };
	fids->root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fids->root < 0 || fstat(fids->root, &st) < 0)
		return report(-errno, "cannot share the folder %s", dir);
	fids->proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fids->proc < 0)
		return report(-errno, "cannot share the folder %s without /proc/self/fd", dir);
	fd = open_below(fids->root, ".", O_DIRECTORY, 0);
	if (fd == -ENOSYS)
		return refuse(fd, "cannot share the folder %s: it takes openat2(), of Linux 5.6",
			      dir);
	if (fd < 0)
		return report(fd, "cannot share the folder %s", dir);
	close(fd);
	fids->home = st.st_dev;
	fids->home_inode = st.st_ino;
	fids->descriptors_max = descriptors_allowed();
	return 0;
}

static void release(struct p9_fids *fids, struct p9_fid *fid)
{
	close(fid->path);
	fids->descriptors--;
	if (fid->io >= 0) {
		close(fid->io);
		fids->descriptors--;
	}
	free(fid);
}

void p9_fids_fini(struct p9_fids *fids)
{
	p9_fids_drop(fids);
	if (fids->proc >= 0)
		close(fids->proc);
	if (fids->root >= 0)
		close(fids->root);
	fids->root = fids->proc = -1;
}

void p9_fids_drop(struct p9_fids *fids)
{
	for (unsigned i = 0; i < P9_BUCKETS; i++) {
		struct p9_fid *fid = fids->buckets[i], *next;

		for (; fid; fid = next) {
			next = fid->next;
			release(fids, fid);
		}
		fids->buckets[i] = NULL;
	}
}

static unsigned bucket_of(uint32_t id)
{
	return (id * 2654435761U) >> 22;
}

struct p9_fid *p9_fid_find(const struct p9_fids *fids, uint32_t id)
{
	struct p9_fid *fid = fids->buckets[bucket_of(id)];

	while (fid && fid->id != id)
		fid = fid->next;
	return fid;
}

static int add(struct p9_fids *fids, uint32_t id, int path, const struct stat *st, uint32_t uid)
{
	struct p9_fid **bucket = &fids->buckets[bucket_of(id)];
	struct p9_fid *fid;

	if (id == 0xffffffff || p9_fid_find(fids, id))
		return -EEXIST;
	if (fids->descriptors >= fids->descriptors_max)
		return -EMFILE;
	fid = malloc(sizeof(*fid));
	if (!fid)
		return -ENOMEM;
	*fid = (struct p9_fid){ *bucket, id, uid, st->st_mode & S_IFMT, path, -1, false };
	*bucket = fid;
	fids->descriptors++;
	return 0;
}

int p9_fid_add(struct p9_fids *fids, uint32_t id, int path, const struct stat *st, uint32_t uid)
{
	int err = add(fids, id, path, st, uid);

	if (err)
		close(path);
	return err;
}

void p9_fid_remove(struct p9_fids *fids, struct p9_fid *fid)
{
	struct p9_fid **link = &fids->buckets[bucket_of(fid->id)];

	while (*link != fid)
		link = &(*link)->next;
	*link = fid->next;
	release(fids, fid);
}

void p9_fid_move(struct p9_fid *fid, int path, const struct stat *st)
{
	close(fid->path);
	fid->path = path;
	fid->type = st->st_mode & S_IFMT;
}

int p9_fid_open(struct p9_fids *fids, struct p9_fid *fid, int io, bool writes)
{
	if (fids->descriptors >= fids->descriptors_max) {
		close(io);
		return -EMFILE;
	}
	fids->descriptors++;
	fid->io = io;
	fid->writes = writes;
	return 0;
}

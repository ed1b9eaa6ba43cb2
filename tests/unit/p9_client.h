/* SPDX-License-Identifier: GPL-2.0-only */
/* A 9P2000.L client on the virtio rig's device: requests by their fields, replies read field by field. */
#ifndef P9_CLIENT_H
#define P9_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "virtio/9p_wire.h"

#define P9_GID  4712 /* the guest's, in tests of who owns what */
#define P9_ROOT 0    /* the fid that p9_start() attaches */

/* The test's folder, shared, on a started device; no session. msize of the session that p9_start() opens on it. */
void p9_share(const char *dir, bool readonly);
void p9_start(const char *dir, bool readonly);

/*
 * A request: a letter a field, b 8, w 16, d 32, q 64 bits, s a string, S a string and its size (may hold anything).
 * Returns 0 for the reply that belongs to it, or what Rlerror says, negative. Fails the test if anything else comes back.
 */
int p9_call(uint8_t type, const char *format, ...);
/* The same with Twrite's data behind it, or with room for `in` bytes of reply. Data's pieces: at most `piece` bytes each. */
int p9_write_call(uint32_t fid, uint64_t offset, uint32_t count, const void *data, size_t size,
		  size_t piece);
int p9_read_call(uint32_t fid, uint64_t offset, uint32_t count, size_t in, size_t piece);
/* Any bytes as a request; room for `in` bytes of reply. */
int p9_raw_call(const void *bytes, size_t size, size_t in);

/* What comes next in the reply. */
uint64_t p9_next(unsigned width);
const void *p9_next_bytes(size_t size);
const char *p9_next_string(void); /* until the next call */
size_t p9_left(void);

/* Walks from the root to `path`, whose parts '/' separates; newfid stands for it then. */
int p9_walk(uint32_t newfid, const char *path);
int p9_clunk(uint32_t fid);

/* setup/teardown of a test, virtio_rig_setup() included: share/, the folder to share, and outside, a file beside it. */
int p9_setup(void **state);
int p9_teardown(void **state);
/* On the host's side of things, by names in share/; a path is file_path()'s. */
const char *p9_shared(const char *name);
void p9_make(const char *name, const char *text);
struct stat p9_stat_of(const char *name);
bool p9_is_there(const char *name);
void p9_assert_holds(const char *name, const char *text);
/* Whose a new file is that the guest gives to P9_GID. */
uint32_t p9_given_gid(void);
/* Tsetattr; this process's user and group. */
int p9_set(uint32_t fid, uint32_t valid, uint32_t mode, uint64_t size, uint64_t atime,
	   uint64_t mtime);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A folder of the host, shared over 9P2000.L: requests to file operations.
 *
 * Nothing outside of the folder can be reached: a fid is an O_PATH descriptor; names are single components, never "..",
 * which openat2() resolves from a fid's own descriptor without following a link; a file that is neither regular nor a folder
 * is never opened. What the guest reads and writes goes between the file and its memory. All of it is synchronous: a fid has
 * one request at a time, and a Tflush finds nothing to flush.
 *
 * Files belong to whom the guest says as far as this process may give them away, else to this process's user. The guest's
 * kernel checks permissions and keeps its locks among its own; extended attributes there are none.
 */
#ifndef VIRTIO_9P_FS_H
#define VIRTIO_9P_FS_H

#include "9p_wire.h"

struct p9_fs;

/* Opens the folder. Reported. destroy(NULL) is fine. */
int p9_fs_create(struct p9_fs **fs, const char *dir, bool readonly);
void p9_fs_destroy(struct p9_fs *fs);
/* Forgets all fids: no session is left. */
void p9_fs_reset(struct p9_fs *fs);

/* Serves a request that parsed well; what comes back goes to reply, begun before. 0, or the -errno to reply with. */
int p9_fs_serve(struct p9_fs *fs, const struct p9_request *request, struct p9_reply *reply);
/* The longest message the session agreed on; P9_MSIZE_MIN before. */
uint32_t p9_fs_msize(const struct p9_fs *fs);

#endif

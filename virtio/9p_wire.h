/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * 9P2000.L messages (the protocol as Linux speaks it: include/net/9p/9p.h and Documentation/filesystems/9p.rst; the
 * messages inherited from 9P2000: intro(5) of Plan 9). Bytes to fields and back, nothing else: no file is touched here.
 * All integers are little-endian; a string is a 16-bit length and its bytes.
 */
#ifndef VIRTIO_9P_WIRE_H
#define VIRTIO_9P_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define P9_MSIZE_MIN   4096
#define P9_MSIZE_MAX   (512 * 1024)
#define P9_HEADER      7  /* size[4] type[1] tag[2] */
#define P9_READ_HEADER 11 /* of Rread and Rreaddir: count[4] follows; also all of Rlerror */
#define P9_WRITE_HEAD  23 /* of Twrite, before its data */
#define P9_REQUEST_MAX                                                                             \
	(2 * 4096 + 256)   /* the longest request there can be, but for Twrite's data */
#define P9_REPLY_MAX 65536 /* the longest reply that is built here, but for Rread's data */
#define P9_WALK_MAX  16
#define P9_QID_SIZE  13
#define P9_NOFID     0xffffffff
#define P9_NOTAG     0xffff
#define P9_VERSION   "9P2000.L"

/* Requests; the reply to each is one more, or P9_RLERROR. */
enum p9_type {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
};

/* Tlopen's and Tlcreate's flags: Linux's of most architectures, not those of this one. */
enum {
	P9_OPEN_ACCESS = 3,
	P9_OPEN_EXCL = 00000200,
	P9_OPEN_TRUNC = 00001000,
	P9_OPEN_APPEND = 00002000,
	P9_OPEN_DSYNC = 00010000,
	P9_OPEN_DIRECTORY = 00200000,
	P9_OPEN_SYNC = 04000000,
};

/* Tsetattr's valid bits. */
enum {
	P9_SET_MODE = 1 << 0,
	P9_SET_UID = 1 << 1,
	P9_SET_GID = 1 << 2,
	P9_SET_SIZE = 1 << 3,
	P9_SET_ATIME = 1 << 4, /* to now, or with ATIME_VALUE to what is in the message */
	P9_SET_MTIME = 1 << 5,
	P9_SET_CTIME = 1 << 6,
	P9_SET_ATIME_VALUE = 1 << 7,
	P9_SET_MTIME_VALUE = 1 << 8,
};

enum {
	P9_GETATTR_BASIC = 0x7ff,    /* Rgetattr's valid: all that stat(2) knows */
	P9_UNLINK_DIRECTORY = 0x200, /* Tunlinkat's flags */
	P9_LOCK_SUCCESS = 0,         /* Rlock's status */
	P9_LOCK_UNLOCKED = 2,        /* Rgetlock's type */
};

/* What a file is known by: type, version (changes with its content), path (its identity). */
struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

/* A request. Only the fields of its type mean anything. Strings end with NUL and lie in the bytes it was parsed from. */
struct p9_request {
	uint32_t size;
	uint8_t type;
	uint16_t tag;
	uint32_t fid; /* the message's first; of a folder where names are meant */
	uint32_t
		newfid; /* Twalk, Txattrwalk; the other fid of Tattach, Tlink, Trename, Trenameat */
	const char *name,
		*newname; /* each a single component: not empty, not "." or "..", no '/' */
	const char
		*text; /* Tversion's version, Tattach's aname, Tsymlink's target, a lock's owner */
	const char *other; /* Tattach's uname, Txattr*'s name */
	uint16_t names;
	const char *walk[P9_WALK_MAX]; /* components, too */
	uint64_t offset, length;
	uint32_t count; /* Tversion: msize */
	uint32_t flags, mode, uid, gid, major, minor, process;
	uint16_t old_tag;
	uint8_t lock_type;
	struct {
		uint64_t seconds, nanoseconds;
	} atime, mtime;
	/* Set by whoever carries messages: the pieces of Twrite's data, or room for Rread's; count and bytes of them. */
	const struct iovec *data;
	unsigned data_count;
	uint64_t data_bytes;
};

/*
 * Parses the request that bytes[0..have) start with, of `total` bytes in all (more than `have` only in Twrite, or if it is
 * longer than any can be). Changes the bytes. Returns 0, or the error to reply with: EINVAL for what is inconsistent or
 * holds a NUL, ENAMETOOLONG, EOPNOTSUPP for an unknown type. type and tag are set in any case; have >= P9_HEADER.
 */
int p9_parse(struct p9_request *request, uint8_t *bytes, size_t have, uint64_t total);

/* A reply under construction: room for `limit` bytes; what does not fit sets `full`. */
struct p9_reply {
	uint8_t *bytes;
	size_t limit, used;
	size_t data; /* bytes behind `used` that are in the guest's memory already: Rread's */
	bool full;
};

/* Begins the reply to a request; its size is filled in by p9_reply_end(). */
void p9_reply_begin(struct p9_reply *reply, uint8_t *bytes, size_t limit, uint8_t type,
		    uint16_t tag);
void p9_put(struct p9_reply *reply, uint64_t value, unsigned width);
void p9_put_qid(struct p9_reply *reply, const struct p9_qid *qid);
void p9_put_string(struct p9_reply *reply, const char *text, size_t size);
/* Rgetattr's body. */
void p9_put_attributes(struct p9_reply *reply, const struct p9_qid *qid, const struct stat *st);
/*
 * An entry of Rreaddir, whose entries may take until `limit`; false: no room, and nothing was put. next: the offset at
 * which to go on behind it.
 */
bool p9_put_entry(struct p9_reply *reply, size_t limit, const struct p9_qid *qid, uint64_t next,
		  uint8_t type, const char *name);
/* Fills in the size; err: Rlerror instead of what was built (also if it did not fit). Room for that there always is. */
void p9_reply_end(struct p9_reply *reply, int err);

/* The qid of a file on the same file system as `home`, or on one mounted below it. */
struct p9_qid p9_qid_of(const struct stat *st, dev_t home);
/* By what a folder's entry says: its inode number and DT_* type. */
struct p9_qid p9_qid_of_entry(uint64_t inode, dev_t dev, uint8_t type, dev_t home);

#endif

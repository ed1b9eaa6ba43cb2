// SPDX-License-Identifier: GPL-2.0-only
/* Every request is a row of a table: the fields that follow its header, in their order. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "9p_wire.h"

enum field_kind {
	FIELD_END,
	FIELD_INT,  /* of `width` bytes */
	FIELD_NAME, /* a string that is one component */
	FIELD_TEXT, /* any string, of a path's length at most */
	FIELD_WALK, /* how many[2], then as many components */
};

struct field {
	uint8_t kind, width;
	uint16_t at; /* in struct p9_request */
};

#define AT(member)   offsetof(struct p9_request, member)
#define U8(member)   ((struct field){ FIELD_INT, 1, AT(member) })
#define U16(member)  ((struct field){ FIELD_INT, 2, AT(member) })
#define U32(member)  ((struct field){ FIELD_INT, 4, AT(member) })
#define U64(member)  ((struct field){ FIELD_INT, 8, AT(member) })
#define NAME(member) ((struct field){ FIELD_NAME, 0, AT(member) })
#define TEXT(member) ((struct field){ FIELD_TEXT, 0, AT(member) })
#define WALK         ((struct field){ FIELD_WALK, 0, 0 })

static const struct message {
	uint8_t type;
	struct field fields[11]; /* a FIELD_END behind them */
} messages[] = {
	{ P9_TSTATFS, { U32(fid) } },
	{ P9_TLOPEN, { U32(fid), U32(flags) } },
	{ P9_TLCREATE, { U32(fid), NAME(name), U32(flags), U32(mode), U32(gid) } },
	{ P9_TSYMLINK, { U32(fid), NAME(name), TEXT(text), U32(gid) } },
	{ P9_TMKNOD, { U32(fid), NAME(name), U32(mode), U32(major), U32(minor), U32(gid) } },
	{ P9_TRENAME, { U32(fid), U32(newfid), NAME(newname) } },
	{ P9_TREADLINK, { U32(fid) } },
	{ P9_TGETATTR, { U32(fid), U64(length) } },
	{ P9_TSETATTR,
	  { U32(fid), U32(flags), U32(mode), U32(uid), U32(gid), U64(length), U64(atime.seconds),
	    U64(atime.nanoseconds), U64(mtime.seconds), U64(mtime.nanoseconds) } },
	{ P9_TXATTRWALK, { U32(fid), U32(newfid), TEXT(other) } },
	{ P9_TXATTRCREATE, { U32(fid), TEXT(other), U64(length), U32(flags) } },
	{ P9_TREADDIR, { U32(fid), U64(offset), U32(count) } },
	{ P9_TFSYNC, { U32(fid), U32(flags) } },
	{ P9_TLOCK,
	  { U32(fid), U8(lock_type), U32(flags), U64(offset), U64(length), U32(process),
	    TEXT(text) } },
	{ P9_TGETLOCK,
	  { U32(fid), U8(lock_type), U64(offset), U64(length), U32(process), TEXT(text) } },
	{ P9_TLINK, { U32(fid), U32(newfid), NAME(name) } },
	{ P9_TMKDIR, { U32(fid), NAME(name), U32(mode), U32(gid) } },
	{ P9_TRENAMEAT, { U32(fid), NAME(name), U32(newfid), NAME(newname) } },
	{ P9_TUNLINKAT, { U32(fid), NAME(name), U32(flags) } },
	{ P9_TVERSION, { U32(count), TEXT(text) } },
	{ P9_TAUTH, { U32(newfid), TEXT(other), TEXT(text), U32(uid) } },
	{ P9_TATTACH, { U32(fid), U32(newfid), TEXT(other), TEXT(text), U32(uid) } },
	{ P9_TFLUSH, { U16(old_tag) } },
	{ P9_TWALK, { U32(fid), U32(newfid), WALK } },
	{ P9_TREAD, { U32(fid), U64(offset), U32(count) } },
	{ P9_TWRITE, { U32(fid), U64(offset), U32(count) } },
	{ P9_TCLUNK, { U32(fid) } },
	{ P9_TREMOVE, { U32(fid) } },
};

/* What is left to parse. */
struct reader {
	uint8_t *at, *end;
};

static uint64_t little_endian(const uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;

	while (width--)
		value = value << 8 | bytes[width];
	return value;
}

static int get(struct reader *reader, unsigned width, uint64_t *value)
{
	if ((size_t)(reader->end - reader->at) < width)
		return -EINVAL;
	*value = little_endian(reader->at, width);
	reader->at += width;
	return 0;
}

/* The bytes move over their length, which makes room for a NUL. */
static int get_string(struct reader *reader, size_t max, const char **text)
{
	char *start = (char *)reader->at;
	uint64_t size;

	if (get(reader, 2, &size))
		return -EINVAL;
	if (size > max)
		return -ENAMETOOLONG;
	if ((size_t)(reader->end - reader->at) < size || memchr(reader->at, 0, size))
		return -EINVAL;
	memmove(start, reader->at, size);
	start[size] = 0;
	reader->at += size;
	*text = start;
	return 0;
}

static int get_name(struct reader *reader, const char **name)
{
	int err = get_string(reader, NAME_MAX, name);

	if (err)
		return err;
	if (!**name || !strcmp(*name, ".") || !strcmp(*name, "..") || strchr(*name, '/'))
		return -EINVAL;
	return 0;
}

static int get_walk(struct reader *reader, struct p9_request *request)
{
	uint64_t names;
	int err = get(reader, 2, &names);

	if (err || names > P9_WALK_MAX)
		return -EINVAL;
	request->names = (uint16_t)names;
	for (unsigned i = 0; i < names && !err; i++)
		err = get_name(reader, &request->walk[i]);
	return err;
}

static int get_int(struct reader *reader, unsigned width, void *to)
{
	uint64_t value;
	int err = get(reader, width, &value);

	if (err)
		return err;
	switch (width) {
	case 1:
		*(uint8_t *)to = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)to = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)to = (uint32_t)value;
		break;
	default:
		*(uint64_t *)to = value;
		break;
	}
	return 0;
}

static int get_field(struct reader *reader, const struct field *field, struct p9_request *request)
{
	void *to = (char *)request + field->at;

	switch (field->kind) {
	case FIELD_INT:
		return get_int(reader, field->width, to);
	case FIELD_NAME:
		return get_name(reader, to);
	case FIELD_TEXT:
		return get_string(reader, PATH_MAX - 1, to);
	default:
		return get_walk(reader, request);
	}
}

static const struct message *find_message(uint8_t type)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++)
		if (messages[i].type == type)
			return &messages[i];
	return NULL;
}

int p9_parse(struct p9_request *request, uint8_t *bytes, size_t have, uint64_t total)
{
	struct reader reader = { bytes + P9_HEADER, bytes + have };
	const struct message *message;
	int err = 0;

	*request = (struct p9_request){
		.size = (uint32_t)little_endian(bytes, 4),
		.type = bytes[4],
		.tag = (uint16_t)little_endian(bytes + 5, 2),
	};
	message = find_message(request->type);
	if (!message)
		return -EOPNOTSUPP;
	if (request->size < P9_HEADER || request->size > total)
		return -EINVAL;
	if (request->size < have)
		reader.end = bytes + request->size;
	for (const struct field *field = message->fields; field->kind != FIELD_END && !err; field++)
		err = get_field(&reader, field, request);
	return err;
}

void p9_reply_begin(struct p9_reply *reply, uint8_t *bytes, size_t limit, uint8_t type,
		    uint16_t tag)
{
	*reply = (struct p9_reply){ .limit = limit };
	reply->bytes = bytes;
	p9_put(reply, 0, 4);
	p9_put(reply, type, 1);
	p9_put(reply, tag, 2);
}

static uint8_t *room(struct p9_reply *reply, size_t size)
{
	uint8_t *at = reply->bytes + reply->used;

	if (reply->full || size > reply->limit - reply->used) {
		reply->full = true;
		return NULL;
	}
	reply->used += size;
	return at;
}

static void store(uint8_t *at, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

void p9_put(struct p9_reply *reply, uint64_t value, unsigned width)
{
	uint8_t *at = room(reply, width);

	if (at)
		store(at, value, width);
}

void p9_put_qid(struct p9_reply *reply, const struct p9_qid *qid)
{
	p9_put(reply, qid->type, 1);
	p9_put(reply, qid->version, 4);
	p9_put(reply, qid->path, 8);
}

void p9_put_string(struct p9_reply *reply, const char *text, size_t size)
{
	uint8_t *at;

	p9_put(reply, size, 2);
	at = room(reply, size);
	if (at && size)
		memcpy(at, text, size);
}

void p9_put_attributes(struct p9_reply *reply, const struct p9_qid *qid, const struct stat *st)
{
	p9_put(reply, P9_GETATTR_BASIC, 8);
	p9_put_qid(reply, qid);
	p9_put(reply, st->st_mode, 4);
	p9_put(reply, st->st_uid, 4);
	p9_put(reply, st->st_gid, 4);
	p9_put(reply, st->st_nlink, 8);
	p9_put(reply, st->st_rdev, 8);
	p9_put(reply, (uint64_t)st->st_size, 8);
	p9_put(reply, (uint64_t)st->st_blksize, 8);
	p9_put(reply, (uint64_t)st->st_blocks, 8);
	p9_put(reply, (uint64_t)st->st_atim.tv_sec, 8);
	p9_put(reply, (uint64_t)st->st_atim.tv_nsec, 8);
	p9_put(reply, (uint64_t)st->st_mtim.tv_sec, 8);
	p9_put(reply, (uint64_t)st->st_mtim.tv_nsec, 8);
	p9_put(reply, (uint64_t)st->st_ctim.tv_sec, 8);
	p9_put(reply, (uint64_t)st->st_ctim.tv_nsec, 8);
	/* Not among the valid: time of birth, generation, data version. */
	for (int i = 0; i < 4; i++)
		p9_put(reply, 0, 8);
}

bool p9_put_entry(struct p9_reply *reply, size_t limit, const struct p9_qid *qid, uint64_t next,
		  uint8_t type, const char *name)
{
	size_t size = strlen(name);

	if (reply->used + P9_QID_SIZE + 8 + 1 + 2 + size > limit)
		return false;
	p9_put_qid(reply, qid);
	p9_put(reply, next, 8);
	p9_put(reply, type, 1);
	p9_put_string(reply, name, size);
	return true;
}

void p9_reply_end(struct p9_reply *reply, int err)
{
	if (!err && reply->full)
		err = -EMSGSIZE;
	if (err) {
		reply->bytes[4] = P9_RLERROR;
		reply->used = P9_HEADER;
		reply->data = 0;
		reply->full = false;
		p9_put(reply, (uint64_t)-err, 4);
	}
	store(reply->bytes, reply->used + reply->data, 4);
}

/* Inode numbers are small and dense: XORed with a well mixed number for each further file system they do not meet. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
	value = (value ^ value >> 27) * 0x94d049bb133111eb;
	return value ^ value >> 31;
}

static uint64_t path_of(uint64_t inode, dev_t dev, dev_t home)
{
	return dev == home ? inode : inode ^ mix(dev);
}

/* QTDIR and QTSYMLINK. */
static uint8_t qid_type(mode_t mode)
{
	return S_ISDIR(mode) ? 0x80 : S_ISLNK(mode) ? 0x02 : 0;
}

struct p9_qid p9_qid_of(const struct stat *st, dev_t home)
{
	uint64_t change = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;

	return (struct p9_qid){
		.type = qid_type(st->st_mode),
		.version = (uint32_t)mix(change ^ (uint64_t)st->st_size),
		.path = path_of(st->st_ino, st->st_dev, home),
	};
}

struct p9_qid p9_qid_of_entry(uint64_t inode, dev_t dev, uint8_t type, dev_t home)
{
	return (struct p9_qid){
		.type = qid_type(DTTOIF(type)),
		.path = path_of(inode, dev, home),
	};
}

/* SPDX-License-Identifier: GPL-2.0-only */
/* A file of the host's that bytes of a guest go to, without ever waiting for its reader. */
#ifndef VIRTIO_STREAM_H
#define VIRTIO_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

enum stream_kind {
	STREAM_CLOSED,
	STREAM_PLAIN,       /* a file, or a descriptor that does not block: writes return at once */
	STREAM_SOCKET,      /* the same if told so each time */
	STREAM_BLOCKS_LINE, /* a terminal whose writes may block beyond a line's length, ... */
	STREAM_BLOCKS_PIPE, /* ... a pipe, beyond PIPE_BUF */
};

struct stream {
	int fd; /* its own; -1: none */
	enum stream_kind kind;
};

/*
 * A descriptor of its own for what fd, the caller's, leads to; a pipe's or terminal's does not block, and fd's mode stays.
 * fd -1: closed. -errno, unreported.
 */
int stream_open(struct stream *stream, int fd);
void stream_close(struct stream *stream);

/* Writes the first bytes of the pieces. How many, -EAGAIN: none now, or -errno: never again. */
ssize_t stream_write(const struct stream *stream, const struct iovec *iov, unsigned count);

#endif

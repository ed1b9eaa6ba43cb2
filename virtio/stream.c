// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "stream.h"

/* What a terminal that polls as writable takes without blocking (WAKEUP_CHARS in the kernel). */
#define TERMINAL_CHUNK 256

/* The other end of a pty: opening it by its name makes another one. */
static bool is_pty_master(int fd)
{
	unsigned number;

	return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* O_NONBLOCK belongs to an open file, which fd may share with a shell: ours is opened anew. */
static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static enum stream_kind kind_of(int fd, mode_t mode)
{
	if (S_ISSOCK(mode))
		return STREAM_SOCKET;
	if (fcntl(fd, F_GETFL) & O_NONBLOCK)
		return STREAM_PLAIN;
	if (S_ISFIFO(mode))
		return STREAM_BLOCKS_PIPE;
	return isatty(fd) ? STREAM_BLOCKS_LINE : STREAM_PLAIN;
}

int stream_open(struct stream *stream, int fd)
{
	struct stat st;

	*stream = (struct stream){ .fd = -1, .kind = STREAM_CLOSED };
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	stream->kind = kind_of(fd, st.st_mode);
	if (stream->kind == STREAM_BLOCKS_PIPE ||
	    (stream->kind == STREAM_BLOCKS_LINE && !is_pty_master(fd)))
		stream->fd = reopen(fd);
	if (stream->fd >= 0)
		stream->kind = STREAM_PLAIN;
	else
		stream->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return stream->fd < 0 ? -errno : 0;
}

void stream_close(struct stream *stream)
{
	if (stream->kind != STREAM_CLOSED && stream->fd >= 0)
		close(stream->fd);
	*stream = (struct stream){ .fd = -1, .kind = STREAM_CLOSED };
}

/* No more than certainly fits: a single piece. */
static ssize_t write_some(const struct stream *stream, const struct iovec *iov, size_t limit)
{
	struct pollfd writable = { .fd = stream->fd, .events = POLLOUT };
	int ready = poll(&writable, 1, 0);

	if (ready <= 0)
		return -EAGAIN;
	return write(stream->fd, iov->iov_base, iov->iov_len < limit ? iov->iov_len : limit);
}

ssize_t stream_write(const struct stream *stream, const struct iovec *iov, unsigned count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = count };
	ssize_t written = -1;

	errno = EPIPE;
	if (stream->kind == STREAM_PLAIN)
		written = writev(stream->fd, iov, (int)count);
	else if (stream->kind == STREAM_SOCKET)
		written = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (stream->kind != STREAM_CLOSED)
		written =
			write_some(stream, iov,
				   stream->kind == STREAM_BLOCKS_PIPE ? PIPE_BUF : TERMINAL_CHUNK);
	if (written >= 0)
		return written;
	return errno == EINTR ? -EAGAIN : -errno;
}

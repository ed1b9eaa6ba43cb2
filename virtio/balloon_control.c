// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "balloon_control.h"

/* "NUMBER[K|M|G|T]". */
static int parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit = units + 1;
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (*end)
		unit = strchr(units, toupper((unsigned char)*end++));
	if (errno || !unit || *end)
		return -EINVAL;
	if (__builtin_mul_overflow(number, 1ULL << (10 * (unit - units + 1)), bytes))
		return -EINVAL;
	return 0;
}

static void obey(struct balloon_control *control)
{
	uint64_t bytes;

	if (control->length >= sizeof(control->line)) {
		report_warning("balloon: a line in %s is too long", control->path);
		return;
	}
	control->line[control->length] = '\0';
	if (!strcmp(control->line, "stats"))
		control->ask_stats(control);
	else if (!parse_size(control->line, &bytes))
		control->set_size(control, bytes);
	else
		report_warning("balloon: %s in %s is neither a size, such as 128M, nor stats",
			       control->line, control->path);
}

static void take(struct balloon_control *control, char c)
{
	if (c == '\n') {
		obey(control);
		control->length = 0;
	} else if (control->length < sizeof(control->line)) {
		control->line[control->length++] = c;
	}
}

/* We hold it open for writing, too: it has no end. */
static void control_ready(struct loop_source *source, uint32_t events)
{
	struct balloon_control *control =
		(struct balloon_control *)((char *)source -
					   offsetof(struct balloon_control, source));
	char text[256];
	ssize_t got = read(source->fd, text, sizeof(text));

	(void)events;
	for (ssize_t i = 0; i < got; i++)
		take(control, text[i]);
}

int balloon_control_open(struct balloon_control *control, struct loop *loop)
{
	struct stat st;
	int fd, err;

	fd = open(control->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return report(-errno, "--balloon-control: cannot open %s", control->path);
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
		close(fd);
		return refuse(-EINVAL, "--balloon-control: %s is no FIFO: make one with mkfifo",
			      control->path);
	}
	control->source = (struct loop_source){ .fd = fd, .ready = control_ready };
	control->loop = loop;
	err = loop_add(loop, &control->source, EPOLLIN);
	if (!err)
		return 0;
	control->loop = NULL;
	close(fd);
	return report(err, "--balloon-control: cannot wait for %s", control->path);
}

void balloon_control_close(struct balloon_control *control)
{
	if (!control->loop)
		return;
	loop_remove(control->loop, &control->source);
	close(control->source.fd);
	control->loop = NULL;
}

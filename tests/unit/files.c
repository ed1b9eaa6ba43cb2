// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "files.h"

static char folder[64];
static int descriptors, kept_stderr = -1, keeper = -1;

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int files_setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/lkvm-unit-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	descriptors = count_descriptors();
	return 0;
}

int files_teardown(void **state)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int left = count_descriptors() - 1 - descriptors;

	(void)state;
	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(folder);
	if (left)
		print_error("%d descriptors were left open\n", left);
	return left ? -1 : 0;
}

const char *file_path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

const char *file_make(const char *name, const void *bytes, size_t size)
{
	const char *path = file_path(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	return path;
}

void stderr_keep(void)
{
	fflush(stderr);
	keeper = memfd_create("stderr", MFD_CLOEXEC);
	kept_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
	dup2(keeper, 2);
}

const char *stderr_text(void)
{
	static char text[4096];
	ssize_t len;

	fflush(stderr);
	len = pread(keeper, text, sizeof(text) - 1, 0);
	dup2(kept_stderr, 2);
	close(kept_stderr);
	close(keeper);
	text[len < 0 ? 0 : len] = '\0';
	return text;
}

void assert_reported(const char *part)
{
	const char *text = stderr_text();

	if (!strstr(text, part) || strchr(text, '\n') != text + strlen(text) - 1)
		fail_msg("reported \"%s\", not one line with \"%s\"", text, part);
}

// SPDX-License-Identifier: GPL-2.0-only
/* Runs a fuzz target on each file of its corpus, for compilers and checks without libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly the file's size on the heap, so that AddressSanitizer sees reads beyond it. */
static int replay(const char *folder, const char *name)
{
	size_t size = 0, room = 1 << 20;
	uint8_t *data = malloc(room), *exact;
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (!file || !data) {
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
		free(data);
		return -1;
	}
	size = fread(data, 1, room, file);
	fclose(file);
	exact = malloc(size ? size : 1);
	memcpy(exact, data, size);
	free(data);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	dir = argc == 2 ? opendir(argv[1]) : NULL;
	if (!dir) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay(argv[1], entry->d_name) < 0)
			return 1;
		count++;
	}
	closedir(dir);
	printf("replayed %d inputs\n", count);
	return count ? 0 : 1;
}

// SPDX-License-Identifier: GPL-2.0-only
/* What tests do in host or guest that the shell's tools cannot; static, so that it runs in either. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define MAP_BYTES (256 * 1024)

static int failed(const char *what)
{
	fprintf(stderr, "poke: %s: %s\n", what, strerror(errno));
	return 1;
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 31 + (at >> 12));
}

/* What is stored through one shared mapping is in the file, and in another mapping. */
static int poke_mmap(int argc, char **argv)
{
	int fd = argc == 1 ? open(argv[0], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
	uint8_t *one, *other, byte;

	if (fd < 0 || ftruncate(fd, MAP_BYTES))
		return failed("mmap FILE");
	one = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (one == MAP_FAILED)
		return failed("mmap");
	for (size_t i = 0; i < MAP_BYTES; i++)
		one[i] = pattern(i);
	if (msync(one, MAP_BYTES, MS_SYNC))
		return failed("msync");
	other = mmap(NULL, MAP_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
	if (other == MAP_FAILED)
		return failed("mmap");
	for (size_t i = 0; i < MAP_BYTES; i++) {
		errno = EIO;
		if (other[i] != pattern(i))
			return failed("second mapping");
		if (i % 1021 == 0 && (pread(fd, &byte, 1, (off_t)i) != 1 || byte != pattern(i)))
			return failed("pread");
	}
	return 0;
}

/* How many entries a folder has whose names begin with "file-". */
static long files_in(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	long found = 0;

	while (dir && (entry = readdir(dir)))
		found += !strncmp(entry->d_name, "file-", 5);
	if (dir)
		closedir(dir);
	return found;
}

/* files FOLDER COUNT: makes the folder and so many files, finds each, and removes all. */
static int poke_files(int argc, char **argv)
{
	long count = argc == 2 ? atol(argv[1]) : 0, found;
	char name[32];
	int dir, fd;

	if (!count || mkdir(argv[0], 0700) || (dir = open(argv[0], O_DIRECTORY | O_RDONLY)) < 0)
		return failed("files FOLDER COUNT");
	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "file-%ld", i);
		fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
		if (fd < 0 || close(fd))
			return failed(name);
	}
	found = files_in(argv[0]);
	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "file-%ld", i);
		if (unlinkat(dir, name, 0))
			return failed(name);
	}
	printf("%ld files, %ld left\n", found, files_in(argv[0]));
	close(dir);
	return rmdir(argv[0]) ? failed("rmdir") : 0;
}

static int stream(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0);
}

/* vsock-serve PORT: sends back what comes over one connection. */
static int poke_vsock_serve(int argc, char **argv)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	int fd = stream(), peer;
	char buffer[16384];
	ssize_t got;

	address.svm_port = argc == 1 ? (unsigned)atoi(argv[0]) : 0;
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		return failed("vsock-serve PORT");
	puts("serving");
	fflush(stdout);
	peer = accept(fd, NULL, NULL);
	if (peer < 0)
		return failed("accept");
	while ((got = read(peer, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0, put; at < got; at += put) {
			put = write(peer, buffer + at, (size_t)(got - at));
			if (put <= 0)
				return failed("write");
		}
	return got < 0 ? failed("read") : 0;
}

/* vsock-echo CID PORT BYTES: sends them, 16 KiB at a time, and wants each back. */
static int poke_vsock_echo(int argc, char **argv)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK };
	size_t bytes = argc == 3 ? (size_t)atol(argv[2]) : 0;
	char out[16384], in[16384];
	int fd = stream();

	address.svm_cid = bytes ? (unsigned)atoi(argv[0]) : 0;
	address.svm_port = bytes ? (unsigned)atoi(argv[1]) : 0;
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return failed("vsock-echo CID PORT BYTES");
	for (size_t at = 0; at < bytes; at += sizeof(out)) {
		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = (char)pattern(at + i);
		if (write(fd, out, sizeof(out)) != sizeof(out))
			return failed("write");
		if (recv(fd, in, sizeof(in), MSG_WAITALL) != sizeof(in))
			return failed("read");
		errno = EIO;
		if (memcmp(in, out, sizeof(in)))
			return failed("what came back");
	}
	printf("echoed %zu\n", bytes);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{ "mmap", poke_mmap },
		{ "files", poke_files },
		{ "vsock-serve", poke_vsock_serve },
		{ "vsock-echo", poke_vsock_echo },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 2, argv + 2);
	fprintf(stderr, "usage: poke mmap FILE | files FOLDER COUNT | vsock-serve PORT | "
			"vsock-echo CID PORT BYTES\n");
	return 2;
}

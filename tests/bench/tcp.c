// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp serve PORT, or tcp ADDRESS PORT send|receive MIB: so many MiB over one connection of TCP, in pieces of 64 KiB. Who
 * connects says how much it wants, none if it is to send; all of it has arrived when it prints "mark send" or "mark
 * receive", after "mark begin" and, so that what a mark costs is known, "mark none".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE     (64 << 10)
#define SETTLE_US 50000 /* the console's way to rest after a line */

static uint8_t data[PIECE];

static void fail(const char *what)
{
	fprintf(stderr, "tcp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(int fd, const void *from, size_t size)
{
	const uint8_t *at = from;

	while (size) {
		ssize_t n = write(fd, at, size);

		if (n < 0)
			fail("write");
		at += n;
		size -= (size_t)n;
	}
}

static void send_bytes(int fd, uint64_t bytes)
{
	for (; bytes >= PIECE; bytes -= PIECE)
		write_all(fd, data, PIECE);
	write_all(fd, data, bytes);
}

/* To the end: how many there were. */
static uint64_t receive_bytes(int fd)
{
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = read(fd, data, PIECE)) > 0)
		bytes += (uint64_t)n;
	if (n < 0)
		fail("read");
	return bytes;
}

_Noreturn static void serve(const struct sockaddr_in *address)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(listener, 1) < 0)
		fail("cannot listen");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		uint64_t wanted;

		if (fd < 0 || recv(fd, &wanted, sizeof(wanted), MSG_WAITALL) != sizeof(wanted))
			fail("accept");
		if (wanted)
			send_bytes(fd, wanted);
		else
			receive_bytes(fd);
		close(fd);
	}
}

static int transfer(const struct sockaddr_in *address, const char *what, uint64_t bytes)
{
	uint64_t wanted = strcmp(what, "send") ? bytes : 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		fail("cannot connect");
	printf("mark begin\n");
	usleep(SETTLE_US);
	printf("mark none\n");
	write_all(fd, &wanted, sizeof(wanted));
	if (!wanted)
		send_bytes(fd, bytes);
	shutdown(fd, SHUT_WR);
	if (receive_bytes(fd) != wanted) {
		errno = EIO;
		fail("not all of it came");
	}
	printf("mark %s\n", what);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		address.sin_port = htons((uint16_t)atoi(argv[2]));
		serve(&address);
	}
	if (argc != 5 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: tcp serve PORT | tcp ADDRESS PORT send|receive MIB\n");
		return 2;
	}
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	return transfer(&address, argv[3], strtoull(argv[4], NULL, 10) << 20);
}

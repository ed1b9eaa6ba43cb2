// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <lkvm/cli.h>
#include <lkvm/report.h>

/* No file that lkvm opens may become stdin, stdout or stderr where these are closed: the guest's output would go there. */
static int fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return report(-errno, "cannot open /dev/null");
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (fill_stdio())
		return EXIT_STATUS_ERROR;
	return cli_main(argc, argv);
}

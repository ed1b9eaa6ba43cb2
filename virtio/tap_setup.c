// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <net/if_arp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <lkvm/report.h>
#include "door.h"
#include "tap.h"

#define NETMASK_24 0xffffff00U

static struct ifreq request_for(const char *name)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return request;
}

static int set_mac(int fd, const char *name, const uint8_t *mac)
{
	struct ifreq request = request_for(name);

	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, mac, VIRTIO_NETWORK_MAC_SIZE);
	return virtio_ioctl_call(fd, SIOCSIFHWADDR, &request);
}

static int set_ip(int fd, const char *name, unsigned long what, struct in_addr ip)
{
	struct ifreq request = request_for(name);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = ip };

	memcpy(&request.ifr_addr, &address, sizeof(address));
	return virtio_ioctl_call(fd, what, &request);
}

static int bring_up(int fd, const char *name)
{
	struct ifreq request = request_for(name);
	int err = virtio_ioctl_call(fd, SIOCGIFFLAGS, &request);

	if (err < 0)
		return err;
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	return virtio_ioctl_call(fd, SIOCSIFFLAGS, &request);
}

static int configure(int fd, const char *name, const struct virtio_network_config *config,
		     struct in_addr ip)
{
	struct in_addr mask = { htonl(NETMASK_24) };
	int err = 0;

	if (config->host_mac_given)
		err = set_mac(fd, name, config->host_mac);
	if (config->script)
		return err;
	if (err >= 0)
		err = set_ip(fd, name, SIOCSIFADDR, config->host_ip_given ? config->host_ip : ip);
	if (err >= 0)
		err = set_ip(fd, name, SIOCSIFNETMASK, mask);
	if (err >= 0)
		err = bring_up(fd, name);
	return err;
}

int tap_configure(const char *who, const char *name, const struct virtio_network_config *config,
		  struct in_addr ip)
{
	int err, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return report(-errno, "%s: cannot configure %s", who, name);
	err = configure(fd, name, config, ip);
	close(fd);
	return err < 0 ? report(err, "%s: cannot configure %s", who, name) : 0;
}

/* Signals are as a shell would have them, whatever is blocked or ignored here. */
static int spawn(pid_t *pid, const char *script, const char *name)
{
	char *argv[] = { (char *)script, (char *)name, NULL };
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	err = posix_spawnattr_init(&attributes);
	if (err)
		return -err;
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(pid, script, NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	return -err;
}

int tap_run_script(const char *who, const char *script, const char *name)
{
	int status = 0, err;
	pid_t pid = -1;

	err = spawn(&pid, script, name);
	if (err)
		return report(err, "%s: cannot run %s", who, script);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return report(-errno, "%s: cannot wait for %s", who, script);
	if (WIFSIGNALED(status))
		return refuse(-EIO, "%s: %s %s was killed by signal %d", who, script, name,
			      WTERMSIG(status));
	if (WEXITSTATUS(status))
		return refuse(-EIO, "%s: %s %s failed with status %d", who, script, name,
			      WEXITSTATUS(status));
	return 0;
}

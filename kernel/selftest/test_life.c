// SPDX-License-Identifier: GPL-2.0-only
/* Descriptors and processes come and go; the doorbell lives as long as the device is open. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include "tap.h"
#include "tests.h"

#define MSIX VFIO_PCI_MSIX_IRQ_INDEX

void test_close(const struct bed *bed)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	int container = container_new(), event, i;
	struct device nic, edu;

	device_open(&edu, bed->edu, container);
	for (i = 0; i < 3; i++) {
		device_open(&nic, bed->nic, container);
		ok(!doorbell_get(&nic, &doorbell) && !(doorbell.flags & VFIO_MSI_DOORBELL_USER),
		   "a device just opened: the kernel chooses");
		ok(!doorbell_set(&nic, LOW) && !vectors_on(&nic, MSIX, &event), "vectors");
		ok(host_irq(&nic, "msix", 0) >= 0, "live in the host");
		device_close(&nic);
		close(event);
		ok(host_irq(&nic, "msix", 0) < 0, "closed with vectors live: none in the host");
		returns(container_map(container, LOW, PAGE), 0, "and no doorbell");
		container_unmap(container, LOW, PAGE);
	}
	device_close(&edu);
	close(container);
}

static bool exited_well(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Until the other end of the pipe is closed */
static void wait_for(const int *pipe_fds)
{
	char c;

	close(pipe_fds[1]);
	while (read(pipe_fds[0], &c, 1) > 0)
		;
	close(pipe_fds[0]);
}

void test_fork(const struct bed *bed)
{
	int container = container_new(), pipe_fds[2];
	struct device nic, edu;
	pid_t child;

	device_open(&edu, bed->edu, container);
	device_open(&nic, bed->nic, container);
	ok(!doorbell_set(&nic, LOW) && !pipe(pipe_fds), "a doorbell");
	fflush(stdout);
	child = fork();
	if (!child) {
		wait_for(pipe_fds);
		_exit(0);
	}
	device_close(&nic);
	returns(container_map(container, LOW, PAGE), -EEXIST,
		"closed here, open in a child: it stays");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	ok(exited_well(child), "the child exits");
	returns(container_map(container, LOW, PAGE), 0, "then it has gone");
	device_close(&edu);
	close(container);
}

void test_exec(const struct bed *bed)
{
	int container = container_new(), pipe_fds[2];
	char fd[12], iova[24];
	struct device nic;
	pid_t child;

	device_open(&nic, bed->nic, container);
	ok(!doorbell_set(&nic, LOW) && !pipe(pipe_fds), "a doorbell");
	fcntl(nic.fd, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "%d", nic.fd);
	snprintf(iova, sizeof(iova), "%#llx", LOW);
	fflush(stdout);
	child = fork();
	if (!child) {
		wait_for(pipe_fds);
		execl("/proc/self/exe", "vfio_doorbell", "get", fd, iova, NULL);
		_exit(127);
	}
	device_close(&nic);
	close(container);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	ok(exited_well(child), "another program has the device, and the doorbell");
}

void test_kill(const struct bed *bed)
{
	int pipe_fds[2], container, event, status, i;
	struct device nic, edu;
	pid_t child;
	char c;

	for (i = 0; i < 3; i++) {
		if (pipe(pipe_fds))
			bail_out("no pipe");
		fflush(stdout);
		child = fork();
		if (!child) {
			container = container_new();
			device_open(&nic, bed->nic, container);
			device_open(&edu, bed->edu, container);
			if (!doorbell_set(&nic, LOW) && !doorbell_set(&edu, LOW) &&
			    !container_map(container, HIGH, 16 * PAGE) &&
			    !vectors_on(&nic, MSIX, &event) &&
			    !vectors_on(&edu, VFIO_PCI_MSI_IRQ_INDEX, &event))
				c = write(pipe_fds[1], "", 1);
			for (;;)
				pause();
		}
		close(pipe_fds[1]);
		ok(read(pipe_fds[0], &c, 1) == 1, "a process with doorbells and vectors");
		close(pipe_fds[0]);
		kill(child, SIGKILL);
		ok(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "is killed");

		container = container_new();
		device_open(&nic, bed->nic, container);
		ok(host_irq(&nic, "msix", 0) < 0, "it leaves no interrupt");
		ok(!container_map(container, LOW, PAGE) && !doorbell_set(&nic, HIGH) &&
			   !vectors_on(&nic, MSIX, &event) && nic_signals(&nic, event),
		   "and nothing in the way of the next");
		close(event);
		device_close(&nic);
		close(container);
	}
}

void test_move(const struct bed *bed)
{
	struct vfio_device_feature_msi_doorbell doorbell;
	int first = container_new(), second = container_new(), event;
	struct device nic, edu;

	device_open(&edu, bed->edu, first);
	device_open(&nic, bed->nic, first);
	returns(doorbell_set(&nic, LOW), 0, "a doorbell in the first container");
	returns(group_leave(nic.group), -EBUSY, "the device is open: its group stays");
	close(nic.fd);
	returns(container_map(first, LOW, PAGE), 0, "closed: the first container has no doorbell");
	returns(group_leave(nic.group), 0, "its group leaves");
	returns(group_join(nic.group, second), 0, "for the second container");
	nic.fd = group_device(nic.group, bed->nic);
	ok(!doorbell_get(&nic, &doorbell) && !(doorbell.flags & VFIO_MSI_DOORBELL_USER),
	   "where the kernel chooses");
	returns(container_map(second, LOW, PAGE), 0, "memory");
	container_unmap(second, LOW, PAGE);
	returns(doorbell_set(&nic, LOW), 0, "a doorbell");
	returns(container_map(second, LOW, PAGE), -EEXIST, "no memory there now");
	ok(!vectors_on(&nic, MSIX, &event) && nic_signals(&nic, event), "interrupts arrive");
	close(event);
	device_close(&nic);
	device_close(&edu);
	close(second);
	close(first);
}

#define CACHES    512
#define ROUNDS    4
#define DOORBELLS 500 /* in a round: more than there are kinds of objects to look at */

/* What the kernel has of a kind of objects, after each round. */
struct cache {
	char name[64];
	long objects[ROUNDS + 1];
};

/* Slabs that a CPU keeps for itself count as full: have it give them back. */
static void cache_shrink(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		bail_out("%s cannot be written to", path);
	close(fd);
}

/* Mappings of the kernel, but for those undone already that it gathers before it frees them. */
static long mappings(void)
{
	FILE *file = fopen("/proc/vmallocinfo", "r");
	char line[512];
	long n = 0;

	if (!file)
		bail_out("no /proc/vmallocinfo");
	while (fgets(line, sizeof(line), file))
		n += !strstr(line, "unpurged");
	fclose(file);
	return n;
}

/* The same caches in the same order each time; mappings are the first. */
static int count_objects(struct cache *caches, int round)
{
	FILE *file = fopen("/proc/slabinfo", "r");
	char line[512], name[64];
	long objects;
	int n = 1;

	if (!file)
		bail_out("no /proc/slabinfo");
	strcpy(caches[0].name, "mappings");
	caches[0].objects[round] = mappings();
	while (n < CACHES && fgets(line, sizeof(line), file)) {
		/* Its objects stand for mappings, but for those that are gathered as well. */
		if (sscanf(line, "%63s %ld", name, &objects) != 2 || !strcmp(name, "vmap_area"))
			continue;
		cache_shrink(name);
		strcpy(caches[n++].name, name);
	}
	rewind(file);
	for (n = 1; n < CACHES && fgets(line, sizeof(line), file);) {
		if (sscanf(line, "%63s %ld", name, &objects) != 2 || strcmp(name, caches[n].name))
			continue;
		caches[n++].objects[round] = objects;
	}
	fclose(file);
	return n;
}

static bool grown(const struct cache *cache, int from, int to)
{
	return cache->objects[to] - cache->objects[from] >= (to - from) * DOORBELLS / 2;
}

/* Something that each doorbell leaves behind makes its kind grow in every round. */
static int leaks(const struct cache *caches, int n, bool tell)
{
	int found = 0, i, round;

	for (i = 0; i < n; i++) {
		for (round = 0; round < ROUNDS; round++) {
			if (!grown(&caches[i], round, round + 1))
				break;
		}
		if (round < ROUNDS || !grown(&caches[i], 0, ROUNDS))
			continue;
		found++;
		if (!tell)
			continue;
		printf("# %s: %ld, then %ld\n", caches[i].name, caches[i].objects[0],
		       caches[i].objects[ROUNDS]);
	}
	return found;
}

static void many_doorbells(const struct device *dev)
{
	int i;

	for (i = 0; i < DOORBELLS; i++) {
		if (doorbell_set(dev, LOW + i % 8 * PAGE) || doorbell_set(dev, HIGH) ||
		    doorbell_set(dev, 0))
			bail_out("SET");
	}
}

void test_leak(const struct bed *bed)
{
	static struct cache caches[CACHES];
	int container = container_new(), round, n, tries, found;
	struct device nic;

	device_open(&nic, bed->nic, container);
	for (round = 0; round <= ROUNDS; round++) {
		many_doorbells(&nic); /* the first time only to have what is kept for good */
		n = count_objects(caches, round);
	}
	/* What is to be freed when all CPUs have passed a quiet state may take a while. */
	for (tries = 0; leaks(caches, n, false) && tries < 10; tries++) {
		sleep(1);
		count_objects(caches, ROUNDS);
	}
	found = leaks(caches, n, true);
	ok(!found, "%d doorbells leave nothing behind, of %d kinds", ROUNDS * DOORBELLS, n);
	device_close(&nic);
	close(container);
}

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

#define CACHES 512

struct cache {
	char name[64];
	long objects;
};

static int caches_read(struct cache *caches)
{
	FILE *file = fopen("/proc/slabinfo", "r");
	char line[512];
	int n = 0;

	if (!file)
		bail_out("no /proc/slabinfo");
	while (n < CACHES && fgets(line, sizeof(line), file))
		n += sscanf(line, "%63s %ld", caches[n].name, &caches[n].objects) == 2;
	fclose(file);
	return n;
}

/* Nothing that grows with each use of the feature: objects of the kernel, by their caches. */
void test_leak(const struct bed *bed)
{
	struct cache before[CACHES], after[CACHES];
	int container = container_new(), i, grown = 0, n;
	struct device nic;

	device_open(&nic, bed->nic, container);
	for (i = 0; i < 600; i++) {
		if (i == 100)
			caches_read(before);
		if (doorbell_set(&nic, LOW + i % 8 * PAGE) || (i & 1 && doorbell_set(&nic, 0)))
			bail_out("SET");
	}
	n = caches_read(after);
	for (i = 0; i < n; i++) {
		if (strcmp(before[i].name, after[i].name) ||
		    after[i].objects < before[i].objects + 400)
			continue;
		/* Unused mappings of MSI-X tables gather before the kernel frees them. */
		if (!strcmp(after[i].name, "vmap_area"))
			continue;
		printf("# %s: %ld, then %ld\n", after[i].name, before[i].objects, after[i].objects);
		grown++;
	}
	ok(!grown, "500 doorbells leave nothing behind");
	device_close(&nic);
	close(container);
}

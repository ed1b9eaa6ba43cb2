// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest reads of configuration space, in memory of its own, so that enumeration (hundreds of reads, a few writes)
 * need not exit for each.
 */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "pci.h"

#define BLANK_SIZE 0x10000 /* the largest page of an arm64 host */

static bool all_direct(const struct pci_bus *bus)
{
	bool any = false;

	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		if (!bus->functions[devfn])
			continue;
		if (!bus->functions[devfn]->direct)
			return false;
		any = true;
	}
	return any;
}

/* With the function's lock held, which keeps writers apart; a guest that reads meanwhile finds each byte old or new. */
void pci_shadow_update(const struct pci_function *function)
{
	struct pci_bus *bus = function->bus;
	uint8_t *at;

	if (!bus || !atomic_load(&bus->shadowed))
		return;
	at = bus->shadow + function->devfn * PCI_CONFIG_SIZE;
	memcpy(at, function->config, PCI_CONFIG_SIZE);
	bus->shadow_ops->changed(bus->shadow_arg, at, PCI_CONFIG_SIZE);
}

/* A page that holds ones, and where there is no function is all there is: once in memory, not once a function. */
static int make_blank(void)
{
	int fd = memfd_create("PCI configuration space", MFD_CLOEXEC);
	void *blank = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, BLANK_SIZE))
		blank = mmap(NULL, BLANK_SIZE, PROT_WRITE, MAP_SHARED, fd, 0);
	if (blank == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	memset(blank, 0xff, BLANK_SIZE);
	munmap(blank, BLANK_SIZE);
	return fd;
}

static bool map_blank(void *at, int fd)
{
	const void *mapped =
		mmap(at, BLANK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);

	return mapped == at;
}

/* All blank; a function's part becomes memory of its own when it is written. */
static uint8_t *make_shadow(void)
{
	uint8_t *shadow =
		mmap(NULL, PCI_SHADOW_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = make_blank();
	bool made = fd >= 0 && shadow != MAP_FAILED;

	for (size_t at = 0; made && at < PCI_SHADOW_SIZE; at += BLANK_SIZE)
		made = map_blank(shadow + at, fd);
	if (fd >= 0)
		close(fd);
	if (made)
		return shadow;
	if (shadow != MAP_FAILED)
		munmap(shadow, PCI_SHADOW_SIZE);
	return NULL;
}

const void *pci_bus_shadow(struct pci_bus *bus, const struct pci_shadow_ops *ops, void *arg)
{
	assert(!bus->shadowed);
	if (!all_direct(bus))
		return NULL;
	if (!bus->shadow)
		bus->shadow = make_shadow();
	if (!bus->shadow)
		return NULL;
	bus->shadow_ops = ops;
	bus->shadow_arg = arg;
	atomic_store(&bus->shadowed, true);
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS; devfn++) {
		struct pci_function *function = bus->functions[devfn];

		if (!function)
			continue;
		pthread_mutex_lock(&function->lock);
		pci_shadow_update(function);
		pthread_mutex_unlock(&function->lock);
	}
	return bus->shadow;
}

void pci_bus_end_shadow(struct pci_bus *bus)
{
	if (atomic_load(&bus->shadowed) && atomic_exchange(&bus->shadowed, false))
		bus->shadow_ops->end(bus->shadow_arg);
}

void pci_shadow_free(struct pci_bus *bus)
{
	pci_bus_end_shadow(bus);
	if (bus->shadow)
		munmap(bus->shadow, PCI_SHADOW_SIZE);
	bus->shadow = NULL;
}

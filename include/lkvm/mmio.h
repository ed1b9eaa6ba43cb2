/* SPDX-License-Identifier: GPL-2.0-only */
/* The region bus: which device answers an access to a guest-physical address that is not memory. */
#ifndef LKVM_MMIO_H
#define LKVM_MMIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* offset: bytes from the region's base; size: 1, 2, 4 or 8 bytes, never past the region's end. Any vCPU's thread. */
struct mmio_ops {
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

/* Belongs to the device, which outlives its time on the bus and every vCPU thread. */
struct mmio_region {
	const char *name;
	uint64_t base, size; /* guest-physical, bytes */
	const struct mmio_ops *ops;
	void *device;
};

/* A range where an access that no region claims reads as all ones (a PCI window: master abort). */
struct mmio_hole {
	uint64_t base, size;
};

/* What answered a vCPU's last access: no lock is taken for the next one to the same region. Zeroed: nothing yet. */
struct mmio_cache {
	struct mmio_region region;
	unsigned generation;
};

struct mmio_bus {
	pthread_rwlock_t
		lock; /* guards regions, count, capacity; never held while a device answers */
	atomic_uint generation;       /* of the regions: changes with them, under the lock */
	struct mmio_region **regions; /* ascending, disjoint */
	size_t count, capacity;
	struct mmio_hole ones[3];
	unsigned ones_count; /* set up before the first vCPU runs */
};

int mmio_bus_create(struct mmio_bus *bus);
void mmio_bus_destroy(struct mmio_bus *bus);

/* -EEXIST: overlaps a region that is there; -EINVAL: empty or wraps 2^64; -ENOMEM. Nothing is reported. */
int mmio_bus_add(struct mmio_bus *bus, struct mmio_region *region);
/* A region that is not on the bus is ignored. An access under way in another thread may still reach it. */
void mmio_bus_remove(struct mmio_bus *bus, struct mmio_region *region);
/* Declares [base, base + size) to read as all ones where no region is. At most three. */
void mmio_bus_add_hole(struct mmio_bus *bus, uint64_t base, uint64_t size);

/*
 * One access by a vCPU; an address nobody claims, or an access that straddles a region's end, reads as zero (all
 * ones in a hole) and is otherwise ignored. Returns whether a device answered.
 */
bool mmio_bus_read(struct mmio_bus *bus, uint64_t gpa, unsigned size, uint64_t *value);
bool mmio_bus_write(struct mmio_bus *bus, uint64_t gpa, unsigned size, uint64_t value);
/* The same for a thread that keeps a cache of its own. */
bool mmio_cache_read(struct mmio_cache *cache, struct mmio_bus *bus, uint64_t gpa, unsigned size,
		     uint64_t *value);
bool mmio_cache_write(struct mmio_cache *cache, struct mmio_bus *bus, uint64_t gpa, unsigned size,
		      uint64_t value);

#endif

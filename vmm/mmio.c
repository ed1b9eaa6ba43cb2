// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lkvm/mmio.h>

int mmio_bus_create(struct mmio_bus *bus)
{
	*bus = (struct mmio_bus){ 0 };
	return -pthread_rwlock_init(&bus->lock, NULL);
}

void mmio_bus_destroy(struct mmio_bus *bus)
{
	free(bus->regions);
	pthread_rwlock_destroy(&bus->lock);
	*bus = (struct mmio_bus){ 0 };
}

/* Index of the first region that ends after gpa; count if there is none. */
static size_t region_index(const struct mmio_bus *bus, uint64_t gpa)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mmio_region *region = bus->regions[middle];

		if (region->base + (region->size - 1) < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct mmio_bus *bus)
{
	size_t capacity = bus->capacity ? 2 * bus->capacity : 16;
	struct mmio_region **regions;

	if (bus->count < bus->capacity)
		return 0;
	regions = reallocarray(bus->regions, capacity, sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	bus->regions = regions;
	bus->capacity = capacity;
	return 0;
}

int mmio_bus_add(struct mmio_bus *bus, struct mmio_region *region)
{
	uint64_t last = region->base + (region->size - 1);
	size_t at;
	int err;

	if (!region->size || last < region->base)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	at = region_index(bus, region->base);
	if (at < bus->count && bus->regions[at]->base <= last)
		err = -EEXIST;
	else
		err = make_room(bus);
	if (!err) {
		memmove(bus->regions + at + 1, bus->regions + at,
			(bus->count - at) * sizeof(*bus->regions));
		bus->regions[at] = region;
		bus->count++;
		atomic_fetch_add(&bus->generation, 1);
	}
	pthread_rwlock_unlock(&bus->lock);
	return err;
}

void mmio_bus_remove(struct mmio_bus *bus, struct mmio_region *region)
{
	size_t at;

	pthread_rwlock_wrlock(&bus->lock);
	at = region_index(bus, region->base);
	if (at < bus->count && bus->regions[at] == region) {
		bus->count--;
		memmove(bus->regions + at, bus->regions + at + 1,
			(bus->count - at) * sizeof(*bus->regions));
		atomic_fetch_add(&bus->generation, 1);
	}
	pthread_rwlock_unlock(&bus->lock);
}

void mmio_bus_add_hole(struct mmio_bus *bus, uint64_t base, uint64_t size)
{
	assert(bus->ones_count < sizeof(bus->ones) / sizeof(bus->ones[0]));
	bus->ones[bus->ones_count++] = (struct mmio_hole){ base, size };
}

static bool holds(const struct mmio_region *region, uint64_t gpa, unsigned size)
{
	return gpa >= region->base && gpa - region->base < region->size &&
	       region->size - (gpa - region->base) >= size;
}

/*
 * Fills the cache with what answers the access: a copy, since the region may move as soon as the lock is gone. Out of
 * line, so that an access which the cache answers has no more to save and restore than it needs.
 */
static __attribute__((noinline)) bool look_up(struct mmio_cache *cache, struct mmio_bus *bus,
					      uint64_t gpa, unsigned size)
{
	bool hit = false;
	size_t at;

	pthread_rwlock_rdlock(&bus->lock);
	at = region_index(bus, gpa);
	if (at < bus->count && holds(bus->regions[at], gpa, size)) {
		hit = true;
		cache->region = *bus->regions[at];
		cache->generation = atomic_load(&bus->generation);
	}
	pthread_rwlock_unlock(&bus->lock);
	return hit;
}

static inline __attribute__((always_inline)) bool
find_region(struct mmio_cache *cache, struct mmio_bus *bus, uint64_t gpa, unsigned size)
{
	return (cache->generation == atomic_load_explicit(&bus->generation, memory_order_acquire) &&
		holds(&cache->region, gpa, size)) ||
	       look_up(cache, bus, gpa, size);
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? ~0ULL : (1ULL << (8 * size)) - 1;
}

static bool in_hole(const struct mmio_bus *bus, uint64_t gpa)
{
	for (unsigned i = 0; i < bus->ones_count; i++)
		if (gpa - bus->ones[i].base < bus->ones[i].size)
			return true;
	return false;
}

bool mmio_cache_read(struct mmio_cache *cache, struct mmio_bus *bus, uint64_t gpa, unsigned size,
		     uint64_t *value)
{
	const struct mmio_region *region = &cache->region;

	if (!find_region(cache, bus, gpa, size)) {
		*value = in_hole(bus, gpa) ? ones(size) : 0;
		return false;
	}
	*value = region->ops->read(region->device, gpa - region->base, size) & ones(size);
	return true;
}

bool mmio_cache_write(struct mmio_cache *cache, struct mmio_bus *bus, uint64_t gpa, unsigned size,
		      uint64_t value)
{
	const struct mmio_region *region = &cache->region;

	if (!find_region(cache, bus, gpa, size))
		return false;
	region->ops->write(region->device, gpa - region->base, size, value & ones(size));
	return true;
}

bool mmio_bus_read(struct mmio_bus *bus, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct mmio_cache cache = { 0 };

	return mmio_cache_read(&cache, bus, gpa, size, value);
}

bool mmio_bus_write(struct mmio_bus *bus, uint64_t gpa, unsigned size, uint64_t value)
{
	struct mmio_cache cache = { 0 };

	return mmio_cache_write(&cache, bus, gpa, size, value);
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lock for what is held for a few instructions at each access of a guest's: neither recursive nor checked, it is
 * taken and given back in line where nobody else wants it. All zeros: free; nothing is to be destroyed.
 */
#ifndef LKVM_LOCK_H
#define LKVM_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

enum lock_state {
	LOCK_FREE,
	LOCK_HELD,
	LOCK_WANTED /* held, and somebody may sleep until it is not */
};

struct lock {
	_Atomic uint32_t state;
};

/* Sleeps until the lock is the caller's; wakes one who sleeps. For the two below. */
void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	uint32_t expected = LOCK_FREE;

	if (!atomic_compare_exchange_strong_explicit(&lock->state, &expected, LOCK_HELD,
						     memory_order_acquire, memory_order_relaxed))
		lock_wait(lock);
}

static inline void lock_give(struct lock *lock)
{
	if (atomic_exchange_explicit(&lock->state, LOCK_FREE, memory_order_release) == LOCK_WANTED)
		lock_wake(lock);
}

#endif

// SPDX-License-Identifier: GPL-2.0-only
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <lkvm/lock.h>

/* Who has slept does not know whether others still do: it takes the lock as wanted, and wakes one more in vain at worst. */
void lock_wait(struct lock *lock)
{
	while (atomic_exchange_explicit(&lock->state, LOCK_WANTED, memory_order_acquire) !=
	       LOCK_FREE)
		syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, LOCK_WANTED, NULL, NULL, 0);
}

void lock_wake(struct lock *lock)
{
	syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

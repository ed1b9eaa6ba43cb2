/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's RAM: one range of guest-physical addresses, one mapping in this process. */
#ifndef LKVM_GUEST_MEM_H
#define LKVM_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_mem_config {
	uint64_t base,
		size; /* guest-physical, bytes; multiples of 2 MiB for base, of the host page for size */
	const char
		*hugetlbfs; /* directory of a hugetlbfs mount, or NULL: anonymous memory with THP */
	bool shared;        /* other processes are to have it, by a file descriptor */
};

struct guest_mem {
	uint64_t base, size;
	uint8_t *host;     /* of base; 2 MiB-aligned (the huge page's size under hugetlbfs) */
	void *reservation; /* what munmap() takes: host plus alignment slack */
	size_t reserved;
	uint64_t page_size; /* of what backs it: the least that can be given back */
	bool huge;          /* hugetlbfs */
	bool shared;
	int fd; /* shared: of a file that it is, from its start on */
};

/* Reserves the RAM; no page of it is touched. Reports what fails. destroy accepts a half-made or zeroed object. */
int guest_mem_create(struct guest_mem *mem, const struct guest_mem_config *config);
void guest_mem_destroy(struct guest_mem *mem);

/* Host address of [gpa, gpa + len), or NULL where any byte of it is not RAM. len 0 is valid anywhere in RAM. */
void *guest_mem_range(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

/*
 * Gives those host pages back to the host that lie wholly in [gpa, gpa + len), which is RAM; what the guest reads there
 * next is zeros (or an image mapped there). -errno, not reported.
 */
int guest_mem_discard(const struct guest_mem *mem, uint64_t gpa, uint64_t len);

#endif

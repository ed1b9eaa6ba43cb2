/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests have to work with, and the tests. */
#ifndef TESTS_H
#define TESTS_H

#include <stdbool.h>
#include "device.h"

#define PAGE 0x1000ULL
#define LOW  0x3ffb0000ULL    /* where a guest's interrupt controller might be */
#define HIGH 0x12345678000ULL /* beyond 4 GiB, within the aperture */

struct bed {
	const char *nic;  /* e1000e: MSI-X */
	const char *edu;  /* edu: MSI */
	const char *nvme; /* any other device with MSI or MSI-X */
	char **many;      /* functions of multi-function edu devices, one group a device */
	int nr_many;
};

/* Helpers */
int vectors_on(const struct device *dev, int index, int *eventfd); /* MSI or MSI-X; one eventfd */
/* Has the device send vector 0. Does it arrive? */
bool nic_signals(const struct device *nic, int eventfd);
bool edu_signals(const struct device *edu, int eventfd);
/* Controls of the module vfio_doorbell_test. Returns 0 or what the write returned. */
int control(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Mapping */
void test_feature(const struct bed *bed);
void test_addresses(const struct bed *bed);
void test_memory(const struct bed *bed);
void test_unmap(const struct bed *bed);
void test_race(const struct bed *bed);
void test_shared(const struct bed *bed);
void test_other_doorbell(const struct bed *bed);
void test_second_domain(const struct bed *bed);
void test_msi_32_bit(const struct bed *bed);
void test_limit(const struct bed *bed);

/* Interrupts */
void test_msi(const struct bed *bed);
void test_several_msis(const char *bdf);
void test_msix(const struct bed *bed);
void test_live(const struct bed *bed);
void test_intx(const struct bed *bed);
void test_cycles(const struct bed *bed);
void test_affinity(const struct bed *bed);
void test_reset(const struct bed *bed);
void test_reenable(const struct bed *bed);

/* The life of descriptors and processes */
void test_close(const struct bed *bed);
void test_fork(const struct bed *bed);
void test_exec(const struct bed *bed);
void test_kill(const struct bed *bed);
void test_move(const struct bed *bed);
void test_leak(const struct bed *bed);

#endif

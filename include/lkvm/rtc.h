/* SPDX-License-Identifier: GPL-2.0-only */
/* A read-mostly MC146818 RTC behind an index (offset 0) and a data (offset 1) register, as firmware expects it. */
#ifndef LKVM_RTC_H
#define LKVM_RTC_H

#include <pthread.h>
#include <stdint.h>
#include <lkvm/mmio.h>

struct rtc {
	struct mmio_bus *mmio;
	struct mmio_region region;
	pthread_mutex_t lock; /* guards index and cmos */
	uint8_t index;
	uint8_t cmos[128]; /* the registers that are not the time */
};

/* The host's time in UTC, BCD, 24 hours; it cannot be set, and no alarm rings. Reported. destroy accepts a zeroed object. */
int rtc_create(struct rtc *rtc, struct mmio_bus *mmio);
void rtc_destroy(struct rtc *rtc);

#endif

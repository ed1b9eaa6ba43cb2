// SPDX-License-Identifier: GPL-2.0-only
/* Registers as in Motorola's MC146818 data sheet; the century is where PCs keep it. */
#include <time.h>
#include <lkvm/memory_map.h>
#include <lkvm/report.h>
#include <lkvm/rtc.h>

enum {
	RTC_SECONDS = 0,
	RTC_MINUTES = 2,
	RTC_HOURS = 4,
	RTC_DAY_OF_WEEK = 6,
	RTC_DAY_OF_MONTH = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_REG_A = 10,
	RTC_REG_B = 11,
	RTC_REG_C = 12,
	RTC_REG_D = 13,
	RTC_CENTURY = 0x32,
};

#define RTC_REG_A_DEFAULT 0x26 /* 32.768 kHz time base, 1024 Hz periodic rate; UIP is never set */
#define RTC_REG_A_MASK    0x7f
#define RTC_REG_B_24H     0x02 /* and DM clear: BCD */
#define RTC_REG_B_SET     0x80 /* the one bit a guest may change: it does not stop the clock */
#define RTC_REG_D_VRT     0x80 /* time and RAM are valid */
#define RTC_INDEX_MASK    0x7f

enum rtc_port { RTC_PORT_INDEX, RTC_PORT_DATA };

static uint8_t bcd(int number)
{
	return (uint8_t)((number / 10 % 10) << 4 | number % 10);
}

/* The time's registers, or -1 for another. */
static int read_time(uint8_t index)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	switch (index) {
	case RTC_SECONDS:
		return bcd(tm.tm_sec < 60 ? tm.tm_sec : 59);
	case RTC_MINUTES:
		return bcd(tm.tm_min);
	case RTC_HOURS:
		return bcd(tm.tm_hour);
	case RTC_DAY_OF_WEEK:
		return bcd(tm.tm_wday + 1);
	case RTC_DAY_OF_MONTH:
		return bcd(tm.tm_mday);
	case RTC_MONTH:
		return bcd(tm.tm_mon + 1);
	case RTC_YEAR:
		return bcd(tm.tm_year % 100);
	case RTC_CENTURY:
		return bcd((tm.tm_year + 1900) / 100);
	default:
		return -1;
	}
}

static uint64_t rtc_read(void *device, uint64_t offset, unsigned size)
{
	struct rtc *rtc = device;
	int value;

	(void)size;
	if (offset != RTC_PORT_DATA)
		return 0;
	pthread_mutex_lock(&rtc->lock);
	value = read_time(rtc->index);
	if (value < 0)
		value = rtc->cmos[rtc->index];
	pthread_mutex_unlock(&rtc->lock);
	return (uint64_t)value;
}

/* The time's own places in cmos[] are written and never read. */
static void write_register(struct rtc *rtc, uint8_t value)
{
	switch (rtc->index) {
	case RTC_REG_A:
		rtc->cmos[RTC_REG_A] = value & RTC_REG_A_MASK;
		break;
	case RTC_REG_B:
		rtc->cmos[RTC_REG_B] = (value & RTC_REG_B_SET) | RTC_REG_B_24H;
		break;
	case RTC_REG_C:
	case RTC_REG_D:
		break;
	default:
		rtc->cmos[rtc->index] = value;
	}
}

static void rtc_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = device;

	(void)size;
	pthread_mutex_lock(&rtc->lock);
	if (offset == RTC_PORT_INDEX)
		rtc->index = value & RTC_INDEX_MASK;
	else if (offset == RTC_PORT_DATA)
		write_register(rtc, (uint8_t)value);
	pthread_mutex_unlock(&rtc->lock);
}

static const struct mmio_ops rtc_ops = { rtc_read, rtc_write };

int rtc_create(struct rtc *rtc, struct mmio_bus *mmio)
{
	int err;

	*rtc = (struct rtc){
		.mmio = mmio,
		.region = { "RTC", MAP_RTC_BASE, MAP_RTC_SIZE, &rtc_ops, rtc },
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cmos = {
			[RTC_REG_A] = RTC_REG_A_DEFAULT,
			[RTC_REG_B] = RTC_REG_B_24H,
			[RTC_REG_D] = RTC_REG_D_VRT,
		},
	};
	err = mmio_bus_add(mmio, &rtc->region);
	if (!err)
		return 0;
	rtc_destroy(rtc);
	return report(err, "cannot put the RTC on the bus");
}

void rtc_destroy(struct rtc *rtc)
{
	if (!rtc->mmio)
		return;
	mmio_bus_remove(rtc->mmio, &rtc->region);
	pthread_mutex_destroy(&rtc->lock);
	*rtc = (struct rtc){ 0 };
}

// SPDX-License-Identifier: GPL-2.0-only
/* Reads the time out of the MC146818: "rtc 2025-01-31 23:59:59". */
#include "lib.h"

enum {
	SECONDS = 0,
	MINUTES = 2,
	HOURS = 4,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	STATUS_A = 10,
	STATUS_B = 11,
	STATUS_D = 13
};

#define STATUS_A_UIP     0x80
#define STATUS_B_24_HOUR 0x02
#define STATUS_B_BINARY  0x04
#define STATUS_D_VALID   0x80

static uint8_t rtc_read(uint8_t index)
{
	write8(RTC_BASE, index);
	return read8(RTC_BASE + 1);
}

/* In BCD, which prints well in hexadecimal. */
static void print_time(void)
{
	uint8_t seconds = rtc_read(SECONDS);

	/* A second that has not changed is one in which nothing else has. */
	for (;;) {
		uint8_t minutes = rtc_read(MINUTES), hours = rtc_read(HOURS);
		uint8_t day = rtc_read(DAY), month = rtc_read(MONTH), year = rtc_read(YEAR);
		uint8_t again = rtc_read(SECONDS);

		if (again == seconds) {
			print("rtc 20%02x-%02x-%02x %02x:%02x:%02x\n", year, month, day, hours,
			      minutes, seconds);
			return;
		}
		seconds = again;
	}
}

void guest_main(const void *fdt)
{
	uint8_t status_b = rtc_read(STATUS_B);

	(void)fdt;
	check(status_b & STATUS_B_24_HOUR, "24 hours");
	check(!(status_b & STATUS_B_BINARY), "BCD");
	check(rtc_read(STATUS_D) & STATUS_D_VALID, "the time is valid");
	check(wait_until(!(rtc_read(STATUS_A) & STATUS_A_UIP), 20000), "an update ends");
	print_time();
	write8(RTC_BASE, 0x40);
	write8(RTC_BASE + 1, 0x5a);
	check(rtc_read(0x40) == 0x5a, "CMOS memory keeps what is written");
}

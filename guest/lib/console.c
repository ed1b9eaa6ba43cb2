// SPDX-License-Identifier: GPL-2.0-only
/* UART 0, a 16550 (National PC16550D), and the results printed on it. */
#include <stdarg.h>
#include "lib.h"

enum { RBR = 0, THR = 0, FCR = 2, LCR = 3, LSR = 5 };

#define FCR_ENABLE 0x01
#define LCR_8_BITS 0x03
#define LSR_DR     0x01
#define LSR_THRE   0x20
#define FIFO_SIZE  16

static unsigned fifo_room, checks;

void uart_init(void)
{
	write8(UART_BASE + LCR, LCR_8_BITS);
	write8(UART_BASE + FCR, FCR_ENABLE);
	fifo_room = 0;
}

void uart_putc(char c)
{
	if (fifo_room == 0) {
		while (!(read8(UART_BASE + LSR) & LSR_THRE))
			;
		fifo_room = FIFO_SIZE;
	}
	fifo_room--;
	write8(UART_BASE + THR, (uint8_t)c);
}

int uart_getc(void)
{
	while (!(read8(UART_BASE + LSR) & LSR_DR))
		;
	return read8(UART_BASE + RBR);
}

static void print_string(const char *s)
{
	while (*s)
		uart_putc(*s++);
}

static void print_number(uint64_t value, unsigned base, unsigned width)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value || digits + sizeof(digits) - 1 - p < (ptrdiff_t)width);
	print_string(p);
}

static void print_args(const char *fmt, va_list args)
{
	for (; *fmt; fmt++) {
		unsigned width = 0;
		bool is_long;

		if (*fmt != '%') {
			uart_putc(*fmt);
			continue;
		}
		while (*++fmt >= '0' && *fmt <= '9')
			width = width * 10 + (unsigned)(*fmt - '0');
		is_long = *fmt == 'l';
		fmt += is_long;
		if (*fmt == 's')
			print_string(va_arg(args, const char *));
		else if (*fmt == 'c')
			uart_putc((char)va_arg(args, int));
		else
			print_number(is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned),
				     *fmt == 'x' ? 16 : 10, width < 20 ? width : 20);
	}
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_args(fmt, args);
	va_end(args);
}

bool check(bool condition, const char *fmt, ...)
{
	va_list args;

	checks++;
	print(condition ? "ok " : "not ok ");
	va_start(args, fmt);
	print_args(fmt, args);
	va_end(args);
	uart_putc('\n');
	return condition;
}

void done(void)
{
	print("done %u\n", checks);
	power_off();
}

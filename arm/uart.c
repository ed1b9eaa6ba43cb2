// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transmitter is never busy: a byte has left when the store to THR returns. Only the receiver has a FIFO worth
 * the name, fed from a backlog that the main thread fills. Register names are <linux/serial_reg.h>'s.
 */
#include <linux/serial_reg.h>
#include <unistd.h>
#include <lkvm/report.h>
#include <lkvm/uart.h>
#include "uart.h"

#define UART_REGISTERS    8
#define UART_IER_MASK     0x0f
#define UART_MCR_MASK     0x1f
#define UART_IIR_FIFOS_ON 0xc0
#define MSR_CONNECTED     (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

/* After this many reads of LSR without sending anything the guest waits for input. */
#define UART_POLLS 16

struct uart_register {
	uint8_t (*read)(struct uart *uart);
	void (*write)(struct uart *uart, uint8_t value);
};

/* --- receiver; all under the lock --- */

static void fifo_push(struct uart *uart, uint8_t byte)
{
	if (uart->fifo_count == UART_FIFO_SIZE) {
		uart->overrun = true;
		return;
	}
	uart->fifo[(uart->fifo_head + uart->fifo_count++) % UART_FIFO_SIZE] = byte;
}

static uint8_t fifo_pop(struct uart *uart)
{
	uint8_t byte = uart->fifo[uart->fifo_head];

	uart->fifo_head = (uart->fifo_head + 1) % UART_FIFO_SIZE;
	uart->fifo_count--;
	return byte;
}

static bool guest_listens(const struct uart *uart)
{
	return uart->ier & UART_IER_RDI || uart->idle_polls == UART_POLLS;
}

/* Moves input into the FIFO, and wakes the main thread when that has made room. */
void uart_feed(struct uart *uart)
{
	const uint64_t one = 1;

	if (uart->mcr & UART_MCR_LOOP || !guest_listens(uart))
		return;
	while (uart->backlog_count && uart->fifo_count < UART_FIFO_SIZE) {
		fifo_push(uart, uart->backlog[uart->backlog_head]);
		uart->backlog_head = (uart->backlog_head + 1) % UART_BACKLOG_SIZE;
		uart->backlog_count--;
	}
	if (uart->input_waits && uart->backlog_count < UART_BACKLOG_SIZE / 2) {
		uart->input_waits = false;
		(void)!write(uart->refill.fd, &one, sizeof(one));
	}
}

/* --- interrupts --- */

/* The pending interrupt of highest priority (PC16550D, table IV). */
static uint8_t interrupt_id(const struct uart *uart)
{
	if (uart->ier & UART_IER_RLSI && uart->overrun)
		return UART_IIR_RLSI;
	if (uart->ier & UART_IER_RDI && uart->fifo_count)
		return UART_IIR_RDI;
	if (uart->ier & UART_IER_THRI && uart->thr_empty_pending)
		return UART_IIR_THRI;
	if (uart->ier & UART_IER_MSI && uart->msr & UART_MSR_ANY_DELTA)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

void uart_update_irq(struct uart *uart)
{
	bool level = interrupt_id(uart) != UART_IIR_NO_INT;

	if (level == uart->irq_level)
		return;
	uart->irq_level = level;
	irq_set_level(uart->irq, uart->config.spi, level);
}

/* --- registers --- */

static uint8_t read_rbr(struct uart *uart)
{
	uint8_t byte = 0;

	if (uart->fifo_count)
		byte = fifo_pop(uart);
	if (!uart->fifo_count)
		uart_feed(uart);
	return byte;
}

/* What goes out through out_fd goes without the lock: see uart_write(). */
static void write_thr(struct uart *uart, uint8_t value)
{
	if (uart->idle_polls < UART_POLLS)
		uart->idle_polls = 0;
	uart->thr_empty_pending = true;
	if (uart->mcr & UART_MCR_LOOP)
		fifo_push(uart, value);
}

static uint8_t read_ier(struct uart *uart)
{
	return uart->ier;
}

/* Enabling THRI while THR is empty, as it always is, interrupts at once. */
static void write_ier(struct uart *uart, uint8_t value)
{
	uint8_t rising = value & ~uart->ier;

	if (rising & UART_IER_THRI)
		uart->thr_empty_pending = true;
	uart->ier = value & UART_IER_MASK;
	uart->idle_polls = 0;
	uart_feed(uart);
}

static uint8_t read_iir(struct uart *uart)
{
	uint8_t id = interrupt_id(uart);

	if (id == UART_IIR_THRI)
		uart->thr_empty_pending = false;
	return id | (uart->fcr & UART_FCR_ENABLE_FIFO ? UART_IIR_FIFOS_ON : 0);
}

/* Turning the FIFOs on or off clears them; the other bits count only while they are on (PC16550D, 8.4). */
static void write_fcr(struct uart *uart, uint8_t value)
{
	bool toggled = (value ^ uart->fcr) & UART_FCR_ENABLE_FIFO;
	bool enabled = value & UART_FCR_ENABLE_FIFO;

	if (toggled || (enabled && value & UART_FCR_CLEAR_RCVR)) {
		uart->fifo_count = 0;
		uart->idle_polls = 0;
	}
	uart->fcr = enabled ? value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK) : 0;
	uart_feed(uart);
}

static uint8_t read_lcr(struct uart *uart)
{
	return uart->lcr;
}

static void write_lcr(struct uart *uart, uint8_t value)
{
	uart->lcr = value;
}

static uint8_t read_mcr(struct uart *uart)
{
	return uart->mcr;
}

/* In loopback the modem control outputs come back as the status inputs (PC16550D, 8.6.5). */
static uint8_t modem_lines(uint8_t mcr)
{
	if (!(mcr & UART_MCR_LOOP))
		return MSR_CONNECTED;
	return (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static void write_mcr(struct uart *uart, uint8_t value)
{
	uint8_t was = uart->msr & ~UART_MSR_ANY_DELTA;
	uint8_t is = modem_lines(value);
	uint8_t delta = (was ^ is) >> 4;

	if (is & UART_MSR_RI) /* only its trailing edge counts */
		delta &= ~UART_MSR_TERI;
	uart->msr = is | (uart->msr & UART_MSR_ANY_DELTA) | delta;
	uart->mcr = value & UART_MCR_MASK;
	uart_feed(uart);
}

static uint8_t read_lsr(struct uart *uart)
{
	uint8_t lsr = UART_LSR_TEMT | UART_LSR_THRE;

	if (uart->idle_polls < UART_POLLS && ++uart->idle_polls == UART_POLLS)
		uart_feed(uart);
	if (uart->fifo_count)
		lsr |= UART_LSR_DR;
	if (uart->overrun)
		lsr |= UART_LSR_OE;
	uart->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct uart *uart)
{
	uint8_t msr = uart->msr;

	uart->msr &= ~UART_MSR_ANY_DELTA;
	return msr;
}

static void write_ignored(struct uart *uart, uint8_t value)
{
	(void)uart;
	(void)value;
}

static uint8_t read_scr(struct uart *uart)
{
	return uart->scr;
}

static void write_scr(struct uart *uart, uint8_t value)
{
	uart->scr = value;
}

static uint8_t read_dll(struct uart *uart)
{
	return uart->dll;
}

static void write_dll(struct uart *uart, uint8_t value)
{
	uart->dll = value;
}

static uint8_t read_dlm(struct uart *uart)
{
	return uart->dlm;
}

static void write_dlm(struct uart *uart, uint8_t value)
{
	uart->dlm = value;
}

/* PC16550D, table II: by offset; the divisor latches stand in for the first two while LCR.DLAB is set. */
static const struct uart_register registers[UART_REGISTERS] = {
	[UART_RX] = { read_rbr, write_thr },      [UART_IER] = { read_ier, write_ier },
	[UART_IIR] = { read_iir, write_fcr },     [UART_LCR] = { read_lcr, write_lcr },
	[UART_MCR] = { read_mcr, write_mcr },     [UART_LSR] = { read_lsr, write_ignored },
	[UART_MSR] = { read_msr, write_ignored }, [UART_SCR] = { read_scr, write_scr },
};

static const struct uart_register divisor_latches[2] = {
	[UART_DLL] = { read_dll, write_dll },
	[UART_DLM] = { read_dlm, write_dlm },
};

static const struct uart_register *uart_register(const struct uart *uart, uint64_t offset)
{
	if (offset <= UART_DLM && uart->lcr & UART_LCR_DLAB)
		return &divisor_latches[offset];
	return &registers[offset];
}

/* --- the bus --- */

/* A wider access than a byte reaches the one register at its offset. */
static uint64_t uart_read(void *device, uint64_t offset, unsigned size)
{
	struct uart *uart = device;
	uint8_t value;

	(void)size;
	lock_take(&uart->lock);
	value = uart_register(uart, offset)->read(uart);
	uart_update_irq(uart);
	lock_give(&uart->lock);
	return value;
}

static void uart_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct uart *uart = device;
	const struct uart_register *reg;
	bool leaves, stalled;

	(void)size;
	lock_take(&uart->lock);
	reg = uart_register(uart, offset);
	reg->write(uart, value);
	leaves = reg == &registers[UART_TX] && !(uart->mcr & UART_MCR_LOOP) && uart->output_open;
	stalled = uart->output_stalled;
	uart_update_irq(uart);
	lock_give(&uart->lock);
	if (leaves)
		uart_send(uart, value, stalled);
}

static const struct mmio_ops uart_ops = { .read = uart_read, .write = uart_write };

/* --- creation --- */

static void power_on(struct uart *uart)
{
	uart->ier = uart->lcr = uart->mcr = uart->scr = uart->fcr = uart->dlm = 0;
	uart->dll = 1;
	uart->msr = MSR_CONNECTED;
	uart->overrun = uart->thr_empty_pending = uart->irq_level = false;
	uart->idle_polls = 0;
}

int uart_create(struct uart *uart, const struct uart_config *config, struct mmio_bus *mmio,
		struct irq_controller *irq, struct loop *loop)
{
	int err;

	*uart = (struct uart){
		.config = *config,
		.mmio = mmio,
		.irq = irq,
		.loop = loop,
		.region = { config->name, config->base, UART_REGISTERS, &uart_ops, uart },
		.output_open = config->out_fd >= 0,
	};
	power_on(uart);
	err = uart_input_start(uart);
	if (!err) {
		err = mmio_bus_add(mmio, &uart->region);
		if (err)
			report(err, "cannot put %s on the bus", config->name);
	}
	if (err)
		uart_destroy(uart);
	return err;
}

void uart_destroy(struct uart *uart)
{
	if (!uart->mmio)
		return;
	mmio_bus_remove(uart->mmio, &uart->region);
	uart_input_stop(uart);
	*uart = (struct uart){ 0 };
}

/* What the guest had not read out of the FIFO goes back to the head of the backlog, which has room for it. */
void uart_reset(struct uart *uart, struct irq_controller *irq)
{
	lock_take(&uart->lock);
	if (uart->mcr & UART_MCR_LOOP)
		uart->fifo_count = 0;
	while (uart->fifo_count) {
		unsigned last = (uart->fifo_head + --uart->fifo_count) % UART_FIFO_SIZE;

		uart->backlog_head =
			(uart->backlog_head + UART_BACKLOG_SIZE - 1) % UART_BACKLOG_SIZE;
		uart->backlog[uart->backlog_head] = uart->fifo[last];
		uart->backlog_count++;
	}
	if (uart->irq_level && irq == uart->irq)
		irq_set_level(irq, uart->config.spi, false);
	uart->irq = irq;
	power_on(uart);
	lock_give(&uart->lock);
}

/* SPDX-License-Identifier: MIT */
#include "io/serial.h"

#include <assert.h>
#include <string.h>

#include "host/counters.h"
#include "mem/layout.h"

static_assert((SERIAL_TX_BYTES & (SERIAL_TX_BYTES - 1)) == 0, "indexes wrap by masking");

enum {
	REG_DATA,
	REG_IER,
	REG_IIR_FCR,
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCR
};

#define IER_RX        0x01
#define IER_THR_EMPTY 0x02
#define IER_MODEM     0x08
#define IER_MASK      0x0f
#define IIR_MODEM     0x00
#define IIR_NONE      0x01
#define IIR_THR_EMPTY 0x02
#define IIR_RX        0x04
#define IIR_FIFO      0xc0
#define FCR_ENABLE    0x01
#define FCR_CLEAR_RX  0x02
#define LCR_DLAB      0x80
#define MCR_LOOP      0x10
#define MCR_MASK      0x1f
#define LSR_RX_READY  0x01
#define LSR_THR_EMPTY 0x20
#define LSR_TX_IDLE   0x40
#define MSR_RUNG      0x04 /* RI was on, since the last read */
#define MSR_CONNECTED 0xb0 /* CTS, DSR, DCD */

void serial_init(struct serial *serial, struct serial_host host)
{
	memset(serial, 0, offsetof(struct serial, tx));
	pthread_mutex_init(&serial->lock, NULL);
	pthread_cond_init(&serial->tx_room, NULL);
	serial->host = host;
	serial->divisor_low = 1; /* 115200 baud, as firmware would leave it */
}

void serial_attach(struct serial *serial, struct bus *ports)
{
	bus_add(ports, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_PORTS, serial_access, serial);
}

static unsigned tx_count(const struct serial *serial)
{
	return serial->tx_head - serial->tx_tail;
}

/* PC16550D, 8.5: receive comes before transmit, the modem last. */
static uint8_t pending_interrupt(const struct serial *serial)
{
	if ((serial->ier & IER_RX) && serial->rx_count > 0)
		return IIR_RX;
	if ((serial->ier & IER_THR_EMPTY) && serial->thr_empty_pending)
		return IIR_THR_EMPTY;
	if ((serial->ier & IER_MODEM) && serial->has_rung)
		return IIR_MODEM;
	return IIR_NONE;
}

/* The line is edge-triggered (boot/mptable.c): each new cause is an edge of its own. */
static void raise_if_pending(struct serial *serial)
{
	if (pending_interrupt(serial) != IIR_NONE)
		serial->host.raise_irq(serial->host.context);
}

/* There is room in the receive FIFO, or a reason to fill it. */
static void ask_for_input(struct serial *serial)
{
	serial->host.wake(serial->host.context);
}

/* The first byte after serial_transmit_peek() wakes the console, and the end of a line does. */
static void offer_output(struct serial *serial, uint8_t byte)
{
	if (serial->output_unseen && byte != '\n')
		return;
	serial->output_unseen = true;
	serial->host.wake(serial->host.context);
}

static void push_rx(struct serial *serial, uint8_t byte)
{
	if (serial->rx_count == SERIAL_RX_BYTES)
		return; /* only a guest in loop-back mode can get here */
	serial->rx[(serial->rx_head + serial->rx_count++) % SERIAL_RX_BYTES] = byte;
}

static uint8_t pop_rx(struct serial *serial)
{
	if (serial->rx_count == 0)
		return 0;
	uint8_t byte = serial->rx[serial->rx_head];
	serial->rx_head = (serial->rx_head + 1) % SERIAL_RX_BYTES;
	if (--serial->rx_count == 0)
		ask_for_input(serial); /* the console may hold more */
	return byte;
}

static void wait_for_room(struct serial *serial)
{
	serial->tx_waiters++;
	serial->host.waits(serial->host.context, true);
	while (tx_count(serial) == SERIAL_TX_BYTES && !serial->stopped)
		pthread_cond_wait(&serial->tx_room, &serial->lock);
	serial->host.waits(serial->host.context, false);
	serial->tx_waiters--;
}

static void transmit(struct serial *serial, uint8_t byte)
{
	counter_add(&serial->out_bytes, 1);
	if (serial->mcr & MCR_LOOP) {
		push_rx(serial, byte);
	} else if (tx_count(serial) > 0 || !serial->host.write_now(serial->host.context, byte)) {
		if (tx_count(serial) == SERIAL_TX_BYTES)
			wait_for_room(serial);
		if (tx_count(serial) < SERIAL_TX_BYTES)
			serial->tx[serial->tx_head++ % SERIAL_TX_BYTES] = byte;
		else
			serial->tx_dropped++;
		offer_output(serial, byte);
	}
	/* One edge until the guest has read IIR: it does so until nothing is pending. */
	bool was_pending = serial->thr_empty_pending;
	serial->thr_empty_pending = tx_count(serial) < SERIAL_TX_BYTES;
	if (!was_pending || (serial->mcr & MCR_LOOP))
		raise_if_pending(serial);
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t iir = pending_interrupt(serial);

	if (iir == IIR_THR_EMPTY)
		serial->thr_empty_pending = false; /* reading IIR acknowledges it */
	return serial->fifo_enabled ? iir | IIR_FIFO : iir;
}

static uint8_t read_lsr(const struct serial *serial)
{
	uint8_t lsr = serial->rx_count > 0 ? LSR_RX_READY : 0;

	if (tx_count(serial) < SERIAL_TX_BYTES)
		lsr |= LSR_THR_EMPTY | LSR_TX_IDLE;
	return lsr;
}

/* In loop-back mode the modem outputs feed the inputs: DTR to DSR, RTS to CTS, OUT1 to RI, OUT2 to
 * DCD. */
static uint8_t read_msr(struct serial *serial)
{
	uint8_t mcr = serial->mcr, rung = serial->has_rung ? MSR_RUNG : 0;

	if (!(mcr & MCR_LOOP)) {
		serial->has_rung = false;
		return MSR_CONNECTED | rung;
	}
	return (uint8_t)((mcr & 0x01) << 5 | (mcr & 0x02) << 3 | (mcr & 0x04) << 4 |
			 (mcr & 0x08) << 4);
}

static uint8_t read_register(struct serial *serial, uint64_t reg)
{
	bool divisor = serial->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return divisor ? serial->divisor_low : pop_rx(serial);
	case REG_IER:
		return divisor ? serial->divisor_high : serial->ier;
	case REG_IIR_FCR:
		return read_iir(serial);
	case REG_LCR:
		return serial->lcr;
	case REG_MCR:
		return serial->mcr;
	case REG_LSR:
		return read_lsr(serial);
	case REG_MSR:
		return read_msr(serial);
	default:
		return serial->scr;
	}
}

static void write_ier(struct serial *serial, uint8_t value)
{
	uint8_t enabled = value & (uint8_t)~serial->ier;

	serial->ier = value & IER_MASK;
	if ((enabled & IER_THR_EMPTY) && tx_count(serial) < SERIAL_TX_BYTES)
		serial->thr_empty_pending = true;
	if (enabled & IER_RX)
		ask_for_input(serial);
	if (enabled & IER_MASK)
		raise_if_pending(serial);
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	serial->fifo_enabled = value & FCR_ENABLE;
	if (value & FCR_CLEAR_RX) {
		serial->rx_count = 0;
		ask_for_input(serial);
	}
}

static void write_register(struct serial *serial, uint64_t reg, uint8_t value)
{
	bool divisor = serial->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (divisor)
			serial->divisor_low = value;
		else
			transmit(serial, value);
		break;
	case REG_IER:
		if (divisor)
			serial->divisor_high = value;
		else
			write_ier(serial, value);
		break;
	case REG_IIR_FCR:
		write_fcr(serial, value);
		break;
	case REG_LCR:
		serial->lcr = value;
		break;
	case REG_MCR:
		serial->mcr = value & MCR_MASK;
		break;
	case REG_SCR:
		serial->scr = value;
		break;
	default:
		break; /* LSR and MSR are read-only */
	}
}

void serial_access(void *device, const struct bus_access *access)
{
	struct serial *serial = device;

	pthread_mutex_lock(&serial->lock);
	if (access->length != 1) {
		/* Byte registers: a wider read sees nothing there. */
		if (!access->is_write)
			bus_access_reply(access, ~(uint64_t)0);
	} else if (access->is_write) {
		write_register(serial, access->offset, access->data[0]);
	} else {
		access->data[0] = read_register(serial, access->offset);
	}
	pthread_mutex_unlock(&serial->lock);
}

unsigned serial_receive_room(struct serial *serial)
{
	unsigned room = 0;

	pthread_mutex_lock(&serial->lock);
	/* A whole FIFO at a time: one interrupt for up to 16 bytes. */
	if ((serial->ier & IER_RX) && !(serial->mcr & MCR_LOOP) && serial->rx_count == 0)
		room = SERIAL_RX_BYTES;
	pthread_mutex_unlock(&serial->lock);
	return room;
}

void serial_receive(struct serial *serial, const uint8_t *data, unsigned length)
{
	pthread_mutex_lock(&serial->lock);
	for (unsigned i = 0; i < length; i++)
		push_rx(serial, data[i]);
	counter_add(&serial->in_bytes, length);
	raise_if_pending(serial);
	pthread_mutex_unlock(&serial->lock);
}

bool serial_ring(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	bool heard = serial->ier & IER_MODEM;
	if (heard) {
		serial->has_rung = true;
		raise_if_pending(serial);
	}
	pthread_mutex_unlock(&serial->lock);
	return heard;
}

unsigned serial_transmit_peek(struct serial *serial, const uint8_t **data)
{
	pthread_mutex_lock(&serial->lock);
	unsigned start = serial->tx_tail % SERIAL_TX_BYTES;
	unsigned length = tx_count(serial);
	if (length > SERIAL_TX_BYTES - start)
		length = SERIAL_TX_BYTES - start;
	*data = &serial->tx[start];
	serial->output_unseen = false;
	pthread_mutex_unlock(&serial->lock);
	return length;
}

void serial_expect_line(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->output_unseen = true;
	pthread_mutex_unlock(&serial->lock);
}

void serial_transmitted(struct serial *serial, unsigned length)
{
	pthread_mutex_lock(&serial->lock);
	bool was_full = tx_count(serial) == SERIAL_TX_BYTES;
	serial->tx_tail += length;
	if (was_full && length > 0) {
		pthread_cond_broadcast(&serial->tx_room);
		serial->thr_empty_pending = true;
		raise_if_pending(serial);
	}
	pthread_mutex_unlock(&serial->lock);
}

void serial_stop(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->stopped = true;
	pthread_cond_broadcast(&serial->tx_room);
	pthread_mutex_unlock(&serial->lock);
}

bool serial_is_at_rest(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	bool rests = tx_count(serial) == 0 && serial->tx_waiters == 0;
	pthread_mutex_unlock(&serial->lock);
	return rests;
}

uint64_t serial_untransmitted(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	uint64_t bytes = tx_count(serial) + serial->tx_dropped;
	pthread_mutex_unlock(&serial->lock);
	return bytes;
}

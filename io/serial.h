/* SPDX-License-Identifier: MIT */
/*
 * A 16550A UART (National Semiconductor PC16550D) at 0x3f8, its guest side.
 *
 * The guest's bytes collect in a ring buffer that the console empties (io/console.h); the console puts typed bytes
 * into the receive FIFO. The vCPUs' threads and the console's thread meet under one lock. Nothing is dropped: a full
 * transmit buffer shows in LSR, then blocks the writing vCPU. The console hands over only what the receive FIFO
 * takes, and only while the driver has receive interrupts enabled, because drivers clear the FIFOs before that.
 */
#ifndef IO_SERIAL_H
#define IO_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/bus.h"

#define SERIAL_RX_BYTES 16u
#define SERIAL_TX_BYTES 16384u /* a power of two */

struct serial_host {
	/* Writes the byte out at once, if that is possible without waiting: nothing is before it. A vCPU's thread. */
	bool (*write_now)(void *context, uint8_t byte);
	/* Raises the UART's interrupt (an edge). Any thread. */
	void (*raise_irq)(void *context);
	/* There are bytes to transmit, or room in the receive FIFO. A vCPU's thread. */
	void (*wake)(void *context);
	/* A vCPU's thread begins or ends to wait for room. */
	void (*waits)(void *context, bool begins);
	void *context;
};

struct serial {
	pthread_mutex_t lock;
	pthread_cond_t tx_room;
	struct serial_host host;
	uint8_t ier, lcr, mcr, scr, divisor_low, divisor_high;
	bool fifo_enabled, thr_empty_pending, has_rung, output_unseen, stopped;
	uint8_t rx[SERIAL_RX_BYTES];
	unsigned rx_head, rx_count;
	unsigned tx_head, tx_tail;    /* free-running; head - tail bytes wait */
	unsigned tx_waiters;          /* vCPUs that wait for room */
	uint64_t tx_dropped;          /* bytes that found no room after serial_stop() */
	uint64_t in_bytes, out_bytes; /* counters: received and transmitted */
	uint8_t tx[SERIAL_TX_BYTES];  /* untouched until it is used */
};

void serial_init(struct serial *serial, struct serial_host host);

/* Ports LAYOUT_SERIAL_PORT and on. */
void serial_attach(struct serial *serial, struct bus *ports);

/* Handler of the eight registers, for the bus and for tests. */
void serial_access(void *serial, const struct bus_access *access);

/* How many bytes serial_receive() would take now. */
unsigned serial_receive_room(struct serial *serial);

/* Puts bytes into the receive FIFO: at most serial_receive_room(). */
void serial_receive(struct serial *serial, const uint8_t *data, unsigned length);

/* Rings: the modem's RI comes and goes, for a driver that has modem status interrupts enabled. False: it has not. */
bool serial_ring(struct serial *serial);

/* The bytes that wait, up to the buffer's wrap: valid until serial_transmitted(). 0: none, and the next byte calls
 * host.wake(). */
unsigned serial_transmit_peek(struct serial *serial, const uint8_t **data);

/* After that: what follows calls host.wake() with the end of a line only, until the next peek. */
void serial_expect_line(struct serial *serial);
void serial_transmitted(struct serial *serial, unsigned length);

/* Releases a vCPU that waits for room; from now on bytes that do not fit are dropped. */
void serial_stop(struct serial *serial);

/* Whether no byte of the guest waits, and no vCPU for room. */
bool serial_is_at_rest(struct serial *serial);

/* How many bytes of the guest wait or were dropped. */
uint64_t serial_untransmitted(struct serial *serial);

#endif

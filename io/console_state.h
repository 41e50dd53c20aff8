/* SPDX-License-Identifier: MIT */
/* What a snapshot keeps of the UART and of what was typed. What was printed is written out before. */
#ifndef IO_CONSOLE_STATE_H
#define IO_CONSOLE_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "io/console.h"

struct serial_state {
	uint8_t ier, lcr, mcr, scr, divisor_low, divisor_high;
	uint8_t fifo_enabled, thr_empty_pending, has_rung;
	uint8_t rx_count, reserved[6];
	uint8_t rx[SERIAL_RX_BYTES]; /* the oldest first */
};
static_assert(sizeof(struct serial_state) == 32, "a file's format");

struct console_state {
	struct serial_state serial;
	uint32_t n_typed, reserved;
	uint8_t typed[KEYBOARD_BUFFER_BYTES]; /* zeroes behind n_typed */
};
static_assert(sizeof(struct console_state) == 65576, "a file's format");

/* Reads nothing any more, until console_go_on(). Again and again; true: all that the guest has printed is written out, no vCPU
 * waits for room, and no read is in flight. On the ring's thread. */
bool console_come_to_rest(struct console *console);
void console_go_on(struct console *console);

/* At rest, on the ring's thread. */
void console_save(const struct console *console, struct console_state *state);

/* The console is open, and not yet started. False: no guest gets a UART there. */
bool console_restore(struct console *console, const struct console_state *state,
		     struct error_text *error);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Derived, of struct serial: lock, tx_room and host are the new process's own. At rest tx_head and tx_tail are equal, tx holds
 * nothing and there are no tx_waiters; output_unseen and stopped are false, tx_dropped is 0. rx_head begins anew, as do the
 * counters in_bytes and out_bytes.
 *
 * Of struct keyboard: read_op, ready_op, check_op, ring, serial, exit, fd, is_terminal, ended, reading, resting, checking and chunk are
 * the new process's, as is escape_seen: it is about keys of its own terminal. head and tail are counted anew.
 *
 * Of struct console, all but serial and keyboard is about the new process's output: write_op, writable_op, line_op, wake, ring,
 * irq, exit, gate, output_blocks, output_failed, writing, line_waits, line_is_late, finishing, reader_gone, lost_bytes, refusal,
 * output_fd, output_flags, writes_at_once, wrote_now_ms.
 */
#include "io/console_state.h"

#include <string.h>

#define IER_MASK 0x0f
#define MCR_MASK 0x1f

bool console_come_to_rest(struct console *console)
{
	return keyboard_come_to_rest(&console->keyboard) && !console->writing &&
	       serial_is_at_rest(&console->serial);
}

void console_go_on(struct console *console)
{
	keyboard_go_on(&console->keyboard);
}

static void save_serial(const struct serial *serial, struct serial_state *state)
{
	*state = (struct serial_state){
		.ier = serial->ier,
		.lcr = serial->lcr,
		.mcr = serial->mcr,
		.scr = serial->scr,
		.divisor_low = serial->divisor_low,
		.divisor_high = serial->divisor_high,
		.fifo_enabled = serial->fifo_enabled,
		.thr_empty_pending = serial->thr_empty_pending,
		.has_rung = serial->has_rung,
		.rx_count = (uint8_t)serial->rx_count,
	};
	for (unsigned i = 0; i < serial->rx_count; i++)
		state->rx[i] = serial->rx[(serial->rx_head + i) % SERIAL_RX_BYTES];
}

void console_save(const struct console *console, struct console_state *state)
{
	const struct keyboard *keyboard = &console->keyboard;
	unsigned n = keyboard->head - keyboard->tail;

	save_serial(&console->serial, &state->serial);
	state->n_typed = n;
	state->reserved = 0;
	for (unsigned i = 0; i < n; i++)
		state->typed[i] = keyboard->typed[(keyboard->tail + i) % KEYBOARD_BUFFER_BYTES];
	memset(state->typed + n, 0, KEYBOARD_BUFFER_BYTES - n);
}

static bool restore_serial(struct serial *serial, const struct serial_state *state)
{
	if (state->ier > IER_MASK || state->mcr > MCR_MASK || state->rx_count > SERIAL_RX_BYTES)
		return false;
	serial->ier = state->ier;
	serial->lcr = state->lcr;
	serial->mcr = state->mcr;
	serial->scr = state->scr;
	serial->divisor_low = state->divisor_low;
	serial->divisor_high = state->divisor_high;
	serial->fifo_enabled = state->fifo_enabled & 1;
	serial->thr_empty_pending = state->thr_empty_pending & 1;
	serial->has_rung = state->has_rung & 1;
	memcpy(serial->rx, state->rx, SERIAL_RX_BYTES);
	serial->rx_head = 0;
	serial->rx_count = state->rx_count;
	return true;
}

bool console_restore(struct console *console, const struct console_state *state,
		     struct error_text *error)
{
	struct keyboard *keyboard = &console->keyboard;

	if (!restore_serial(&console->serial, &state->serial) ||
	    state->n_typed > KEYBOARD_BUFFER_BYTES)
		return error_set(error, "console: no guest gets the UART there");
	/* Few pages where little was typed. */
	memcpy(keyboard->typed, state->typed, state->n_typed);
	keyboard->tail = 0;
	keyboard->head = state->n_typed;
	event_signal(console->wake.fd);
	return true;
}

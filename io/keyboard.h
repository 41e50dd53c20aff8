/* SPDX-License-Identifier: MIT */
/*
 * The way of typed bytes, from standard input to the UART.
 *
 * One read is in flight at most, and what was typed and not yet taken by the guest is kept in a buffer that does not
 * grow: no reading while it is full. On a terminal, Ctrl-a x ends the VM as soon as it is read, whether or not the
 * guest takes what was typed before.
 *
 * A terminal is only read when something was typed and the process is in the foreground: a read that waits would
 * later take what is typed for others. No signal tells a running process that its shell has put it in the foreground,
 * but somebody has typed that. So a key typed to others makes it check the terminal a moment later.
 */
#ifndef IO_KEYBOARD_H
#define IO_KEYBOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "host/exit_request.h"
#include "host/ring.h"
#include "io/serial.h"

#define KEYBOARD_READ_BYTES   4096u
#define KEYBOARD_BUFFER_BYTES 65536u /* a power of two */

struct keyboard {
	struct ring_op read_op, ready_op, check_op;
	struct ring *ring;
	struct serial *serial;
	struct exit_request *exit;
	int fd; /* -1: none */
	bool is_terminal, ended, escape_seen;
	bool reading, checking; /* a read or poll is in flight; a check of the foreground is due */
	bool resting;           /* what is typed is left where it is */
	unsigned head, tail;    /* free-running; head - tail bytes wait */
	/* From here on untouched until something is typed. */
	uint8_t chunk[KEYBOARD_READ_BYTES];
	uint8_t typed[KEYBOARD_BUFFER_BYTES];
};

/* Standard input is the descriptor `fd`; -1: nothing is typed. */
void keyboard_init(struct keyboard *keyboard, struct ring *ring, int fd, struct serial *serial,
		   struct exit_request *exit);

/* Takes the terminal, if there is one and the process is in the foreground, and starts reading: after ring_start(). */
void keyboard_start(struct keyboard *keyboard);

/* Hands typed bytes to the UART as it takes them, and reads more when there is room. */
void keyboard_pump(struct keyboard *keyboard);

/* Nothing is read any more, until keyboard_go_on(). Again and again; true: no read is in flight that could take what the next
 * process is to read. Before Linux 6.0 one may be. */
bool keyboard_come_to_rest(struct keyboard *keyboard);
void keyboard_go_on(struct keyboard *keyboard);

/* Before a stop of the process and after it: leaves the terminal, and takes it again if the process is in the
 * foreground. */
void keyboard_suspend(struct keyboard *keyboard);
void keyboard_resume(struct keyboard *keyboard);

/* Ctrl-a on a terminal: copies `input` without its escapes to `output` (room for length + 1
 * bytes). Returns the bytes for the guest; *quit is set by Ctrl-a x. Pure, for tests. */
unsigned keyboard_filter_escapes(bool *escape_seen, const uint8_t *input, unsigned length,
				 uint8_t *output, bool *quit);

#endif

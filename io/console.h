/* SPDX-License-Identifier: MIT */
/*
 * The host side of the UART: standard input and output, or a file.
 *
 * The guest's bytes are written by the ring, many at a time: at the end of a line, or a millisecond after the first.
 * Only the first after a pause goes to a pipe at once, from the vCPU's thread: whoever waits for it need not wait for
 * the event loop to get a CPU.
 */
#ifndef IO_CONSOLE_H
#define IO_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/event.h"
#include "host/exit_request.h"
#include "host/file.h"
#include "host/gate.h"
#include "host/refusal.h"
#include "host/ring.h"
#include "io/keyboard.h"
#include "io/serial.h"
#include "irq/irq_line.h"

struct console {
	struct ring_op write_op, writable_op, line_op;
	struct event wake;
	struct ring *ring;
	struct irq_line irq;
	struct exit_request *exit;
	struct gate *gate; /* of the vCPUs: one that waits for room counts as stopped; NULL: none */
	bool output_blocks, output_failed, writing;
	bool line_waits, line_is_late, finishing;
	bool reader_gone;            /* of the output */
	uint64_t lost_bytes;         /* dropped since the output has failed */
	struct refusal refusal;      /* of a write that needs a worker */
	int output_fd, output_flags; /* RWF_ */
	bool writes_at_once;  /* output_fd is a pipe that does not block; under the UART's lock */
	int64_t wrote_now_ms; /* when it last did */
	/* From here on each has its own init. */
	struct serial serial;
	struct keyboard keyboard;
};

struct console_limits {
	unsigned stall_ms, total_ms, hurry_ms;
};

/* Makes the UART with its interrupt, on standard input and output (file NULL), or writing to an inherited descriptor, or
 * to a file that is made or emptied, and locked: it must not be an image. Before ring_start(). Exits if the file cannot
 * be opened. */
void console_open(struct console *console, const struct file_name *file, const int *vm_fd,
		  struct ring *ring, struct exit_request *exit);

/* Starts reading what is typed: after ring_start(). */
void console_start(struct console *console);

/* After the vCPUs have stopped: writes out what the guest has printed. Gives up after the limits' total_ms, or when
 * the reader has taken nothing for stall_ms; as soon as *hurry, after hurry_ms. Returns how many bytes are lost,
 * now or by failed writes before, and reports that on stderr. Bytes for a reader that has left do not count. */
uint64_t console_finish(struct console *console, const struct console_limits *limits,
			const bool *hurry);

/* How many bytes failed writes have lost so far. */
uint64_t console_lost_bytes(const struct console *console);

/* At the very end, with the ring: whoever reads the output finds its end. */
void console_close(struct console *console);

#endif

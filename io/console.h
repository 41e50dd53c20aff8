/*
 * The host side of the UART: standard input and output, or a file.
 *
 * One write and one read are in flight at most, and what was typed and not yet taken by the guest is
 * kept in a buffer that does not grow: no reading while it is full. On a terminal, Ctrl-a x ends
 * the VM; it is looked for when it is read, not when the guest takes it.
 *
 * The guest's bytes are written by the ring, many at a time. Only the first after a pause goes to a pipe at once, from
 * the vCPU's thread: whoever waits for it need not wait for the event loop to get a CPU.
 */
#ifndef IO_CONSOLE_H
#define IO_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/exit_request.h"
#include "host/ring.h"
#include "io/serial.h"
#include "irq/irq_line.h"

#define CONSOLE_READ_BYTES  4096u
#define CONSOLE_INPUT_BYTES 65536u /* a power of two */

struct console {
	struct ring_op wake_op, read_op, write_op, readable_op, writable_op;
	struct ring *ring;
	struct serial serial;
	struct irq_line irq;
	struct exit_request *exit;
	int wake_fd, wake_slot, input_slot, output_slot; /* slot -1: none */
	uint64_t wake_count;
	bool input_is_terminal, input_ended, reading, escape_seen;
	bool output_blocks, output_failed, writing;
	bool reader_gone;            /* of the output */
	uint64_t lost_bytes;         /* dropped since the output has failed */
	int output_fd, output_flags; /* RWF_ */
	bool writes_at_once;  /* output_fd is a pipe that does not block; under the UART's lock */
	int64_t wrote_now_ms; /* when it last did */
	uint8_t chunk[CONSOLE_READ_BYTES];
	uint8_t input[CONSOLE_INPUT_BYTES];
	unsigned input_head, input_tail; /* free-running; head - tail bytes wait */
};

struct console_limits {
	unsigned stall_ms, total_ms, hurry_ms;
};

/* Makes the UART with its interrupt, on standard input and output (path NULL) or writing to a file
 * that is made or emptied, and locked: it must not be an image. Before ring_start(). Exits if the
 * file cannot be opened. */
void console_open(struct console *console, const char *path, int vm_fd, struct ring *ring,
		  struct exit_request *exit);

/* Makes the terminal raw and starts reading: after ring_start(). */
void console_start(struct console *console);

/* After a stop of the process: makes the terminal raw and reads again. */
void console_continue(struct console *console);

/* After the vCPUs have stopped: writes out what the guest has printed. Gives up after the limits'
 * total_ms, or when the reader has taken nothing for stall_ms; as soon as *hurry, after hurry_ms. Returns how many bytes
 * are lost, and says so on stderr: these, and those that could not be written before. What a reader that is gone has
 * not read is not lost: it did not want it. */
uint64_t console_finish(struct console *console, const struct console_limits *limits,
			const bool *hurry);

/* At the very end, with the ring: whoever reads the output finds its end. */
void console_close(struct console *console);

/* Ctrl-a on a terminal: copies `input` without its escapes to `output` (room for length + 1
 * bytes). Returns the bytes for the guest; *quit is set by Ctrl-a x. Pure, for tests. */
unsigned console_filter_escapes(bool *escape_seen, const uint8_t *input, unsigned length,
				uint8_t *output, bool *quit);

#endif

/* SPDX-License-Identifier: MIT */
#include "io/keyboard.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "host/error.h"
#include "host/terminal.h"

#define CTRL_A 0x01

/* By then the shell that got the key has acted on it. */
static const struct __kernel_timespec check_pause = { .tv_nsec = 200000000 };

static struct keyboard *keyboard_of(struct ring_op *op, size_t offset)
{
	return (struct keyboard *)((char *)op - offset);
}

unsigned keyboard_filter_escapes(bool *escape_seen, const uint8_t *input, unsigned length,
				 uint8_t *output, bool *quit)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < length; i++) {
		uint8_t byte = input[i];
		if (!*escape_seen) {
			*escape_seen = byte == CTRL_A;
			if (byte != CTRL_A)
				output[kept++] = byte;
			continue;
		}
		*escape_seen = false;
		if (byte == 'x') {
			*quit = true;
			return kept;
		}
		/* Ctrl-a Ctrl-a is one Ctrl-a; before any other key it was meant for the guest. */
		output[kept++] = CTRL_A;
		if (byte != CTRL_A)
			output[kept++] = byte;
	}
	return kept;
}

static void start_read(struct keyboard *keyboard)
{
	struct io_uring_sqe *sqe = ring_prepare(keyboard->ring);

	io_uring_prep_read(sqe, keyboard->fd, keyboard->chunk, KEYBOARD_READ_BYTES, (uint64_t)-1);
	ring_commit(sqe, &keyboard->read_op);
	if (keyboard->is_terminal)
		sqe->flags |= IOSQE_ASYNC; /* terminals know no non-blocking attempt */
}

static void wait_until_ready(struct keyboard *keyboard)
{
	struct io_uring_sqe *sqe = ring_prepare(keyboard->ring);

	io_uring_prep_poll_add(sqe, keyboard->fd, POLLIN);
	ring_commit(sqe, &keyboard->ready_op);
}

static void listen_for_keys(struct keyboard *keyboard)
{
	unsigned waiting = keyboard->head - keyboard->tail;

	/* One more: an escape's Ctrl-a may turn out to be for the guest. */
	if (keyboard->reading || keyboard->ended || keyboard->resting || keyboard->fd < 0 ||
	    KEYBOARD_BUFFER_BYTES - waiting < KEYBOARD_READ_BYTES + 1)
		return;
	keyboard->reading = true;
	if (keyboard->is_terminal)
		wait_until_ready(keyboard);
	else
		start_read(keyboard);
}

static void check_later(struct keyboard *keyboard)
{
	struct io_uring_sqe *sqe;

	if (keyboard->checking)
		return;
	keyboard->checking = true;
	sqe = ring_prepare(keyboard->ring);
	io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&check_pause, 0, 0);
	ring_commit(sqe, &keyboard->check_op);
}

static void check_foreground(struct ring_op *op, int32_t result)
{
	struct keyboard *keyboard = keyboard_of(op, offsetof(struct keyboard, check_op));

	(void)result;
	keyboard->checking = false;
	/* A key since the last check has not been noticed, and may have been the one that put us in the foreground. */
	if (!terminal_take() && !keyboard->reading)
		check_later(keyboard);
	listen_for_keys(keyboard);
}

/* In the background: what is typed is for others. */
static void leave_to_others(struct keyboard *keyboard)
{
	keyboard->reading = false;
	check_later(keyboard);
}

/* A change of the mode wakes a poll for nothing, which some kernels then end with -EINVAL. Retried once at once,
 * then at the pace of the checks: whatever the reason, this must not become a busy loop. */
static void listen_again(struct keyboard *keyboard)
{
	keyboard->reading = false;
	if (!keyboard->checking)
		listen_for_keys(keyboard);
	check_later(keyboard);
}

static void became_ready(struct ring_op *op, int32_t result)
{
	struct keyboard *keyboard = keyboard_of(op, offsetof(struct keyboard, ready_op));

	if (keyboard->resting)
		keyboard->reading = false;
	else if (!keyboard->is_terminal)
		start_read(keyboard);
	else if (result < 0)
		listen_again(keyboard);
	else if (result & POLLHUP)
		keyboard->ended = true;
	else if (terminal_take())
		start_read(keyboard);
	else
		leave_to_others(keyboard);
}

static void take_typed(struct keyboard *keyboard, unsigned length)
{
	uint8_t filtered[KEYBOARD_READ_BYTES + 1];
	const uint8_t *from = keyboard->chunk;
	bool quit = false;

	if (keyboard->is_terminal) {
		length = keyboard_filter_escapes(&keyboard->escape_seen, keyboard->chunk, length,
						 filtered, &quit);
		from = filtered;
	}
	for (unsigned i = 0; i < length; i++)
		keyboard->typed[keyboard->head++ % KEYBOARD_BUFFER_BYTES] = from[i];
	if (quit)
		exit_request_post(keyboard->exit, EXIT_GUEST_ENDED);
}

static void read_done(struct ring_op *op, int32_t result)
{
	struct keyboard *keyboard = keyboard_of(op, offsetof(struct keyboard, read_op));

	if (result == -EAGAIN && !keyboard->resting) {
		wait_until_ready(keyboard);
		return; /* still "reading" */
	}
	if (result == -EIO && keyboard->is_terminal) { /* others have just come to the foreground */
		leave_to_others(keyboard);
		return;
	}
	keyboard->reading = false;
	if (result > 0)
		take_typed(keyboard, (unsigned)result);
	else if (result != -EINTR && !keyboard->resting)
		keyboard->ended = true;
	keyboard_pump(keyboard);
}

void keyboard_pump(struct keyboard *keyboard)
{
	unsigned room = serial_receive_room(keyboard->serial);
	uint8_t bytes[SERIAL_RX_BYTES];
	unsigned n = 0;

	for (; n < room && keyboard->tail != keyboard->head; n++)
		bytes[n] = keyboard->typed[keyboard->tail++ % KEYBOARD_BUFFER_BYTES];
	if (n > 0)
		serial_receive(keyboard->serial, bytes, n);
	listen_for_keys(keyboard);
}

bool keyboard_come_to_rest(struct keyboard *keyboard)
{
	if (keyboard->reading && !keyboard->resting) {
		ring_cancel(keyboard->ring, &keyboard->read_op);
		ring_cancel(keyboard->ring, &keyboard->ready_op);
	}
	keyboard->resting = true;
	return !keyboard->reading;
}

void keyboard_go_on(struct keyboard *keyboard)
{
	keyboard->resting = false;
	listen_for_keys(keyboard);
}

void keyboard_init(struct keyboard *keyboard, struct ring *ring, int fd, struct serial *serial,
		   struct exit_request *exit)
{
	memset(keyboard, 0, offsetof(struct keyboard, chunk));
	keyboard->ring = ring;
	keyboard->serial = serial;
	keyboard->exit = exit;
	keyboard->fd = fd;
	keyboard->is_terminal = fd >= 0 && terminal_open();
	keyboard->read_op.done = read_done;
	keyboard->ready_op.done = became_ready;
	keyboard->check_op.done = check_foreground;
}

void keyboard_start(struct keyboard *keyboard)
{
	/* A launcher may put us in the foreground only after the fork. */
	if (keyboard->is_terminal && !terminal_take())
		check_later(keyboard);
	listen_for_keys(keyboard);
}

void keyboard_suspend(struct keyboard *keyboard)
{
	if (keyboard->is_terminal)
		terminal_leave();
}

void keyboard_resume(struct keyboard *keyboard)
{
	if (!keyboard->is_terminal)
		return;
	terminal_forget();
	if (!terminal_take())
		check_later(keyboard);
	listen_for_keys(keyboard);
}

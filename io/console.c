/* SPDX-License-Identifier: MIT */
#include "io/console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/fail.h"
#include "host/message.h"
#include "mem/layout.h"

/* For the end of a line that the guest has begun. */
#define LINE_WAIT_NS 1000000

static struct console *console_of(struct ring_op *op, size_t offset)
{
	return (struct console *)((char *)op - offset);
}

/* The guest hands over single bytes. To write each costs two changes of thread, and the reader's two; a line costs
 * them once. */
static bool waits_for_line(struct console *console, const uint8_t *data, unsigned length)
{
	static struct __kernel_timespec wait = { .tv_nsec = LINE_WAIT_NS };

	if (console->line_is_late || console->finishing || memchr(data, '\n', length) != NULL)
		return false;
	if (!console->line_waits) {
		struct io_uring_sqe *sqe = ring_prepare(console->ring);
		io_uring_prep_timeout(sqe, &wait, 0, 0);
		ring_commit(sqe, &console->line_op);
		console->line_waits = true;
	}
	serial_expect_line(&console->serial);
	return true;
}

static void pump_output(struct console *console)
{
	const uint8_t *data;

	if (console->writing)
		return;
	unsigned length = serial_transmit_peek(&console->serial, &data);
	while (length > 0 && console->output_failed) {
		console->lost_bytes += length;
		serial_transmitted(&console->serial, length);
		length = serial_transmit_peek(&console->serial, &data);
	}
	if (length == 0 || waits_for_line(console, data, length))
		return;
	struct io_uring_sqe *sqe = ring_prepare(console->ring);
	io_uring_prep_write(sqe, console->output_fd, data, length, (uint64_t)-1);
	sqe->rw_flags = console->output_flags;
	ring_commit(sqe, &console->write_op);
	if (console->output_blocks)
		sqe->flags |= IOSQE_ASYNC;
	console->writing = true;
}

/* A descriptor that was set non-blocking: the ring waits until it is ready. */
static void wait_until_writable(struct console *console)
{
	struct io_uring_sqe *sqe = ring_prepare(console->ring);

	io_uring_prep_poll_add(sqe, console->output_fd, POLLOUT);
	ring_commit(sqe, &console->writable_op);
}

/* A file is written by a worker, which the host may refuse (pids.max, RLIMIT_NPROC). Retried for one second, then
 * the VM ends. */
static bool try_again(struct console *console, int32_t result)
{
	static struct __kernel_timespec pause = { .tv_nsec = REFUSAL_PAUSE_NS };

	if (result != -ECANCELED)
		return false;
	if (!refusal_may_pass(&console->refusal)) {
		if (exit_request_post(console->exit, EXIT_HOST_REFUSED))
			warn("console: the host makes no task that would write to the file "
			     "(pids.max of a "
			     "cgroup, or RLIMIT_NPROC)");
		return false;
	}
	struct io_uring_sqe *sqe = ring_prepare(console->ring);
	io_uring_prep_timeout(sqe, &pause, 0, 0);
	ring_commit(sqe, &console->writable_op);
	return true;
}

static void write_done(struct ring_op *op, int32_t result)
{
	struct console *console = console_of(op, offsetof(struct console, write_op));

	if (try_again(console, result))
		return; /* still "writing" */
	if (result == -EAGAIN) {
		wait_until_writable(console);
		return;
	}
	console->writing = false;
	if (result >= 0) {
		console->refusal.since_ms = 0;
		serial_transmitted(&console->serial, (unsigned)result);
	} else if (result != -EINTR && !console->output_failed) {
		/* The guest goes on without its console. EPIPE: the reader has left. */
		console->output_failed = true;
		console->reader_gone = result == -EPIPE;
		if (result != -EPIPE && result != -ECANCELED)
			warn("console: cannot write: %s; further output is dropped",
			     strerror(-result));
	}
	pump_output(console);
}

static void line_late(struct ring_op *op, int32_t result)
{
	struct console *console = console_of(op, offsetof(struct console, line_op));

	(void)result;
	console->line_waits = false;
	console->line_is_late = true;
	pump_output(console);
	console->line_is_late = false;
}

static void output_writable(struct ring_op *op, int32_t result)
{
	struct console *console = console_of(op, offsetof(struct console, writable_op));

	(void)result;
	console->writing = false;
	pump_output(console);
}

static void woken(struct event *event)
{
	struct console *console =
		(struct console *)((char *)event - offsetof(struct console, wake));

	pump_output(console);
	keyboard_pump(&console->keyboard);
}

static void wake(void *context)
{
	const struct console *console = context;

	event_signal(console->wake.fd);
}

static void raise_irq(void *context)
{
	const struct console *console = context;

	irq_line_raise(&console->irq);
}

static void vcpu_waits(void *context, bool begins)
{
	const struct console *console = context;

	if (console->gate == NULL)
		return;
	if (begins)
		gate_wait_begins(console->gate);
	else
		gate_wait_ends(console->gate);
}

/* One byte a millisecond at most: a long text is better written in one piece. */
static bool write_now(void *context, uint8_t byte)
{
	struct console *console = context;

	if (!console->writes_at_once)
		return false;
	int64_t now_ms = clock_now_ms();
	if (now_ms == console->wrote_now_ms)
		return false;
	console->wrote_now_ms = now_ms;
	return write(console->output_fd, &byte, 1) == 1;
}

/* Locked before it is emptied: it may be an image in use. Appended to: log rotation may empty it meanwhile. A FIFO
 * is not waited for. */
static bool open_output(int *output_fd, const char *path, struct error_text *error)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	struct stat status;

	*output_fd = fd;
	if (fd < 0 && errno == ENXIO && stat(path, &status) == 0 && S_ISFIFO(status.st_mode))
		return error_set(error, "nobody reads this FIFO");
	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if (S_ISBLK(status.st_mode))
		return error_set(error, "this is a block device");
	if (!S_ISREG(status.st_mode))
		return true;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES))
		return error_set_refused(error, "it is in use, as an image or by another VM");
	return ftruncate(fd, 0) == 0 || error_set_errno(error, "%s", strerror(errno));
}

/* `vmm >log 2>&1`: the guest's bytes and our lines share one file, and neither may overwrite the other. */
static bool is_stderr_too(const struct stat *out)
{
	struct stat err;

	return S_ISREG(out->st_mode) && fstat(STDERR_FILENO, &err) == 0 &&
	       out->st_dev == err.st_dev && out->st_ino == err.st_ino;
}

/* A pipe on stdout gets a description of our own that does not block; the launcher's stays as it is. Returns it, or
 * -1 where there is no pipe, or no /proc. */
static int reopen_pipe(const struct stat *status)
{
	return S_ISFIFO(status->st_mode)
		       ? open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC)
		       : -1;
}

static void open_inherited(struct console *console, int fd)
{
	struct stat status = { 0 };
	int own_fd = fstat(fd, &status) == 0 && fd == STDOUT_FILENO ? reopen_pipe(&status) : -1;

	console->writes_at_once = own_fd >= 0;
	console->output_fd = own_fd >= 0 ? own_fd : fd;
	/* Not O_APPEND: the description's flags are the launcher's. */
	console->output_flags = is_stderr_too(&status) ? RWF_APPEND : 0;
}

static void open_file(struct console *console, const struct file_name *file)
{
	struct error_text error;

	if (file->fd == 0) {
		if (!open_output(&console->output_fd, file->text, &error))
			fail_option(&error, "--serial file:%s", file->text);
	} else if (file_check_access(file->fd, true, &error)) {
		open_inherited(console, file->fd);
	} else {
		fail_option(&error, "--serial %s", file->text);
	}
}

void console_open(struct console *console, const struct file_name *file, const int *vm_fd,
		  struct ring *ring, struct exit_request *exit)
{
	struct serial_host host = { write_now, raise_irq, wake, vcpu_waits, console };
	struct stat status;

	/* Avoid touching the buffers' pages: most are never used. */
	memset(console, 0, offsetof(struct console, serial));
	console->ring = ring;
	console->exit = exit;
	console->write_op.done = write_done;
	console->writable_op.done = output_writable;
	console->line_op.done = line_late;
	serial_init(&console->serial, host);
	keyboard_init(&console->keyboard, ring, file == NULL ? STDIN_FILENO : -1, &console->serial,
		      exit);
	console->irq = (struct irq_line){ vm_fd, LAYOUT_SERIAL_GSI };
	event_open(&console->wake, ring, "the console's", woken);
	if (file == NULL)
		open_inherited(console, STDOUT_FILENO);
	else
		open_file(console, file);
	console->output_blocks = fstat(console->output_fd, &status) == 0 && S_ISCHR(status.st_mode);
}

void console_close(struct console *console)
{
	close(console->output_fd);
}

void console_start(struct console *console)
{
	event_start(&console->wake);
	keyboard_start(&console->keyboard);
}

/* False: the time is up. */
static bool drain(struct console *console, const struct console_limits *limits, const bool *hurry)
{
	const uint8_t *data;
	int64_t start = clock_now_ms(), now = start, moved = start;

	console->finishing = true;
	pump_output(console);
	while (console->writing || serial_transmit_peek(&console->serial, &data) > 0) {
		unsigned tail = console->serial.tx_tail;
		int64_t end = start + (*hurry ? limits->hurry_ms : limits->total_ms);
		int64_t until = end < moved + limits->stall_ms ? end : moved + limits->stall_ms;
		if (now >= until || ring_wait_for(console->ring, (unsigned)(until - now)) < 0)
			return false;
		now = clock_now_ms();
		if (console->serial.tx_tail != tail)
			moved = now;
	}
	return true;
}

uint64_t console_lost_bytes(const struct console *console)
{
	return console->reader_gone ? 0 : console->lost_bytes;
}

uint64_t console_finish(struct console *console, const struct console_limits *limits,
			const bool *hurry)
{
	bool drained = drain(console, limits, hurry);
	uint64_t lost = console->reader_gone
				? 0
				: console->lost_bytes + serial_untransmitted(&console->serial);

	if (lost > 0)
		warn("console: the guest's last %llu bytes are lost: %s", (unsigned long long)lost,
		     drained ? "they could not be written" : "the reader is stalled");
	return lost;
}

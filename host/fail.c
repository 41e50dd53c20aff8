#include "host/fail.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/signals.h"
#include "host/status_report.h"
#include "host/write_within.h"

#define STDERR_WAIT_MS 100

struct line {
	char text[768];
	size_t length;
};

static const char line_start[] = "vmm: ";

static atomic_bool reader_stands_still;

/* A reader that stands still loses the line: a message must never hold the monitor up. It is waited for once, not
 * again before it has taken a line: some callers hold a device's lock. Appended, and by one write(2), so that it
 * stays whole beside the guest's console and other processes. */
static void print_line(struct line *line)
{
	int wait_ms = atomic_load(&reader_stands_still) ? 0 : STDERR_WAIT_MS;

	line->text[line->length] = '\n';
	bool taken = write_within(STDERR_FILENO, line->text, line->length + 1, true, wait_ms);
	atomic_store(&reader_stands_still, !taken);
	line->text[line->length] = '\0';
}

static bool is_inside_character(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80; /* UTF-8's second to fourth bytes */
}

/* Copies `whole` without so much of its middle that it fits. */
static void leave_middle_out(char *text, size_t room, const char *whole, size_t length)
{
	static const char gap[] = "...";
	size_t kept = room - sizeof(gap), head = kept / 2, tail = length - (kept - head);

	for (int i = 0; i < 3 && is_inside_character(whole[head]); i++)
		head--;
	for (int i = 0; i < 3 && is_inside_character(whole[tail]); i++)
		tail++;
	memcpy(text, whole, head);
	memcpy(text + head, gap, sizeof(gap) - 1);
	memcpy(text + head + sizeof(gap) - 1, whole + tail, length - tail + 1);
}

/* In a message that is too long one string is: the user's, between what it was given for and what is wrong with
 * it. */
__attribute__((format(printf, 3, 0))) static void format_shortened(char *text, size_t room,
								   const char *format, va_list args)
{
	va_list again;

	va_copy(again, args);
	int n = vsnprintf(text, room, format, args);
	char *whole = n >= (int)room ? malloc((size_t)n + 1) : NULL;
	if (whole != NULL) {
		vsnprintf(whole, (size_t)n + 1, format, again);
		leave_middle_out(text, room, whole, (size_t)n);
		free(whole);
	}
	va_end(again);
	/* One line, and nothing that a terminal takes for an order. */
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == '\x7f')
			*at = '?';
}

/* Without the newline, for which there is room. */
__attribute__((format(printf, 2, 0))) static void format_line(struct line *line, const char *format,
							      va_list args, const char *reason)
{
	size_t room = sizeof(line->text) - sizeof(line_start);

	memcpy(line->text, line_start, sizeof(line_start));
	if (reason != NULL)
		room -= strlen(": ") + strlen(reason);
	format_shortened(line->text + sizeof(line_start) - 1, room, format, args);
	line->length = strlen(line->text);
	if (reason != NULL)
		line->length += (size_t)sprintf(line->text + line->length, ": %s", reason);
}

static sem_t others_clear; /* zeroed, as sem_init() would leave it */
static _Thread_local bool is_behind;
static pthread_mutex_t failing = PTHREAD_MUTEX_INITIALIZER;

void fail_behind(void)
{
	is_behind = true;
}

void fail_clear(void)
{
	sem_post(&others_clear);
}

/* Only the first thread comes back: it ends the process. */
static void take_turn(void)
{
	if (is_behind)
		signals_wait_for(&others_clear);
	pthread_mutex_lock(&failing);
}

static _Noreturn void end_process(enum exit_code code, struct line *line)
{
	take_turn();
	print_line(line);
	status_report_send((int)code, 0, line->text + sizeof(line_start) - 1);
	exit((int)code);
}

void fail(enum exit_code code, const char *format, ...)
{
	struct line line;
	va_list args;

	va_start(args, format);
	format_line(&line, format, args, NULL);
	va_end(args);
	end_process(code, &line);
}

void fail_errno(enum exit_code code, const char *format, ...)
{
	const char *reason = strerror(errno);
	struct line line;
	va_list args;

	va_start(args, format);
	format_line(&line, format, args, reason);
	va_end(args);
	end_process(code, &line);
}

void fail_by_signal(int number)
{
	pthread_mutex_lock(&failing);
	status_report_send(EXIT_SIGNAL_BASE + number, 0, NULL);
	exit(EXIT_SIGNAL_BASE + number);
}

void warn(const char *format, ...)
{
	struct line line;
	va_list args;

	va_start(args, format);
	format_line(&line, format, args, NULL);
	va_end(args);
	print_line(&line);
}

enum exit_code exit_code_of_errno(int error)
{
	static const int users[] = { 0,      ENOENT,   ENOTDIR, EISDIR,    ELOOP, ENAMETOOLONG,
				     EINVAL, EBADF,    ENOTTY,  ENODEV,    ENXIO, ENOTBLK,
				     ESPIPE, ENOTSOCK, EBADFD,  EPROTOTYPE };

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (error == users[i])
			return EXIT_BAD_INPUT;
	return EXIT_HOST_REFUSED;
}

__attribute__((format(printf, 3, 0))) static void
set_error(struct error_text *error, enum exit_code code, const char *format, va_list args)
{
	error->code = code;
	format_shortened(error->text, sizeof(error->text), format, args);
}

bool error_set(struct error_text *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_error(error, EXIT_BAD_INPUT, format, args);
	va_end(args);
	return false;
}

bool error_set_refused(struct error_text *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_error(error, EXIT_HOST_REFUSED, format, args);
	va_end(args);
	return false;
}

bool error_set_errno(struct error_text *error, const char *format, ...)
{
	enum exit_code code = exit_code_of_errno(errno);
	va_list args;

	va_start(args, format);
	set_error(error, code, format, args);
	va_end(args);
	return false;
}

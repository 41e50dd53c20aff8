#include "host/fail.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/status_report.h"

#define STDERR_WAIT_MS 100

struct line {
	char text[768];
	size_t length;
};

static const char line_start[] = "vmm: ";

/* A reader that stands still loses the line: a message must never hold the monitor up. EINTR: a vCPU
 * that is kicked out of KVM_RUN reports why it left. One write(2), so that a line stays whole beside the guest's
 * console and other processes. */
static void print_line(struct line *line)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	int n;

	line->text[line->length] = '\n';
	do
		n = poll(&ready, 1, STDERR_WAIT_MS);
	while (n < 0 && errno == EINTR);
	while (n > 0 && write(STDERR_FILENO, line->text, line->length + 1) < 0 && errno == EINTR)
		;
	line->text[line->length] = '\0';
}

/* Without the newline, for which there is room. */
__attribute__((format(printf, 2, 0))) static void format_line(struct line *line, const char *format,
							      va_list args, const char *reason)
{
	const size_t limit = sizeof(line->text) - 1;
	size_t used = (size_t)snprintf(line->text, limit, "%s", line_start);
	int n = vsnprintf(line->text + used, limit - used, format, args);

	used = n < 0 ? used : used + (size_t)n;
	if (reason != NULL && used < limit) {
		n = snprintf(line->text + used, limit - used, ": %s", reason);
		used = n < 0 ? used : used + (size_t)n;
	}
	line->length = used < limit ? used : limit - 1;
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
	while (is_behind && sem_wait(&others_clear) < 0)
		;
	pthread_mutex_lock(&failing);
}

static _Noreturn void end_process(enum exit_code code, struct line *line)
{
	take_turn();
	print_line(line);
	status_report_send((int)code, line->text + sizeof(line_start) - 1);
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
	vsnprintf(error->text, sizeof(error->text), format, args);
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

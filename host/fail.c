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

#define STDERR_WAIT_MS 100

/* A reader that stands still loses the line: a message must never hold the monitor up. EINTR: a vCPU
 * that is kicked out of KVM_RUN reports why it left. */
static void write_line(const char *line, size_t length)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	int n;

	do
		n = poll(&ready, 1, STDERR_WAIT_MS);
	while (n < 0 && errno == EINTR);
	while (n > 0 && write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
		;
}

/* One write(2), so that a line stays whole beside the guest's console and other processes. */
__attribute__((format(printf, 1, 0))) static void print_line(const char *format, va_list args,
							     const char *reason)
{
	char line[768];
	const size_t limit = sizeof(line) - 1;
	size_t used = (size_t)snprintf(line, limit, "vmm: ");
	int n = vsnprintf(line + used, limit - used, format, args);

	used = n < 0 ? used : used + (size_t)n;
	if (reason != NULL && used < limit) {
		n = snprintf(line + used, limit - used, ": %s", reason);
		used = n < 0 ? used : used + (size_t)n;
	}
	if (used > limit - 1)
		used = limit - 1;
	line[used++] = '\n';
	write_line(line, used);
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

void fail(enum exit_code code, const char *format, ...)
{
	va_list args;

	take_turn();
	va_start(args, format);
	print_line(format, args, NULL);
	va_end(args);
	exit((int)code);
}

void fail_errno(enum exit_code code, const char *format, ...)
{
	const char *reason = strerror(errno);
	va_list args;

	take_turn();
	va_start(args, format);
	print_line(format, args, reason);
	va_end(args);
	exit((int)code);
}

void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(format, args, NULL);
	va_end(args);
}

bool error_set(struct error_text *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return false;
}

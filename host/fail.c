/* SPDX-License-Identifier: MIT */
#include "host/fail.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/message.h"
#include "host/signals.h"
#include "host/status_report.h"

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

static _Noreturn void end_process(enum exit_code code, struct message *message)
{
	take_turn();
	message_print(message);
	status_report_send(
		&(struct vm_end){ .exit_code = (int)code, .message = message_text(message) }, NULL);
	exit((int)code);
}

void fail(enum exit_code code, const char *format, ...)
{
	struct message message;
	va_list args;

	va_start(args, format);
	message_format(&message, format, args, NULL);
	va_end(args);
	end_process(code, &message);
}

void fail_errno(enum exit_code code, const char *format, ...)
{
	const char *reason = strerror(errno);
	struct message message;
	va_list args;

	va_start(args, format);
	message_format(&message, format, args, reason);
	va_end(args);
	end_process(code, &message);
}

void fail_by_signal(int number)
{
	pthread_mutex_lock(&failing);
	status_report_send(&(struct vm_end){ .exit_code = EXIT_SIGNAL_BASE + number }, NULL);
	exit(EXIT_SIGNAL_BASE + number);
}

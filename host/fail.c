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
#include "host/text.h"

static sem_t others_clear; /* zeroed, as sem_init() would leave it */
static _Thread_local bool is_behind;
static pthread_mutex_t failing = PTHREAD_MUTEX_INITIALIZER;

/* A thread that may not end the process tells another what it would end by, and waits for ever. */
static _Thread_local sem_t *heir;
static const struct vm_end *inherited;

void fail_by_heir(sem_t *wakes)
{
	heir = wakes;
}

static _Noreturn void leave(const struct vm_end *end)
{
	status_report_send(end, NULL);
	exit(end->exit_code);
}

void fail_if_inherited(void)
{
	if (inherited != NULL)
		leave(inherited);
}

/* Only the first thread comes back from the lock, unless it leaves the end to the other. */
static _Noreturn void end_by(const struct vm_end *end, struct message *message)
{
	static sem_t never;

	pthread_mutex_lock(&failing);
	fail_if_inherited();
	if (message != NULL)
		message_print(message);
	if (heir == NULL)
		leave(end);
	inherited = end;
	pthread_mutex_unlock(&failing);
	sem_post(heir);
	for (;;)
		sem_wait(&never);
}

void fail_behind(void)
{
	is_behind = true;
}

void fail_clear(void)
{
	sem_post(&others_clear);
}

static _Noreturn void end_process(struct vm_end *end, struct message *message)
{
	if (is_behind)
		signals_wait_for(&others_clear);
	end->message = message_text(message);
	end_by(end, message);
}

void fail(enum exit_code code, const char *format, ...)
{
	struct vm_end end = { .exit_code = (int)code };
	struct message message;
	va_list args;

	va_start(args, format);
	message_format(&message, format, args, NULL);
	va_end(args);
	end_process(&end, &message);
}

void fail_errno(enum exit_code code, const char *format, ...)
{
	struct vm_end end = { .exit_code = (int)code, .os_error = errno };
	const char *reason = strerror(errno);
	struct message message;
	va_list args;

	va_start(args, format);
	message_format(&message, format, args, reason);
	va_end(args);
	end_process(&end, &message);
}

__attribute__((format(printf, 2, 3))) static _Noreturn void
fail_with(const struct error_text *error, const char *format, ...)
{
	struct vm_end end = {
		.exit_code = (int)error->code,
		.option = error->option,
		.value = error->value,
		.os_error = error->os_error,
	};
	struct message message;
	va_list args;

	va_start(args, format);
	message_format(&message, format, args, NULL);
	va_end(args);
	end_process(&end, &message);
}

void fail_error(const struct error_text *error)
{
	fail_with(error, "%s", error->text);
}

void fail_option(struct error_text *error, const char *format, ...)
{
	char subject[JSON_LINE_BYTES], option[32];
	va_list args;

	va_start(args, format);
	text_format_list(subject, sizeof(subject), format, args);
	va_end(args);
	size_t length = strcspn(subject, " ");
	text_format(option, sizeof(option), "%.*s", (int)length, subject);
	error->option = option;
	error->value = subject[length] != '\0' ? subject + length + 1 : NULL;
	fail_with(error, "%s: %s", subject, error->text);
}

void fail_quietly(int status)
{
	end_by(&(struct vm_end){ .exit_code = status }, NULL);
}

void fail_by_signal(int number)
{
	fail_quietly(EXIT_SIGNAL_BASE + number);
}

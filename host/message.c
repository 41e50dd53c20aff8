/* SPDX-License-Identifier: MIT */
#include "host/message.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "host/error.h"
#include "host/text.h"
#include "host/write_within.h"

static const char line_start[] = "vmm: ";

static atomic_bool reader_is_stalled;

/* A stalled reader is waited for once, and not again before it has taken a line: some callers hold a device's lock.
 * Appended, and by one write(2): the line stays whole beside the guest's console and other processes. */
void message_print(struct message *message)
{
	int wait_ms = atomic_load(&reader_is_stalled) ? 0 : READER_WAIT_MS;
	size_t length = message->length + 1;

	message->line[message->length] = '\n';
	bool taken = write_within(STDERR_FILENO, message->line, length, true, wait_ms) == length;
	atomic_store(&reader_is_stalled, !taken);
	message->line[message->length] = '\0';
}

/* Leaves room for the newline. */
void message_format(struct message *message, const char *format, va_list args, const char *reason)
{
	size_t room = sizeof(message->line) - sizeof(line_start);

	memcpy(message->line, line_start, sizeof(line_start));
	if (reason != NULL)
		room -= strlen(": ") + strlen(reason);
	error_format(message->line + sizeof(line_start) - 1, room, format, args);
	message->length = strlen(message->line);
	if (reason != NULL)
		message->length +=
			(size_t)text_format(message->line + message->length,
					    strlen(": ") + strlen(reason) + 1, ": %s", reason);
}

void warn(const char *format, ...)
{
	struct message message;
	va_list args;

	va_start(args, format);
	message_format(&message, format, args, NULL);
	va_end(args);
	message_print(&message);
}

const char *message_text(const struct message *message)
{
	return message->line + sizeof(line_start) - 1;
}

/* SPDX-License-Identifier: MIT */
/* Lines on stderr: each begins with "vmm: ". A message never blocks the VM: a reader that is stalled loses it. */
#ifndef HOST_MESSAGE_H
#define HOST_MESSAGE_H

#include <stdarg.h>
#include <stddef.h>

struct message {
	char line[768];
	size_t length;
};

/* One line on stderr, in the form of error_format(). Any thread. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The two halves of warn(). `reason`, unless NULL, stands at the end, after ": ". */
void message_format(struct message *message, const char *format, va_list args, const char *reason)
	__attribute__((format(printf, 2, 0)));
void message_print(struct message *message);

/* Without the "vmm: " and the newline. */
const char *message_text(const struct message *message);

#endif

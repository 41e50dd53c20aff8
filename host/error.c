/* SPDX-License-Identifier: MIT */
#include "host/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/text.h"

static bool is_inside_character(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80; /* UTF-8's second to fourth bytes */
}

/* Copies `whole`, leaving out as much of its middle as does not fit. */
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

void error_format(char *text, size_t room, const char *format, va_list args)
{
	va_list again;

	va_copy(again, args);
	int n = text_format_list(text, room, format, args);
	char *whole = n >= (int)room ? malloc((size_t)n + 1) : NULL;
	if (whole != NULL) {
		text_format_list(whole, (size_t)n + 1, format, again);
		leave_middle_out(text, room, whole, (size_t)n);
		free(whole);
	}
	va_end(again);
	/* One line, without terminal control characters. */
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == '\x7f')
			*at = '?';
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
	error->option = error->value = NULL;
	error->os_error = 0;
	error_format(error->text, sizeof(error->text), format, args);
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
	int os_error = errno;
	va_list args;

	va_start(args, format);
	set_error(error, exit_code_of_errno(os_error), format, args);
	va_end(args);
	error->os_error = os_error;
	return false;
}

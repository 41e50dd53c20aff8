/* SPDX-License-Identifier: MIT */
/*
 * Formatted text, as of printf(): the flags - and 0, a width, a precision for texts alone, l, ll and z, and %s, %d, %u, %x, %o
 * and %%; and numbers in text. The C library's know floating point, wide characters, streams and other bases: 16 KiB.
 */
#ifndef HOST_TEXT_H
#define HOST_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As snprintf() and vsnprintf(): what there is no room for is left out, and the length is that of all. */
int text_format(char *text, size_t room, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int text_format_list(char *text, size_t room, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/* The number of the decimal digits that begin the text, 0 if there are none; UINT64_MAX if it is larger. *end is behind them. */
uint64_t text_number(const char *text, const char **end);

/* On stdout, at the latest with text_print_end(). One thread. */
void text_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* False with errno: not all that was printed has gone out. */
bool text_print_end(void);

#endif

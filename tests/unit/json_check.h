/* SPDX-License-Identifier: MIT */
/* Whether a line is one JSON object (RFC 8259) in valid UTF-8 with nothing behind it but its newline. */
#ifndef TESTS_UNIT_JSON_CHECK_H
#define TESTS_UNIT_JSON_CHECK_H

#include <ctype.h>
#include <wchar.h>

#include "tests/unit/check.h"

static inline const char *json_value_end(const char *at);

/* Behind a string; NULL: it is none. mbrtowc() judges UTF-8, in a locale that has it. */
static inline const char *json_string_end(const char *at)
{
	if (*at++ != '"')
		return NULL;
	while (*at != '"') {
		mbstate_t state = { 0 };
		size_t n = mbrtowc(NULL, at, 8, &state);
		if ((unsigned char)*at < 0x20 || n == 0 || n > 4)
			return NULL;
		if (*at == '\\' && at[1] == 'u') {
			for (int i = 2; i < 6; i++)
				if (!isxdigit((unsigned char)at[i]))
					return NULL;
			n = 6;
		} else if (*at == '\\') {
			if (strchr("\"\\/bfnrt", at[1]) == NULL)
				return NULL;
			n = 2;
		}
		at += n;
	}
	return at + 1;
}

/* Behind what stands between two brackets. */
static inline const char *json_members_end(const char *at, char close)
{
	if (*at == close)
		return at + 1;
	for (;; at++) {
		if (close == '}') {
			at = json_string_end(at);
			if (at == NULL || *at++ != ':')
				return NULL;
		}
		at = json_value_end(at);
		if (at == NULL || (*at != ',' && *at != close))
			return NULL;
		if (*at == close)
			return at + 1;
	}
}

static inline const char *json_value_end(const char *at)
{
	if (*at == '{')
		return json_members_end(at + 1, '}');
	if (*at == '[')
		return json_members_end(at + 1, ']');
	if (*at == '"')
		return json_string_end(at);
	size_t digits = strspn(at, "0123456789");
	return digits > 0 && (digits == 1 || *at != '0') ? at + digits : NULL;
}

static inline bool json_is_line(const char *line, size_t length)
{
	const char *end = *line == '{' ? json_value_end(line) : NULL;

	return end != NULL && *end == '\n' && end + 1 == line + length;
}

#endif

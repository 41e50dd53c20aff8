/* SPDX-License-Identifier: MIT */
#include "host/json.h"

#include <string.h>

#include "host/text.h"

#define ESCAPED_BYTES 6u /* \u001f */

static bool has_room(struct json *json, size_t bytes)
{
	json->full |= json->used + bytes > json->limit;
	return !json->full;
}

static void put(struct json *json, const char *bytes, size_t n)
{
	memcpy(json->text + json->used, bytes, n);
	json->used += (unsigned)n;
}

/* What stands before a value of `bytes`. False: there is no room for both. */
static bool put_key(struct json *json, const char *key, size_t bytes)
{
	size_t key_bytes = key != NULL ? strlen(key) : 0;

	if (!has_room(json, key_bytes + strlen(",\"\":") + bytes))
		return false;
	if (json->follows)
		put(json, ",", 1);
	json->follows = true;
	if (key != NULL) {
		put(json, "\"", 1);
		put(json, key, key_bytes);
		put(json, "\":", 2);
	}
	return true;
}

/* Whether `text` begins with a character of UTF-8, in *bytes how many it has; otherwise how many are to be replaced by
 * one U+FFFD: those with which a character could have begun, or one. */
static bool is_character(const unsigned char *text, unsigned *bytes)
{
	unsigned char lead = text[0], low = 0x80, high = 0xbf;
	unsigned n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	*bytes = 1;
	if (n == 0 || lead > 0xf4)
		return false;
	if (lead == 0xe0)
		low = 0xa0; /* shorter ones exist */
	else if (lead == 0xed)
		high = 0x9f; /* surrogates */
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	for (; *bytes < n; ++*bytes, low = 0x80, high = 0xbf)
		if (text[*bytes] < low || text[*bytes] > high)
			return false;
	return true;
}

/* One character. Returns how many bytes of `text` it is. */
static unsigned put_escaped(struct json *json, const char *text)
{
	static const char not_utf8[] = "\xef\xbf\xbd"; /* U+FFFD */
	unsigned char byte = (unsigned char)*text;
	unsigned n;

	if (!is_character((const unsigned char *)text, &n)) {
		put(json, not_utf8, sizeof(not_utf8) - 1);
	} else if (byte < 0x20) {
		json->used += (unsigned)text_format(json->text + json->used, sizeof("\\u0000"),
						    "\\u%04x", byte);
	} else {
		if (byte == '"' || byte == '\\')
			put(json, "\\", 1);
		put(json, text, n);
	}
	return n;
}

void json_begin(struct json *json, char text[JSON_LINE_BYTES])
{
	*json = (struct json){ .text = text, .limit = JSON_LINE_BYTES - sizeof("}\n") };
	put(json, "{", 1);
}

void json_add_text(struct json *json, const char *key, const char *value)
{
	if (value == NULL || !put_key(json, key, strlen("\"\"")))
		return;
	put(json, "\"", 1);
	while (*value != '\0' && has_room(json, ESCAPED_BYTES + 1))
		value += put_escaped(json, value);
	put(json, "\"", 1);
}

void json_add_number(struct json *json, const char *key, uint64_t value)
{
	char digits[24];
	size_t n = (size_t)text_format(digits, sizeof(digits), "%llu", (unsigned long long)value);

	if (put_key(json, key, n))
		put(json, digits, n);
}

void json_open(struct json *json, const char *key, char bracket)
{
	json->depth++;
	if (!put_key(json, key, 2))
		return;
	put(json, &bracket, 1);
	json->limit--; /* for the other one */
	json->written_depth++;
	json->follows = false;
}

void json_close(struct json *json, char bracket)
{
	if (json->depth == json->written_depth) {
		put(json, &bracket, 1);
		json->limit++;
		json->written_depth--;
		json->follows = true;
	}
	json->depth--;
}

unsigned json_end(struct json *json)
{
	put(json, "}\n", sizeof("}\n"));
	return json->used - 1;
}

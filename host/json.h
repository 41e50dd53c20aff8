/* SPDX-License-Identifier: MIT */
/* One line of JSON, made from left to right in a buffer that is large enough for what is always in it: valid JSON and
 * UTF-8, whatever bytes its texts have. A text that finds no room is cut between two characters, and what follows it is
 * left out. */
#ifndef HOST_JSON_H
#define HOST_JSON_H

#include <stdbool.h>
#include <stdint.h>

#define JSON_LINE_BYTES 4096 /* as much as a pipe takes at once */

struct json {
	char *text;
	unsigned used, limit;
	unsigned depth, written_depth; /* of brackets, with and without those left out */
	bool follows;                  /* another member stands before the next */
	bool full;
};

/* Begins an object in `text`. */
void json_begin(struct json *json, char text[JSON_LINE_BYTES]);

/* Members of the innermost object, or with key NULL of the innermost list. Keys are not escaped. A value that is NULL is
 * no member. */
void json_add_text(struct json *json, const char *key, const char *value);
void json_add_number(struct json *json, const char *key, uint64_t value);

/* An object, with '{' and '}', or a list, with '[' and ']', inside. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);

/* Ends the line with its newline. Returns its length. */
unsigned json_end(struct json *json);

#endif

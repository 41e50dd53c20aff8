/* SPDX-License-Identifier: MIT */
/* The line by which a monitor that waits (--start-fd) lets its guest go on: `go [cid=N] [text=TEXT]`, in this order. */
#ifndef CONFIG_START_ORDER_H
#define CONFIG_START_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "io/identity.h"

/* Room for the longest line, with its end and a zero. */
#define START_ORDER_BYTES (32 + IDENTITY_TEXT_BYTES)

struct start_order {
	uint32_t guest_cid; /* 0: as it is */
	const char *
		text; /* for the guest, to the line's end: at most IDENTITY_TEXT_BYTES with its zero; or empty */
};

/* Cuts a line; a zero follows its newline. The text is part of it. False: *error says why, also of one without end, or with a zero
 * in it. */
bool start_order_parse(struct start_order *order, char *line, struct error_text *error);

#endif

/* SPDX-License-Identifier: MIT */
#include "config/start_order.h"

#include <string.h>

#include "config/device_options.h"

bool start_order_parse(struct start_order *order, char *line, struct error_text *error)
{
	char *end = line + strcspn(line, "\n"), *text, *cid;
	bool is_whole = *end == '\n';

	*order = (struct start_order){ .text = "" };
	*end = '\0';
	text = strstr(line, " text=");
	if (text != NULL) {
		*text = '\0';
		order->text = text + strlen(" text=");
		if (strlen(order->text) >= IDENTITY_TEXT_BYTES)
			return error_set(error, "text=: expected at most %u bytes",
					 IDENTITY_TEXT_BYTES - 1);
	}
	cid = strncmp(line, "go cid=", 7) == 0 ? line + 7 : NULL;
	if (is_whole && cid != NULL)
		return parse_cid(cid, &order->guest_cid) ||
		       error_set(error, "cid=%s: expected 3 to %u", cid, VSOCK_CID_MAX);
	return (is_whole && strcmp(line, "go") == 0) ||
	       error_set(error, "'%.40s': expected go [cid=N] [text=TEXT]", line);
}

/* SPDX-License-Identifier: MIT */
#include "host/counters.h"

#include "host/text.h"

static void add_device(struct json *json, const char *kind, unsigned index,
		       const struct device_counters *count)
{
	char name[16];

	text_format(name, sizeof(name), "%s%u", kind, index);
	json_open(json, NULL, '{');
	json_add_text(json, "name", name);
	json_add_number(json, "requests", count->requests);
	json_add_number(json, "in_bytes", count->in_bytes);
	json_add_number(json, "out_bytes", count->out_bytes);
	json_add_number(json, "errors", count->errors);
	json_close(json, '}');
}

void counters_add_to(const struct counters *counters, struct json *json)
{
	static const char *const kinds[EXIT_KINDS] = {
		[EXIT_TO_PORT] = "port",
		[EXIT_TO_MMIO] = "mmio",
		[EXIT_INTERRUPTED] = "interrupted",
		[EXIT_OTHER] = "other",
	};

	json_open(json, "exits", '{');
	for (unsigned i = 0; i < EXIT_KINDS; i++)
		json_add_number(json, kinds[i], counters->exits[i]);
	json_close(json, '}');
	json_open(json, "console", '{');
	json_add_number(json, "in_bytes", counters->console_in_bytes);
	json_add_number(json, "out_bytes", counters->console_out_bytes);
	json_close(json, '}');
	json_open(json, "devices", '[');
	for (unsigned i = 0; i < counters->n_devices; i++)
		add_device(json, counters->devices[i].kind, counters->devices[i].index,
			   &counters->devices[i].count);
	json_close(json, ']');
	json_open(json, "lost", '{');
	json_add_number(json, "output_bytes", counters->lost_output_bytes);
	json_add_number(json, "unflushed_disks", counters->unflushed_disks);
	json_add_number(json, "events", counters->lost_events);
	json_close(json, '}');
}

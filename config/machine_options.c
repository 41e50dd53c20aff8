/* SPDX-License-Identifier: MIT */
#include "config/machine_options.h"

#include <string.h>

#include "host/text.h"

#define KIB ((uint64_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* Linux's decompressor and its first page tables fit nowhere in less; more than 1 TiB is a typo. */
#define MEM_MIN     (2 * MIB)
#define MEM_MAX     (1024 * GIB)
#define GRACE_MAX_S 86400

/* The word behind the size's comma. */
static bool parse_pages(struct vm_config *config, const char *name, const char *word,
			struct error_text *error)
{
	if (strcmp(word, "4k") == 0)
		config->mem_pages = PAGES_4K;
	else if (strcmp(word, "hugetlb") == 0)
		config->mem_pages = PAGES_HUGETLB;
	else
		return error_set(error, "%s: expected 4k or hugetlb behind the size, not '%s'",
				 name, word);
	return config->mem_pages != PAGES_HUGETLB || config->mem_bytes % (2 * MIB) == 0 ||
	       error_set(error, "%s %lluK,hugetlb: expected a size in whole 2M pages", name,
			 (unsigned long long)(config->mem_bytes / KIB));
}

bool parse_mem(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	uint64_t number, unit = 1;
	const char *end;
	char *comma = strchr(value, ',');

	if (comma != NULL)
		*comma = '\0';
	number = text_number(value, &end);
	bool valid = end != value;

	if (valid && *end != '\0') {
		unit = *end == 'K' || *end == 'k'   ? KIB
		       : *end == 'M' || *end == 'm' ? MIB
		       : *end == 'G' || *end == 'g' ? GIB
						    : 0;
		valid = unit != 0 && end[1] == '\0';
	}
	if (!valid || number > MEM_MAX / unit || number * unit < MEM_MIN ||
	    number * unit % (4 * KIB))
		return error_set(error,
				 "%s %s: expected a size from 2M to 1024G in whole 4K pages, such "
				 "as 128M",
				 name, value);
	config->mem_bytes = number * unit;
	config->mem_given = true;
	return comma == NULL || parse_pages(config, name, comma + 1, error);
}

bool parse_grace(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	uint64_t number;

	if (!parse_bounded(value, 0, GRACE_MAX_S, &number))
		return error_set(error, "%s %s: expected seconds, at most %d", name, value,
				 GRACE_MAX_S);
	config->grace_s = (unsigned)number;
	return true;
}

bool parse_cpus(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	uint64_t number;

	if (!parse_bounded(value, 1, MAX_CPUS, &number))
		return error_set(error, "%s %s: expected a number from 1 to %d", name, value,
				 MAX_CPUS);
	config->n_cpus = (unsigned)number;
	config->cpus_given = true;
	return true;
}

bool parse_acpi(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	config->acpi = strcmp(value, "on") == 0;
	config->acpi_given = true;
	return config->acpi || strcmp(value, "off") == 0 ||
	       error_set(error, "%s %s: expected on or off", name, value);
}

bool parse_serial(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	if (strcmp(value, "stdio") == 0) {
		config->serial = SERIAL_STDIO;
	} else if (strcmp(value, "none") == 0) {
		config->serial = SERIAL_NONE;
	} else if (strncmp(value, "file:", 5) == 0 && value[5] != '\0') {
		config->serial = SERIAL_FILE;
		config->serial_file.text = value + 5;
	} else if (strncmp(value, "fd=", 3) == 0) {
		config->serial = SERIAL_FILE;
		return parse_file(&config->serial_file, name, value, error);
	} else {
		return error_set(error, "%s %s: expected stdio, none, file:PATH or fd=N", name,
				 value);
	}
	return true;
}

bool parse_sandbox(struct vm_config *config, const char *name, char *value,
		   struct error_text *error)
{
	static const char *const modes[] = {
		[SANDBOX_ON] = "on",
		[SANDBOX_WARN] = "warn",
		[SANDBOX_STRICT] = "strict",
		[SANDBOX_OFF] = "off",
	};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(value, modes[i]) == 0) {
			config->sandbox = (enum sandbox_mode)i;
			return true;
		}
	return error_set(error, "%s %s: expected on, warn, strict or off", name, value);
}

/* Not root's own, which is what there is without the option, nor -1, which means no change. */
static bool parse_id(uint32_t *id, const char *name, char *value, struct error_text *error)
{
	uint64_t number;

	if (!parse_bounded(value, 1, UINT32_MAX - 1, &number))
		return error_set(error, "%s %s: expected a number from 1 to %u", name, value,
				 UINT32_MAX - 1);
	*id = (uint32_t)number;
	return true;
}

bool parse_uid(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	return parse_id(&config->user.uid, name, value, error);
}

bool parse_gid(struct vm_config *config, const char *name, char *value, struct error_text *error)
{
	return parse_id(&config->user.gid, name, value, error);
}

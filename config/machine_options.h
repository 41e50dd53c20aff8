/* SPDX-License-Identifier: MIT */
/* The values of --mem, --cpus, --acpi, --grace, --serial and --sandbox. */
#ifndef CONFIG_MACHINE_OPTIONS_H
#define CONFIG_MACHINE_OPTIONS_H

#include <stdbool.h>

#include "config/vm_config.h"
#include "host/error.h"

#define MEM_DEFAULT ((uint64_t)128 << 20)

/* Each reads the value of option `name`. */
bool parse_mem(struct vm_config *config, const char *name, char *value, struct error_text *error);
bool parse_cpus(struct vm_config *config, const char *name, char *value, struct error_text *error);
bool parse_acpi(struct vm_config *config, const char *name, char *value, struct error_text *error);
bool parse_grace(struct vm_config *config, const char *name, char *value, struct error_text *error);
bool parse_serial(struct vm_config *config, const char *name, char *value,
		  struct error_text *error);
bool parse_uid(struct vm_config *config, const char *name, char *value, struct error_text *error);
bool parse_gid(struct vm_config *config, const char *name, char *value, struct error_text *error);
bool parse_sandbox(struct vm_config *config, const char *name, char *value,
		   struct error_text *error);

#endif

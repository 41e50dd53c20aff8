/* SPDX-License-Identifier: MIT */
/* Whether options that are right each by itself go together. */
#ifndef CONFIG_OPTION_CHECKS_H
#define CONFIG_OPTION_CHECKS_H

#include <stdbool.h>

#include "config/vm_config.h"
#include "host/error.h"

/* When all are read. False: *error says why not, and names the option. */
bool options_fit(const struct vm_config *config, struct error_text *error);

#endif

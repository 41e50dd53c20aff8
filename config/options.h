/* SPDX-License-Identifier: MIT */
/* The command line of the monitor: argv in, struct vm_config out. Pure code: opens nothing. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>

#include "config/vm_config.h"
#include "host/error.h"

#define VMM_VERSION "0.2.0"
/* Of what docs/launcher.md promises: another one where a launcher may have to change. */
#define VMM_CONTRACT "1"

enum options_result {
	OPTIONS_RUN,     /* *config is complete */
	OPTIONS_HELP,    /* --help was asked for */
	OPTIONS_VERSION, /* --version was asked for */
	OPTIONS_BAD,     /* *error names the option, the value and what was expected */
};

/* Reads argv[1..argc-1]. The strings in *config point into argv, which is cut at ",ro" and the like. */
enum options_result options_parse(struct vm_config *config, int argc, char **argv,
				  struct error_text *error);

/* The next descriptor that the option `name` names from argv[*index] on, also on a command line that options_parse() refuses;
 * -1: none. */
int options_next_fd(const char *name, int argc, char **argv, int *index);

/* The text of --help: at most 24 lines of at most 80 columns. */
extern const char options_help_text[];

#endif

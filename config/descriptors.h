/* SPDX-License-Identifier: MIT */
/* The inherited descriptors that the command line names. Pure code. */
#ifndef CONFIG_DESCRIPTORS_H
#define CONFIG_DESCRIPTORS_H

#include <stdbool.h>

#include "config/vm_config.h"

#define MAX_DESCRIPTORS (MAX_NETS + 2 * MAX_DISKS + 12)

struct named_descriptor {
	int fd;
	const char *option; /* the text before the number or the path: "--net fd=" */
	const char *
		path; /* such as /dev/fd/5, which is opened again; NULL: the option names the number itself */
};

struct descriptors {
	unsigned n;
	struct named_descriptor list[MAX_DESCRIPTORS]; /* numbers from 3, ascending */
};

/* False: two options name one number. */
bool descriptors_collect(struct descriptors *descriptors, const struct vm_config *config,
			 struct error_text *error);

/* Whether an option takes the number itself over. */
bool descriptors_have(const struct descriptors *descriptors, int fd);

#endif

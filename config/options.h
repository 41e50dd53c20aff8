/* SPDX-License-Identifier: MIT */
/* The command line of the monitor: argv in, struct vm_config out. Pure code: opens nothing. */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/device_options.h"
#include "host/error.h"

#define VMM_VERSION "0.2.0"

/* /dev/vda to /dev/vdp; machine_plan.c has a window and a GSI for each. */
#define MAX_DISKS 16
#define MAX_NETS  8
/* MP table APIC ids are 8 bits wide, and the IOAPIC takes one id after the last CPU's. */
#define MAX_CPUS 254

enum serial_mode {
	SERIAL_STDIO,
	SERIAL_NONE,
	SERIAL_FILE,
};

/* The pages that back guest memory. */
enum memory_pages {
	PAGES_TRANSPARENT, /* huge where it has them */
	PAGES_4K,
	PAGES_HUGETLB,
};

struct vm_config {
	struct file_name kernel, initrd;
	const char *cmdline;     /* the user's words, "" when not given */
	bool no_default_cmdline; /* leave out the words of config/machine_plan.c */
	bool has_rootfs;         /* then disks[0] is the root file system */
	unsigned n_disks;
	struct disk_config disks[MAX_DISKS];
	unsigned n_nets;
	struct net_config nets[MAX_NETS];
	struct vsock_config vsock;
	uint64_t mem_bytes;
	enum memory_pages mem_pages;
	unsigned n_cpus;
	bool acpi; /* the tables, and a second window for each device */
	enum serial_mode serial;
	struct file_name serial_file; /* for SERIAL_FILE */
	bool boot_timer;
	int status_fd, events_fd, lifeline_fd, kvm_fd; /* -1: none */
};

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

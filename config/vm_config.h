/* SPDX-License-Identifier: MIT */
/* What the command line asks for. */
#ifndef CONFIG_VM_CONFIG_H
#define CONFIG_VM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "config/device_options.h"
#include "host/sandbox.h"

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
	bool mem_given, cpus_given, acpi_given;
	const char *snapshot;     /* NULL: none */
	struct file_name restore; /* instead of a kernel; text NULL: none */
	enum sandbox_mode sandbox;
	struct sandbox_user user;
	bool check;                                              /* make no VM */
	struct file_name control;                                /* text NULL: none */
	unsigned grace_s;                                        /* 0: none */
	int status_fd, events_fd, lifeline_fd, kvm_fd, start_fd; /* -1: none */
};

#endif

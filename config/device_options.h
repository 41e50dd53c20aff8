/* SPDX-License-Identifier: MIT */
/* The values of --disk, --rootfs, --net and --vsock. */
#ifndef CONFIG_DEVICE_OPTIONS_H
#define CONFIG_DEVICE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "host/file.h"

struct disk_config {
	struct file_name file;
	bool read_only;
	bool has_overlay;
	struct file_name overlay;   /* of text NULL: anonymous */
	const char *overlay_folder; /* for that; NULL: in memory */
};

struct net_config {
	const char *tap_name, *passt_path; /* one of them, or the inherited descriptor `fd` */
	int fd;                            /* -1: none */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu; /* 0: the interface's */
};

struct vsock_config {
	uint32_t guest_cid;   /* 0: no vsock */
	const char *uds_path; /* NULL: none */
	int uds_fd;           /* inherited listening socket, or -1: one is made at uds_path */
	int connect_fd; /* inherited socket for the guest's connections, or -1: they go to uds_path */
};

/* Each reads the value of option `name`, and cuts it at its commas. */
bool parse_disk(struct disk_config *disk, const char *name, char *value, struct error_text *error);
bool parse_net(struct net_config *net, const char *name, char *value, struct error_text *error);

bool parse_vsock(struct vsock_config *vsock, const char *name, char *value,
		 struct error_text *error);

/* A vsock's: 0 to 2 are the hypervisor, the guest itself and the host; 2^32-1 is "any". */
#define VSOCK_CID_MAX (UINT32_MAX - 1)
bool parse_cid(const char *text, uint32_t *cid);

/* A path, or fd=N. */
bool parse_file(struct file_name *file, const char *name, const char *value,
		struct error_text *error);

/* A decimal number from min to max, which is less than UINT64_MAX, and nothing behind it. */
bool parse_bounded(const char *text, uint64_t min, uint64_t max, uint64_t *number);

/* An inherited descriptor's number, from 3: 0 to 2 are the console's and the messages'. */
bool parse_fd(const char *text, int *fd);

#endif

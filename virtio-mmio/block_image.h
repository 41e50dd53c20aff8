/* SPDX-License-Identifier: MIT */
/* A disk's image: a raw file or a block device of the host, opened, locked and measured. */
#ifndef VIRTIO_MMIO_BLOCK_IMAGE_H
#define VIRTIO_MMIO_BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"

#define SECTOR_BYTES 512u /* virtio 1.2, 5.2.4: the unit of capacity and of requests */

/* virtio 1.2, 5.2.6.1: the identification string is zero-padded to this. */
#define BLOCK_ID_BYTES 20

struct block_overlay;

struct block_image {
	int fd;
	const char *path; /* or fd=N, for messages */
	bool read_only;   /* for the guest */
	bool inherited;
	bool is_regular;        /* a file, no device */
	bool reads_need_worker; /* the host cannot begin a read of it without waiting */
	bool head_unseen;
	struct block_overlay *overlay; /* takes what the guest writes; NULL: the image does */
	uint64_t sectors; /* whole ones; a shorter rest at the end is out of the guest's reach */
	char id[BLOCK_ID_BYTES + 1];
};

/* Opens the image and takes an OFD lock on it: shared if read_only, else exclusive. One that another process uses is
 * retried for a second. False: *error says what is wrong. */
bool block_image_open(struct block_image *image, const char *path, bool read_only,
		      struct error_text *error);

/* The same for an inherited descriptor, whose flags and position stay as they are. The lock belongs to all who share its
 * description. `name` is for messages, and must stay valid. */
bool block_image_adopt(struct block_image *image, const char *name, int fd, bool read_only,
		       struct error_text *error);

/* The lock alone, for a file that is open already. */
bool block_image_lock(const struct block_image *image, struct error_text *error);

/* Refuses a descriptor with flags that change what a write or a wait means. */
bool block_image_check_flags(int fd, struct error_text *error);

/* The VM's disk number `index`: its id is the same at each start, and says nothing of the host. */
void block_image_set_id(struct block_image *image, unsigned index);

/* Lets the next monitor have the image: earlier than closing it would, because the ring holds the file, too. Only when
 * no operation on it is in flight. */
void block_image_unlock(const struct block_image *image);

void block_image_close(struct block_image *image);

#endif

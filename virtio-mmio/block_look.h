/* SPDX-License-Identifier: MIT */
/* Warnings about an image that its user may not expect. None of them ends the VM: raw data may begin like anything, and a
 * guest may have written it. */
#ifndef VIRTIO_MMIO_BLOCK_LOOK_H
#define VIRTIO_MMIO_BLOCK_LOOK_H

#include "virtio-mmio/block_image.h"

/* As much of an image's beginning as tells its format. */
#define BLOCK_HEAD_BYTES 32

/* Warns of a format other than raw, a partial last sector, another user on the host (not of an inherited image: nothing is
 * opened for that, and its description is the launcher's). Sets reads_need_worker, and
 * head_unseen if the head could not be read without waiting: then the caller reads it for block_look_at_head(). */
void block_look_at(struct block_image *image);

/* Whether the host cannot begin a read of the file without waiting. */
bool block_look_whether_reads_wait(int fd);
void block_look_at_head(const struct block_image *image, const char *head);

#endif

/* SPDX-License-Identifier: MIT */
/* Opens the file of an overlay, and makes or checks what it says of its base. */
#ifndef VIRTIO_MMIO_OVERLAY_FILE_H
#define VIRTIO_MMIO_OVERLAY_FILE_H

#include <stdbool.h>

#include "host/error.h"
#include "host/file.h"
#include "virtio-mmio/block_image.h"
#include "virtio-mmio/block_overlay.h"

/* An overlay of `base`, an open image, which the guest may write from now on. `file` is FILE, which is made if it does not
 * exist or is empty, locked, and must be of this base; without one (text NULL) the overlay is anonymous: in `directory`, or
 * in memory (NULL). Both stay valid as long as the overlay. False: *error says what is wrong. */
bool overlay_file_open(struct block_overlay *overlay, struct block_image *base,
		       const struct file_name *file, const char *directory,
		       struct error_text *error);

#endif

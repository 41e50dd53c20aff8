/* SPDX-License-Identifier: MIT */
/* A disk with an overlay: the base is a file in memory with a pattern, FILE another one. */
#ifndef TESTS_UNIT_OVERLAY_RIG_H
#define TESTS_UNIT_OVERLAY_RIG_H

#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"
#include "virtio-mmio/overlay_file.h"

static struct block_overlay rig_overlay;

static inline uint8_t rig_base_byte(uint64_t offset)
{
	return (uint8_t)(1 + (offset + offset / SECTOR_BYTES * 3) % 255);
}

static inline struct block_image rig_base_image(int fd, uint64_t sectors)
{
	return (struct block_image){ .fd = fd,
				     .path = "(base)",
				     .sectors = sectors,
				     .is_regular = true,
				     .read_only = true,
				     .reads_need_worker = true };
}

/* A base of `bytes`; the first and last MiB have the pattern. */
static inline int rig_make_base(uint64_t bytes)
{
	int fd = memfd_create("base", MFD_CLOEXEC);
	uint64_t patterned = bytes < 1u << 20 ? bytes : 1u << 20;
	uint8_t *data = malloc(patterned);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	for (int part = 0; part < 2; part++) {
		uint64_t start = part == 0 ? 0 : bytes - patterned;
		for (uint64_t i = 0; i < patterned; i++)
			data[i] = rig_base_byte(start + i);
		CHECK(pwrite(fd, data, patterned, (off_t)start) == (ssize_t)patterned);
	}
	free(data);
	return fd;
}

/* Takes copies of both descriptors over. file_fd < 0: the overlay is anonymous. The driver has not started. */
static inline void rig_open_overlay(int base_fd, uint64_t sectors, int file_fd)
{
	struct error_text error = { 0 };
	struct file_name name = { 0 };
	struct block_image base = rig_base_image(fcntl(base_fd, F_DUPFD_CLOEXEC, 3), sectors);

	if (file_fd >= 0)
		name = (struct file_name){ "fd=N", fcntl(file_fd, F_DUPFD_CLOEXEC, 3) };
	if (!overlay_file_open(&rig_overlay, &base, &name, NULL, &error))
		fprintf(stderr, "%s\n", error.text);
	CHECK(base.overlay == &rig_overlay);
	rig_open(&base);
}

static inline void rig_free_map(struct block_overlay *overlay)
{
	size_t bits = overlay->n_pages * OVERLAY_PAGE_BYTES;

	munmap(overlay->present,
	       2 * bits + VIRTQUEUE_MAX_SIZE * OVERLAY_BLOCK_BYTES + overlay->n_pages);
}

static inline void rig_close_overlay(void)
{
	rig_close();
	block_image_close(&rig_overlay.file);
	rig_free_map(&rig_overlay);
}

#endif

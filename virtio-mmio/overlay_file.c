/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/overlay_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/clock.h"
#include "virtio-mmio/block_look.h"
#include "virtio-mmio/queue.h"

#define HASHED_BYTES ((uint64_t)1 << 20) /* of the base's beginning, and of its end */
#define PIECE_BYTES  32768u
#define PAIRS        4

/* A change so soon before FILE is made could have the time of another just after. */
#define CTIME_SETTLED_S 2

static const char magic[16] = "vmm overlay 1\n";

/* At the file's beginning. Little-endian. It has no other part: a disk writes a sector whole, or not at all. */
struct overlay_header {
	char magic[16];
	uint64_t disk_bytes;
	int64_t base_mtime_s; /* 0 for a block device, which has none */
	int64_t base_mtime_ns;
	uint64_t base_hash[16];
	/* If these are the same, the base is: its hash is not looked at. Zeroes for a block device. */
	uint64_t base_inode;
	int64_t base_ctime_s;
	int64_t base_ctime_ns;
};
static_assert(sizeof(struct overlay_header) == 192 && sizeof(struct overlay_header) <= SECTOR_BYTES,
	      "an interface");

/* Sums, and sums of the sums, in eight columns: it tells versions of an image apart, and costs little more than to read
 * them. A pair of columns is a register. */
typedef uint64_t columns __attribute__((vector_size(16)));

struct hash {
	columns sum[PAIRS], sums[PAIRS];
};
static_assert(sizeof(struct hash) == sizeof(((struct overlay_header *)NULL)->base_hash), "");

static void hash_piece(struct hash *total, const columns *piece, unsigned n)
{
	struct hash hash = *total;

	for (unsigned i = 0; i < n; i += PAIRS)
#pragma GCC unroll 4
		for (unsigned pair = 0; pair < PAIRS; pair++) {
			hash.sum[pair] += piece[i + pair];
			hash.sums[pair] += hash.sum[pair];
		}
	*total = hash;
}

static bool hash_range(struct hash *hash, int fd, uint64_t offset, uint64_t end,
		       struct error_text *error)
{
	columns piece[PIECE_BYTES / sizeof(columns)];

	while (offset < end) {
		size_t wanted = end - offset < PIECE_BYTES ? (size_t)(end - offset) : PIECE_BYTES;
		ssize_t n = pread(fd, piece, wanted, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, "cannot read the base: %s", strerror(errno));
		if ((size_t)n < wanted)
			return error_set(error, "the base has become shorter");
		hash_piece(hash, piece, (unsigned)(wanted / sizeof(columns)));
		offset += wanted;
	}
	return true;
}

static void describe_base(struct overlay_header *header, const struct block_image *base)
{
	struct stat status;

	*header = (struct overlay_header){ .disk_bytes = base->sectors * SECTOR_BYTES };
	memcpy(header->magic, magic, sizeof(magic));
	if (!base->is_regular || fstat(base->fd, &status) < 0)
		return;
	header->base_mtime_s = status.st_mtim.tv_sec;
	header->base_mtime_ns = status.st_mtim.tv_nsec;
	header->base_inode = status.st_ino;
	header->base_ctime_s = status.st_ctim.tv_sec;
	header->base_ctime_ns = status.st_ctim.tv_nsec;
}

static bool hash_base(struct overlay_header *header, const struct block_image *base,
		      struct error_text *error)
{
	uint64_t bytes = header->disk_bytes;
	uint64_t hashed = bytes < HASHED_BYTES ? bytes : HASHED_BYTES;
	struct hash hash = { 0 };

	if (!hash_range(&hash, base->fd, 0, hashed, error) ||
	    !hash_range(&hash, base->fd, bytes - hashed, bytes, error))
		return false;
	memcpy(header->base_hash, &hash, sizeof(header->base_hash));
	return true;
}

/* Nothing has touched the base since FILE was made. Whatever changes a file changes its ctime, which nobody can set. */
static bool is_untouched(const struct overlay_header *found, const struct overlay_header *wanted)
{
	return wanted->base_ctime_s != 0 && found->base_ctime_s == wanted->base_ctime_s &&
	       found->base_ctime_ns == wanted->base_ctime_ns &&
	       found->base_inode == wanted->base_inode &&
	       found->base_mtime_s == wanted->base_mtime_s &&
	       found->base_mtime_ns == wanted->base_mtime_ns;
}

static bool check_header(const struct overlay_header *found, struct overlay_header *wanted,
			 const struct block_image *base, struct error_text *error)
{
	if (memcmp(found->magic, wanted->magic, sizeof(magic)) != 0)
		return error_set(error, "it is no overlay of this version of vmm");
	if (found->disk_bytes != wanted->disk_bytes)
		return error_set(error,
				 "it is of another base: of one with %llu bytes, this one has %llu",
				 (unsigned long long)found->disk_bytes,
				 (unsigned long long)wanted->disk_bytes);
	if (is_untouched(found, wanted))
		return true;
	if (!hash_base(wanted, base, error))
		return false;
	if (memcmp(found->base_hash, wanted->base_hash, sizeof(found->base_hash)) != 0)
		return error_set(error, "it is of another base, or that has been written: its "
					"first or last MiB is not what it was");
	if (found->base_mtime_s != wanted->base_mtime_s ||
	    found->base_mtime_ns != wanted->base_mtime_ns)
		return error_set(error,
				 "it is of another base, or that has been written: of one last "
				 "modified at %lld.%09lld, this one was at %lld.%09lld",
				 (long long)found->base_mtime_s, (long long)found->base_mtime_ns,
				 (long long)wanted->base_mtime_s, (long long)wanted->base_mtime_ns);
	return true;
}

static bool write_header(int fd, struct overlay_header *header, const struct block_image *base,
			 struct error_text *error)
{
	if (!hash_base(header, base, error))
		return false;
	if (clock_ns(CLOCK_REALTIME) / 1000000000 - header->base_ctime_s < CTIME_SETTLED_S)
		header->base_ctime_s = header->base_ctime_ns = 0;
	ssize_t n = pwrite(fd, header, sizeof(*header), 0);

	if (n == sizeof(*header))
		return true;
	if (n >= 0)
		errno = ENOSPC;
	return error_set_errno(error, "cannot write its header: %s", strerror(errno));
}

static bool set_size(int fd, uint64_t bytes, struct error_text *error)
{
	return ftruncate(fd, (off_t)bytes) == 0 ||
	       error_set_errno(error, "cannot give it %llu bytes: %s", (unsigned long long)bytes,
			       strerror(errno));
}

/* A file that is new, or as its first monitor left it if the host crashed before the first flush. The header is stable with
 * that flush's data, before any bit. */
static bool take_header(const struct block_overlay *overlay, const struct block_image *base,
			struct error_text *error)
{
	static const struct overlay_header empty;
	struct overlay_header found = { 0 }, wanted;
	uint64_t bytes = overlay->data_start + overlay->disk_bytes;
	struct stat status;

	describe_base(&wanted, base);
	if (fstat(overlay->file.fd, &status) < 0 ||
	    pread(overlay->file.fd, &found, sizeof(found), 0) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	bool is_whole = (uint64_t)status.st_size == bytes;
	if (status.st_size == 0 || (is_whole && memcmp(&found, &empty, sizeof(found)) == 0))
		return set_size(overlay->file.fd, bytes, error) &&
		       write_header(overlay->file.fd, &wanted, base, error);
	if (!check_header(&found, &wanted, base, error))
		return false;
	return is_whole || error_set(error, "it has %llu bytes, expected %llu: it was cut short",
				     (unsigned long long)status.st_size, (unsigned long long)bytes);
}

static int open_anonymous(const char *directory, struct error_text *error)
{
	int fd = directory == NULL ? memfd_create("vmm-overlay", MFD_CLOEXEC)
				   : open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && directory != NULL && errno == EOPNOTSUPP)
		error_set(error, "its file system has no unnamed files (O_TMPFILE)");
	else if (fd < 0)
		error_set_errno(error, "%s", strerror(errno));
	return fd;
}

static int open_path(const char *path, struct error_text *error)
{
	struct stat status;
	int fd = -1;

	/* Before it is opened: opening a device may do something. */
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		error_set(error, "expected a regular file");
	else if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666)) < 0)
		error_set_errno(error, "%s", strerror(errno));
	return fd;
}

static bool can_be_adopted(int fd, struct error_text *error)
{
	struct stat status = { 0 };

	fstat(fd, &status);
	if (!S_ISREG(status.st_mode))
		return error_set(error, "expected a regular file");
	return file_check_access(fd, true, error) && block_image_check_flags(fd, error);
}

/* The bits, and copies of blocks: addresses, which cost memory when they are used. */
static bool map_bits(struct block_overlay *overlay, struct error_text *error)
{
	size_t bits = overlay->n_pages * OVERLAY_PAGE_BYTES;
	size_t copies = (size_t)VIRTQUEUE_MAX_SIZE * OVERLAY_BLOCK_BYTES;
	uint8_t *map = mmap(NULL, 2 * bits + copies + overlay->n_pages, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return error_set_errno(error, "no memory for its map: %s", strerror(errno));
	overlay->present = (uint64_t *)map;
	overlay->stored = (uint64_t *)(map + bits);
	overlay->copies = map + 2 * bits;
	overlay->page_flags = overlay->copies + copies;
	return true;
}

static bool open_kept(struct block_overlay *overlay, const struct block_image *base,
		      const struct file_name *name, struct error_text *error)
{
	struct block_image *file = &overlay->file;
	struct input_file bits;

	file->inherited = name->fd > 0;
	file->fd = file->inherited ? name->fd : open_path(name->text, error);
	if (file->fd < 0 || (file->inherited && !can_be_adopted(file->fd, error)))
		return false;
	overlay->is_kept = true;
	overlay->data_start = OVERLAY_HEADER_BYTES + overlay->n_pages * OVERLAY_PAGE_BYTES;
	if (!block_image_lock(file, error) || !take_header(overlay, base, error))
		return false;
	bits = (struct input_file){ file->fd, overlay->data_start, file->inherited };
	return input_file_read_into_zeroes(&bits, overlay->present,
					   overlay->n_pages * OVERLAY_PAGE_BYTES,
					   OVERLAY_HEADER_BYTES) ||
	       error_set_errno(error, "cannot read its map: %s", strerror(errno));
}

bool overlay_file_open(struct block_overlay *overlay, struct block_image *base,
		       const struct file_name *file, const char *directory,
		       struct error_text *error)
{
	uint64_t bytes = base->sectors * SECTOR_BYTES;
	uint64_t page_bytes = OVERLAY_PAGE_BLOCKS * OVERLAY_BLOCK_BYTES;

	*overlay = (struct block_overlay){
		.disk_bytes = bytes,
		.n_pages = (bytes + page_bytes - 1) / page_bytes,
		.file = { .path = file->text, .is_regular = true, .fd = -1 },
	};
	if (!map_bits(overlay, error))
		return false;
	if (file->text != NULL) {
		if (!open_kept(overlay, base, file, error))
			return false;
	} else {
		overlay->file.fd = open_anonymous(directory, error);
		if (overlay->file.fd < 0 || !set_size(overlay->file.fd, bytes, error))
			return false;
	}
	overlay->file.reads_need_worker = block_look_whether_reads_wait(overlay->file.fd);
	base->overlay = overlay;
	base->read_only = false;
	return true;
}

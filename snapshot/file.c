/* SPDX-License-Identifier: MIT */
#include "snapshot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "snapshot/touched.h"

#define WORD_BYTES 8u

static uint64_t padded(uint64_t bytes)
{
	return (bytes + WORD_BYTES - 1) & ~(uint64_t)(WORD_BYTES - 1);
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
	return sum ^ sum >> 29;
}

uint64_t snapshot_checksum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t sum = bytes, word;

	for (; bytes >= WORD_BYTES; at += WORD_BYTES, bytes -= WORD_BYTES) {
		memcpy(&word, at, WORD_BYTES); /* no call */
		sum = mix(sum, word);
	}
	word = 0;
	memcpy(&word, at, bytes);
	return bytes > 0 ? mix(sum, word) : sum;
}

uint64_t snapshot_file_max_bytes(uint64_t memory_bytes)
{
	return memory_bytes + 2 * SNAPSHOT_MAX_SECTIONS;
}

static uint64_t header_checksum(const struct snapshot_header *header)
{
	struct snapshot_header copy = *header;

	copy.checksum = 0;
	return snapshot_checksum(&copy, sizeof(copy));
}

/* Whether nobody but this user and root can change what the guest runs: for good, or by its owner and mode. */
static bool check_owner(int fd, const struct stat *status, struct error_text *error)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (!S_ISREG(status->st_mode))
		return error_set(error, "expected a regular file or a memfd");
	if (seals >= 0 && (seals & F_SEAL_WRITE) && (seals & F_SEAL_SHRINK))
		return true;
	if (status->st_nlink == 0 && seals >= 0 && !(seals & F_SEAL_SEAL))
		return error_set(error,
				 "expected a memfd sealed with F_SEAL_WRITE and F_SEAL_SHRINK");
	if (status->st_uid != geteuid() && status->st_uid != 0)
		return error_set(error,
				 "it is user %u's, who could change it: expected one of user %u "
				 "or root",
				 status->st_uid, geteuid());
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return error_set(error, "others may write to it (mode %03o): expected 600 or 644",
				 status->st_mode & 0777);
	return true;
}

bool snapshot_header_check(const struct snapshot_header *header, uint64_t file_bytes,
			   struct error_text *error)
{
	uint64_t end = SNAPSHOT_HEADER_BYTES;

	if (header->magic != SNAPSHOT_MAGIC)
		return error_set(error, "this is no snapshot");
	if (header->version != SNAPSHOT_VERSION)
		return error_set(error, "the snapshot's format is version %u, this monitor's %u",
				 header->version, SNAPSHOT_VERSION);
	if (header->checksum != header_checksum(header))
		return error_set(error, "the snapshot is damaged: its header's checksum is wrong");
	if (header->sections_bytes > SNAPSHOT_MAX_SECTIONS ||
	    header->sections_bytes % WORD_BYTES != 0 ||
	    header->memory_offset % SNAPSHOT_MEMORY_ALIGN != 0 ||
	    header->memory_offset < end + header->sections_bytes ||
	    header->memory_offset > 2 * SNAPSHOT_MAX_SECTIONS ||
	    header->n_disks > SNAPSHOT_MAX_DISKS || header->n_nets > SNAPSHOT_MAX_NETS)
		return error_set(error,
				 "the snapshot is damaged: its header has an impossible number");
	if (file_bytes < header->memory_offset ||
	    file_bytes - header->memory_offset != header->memory_bytes)
		return error_set(
			error, "the snapshot has %llu bytes, but %llu of memory from byte %llu on",
			(unsigned long long)file_bytes, (unsigned long long)header->memory_bytes,
			(unsigned long long)header->memory_offset);
	return true;
}

static bool read_exactly(int fd, void *data, size_t bytes, uint64_t offset,
			 struct error_text *error)
{
	ssize_t n;

	do
		n = pread(fd, data, bytes, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_set_errno(error, "%s", strerror(errno));
	return (size_t)n == bytes || error_set(error, "this is no snapshot: it is too short");
}

bool snapshot_file_open(struct snapshot_file *file, const char *path, int fd,
			struct error_text *error)
{
	struct stat status;

	*file = (struct snapshot_file){ .fd = fd, .inherited = fd > 0 };
	if (!file->inherited)
		file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0 || fstat(file->fd, &status) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	return check_owner(file->fd, &status, error) &&
	       read_exactly(file->fd, &file->header, sizeof(file->header), 0, error) &&
	       snapshot_header_check(&file->header, (uint64_t)status.st_size, error);
}

/* Not read: who waits with them has no memory of its own for that. Nobody else may write to the file. */
bool snapshot_file_map_sections(struct snapshot_file *file, struct error_text *error)
{
	size_t bytes = SNAPSHOT_HEADER_BYTES + (size_t)file->header.sections_bytes;
	const uint8_t *mapped = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file->fd, 0);

	if (mapped == MAP_FAILED)
		return error_set_errno(error, "%s", strerror(errno));
	file->at = 0;
	file->sections = mapped + SNAPSHOT_HEADER_BYTES;
	file->touched = (const void *)(mapped + TOUCHED_FILE_OFFSET);
	return true;
}

const void *snapshot_file_take(struct snapshot_file *file, enum snapshot_kind kind,
			       unsigned instance, size_t min, size_t max, size_t *bytes,
			       struct error_text *error)
{
	uint64_t left = file->header.sections_bytes - file->at;
	const struct snapshot_section *section = (const void *)(file->sections + file->at);

	if (left < sizeof(*section)) {
		error_set(error, "the snapshot is damaged: section %u of kind %u is missing",
			  instance, kind);
		return NULL;
	}
	left -= sizeof(*section);
	if (section->kind != kind || section->instance != instance || section->bytes < min ||
	    section->bytes > max || padded(section->bytes) > left) {
		error_set(error,
			  "the snapshot is damaged: expected section %u of kind %u with %zu to %zu "
			  "bytes, found section %u of kind %u with %u",
			  instance, kind, min, max, section->instance, section->kind,
			  section->bytes);
		return NULL;
	}
	const void *data = section + 1;
	if (snapshot_checksum(data, section->bytes) != section->checksum) {
		error_set(error,
			  "the snapshot is damaged: the checksum of section %u of kind %u is "
			  "wrong",
			  instance, kind);
		return NULL;
	}
	file->at += sizeof(*section) + padded(section->bytes);
	*bytes = section->bytes;
	return data;
}

const void *snapshot_file_take_exactly(struct snapshot_file *file, enum snapshot_kind kind,
				       unsigned instance, size_t bytes, struct error_text *error)
{
	size_t found;

	return snapshot_file_take(file, kind, instance, bytes, bytes, &found, error);
}

bool snapshot_file_ends(const struct snapshot_file *file, struct error_text *error)
{
	return file->at == file->header.sections_bytes ||
	       error_set(error,
			 "the snapshot is damaged: it has more sections than this monitor knows");
}

/* A short write is continued, which then tells why. */
static void write_at(struct snapshot_writer *writer, struct iovec *iov, int n, uint64_t offset)
{
	while (n > 0 && writer->error == 0) {
		/* The call that the sandbox has anyway. */
		ssize_t written =
			syscall(SYS_pwritev2, writer->fd, iov, (long)n, (long)offset, 0L, 0L);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			writer->error = written < 0 ? errno : ENOSPC;
			return;
		}
		offset += (uint64_t)written;
		for (; n > 0 && (size_t)written >= iov->iov_len; n--, iov++)
			written -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + written;
			iov->iov_len -= (size_t)written;
		}
	}
}

void snapshot_writer_begin(struct snapshot_writer *writer, int fd)
{
	*writer = (struct snapshot_writer){ .fd = fd, .at = SNAPSHOT_HEADER_BYTES };
}

void snapshot_writer_add(struct snapshot_writer *writer, enum snapshot_kind kind, unsigned instance,
			 const void *data, size_t bytes)
{
	struct snapshot_section section = {
		.kind = (uint16_t)kind,
		.instance = (uint16_t)instance,
		.bytes = (uint32_t)bytes,
	};
	uint64_t zero = 0;

	section.checksum = snapshot_checksum(data, bytes);
	struct iovec iov[] = {
		{ &section, sizeof(section) },
		{ (void *)data, bytes },
		{ &zero, padded(bytes) - bytes },
	};
	write_at(writer, iov, 3, writer->at);
	writer->at += sizeof(section) + padded(bytes);
}

uint64_t snapshot_writer_memory_offset(const struct snapshot_writer *writer)
{
	return (writer->at + SNAPSHOT_MEMORY_ALIGN - 1) & ~(SNAPSHOT_MEMORY_ALIGN - 1);
}

void snapshot_writer_add_memory(struct snapshot_writer *writer, const void *data, size_t bytes,
				uint64_t offset)
{
	struct iovec iov = { (void *)data, bytes };

	write_at(writer, &iov, 1, snapshot_writer_memory_offset(writer) + offset);
}

bool snapshot_writer_end(struct snapshot_writer *writer, struct snapshot_header *header)
{
	header->magic = SNAPSHOT_MAGIC;
	header->version = SNAPSHOT_VERSION;
	header->sections_bytes = writer->at - SNAPSHOT_HEADER_BYTES;
	header->memory_offset = snapshot_writer_memory_offset(writer);
	header->checksum = header_checksum(header);
	struct iovec iov = { header, sizeof(*header) };
	write_at(writer, &iov, 1, 0);
	errno = writer->error;
	return writer->error == 0;
}

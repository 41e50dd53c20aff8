/* SPDX-License-Identifier: MIT */
/*
 * A disk image that hangs, takes its time or fails as told: a file system of one file, `disk`, served by a child process
 * straight from /dev/fuse. It is mounted in a namespace of the caller's own, so that nothing of it outlives its users.
 */
#ifndef TESTS_UNIT_FUSE_DISK_H
#define TESTS_UNIT_FUSE_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FUSE_DISK_INODE   2u
#define FUSE_DISK_PENDING 1024u
#define FUSE_DISK_REQUEST (1u << 20)

/* A disk's behaviour: sets of these. */
enum fuse_disk_operation {
	FUSE_DISK_READ = 1,
	FUSE_DISK_WRITE = 2,
	FUSE_DISK_FSYNC = 4,
	FUSE_DISK_FALLOCATE = 8,
};

/* In memory that the server shares. */
struct fuse_disk {
	_Atomic unsigned hang;   /* these get no answer until the bit is cleared */
	_Atomic unsigned held;   /* requests that have none for that */
	_Atomic unsigned refuse; /* these fail with -refuse_error */
	_Atomic int refuse_error;
	_Atomic unsigned delay_ms; /* before every answer to one of these */
	_Atomic unsigned fsyncs;   /* answered well */
	uint64_t bytes;
	int fuse_fd;
	uint8_t *data;
	uint8_t *request;
	struct {
		uint64_t unique;
		unsigned operation;
		uint64_t offset;
		uint32_t length;
	} pending[FUSE_DISK_PENDING];
};

static inline void fuse_disk_reply(const struct fuse_disk *disk, uint64_t unique, int error,
				   const void *data, size_t length)
{
	struct fuse_out_header header = { (uint32_t)(sizeof(header) + length), error, unique };
	struct iovec parts[2] = { { &header, sizeof(header) },
				  { (void *)(uintptr_t)data, length } };
	ssize_t n = writev(disk->fuse_fd, parts, length > 0 ? 2 : 1);

	(void)n; /* whoever asked may be gone */
}

static inline struct fuse_attr fuse_disk_attr(const struct fuse_disk *disk, uint64_t inode)
{
	return (struct fuse_attr){ .ino = inode,
				   .size = inode == FUSE_DISK_INODE ? disk->bytes : 0,
				   .mode = inode == FUSE_DISK_INODE ? S_IFREG | 0600
								    : S_IFDIR | 0700,
				   .nlink = 1 };
}

static inline void fuse_disk_io_done(struct fuse_disk *disk, uint64_t unique, unsigned operation,
				     uint64_t offset, uint32_t length)
{
	struct fuse_write_out written = { .size = length };

	if (disk->delay_ms > 0)
		usleep(disk->delay_ms * 1000);
	if (disk->refuse & operation)
		fuse_disk_reply(disk, unique, -disk->refuse_error, NULL, 0);
	else if (operation == FUSE_DISK_READ)
		fuse_disk_reply(disk, unique, 0, disk->data + offset, length);
	else if (operation == FUSE_DISK_WRITE)
		fuse_disk_reply(disk, unique, 0, &written, sizeof(written));
	else {
		disk->fsyncs += operation == FUSE_DISK_FSYNC;
		fuse_disk_reply(disk, unique, 0, NULL, 0);
	}
}

static inline void fuse_disk_io(struct fuse_disk *disk, uint64_t unique, unsigned operation,
				uint64_t offset, uint32_t length)
{
	if (offset > disk->bytes)
		offset = disk->bytes;
	if (length > disk->bytes - offset)
		length = (uint32_t)(disk->bytes - offset);
	if (!(disk->hang & operation) || disk->held == FUSE_DISK_PENDING) {
		fuse_disk_io_done(disk, unique, operation, offset, length);
		return;
	}
	disk->pending[disk->held].unique = unique;
	disk->pending[disk->held].operation = operation;
	disk->pending[disk->held].offset = offset;
	disk->pending[disk->held].length = length;
	disk->held++;
}

static inline void fuse_disk_release(struct fuse_disk *disk)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < disk->held; i++) {
		if (disk->pending[i].operation & disk->hang)
			disk->pending[kept++] = disk->pending[i];
		else
			fuse_disk_io_done(disk, disk->pending[i].unique, disk->pending[i].operation,
					  disk->pending[i].offset, disk->pending[i].length);
	}
	disk->held = kept;
}

static inline void fuse_disk_start(const struct fuse_disk *disk, uint64_t unique,
				   const struct fuse_init_in *in)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
				     .minor = in->minor < 31 ? in->minor : 31,
				     .max_readahead = in->max_readahead,
				     .max_background = 64,
				     .congestion_threshold = 64,
				     .max_write = 128 << 10 };

	fuse_disk_reply(disk, unique, 0, &out, sizeof(out));
}

static inline void fuse_disk_look_up(const struct fuse_disk *disk, uint64_t unique,
				     const char *name)
{
	struct fuse_entry_out out = { .nodeid = FUSE_DISK_INODE,
				      .attr = fuse_disk_attr(disk, FUSE_DISK_INODE) };

	if (strcmp(name, "disk") == 0)
		fuse_disk_reply(disk, unique, 0, &out, sizeof(out));
	else
		fuse_disk_reply(disk, unique, -ENOENT, NULL, 0);
}

static inline void fuse_disk_write(struct fuse_disk *disk, uint64_t unique,
				   const struct fuse_write_in *in)
{
	if (in->offset <= disk->bytes && in->size <= disk->bytes - in->offset)
		memcpy(disk->data + in->offset, in + 1, in->size);
	fuse_disk_io(disk, unique, FUSE_DISK_WRITE, in->offset, in->size);
}

static inline void fuse_disk_answer(struct fuse_disk *disk)
{
	const struct fuse_in_header *header = (void *)disk->request;
	const void *in = header + 1;
	struct fuse_attr_out attr = { .attr = fuse_disk_attr(disk, header->nodeid) };
	struct fuse_open_out open_out = { .open_flags = FOPEN_DIRECT_IO };
	const struct fuse_read_in *read_in = in;

	switch (header->opcode) {
	case FUSE_INIT:
		fuse_disk_start(disk, header->unique, in);
		break;
	case FUSE_LOOKUP:
		fuse_disk_look_up(disk, header->unique, in);
		break;
	case FUSE_GETATTR:
		fuse_disk_reply(disk, header->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		fuse_disk_reply(disk, header->unique, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_READ:
		fuse_disk_io(disk, header->unique, FUSE_DISK_READ, read_in->offset, read_in->size);
		break;
	case FUSE_WRITE:
		fuse_disk_write(disk, header->unique, in);
		break;
	case FUSE_FSYNC:
		fuse_disk_io(disk, header->unique, FUSE_DISK_FSYNC, 0, 0);
		break;
	case FUSE_FALLOCATE:
		fuse_disk_io(disk, header->unique, FUSE_DISK_FALLOCATE, 0, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* these want no answer */
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		fuse_disk_reply(disk, header->unique, 0, NULL, 0);
		break;
	default:
		fuse_disk_reply(disk, header->unique, -ENOSYS, NULL, 0);
		break;
	}
}

static inline void fuse_disk_serve(struct fuse_disk *disk)
{
	struct pollfd ready = { .fd = disk->fuse_fd, .events = POLLIN };

	for (;;) {
		if (poll(&ready, 1, 10) > 0) {
			ssize_t n = read(disk->fuse_fd, disk->request, FUSE_DISK_REQUEST);
			if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
				_exit(0); /* unmounted */
			if (n > 0)
				fuse_disk_answer(disk);
		}
		fuse_disk_release(disk);
	}
}

/* Makes DIRECTORY/disk, all zeroes. The server ends with the thread that calls this. NULL: this machine does not
 * let us. */
static inline struct fuse_disk *fuse_disk_mount(const char *directory, uint64_t bytes)
{
	char options[100];
	struct fuse_disk *disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t caller = getpid();

	disk->bytes = bytes;
	disk->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0",
		 disk->fuse_fd);
	if (disk->fuse_fd < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("vmm-test", directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return NULL;
	pid_t server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != caller)
			_exit(0);
		disk->data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);
		disk->request = malloc(FUSE_DISK_REQUEST);
		fuse_disk_serve(disk);
	}
	close(disk->fuse_fd);
	return server > 0 ? disk : NULL;
}

#endif

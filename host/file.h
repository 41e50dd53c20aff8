/* SPDX-License-Identifier: MIT */
/* Reading the files that the user names. */
#ifndef HOST_FILE_H
#define HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "host/error.h"

/* A file that an option names. */
struct file_name {
	const char *text; /* as the user wrote it: a path, or fd=N; NULL: none */
	int fd;           /* an inherited descriptor, from 3; 0: it is a path */
};

/* stat() or fstat(). */
int file_stat(const struct file_name *name, struct stat *status);

/* What stands behind the last slash. */
const char *file_base_name(const char *path);

/* The folder that the path's last name is in, to look names up there (O_PATH). -1 with errno. */
int file_open_folder(const char *path);

/* Whether an inherited descriptor is open for what is needed. */
bool file_check_access(int fd, bool write, struct error_text *error);

struct input_file {
	int fd;
	uint64_t bytes;
	bool inherited; /* its position stays as it is, and it is not closed here */
};

/* Opens a regular file for reading. Returns false and says why in *error: it does not exist, no
 * permission, a directory or another kind of file, empty. */
bool input_file_open(struct input_file *file, const char *path, struct error_text *error);

/* The same for an inherited descriptor. A pipe is read to its end, into memory; one of more than max_bytes is refused, and
 * a signal meanwhile ends the process, as in signals_pause(). */
bool input_file_adopt(struct input_file *file, int fd, uint64_t max_bytes,
		      struct error_text *error);

void input_file_close(struct input_file *file);

/* Reads exactly [offset, offset + length). False when the file does not hold all of it (errno 0) or
 * the read fails (errno says why). */
bool input_file_read(const struct input_file *file, void *data, size_t length, uint64_t offset);

/* The same into memory that is zeroed already: the file's holes, such as a vmlinux has between its sections, cost
 * nothing. */
bool input_file_read_into_zeroes(const struct input_file *file, void *data, size_t length,
				 uint64_t offset);

/* Opens /dev/null on whichever of descriptors 0 to 2 is closed, so that no file of ours gets a
 * number that somebody writes messages to. Does not return on failure (exit 122). */
void file_reserve_stdio(void);

/* Closes every descriptor from 3 on but `kept`, n numbers in ascending order. While one thread uses the table. */
void file_close_others(const int *kept, unsigned n);

/* Makes room for n descriptors as far as the host's limits allow, while one thread uses the table: growing it
 * when threads share it waits for milliseconds at a time. */
void file_reserve_descriptors(unsigned n);

#endif

/* SPDX-License-Identifier: MIT */
/* Writing a line to a reader that may be stalled. */
#ifndef HOST_WRITE_WITHIN_H
#define HOST_WRITE_WITHIN_H

#include <stdbool.h>
#include <stddef.h>

#include "host/error.h"

/* Of a launcher that reads a pipe. */
#define READER_WAIT_MS 100

/* Takes an inherited descriptor over, for lines. False, and why in *error: it is not open, or not for writing. */
bool write_within_adopt(int fd, struct error_text *error);

/* Writes all `length` bytes, at most PIPE_BUF, by one write(2) unless the file takes less at once. With `append` they
 * go to the end of a regular file, wherever the description's position is, and the description's flags stay. Returns how
 * many are written: if not all, errno tells why, ETIMEDOUT when nothing can be written for timeout_ms. */
size_t write_within(int fd, const void *data, size_t length, bool append, int timeout_ms);

#endif

/* SPDX-License-Identifier: MIT */
/* Writing a line to a reader that may be stalled. */
#ifndef HOST_WRITE_WITHIN_H
#define HOST_WRITE_WITHIN_H

#include <stdbool.h>
#include <stddef.h>

/* Writes all `length` bytes, at most PIPE_BUF, by one write(2) unless the file takes less at once. With `append` they
 * go to the end of a regular file, wherever the description's position is, and the description's flags stay. False
 * with errno: ETIMEDOUT when nothing can be written for timeout_ms. */
bool write_within(int fd, const void *data, size_t length, bool append, int timeout_ms);

#endif

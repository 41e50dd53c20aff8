/* SPDX-License-Identifier: MIT */
/* Errors by their names, which neither a locale nor a libc words anew. */
#ifndef HOST_ERRNO_NAME_H
#define HOST_ERRNO_NAME_H

/* "ENOENT" for ENOENT; NULL for 0 and for an error that no host gives here. */
const char *errno_name(int number);

#endif

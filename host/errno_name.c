/* SPDX-License-Identifier: MIT */
#include "host/errno_name.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Those that a host gives for files, memory, sockets and devices. */
/* clang-format off */
#define ERRORS(X) \
	X(EPERM) X(ENOENT) X(EINTR) X(EIO) X(ENXIO) X(E2BIG) X(EBADF) X(EAGAIN) X(ENOMEM) X(EACCES) \
	X(EFAULT) X(ENOTBLK) X(EBUSY) X(EEXIST) X(EXDEV) X(ENODEV) X(ENOTDIR) X(EISDIR) X(EINVAL) \
	X(ENFILE) X(EMFILE) X(ENOTTY) X(ETXTBSY) X(EFBIG) X(ENOSPC) X(ESPIPE) X(EROFS) X(EPIPE) \
	X(EDEADLK) X(ENAMETOOLONG) X(ENOLCK) X(ENOSYS) X(ELOOP) X(ENODATA) X(EOVERFLOW) X(EBADFD) \
	X(EILSEQ) X(ENOTSOCK) X(EPROTOTYPE) X(EPROTONOSUPPORT) X(EOPNOTSUPP) X(EAFNOSUPPORT) \
	X(EADDRINUSE) X(EADDRNOTAVAIL) X(ENETDOWN) X(ECONNRESET) X(ENOBUFS) X(ENOTCONN) X(ETIMEDOUT) \
	X(ECONNREFUSED) X(ESTALE) X(EUCLEAN) X(EREMOTEIO) X(EDQUOT) X(ENOMEDIUM) X(ECANCELED)
/* clang-format on */

#define NUMBER(error) error,
#define NAME(error)   #error "\0"

static const unsigned char numbers[] = { ERRORS(NUMBER) };
static const char names[] = ERRORS(NAME);

const char *errno_name(int number)
{
	const char *name = names;

	for (size_t i = 0; i < sizeof(numbers); i++, name += strlen(name) + 1)
		if (numbers[i] == number)
			return name;
	return NULL;
}

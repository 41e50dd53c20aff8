/* SPDX-License-Identifier: MIT */
/* ioctl(2) with one argument, a pointer or a number. */
#ifndef HOST_IOCTL_H
#define HOST_IOCTL_H

#include <sys/ioctl.h>

/* musl declares the request as int, though its upper half is in use: the cast stands here, once. */
#define host_ioctl(fd, request, argument) ioctl(fd, (int)(request), argument)

#endif

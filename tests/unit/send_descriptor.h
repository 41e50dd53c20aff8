/* SPDX-License-Identifier: MIT */
/* A program that passes a descriptor through a Unix socket. */
#ifndef TESTS_UNIT_SEND_DESCRIPTOR_H
#define TESTS_UNIT_SEND_DESCRIPTOR_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* Sends one byte with it. Returns 0 or the error. */
static inline int send_descriptor(int fd, int descriptor)
{
	char byte = 'C';
	struct iovec part = { &byte, 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(descriptor));
	return sendmsg(fd, &message, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

#endif

/* SPDX-License-Identifier: MIT */
/* A launcher that takes the guest's connections from its socket. */
#ifndef TESTS_UNIT_RECEIVE_DESCRIPTOR_H
#define TESTS_UNIT_RECEIVE_DESCRIPTOR_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* The next message: its bytes, and the descriptor that comes with it, close-on-exec; -1: none. Returns what recvmsg()
 * does; does not wait. */
static inline ssize_t receive_descriptor(int launcher_fd, void *bytes, size_t room, int *fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec part = { bytes, room };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(launcher_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n >= 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    control.header.cmsg_type == SCM_RIGHTS &&
	    control.header.cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(&control.header), sizeof(*fd));
	return n;
}

#endif

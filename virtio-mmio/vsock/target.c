/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/sandbox.h"
#include "host/text.h"
#include "virtio-mmio/vsock/socket.h"

static int32_t send_end(int launcher_fd, uint32_t port, int end)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
			      .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
		      } };
	struct iovec part = { &port, sizeof(port) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};

	memcpy(CMSG_DATA(&control.header), &end, sizeof(end));
	if (sendmsg(launcher_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/* The latter: the user's processes have too many descriptors on their way. */
	return errno == ETOOMANYREFS ? -EAGAIN : -errno;
}

int vsock_target_socket(const struct vsock_target *target, uint32_t port,
			struct sockaddr_un *address)
{
	address->sun_family = AF_UNIX;
	text_format(address->sun_path, sizeof(address->sun_path), "%s_%u",
		    sandbox_path(target->path), port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		vsock_socket_prepare(fd);
	return fd;
}

int32_t vsock_target_offer(const struct vsock_target *target, uint32_t port, int *fd)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	vsock_socket_prepare(ends[0]);
	int32_t result = send_end(target->launcher_fd, port, ends[1]);
	close(ends[1]);
	if (result < 0)
		close(ends[0]);
	else
		*fd = ends[0];
	return result;
}

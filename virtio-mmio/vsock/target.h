/* SPDX-License-Identifier: MIT */
/*
 * Where the guest's connections go: to the Unix socket PATH_PORT, or to the launcher. That one gets a message on its
 * SOCK_SEQPACKET for each: 4 bytes, the port that the guest asks for, little-endian, and with them (SCM_RIGHTS) one end of a
 * new pair of stream sockets.
 */
#ifndef VIRTIO_MMIO_VSOCK_TARGET_H
#define VIRTIO_MMIO_VSOCK_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

struct vsock_target {
	const char *path; /* NULL: none */
	int launcher_fd;  /* -1: none; otherwise the path is not used */
};

static inline bool vsock_target_is_launcher(const struct vsock_target *target)
{
	return target->launcher_fd >= 0;
}

static inline bool vsock_target_is_nowhere(const struct vsock_target *target)
{
	return target->path == NULL && target->launcher_fd < 0;
}

/* A prepared socket, non-blocking, that can be connected to *address, PATH_PORT; -1, with errno: the host has none. */
int vsock_target_socket(const struct vsock_target *target, uint32_t port,
			struct sockaddr_un *address);

/* Sends the launcher its end. Returns 0, and the other end, prepared and non-blocking, in *fd; -EAGAIN if the launcher has not taken
 * enough of the earlier messages; another -errno if it has gone, or the host is short of something. Does not wait. */
int32_t vsock_target_offer(const struct vsock_target *target, uint32_t port, int *fd);

#endif

/* SPDX-License-Identifier: MIT */
/* TCP for net_peer: streams whose every byte is known from their seed and its place. */
#ifndef TESTS_LINUX_NET_STREAM_H
#define TESTS_LINUX_NET_STREAM_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct peer_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t length;
};

/* Of IPv4 or IPv6. Does not return if it is none. */
struct peer_address peer_address(const char *text, uint16_t port);

/* The bytes at `offset` of the stream `seed`. */
void stream_fill(uint8_t *data, size_t bytes, uint64_t seed, uint64_t offset);

/* ADDRESS PORT UP DOWN [CONNECTIONS]; PORT CONNECTIONS. */
int stream_tcp(char **arguments);
int stream_serve(char **arguments);

#endif

/* SPDX-License-Identifier: MIT */
#include "vsock_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define BACKLOG         4096
#define CHUNK_BYTES     65536
#define CONNECT_SECONDS 60

const char *peer_where;
static int epoll_fd;

static void die(const char *what)
{
	fprintf(stderr, "vsock_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static bool in_guest(void)
{
	return strcmp(peer_where, "guest") == 0;
}

int64_t peer_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct peer *peer_new(int fd, bool (*ready)(struct peer *))
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct epoll_event event = { .data.ptr = peer };

	if (peer == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("peer");
	peer->fd = fd;
	peer->ready = ready;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
	return peer;
}

void peer_watch(struct peer *peer, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = peer };

	if (peer->events == events)
		return;
	peer->events = events;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event) < 0)
		die("epoll_ctl");
}

bool peer_run(int timeout_ms)
{
	struct epoll_event events[64];
	int n = epoll_wait(epoll_fd, events, 64, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct peer *peer = events[i].data.ptr;
		if (peer->ready(peer))
			continue;
		close(peer->fd);
		free(peer);
	}
	return n > 0;
}

static struct sockaddr_un unix_address(const char *suffix)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", peer_where, suffix);
	return address;
}

void peer_listen(uint32_t port, bool (*accepted)(struct peer *))
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK,
				  .svm_port = port,
				  .svm_cid = VMADDR_CID_ANY };
	char suffix[16];
	snprintf(suffix, sizeof(suffix), "_%u", port);
	struct sockaddr_un un = unix_address(suffix);
	int fd = socket(in_guest() ? AF_VSOCK : AF_UNIX, SOCK_STREAM, 0), result;

	if (in_guest()) {
		result = bind(fd, (struct sockaddr *)&vm, sizeof(vm));
	} else {
		unlink(un.sun_path);
		result = bind(fd, (struct sockaddr *)&un, sizeof(un));
	}
	if (result < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	peer_watch(peer_new(fd, accepted), EPOLLIN);
}

int peer_connect(uint32_t port)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK,
				  .svm_port = port,
				  .svm_cid = VMADDR_CID_HOST };
	struct sockaddr_un un = unix_address("");
	struct timeval limit = { .tv_sec = CONNECT_SECONDS };
	int fd = socket(in_guest() ? AF_VSOCK : AF_UNIX, SOCK_STREAM, 0);
	char line[32];

	if (fd < 0)
		die("socket");
	if (in_guest()) {
		setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof(limit));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (connect(fd, (struct sockaddr *)&vm, sizeof(vm)) == 0 || errno == EINPROGRESS)
			return fd;
	} else if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0) {
		int length = snprintf(line, sizeof(line), "CONNECT %u\n", port);
		if (write(fd, line, (size_t)length) == length)
			return fd;
	}
	close(fd);
	return -1;
}

int peer_connected(struct peer *peer)
{
	int error = 0, line;
	socklen_t length = sizeof(error);

	if (in_guest()) {
		getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error != 0)
			errno = error;
		return error == 0 ? 1 : -1;
	}
	line = peer_read_line(peer);
	if (line <= 0)
		return line;
	peer->line_length = 0;
	return strncmp(peer->line, "OK ", 3) == 0 ? 1 : -1;
}

int peer_read_line(struct peer *peer)
{
	while (peer->line_length < PEER_LINE_BYTES) {
		ssize_t n = read(peer->fd, peer->line + peer->line_length, 1);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n == 0)
			errno = ECONNRESET;
		if (n != 1)
			return -1;
		if (peer->line[peer->line_length] == '\n') {
			peer->line[peer->line_length] = '\0';
			return 1;
		}
		peer->line_length++;
	}
	errno = EPROTO;
	return -1;
}

void peer_fill(uint8_t *bytes, size_t length, uint32_t seed, uint64_t position)
{
	for (size_t i = 0; i < length; i++, position++) {
		uint64_t word = (position >> 3) * 0x9e3779b97f4a7c15u + seed * 0xd1342543de82ef95u;
		word ^= word >> 29;
		if ((position & 7) == 0 && length - i >= 8) {
			memcpy(bytes + i, &word, 8);
			i += 7;
			position += 7;
		} else {
			bytes[i] = (uint8_t)(word >> (8 * (position & 7)));
		}
	}
}

uint64_t peer_hash(uint64_t hash, const uint8_t *bytes, size_t length)
{
	if (hash == 0)
		hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

bool peer_send(struct peer *peer)
{
	static uint8_t chunk[CHUNK_BYTES];

	while (peer->sent < peer->to_send) {
		uint64_t left = peer->to_send - peer->sent;
		size_t length = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
		peer_fill(chunk, length, peer->seed, peer->sent);
		ssize_t n = write(peer->fd, chunk, length);
		if (n < 0)
			return errno == EAGAIN;
		peer->hash = peer_hash(peer->hash, chunk, (size_t)n);
		peer->sent += (uint64_t)n;
	}
	return true;
}

bool peer_receive(struct peer *peer, uint32_t seed)
{
	static uint8_t chunk[CHUNK_BYTES], wanted[CHUNK_BYTES];
	ssize_t n;

	while ((n = read(peer->fd, chunk, sizeof(chunk))) > 0) {
		peer_fill(wanted, (size_t)n, seed, peer->received);
		errno = EBADMSG;
		if (memcmp(chunk, wanted, (size_t)n) != 0)
			return false;
		peer->received += (uint64_t)n;
		if (peer->received > peer->to_receive)
			return false;
	}
	peer->got_end = n == 0;
	return n == 0 || errno == EAGAIN;
}

void peer_end_sending(struct peer *peer)
{
	peer->sent_end = true;
	shutdown(peer->fd, SHUT_WR);
}

int main(int argc, char **argv)
{
	struct rlimit files = { 8192, 8192 };

	if (argc < 3)
		return 2;
	peer_where = argv[1];
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (strcmp(argv[2], "serve") == 0)
		return peer_serve();
	if (strcmp(argv[2], "late") == 0 && argc == 4)
		return peer_late(atoi(argv[3]));
	return argc >= 5 ? peer_client(argc, argv) : 2;
}

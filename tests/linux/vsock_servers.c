/* SPDX-License-Identifier: MIT */
/* The servers of vsock_peer.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vsock_peer.h"

static unsigned served, broken, wrong;
static volatile sig_atomic_t ended;

static bool broke(const struct peer *peer)
{
	(void)peer;
	if (errno == EBADMSG)
		wrong++;
	else
		broken++;
	return false;
}

static bool echo(struct peer *peer)
{
	for (;;) {
		if (peer->held_bytes > 0) {
			ssize_t n =
				write(peer->fd, peer->held + peer->held_first, peer->held_bytes);
			if (n < 0 && errno != EAGAIN)
				return broke(peer);
			if (n < 0) {
				peer_watch(peer, EPOLLOUT);
				return true;
			}
			peer->held_first += (unsigned)n;
			peer->held_bytes -= (unsigned)n;
			continue;
		}
		ssize_t n = read(peer->fd, peer->held, sizeof(peer->held));
		if (n < 0 && errno != EAGAIN)
			return broke(peer);
		if (n < 0) {
			peer_watch(peer, EPOLLIN);
			return true;
		}
		if (n == 0)
			return false;
		peer->held_first = 0;
		peer->held_bytes = (unsigned)n;
	}
}

static bool sink(struct peer *peer)
{
	static uint8_t chunk[65536];
	char answer[64];
	ssize_t n;

	while ((n = read(peer->fd, chunk, sizeof(chunk))) > 0) {
		peer->received += (uint64_t)n;
		peer->hash = peer_hash(peer->hash, chunk, (size_t)n);
	}
	if (n < 0)
		return errno == EAGAIN ? true : broke(peer);
	int length = snprintf(answer, sizeof(answer), "%llu %016llx\n",
			      (unsigned long long)peer->received, (unsigned long long)peer->hash);
	if (write(peer->fd, answer, (size_t)length) != length)
		return broke(peer);
	return false;
}

static bool source(struct peer *peer)
{
	if (peer->to_send == 0) {
		unsigned long long bytes;
		int line = peer_read_line(peer);
		if (line == 0)
			return true;
		if (line < 0 || sscanf(peer->line, "%llu %u", &bytes, &peer->seed) != 2)
			return broke(peer);
		peer->to_send = peer->to_receive = bytes;
	}
	if (!peer_send(peer))
		return broke(peer);
	if (peer->sent < peer->to_send) {
		peer_watch(peer, EPOLLOUT);
		return true;
	}
	if (!peer->sent_end) {
		peer_end_sending(peer);
		peer_watch(peer, EPOLLIN);
		return true;
	}
	if (!peer_receive(peer, peer->seed + 1))
		return broke(peer);
	if (peer->got_end && peer->received != peer->to_receive) {
		errno = EBADMSG;
		return broke(peer);
	}
	return !peer->got_end;
}

/* Reads nothing; epoll tells the end of the other side. */
static bool stuck(struct peer *peer)
{
	(void)peer;
	return false;
}

static struct peer *accept_one(struct peer *listener, bool (*ready)(struct peer *))
{
	int fd = accept(listener->fd, NULL, NULL);

	if (fd < 0)
		return NULL;
	served++;
	return peer_new(fd, ready);
}

#define ACCEPT(name, server, watched)                                                              \
	static bool name(struct peer *listener)                                                    \
	{                                                                                          \
		for (struct peer * peer; (peer = accept_one(listener, server)) != NULL;)           \
			peer_watch(peer, watched);                                                 \
		return true;                                                                       \
	}

ACCEPT(accept_echo, echo, EPOLLIN)
ACCEPT(accept_sink, sink, EPOLLIN)
ACCEPT(accept_source, source, EPOLLIN)
ACCEPT(accept_stuck, stuck, EPOLLET) /* EPOLLHUP comes in any case */
ACCEPT(accept_close, stuck, EPOLLOUT)

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

int peer_serve(void)
{
	struct sigaction action = { .sa_handler = end };

	sigaction(SIGTERM, &action, NULL);
	peer_listen(PORT_ECHO, accept_echo);
	peer_listen(PORT_SINK, accept_sink);
	peer_listen(PORT_SOURCE, accept_source);
	peer_listen(PORT_STUCK, accept_stuck);
	peer_listen(PORT_CLOSE, accept_close);
	puts("serving");
	while (!ended)
		peer_run(500);
	printf("served %u broken %u wrong %u\n", served, broken, wrong);
	return wrong == 0 ? 0 : 1;
}

static int late_seconds;

/* The only connection: sleeping holds nobody up. */
static bool late(struct peer *listener)
{
	static uint8_t chunk[65536], wanted[65536];
	uint64_t received = 0;
	int fd = accept(listener->fd, NULL, NULL);
	ssize_t n;

	puts("accepted");
	sleep((unsigned)late_seconds);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		peer_fill(wanted, (size_t)n, 1, received);
		if (memcmp(chunk, wanted, (size_t)n) != 0)
			wrong++;
		received += (uint64_t)n;
	}
	printf("late %llu %s\n", (unsigned long long)received,
	       wrong    ? "wrong"
	       : n == 0 ? "ended"
			: strerror(errno));
	ended = 1;
	return true;
}

int peer_late(int seconds)
{
	late_seconds = seconds;
	peer_listen(PORT_LATE, late);
	puts("serving");
	while (!ended)
		peer_run(500);
	return wrong == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* The clients of vsock_peer.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vsock_peer.h"

#define MAX_OPENING 64 /* connections under way at once */
#define IDLE_MS     60000
#define STUCK_BYTES ((uint64_t)64 << 20)

/* A client's job. work: as `ready`, once the connection is established and may start. */
struct kind {
	const char *name;
	bool (*work)(struct peer *peer);
	uint32_t events;
};

static const struct kind *kind;
static unsigned count, at_once, started, opening, established, done, refused, broken;
static uint64_t bytes, least = UINT64_MAX, most;
static int64_t last_progress_ms;
static struct peer *peers;
static int first_error;
static bool go;

static bool good(void)
{
	done++;
	return false;
}

static bool bad(void)
{
	if (first_error == 0)
		first_error = errno;
	broken++;
	return false;
}

static bool echo(struct peer *peer)
{
	if (!peer_send(peer) || !peer_receive(peer, peer->seed))
		return bad();
	if (peer->received == peer->to_send && !peer->sent_end)
		peer_end_sending(peer);
	peer_watch(peer, peer->sent < peer->to_send ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (!peer->got_end)
		return true;
	errno = EBADMSG;
	return peer->sent_end ? good() : bad();
}

static bool sink(struct peer *peer)
{
	unsigned long long length = 0, hash = 0;

	if (!peer_send(peer))
		return bad();
	if (peer->sent < peer->to_send)
		return true;
	if (!peer->sent_end)
		peer_end_sending(peer);
	peer_watch(peer, EPOLLIN);
	int line = peer_read_line(peer);
	if (line < 0)
		return bad();
	if (line == 0)
		return true;
	errno = EBADMSG;
	sscanf(peer->line, "%llu %llx", &length, &hash);
	return length == peer->sent && hash == peer->hash ? good() : bad();
}

static bool source(struct peer *peer)
{
	char line[64];

	if (peer->line_length == 0) {
		peer->line_length = (unsigned)snprintf(line, sizeof(line), "%" PRIu64 " %u\n",
						       bytes, peer->seed);
		peer->to_send = 0;
		if (write(peer->fd, line, peer->line_length) != (ssize_t)peer->line_length)
			return bad();
		peer_watch(peer, EPOLLIN);
	}
	if (!peer->got_end && !peer_receive(peer, peer->seed))
		return bad();
	if (!peer->got_end)
		return true;
	errno = EBADMSG;
	if (peer->received != bytes)
		return bad();
	/* The other side has ended only one direction: it gets as much back. */
	if (peer->to_send == 0) {
		peer->to_send = bytes;
		peer->seed++;
		peer_watch(peer, EPOLLOUT);
	}
	if (!peer_send(peer))
		return bad();
	return peer->sent < peer->to_send ? true : good();
}

/* As much as goes at once: both directions are full of it, and nobody reads what comes back. */
static bool abort_in_flight(struct peer *peer)
{
	return peer_send(peer) && peer->sent > 0 ? good() : bad();
}

/* To be counted when nothing has moved for a while. */
static bool stuck(struct peer *peer)
{
	return peer_send(peer) ? true : bad();
}

static bool nobody(struct peer *peer)
{
	(void)peer;
	errno = EISCONN;
	return bad();
}

static const struct kind kinds[] = {
	{ "echo", echo, EPOLLIN | EPOLLOUT },   { "sink", sink, EPOLLOUT },
	{ "source", source, EPOLLOUT },         { "abort", abort_in_flight, EPOLLOUT },
	{ "stuck", stuck, EPOLLOUT | EPOLLET }, { "nobody", nobody, EPOLLOUT },
};

static bool over(struct peer *peer, bool alive)
{
	if (alive)
		return true;
	for (struct peer **at = &peers; *at != NULL; at = &(*at)->next)
		if (*at == peer) {
			*at = peer->next;
			break;
		}
	return false;
}

static bool ready(struct peer *peer)
{
	last_progress_ms = peer_now_ms();
	if (!peer->established) {
		int result = peer_connected(peer);
		if (result == 0)
			return true;
		opening--;
		if (result < 0) {
			refused++;
			if (first_error == 0)
				first_error = errno;
			return over(peer, false);
		}
		peer->established = true;
		established++;
		if (!go) {
			peer_watch(peer, 0);
			return true;
		}
		peer_watch(peer, kind->events);
	}
	return over(peer, kind->work(peer));
}

static void open_more(uint32_t port)
{
	while (started < count && opening < MAX_OPENING &&
	       started - done - broken - refused < at_once) {
		int fd = peer_connect(port);
		started++;
		if (fd < 0) {
			first_error = errno;
			refused++;
			continue;
		}
		struct peer *peer = peer_new(fd, ready);
		peer->seed = started;
		peer->to_send = peer->to_receive = bytes;
		peer->next = peers;
		peers = peer;
		opening++;
		peer_watch(peer, strcmp(peer_where, "guest") == 0 ? EPOLLOUT : EPOLLIN);
	}
}

static void start_all(void)
{
	go = true;
	printf("%u open\n", established);
	for (struct peer *peer = peers; peer != NULL; peer = peer->next)
		peer_watch(peer, kind->events);
}

static int report(int64_t start_ms)
{
	bool as_wanted = kind->work == nobody ? refused == count : done == count;

	printf("%s: %u done, %u broken, %u refused", kind->name, done, broken, refused);
	if (kind->work == stuck)
		printf(", %" PRIu64 " to %" PRIu64 " bytes each", least, most);
	if (first_error != 0)
		printf(" (%s)", strerror(first_error));
	printf(", %" PRId64 " ms\n", peer_now_ms() - start_ms);
	return as_wanted ? 0 : 1;
}

static void count_stuck(void)
{
	for (struct peer *peer = peers; peer != NULL; peer = peer->next) {
		done++;
		least = peer->sent < least ? peer->sent : least;
		most = peer->sent > most ? peer->sent : most;
	}
}

int peer_client(int argc, char **argv)
{
	uint32_t port = (uint32_t)atoi(argv[3]);
	int64_t start_ms = peer_now_ms();
	unsigned quiet = 0, quiet_limit = UINT32_MAX;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[2], kinds[i].name) == 0)
			kind = &kinds[i];
	if (kind == NULL)
		return 2;
	count = (unsigned)atoi(argv[4]);
	bytes = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
	at_once = argc > 6 ? (unsigned)atoi(argv[6]) : count;
	go = argc > 6;
	if (kind->work == stuck) {
		quiet_limit = (unsigned)bytes * 10;
		bytes = STUCK_BYTES;
	}
	last_progress_ms = start_ms;
	/* Quiet rounds, not time: a machine that stalls for seconds is not quiet. */
	while (done + broken + refused < count && quiet < quiet_limit &&
	       peer_now_ms() - last_progress_ms < IDLE_MS) {
		open_more(port);
		quiet = peer_run(100) ? 0 : quiet + 1;
		if (!go && established + refused == count)
			start_all();
	}
	if (kind->work == stuck)
		count_stuck();
	return report(start_ms);
}

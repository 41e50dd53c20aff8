/* SPDX-License-Identifier: MIT */
/*
 * vsock_peer: both ends of the vsock tests, in the guest and on the host, as servers and as clients.
 * One process and one epoll for thousands of connections.
 *
 *   vsock_peer WHERE serve                          until SIGTERM; then says what went wrong
 *   vsock_peer WHERE late SECONDS                   accepts one, waits, reads it to its end
 *   vsock_peer WHERE echo PORT COUNT BYTES [AT_ONCE]
 *   vsock_peer WHERE sink|source PORT COUNT BYTES
 *   vsock_peer WHERE abort PORT COUNT BYTES         closes with data in flight
 *   vsock_peer WHERE stuck PORT COUNT SECONDS       writes until nothing more goes
 *   vsock_peer WHERE nobody PORT COUNT              nobody listens there
 *
 * WHERE is "guest" (AF_VSOCK; connects to the host) or, on the host, the monitor's --vsock path. A client's
 * connections are all established before the first sends, unless AT_ONCE says how many may be open.
 * It prints one line, and exits with 0 if every connection did what it should.
 */
#ifndef TESTS_LINUX_VSOCK_PEER_H
#define TESTS_LINUX_VSOCK_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PORT_ECHO = 1001,   /* sends back what comes; ends when the other side does */
	PORT_SINK = 1002,   /* reads to the end, then answers "LENGTH HASH\n" */
	PORT_SOURCE = 1003, /* "BYTES SEED\n" gets BYTES bytes and an end; then reads as many */
	PORT_STUCK = 1004,  /* never reads */
	PORT_CLOSE = 1005,  /* closes at once */
	PORT_LATE = 1006,   /* of `late` */
};

#define PEER_BUFFER_BYTES 4096
#define PEER_LINE_BYTES   64

struct peer {
	int fd;
	uint32_t events; /* that epoll watches */
	/* Something can be done. False: the connection is over. */
	bool (*ready)(struct peer *peer);
	struct peer *next; /* of the clients */
	bool established, sent_end, got_end;
	uint32_t seed;
	uint64_t sent, received, to_send, to_receive, hash;
	char line[PEER_LINE_BYTES];
	unsigned line_length;
	/* echo server: read and not yet sent back */
	unsigned held_first, held_bytes;
	uint8_t held[PEER_BUFFER_BYTES];
};

/* vsock_peer.c: the loop. "guest", or the monitor's path. */
extern const char *peer_where;
struct peer *peer_new(int fd, bool (*ready)(struct peer *));
void peer_watch(struct peer *peer, uint32_t events);
/* Waits for at most timeout_ms and runs what is ready; false: nothing was. */
bool peer_run(int timeout_ms);
int64_t peer_now_ms(void);
void peer_listen(uint32_t port, bool (*accepted)(struct peer *));
/* Starts a connection: established, or not yet; -1: refused at once. */
int peer_connect(uint32_t port);
/* Goes on with it. 1: established, 0: not yet, -1: refused. */
int peer_connected(struct peer *peer);
/* The next byte of a line into peer->line. 1: complete (without its end), 0: not yet, -1: ended or error. */
int peer_read_line(struct peer *peer);
/* The bytes at `position` of the stream that `seed` names. */
void peer_fill(uint8_t *bytes, size_t length, uint32_t seed, uint64_t position);
uint64_t peer_hash(uint64_t hash, const uint8_t *bytes, size_t length);
/* Sends the stream's bytes from peer->sent to to_send, as far as it goes. False: the connection broke. */
bool peer_send(struct peer *peer);
/* Reads what is there: up to to_receive bytes, which must be those of the stream. Sets got_end. */
bool peer_receive(struct peer *peer, uint32_t seed);
void peer_end_sending(struct peer *peer);

/* vsock_servers.c */
int peer_serve(void);
int peer_late(int seconds);
/* vsock_clients.c */
int peer_client(int argc, char **argv);

#endif

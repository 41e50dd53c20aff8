/* SPDX-License-Identifier: MIT */
/*
 * A connection begins with a header by which the client tells how much it will send and wants; both
 * directions then run at once. When the server has received and compared all, it sends its receipt, the
 * number of bytes; the client waits for that. All connections of one end are served by one epoll loop.
 */
#include "net_stream.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAGIC        0x6d6d762d74657374u
#define CHUNK        (64u << 10)
#define SILENCE_MS   60000
#define MAX_EVENTS   64
#define LISTEN_QUEUE 1024

struct header {
	uint64_t magic, seed, up, down;
};

/* Each direction is: `head_bytes` bytes from or to `head`, the stream, then for the client's receipt
 * `tail_bytes`. */
struct direction {
	uint8_t head[sizeof(struct header)], tail[8];
	uint64_t head_bytes, stream_bytes, tail_bytes, seed, done;
};

struct connection {
	int fd;
	bool is_server, has_header;
	struct direction in, out;
};

static uint8_t data[CHUNK], expected[CHUNK + 16];

struct peer_address peer_address(const char *text, uint16_t port)
{
	struct peer_address address = { .length = sizeof(struct sockaddr_in) };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.length = sizeof(struct sockaddr_in6);
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
	} else {
		errx(2, "'%s' is no address", text);
	}
	return address;
}

void stream_fill(uint8_t *to, size_t bytes, uint64_t seed, uint64_t offset)
{
	uint64_t index = offset / 8, skip = offset % 8;

	while (bytes > 0) {
		uint64_t word = (index++ + seed * 0x10001) * 0x9e3779b97f4a7c15u;
		size_t n = 8 - skip < bytes ? 8 - skip : bytes;
		word ^= word >> 29;
		memcpy(to, (uint8_t *)&word + skip, n);
		to += n;
		bytes -= n;
		skip = 0;
	}
}

static uint64_t total_of(const struct direction *d)
{
	return d->head_bytes + d->stream_bytes + d->tail_bytes;
}

/* The next bytes of a direction: where they belong or are (NULL: the stream), and how many. */
static size_t next_part(struct direction *d, uint8_t **part)
{
	uint64_t stream_end = d->head_bytes + d->stream_bytes;

	*part = NULL;
	if (d->done < d->head_bytes) {
		*part = d->head + d->done;
		return d->head_bytes - d->done;
	}
	if (d->done < stream_end)
		return stream_end - d->done < CHUNK ? stream_end - d->done : CHUNK;
	*part = d->tail + (d->done - stream_end);
	return total_of(d) - d->done;
}

/* The server has the whole header: what is to come is known. */
static void take_header(struct connection *c)
{
	struct header header;

	memcpy(&header, c->in.head, sizeof(header));
	if (header.magic != MAGIC)
		errx(1, "the header of a connection is damaged");
	c->has_header = true;
	c->in.seed = header.seed;
	c->in.stream_bytes = header.up;
	c->out.seed = ~header.seed;
	c->out.stream_bytes = header.down;
}

static void receive(struct connection *c)
{
	uint8_t *part;
	size_t most = next_part(&c->in, &part);
	ssize_t got = recv(c->fd, part != NULL ? part : data, most, 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0)
		err(1, "recv after %llu bytes", (unsigned long long)c->in.done);
	if (got == 0)
		errx(1, "the connection was closed after %llu bytes",
		     (unsigned long long)c->in.done);
	if (part == NULL) {
		uint64_t offset = c->in.done - c->in.head_bytes;
		stream_fill(expected, (size_t)got, c->in.seed, offset);
		if (memcmp(data, expected, (size_t)got) != 0)
			errx(1, "the stream is damaged after byte %llu",
			     (unsigned long long)offset);
	}
	c->in.done += (uint64_t)got;
	if (c->is_server && !c->has_header && c->in.done == c->in.head_bytes)
		take_header(c);
	if (c->is_server && c->has_header && c->in.done == total_of(&c->in)) {
		memcpy(c->out.tail, &c->in.stream_bytes, 8);
		c->out.tail_bytes = 8;
	}
}

static void transmit(struct connection *c)
{
	uint8_t *part;
	size_t most = next_part(&c->out, &part);
	ssize_t sent;

	if (most == 0)
		return;
	if (part == NULL) {
		stream_fill(data, most, c->out.seed, c->out.done - c->out.head_bytes);
		part = data;
	}
	sent = send(c->fd, part, most, 0);
	if (sent < 0 && errno != EAGAIN)
		err(1, "send after %llu bytes", (unsigned long long)c->out.done);
	if (sent > 0)
		c->out.done += (uint64_t)sent;
}

static bool finished(const struct connection *c)
{
	return c->in.done == total_of(&c->in) && c->out.done == total_of(&c->out) &&
	       (!c->is_server || c->out.tail_bytes > 0);
}

static void watch(int epoll, struct connection *c, int operation)
{
	struct epoll_event event = { .events = 0, .data.ptr = c };

	if (c->in.done < total_of(&c->in))
		event.events |= EPOLLIN;
	if (c->out.done < total_of(&c->out))
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll, operation, c->fd, &event) < 0)
		err(1, "epoll_ctl");
}

static void check_receipt(const struct connection *c)
{
	uint64_t receipt;

	memcpy(&receipt, c->in.tail, 8);
	if (!c->is_server && receipt != c->out.stream_bytes)
		errx(1, "the server received %llu bytes", (unsigned long long)receipt);
}

static void accept_one(int epoll, int listener)
{
	struct connection *c = calloc(1, sizeof(*c));

	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (c->fd < 0)
		err(1, "accept");
	c->is_server = true;
	c->in.head_bytes = sizeof(struct header);
	watch(epoll, c, EPOLL_CTL_ADD);
}

/* Runs until n connections have finished; listener -1: those in the epoll set. */
static void serve(int epoll, int listener, unsigned n)
{
	uint64_t bytes_in = 0, bytes_out = 0;
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned done = 0; done < n;) {
		struct epoll_event events[MAX_EVENTS];
		int ready = epoll_wait(epoll, events, MAX_EVENTS, listener < 0 ? SILENCE_MS : -1);
		if (ready == 0)
			errx(1, "nothing moves any more; %u of %u connections are done", done, n);
		for (int i = 0; i < ready; i++) {
			struct connection *c = events[i].data.ptr;
			if (c == NULL) {
				accept_one(epoll, listener);
				continue;
			}
			if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
				receive(c);
			transmit(c);
			if (!finished(c)) {
				watch(epoll, c, EPOLL_CTL_MOD);
				continue;
			}
			check_receipt(c);
			bytes_in += c->in.stream_bytes;
			bytes_out += c->out.stream_bytes;
			close(c->fd);
			free(c);
			done++;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("connections %u sent %llu received %llu ms %lld\n", n, (unsigned long long)bytes_out,
	       (unsigned long long)bytes_in,
	       (long long)(end.tv_sec - start.tv_sec) * 1000 +
		       (end.tv_nsec - start.tv_nsec) / 1000000);
}

static struct connection *begin(const struct peer_address *to, struct header header)
{
	struct connection *c = calloc(1, sizeof(*c));

	c->fd = socket(to->any.sa_family, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, &to->any, to->length) < 0)
		err(1, "connection %llu", (unsigned long long)header.seed);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	memcpy(c->out.head, &header, sizeof(header));
	c->out.head_bytes = sizeof(header);
	c->out.seed = header.seed;
	c->out.stream_bytes = header.up;
	c->in.seed = ~header.seed;
	c->in.stream_bytes = header.down;
	c->in.tail_bytes = 8;
	return c;
}

int stream_tcp(char **arguments)
{
	struct peer_address to = peer_address(arguments[0], (uint16_t)atoi(arguments[1]));
	struct header header = { MAGIC, 0, strtoull(arguments[2], NULL, 10),
				 strtoull(arguments[3], NULL, 10) };
	unsigned n = arguments[4] != NULL ? (unsigned)atoi(arguments[4]) : 1;
	struct connection **connections = calloc(n, sizeof(*connections));
	int epoll = epoll_create1(0);

	/* All are open before the first byte moves. */
	for (unsigned i = 0; i < n; i++, header.seed++)
		connections[i] = begin(&to, header);
	for (unsigned i = 0; i < n; i++)
		watch(epoll, connections[i], EPOLL_CTL_ADD);
	serve(epoll, -1, n);
	return 0;
}

int stream_serve(char **arguments)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)atoi(arguments[0])) };
	struct epoll_event event = { .events = EPOLLIN };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1, epoll = epoll_create1(0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, LISTEN_QUEUE) < 0)
		err(1, "TCP port %s", arguments[0]);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(1, "epoll_ctl");
	serve(epoll, fd, (unsigned)atoi(arguments[1]));
	return 0;
}

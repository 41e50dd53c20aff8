/* SPDX-License-Identifier: MIT */
/*
 * The guest's and the host programs' view of vsock connections. A link is one connection from
 * both its ends; settle() runs the ring until nothing moves and judges every packet that has come.
 */
#ifndef TESTS_UNIT_VSOCK_MODEL_H
#define TESTS_UNIT_VSOCK_MODEL_H

#include "tests/unit/vsock_rig.h"

#define LINKS       8
#define OPEN_PORT   6000u
#define CLOSED_PORT 6999u

enum link_state {
	LINK_NONE,
	LINK_LINE,  /* the host's program has connected */
	LINK_ASKED, /* the one asked, the other has not answered */
	LINK_OPEN,
	LINK_OVER, /* for the guest */
};

struct link {
	enum link_state state;
	bool by_host;
	uint32_t id, guest_port, host_port;
	int fd; /* -1: the host's program has none yet, or has closed it */
	const char *line;
	bool line_is_good, line_is_out;
	unsigned ok_bytes; /* of the OK line, that the host's program has read */
	uint64_t host_wrote, guest_got, guest_read, limit;
	uint64_t guest_wrote, host_got, told;
	uint32_t buf_alloc;
	uint32_t flags, settled_flags; /* of the guest's SHUTDOWN */
	bool host_ended, host_closed, host_saw_end, end_seen, leave_seen;
	bool cut;   /* its data may be lost */
	bool wrong; /* the guest broke a rule: it must get a RST */
};

static struct link links[LINKS];
static int listener;
static uint64_t seed;
static bool at_rest; /* nothing has happened since settle() */
/* The sequences' reach: packets by operation, and the rarer places of a connection's life. */
static unsigned packets_seen[8], buffered_seen, draining_seen, deaf_seen;

static inline uint32_t any(uint32_t below)
{
	return (uint32_t)(check_random(&seed) >> 33) % below;
}

static inline struct link *link_of_port(uint32_t guest_port)
{
	for (unsigned i = 0; i < LINKS; i++)
		if (links[i].state != LINK_NONE && links[i].guest_port == guest_port)
			return &links[i];
	return NULL;
}

/* The streams' two patterns. */
static inline uint32_t to_guest(const struct link *l)
{
	return l->id * 2;
}

static inline uint32_t to_host(const struct link *l)
{
	return l->id * 2 + 1;
}

static inline void judge_data(struct link *l, const struct virtio_vsock_hdr *header,
			      const uint8_t *data)
{
	CHECK_EQ(l->state, LINK_OPEN);
	CHECK(!l->end_seen && !(l->settled_flags & VIRTIO_VSOCK_SHUTDOWN_RCV));
	check_pattern(data, to_guest(l), l->guest_got, header->len);
	l->guest_got += header->len;
	CHECK(l->guest_got <= l->host_wrote);
	CHECK(l->guest_got <= l->limit); /* its credit */
}

/* An end comes once and after all data, and once more if the program leaves later. */
static inline void judge_shutdown(struct link *l, uint32_t flags)
{
	CHECK_EQ(l->state, LINK_OPEN);
	CHECK(flags != 0 && (flags & ~(uint32_t)VSOCK_SHUTDOWN_BOTH) == 0);
	if (flags &
	    VIRTIO_VSOCK_SHUTDOWN_RCV) /* or the guest will send nothing that could be read */
		CHECK(l->host_closed || (l->flags & VIRTIO_VSOCK_SHUTDOWN_SEND));
	if (!(flags & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return;
	CHECK(l->host_ended && (!l->end_seen || (flags == VSOCK_SHUTDOWN_BOTH && !l->leave_seen)));
	l->leave_seen = flags == VSOCK_SHUTDOWN_BOTH;
	CHECK_EQ(l->guest_got, l->host_wrote);
	l->end_seen = true;
}

static inline void judge_reset(struct link *l)
{
	if (l->state == LINK_OVER)
		return; /* to a packet that came after its end */
	if (l->state == LINK_OPEN && !l->wrong && l->flags != VSOCK_SHUTDOWN_BOTH) {
		/* Only a program that has gone does this, and what it wrote comes before. */
		CHECK(l->host_closed ||
		      (l->flags & VIRTIO_VSOCK_SHUTDOWN_SEND)); /* POLLHUP of both halves */
		if (!(l->flags & VIRTIO_VSOCK_SHUTDOWN_RCV))
			CHECK_EQ(l->guest_got, l->host_wrote);
	} else if (l->state == LINK_ASKED && l->by_host) {
		CHECK(l->host_closed || l->wrong || l->flags == VSOCK_SHUTDOWN_BOTH);
	} else if (l->state == LINK_ASKED) {
		CHECK(l->host_port == CLOSED_PORT || l->wrong || l->flags == VSOCK_SHUTDOWN_BOTH);
	} else {
		CHECK(l->state == LINK_OPEN);
	}
	l->state = LINK_OVER;
}

static inline void judge(const struct virtio_vsock_hdr *header, const uint8_t *data)
{
	struct link *l = link_of_port(header->dst_port);

	CHECK(header->op < 8);
	packets_seen[header->op]++;
	if (header->op == VIRTIO_VSOCK_OP_RST && l == NULL)
		return;
	CHECK(l != NULL);
	if (header->op == VIRTIO_VSOCK_OP_REQUEST) {
		CHECK(l->by_host && l->state == LINK_LINE && l->line_is_good && l->line_is_out);
		l->host_port = header->src_port;
		l->state = LINK_ASKED;
		return;
	}
	CHECK_EQ(header->src_port, l->host_port);
	if (header->op == VIRTIO_VSOCK_OP_RST) {
		judge_reset(l);
		return;
	}
	CHECK(header->fwd_cnt >= l->told && header->fwd_cnt <= l->guest_wrote);
	l->told = header->fwd_cnt;
	if (header->op == VIRTIO_VSOCK_OP_RESPONSE) {
		CHECK(!l->by_host && l->state == LINK_ASKED && l->host_port == OPEN_PORT);
		l->state = LINK_OPEN;
	} else if (header->op == VIRTIO_VSOCK_OP_RW) {
		judge_data(l, header, data);
	} else if (header->op == VIRTIO_VSOCK_OP_SHUTDOWN) {
		judge_shutdown(l, header->flags);
	} else {
		CHECK(l->state == LINK_OPEN || l->state == LINK_ASKED);
	}
}

/* The device's invariants. */
static inline void judge_device(void)
{
	CHECK(!queues_broken());
	for (unsigned i = 0; i < vsock.connections.table.pool.fresh; i++) {
		const struct vsock_connection *c = &vsock.connections.places[i];
		CHECK(c->stream.received - c->stream.forwarded <= VSOCK_BUFFER_BYTES);
		if (c->stream.state == VSOCK_FREE)
			continue;
		CHECK(c->socket.in_flight < 8);
		buffered_seen += c->stream.received != c->stream.forwarded;
		draining_seen += c->stream.state == VSOCK_DRAINING;
		deaf_seen += (c->stream.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) != 0;
	}
	CHECK(vsock.connections.table.n_replies <= VSOCK_MAX_REPLIES);
}

/* Runs the ring until nothing moves. What goes through the kernel's workers may come later. */
static inline void settle(void)
{
	struct virtio_vsock_hdr header;
	const uint8_t *data;

	for (unsigned quiet = 0, rounds = 0; quiet < 2; quiet++) {
		unsigned before = *rig_ring.uring.cq.khead;
		CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
		if (before != *rig_ring.uring.cq.khead)
			quiet = 0;
		while (guest_receive(&header, &data)) {
			judge(&header, data);
			quiet = 0;
		}
		CHECK(rounds++ < 10000); /* or it moves for ever */
	}
	guest_take_tx();
	judge_device();
	for (unsigned i = 0; i < LINKS; i++)
		links[i].settled_flags = links[i].flags;
	at_rest = true;
}

/* Reads at most n bytes on the host's side: the OK line, then the guest's bytes, then the end. */
static inline void host_read(struct link *l, size_t n)
{
	static uint8_t got[65536];
	char ok[32];
	unsigned ok_length = (unsigned)snprintf(ok, sizeof(ok), "OK %u\n", l->host_port);
	ssize_t r = recv(l->fd, got, n < sizeof(got) ? n : sizeof(got), MSG_DONTWAIT);
	size_t at = 0;

	if (r < 0 && errno == EAGAIN)
		return;
	CHECK(r >= 0 || errno == ECONNRESET);
	if (r <= 0) { /* the end, after everything unless something cut it */
		CHECK(l->cut || l->state == LINK_OVER || (l->flags & VIRTIO_VSOCK_SHUTDOWN_SEND));
		CHECK(l->cut || l->host_got == l->guest_wrote);
		l->host_saw_end = true;
		return;
	}
	CHECK(!l->host_saw_end);
	for (; l->by_host && at < (size_t)r && l->ok_bytes < ok_length; at++)
		CHECK_EQ(got[at], ok[l->ok_bytes++]);
	check_pattern(got + at, to_host(l), l->host_got, (size_t)r - at);
	l->host_got += (size_t)r - at;
	CHECK(l->host_got <= l->guest_wrote);
}

static inline void host_send(struct link *l, size_t n)
{
	static uint8_t data[65536];

	at_rest = false;
	n = n < sizeof(data) ? n : sizeof(data);
	make_pattern(data, to_guest(l), l->host_wrote, n);
	ssize_t r = send(l->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r > 0)
		l->host_wrote += (size_t)r;
	else if (errno != EAGAIN)
		CHECK(l->cut || l->state == LINK_OVER || l->flags == VSOCK_SHUTDOWN_BOTH ||
		      (l->flags & VIRTIO_VSOCK_SHUTDOWN_RCV));
}

/* A packet of the guest's with its credit. */
static inline void link_send(struct link *l, uint16_t op, uint32_t length, uint32_t flags)
{
	static uint8_t data[VSOCK_PACKET_BYTES];
	struct virtio_vsock_hdr header = guest_header(op, l->guest_port, l->host_port, length);

	header.flags = flags;
	header.buf_alloc = l->buf_alloc;
	header.fwd_cnt = (uint32_t)l->guest_read;
	/* A buffer that shrinks takes nothing more than what came or is on its way. */
	if (at_rest || l->limit < l->guest_read + l->buf_alloc)
		l->limit = l->guest_read + l->buf_alloc;
	if (l->limit < l->guest_got)
		l->limit = l->guest_got;
	at_rest = false;
	if (op == VIRTIO_VSOCK_OP_RW) {
		make_pattern(data, to_host(l), l->guest_wrote, length);
		l->guest_wrote += length;
	}
	guest_send(&header, data);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Random sequences of what the guest and the host's programs can do, against the model. */
#include "tests/unit/vsock_model.h"
#include "tests/unit/check.h"

#define SEQUENCES 1000
#define EVENTS    70

static uint32_t next_id = 1;
/* Of a sequence: how seldom something ends, how seldom the host's programs read. */
static uint32_t calm, lazy;

static struct link *new_link(bool by_host)
{
	for (unsigned i = 0; i < LINKS; i++) {
		struct link *l = &links[i];
		if (l->state != LINK_NONE)
			continue;
		*l = (struct link){ .by_host = by_host, .id = next_id++, .fd = -1 };
		l->guest_port = 10000 + l->id;
		l->buf_alloc = 1u << any(19);
		return l;
	}
	return NULL;
}

/* The host's programs. */

static void send_line(struct link *l)
{
	size_t left = strlen(l->line), n = any(4) == 0 ? 1 + any((uint32_t)left) : left;

	CHECK(send(l->fd, l->line, n, MSG_NOSIGNAL) == (ssize_t)n);
	l->line += n;
	l->line_is_out = *l->line == '\0';
}

static void host_connects(void)
{
	static const char *const bad[] = { "CONNECT\n", "CONNECT 4294967295\n", "HELLO 1\n",
					   "CONNECT 1 2\n" };
	static char lines[LINKS][32];
	struct link *l = new_link(true);

	if (l == NULL)
		return;
	l->state = LINK_LINE;
	l->fd = host_connect();
	l->line = lines[l - links];
	l->line_is_good = any(10) != 0;
	l->cut = !l->line_is_good;
	if (l->line_is_good)
		snprintf(lines[l - links], sizeof(lines[0]), "CONNECT %u\n", l->guest_port);
	else
		strcpy(lines[l - links], bad[any(4)]);
	send_line(l);
}

static void host_closes(struct link *l)
{
	close(l->fd);
	l->fd = -1;
	l->host_ended = l->host_closed = true;
	if (l->state == LINK_LINE) /* the guest never hears of it */
		l->cut = true;
}

static void host_event(struct link *l)
{
	if (l->fd < 0)
		return;
	if (l->by_host && !l->line_is_out) {
		if (l->line_is_good && any(20) != 0)
			send_line(l);
		else
			host_closes(l);
		return;
	}
	switch (any(16)) {
	case 0:
		if (any(calm) == 0)
			host_closes(l);
		break;
	case 1:
		if (!l->host_ended && any(calm) == 0) {
			CHECK(shutdown(l->fd, SHUT_WR) == 0 || l->cut || l->state == LINK_OVER);
			l->host_ended = true;
		}
		break;
	case 2 ... 7:
		if (any(lazy) == 0)
			host_read(l, 1 + any(1u << any(17)));
		break;
	default:
		if (!l->host_ended && !(l->by_host && !l->line_is_good))
			host_send(l, 1 + any(1u << any(17)));
		break;
	}
}

/* The guest. */

static void guest_asks(void)
{
	struct link *l = new_link(false);

	if (l == NULL)
		return;
	l->state = LINK_ASKED;
	l->host_port = any(5) == 0 ? CLOSED_PORT : OPEN_PORT;
	link_send(l, VIRTIO_VSOCK_OP_REQUEST, 0, 0);
	settle();
	if (l->host_port == OPEN_PORT)
		CHECK((l->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
}

static void guest_sends_data(struct link *l)
{
	uint64_t credit = VSOCK_BUFFER_BYTES - (l->guest_wrote - l->told);
	uint32_t n = 1 + any(1u << (lazy > 1 ? 17 : any(17)));

	if (n > VSOCK_PACKET_BYTES)
		n = VSOCK_PACKET_BYTES;
	if (l->flags & VIRTIO_VSOCK_SHUTDOWN_SEND)
		return;
	if (n > credit)
		n = (uint32_t)credit;
	if (n > 0)
		link_send(l, VIRTIO_VSOCK_OP_RW, n, 0);
}

/* Whatever is not allowed to an open connection. */
static void guest_breaks_a_rule(struct link *l)
{
	l->cut = l->wrong = true;
	if (l->flags == VIRTIO_VSOCK_SHUTDOWN_SEND)
		link_send(l, VIRTIO_VSOCK_OP_RW, 1 + any(100), 0);
	else if (any(2) == 0)
		link_send(l, 1 + (uint16_t)any(2), 0, 0); /* REQUEST, RESPONSE */
	else
		link_send(l, (uint16_t)(8 + any(65528)), 0, 0);
}

static void guest_resets_link(struct link *l)
{
	/* After both ends of its own the guest only gives up its waiting: the data still goes out. */
	if (l->flags != VSOCK_SHUTDOWN_BOTH)
		l->cut = true;
	link_send(l, VIRTIO_VSOCK_OP_RST, 0, 0);
	settle();
	l->state = LINK_OVER;
}

static void guest_event(struct link *l)
{
	uint32_t r = any(32);

	if (l->state == LINK_ASKED && l->by_host) {
		if (r < 20) {
			link_send(l, VIRTIO_VSOCK_OP_RESPONSE, 0, 0);
			l->state = LINK_OPEN;
		} else if (r < 22) {
			guest_resets_link(l);
		}
		return;
	}
	if (l->state != LINK_OPEN)
		return;
	if (l->flags == VSOCK_SHUTDOWN_BOTH && r < 16) {
		guest_resets_link(l);
	} else if (r < 14) {
		guest_sends_data(l);
	} else if (r < 24) {
		l->guest_read += any((uint32_t)(l->guest_got - l->guest_read) + 1);
		l->buf_alloc = any(8) == 0 ? any(100) : 1u << any(19);
		link_send(l, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
	} else if (r < 26) {
		link_send(l, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, 0);
	} else if (r < 28 && (any(calm) == 0 || l->guest_wrote > l->told + 50000)) {
		l->flags |= any(2) == 0 ? VSOCK_SHUTDOWN_BOTH : 1 + any(2);
		link_send(l, VIRTIO_VSOCK_OP_SHUTDOWN, 0, l->flags);
	} else if (r == 28 && any(calm) == 0) {
		guest_resets_link(l);
	} else if (r == 29 && (any(calm) == 0 || l->flags == VIRTIO_VSOCK_SHUTDOWN_SEND)) {
		guest_breaks_a_rule(l);
	}
}

static void device_reset(void)
{
	for (unsigned i = 0; i < LINKS; i++) /* a line just said may be for either driver */
		if (links[i].state == LINK_LINE && links[i].line_is_out)
			settle();
	guest_reset();
	for (unsigned i = 0; i < LINKS; i++) {
		struct link *l = &links[i];
		/* A program that has not said its line is not the old driver's. */
		if (l->state == LINK_NONE || (l->state == LINK_LINE && !l->line_is_out))
			continue;
		l->state = LINK_OVER;
		l->cut = true;
		l->wrong = false;
	}
	guest_start();
}

static void event(void)
{
	uint32_t r = any(200);
	struct link *l = &links[any(LINKS)];

	if (r == 0 && any(3) == 0)
		device_reset();
	else if (r < 10)
		host_connects();
	else if (r < 20)
		guest_asks();
	else if (r < 60)
		at_rest = guest_offer(1 + any(8), 45 + any(1u << any(14))) == 0 && at_rest;
	else if (l->state == LINK_NONE)
		return;
	else if (r < 130)
		host_event(l);
	else
		guest_event(l);
	if (any(3) != 0) /* or several events at once */
		settle();
}

/* A link that nothing has cut has lost nothing, and its ends were seen; the others got their RST. */
static bool is_done(const struct link *l)
{
	if (l->state == LINK_NONE)
		return true;
	if (l->state == LINK_OVER)
		return l->fd < 0 || l->host_saw_end;
	if (l->wrong || l->flags == VSOCK_SHUTDOWN_BOTH)
		return false;
	if (l->cut || l->state != LINK_OPEN)
		return true;
	if (!(l->flags & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	    (l->guest_got != l->host_wrote || l->end_seen != l->host_ended))
		return false;
	return l->host_closed || l->host_got == l->guest_wrote;
}

static void flush_link(struct link *l)
{
	if (l->state == LINK_ASKED && l->by_host) {
		link_send(l, VIRTIO_VSOCK_OP_RESPONSE, 0, 0);
		l->state = LINK_OPEN;
	}
	if (l->state == LINK_OPEN && l->flags != VSOCK_SHUTDOWN_BOTH &&
	    (l->guest_read != l->guest_got || l->buf_alloc != 1u << 18)) {
		l->guest_read = l->guest_got;
		l->buf_alloc = 1u << 18;
		link_send(l, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
	}
	if (l->state != LINK_NONE && l->fd >= 0 && !l->host_saw_end)
		host_read(l, 65536);
}

/* Both sides take all there is, and say so. */
static void flush_links(void)
{
	int64_t end = clock_now_ms() + RIG_WAIT_MS;
	bool done = false;

	while (!done) {
		done = true;
		guest_offer(RIG_QUEUE_SIZE, 8192);
		settle();
		for (unsigned i = 0; i < LINKS; i++) {
			flush_link(&links[i]);
			done = is_done(&links[i]) && done;
		}
		settle();
		if (!done)
			CHECK_EQ(ring_wait_for(&rig_ring, 1), 0); /* the kernel's workers */
		CHECK(clock_now_ms() < end);
	}
}

static void finish_link(struct link *l)
{
	if (l->state == LINK_NONE)
		return;
	if (l->state == LINK_OPEN && any(2) == 0) {
		l->flags = VSOCK_SHUTDOWN_BOTH;
		link_send(l, VIRTIO_VSOCK_OP_SHUTDOWN, 0, VSOCK_SHUTDOWN_BOTH);
		flush_links();
		CHECK_EQ(l->state, LINK_OVER);
	} else if (l->state == LINK_OPEN) {
		guest_resets_link(l);
	}
	if (l->fd >= 0 && !l->host_saw_end &&
	    (l->state == LINK_OVER || (l->line_is_out && !l->line_is_good))) {
		RIG_RUN_UNTIL((host_read(l, 65536), l->host_saw_end));
	}
	if (l->fd >= 0)
		close(l->fd);
	l->state = LINK_NONE;
}

static void sequence(void)
{
	calm = 1 + any(6);
	lazy = any(2) == 0 ? 1 : 8;
	vsock.sockets.no_nowait = any(2); /* as before Linux 6.5 */
	socket_bytes = any(2) == 0 ? 0 : 4096 << any(6);
	for (unsigned i = 0; i < EVENTS; i++)
		event();
	settle();
	flush_links();
	for (unsigned i = 0; i < LINKS; i++)
		finish_link(&links[i]);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	settle();
	check_all_returned();
}

static void test_random_sequences(void)
{
	vsock_rig_open();
	guest_start();
	listener = listen_at_port(OPEN_PORT, 64);
	for (unsigned i = 0; i < SEQUENCES; i++) {
		seed = i * 0x9e3779b97f4a7c15u + 1;
		sequence();
	}
	for (unsigned op = VIRTIO_VSOCK_OP_REQUEST; op < 8; op++)
		CHECK(packets_seen[op] > SEQUENCES / 10);
	CHECK(buffered_seen > SEQUENCES && draining_seen > 5 && deaf_seen > 50);
	close(listener);
	vsock_rig_close();
}

int main(void)
{
	RUN(test_random_sequences);
	return 0;
}

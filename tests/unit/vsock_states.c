/* SPDX-License-Identifier: MIT */
/* A stream's states without sockets: what each event leads to, and what holds after any sequence of them. */
#include "virtio-mmio/vsock/stream.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/check.h"

#define CREDIT 10000u

static struct virtio_vsock_hdr packet(uint16_t op, uint32_t flags, uint32_t length)
{
	return (struct virtio_vsock_hdr){
		.op = op,
		.flags = flags,
		.len = length,
		.buf_alloc = CREDIT,
	};
}

static unsigned guest(struct vsock_stream *stream, uint16_t op, uint32_t flags, uint32_t length)
{
	struct virtio_vsock_hdr header = packet(op, flags, length);

	return vsock_stream_packet(stream, &header);
}

/* The stream's next packet is this one. */
static struct virtio_vsock_hdr expect(struct vsock_stream *stream, uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr header;

	CHECK_EQ(vsock_stream_next(stream), VSOCK_NEXT_PACKET);
	vsock_stream_next_packet(stream, &header, 3);
	CHECK_EQ(header.op, op);
	CHECK_EQ(header.flags, flags);
	return header;
}

/* A host program asks, the guest accepts, both talk, the program leaves, the guest ends. */
static void test_life_of_a_host_program(void)
{
	struct vsock_stream stream = { .guest_port = 5, .host_port = 7 };

	CHECK_EQ(vsock_stream_request(&stream), VSOCK_WATCH | VSOCK_TELL);
	expect(&stream, VIRTIO_VSOCK_OP_REQUEST, 0);
	CHECK_EQ(vsock_stream_next(&stream), VSOCK_NEXT_NOTHING);
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_RESPONSE, 0, 0),
		 VSOCK_SAY_OK | VSOCK_FLUSH | VSOCK_POLL_IN);
	CHECK_EQ(stream.state, VSOCK_ESTABLISHED);
	CHECK_EQ(vsock_stream_polled(&stream, VSOCK_POLL_DATA), VSOCK_TELL);
	CHECK_EQ(vsock_stream_next(&stream), VSOCK_NEXT_DATA);
	stream.receiving = true;
	CHECK_EQ(vsock_stream_next(&stream), VSOCK_NEXT_NOTHING);
	CHECK_EQ(vsock_stream_read(&stream, 100, true), VSOCK_TELL);
	CHECK_EQ(vsock_stream_read(&stream, -EAGAIN, true), VSOCK_POLL_IN);
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_RW, 0, 50), VSOCK_TAKE_DATA);
	CHECK_EQ(vsock_stream_sent(&stream, 20), VSOCK_FLUSH);
	CHECK_EQ(vsock_stream_sent(&stream, 30), 0);
	CHECK_EQ(vsock_stream_polled(&stream, VSOCK_POLL_LEFT), VSOCK_TELL | VSOCK_LOOK);
	CHECK_EQ(vsock_stream_drained(&stream), VSOCK_FLUSH);
	CHECK_EQ(vsock_stream_flushed(&stream), VSOCK_TELL);
	CHECK(vsock_stream_is_over(&stream));
	CHECK_EQ(expect(&stream, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_BOTH).buf_alloc,
		 UINT32_MAX);
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_BOTH, 0),
		 VSOCK_END_INPUT | VSOCK_FLUSH);
	CHECK_EQ(vsock_stream_flushed(&stream), VSOCK_END);
	CHECK_EQ(expect(&stream, VIRTIO_VSOCK_OP_RST, 0).buf_alloc, UINT32_MAX);
	CHECK_EQ(vsock_stream_next(&stream), VSOCK_NEXT_NOTHING);
}

/* The guest asks, ends both ways, and gives up while data waits for a slow reader: the reader gets it. */
static void test_guest_that_gives_up(void)
{
	struct vsock_stream stream = { .state = VSOCK_CONNECTING };

	CHECK_EQ(vsock_stream_connected(&stream), VSOCK_WATCH | VSOCK_TELL | VSOCK_POLL_IN);
	expect(&stream, VIRTIO_VSOCK_OP_RESPONSE, 0);
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_RW, 0, 50), VSOCK_TAKE_DATA);
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_BOTH, 0),
		 VSOCK_END_INPUT | VSOCK_FLUSH);
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_RST, 0, 0), VSOCK_FREE_PORTS);
	CHECK_EQ(stream.state, VSOCK_DRAINING);
	CHECK_EQ(vsock_stream_sent(&stream, 40), VSOCK_FLUSH);
	CHECK_EQ(vsock_stream_sent(&stream, 10), VSOCK_END);
	CHECK_EQ(stream.pending, 0); /* nobody is there to hear of it */
}

/* A direction that the guest ended before the host's socket was connected ends with that. */
static void test_ended_while_connecting(void)
{
	for (uint32_t flags = 0; flags < VSOCK_SHUTDOWN_BOTH; flags++) {
		struct vsock_stream stream = { .state = VSOCK_CONNECTING };
		unsigned expected = VSOCK_WATCH | VSOCK_TELL | VSOCK_POLL_IN;
		if (flags == VIRTIO_VSOCK_SHUTDOWN_RCV)
			expected |= VSOCK_END_INPUT;
		if (flags == VIRTIO_VSOCK_SHUTDOWN_SEND)
			expected |= VSOCK_FLUSH;
		CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_SHUTDOWN, flags, 0), VSOCK_FLUSH);
		CHECK_EQ(vsock_stream_flushed(&stream), 0);
		CHECK_EQ(vsock_stream_connected(&stream), expected);
	}
	struct vsock_stream stream = { .state = VSOCK_CONNECTING };
	CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_BOTH, 0), VSOCK_FLUSH);
	CHECK_EQ(vsock_stream_flushed(&stream), VSOCK_END);
}

/* A packet that its state does not know ends the stream with a RST; a RST ends it without. */
static void test_packets_in_the_wrong_state(void)
{
	static const struct {
		enum vsock_state state;
		uint16_t op;
		unsigned actions, pending;
	} cases[] = {
		{ VSOCK_REQUESTED, VIRTIO_VSOCK_OP_RW, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_CONNECTING, VIRTIO_VSOCK_OP_RW, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_CONNECTING, VIRTIO_VSOCK_OP_RESPONSE, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_ESTABLISHED, VIRTIO_VSOCK_OP_RESPONSE, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_ESTABLISHED, VIRTIO_VSOCK_OP_REQUEST, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_ESTABLISHED, VIRTIO_VSOCK_OP_INVALID, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_ESTABLISHED, 99, VSOCK_END, VSOCK_PENDING_RST },
		{ VSOCK_REQUESTED, VIRTIO_VSOCK_OP_RST, VSOCK_END, 0 },
		{ VSOCK_CONNECTING, VIRTIO_VSOCK_OP_RST, VSOCK_END, 0 },
		{ VSOCK_ESTABLISHED, VIRTIO_VSOCK_OP_RST, VSOCK_END, 0 },
		{ VSOCK_REQUESTED, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0 },
		{ VSOCK_REQUESTED, VIRTIO_VSOCK_OP_CREDIT_REQUEST, VSOCK_TELL,
		  VSOCK_PENDING_CREDIT_UPDATE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vsock_stream stream = { .state = cases[i].state };
		CHECK_EQ(guest(&stream, cases[i].op, 0, 10), cases[i].actions);
		CHECK_EQ(stream.pending, cases[i].pending);
	}
}

/* A host program that leaves before the guest has answered: the guest is told if it was asked. */
static void test_left_before_the_answer(void)
{
	for (unsigned asked = 0; asked < 2; asked++) {
		struct vsock_stream stream = { 0 };
		vsock_stream_request(&stream);
		if (asked)
			expect(&stream, VIRTIO_VSOCK_OP_REQUEST, 0);
		CHECK_EQ(vsock_stream_hung_up(&stream, false), VSOCK_END);
		CHECK_EQ(stream.pending, asked ? VSOCK_PENDING_RST : 0);
	}
}

/* One that has left without having read everything leaves a RST. */
static void test_left_unread(void)
{
	struct vsock_stream stream = { .state = VSOCK_CONNECTING };

	vsock_stream_connected(&stream);
	CHECK_EQ(vsock_stream_polled(&stream, VSOCK_POLL_LEFT_UNREAD), VSOCK_TELL | VSOCK_LOOK);
	CHECK_EQ(vsock_stream_drained(&stream), VSOCK_END);
	CHECK_EQ(stream.pending, VSOCK_PENDING_RST);
}

/* Without credit the guest is asked for some, once, and with some the stream goes on. */
static void test_credit_is_asked_for_once(void)
{
	struct vsock_stream stream = { .state = VSOCK_CONNECTING };

	vsock_stream_connected(&stream);
	expect(&stream, VIRTIO_VSOCK_OP_RESPONSE, 0);
	vsock_stream_polled(&stream, VSOCK_POLL_DATA);
	for (unsigned i = 0; i < 2; i++) {
		expect(&stream, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
		CHECK_EQ(vsock_stream_next(&stream), VSOCK_NEXT_NOTHING);
		CHECK_EQ(guest(&stream, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0), VSOCK_TELL);
		CHECK_EQ(vsock_stream_next(&stream), VSOCK_NEXT_DATA);
		stream.peer_buf_alloc = 0;
	}
}

/* Polls that announce what no read finds end the stream. */
static void test_reads_in_vain(void)
{
	struct vsock_stream stream = { .state = VSOCK_CONNECTING };

	vsock_stream_connected(&stream);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 1; i < VSOCK_MAX_IN_VAIN; i++)
			CHECK_EQ(vsock_stream_read(&stream, -EAGAIN, true), VSOCK_POLL_IN);
		if (round == 0)
			vsock_stream_read(&stream, 1, true);
	}
	CHECK_EQ(vsock_stream_read(&stream, -EINTR, true), VSOCK_END);
}

/* A stream under random events, as sockets and guests may cause them. */
struct run {
	struct vsock_stream stream;
	bool polling, writing; /* something of it is on the ring */
	unsigned ends, ports_freed;
	uint32_t host_shutdown;
};

/* Carries out what a connection does, and checks what holds of any actions. */
static void carry_out(struct run *run, unsigned actions)
{
	struct vsock_stream *stream = &run->stream;

	CHECK_EQ((actions & VSOCK_END) != 0, stream->state == VSOCK_ENDING && run->ends == 0);
	CHECK(!(actions & VSOCK_TELL) || stream->state != VSOCK_DRAINING);
	CHECK(!(actions & VSOCK_FREE_PORTS) || stream->state == VSOCK_DRAINING);
	CHECK_EQ(run->host_shutdown & ~stream->host_shutdown, 0);
	CHECK(stream->received - stream->forwarded <= VSOCK_BUFFER_BYTES);
	run->host_shutdown = stream->host_shutdown;
	run->ends += (actions & VSOCK_END) != 0;
	run->ports_freed += (actions & VSOCK_FREE_PORTS) != 0;
	CHECK(run->ports_freed <= 1);
	if (run->ports_freed > 0)
		CHECK_EQ(stream->pending, 0);
	run->polling |= (actions & VSOCK_POLL_IN) != 0;
	if (actions & VSOCK_TAKE_DATA) {
		CHECK_EQ(stream->state, VSOCK_ESTABLISHED);
		CHECK(!(stream->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND));
		CHECK(!(stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV));
	}
	if (!(actions & (VSOCK_FLUSH | VSOCK_TAKE_DATA)) || (actions & VSOCK_END) || run->writing)
		return;
	if (stream->received != stream->forwarded)
		run->writing = true;
	else
		carry_out(run, vsock_stream_flushed(stream));
}

static void turn(struct run *run)
{
	struct vsock_stream *stream = &run->stream;
	struct virtio_vsock_hdr header;
	uint32_t shutdown = stream->host_shutdown;

	switch (vsock_stream_next(stream)) {
	case VSOCK_NEXT_PACKET:
		vsock_stream_next_packet(stream, &header, 3);
		CHECK_EQ(header.flags, header.op == VIRTIO_VSOCK_OP_SHUTDOWN ? shutdown : 0);
		CHECK(header.op != VIRTIO_VSOCK_OP_RST || stream->state == VSOCK_ENDING);
		break;
	case VSOCK_NEXT_DATA:
		CHECK_EQ(stream->state, VSOCK_ESTABLISHED);
		CHECK(stream->readable && !stream->receiving && vsock_stream_credit(stream) > 0);
		CHECK(!(stream->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV));
		stream->receiving = true;
		break;
	default:
		break;
	}
}

static void host_event(struct run *run, uint32_t kind, uint32_t n)
{
	static const int32_t results[] = { 1, 4000, 0, -EAGAIN, -ECONNRESET };
	struct vsock_stream *stream = &run->stream;
	uint32_t held = stream->received - stream->forwarded;

	if (vsock_stream_is_over(stream))
		return; /* what is on the ring is only waited for */
	if (kind == 0 && run->polling) {
		run->polling = false;
		carry_out(run, vsock_stream_polled(stream, n % 4));
	} else if (kind == 1 && stream->receiving) {
		carry_out(run, vsock_stream_read(stream, results[n % 5], n & 1));
	} else if (kind == 2 && run->writing) {
		run->writing = false;
		carry_out(run, n % 8 ? vsock_stream_sent(stream, n % (held + 1))
				     : vsock_stream_deaf(stream));
	} else if (kind == 3 && n % 16 == 0 && !stream->hung_up) {
		carry_out(run, vsock_stream_hung_up(stream, n & 256));
	} else if (kind == 4 && n % 16 == 0 && stream->hung_up && !stream->gone) {
		carry_out(run, vsock_stream_drained(stream));
	}
}

static void test_any_sequence(void)
{
	unsigned reached[VSOCK_ENDING + 1] = { 0 };
	uint64_t seed = 12;

	for (unsigned i = 0; i < 100000; i++) {
		struct run run = { .stream.state = VSOCK_CONNECTING };
		bool over = false;
		carry_out(&run, i % 2 ? vsock_stream_request(&run.stream)
				      : vsock_stream_connected(&run.stream));
		for (unsigned events = 0; events < 40; events++) {
			uint32_t r = (uint32_t)(check_random(&seed) >> 32), n = r >> 8;
			uint16_t op = (uint16_t)(n % 64 < 8 ? n % 8 : VIRTIO_VSOCK_OP_RW);
			bool known = run.stream.state != VSOCK_ENDING && run.ports_freed == 0;
			if (r % 8 < 5)
				host_event(&run, r % 8, n);
			else if (r % 8 == 5)
				turn(&run);
			else if (known && i % 2 && run.stream.state == VSOCK_REQUESTED)
				carry_out(&run, guest(&run.stream, VIRTIO_VSOCK_OP_RESPONSE, 0, 0));
			else if (known)
				carry_out(&run, guest(&run.stream, op, n >> 6 & 3, n % 9000));
			reached[run.stream.state]++;
			CHECK(!over || vsock_stream_is_over(&run.stream));
			over = vsock_stream_is_over(&run.stream);
		}
	}
	CHECK(reached[VSOCK_REQUESTED] > 0 && reached[VSOCK_ESTABLISHED] > 0);
	CHECK(reached[VSOCK_DRAINING] > 0 && reached[VSOCK_ENDING] > 0);
}

int main(void)
{
	RUN(test_life_of_a_host_program);
	RUN(test_guest_that_gives_up);
	RUN(test_ended_while_connecting);
	RUN(test_packets_in_the_wrong_state);
	RUN(test_left_before_the_answer);
	RUN(test_left_unread);
	RUN(test_credit_is_asked_for_once);
	RUN(test_reads_in_vain);
	RUN(test_any_sequence);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The input is what a driver does with a NIC whose frames go through a stream, and what the peer does: raw
 * descriptors and good frames, kicks, register writes, resets, index jumps; frames of any size, lengths that none has,
 * bytes of the input's choice, a peer that does not read, or leaves; reads and writes that fail with any error, buffers
 * that lie in the queues' own rings (bug classes 5, 6, 8, 16, 17, 18, 20). Every byte that the peer gets belongs to a frame of
 * a size that is allowed. After each input no chain is lost, nothing was written outside guest RAM, the peer's end is noticed,
 * and with the next peer a good driver is served again.
 *
 * No input reaches: the pause before a peer at a path is called again, and what follows it (tests/unit/net_stream_link.c).
 */
#include "tests/fuzz/model/host.h"

#include "tests/fuzz/model/begin.h"

/* The places of buffers are those of the hostile driver. */
#include "tests/unit/net_stream_rig.h"

#include "tests/fuzz/hostile_driver.h"

#define OPERATIONS_MAX    250
#define GOOD_BYTES        1514u
#define READ_MOST         100000u
#define OLD_FRAME_BUFFERS (MAX_FRAME / 2048 + 2) /* for the largest */

enum operation {
	OP_RX_BUFFER = DRIVER_OPERATIONS,
	OP_TX_FRAME,
	OP_PEER_FRAME,
	OP_PEER_LENGTH,
	OP_PEER_BYTES,
	OP_PEER_READ,
	OP_PEER_LEAVES,
	OP_RESULT,
	OP_RING_BUFFER,
	OP_POLICY, /* of the host's ring */
	OPERATIONS,
};

static const uint32_t sizes[16] = { 1,    11,    13,        14,
				    25,   26,    60,        128,
				    1514, 1526,  4096,      9018,
				    2048, 20000, MAX_FRAME, MAX_FRAME + HEADER + 1 };
static const uint8_t parts[8] = { 1, 2, 3, 7, 14, 60, 127, 128 };
static const int errors[] = { EPIPE, ECONNRESET, EAGAIN, EINTR, EIO, EFAULT, ENOBUFS, 0 };
#define ERRORS (sizeof(errors) / sizeof(errors[0]))

/* What the peer has got of the next frame: its length's bytes, then as many of the frame. */
static uint32_t got_length_bytes, got_length, got_left;

static void no_news(struct ring_task *task)
{
	(void)task;
}

/* A new peer, as after a pause. */
static void new_peer(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	peer = ends[1];
	CHECK(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
	nic_socket.fd = ends[0];
	got_length_bytes = got_left = 0;
	net_link_set(&nic.link, true, "");
	net_start(&nic);
}

/* Offers what the device has given back. */
static void offer_again(void)
{
	bool any = false;

	while (queues_used(NET_RX) > 0) {
		nic_offer_rx((uint16_t)queues_take(NET_RX).id, 2048);
		any = true;
	}
	if (any)
		queues_kick(NET_RX);
}

/* Its end is noticed when a driver has taken what had come. */
static void old_peer(void)
{
	if (peer >= 0)
		close(peer);
	peer = -1;
	nic_start(FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	for (uint16_t head = 0; head < OLD_FRAME_BUFFERS; head++)
		nic_offer_rx(head, 2048);
	queues_kick(NET_RX);
	RIG_RUN_UNTIL((offer_again(), nic_socket.fd < 0));
	CHECK(!link_is_up());
	CHECK(!nic.stream.in.under_way && !nic.stream.out.under_way);
	hostile_end();
}

static void peer_got(const uint8_t *at, size_t n)
{
	while (n > 0) {
		if (got_left > 0) {
			size_t some = n < got_left ? n : got_left;
			got_left -= (uint32_t)some;
			at += some;
			n -= some;
			continue;
		}
		got_length = got_length << 8 | *at++;
		n--;
		if (++got_length_bytes < 4)
			continue;
		CHECK(got_length >= 14 && got_length <= MAX_FRAME);
		got_left = got_length;
		got_length = got_length_bytes = 0;
	}
}

static void peer_reads(uint32_t most)
{
	ssize_t n = peer >= 0 ? recv(peer, got, most < sizeof(got) ? most : sizeof(got), 0) : 0;

	if (n > 0)
		peer_got(got, (size_t)n);
}

/* What does not fit the socket is lost, so the peer may become a broken one. */
static void peer_writes(const void *bytes, size_t n)
{
	if (peer >= 0)
		send(peer, bytes, n, MSG_NOSIGNAL);
}

/* Receive buffers of one shape, frames in both directions of one shape. */
static void seed_traffic(const char *name, uint16_t features, uint8_t shape)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, (uint8_t)features, (uint8_t)(features >> 8), 7);
	for (uint8_t i = 0; i < 16; i++) {
		FUZZ_APPEND(&seed, OP_RX_BUFFER, (uint8_t)(i * 7), shape);
		FUZZ_APPEND(&seed, OP_TX_FRAME, (uint8_t)(i * 7), shape);
		FUZZ_APPEND(&seed, OP_KICK, NET_RX, OP_KICK, NET_TX);
		FUZZ_APPEND(&seed, OP_PEER_FRAME, (uint8_t)(i % 8 + 3), OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_PEER_READ, 255, OP_RUN, 31);
	}
	fuzz_seed(name, seed.bytes, seed.n);
}

/* A peer that does not read, and a driver that is reset meanwhile. */
static void seed_slow(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7);
	for (uint8_t i = 0; i < 16; i++)
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 13, OP_KICK, NET_TX, OP_RUN, 31);
	FUZZ_APPEND(&seed, OP_PEER_READ, 200, OP_RUN, 31, OP_RESET, OP_RUN, 31);
	FUZZ_APPEND(&seed, OP_START, 4, 0, 6, OP_PEER_FRAME, 10, OP_PEER_FRAME, 14, OP_RUN, 31);
	for (uint8_t i = 0; i < 16; i++)
		FUZZ_APPEND(&seed, OP_RX_BUFFER, i, 8, OP_KICK, NET_RX, OP_RUN, 31, OP_PEER_READ,
			    255);
	fuzz_seed("slow", seed.bytes, seed.n);
}

/* Lengths in pieces, and those that no frame has: 0, 65,536 and the largest number; a peer that leaves. */
static void seed_lengths(void)
{
	static const uint8_t lengths[][4] = { { OP_PEER_LENGTH, 0, 0, 0 },
					      { OP_PEER_LENGTH, 0x60, 1, 0 },
					      { OP_PEER_LENGTH, 0xc0, 0, 0 },
					      { OP_PEER_BYTES, 2, 0, 60 } };
	char name[16];

	for (unsigned i = 0; i < 4; i++) {
		struct fuzz_program seed = { .n = 0 };
		FUZZ_APPEND(&seed, OP_START, 0, 0, 7, OP_RX_BUFFER, 0, 8, OP_RX_BUFFER, 1, 8);
		FUZZ_APPEND(&seed, OP_KICK, NET_RX, OP_PEER_FRAME, 7, OP_RUN, 31);
		if (i == 3)
			FUZZ_APPEND(&seed, OP_PEER_BYTES, 2, 0, 0, OP_RUN, 31);
		fuzz_append(&seed, lengths[i], 4);
		FUZZ_APPEND(&seed, OP_RUN, 31, OP_TX_FRAME, 0, 8, OP_KICK, NET_TX, OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_PEER_LEAVES, OP_TX_FRAME, 1, 8, OP_KICK, NET_TX, OP_RUN, 31);
		snprintf(name, sizeof(name), "length-%u", i);
		fuzz_seed(name, seed.bytes, seed.n);
	}
}

static void seed_results(void)
{
	char name[16];

	for (uint8_t i = 0; i < ERRORS; i++) {
		struct fuzz_program seed = { .n = 0 };
		FUZZ_APPEND(&seed, OP_START, 0xff, 0xff, 7, OP_RX_BUFFER, 0, 9, OP_KICK, NET_RX,
			    OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_PEER_FRAME, 8, OP_RESULT, i, OP_RUN, 31, OP_PEER_FRAME, 8,
			    OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 8, OP_KICK, NET_TX, OP_RUN, 0, OP_RESULT, i,
			    OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 8, OP_KICK, NET_TX, OP_RUN, 31, OP_PEER_READ,
			    255);
		snprintf(name, sizeof(name), "result-%u", i);
		fuzz_seed(name, seed.bytes, seed.n);
	}
}

/* Frames that are written over the rings which they come by. */
static void seed_rings(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0xff, 0xff, 7);
	for (uint8_t i = 0; i < 12; i++) {
		FUZZ_APPEND(&seed, OP_RX_BUFFER, (uint8_t)(i * 3), 9);
		FUZZ_APPEND(&seed, OP_RING_BUFFER, (uint8_t)(i * 3 + 1), i, (uint8_t)(i * 16));
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 9, OP_KICK, NET_RX, OP_KICK, NET_TX, OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_PEER_FRAME, (uint8_t)(6 + i % 3), OP_PEER_FRAME, 8, OP_RUN,
			    31);
		if (i % 4 == 3)
			FUZZ_APPEND(&seed, OP_RESET, OP_RUN, 31, OP_START, 0xff, 0xff, 7);
	}
	fuzz_seed("rings", seed.bytes, seed.n);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	stream_open();
	nic.link.news_task.run = no_news;
	hostile_memory();
	seed_traffic("plain", 0, 9);
	seed_traffic("all-features", 0xffff, 9);
	seed_traffic("merged", 0x1fff, 7);
	seed_traffic("many-parts", 0x3fff, 0xea);
	seed_traffic("largest", 0xffff, 14);
	seed_slow();
	seed_lengths();
	seed_results();
	seed_rings();
	return 0;
}

static void offer(unsigned queue, struct fuzz_input *input, uint64_t gpa, bool writable)
{
	uint8_t head = fuzz_byte(input), shape = fuzz_byte(input);

	hostile_offer(queue, head, gpa + head % 128u * BUFFER_STEP, sizes[shape & 15],
		      parts[shape >> 5], writable != (shape == 0x1f));
}

static void peer_sends(uint8_t operation, struct fuzz_input *input)
{
	static uint8_t bytes[4 + MAX_FRAME + 16];
	uint32_t n = 4;

	if (operation == OP_PEER_FRAME) {
		n = sizes[fuzz_byte(input) & 15] % (MAX_FRAME + 1);
		uint32_t length = htobe32(n);
		memcpy(bytes, &length, 4);
		n += 4;
	} else if (operation == OP_PEER_LENGTH) {
		uint32_t length = htobe32((uint32_t)fuzz_number(input));
		memcpy(bytes, &length, 4);
	} else {
		n = fuzz_byte(input) & 15;
		for (uint32_t i = 0; i < n; i++)
			bytes[i] = fuzz_byte(input);
	}
	peer_writes(bytes, n);
}

/* A completion that has come, of a read or a write, is a failure, or the end. */
static void change_result(struct fuzz_input *input)
{
	int error = errors[fuzz_byte(input) % ERRORS];
	struct io_uring_cqe *cqe;
	unsigned head;

	CHECK(io_uring_submit_and_get_events(&rig_ring.uring) >= 0);
	io_uring_for_each_cqe(&rig_ring.uring, head, cqe)
	{
		const struct ring_op *op = io_uring_cqe_get_data(cqe);
		if ((op != &nic.stream.in.op && op != &nic.stream.out.op) || cqe->flags != 0)
			continue;
		/* The bytes are lost: whatever the peer gets or sends behind them is no stream any more. */
		if (cqe->res > 0 && (error == EAGAIN || error == EINTR))
			continue;
		cqe->res = -error;
		cqe->flags = 1; /* once: what is lost stays lost */
		return;
	}
}

#include "tests/fuzz/model/end.h"

static void do_operation(struct fuzz_input *input)
{
	uint8_t operation = fuzz_byte(input) % OPERATIONS;
	bool has_queues = rig.queues[0].desc != NULL;

	if (operation == OP_PEER_FRAME || operation == OP_PEER_LENGTH || operation == OP_PEER_BYTES)
		peer_sends(operation, input);
	else if (operation == OP_PEER_READ)
		peer_reads(fuzz_byte(input) * READ_MOST / 255);
	else if (operation == OP_PEER_LEAVES && peer >= 0)
		shutdown(peer, SHUT_RDWR);
	else if (operation == OP_RESULT)
		change_result(input);
	else if (operation == OP_POLICY)
		host_set_policy(fuzz_byte(input));
	else if (operation == OP_RING_BUFFER && has_queues)
		hostile_rings_offer(NET_RX, input);
	else if (operation == OP_RX_BUFFER && has_queues)
		offer(NET_RX, input, RX_BUFFER_GPA, true);
	else if (operation == OP_TX_FRAME && has_queues)
		offer(NET_TX, input, TX_BUFFER_GPA, false);
	else
		hostile_operation(operation, input);
}

#include "tests/fuzz/model/begin.h"

/* What is kept is bounded; a chain is back, waits in the pool, or was not taken. */
static void check_invariants(void)
{
	const struct net_half *halves[] = { &nic.stream.in, &nic.stream.out };

	for (unsigned i = 0; i < 2; i++)
		CHECK(halves[i]->to - halves[i]->from <= BYTE_RING_BYTES);
	CHECK(nic.stream.pool.free.fresh <= VIRTQUEUE_MAX_SIZE);
	CHECK_EQ(nic.device.in_flight, 0);
	if (!virtio_device_is_live(&nic.device))
		return;
	if (nic.device.queues[NET_RX].ready)
		CHECK_EQ(hostile_chains_held(NET_RX), nic.stream.pool.n_ready);
	if (nic.device.queues[NET_TX].ready)
		CHECK_EQ(hostile_chains_held(NET_TX), 0);
}

static void check_good_driver_is_served(void)
{
	nic_start(FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	for (uint16_t head = 0; head < 4; head++)
		nic_offer_rx(head, 600);
	queues_kick(NET_RX);
	peer_send_frame(GOOD_BYTES, 1);
	guest_expect_frame(GOOD_BYTES, 1);
	offer_tx(0, HEADER + GOOD_BYTES, 2);
	queues_kick(NET_TX);
	peer_expect_frame(HEADER + GOOD_BYTES, 2);
	RIG_RUN_UNTIL(queues_used(NET_TX) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };

	memset(rig.queues, 0, sizeof(rig.queues));
	rig.indirect = false;
	host_set_policy(0);
	hostile_race(TX_BUFFER_GPA, data, bytes);
	for (unsigned i = 0; i < OPERATIONS_MAX && input.left > 0; i++) {
		do_operation(&input);
		if (!RACING)
			check_invariants();
	}
	race_end();
	hostile_end();
	old_peer();
	new_peer();
	check_good_driver_is_served();
	hostile_end();
	return 0;
}

#include "tests/fuzz/model/end.h"

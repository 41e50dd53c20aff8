/* SPDX-License-Identifier: MIT */
/*
 * The input is what a driver does with a NIC and what the host's network sends: raw descriptors and
 * good frames, kicks, register writes, resets, index jumps; frames of any size and header, a host that
 * does not read, a TAP that goes away, reads and writes that fail with any error, buffers that lie in the
 * queues' own rings (bug classes 5, 6, 8, 16, 17, 18, 20). After each input all that was in flight is
 * back, no chain is lost, nothing was written outside guest RAM, and a good driver is served again.
 *
 * No input reaches: net_make_mac(), which is of the set-up; in net_tx.c the turn after a chain that comes between the
 * look at an empty queue and the wish for kicks, which needs a second thread (tests/tsan/net.c has it); in rx_pool.c
 * what only the vsock asks. In transport.c, what only reads registers is left to the fuzzer of that.
 */
#include "tests/fuzz/model/host.h"

#include "tests/fuzz/model/begin.h"

/* net_rig.h's places of buffers are those of the hostile driver. */
#include "tests/unit/net_rig.h"

#include "tests/fuzz/net_seeds.h"

#define OPERATIONS_MAX 250
#define FRAME_MAX      (NET_MAX_FRAME_BYTES + 100)
#define GOOD_BYTES     1514u

static uint8_t frame[FRAME_MAX];
static const uint32_t sizes[16] = { 0,
				    1,
				    11,
				    12,
				    13,
				    14,
				    60,
				    128,
				    1514,
				    1526,
				    4096,
				    9018,
				    2048,
				    1000,
				    NET_MAX_FRAME_BYTES,
				    NET_MAX_FRAME_BYTES + 100 };
static const uint8_t parts[8] = { 1, 2, 3, 7, 14, 60, 127, 128 };

static bool removed; /* the TAP, by this input */

/* For the next input: nothing waits in the sockets, no empty frame either; and a TAP that was removed is
 * there again, with a NIC of its own, because the ring takes no new file once it has started. */
static void renew_tap(void)
{
	static uint8_t waste[2 * FRAME_MAX];
	struct guest_memory memory = rig.memory;

	if (!removed && !nic.link.down) {
		while (recv(nic_tap.fd, waste, sizeof(waste), 0) >= 0 ||
		       recv(host_fd, waste, sizeof(waste), 0) >= 0)
			;
		return;
	}
	removed = false;
	rig.memory = (struct guest_memory){ 0 };
	nic_close();
	nic_open(ALL_OFFLOADS, 0);
	guest_memory_unmap(&rig.memory);
	rig.memory = memory;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	nic_open(ALL_OFFLOADS, 0);
	hostile_memory();
	net_seeds_write();
	return 0;
}

static void rx_buffer(struct fuzz_input *input)
{
	uint8_t head = fuzz_byte(input), shape = fuzz_byte(input);

	hostile_offer(NET_RX, head, RX_BUFFER_GPA + head % 128u * BUFFER_STEP, sizes[shape & 15],
		      parts[shape >> 5], !(shape == 0x1f));
}

static void tx_frame(struct fuzz_input *input)
{
	uint8_t head = fuzz_byte(input), shape = fuzz_byte(input);
	uint64_t gpa = TX_BUFFER_GPA + head % 128u * BUFFER_STEP;

	memset(rig_at(gpa), fuzz_byte(input), TAP_HEADER_BYTES);
	hostile_offer(NET_TX, head, gpa, sizes[shape & 15], parts[shape >> 5], shape == 0x1f);
}

/* The header of a frame that was offered: kinds and numbers of the input's choice, good and bad. */
static void tx_header(struct fuzz_input *input)
{
	struct virtio_net_hdr_v1 header = {
		.flags = fuzz_byte(input),
		.gso_type = fuzz_byte(input),
		.hdr_len = fuzz_u16(input),
		.gso_size = fuzz_u16(input),
		.csum_start = fuzz_u16(input),
		.csum_offset = fuzz_u16(input),
	};

	memcpy(rig_at(TX_BUFFER_GPA + fuzz_byte(input) % 128u * BUFFER_STEP), &header,
	       sizeof(header));
}

/* The socket may be full: then the frame is lost, as on a wire. */
static void host_frame(struct fuzz_input *input)
{
	uint32_t bytes = sizes[fuzz_byte(input) & 15];

	frame[0] = fuzz_byte(input);
	frame[1] = fuzz_byte(input);
	send(host_fd, frame, bytes, MSG_NOSIGNAL);
}

/* A frame of the guest has at least a byte and no more than the largest; what its header asks for lies inside. */
static void host_read(void)
{
	static uint8_t got[2 * FRAME_MAX];
	struct virtio_net_hdr_v1 header;
	ssize_t n;

	while ((n = recv(host_fd, got, sizeof(got), 0)) > 0) {
		CHECK(n > TAP_HEADER_BYTES && n <= (ssize_t)NET_MAX_FRAME_BYTES);
		memcpy(&header, got, sizeof(header));
		n -= TAP_HEADER_BYTES;
		CHECK(header.hdr_len <= n && header.flags <= VIRTIO_NET_HDR_F_NEEDS_CSUM);
		CHECK(header.flags == 0 || header.csum_start + header.csum_offset + 2 <= n);
		CHECK(header.gso_type == VIRTIO_NET_HDR_GSO_NONE ||
		      (header.flags != 0 && header.gso_size != 0));
	}
}

/* A completion that has come, of a read or a write, is a failure. */
static void change_result(struct fuzz_input *input)
{
	int error = errors[fuzz_byte(input) % ERRORS];
	struct io_uring_cqe *cqe;
	unsigned head;

	CHECK(io_uring_submit_and_get_events(&rig_ring.uring) >= 0);
	io_uring_for_each_cqe(&rig_ring.uring, head, cqe)
	{
		const struct ring_op *op = io_uring_cqe_get_data(cqe);
		if ((op->done != nic.rx.reads[0].op.done && op->done != nic.tx.writes[0].op.done) ||
		    cqe->res == -error)
			continue;
		cqe->res = -error;
		return;
	}
}

#include "tests/fuzz/model/end.h"

static void do_operation(struct fuzz_input *input)
{
	uint8_t operation = fuzz_byte(input) % OPERATIONS;
	bool has_queues = rig.queues[0].desc != NULL;

	nic.next_change_ms = 0; /* an input is not to wait for those before it */
	if (operation == OP_HOST_FRAME)
		host_frame(input);
	else if (operation == OP_HOST_READ)
		host_read();
	else if (operation == OP_TAP_REMOVED)
		removed = shutdown(host_fd, SHUT_RDWR) == 0;
	else if (operation == OP_OLD_HOST)
		nic_tap.no_nowait |= !has_queues; /* no host becomes old on the way */
	else if (operation == OP_RESULT)
		change_result(input);
	else if (operation == OP_RING_BUFFER && has_queues)
		hostile_rings_offer(NET_RX, input);
	else if (operation == OP_POLICY)
		host_set_policy(fuzz_byte(input));
	else if (operation == OP_TX_HEADER)
		tx_header(input);
	else if (operation == OP_RX_BUFFER && has_queues)
		rx_buffer(input);
	else if (operation == OP_TX_FRAME && has_queues)
		tx_frame(input);
	else
		hostile_operation(operation, input);
}

#include "tests/fuzz/model/begin.h"

/* The memory that the kernel was told to fill lies in guest RAM or is the NIC's own place for what does not fit;
 * chains that no read or write has are back or wait in the pool. */
static void check_invariants(void)
{
	CHECK(nic.tx.free_writes.fresh <= VIRTQUEUE_MAX_SIZE &&
	      nic.rx.pool.free.fresh <= VIRTQUEUE_MAX_SIZE);
	CHECK(nic.rx.reads_in_flight <= NET_MAX_READS);
	for (unsigned i = 0; i < nic.rx.reads_in_flight; i++) {
		const struct net_frame *to = &nic.rx.reads[i].frame;
		CHECK(to->data.n <= NET_FRAME_PARTS && to->n_buffers <= NET_FRAME_BUFFERS);
		CHECK(to->parts[to->data.n].iov_base == nic.rx.overflow);
		for (unsigned n = 0; n < to->data.n; n++)
			CHECK(to->parts[n].iov_len == 0 ||
			      fuzz_in_memory(&rig.memory, to->parts[n].iov_base,
					     to->parts[n].iov_len));
	}
	if (!virtio_device_is_live(&nic.device))
		return;
	if (nic.rx.reads_in_flight == 0 && nic.device.queues[NET_RX].ready)
		CHECK_EQ(hostile_chains_held(NET_RX), nic.rx.pool.n_ready);
	if (nic.device.in_flight == nic.rx.reads_in_flight && nic.device.queues[NET_TX].ready)
		CHECK_EQ(hostile_chains_held(NET_TX), 0);
}

static void check_good_driver_is_served(void)
{
	struct rig_part part = { TX_BUFFER_GPA, GOOD_BYTES, false };
	uint8_t got[GOOD_BYTES + 1];

	nic_start(FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	for (uint16_t head = 0; head < 4; head++)
		nic_offer_rx(head, 600);
	queues_kick(NET_RX);
	make_frame(frame, GOOD_BYTES, 1);
	host_send(frame, GOOD_BYTES);
	RIG_RUN_UNTIL(queues_used(NET_RX) == 3);
	for (uint16_t head = 0; head < 3; head++)
		CHECK_EQ(queues_take(NET_RX).id, head);
	CHECK_BYTES((uint8_t *)rig_at(RX_BUFFER_GPA) + 12, frame + 12, 588);
	memcpy(rig_at(TX_BUFFER_GPA), frame, GOOD_BYTES);
	queues_offer(NET_TX, 0, &part, 1);
	queues_kick(NET_TX);
	RIG_RUN_UNTIL(queues_used(NET_TX) == 1);
	CHECK_EQ(recv(host_fd, got, sizeof(got), 0), GOOD_BYTES);
	CHECK_BYTES(got, frame, GOOD_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };

	memset(rig.queues, 0, sizeof(rig.queues));
	rig.indirect = false;
	nic_tap.no_nowait = false;
	nic.rx.batch_reads = 1;
	host_set_policy(0);
	hostile_race(TX_BUFFER_GPA, data, bytes);
	for (unsigned i = 0; i < OPERATIONS_MAX && input.left > 0; i++) {
		do_operation(&input);
		if (!RACING)
			check_invariants();
	}
	race_end();
	/* A write without RWF_NOWAIT waits for a socket's reader, which it does not with a TAP. */
	RIG_RUN_UNTIL((host_read(), nic.device.in_flight == 0));
	check_invariants();
	hostile_end();
	renew_tap();
	check_good_driver_is_served();
	hostile_end();
	return 0;
}

#include "tests/fuzz/model/end.h"

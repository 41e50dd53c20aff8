/* SPDX-License-Identifier: MIT */
/* Frames to the guest: how they fill its buffers, their order, and what is no buffer. */
#include "tests/unit/check.h"
#include "tests/unit/net_rig.h"

static uint8_t frame[NET_MAX_FRAME_BYTES + 40000], got[NET_MAX_FRAME_BYTES + 40000];

#define MRG   FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define GCSUM FEATURE(VIRTIO_NET_F_GUEST_CSUM)
#define GTSO4 FEATURE(VIRTIO_NET_F_GUEST_TSO4)

/* Sends one frame of `bytes` and puts together what the guest got: returns its length, 0 when it was
 * dropped. The chains are `buffers`, in any order. */
static uint32_t receive_frame(uint32_t bytes, const uint32_t *sizes, unsigned *n_chains)
{
	uint32_t length = 0;

	make_frame(frame, bytes, bytes);
	host_send(frame, bytes);
	RIG_RUN_UNTIL(!tap_holds_frames() && nic.rx.reads_in_flight == 0);
	*n_chains = queues_used(NET_RX);
	for (unsigned i = 0; i < *n_chains; i++) {
		struct vring_used_elem used = queues_take(NET_RX);
		uint8_t *at = rig_at(RX_BUFFER_GPA + used.id * BUFFER_STEP);
		CHECK(used.len <= sizes[used.id]);
		CHECK(i + 1 == *n_chains || used.len == sizes[used.id]);
		CHECK_FILLED(at + sizes[used.id], 0xee, 64);
		memcpy(got + length, at, used.len);
		length += used.len;
	}
	return length;
}

/* Odd sizes, and frames that end before, at and behind each border. */
static void test_mrg_splits(void)
{
	static const uint32_t patterns[][4] = {
		{ 12, 12, 12, 12 },     { 13, 14, 15, 17 },       { 12, 4000, 1, 12 },
		{ 101, 103, 107, 109 }, { 1500, 1526, 64, 4096 }, { 2048, 2048, 2048, 2048 },
	};

	for (unsigned p = 0; p < 6; p++) {
		uint32_t sizes[RIG_QUEUE_SIZE], total = 0;
		unsigned n_chains;
		nic_open(0, 0);
		for (unsigned lengths = 14; lengths <= 1530; lengths += lengths < 60 ? 1 : 101) {
			nic_start(MRG);
			total = 0;
			for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++) {
				sizes[head] =
					patterns[p][head % 4] < 12 ? 12 : patterns[p][head % 4];
				total += head < NET_FRAME_BUFFERS ? sizes[head] : 0;
				nic_offer_rx(head, sizes[head]);
			}
			queues_kick(NET_RX);
			uint32_t length = receive_frame(lengths, sizes, &n_chains);
			if (lengths <= total) {
				CHECK_EQ(length, lengths);
				CHECK_EQ(got[10] | got[11] << 8, n_chains);
				CHECK_BYTES(got + 12, frame + 12, lengths - 12);
			} else {
				CHECK_EQ(length, 0);
			}
			queues_reset();
			RIG_RUN_UNTIL(queues_status() == 0);
		}
		nic_close();
	}
}

/* The largest frame over 64 buffers, one that fills exactly, one byte more. */
static void test_mrg_largest(void)
{
	static const uint32_t lengths[] = { 64 * 1024, 64 * 1024 - 1, 64 * 1024 + 1,
					    NET_MAX_FRAME_BYTES };
	uint32_t sizes[RIG_QUEUE_SIZE];
	unsigned n_chains;

	nic_open(ALL_OFFLOADS, 0);
	for (unsigned i = 0; i < 4; i++) {
		nic_start(MRG | GCSUM | GTSO4);
		for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++) {
			sizes[head] = 1024;
			nic_offer_rx(head, 1024);
		}
		queues_kick(NET_RX);
		uint32_t length = receive_frame(lengths[i], sizes, &n_chains);
		CHECK_EQ(length, lengths[i] <= 65536 ? lengths[i] : 0);
		CHECK_EQ(n_chains, lengths[i] <= 65536 ? 64 : 0);
		if (length > 0)
			CHECK_BYTES(got + 12, frame + 12, length - 12);
		CHECK_EQ(receive_frame(100, sizes, &n_chains), 100); /* and goes on */
		CHECK_EQ(n_chains, 1);
		queues_reset();
		RIG_RUN_UNTIL(queues_status() == 0);
	}
	nic_close();
}

/* Without MRG_RXBUF a frame has one chain: exactly full, and one byte too long for it. */
static void test_one_chain_a_frame(void)
{
	uint32_t sizes[2] = { 1000, 1000 };
	unsigned n_chains;

	nic_open(0, 0);
	nic_start(0);
	nic_offer_rx(0, 1000);
	queues_kick(NET_RX);
	CHECK_EQ(receive_frame(1001, sizes, &n_chains), 0);
	CHECK_EQ(receive_frame(60000, sizes, &n_chains), 0);
	CHECK_FILLED((uint8_t *)rig_at(RX_BUFFER_GPA) + 1000, 0xee, 64);
	CHECK_EQ(receive_frame(11, sizes, &n_chains), 0); /* no whole header */
	CHECK_EQ(receive_frame(1000, sizes, &n_chains), 1000);
	CHECK_EQ(n_chains, 1);
	CHECK_BYTES(got + 12, frame + 12, 988);
	CHECK_EQ(got[10], 1);
	CHECK_EQ(nic.device.count.requests, 4);
	CHECK_EQ(nic.device.count.errors, 3);
	CHECK_EQ(nic.device.count.in_bytes, 1000 - 12);
	nic_close();
}

/* Chains of many parts, the header over six of them; a chain with more parts than one read takes. */
static void test_chains_of_parts(void)
{
	for (unsigned mrg = 0; mrg < 2; mrg++) {
		struct rig_part parts[126];
		nic_open(0, 0);
		nic_start((mrg ? MRG : 0) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
		for (uint16_t head = 0; head < 3; head++) {
			uint64_t gpa = RX_BUFFER_GPA + head * BUFFER_STEP;
			memset(rig_at(gpa), 0xee, 64 << 10);
			for (unsigned i = 0; i < 126; i++, gpa += 64)
				parts[i] = (struct rig_part){ gpa, i < 6 ? 2 : 7 + i % 3, true };
			queues_offer(NET_RX, head, parts, 126);
		}
		queues_kick(NET_RX);
		make_frame(frame, 900, 5);
		host_send(frame, 900);
		RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
		CHECK_EQ(queues_take(NET_RX).len, 900);
		frame[10] = 1;
		for (unsigned i = 0, left = 900, at = 0; i < 126; i++) {
			uint32_t size = i < 6 ? 2 : 7 + i % 3, n = left < size ? left : size;
			uint8_t *part = rig_at(RX_BUFFER_GPA + i * 64);
			CHECK_BYTES(part, frame + at, n);
			CHECK_FILLED(part + n, 0xee, 64 - n);
			at += n;
			left -= n;
		}
		nic_close();
	}
}

/* Many frames: in order, each once, also when they are more than one batch of reads. */
static void test_order_of_frames(void)
{
	nic_open(0, 0);
	nic_start(MRG | RING_FEATURES);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		nic_offer_rx(head, 1526);
	queues_kick(NET_RX);
	for (unsigned sent = 0, next = 0; next < 2000;) {
		for (; sent < 2000 && sent < next + 60; sent++) {
			make_frame(frame, 60 + sent % 1400, sent);
			host_send(frame, 60 + sent % 1400);
		}
		RIG_RUN_UNTIL(queues_used(NET_RX) > 0);
		for (; queues_used(NET_RX) > 0; next++) {
			struct vring_used_elem used = queues_take(NET_RX);
			make_frame(frame, 60 + next % 1400, next);
			CHECK_EQ(used.len, 60 + next % 1400);
			CHECK_BYTES((uint8_t *)rig_at(RX_BUFFER_GPA + used.id * BUFFER_STEP) + 12,
				    frame + 12, used.len - 12);
			nic_offer_rx((uint16_t)used.id, 1526);
		}
		queues_kick(NET_RX);
	}
	nic_close();
}

/* A reset while the TAP is polled: the new driver's buffers are found, though its kick comes before the
 * poll returns. */
static void test_reset_while_polling(void)
{
	uint32_t size = 2000;
	unsigned n_chains;

	nic_open(0, 0);
	for (unsigned i = 0; i < 3; i++) {
		nic_start(i & 1 ? FEATURE(VIRTIO_RING_F_EVENT_IDX) : 0);
		nic_offer_rx(0, 2000);
		queues_kick(NET_RX);
		rig_idle();
		CHECK(nic.rx.polling);
		CHECK_EQ(receive_frame(300 + i, &size, &n_chains), 300 + i);
		nic_offer_rx(0, 2000);
		queues_kick(NET_RX);
		rig_idle();
		queues_reset();
		CHECK_EQ(queues_status(), 0);
	}
	nic_close();
}

/* A chain that is no receive buffer breaks the queue; a reset repairs it. */
static void test_bad_rx_chains(void)
{
	static const struct rig_part bad[][2] = {
		{ { RX_BUFFER_GPA, 2000, false }, { 0, 0, false } },
		{ { RX_BUFFER_GPA, 12, false }, { RX_BUFFER_GPA, 2000, true } },
		{ { RX_BUFFER_GPA, 11, true }, { 0, 0, false } },
		{ { RIG_MEM_BYTES - 100, 101, true }, { 0, 0, false } },
	};
	uint32_t size = 2000;
	unsigned n_chains;

	nic_open(0, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nic_start(0);
		queues_offer(NET_RX, 3, bad[i], bad[i][1].bytes ? 2 : 1);
		queues_kick(NET_RX);
		RIG_RUN_UNTIL(queues_broken());
		queues_reset();
		nic_start(0);
		nic_offer_rx(0, 2000);
		queues_kick(NET_RX);
		CHECK_EQ(receive_frame(300, &size, &n_chains), 300);
		queues_reset();
		RIG_RUN_UNTIL(queues_status() == 0);
	}
	nic_close();
}

int main(void)
{
	RUN(test_mrg_splits);
	RUN(test_mrg_largest);
	RUN(test_one_chain_a_frame);
	RUN(test_chains_of_parts);
	RUN(test_order_of_frames);
	RUN(test_reset_while_polling);
	RUN(test_bad_rx_chains);
	return 0;
}

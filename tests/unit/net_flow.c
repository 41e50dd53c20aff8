/* SPDX-License-Identifier: MIT */
/* The NIC under flood, starvation, guest-sized requests and resets. */
#include "tests/unit/check.h"
#include "tests/unit/net_tx_rig.h"

static long resident_kib(void)
{
	long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	CHECK(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Class 8: chains of 128 parts of 128 KiB each, both ways: no memory is taken by their size, what is longer
 * than the largest frame is not sent, and a frame is read into no more than it needs. */
static void test_class_8_guest_sized_memory_chains(void)
{
	struct rig_part parts[RIG_QUEUE_SIZE];
	long before = 0;

	nic_open(0, 0);
	nic_start(FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned queue = 0; queue < NET_QUEUES; queue++) {
			for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
				parts[i] = (struct rig_part){ RX_BUFFER_GPA, 0x20000,
							      queue == NET_RX };
			queues_offer(queue, (uint16_t)(round % 8), parts, RIG_QUEUE_SIZE);
			queues_kick(queue);
		}
		take_all_tx(1);
		check_nothing_sent();
		make_frame(frame, 1000, round);
		host_send(frame, 1000);
		RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
		CHECK_EQ(queues_take(NET_RX).len, 1000);
		CHECK_BYTES((uint8_t *)rig_at(RX_BUFFER_GPA) + TAP_HEADER_BYTES,
			    frame + TAP_HEADER_BYTES, 1000 - TAP_HEADER_BYTES);
		if (round == 10)
			before = resident_kib();
	}
	CHECK(resident_kib() - before < 512);
	CHECK(!queues_broken());
	nic_close();
}

/* Class 9: without buffers, or with too few for a frame, nothing wakes up however much there is to
 * read; what the TAP holds arrives when there are buffers. */
static void test_class_9_busy_spin_starved(void)
{
	for (unsigned with_few = 0; with_few < 2; with_few++) {
		nic_open(0, 0);
		nic_start(with_few ? MRG : 0);
		if (with_few)
			nic_offer_rx(127, 100);
		queues_kick(NET_RX);
		rig_idle();
		for (unsigned i = 0; i < 50; i++) {
			make_frame(frame, 500 + i, i);
			host_send(frame, 500 + i);
		}
		CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
		for (uint16_t head = 0; head < 100; head++)
			nic_offer_rx(head, 2000);
		queues_kick(NET_RX);
		RIG_RUN_UNTIL(!tap_holds_frames() && nic.rx.reads_in_flight == 0);
		unsigned bytes = 0;
		while (queues_used(NET_RX) > 0)
			bytes += queues_take(NET_RX).len;
		CHECK_EQ(bytes, 50 * 500 + 49 * 50 / 2);
		rig_idle();
		CHECK_EQ(rig_wake_ups(IDLE_MS), 0); /* nor with buffers and nothing to read */
		nic_close();
	}
}

/* Class 6: a flood to the guest does not keep its own frames. */
static void test_class_6_flood_freeze_rx(void)
{
	unsigned turns = 0, received = 0;

	nic_open(0, 0);
	nic_start(MRG);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		nic_offer_rx(head, 1526);
	make_frame(frame, 60, 1);
	for (bool sent = false; turns < 100; turns++) {
		while (send(host_fd, frame, 60, 0) == 60)
			;
		queues_kick(NET_RX);
		if (turns == 20)
			offer_tx(0, 99, 5);
		if (turns == 20)
			queues_kick(NET_TX);
		CHECK_EQ(ring_wait_for(&rig_ring, 20), 0);
		for (; queues_used(NET_RX) > 0; received++)
			nic_offer_rx((uint16_t)queues_take(NET_RX).id, 1526);
		sent = queues_used(NET_TX) == 1;
		if (sent)
			break;
	}
	CHECK(turns < 30);
	CHECK(received > 100);
	check_sent(99, 5);
	nic_close();
}

/* And a guest that never stops sending does not keep those for it. */
static void test_class_6_flood_freeze_tx(void)
{
	unsigned turns = 0, sent = 0;

	nic_open(0, 0);
	nic_start(0);
	nic_offer_rx(0, 2000);
	queues_kick(NET_RX);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		offer_tx(head, 60, head);
	for (; turns < 100 && queues_used(NET_RX) == 0; turns++) {
		queues_kick(NET_TX);
		if (turns == 20) {
			make_frame(frame, 70, 1);
			host_send(frame, 70);
		}
		CHECK_EQ(ring_wait_for(&rig_ring, 20), 0);
		for (; queues_used(NET_TX) > 0; sent++)
			driver_offer(&rig.queues[NET_TX], (uint16_t)queues_take(NET_TX).id);
		while (recv(host_fd, got, sizeof(got), 0) > 0)
			;
	}
	CHECK(turns > 20 && turns < 30);
	CHECK(sent > 100);
	CHECK_EQ(queues_take(NET_RX).len, 70);
	nic_close();
}

/* Class 15: heads offered twice while they are on their way: no more writes than there are, and all
 * are given back in the end. */
static void test_class_15_unbounded_requests_heads_twice(void)
{
	nic_open(0, 0);
	nic_start(0);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		offer_tx(head, 100, head);
	queues_kick(NET_TX);
	RIG_RUN_UNTIL(nic.device.in_flight > 0);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		driver_offer(&rig.queues[NET_TX], head);
	queues_kick(NET_TX);
	RIG_RUN_UNTIL(queues_used(NET_TX) == 2 * RIG_QUEUE_SIZE);
	CHECK(nic.tx.free_writes.fresh <= VIRTQUEUE_MAX_SIZE);
	for (unsigned i = 0; i < 2 * RIG_QUEUE_SIZE; i++)
		check_sent(100, i % RIG_QUEUE_SIZE);
	CHECK(!queues_broken());
	nic_close();
}

/* Class 17: a reset between an operation's submission and its completion. The late completions touch
 * no ring, and the next driver finds everything working. */
static void reset_in_flight(bool rx, bool wait)
{
	nic_start(0);
	if (rx) {
		for (uint16_t head = 0; head < 40; head++)
			nic_offer_rx(head, 2000);
		for (unsigned i = 0; i < 5; i++) {
			make_frame(frame, 100, i);
			host_send(frame, 100);
		}
	} else {
		for (uint16_t head = 0; head < 40; head++)
			offer_tx(head, 100, head);
	}
	queues_kick(rx ? NET_RX : NET_TX);
	RIG_RUN_UNTIL(nic.device.in_flight > 0);
	CHECK(io_uring_submit(&rig_ring.uring) > 0);
	uint16_t used = queues_used(NET_RX);
	queues_reset();
	CHECK_EQ(queues_status(), VIRTIO_CONFIG_S_NEEDS_RESET);
	queues_interrupts();
	if (wait) {
		RIG_RUN_UNTIL(queues_status() == 0);
		CHECK_EQ(queues_interrupts(), 0);
		CHECK_EQ(queues_used(NET_RX), used);
		CHECK_EQ(queues_used(NET_TX), 0);
		nic_start(0);
	} else {
		driver_negotiate(&rig.transport, FEATURE(VIRTIO_F_VERSION_1));
		for (unsigned i = 0; i < NET_QUEUES; i++)
			queues_make(i, RIG_QUEUE_SIZE);
		driver_write(&rig.transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
	}
	while (tap_holds_frames()) /* what was not read before the reset may be lost */
		CHECK(recv(nic_tap.fd, got, sizeof(got), 0) > 0);
	nic_offer_rx(3, 2000);
	offer_tx(4, 321, 17);
	queues_kick(NET_RX);
	queues_kick(NET_TX);
	take_all_tx(1);
	CHECK(!queues_broken());
	while (recv(host_fd, got, sizeof(got), MSG_PEEK) == 100)
		recv(host_fd, got, sizeof(got), 0);
	check_sent(321, 17);
	make_frame(frame, 456, 1);
	host_send(frame, 456);
	RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
	CHECK_EQ(queues_take(NET_RX).id, 3);
	CHECK_EQ(nic.device.in_flight, 0);
	queues_reset();
	CHECK_EQ(queues_status(), 0);
}

static void test_class_17_reset_in_flight(void)
{
	nic_open(0, 0);
	for (unsigned i = 0; i < 12; i++)
		reset_in_flight(i & 1, i & 2);
	nic_close();
}

int main(void)
{
	RUN(test_class_8_guest_sized_memory_chains);
	RUN(test_class_9_busy_spin_starved);
	RUN(test_class_6_flood_freeze_rx);
	RUN(test_class_6_flood_freeze_tx);
	RUN(test_class_15_unbounded_requests_heads_twice);
	RUN(test_class_17_reset_in_flight);
	return 0;
}

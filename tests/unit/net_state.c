/* SPDX-License-Identifier: MIT */
/* A NIC saved and restored: buffers that the driver gave before are used after, each once; offloads and link are told again. */
#include "virtio-mmio/net_state.h"

#include "tests/unit/check.h"
#include "tests/unit/net_rig.h"
#include "virtio-mmio/transport_state.h"

static struct virtio_transport_state transport_saved;
static struct net_state saved;
static struct guest_memory kept;
static struct driver_queue kept_queues[NET_QUEUES];
static const uint8_t *kept_base; /* of the memory that they were in */
static struct error_text error;
static uint8_t frame[200];

#define OFFLOADS (FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4))

static void save(void)
{
	virtio_device_stop_queues(&nic.device);
	RIG_RUN_UNTIL(net_is_at_rest(&nic));
	virtio_transport_save(&rig.transport, &transport_saved);
	net_save(&nic, &saved);
	kept_base = rig.memory.host;
	memcpy(kept.host, rig.memory.host, RIG_MEM_BYTES);
	memcpy(kept_queues, rig.queues, sizeof(kept_queues));
}

static void *moved(const void *at)
{
	return rig.memory.host + ((const uint8_t *)at - kept_base);
}

/* The next process's NIC, not yet restored. */
static void next_process(uint32_t offloads)
{
	nic_close();
	nic_open(offloads, 0);
	memcpy(rig.memory.host, kept.host, RIG_MEM_BYTES);
	for (unsigned i = 0; i < NET_QUEUES; i++) {
		rig.queues[i] = kept_queues[i];
		rig.queues[i].memory = &rig.memory;
		rig.queues[i].desc = moved(kept_queues[i].desc);
		rig.queues[i].avail = moved(kept_queues[i].avail);
		rig.queues[i].used = moved(kept_queues[i].used);
	}
}

static bool restore(void)
{
	return virtio_transport_restore(&rig.transport, &transport_saved, &error) &&
	       net_restore(&nic, &saved, &error);
}

static void receive(unsigned seed, uint16_t head)
{
	make_frame(frame, sizeof(frame), seed);
	host_send(frame, sizeof(frame));
	RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
	CHECK_EQ(queues_take(NET_RX).id, head);
	CHECK_BYTES(rig_at(RX_BUFFER_GPA + head * BUFFER_STEP + TAP_HEADER_BYTES),
		    frame + TAP_HEADER_BYTES, sizeof(frame) - TAP_HEADER_BYTES);
}

/* More buffers than a ring has are given and used, out of order: what is left is what the driver has not got back, and not
 * what its ring says now. */
static void test_buffers(void)
{
	static const uint16_t heads[] = { 9, 3, 7, 1, 100, 55 };
	struct virtio_transport_state again;
	struct net_state net_again;

	nic_open(ALL_OFFLOADS, 0);
	nic_start(RING_FEATURES);
	for (unsigned i = 0; i < 6; i++)
		nic_offer_rx(heads[i], 2048);
	queues_kick(NET_RX);
	receive(1, 9);
	receive(2, 3);
	/* The driver writes its ring over. */
	memset(rig.queues[NET_RX].avail->ring, 0xff, RIG_QUEUE_SIZE * 2);
	save();
	CHECK_EQ(saved.pool.n, 4);
	CHECK_BYTES(saved.pool.heads, heads + 2, 8);
	next_process(ALL_OFFLOADS);
	memset(nic.link.config.mac, 0x55, 6);
	CHECK(restore());
	CHECK_BYTES(nic.link.config.mac, rig_mac, 6);
	virtio_transport_save(&rig.transport, &again);
	net_save(&nic, &net_again);
	CHECK_BYTES(&again, &transport_saved, sizeof(again));
	CHECK_BYTES(&net_again, &saved, sizeof(saved));
	for (unsigned i = 2; i < 6; i++)
		receive(10 + i, heads[i]);
	nic_offer_rx(9, 2048);
	queues_kick(NET_RX);
	receive(20, 9);
	nic_close();
}

/* What comes after the rest is for the next process, or for this one if it goes on. */
static void test_frames_at_rest(void)
{
	nic_open(0, 0);
	nic_start(RING_FEATURES);
	nic_offer_rx(3, 2048);
	nic_offer_rx(4, 2048);
	queues_kick(NET_RX);
	receive(1, 3);
	save();
	make_frame(frame, sizeof(frame), 2);
	host_send(frame, sizeof(frame));
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	CHECK(tap_holds_frames());
	CHECK_EQ(queues_used(NET_RX), 0);
	virtio_device_go_on(&nic.device);
	RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
	CHECK_EQ(queues_take(NET_RX).id, 4);
	nic_close();
}

/* Frames that the guest has queued meanwhile go when the ring runs, without a kick. */
static void test_kick(void)
{
	struct rig_part part = { TX_BUFFER_GPA, 100, false };

	nic_open(0, 0);
	nic_start(RING_FEATURES);
	save();
	next_process(0);
	memset(rig_at(TX_BUFFER_GPA), 0, 100);
	queues_offer(NET_TX, 0, &part, 1);
	CHECK(restore());
	RIG_RUN_UNTIL(queues_used(NET_TX) == 1);
	nic_close();
}

static void test_offloads(void)
{
	nic_open(ALL_OFFLOADS, 0);
	nic_start(RING_FEATURES | OFFLOADS);
	save();
	tap_offloads_set = 0;
	next_process(ALL_OFFLOADS);
	CHECK(restore());
	CHECK_EQ(tap_offloads_set, TUN_F_CSUM | TUN_F_TSO4);
	next_process(TUN_F_CSUM);
	CHECK(!restore());
	CHECK_HAS(error.text, "the guest has accepted features");
	nic_close();
}

/* The link was down, and is up: the guest is told. */
static void test_link(void)
{
	nic_open(0, 0);
	nic_start(RING_FEATURES);
	save();
	next_process(0);
	queues_interrupts();
	CHECK(restore());
	CHECK_EQ(queues_interrupts(), 0);
	uint32_t generation = nic.device.config_generation;
	saved.link_status = 0;
	next_process(0);
	CHECK(restore());
	CHECK(queues_interrupts() != 0);
	CHECK(nic.device.config_generation != generation);
	CHECK(nic.device.interrupt_status & VIRTIO_MMIO_INT_CONFIG);
	nic_close();
}

/* Chains that a hostile guest, or file, has made no buffers: it has broken its device. */
static void test_bad_buffers(void)
{
	nic_open(0, 0);
	nic_start(RING_FEATURES);
	nic_offer_rx(5, 2048);
	queues_kick(NET_RX);
	RIG_RUN_UNTIL(nic.rx.pool.n_ready == 1);
	save();
	next_process(0);
	rig.queues[NET_RX].desc[5].flags = 0;
	CHECK(restore());
	CHECK(queues_broken());
	next_process(0);
	saved.pool.n = 129;
	CHECK(!restore());
	saved.pool.n = 1;
	saved.pool.heads[0] = RIG_QUEUE_SIZE;
	next_process(0);
	CHECK(restore());
	CHECK(queues_broken());
	nic_close();
}

int main(void)
{
	CHECK(guest_memory_map(&kept, RIG_MEM_BYTES));
	RUN(test_buffers);
	RUN(test_frames_at_rest);
	RUN(test_kick);
	RUN(test_offloads);
	RUN(test_link);
	RUN(test_bad_buffers);
	return 0;
}

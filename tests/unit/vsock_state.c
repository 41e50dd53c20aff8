/* SPDX-License-Identifier: MIT */
/* A vsock saved and restored: the guest is told that its connections are over, and new ones come after that. */
#include "virtio-mmio/vsock/vsock_state.h"

#include "tests/unit/check.h"
#include "tests/unit/vsock_rig.h"
#include "virtio-mmio/transport_state.h"

#define EVENT_GPA 0x3f00000u

static struct virtio_transport_state transport_saved;
static struct vsock_device_state saved;
static struct guest_memory kept;
static struct driver_queue kept_queues[VSOCK_QUEUES];
static const uint8_t *kept_base;
static uint32_t kept_rx[RIG_QUEUE_SIZE];
static bool kept_tx[RIG_QUEUE_SIZE];
static struct error_text error;

static void offer_event(uint16_t head)
{
	struct rig_part part = { EVENT_GPA + head * 8u, 4, true };

	memset(rig_at(part.gpa), 0xee, 4);
	queues_offer(VSOCK_EVENT, head, &part, 1);
}

static void save(void)
{
	virtio_device_stop_queues(&vsock.device);
	RIG_RUN_UNTIL(vsock.device.in_flight == 0);
	virtio_transport_save(&rig.transport, &transport_saved);
	vsock_save(&vsock, &saved);
	kept_base = rig.memory.host;
	memcpy(kept.host, rig.memory.host, RIG_MEM_BYTES);
	memcpy(kept_queues, rig.queues, sizeof(kept_queues));
	memcpy(kept_rx, rx_offered, sizeof(kept_rx));
	memcpy(kept_tx, tx_offered, sizeof(kept_tx));
}

static void *moved(const void *at)
{
	return rig.memory.host + ((const uint8_t *)at - kept_base);
}

static void next_process(void)
{
	vsock_rig_close();
	vsock_rig_make((struct vsock_target){ rig_path, -1 });
	memcpy(rig.memory.host, kept.host, RIG_MEM_BYTES);
	memcpy(rx_offered, kept_rx, sizeof(kept_rx));
	memcpy(tx_offered, kept_tx, sizeof(kept_tx));
	rig.indirect = true;
	for (unsigned i = 0; i < VSOCK_QUEUES; i++) {
		rig.queues[i] = kept_queues[i];
		rig.queues[i].memory = &rig.memory;
		rig.queues[i].desc = moved(kept_queues[i].desc);
		rig.queues[i].avail = moved(kept_queues[i].avail);
		rig.queues[i].used = moved(kept_queues[i].used);
	}
}

static bool restore(void)
{
	bool done = virtio_transport_restore(&rig.transport, &transport_saved, &error) &&
		    vsock_restore(&vsock, &saved, &error);

	vsock_start(&vsock);
	return done;
}

/* A driver with receive buffers, event buffers and a connection, which is saved. */
static uint32_t start_and_save(unsigned events)
{
	uint32_t host_port;

	vsock_rig_open();
	guest_start();
	guest_offer(20, 4096);
	for (uint16_t i = 0; i < events; i++)
		offer_event(i);
	int fd = host_open(1000, &host_port);
	save();
	close(fd);
	return host_port;
}

static void expect_reset(uint16_t head)
{
	uint32_t id;

	RIG_RUN_UNTIL(queues_used(VSOCK_EVENT) == 1);
	struct vring_used_elem used = queues_take(VSOCK_EVENT);
	CHECK_EQ(used.id, head);
	CHECK_EQ(used.len, 4);
	memcpy(&id, rig_at(EVENT_GPA + head * 8u), 4);
	CHECK_EQ(id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
}

static void test_told(void)
{
	struct virtio_transport_state again;
	struct vsock_device_state vsock_again;
	uint32_t old_port = start_and_save(8), new_port;

	CHECK(saved.pool.n > 0);
	next_process();
	CHECK(restore());
	virtio_transport_save(&rig.transport, &again);
	vsock_save(&vsock, &vsock_again);
	CHECK_BYTES(&again, &transport_saved, sizeof(again));
	CHECK_BYTES(&vsock_again, &saved, sizeof(saved));
	queues_interrupts();
	expect_reset(0);
	CHECK(queues_interrupts() != 0);
	CHECK_EQ(connections_used(), 0);
	/* The driver is not done with it: no program gets through yet. */
	int fd = host_connect();
	host_write(fd, "CONNECT 1000\n");
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(ring_wait_for(&rig_ring, 2), 0);
	CHECK(!vsock.holds_programs || queues_used(VSOCK_RX) == 0);
	offer_event(0);
	queues_kick(VSOCK_EVENT);
	new_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 1000, 0).src_port;
	CHECK(new_port != old_port);
	guest_send_op(VIRTIO_VSOCK_OP_RESPONSE, 1000, new_port, 0);
	char line[32];
	snprintf(line, sizeof(line), "OK %u\n", new_port);
	host_expect_text(fd, line);
	/* What the guest still has to say to the old one is answered. */
	guest_send_op(VIRTIO_VSOCK_OP_RW, 1000, old_port, 0);
	guest_expect(VIRTIO_VSOCK_OP_RST, 1000, old_port);
	close(fd);
	vsock_rig_close();
}

/* A driver that never gives the buffer back holds nobody up for long. */
static void test_silent_driver(void)
{
	start_and_save(1);
	next_process();
	CHECK(restore());
	expect_reset(0);
	int fd = host_connect();
	host_write(fd, "CONNECT 1000\n");
	guest_expect(VIRTIO_VSOCK_OP_REQUEST, 1000, 0);
	close(fd);
	vsock_rig_close();
}

/* Without a buffer the news wait for one, and programs not as long. */
static void test_no_buffer(void)
{
	start_and_save(0);
	next_process();
	CHECK(restore());
	CHECK_EQ(ring_wait_for(&rig_ring, 5), 0);
	CHECK_EQ(vsock.news, VSOCK_NEWS_DUE);
	int fd = host_connect();
	host_write(fd, "CONNECT 1000\n");
	guest_expect(VIRTIO_VSOCK_OP_REQUEST, 1000, 0);
	close(fd);
	offer_event(3);
	queues_kick(VSOCK_EVENT);
	expect_reset(3);
	vsock_rig_close();
}

/* The guest reads the new CID. */
static void test_cid(void)
{
	start_and_save(8);
	next_process();
	saved.guest_cid++;
	CHECK(restore());
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_CONFIG), GUEST_CID);
	CHECK_EQ(vsock.device.config_generation, transport_saved.config_generation + 1);
	vsock_rig_close();
}

/* One that the order brings: packets by the old one are none of the guest's any more. */
static void test_ordered_cid(void)
{
	start_and_save(8);
	next_process();
	CHECK(restore());
	vsock_change_cid(&vsock, GUEST_CID + 1);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_CONFIG), GUEST_CID + 1);
	CHECK_EQ(vsock.device.config_generation, transport_saved.config_generation + 1);
	CHECK_EQ(vsock.tx.guest_cid, GUEST_CID + 1);
	CHECK_EQ(vsock.rx.guest_cid, GUEST_CID + 1);
	vsock_rig_close();
}

static void test_bad_buffers(void)
{
	start_and_save(8);
	next_process();
	saved.pool.n = 1000;
	CHECK(!restore());
	next_process();
	saved.pool.n = 1;
	saved.pool.heads[0] = 0xffff;
	CHECK(restore());
	CHECK(queues_broken());
	vsock_rig_close();
}

int main(void)
{
	CHECK(guest_memory_map(&kept, RIG_MEM_BYTES));
	RUN(test_told);
	RUN(test_silent_driver);
	RUN(test_no_buffer);
	RUN(test_cid);
	RUN(test_ordered_cid);
	RUN(test_bad_buffers);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Every device's work on its queues: a turn with its share, and one interrupt for all of them. */
#include <errno.h>
#include <linux/virtio_mmio.h>

#include "virtio-mmio/transport.h"

#include "tests/unit/transport_rig.h"

#define SIZE       16u
#define BUFFER_GPA 0x200000u

static struct virtqueue *queue = &device.queues[0];
static struct virtqueue_chain chain;

/* `n` more chains of one buffer each. */
static void offer(unsigned n)
{
	struct vring_desc *desc = (struct vring_desc *)(uintptr_t)queue->desc;

	for (; n > 0; n--) {
		uint16_t head = queue->avail->idx % SIZE;
		desc[head] = (struct vring_desc){ BUFFER_GPA, 64, 0, 0 };
		queue->avail->ring[head] = head;
		queue->avail->idx++;
	}
}

/* How often queue_notify would be called again. */
static unsigned kicks(void)
{
	uint64_t n = 0;

	return read(device.kick_fds[0], &n, sizeof(n)) < 0 && errno == EAGAIN ? 0 : (unsigned)n;
}

static void start(void)
{
	memset(memory.host, 0, BUFFER_GPA);
	climb(RUNNING);
	kicks();
}

/* It is empty: the driver is asked for a kick. */
static void test_turn_to_the_end(void)
{
	start();
	offer(3);
	struct virtio_turn turn = virtio_turn_begin(&device, 0);
	for (uint16_t head = 0; head < 3; head++) {
		CHECK(virtio_turn_take(&turn, &chain));
		CHECK_EQ(chain.head, head);
	}
	CHECK(!virtio_turn_take(&turn, &chain));
	CHECK_EQ(kicks(), 0);
	CHECK_EQ(*(uint16_t *)&queue->used->ring[SIZE], 3); /* avail_event */
}

/* A driver that refills as fast as it is served: the device is called again, after others. */
static void test_turn_has_a_share(void)
{
	start();
	offer(SIZE);
	struct virtio_turn turn = virtio_turn_begin(&device, 0);
	for (unsigned i = 0; i < SIZE; i++) {
		CHECK(virtio_turn_take(&turn, &chain));
		offer(1);
	}
	CHECK(!virtio_turn_take(&turn, &chain));
	CHECK_EQ(kicks(), 1);
	turn = virtio_turn_begin(&device, 0);
	CHECK(virtio_turn_take(&turn, &chain));
	CHECK(virtio_device_is_live(&device));
}

static void test_turn_at_a_broken_queue(void)
{
	start();
	offer(1);
	queue->avail->idx = 300;
	struct virtio_turn turn = virtio_turn_begin(&device, 0);
	CHECK(!virtio_turn_take(&turn, &chain));
	CHECK(!virtio_device_is_live(&device));
	CHECK_EQ(kicks(), 0);
}

static void test_awaits(void)
{
	start();
	uint32_t generation = device.generation;
	CHECK(virtio_device_awaits(&device, generation));
	CHECK(!virtio_device_awaits(&device, generation - 1));
	virtio_device_break(&device);
	CHECK(!virtio_device_awaits(&device, generation));
}

/* One for what was pushed, and none again; only if the driver wants it. */
static void test_signal(void)
{
	start();
	interrupts();
	virtio_device_signal(&device);
	CHECK_EQ(interrupts(), 0);
	virtqueue_push(queue, 0, 0);
	virtqueue_push(queue, 1, 0);
	virtio_device_signal(&device);
	virtio_device_signal(&device);
	CHECK_EQ(interrupts(), 1);
	queue->avail->ring[SIZE] = 7; /* used_event */
	virtqueue_push(queue, 2, 0);
	virtio_device_signal(&device);
	CHECK_EQ(interrupts(), 0);
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_turn_to_the_end);
	RUN(test_turn_has_a_share);
	RUN(test_turn_at_a_broken_queue);
	RUN(test_awaits);
	RUN(test_signal);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Feature negotiation, queue selection, resets and broken queues (bug classes 2, 4, 17). */
#include <pthread.h>

#include "host/clock.h"
#include "tests/unit/transport_rig.h"

static void test_features_are_offered(void)
{
	set_up();
	CHECK_EQ(in(VIRTIO_MMIO_DEVICE_FEATURES), (uint32_t)(FEATURES | TRANSPORT_OWN));
	out(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK_EQ(in(VIRTIO_MMIO_DEVICE_FEATURES), (FEATURES | TRANSPORT_OWN) >> 32);
	for (uint32_t selection = 2; selection != 0; selection *= 2) {
		out(VIRTIO_MMIO_DEVICE_FEATURES_SEL, selection);
		CHECK_EQ(in(VIRTIO_MMIO_DEVICE_FEATURES), 0);
		out(VIRTIO_MMIO_DRIVER_FEATURES_SEL, selection);
		out(VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
		CHECK_EQ(device.features, 0);
	}
}

/* Each feature alone: FEATURES_OK stays unset unless it was offered and VERSION_1 is in. */
static void test_features_are_refused(void)
{
	for (unsigned bit = 0; bit < 64; bit++)
		for (int modern = 0; modern < 2; modern++) {
			uint64_t wish = FEATURE(bit) | (modern ? FEATURE(VIRTIO_F_VERSION_1) : 0);
			bool fine = (wish & ~(FEATURES | TRANSPORT_OWN)) == 0 &&
				    (wish & FEATURE(VIRTIO_F_VERSION_1));
			set_up();
			driver_negotiate(&transport, wish);
			CHECK_EQ(status(), fine ? STATUS_FEATURES_OK : STATUS_DRIVER);
			out(VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
			CHECK_EQ(status(), fine ? STATUS_DRIVER_OK : STATUS_DRIVER);
		}
}

static void test_features_reach_the_queue(void)
{
	for (unsigned subset = 0; subset < 4; subset++) {
		set_up();
		driver_start(&transport,
			     (subset & 1 ? FEATURE(VIRTIO_RING_F_EVENT_IDX) : 0) |
				     (subset & 2 ? FEATURE(VIRTIO_RING_F_INDIRECT_DESC) : 0),
			     16);
		CHECK_EQ(status(), STATUS_DRIVER_OK);
		CHECK_EQ(device.queues[0].event_idx, !!(subset & 1));
		CHECK_EQ(device.queues[0].indirect, !!(subset & 2));
	}
}

/* Bits set out of order do not count, and none can be taken back. */
static void test_ladder_has_no_short_cuts(void)
{
	for (uint32_t value = 1; value < 256; value++) {
		set_up();
		out(VIRTIO_MMIO_STATUS, value);
		uint32_t expected = value & (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_ACKNOWLEDGE);
		if (value & VIRTIO_CONFIG_S_ACKNOWLEDGE)
			expected |= value & VIRTIO_CONFIG_S_DRIVER;
		CHECK_EQ(status(), expected); /* no features chosen: VERSION_1 is missing */
		climb(RUNNING);
		out(VIRTIO_MMIO_STATUS, value);
		CHECK_EQ(status(), STATUS_DRIVER_OK | (value & VIRTIO_CONFIG_S_FAILED));
	}
}

static void test_queue_select(void)
{
	climb(FEATURES_CHOSEN);
	for (uint64_t selection = 0; selection <= UINT32_MAX;
	     selection += selection < 70000 ? 1 : 99991) {
		out(VIRTIO_MMIO_QUEUE_SEL, (uint32_t)selection);
		CHECK_EQ(in(VIRTIO_MMIO_QUEUE_NUM_MAX), selection < 2 ? 128 : 0);
		CHECK_EQ(in(VIRTIO_MMIO_QUEUE_READY), 0);
		out(VIRTIO_MMIO_QUEUE_NUM, 16);
		out(VIRTIO_MMIO_QUEUE_READY, 0);
		CHECK_EQ(device.queues[2].size, 0);
	}
	CHECK_EQ(status(), STATUS_FEATURES_OK);
	CHECK_EQ(device.queues[1].size, 16);
}

/* Kicks go through eventfds; a value that matches none reaches the register and does nothing. */
static void test_class_2_notify_index_every_value(void)
{
	climb(RUNNING);
	struct state before = state_now();
	for (uint64_t value = 0; value <= UINT32_MAX; value += value < 70000 ? 1 : 99991)
		out(VIRTIO_MMIO_QUEUE_NOTIFY, (uint32_t)value);
	CHECK(same_state(before));
	CHECK_EQ(notified, 0);
}

static void test_bad_queue_breaks_the_device(void)
{
	static const uint32_t sizes[] = { 0, 3, 129, 256, 0x10010, UINT32_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		climb(FEATURES_CHOSEN);
		driver_make_queue(&transport, 1, sizes[i]);
		CHECK_EQ(in(VIRTIO_MMIO_QUEUE_READY), 0);
		CHECK_EQ(status(), STATUS_FEATURES_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
		out(VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
		CHECK(!virtio_device_is_live(&device));
		out(VIRTIO_MMIO_STATUS, 0);
		CHECK_EQ(status(), 0);
		driver_start(&transport, 0, 16);
		CHECK(virtio_device_is_live(&device));
	}
	climb(FEATURES_CHOSEN); /* the high half of an address counts */
	out(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x100);
	out(VIRTIO_MMIO_QUEUE_NUM, 16);
	out(VIRTIO_MMIO_QUEUE_READY, 1);
	CHECK(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_reset_clears_everything(void)
{
	for (enum rung rung = RESET; rung < RUNGS; rung++) {
		climb(rung);
		uint32_t generation = device.generation;
		out(VIRTIO_MMIO_QUEUE_SEL, 7);
		out(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
		out(VIRTIO_MMIO_STATUS, 0);
		CHECK_EQ(status(), 0);
		CHECK_EQ(resets, 1);
		CHECK(device.generation != generation);
		CHECK_EQ(device.features, 0);
		CHECK_EQ(in(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
		CHECK_EQ(in(VIRTIO_MMIO_QUEUE_NUM_MAX), 128);
		CHECK_EQ(in(VIRTIO_MMIO_DEVICE_FEATURES), (uint32_t)(FEATURES | TRANSPORT_OWN));
		CHECK_FILLED(device.queues, 0, sizeof(device.queues));
		driver_start(&transport, 0, 16);
		CHECK_EQ(status(), STATUS_DRIVER_OK);
	}
}

static void test_interrupt_acknowledge(void)
{
	climb(RUNNING);
	interrupts();
	virtqueue_push(&device.queues[0], 0, 0);
	virtio_device_signal(&device);
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(in(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	virtio_device_break(&device);
	virtio_device_break(&device); /* once is enough */
	CHECK_EQ(interrupts(), 1);
	CHECK_EQ(in(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	out(VIRTIO_MMIO_INTERRUPT_ACK, 1);
	CHECK_EQ(in(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	out(VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
	CHECK_EQ(in(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* Class 17: with operations in flight the reset is not done, which a driver sees as a status other
 * than 0; one that goes on all the same is served as soon as they are back. */
static void test_class_17_reset_in_flight(void)
{
	climb(RUNNING);
	device.in_flight = 2;
	out(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(status(), VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_start(&transport, 0, 16);
	CHECK_EQ(status(), STATUS_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK(!virtio_device_is_live(&device));
	device.in_flight = 0;
	virtio_device_drained(&device);
	CHECK_EQ(status(), STATUS_DRIVER_OK);
	CHECK_EQ(notified, 1); /* a kick that came meanwhile is made good */
	virtio_device_drained(&device);
	CHECK_EQ(notified, 1);
}

/* The event loop's side: an operation of the earlier life ends after 50 ms. */
static void *end_operation(void *argument)
{
	(void)argument;
	usleep(50000);
	virtio_device_lock(&device);
	device.in_flight = 0;
	virtio_device_drained(&device);
	virtio_device_unlock(&device);
	return NULL;
}

/* The reset itself waits: Linux does not look whether the status reads 0 when a driver is unbound. */
static void test_class_17_reset_in_flight_waits(void)
{
	pthread_t loop;

	set_up();
	device.reset_wait_ms = 5000;
	driver_write(&transport, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	device.in_flight = 1;
	CHECK_EQ(pthread_create(&loop, NULL, end_operation, NULL), 0);
	int64_t start_ms = clock_now_ms();
	driver_write(&transport, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(driver_read(&transport, VIRTIO_MMIO_STATUS), 0);
	CHECK(clock_now_ms() - start_ms < 4000);
	CHECK_EQ(device.in_flight, 0);
	pthread_join(loop, NULL);
}

/* But not for a disk that hangs. */
static void test_class_17_reset_in_flight_waits_no_longer(void)
{
	set_up();
	device.reset_wait_ms = 100;
	device.in_flight = 1;
	int64_t start_ms = clock_now_ms();
	driver_write(&transport, VIRTIO_MMIO_STATUS, 0);
	CHECK(clock_now_ms() - start_ms >= 99 && clock_now_ms() - start_ms < 4000);
	CHECK_EQ(driver_read(&transport, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_NEEDS_RESET);
	device.in_flight = 0;
	virtio_device_drained(&device);
	CHECK_EQ(driver_read(&transport, VIRTIO_MMIO_STATUS), 0);
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_features_are_offered);
	RUN(test_features_are_refused);
	RUN(test_features_reach_the_queue);
	RUN(test_ladder_has_no_short_cuts);
	RUN(test_queue_select);
	RUN(test_class_2_notify_index_every_value);
	RUN(test_bad_queue_breaks_the_device);
	RUN(test_reset_clears_everything);
	RUN(test_interrupt_acknowledge);
	RUN(test_class_17_reset_in_flight);
	RUN(test_class_17_reset_in_flight_waits);
	RUN(test_class_17_reset_in_flight_waits_no_longer);
	return 0;
}

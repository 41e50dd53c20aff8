/* SPDX-License-Identifier: MIT */
/* The registers and queues of a device, saved and restored: on each rung, and with each byte changed. */
#include "virtio-mmio/transport_state.h"

#include "tests/unit/transport_rig.h"

static struct virtio_transport_state saved;

/* A device on a rung, its state saved, and a new one. */
static void save_on(enum rung rung)
{
	climb(rung);
	virtio_transport_save(&transport, &saved);
	set_up();
}

static bool restore(void)
{
	struct error_text error = { .text = "" };
	bool done = virtio_transport_restore(&transport, &saved, &error);

	CHECK(done == (error.text[0] == '\0'));
	return done;
}

static void test_each_rung(void)
{
	struct virtio_transport_state again;

	for (enum rung rung = RESET; rung < RUNGS; rung++) {
		climb(rung);
		out(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
		out(VIRTIO_MMIO_QUEUE_SEL, 1);
		device.queues[0].next_avail = 7;
		device.queues[0].next_used = 5;
		device.queues[0].signalled_used = 4;
		device.config_generation = 9;
		device.interrupt_status = VIRTIO_MMIO_INT_VRING;
		virtio_transport_save(&transport, &saved);
		struct state before = state_now();
		set_up();
		if (!saved.queues[0].ready)
			saved.queues[0].next_avail = saved.queues[0].next_used =
				saved.queues[0].signalled_used = 0;
		CHECK(restore());
		virtio_transport_save(&transport, &again);
		CHECK_BYTES(&again, &saved, sizeof(saved));
		CHECK(rung < QUEUE_MADE || same_state(before));
		/* As after the status that it has come to. */
		CHECK_EQ(activations, (saved.status & VIRTIO_CONFIG_S_DRIVER_OK) != 0);
	}
}

/* A ready queue is looked at once the ring runs: a kick may have been under way. */
static void test_kick(void)
{
	uint64_t kicks;

	save_on(RUNNING);
	while (read(device.kick_fds[0], &kicks, sizeof(kicks)) > 0)
		;
	CHECK(restore());
	CHECK_EQ(read(device.kick_fds[0], &kicks, sizeof(kicks)), sizeof(kicks));
	CHECK_EQ(kicks, 1);
	save_on(QUEUE_MADE);
	CHECK(restore());
	CHECK_EQ(read(device.kick_fds[0], &kicks, sizeof(kicks)), -1);
}

static bool refuses(enum rung rung, void (*change)(void))
{
	save_on(rung);
	change();
	return !restore();
}

static void other_device(void)
{
	saved.device_id++;
}

static void feature_lost(void)
{
	device.offered_features &= ~FEATURE(40);
}

static void no_version_1(void)
{
	saved.features &= ~FEATURE(VIRTIO_F_VERSION_1);
}

static void status_without_driver(void)
{
	saved.status &= ~(uint32_t)STATUS_DRIVER | 1;
}

static void unknown_status(void)
{
	saved.status |= 16;
}

static void unknown_window(void)
{
	saved.claimed_by = 3;
}

static void window_that_is_none(void)
{
	saved.claimed_by = VIRTIO_WINDOW_ACPI;
}

static void queue_outside(void)
{
	saved.queues[0].used_gpa = MEM_BYTES - 4;
}

static void queue_not_aligned(void)
{
	saved.queues[0].desc_gpa++;
}

static void queue_too_long(void)
{
	saved.queues[0].size = 2 * VIRTQUEUE_MAX_SIZE;
}

static void queue_of_no_power(void)
{
	saved.queues[0].size = 3;
}

static void queue_too_early(void)
{
	saved.queues[0].ready = 1;
}

static void test_refused(void)
{
	CHECK(refuses(RESET, other_device));
	CHECK(refuses(FEATURES_CHOSEN, feature_lost));
	CHECK(!refuses(WITH_DRIVER, feature_lost));
	CHECK(refuses(RUNNING, no_version_1));
	CHECK(refuses(RUNNING, status_without_driver));
	CHECK(refuses(RUNNING, unknown_status));
	CHECK(refuses(RUNNING, unknown_window));
	CHECK(refuses(RUNNING, window_that_is_none));
	CHECK(refuses(RUNNING, queue_outside));
	CHECK(refuses(RUNNING, queue_not_aligned));
	CHECK(refuses(RUNNING, queue_too_long));
	CHECK(refuses(RUNNING, queue_of_no_power));
	CHECK(refuses(WITH_DRIVER, queue_too_early));
}

/* Whatever is accepted, the driver goes on with it, and nothing lies outside of guest memory. */
static void drive(void)
{
	static struct virtqueue_chain chain;

	for (unsigned i = 0; i < type.n_queues; i++) {
		struct virtqueue *queue = &device.queues[i];
		if (!queue->ready)
			continue;
		while (virtqueue_pop(queue, &chain) == VIRTQUEUE_CHAIN)
			virtqueue_push(queue, chain.head, 0);
		virtqueue_enable_kicks(queue);
	}
	virtio_device_signal(&device);
	driver_negotiate(&transport, FEATURES);
	out(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(status(), 0);
}

static void test_each_byte_changed(void)
{
	unsigned n_restored = 0;

	for (size_t at = 0; at < sizeof(saved); at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			save_on(RUNNING);
			((uint8_t *)&saved)[at] ^= (uint8_t)(1u << bit);
			if (restore()) {
				drive();
				n_restored++;
			}
		}
	CHECK(n_restored > 100);
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_each_rung);
	RUN(test_kick);
	RUN(test_refused);
	RUN(test_each_byte_changed);
	return 0;
}

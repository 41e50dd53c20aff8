/* SPDX-License-Identifier: MIT */
/* A device of the tests' own behind a transport, brought to any rung of the status ladder. */
#ifndef TESTS_UNIT_TRANSPORT_RIG_H
#define TESTS_UNIT_TRANSPORT_RIG_H

#include <sys/eventfd.h>

#include "tests/unit/check.h"
#include "tests/unit/irq_rig.h"
#include "tests/unit/virtio_driver.h"

#define MEM_BYTES ((uint64_t)4 << 20)
#define FEATURES  (FEATURE(5) | FEATURE(40))
#define TRANSPORT_OWN                                                                              \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |                      \
	 FEATURE(VIRTIO_RING_F_EVENT_IDX))

static struct guest_memory memory;
static struct virtio_device device;
static struct virtio_transport transport;
static unsigned notified, resets, activations;
static const uint8_t config[13] = "configuration";

static inline void notify(struct virtio_device *d, unsigned queue)
{
	(void)d, (void)queue;
	notified++;
}

static inline void reset(struct virtio_device *d)
{
	(void)d;
	resets++;
}

static inline void activate(struct virtio_device *d)
{
	CHECK(d->status & VIRTIO_CONFIG_S_DRIVER_OK);
	activations++;
}

/* Without the lock. */
static inline void activated(struct virtio_device *d)
{
	CHECK(activations > 0);
	virtio_device_lock(d);
	virtio_device_unlock(d);
}

static const struct virtio_device_type type = {
	.name = "test",
	.device_id = 42,
	.n_queues = 2,
	.queue_notify = notify,
	.reset = reset,
	.activate = activate,
	.activated = activated,
};

static inline void set_up(void)
{
	static int kick_fd = -1;

	if (kick_fd < 0)
		kick_fd = eventfd(0, EFD_NONBLOCK);
	rig_take_interrupts();
	virtio_device_init(&device, &type, &memory, NULL);
	device.offered_features = FEATURES;
	device.config = config;
	device.config_bytes = sizeof(config);
	device.irq = (struct irq_line){ &rig_vm_fd, 5 };
	device.kick_fds[0] = device.kick_fds[1] = kick_fd;
	virtio_transport_init(&transport, &device);
	notified = resets = activations = 0;
}

static inline uint32_t in(uint64_t offset)
{
	return driver_read(&transport, offset);
}

static inline void out(uint64_t offset, uint32_t value)
{
	driver_write(&transport, offset, value);
}

static inline uint64_t interrupts(void)
{
	return rig_take_interrupts();
}

static inline uint32_t status(void)
{
	return in(VIRTIO_MMIO_STATUS);
}

/* The rungs, and the two states beside the ladder. */
enum rung {
	RESET,
	ACKNOWLEDGED,
	WITH_DRIVER,
	FEATURES_CHOSEN,
	QUEUE_MADE,
	RUNNING,
	BROKEN,
	FAILED,
	RUNGS
};

static inline void climb(enum rung rung)
{
	set_up();
	if (rung >= ACKNOWLEDGED)
		out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (rung >= WITH_DRIVER)
		out(VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	if (rung >= FEATURES_CHOSEN)
		driver_negotiate(&transport, FEATURES | TRANSPORT_OWN);
	if (rung >= QUEUE_MADE)
		driver_make_queue(&transport, 0, 16);
	if (rung >= RUNNING)
		out(VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
	if (rung == BROKEN)
		virtio_device_break(&device);
	if (rung == FAILED)
		out(VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK | VIRTIO_CONFIG_S_FAILED);
}

/* The state that no write may change on the wrong rung. */
struct state {
	struct virtqueue queues[VIRTIO_MAX_QUEUES];
	uint64_t features;
	uint32_t status;
};

static inline struct state state_now(void)
{
	struct state state;

	memset(&state, 0, sizeof(state));
	memcpy(state.queues, device.queues, sizeof(state.queues));
	state.features = device.features;
	state.status = device.status;
	return state;
}

static inline bool same_state(struct state before)
{
	struct state now = state_now();

	return memcmp(&before, &now, sizeof(now)) == 0;
}

#endif

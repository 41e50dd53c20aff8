/* SPDX-License-Identifier: MIT */
/*
 * A driver with several queues for the tests of net and vsock, and the device's surroundings: guest
 * memory, bus and ring as they are, a VM that does not exist.
 */
#ifndef TESTS_UNIT_NET_QUEUES_H
#define TESTS_UNIT_NET_QUEUES_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ring_rig.h answers the VM's ioctls; ioctl() here answers those of a TAP before. */
int ring_rig_ioctl(int fd, unsigned long request, ...);
#define ioctl ring_rig_ioctl
#include "tests/unit/ring_rig.h"
#undef ioctl
#include "tests/unit/virtio_driver.h"

#define RIG_WINDOW_GPA 0xc0001000u
#define RIG_MEM_BYTES  ((uint64_t)64 << 20)
#define RIG_QUEUE_GPA  0x10000u  /* 64 KiB a queue: descriptors, avail, used */
#define RIG_TABLE_GPA  0x100000u /* indirect tables: 2 KiB a head, 256 KiB a queue */
#define RIG_QUEUE_SIZE 128

struct queues_rig {
	struct guest_memory memory;
	struct bus mmio;
	struct virtio_transport transport;
	struct driver_queue queues[VIRTIO_MAX_QUEUES];
	bool indirect; /* how queues_offer() builds chains */
};

static struct queues_rig rig;
static uint32_t tap_offloads_set; /* the last TUNSETOFFLOAD */
static unsigned tap_offloads_times;
static void (*tap_offloads_waits)(void); /* while it waits, as for the host's RTNL lock */

static inline int tap_ioctl(unsigned long request, unsigned long argument, bool *answered)
{
	*answered = (request & 0xffff) == 0x54d0; /* TUNSETOFFLOAD */
	if (!*answered)
		return 0;
	tap_offloads_set = (uint32_t)argument;
	tap_offloads_times++;
	if (tap_offloads_waits != NULL)
		tap_offloads_waits();
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	bool answered;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	int result = tap_ioctl(request, (unsigned long)argument, &answered);
	return answered ? result : ring_rig_ioctl(fd, request, argument);
}

/* Memory and ring; the caller then makes its device and calls queues_attach(). */
static inline void queues_open(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the monitor does */
	memset(&rig, 0, sizeof(rig));
	CHECK(guest_memory_map(&rig.memory, RIG_MEM_BYTES));
	ring_open(&rig_ring, VIRTQUEUE_MAX_SIZE);
}

static inline void queues_attach(struct virtio_device *device)
{
	virtio_transport_init(&rig.transport, device);
	virtio_transport_attach(&rig.transport, &rig_vm_fd, &rig.mmio, &rig_ring, RIG_WINDOW_GPA,
				5);
	device->reset_wait_ms = 0;           /* this thread is the event loop, too */
	ring_allow_sockets(&rig_ring, true); /* for a vsock */
	ring_start(&rig_ring);
	virtio_transport_start(&rig.transport);
}

static inline void queues_close(void)
{
	virtio_transport_detach(&rig.transport);
	ring_close(&rig_ring);
	guest_memory_unmap(&rig.memory);
}

static inline uint64_t queue_gpa(unsigned index)
{
	return RIG_QUEUE_GPA + index * 0x10000u;
}

static inline void *rig_at(uint64_t gpa)
{
	void *host = guest_memory_at(&rig.memory, gpa, 1);

	CHECK(host != NULL);
	return host;
}

static inline void queues_make(unsigned index, uint16_t size)
{
	uint64_t gpa = queue_gpa(index);

	for (unsigned part = 0; part < 3; part++)
		memset(rig_at(gpa + part * 0x4000u), 0, 0x1000);
	rig.queues[index] = (struct driver_queue){
		.memory = &rig.memory,
		.size = size,
		.desc = rig_at(gpa),
		.avail = rig_at(gpa + 0x4000),
		.used = rig_at(gpa + 0x8000),
	};
	driver_write(&rig.transport, VIRTIO_MMIO_QUEUE_SEL, index);
	driver_write(&rig.transport, VIRTIO_MMIO_QUEUE_NUM, size);
	driver_set_queue_address(&rig.transport, VIRTIO_MMIO_QUEUE_DESC_LOW, gpa);
	driver_set_queue_address(&rig.transport, VIRTIO_MMIO_QUEUE_AVAIL_LOW, gpa + 0x4000);
	driver_set_queue_address(&rig.transport, VIRTIO_MMIO_QUEUE_USED_LOW, gpa + 0x8000);
	driver_write(&rig.transport, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* From reset to DRIVER_OK with all queues, of `size` each. */
static inline void queues_start(uint64_t features, uint16_t size)
{
	driver_negotiate(&rig.transport, features | FEATURE(VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < rig.transport.device->type->n_queues; i++)
		queues_make(i, size);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_STATUS), STATUS_DRIVER_OK);
	rig.indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
}

static inline void queues_reset(void)
{
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
}

static inline void queues_kick(unsigned index)
{
	uint64_t one = 1;

	CHECK(write(rig.transport.doorbells[index].event.fd, &one, sizeof(one)) == sizeof(one));
}

/* A part of a chain. */
struct rig_part {
	uint64_t gpa;
	uint32_t bytes;
	bool writable;
};

/* Offers n parts as one chain at `head`: direct descriptors from `head` on, or a table. */
static inline void queues_offer(unsigned index, uint16_t head, const struct rig_part *parts,
				unsigned n)
{
	struct driver_queue *queue = &rig.queues[index];
	uint64_t table_gpa = RIG_TABLE_GPA + index * 0x40000u + head * 0x800u;
	struct vring_desc *table = rig.indirect ? rig_at(table_gpa) : queue->desc;
	unsigned base = rig.indirect ? 0 : head;

	for (unsigned i = 0; i < n; i++)
		driver_set_desc(&table[base + i], parts[i].gpa, parts[i].bytes,
				(uint16_t)((parts[i].writable ? VRING_DESC_F_WRITE : 0) |
					   (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
				(uint16_t)(base + i + 1));
	if (rig.indirect)
		driver_set_desc(&queue->desc[head], table_gpa, n * 16u, VRING_DESC_F_INDIRECT, 0);
	driver_offer(queue, head);
}

static inline uint16_t queues_used(unsigned index)
{
	const struct driver_queue *queue = &rig.queues[index];

	return (uint16_t)(__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) - queue->next_used);
}

static inline struct vring_used_elem queues_take(unsigned index)
{
	struct driver_queue *queue = &rig.queues[index];

	CHECK(queues_used(index) > 0);
	return queue->used->ring[queue->next_used++ % queue->size];
}

static inline uint32_t queues_status(void)
{
	return driver_read(&rig.transport, VIRTIO_MMIO_STATUS);
}

static inline bool queues_broken(void)
{
	return queues_status() & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static inline uint64_t queues_interrupts(void)
{
	return rig_take_interrupts();
}

/* How many times the ring wakes up in `ms`: 0 when nothing happens. */
static inline unsigned rig_wake_ups(int64_t ms)
{
	int64_t end = clock_now_ms() + ms;
	unsigned n = 0;

	for (int64_t now; (now = clock_now_ms()) < end;) {
		CHECK_EQ(ring_wait_for(&rig_ring, (unsigned)(end - now)), 0);
		n += clock_now_ms() < end;
	}
	return n;
}

#endif

/* virtio-net (virtio 1.2, 5.1) on a TAP, through the ring. */
#ifndef VIRTIO_MMIO_NET_H
#define VIRTIO_MMIO_NET_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "host/ring.h"
#include "host/tap.h"
#include "virtio-mmio/iov.h"
#include "virtio-mmio/pool.h"
#include "virtio-mmio/queue.h"
#include "virtio-mmio/rx_pool.h"
#include "virtio-mmio/virtio_device.h"

/* The largest frame that offloads allow, with its header. */
#define NET_MAX_FRAME_BYTES (TAP_HEADER_BYTES + 14u + 4u + 65535u)
#define NET_MAX_READS       16u
/* Buffers of the guest that one frame may be spread over: with 1.5 KiB each, the largest frame. */
#define NET_READ_BUFFERS 64u
#define NET_READ_PARTS   256u

struct net;

/* One frame to come: a read from the TAP into the buffers that it may need. */
struct net_read {
	struct ring_op op;
	struct net *net;
	uint32_t generation;
	unsigned n_buffers;
	uint64_t bytes;
	struct rx_buffer *buffers[NET_READ_BUFFERS];
	struct iov frame;                       /* in parts[] */
	struct iovec parts[NET_READ_PARTS + 1]; /* the last is net->overflow */
};

/* One frame to go. */
struct net_write {
	struct net_write *next_free;
	struct ring_op op;
	struct net *net;
	uint32_t generation;
	struct virtqueue_chain chain;
};

struct net {
	struct virtio_device device;
	struct tap tap;
	struct virtio_net_config config;
	struct ring *ring;
	bool gone;                        /* the TAP was removed */
	_Atomic uint32_t offloads_wanted; /* by the driver */
	pthread_mutex_t telling;          /* for vCPU threads only: TUNSETOFFLOAD waits */
	uint32_t offloads_told;           /* to the TAP; under `telling` */

	struct ring_op poll_op;
	bool polling;         /* for a frame to read */
	unsigned batch_reads; /* how many reads to prepare when there is one */
	unsigned reads_in_flight, frames_read;
	struct pool free_writes;
	bool tx_starved; /* frames wait because the pool is empty */
	struct ring_task signal_task, gone_task;

	struct rx_pool pool;
	struct net_read reads[NET_MAX_READS];
	struct net_write writes[VIRTQUEUE_MAX_SIZE];
	uint8_t overflow
		[NET_MAX_FRAME_BYTES]; /* what does not fit the guest's buffers is dropped */
};

enum net_queue {
	NET_RX,
	NET_TX,
	NET_QUEUES
};

/* Takes over `tap`. mtu 0: the interface's own. Before ring_start(). */
void net_init(struct net *net, const struct tap *tap, const uint8_t mac[6], uint16_t mtu,
	      const struct guest_memory *memory, struct ring *ring);

/* A locally administered address, always the same for the same interface name and number of the NIC,
 * another for any other. */
void net_make_mac(uint8_t mac[6], const char *name, unsigned index);

/* The two directions, for net.c. On the ring's thread with the device locked, except net_rx_reset. */
void net_rx_init(struct net *net);
void net_rx_reset(struct net *net);
void net_rx_continue(struct net *net); /* waits for a frame, if the guest has buffers for it */
void net_tx_init(struct net *net);
void net_tx_take(struct net *net);

/* The TAP does not exist any more: link down. */
void net_set_gone(struct net *net);

/* Interrupts for what is pushed now come after the batch. */
void net_signal_later(struct net *net);

#endif

/* The state of one vsock stream as the two sides see it (virtio 1.2, 5.10.6). Pure: packets in,
 * counters and verdicts out. */
#ifndef VIRTIO_MMIO_VSOCK_STREAM_H
#define VIRTIO_MMIO_VSOCK_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

/* What the guest may send ahead of the host's reader, and so what is kept of a stream at most. */
#define VSOCK_BUFFER_BYTES  131072u
#define VSOCK_SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

enum vsock_state {
	VSOCK_FREE,
	VSOCK_ACCEPTING,  /* waits for a host program to connect */
	VSOCK_GREETING,   /* it has; waits for its "CONNECT port" */
	VSOCK_REQUESTED,  /* waits for the guest's answer */
	VSOCK_CONNECTING, /* the guest asked; waits for the host's socket */
	VSOCK_ESTABLISHED,
	VSOCK_DRAINING, /* the guest is gone; what it sent still goes to the socket */
	VSOCK_ENDING,   /* waits for what is on its way */
};

struct vsock_stream {
	enum vsock_state state;
	uint32_t guest_port, host_port;
	/* To the guest: what its receive buffer holds, what it has read, what was sent. */
	uint32_t peer_buf_alloc, peer_fwd_cnt, sent;
	/* From the guest: what has come, what the host's socket has taken, what the guest knows. */
	uint32_t received, forwarded, told;
	uint32_t guest_shutdown; /* VIRTIO_VSOCK_SHUTDOWN_ flags that the guest has sent */
	uint32_t host_shutdown;  /* and that it was sent */
};

/* How many bytes the guest can take. Never wraps, also if the guest has shrunk its buffer or claims to
 * have read more than was sent. */
uint32_t vsock_stream_credit(const struct vsock_stream *stream);

/* Every packet of the guest carries its credit. */
void vsock_stream_update_credit(struct vsock_stream *stream, const struct virtio_vsock_hdr *header);

/* The guest has sent `bytes`. False: more than it was allowed. */
bool vsock_stream_receive(struct vsock_stream *stream, uint32_t bytes);

/* Whether the guest should be told of what was forwarded: half a buffer at a time. */
bool vsock_stream_owes_update(const struct vsock_stream *stream);

/* Fills in a header to the guest, and notes what it tells. `guest_cid` is the device's. */
void vsock_stream_header(struct vsock_stream *stream, struct virtio_vsock_hdr *header,
			 uint64_t guest_cid, uint16_t op, uint32_t flags, uint32_t length);

#endif

#include "virtio-mmio/vsock/stream.h"

#include <linux/vm_sockets.h>

uint32_t vsock_stream_credit(const struct vsock_stream *stream)
{
	/* Counters are free-running modulo 2^32. */
	uint32_t unread = stream->sent - stream->peer_fwd_cnt;

	return unread < stream->peer_buf_alloc ? stream->peer_buf_alloc - unread : 0;
}

void vsock_stream_update_credit(struct vsock_stream *stream, const struct virtio_vsock_hdr *header)
{
	stream->peer_buf_alloc = header->buf_alloc;
	stream->peer_fwd_cnt = header->fwd_cnt;
}

bool vsock_stream_receive(struct vsock_stream *stream, uint32_t bytes)
{
	uint32_t held = stream->received - stream->forwarded;

	if (bytes > VSOCK_BUFFER_BYTES - held)
		return false;
	stream->received += bytes;
	return true;
}

bool vsock_stream_owes_update(const struct vsock_stream *stream)
{
	return stream->forwarded - stream->told >= VSOCK_BUFFER_BYTES / 2;
}

void vsock_stream_header(struct vsock_stream *stream, struct virtio_vsock_hdr *header,
			 uint64_t guest_cid, uint16_t op, uint32_t flags, uint32_t length)
{
	*header = (struct virtio_vsock_hdr){
		.src_cid = VMADDR_CID_HOST,
		.dst_cid = guest_cid,
		.src_port = stream->host_port,
		.dst_port = stream->guest_port,
		.len = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = VSOCK_BUFFER_BYTES,
		.fwd_cnt = stream->forwarded,
	};
	stream->told = stream->forwarded;
	stream->sent += length;
}

/* SPDX-License-Identifier: MIT */
#include "hostile/vsock_say.h"

#define FIRST_PORT 100000u
#define BUFFER     (256u << 10)

uint32_t say_port = FIRST_PORT;

struct vsock_packet *say_packet(uint16_t op, uint32_t from, uint32_t to, uint32_t length)
{
	struct vsock_packet *new = vsock_prepare(&vsock);

	if (new == NULL) {
		fails("packets do not come back");
		return &vsock.tx[0];
	}
	memset(new, 0, HEADER);
	new->src_cid = vsock.cid;
	new->dst_cid = VSOCK_HOST_CID;
	new->type = VSOCK_STREAM;
	new->op = op;
	new->src_port = from;
	new->dst_port = to;
	new->length = length;
	new->buf_alloc = BUFFER;
	return new;
}

void say_put(struct vsock_packet *new, uint32_t bytes)
{
	virtio_offer_one(&vsock.queues[VSOCK_TX], (uint16_t)(new - vsock.tx), new, bytes, 0);
	virtio_kick(&vsock.device, &vsock.queues[VSOCK_TX]);
}

void say_op(uint16_t op, uint32_t from, uint32_t to)
{
	say_put(say_packet(op, from, to, 0), HEADER);
}

/* Once: those that are done go back. */
void say_buffers(void)
{
	if (vsock.queues[VSOCK_RX].avail.index != 0)
		return;
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		virtio_offer_one(&vsock.queues[VSOCK_RX], i, &vsock.rx[i], sizeof(vsock.rx[i]),
				 DESC_WRITE);
	virtio_kick(&vsock.device, &vsock.queues[VSOCK_RX]);
}

/* Takes what comes, until `op` for `guest_port` does. */
bool say_hear(uint32_t guest_port, uint16_t op)
{
	uint64_t begin = read_tsc();

	while (read_tsc() - begin < PATIENCE * VIRTIO_WAIT_TSC) {
		struct vsock_packet *came = vsock_receive(&vsock);
		if (came == NULL)
			continue;
		bool wanted = came->dst_port == guest_port && came->op == op;
		vsock_done(&vsock, came);
		if (wanted)
			return true;
	}
	return false;
}

/* What has come in the meantime is read, and forgotten. */
void say_drain(void)
{
	struct vsock_packet *came;

	for (unsigned i = 0; i < 4 * VIRTIO_QUEUE_SIZE && (came = vsock_receive(&vsock)) != NULL;
	     i++)
		vsock_done(&vsock, came);
}

void say_open(void)
{
	say_buffers();
	say_op(VSOCK_REQUEST, ++say_port, ECHO);
	if (!say_hear(say_port, VSOCK_RESPONSE))
		fails("the host does not answer");
}

void say_expect_reset(void)
{
	if (!say_hear(say_port, VSOCK_RST))
		fails("the connection is not reset");
}

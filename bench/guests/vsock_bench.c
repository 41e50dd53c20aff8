/* SPDX-License-Identifier: MIT */
/* One stream to the host's port 7000. Words of the command line: op=send (counts packets of 4 KiB that it has sent),
 * receive (counts bytes, in units of 4 KiB), or turn (counts round trips of one byte), kticks=N. */
#include "io_bench.h"
#include "rt/vsock.h"

#define HOST_PORT  7000u
#define GUEST_PORT 1234u
#define BUFFER     (256u << 10) /* as Linux tells the other side */

static struct vsock vsock;
static uint32_t sent, received, told; /* bytes, modulo 2^32 as the protocol counts them */
static uint32_t peer_buffer, peer_forwarded;

static void send(uint16_t op, uint32_t length)
{
	struct vsock_packet *packet = vsock_prepare(&vsock);

	if (packet == NULL)
		give_up("send");
	packet->src_port = GUEST_PORT;
	packet->dst_port = HOST_PORT;
	packet->op = op;
	packet->flags = 0;
	packet->length = length;
	packet->buf_alloc = BUFFER;
	packet->fwd_cnt = told = received;
	sent += length;
	vsock_send(&vsock, packet);
}

/* Takes what has come; returns the packets' op, or 0. */
static uint16_t poll(void)
{
	struct vsock_packet *packet = vsock_receive(&vsock);
	uint16_t op;

	if (packet == NULL)
		return 0;
	op = packet->op;
	peer_buffer = packet->buf_alloc;
	peer_forwarded = packet->fwd_cnt;
	if (op == VSOCK_RW)
		received += packet->length;
	vsock_done(&vsock, packet);
	if (op == VSOCK_RST)
		give_up("stream");
	if (received - told > BUFFER / 2)
		send(VSOCK_CREDIT_UPDATE, 0);
	return op;
}

static bool has_credit(uint32_t bytes)
{
	return peer_buffer - (sent - peer_forwarded) >= bytes;
}

static uint64_t run(char op, uint64_t end)
{
	uint64_t count = 0, received_before = 0, bytes = 0;
	bool my_turn = true;

	while (read_tsc() < end) {
		uint16_t seen = poll();
		if (op == 's' && has_credit(VSOCK_DATA_MAX)) {
			send(VSOCK_RW, VSOCK_DATA_MAX);
			count++;
		} else if (op == 't' && (my_turn || seen == VSOCK_RW)) {
			count += !my_turn;
			my_turn = false;
			send(VSOCK_RW, 1);
		} else if (op == 'r') {
			bytes += (uint32_t)(received - (uint32_t)received_before);
			received_before = received;
		}
	}
	return op == 'r' ? bytes / VSOCK_DATA_MAX : count;
}

void guest_main(const uint8_t *zero_page)
{
	const char *op = cmdline_value(zero_page, "op=");
	uint64_t start = read_tsc();

	if (op == NULL || !vsock_start(&vsock, device_index(zero_page), 0))
		give_up("start");
	send(VSOCK_REQUEST, 0);
	while (poll() != VSOCK_RESPONSE)
		if (read_tsc() - start > VIRTIO_WAIT_TSC)
			give_up("connect");
	measure_end(run(op[0], measure_begin(zero_page)));
	guest_reset();
}

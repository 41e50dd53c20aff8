/* SPDX-License-Identifier: MIT */
/* Takes a script from the host's port 1 of the vsock behind one disk, as a Linux guest with a shell does. It knows
 *   echo TEXT                      prints TEXT to the host
 *   exit N                         ends with the status N; without N with 0
 *   echo c >/proc/sysrq-trigger    panics, as far as a monitor can tell
 * and waits for ever after any other line that is not empty. */
#include "rt/rt.h"
#include "rt/vsock.h"

#define PORT_HOST    1u
#define PORT_OURS    20000u
#define BUFFER_BYTES 65536u
#define READY_GPA    0xc0000000u
#define READY_BYTE   123

static struct vsock vsock;
static uint32_t received;

static void send(uint16_t op, uint32_t flags, const char *data, uint32_t length)
{
	struct vsock_packet *packet = vsock_prepare(&vsock);

	if (packet == NULL)
		guest_reset();
	packet->src_port = PORT_OURS;
	packet->dst_port = PORT_HOST;
	packet->op = op;
	packet->flags = flags;
	packet->length = length;
	packet->buf_alloc = BUFFER_BYTES;
	packet->fwd_cnt = received;
	memcpy(packet->data, data, length);
	vsock_send(&vsock, packet);
}

/* The next packet; with an operation other than `op` it is ignored. */
static struct vsock_packet *await(uint16_t op)
{
	for (;;) {
		struct vsock_packet *packet = vsock_receive(&vsock);
		if (packet == NULL) {
			cpu_pause();
			continue;
		}
		if (packet->op == op)
			return packet;
		if (packet->op == VSOCK_RST)
			guest_reset();
		vsock_done(&vsock, packet);
	}
}

static bool begins(const char *line, const char *word)
{
	while (*word != '\0')
		if (*line++ != *word++)
			return false;
	return true;
}

static void end(const char *digits)
{
	uint8_t status = 0;

	for (; *digits >= '0' && *digits <= '9'; digits++)
		status = (uint8_t)(status * 10 + (*digits - '0'));
	send(VSOCK_SHUTDOWN, VSOCK_SHUTDOWN_SEND, NULL, 0);
	await(VSOCK_SHUTDOWN); /* The host has read it all. */
	outb(0xf4, status);
}

static void run(const char *line, uint32_t length)
{
	if (begins(line, "echo c >/proc/sysrq-trigger\n")) {
		__asm__ volatile("movw $0x1234, 0x472" ::: "memory");
		guest_reset();
	} else if (begins(line, "echo ")) {
		send(VSOCK_RW, 0, line + 5, length - 5);
	} else if (begins(line, "exit")) {
		end(line[4] == ' ' ? line + 5 : "");
	} else if (line[0] != '\n') {
		for (;;)
			cpu_pause();
	}
}

void guest_main(const uint8_t *zero_page)
{
	static char text[VSOCK_DATA_MAX + 1];
	struct vsock_packet *packet;
	uint32_t begin = 0, end_of_line;

	(void)zero_page;
	mmio_write8(READY_GPA, READY_BYTE);
	if (!vsock_start(&vsock, 1, 0))
		guest_reset();
	send(VSOCK_REQUEST, 0, NULL, 0);
	vsock_done(&vsock, await(VSOCK_RESPONSE));
	while (received < VSOCK_DATA_MAX) {
		packet = await(VSOCK_RW);
		if (packet->length > VSOCK_DATA_MAX - received)
			guest_reset();
		memcpy(text + received, packet->data, packet->length);
		received += packet->length;
		vsock_done(&vsock, packet);
		for (end_of_line = begin; end_of_line < received; end_of_line++) {
			if (text[end_of_line] != '\n')
				continue;
			run(text + begin, end_of_line + 1 - begin);
			begin = end_of_line + 1;
		}
	}
}

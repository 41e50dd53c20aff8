/* SPDX-License-Identifier: MIT */
/* A vsock between two vCPUs, a scribbler, the event loop and programs of the host in both roles. */
#include "tests/tsan/race_rig.h"

#include "tests/unit/vsock_rig.h"

#define PORT      6000u
#define DATA_MAX  2000u
#define HEADER_OP 30 /* bytes in front of it; virtio 1.2, 5.10.6 */

/* A packet of the guest: to the host's listener, or an answer to what last came in some buffer. */
static void put_packet(uint64_t gpa, uint32_t length, uint64_t number)
{
	uint64_t came = race_buffer_gpa(VSOCK_RX, (uint16_t)(number >> 8 & 31) * 4);
	uint32_t host_port = __atomic_load_n((uint32_t *)rig_at(came + 16), __ATOMIC_RELAXED);
	uint32_t guest_port = __atomic_load_n((uint32_t *)rig_at(came + 20), __ATOMIC_RELAXED);
	bool answers = number & 1 && host_port != 0;

	race_put64(gpa, GUEST_CID);
	race_put64(gpa + 8, VMADDR_CID_HOST);
	race_put32(gpa + 16, answers ? guest_port : 1000 + (number >> 16) % 8);
	race_put32(gpa + 20, answers ? host_port : PORT);
	race_put32(gpa + 24, length);
	race_put16(gpa + 28, VIRTIO_VSOCK_TYPE_STREAM);
	race_put16(gpa + HEADER_OP, (uint16_t)(1 + (number >> 24) % 7));
	race_put32(gpa + 32, (number >> 32) & 3);
	race_put32(gpa + 36, ALL_RIGHT);
	race_put32(gpa + 40, 0);
}

static void offer(unsigned queue, uint16_t head, uint64_t *random)
{
	uint64_t gpa = race_buffer_gpa(queue, head), number = check_random(random);
	uint32_t length = (number >> 40) % 4 == 0 ? (uint32_t)(number >> 48) % DATA_MAX : 0;

	if (queue == VSOCK_TX)
		put_packet(gpa, length, number);
	race_put_desc(queue, head, gpa, queue == VSOCK_TX ? 44 + length : 4096,
		      queue == VSOCK_TX ? 0 : VRING_DESC_F_WRITE);
}

/* Some bytes in, some out, and the end. */
static void use(int fd)
{
	static uint8_t bytes[4096];

	if (fd < 0)
		return;
	for (unsigned i = 0; i < 4; i++) {
		send(fd, bytes, 1000, MSG_NOSIGNAL | MSG_DONTWAIT);
		recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		usleep(200);
	}
	close(fd);
}

static void *run_host(void *seed)
{
	int listener = listen_at_port(PORT, 16);

	(void)seed;
	while (!atomic_load(&race.over)) {
		int fd = host_connect();
		send(fd, "CONNECT 5000\n", 13, MSG_NOSIGNAL);
		use(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
		use(fd);
	}
	close(listener);
	return NULL;
}

int main(void)
{
	vsock_rig_open();
	race_run(offer, QUEUE_WORDS, run_host);
	vsock_rig_close();
	return 0;
}

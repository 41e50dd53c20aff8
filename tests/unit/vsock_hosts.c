/* What the host's programs can take of the monitor: time, descriptors, places. */
#include <time.h>

#include "tests/unit/check.h"
#include "tests/unit/vsock_streams_rig.h"

static bool no_out_of_band; /* this host's Unix sockets send nothing so */

static void send_out_of_band(int fd, const char *byte)
{
	CHECK(send(fd, byte, 1, (no_out_of_band ? 0 : MSG_OOB) | MSG_NOSIGNAL) == 1);
}

/* What was said has been heard, and then nothing moves any more. */
static void check_still(void)
{
	for (unsigned tries = 0; rig_wake_ups(4) > 0; tries++)
		CHECK(tries < 50);
}

/* A byte out of band, in every place of the line and alone: it belongs to the line, and the event loop
 * does not wake up for it again and again. */
static void test_out_of_band_greeting(void)
{
	static const char line[] = "CONNECT 7\n";

	open_all();
	int fd = host_connect();
	no_out_of_band = send(fd, "C", 1, MSG_OOB) < 0 && errno == EOPNOTSUPP;
	check_still();
	close(fd);
	for (size_t at = 0; at < sizeof(line) - 1; at++) {
		fd = host_connect();
		for (size_t i = 0; i < sizeof(line) - 1; i++) {
			if (i == at)
				send_out_of_band(fd, line + i);
			else
				CHECK(send(fd, line + i, 1, 0) == 1);
			check_still();
		}
		uint32_t host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0).src_port;
		close(fd);
		guest_expect(VIRTIO_VSOCK_OP_RST, 7, host_port);
		fd = host_connect(); /* and one too many */
		send_out_of_band(fd, "x");
		host_write(fd, line);
		host_expect_end(fd);
		close(fd);
	}
	close_all();
}

/* In a stream, too, it is a byte like the others, and is thrown away with them. */
static void test_out_of_band_stream(void)
{
	static const char text[] = "0123456789";
	struct virtio_vsock_hdr header;
	const uint8_t *at;

	open_all();
	for (int old_host = 0; old_host < 2; old_host++) {
		size_t have = 0;
		vsock.no_nowait = old_host;
		int fd = guest_open(1, PORT, listener);
		for (size_t i = 0; i < sizeof(text) - 1; i++) {
			if (i % 3 == 0)
				send_out_of_band(fd, text + i);
			else
				CHECK(send(fd, text + i, 1, 0) == 1);
			if (i % 2)
				rig_idle();
		}
		while (have < sizeof(text) - 1) {
			RIG_RUN_UNTIL(guest_receive(&header, &at));
			CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
			CHECK_BYTES(at, text + have, header.len);
			have += header.len;
		}
		check_still();
		guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VIRTIO_VSOCK_SHUTDOWN_RCV);
		send(fd, text, 1, MSG_OOB | MSG_NOSIGNAL);
		check_still();
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
		host_expect_end(fd);
		close(fd);
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	close_all();
}

static ring_done_fn *real_done;
static unsigned reads;

static void nothing_there(struct ring_op *op, int32_t result)
{
	(void)result;
	reads++;
	real_done(op, -EAGAIN);
}

/* Whatever it is that a poll sees and a read does not: the connection ends, and not only when its program
 * goes. */
static void test_ready_in_vain(void)
{
	open_all();
	int fd = host_connect();
	RIG_RUN_UNTIL(connections_in(VSOCK_GREETING) == 1);
	real_done = vsock.connections[0].greeting_op.done;
	vsock.connections[0].greeting_op.done = nothing_there;
	reads = 0;
	host_write(fd, "CONNECT 7\n");
	host_expect_end(fd);
	CHECK_EQ(reads, VSOCK_MAX_IN_VAIN);
	close(fd);
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	fd = guest_open(1, PORT, listener);
	real_done = vsock.receives[0].op.done;
	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++)
		vsock.receives[i].op.done = nothing_there;
	reads = 0;
	for (unsigned i = 0; i < VSOCK_MAX_IN_VAIN; i++) {
		RIG_RUN_UNTIL(reads == i);
		CHECK(send(fd, "x", 1, 0) == 1);
		RIG_RUN_UNTIL(reads == i + 1);
	}
	guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT);
	close(fd);
	close_all();
}

int main(void)
{
	RUN(test_out_of_band_greeting);
	RUN(test_out_of_band_stream);
	RUN(test_ready_in_vain);
	return 0;
}

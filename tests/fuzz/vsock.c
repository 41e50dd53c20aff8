/* SPDX-License-Identifier: MIT */
/*
 * The input is what a driver does with a vsock and what programs of the host do: packets good and bad to
 * connections that exist and others, raw descriptors, kicks, register writes, resets, index jumps;
 * programs that connect, send their CONNECT line or something else, write, close, and never read (bug
 * classes 5, 8, 16, 17, 19, 20, 21). After each input all that was in flight is back, no chain and no
 * connection is lost, nothing was written outside guest RAM, and a good driver is served again.
 *
 * No input reaches: vsock_open() without memory for the buffers, and chains that a driver offers between a last
 * look and vsock_tx_run()'s asking for kicks, because here the driver and the device take turns.
 */
#include "tests/fuzz/model/host.h"

#include "tests/fuzz/model/begin.h"

#include "tests/fuzz/vsock_seeds.h"

#define OPERATIONS_MAX 400

static unsigned seconds_pass;
static struct listen_socket vsock_socket;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
#ifndef RACE
	model_refuses_socket = socket_fails;
#endif
	host_open();
	queues_open();
	hostile_memory();
	vsock_socket.fd = vsock_listener;
	vsock_open(&vsock, GUEST_CID, &vsock_socket, (struct vsock_target){ vsock_path, -1 },
		   &rig.memory, &rig_ring);
	queues_attach(&vsock.device);
	vsock_start(&vsock);
	shrink_pools();
	memset(vsock.connections.table.port_key, 0,
	       sizeof(vsock.connections.table.port_key)); /* an input does the same each time */
	write_seeds();
	return 0;
}

static void rx_buffer(struct fuzz_input *input)
{
	uint8_t head = fuzz_byte(input), shape = fuzz_byte(input);

	hostile_offer(VSOCK_RX, head, RX_BUFFER_GPA + head % 128u * BUFFER_STEP, sizes[shape & 15],
		      parts[shape >> 5], shape != 0x1f);
}

/* Programs' connections in the order in which they came about, then the guest's. */
static uint64_t place_of(const struct vsock_connection *connection)
{
	const struct vsock_stream *stream = &connection->stream;

	return (uint64_t)(stream->host_port - 0x40000000u) << 32 | stream->guest_port;
}

/* Of those that the guest knows, the one behind `last` (NULL: the first), or if there is none that. */
static const struct vsock_connection *next_connection(const struct vsock_connection *last)
{
	const struct vsock_connection *next = NULL;

	for (unsigned i = 0; i < FEW_CONNECTIONS; i++) {
		const struct vsock_connection *at = &vsock.connections.places[i];
		if (at->stream.state >= VSOCK_REQUESTED &&
		    (last == NULL || place_of(at) > place_of(last)) &&
		    (next == NULL || place_of(at) < place_of(next)))
			next = at;
	}
	return next ? next : last;
}

/* The ports of one of the connections that the guest knows, or of a table. */
static const struct vsock_connection *choose_ports(uint8_t which, struct virtio_vsock_hdr *header)
{
	/* With 4 added the two in the middle share a chain, for host port 0. */
	static const uint32_t guest_ports[] = { 1234, 1, 780, UINT32_MAX };
	unsigned n = connections_in(VSOCK_REQUESTED, VSOCK_ENDING);
	unsigned skip = n > 0 ? which % n : 0;

	header->src_port = guest_ports[which & 3] + (which >> 5);
	header->dst_port = (which >> 2 & 7) % (PORTS + 1);
	if (which >= 0x80 || n == 0)
		return NULL;
	const struct vsock_connection *chosen = next_connection(NULL);
	while (skip-- > 0)
		chosen = next_connection(chosen);
	header->src_port = chosen->stream.guest_port;
	header->dst_port = chosen->stream.host_port;
	return chosen;
}

/* A packet whose header and length may be those of no good driver. */
static void packet(struct fuzz_input *input)
{
	struct virtio_vsock_hdr header = { .src_cid = GUEST_CID,
					   .dst_cid = VMADDR_CID_HOST,
					   .type = VIRTIO_VSOCK_TYPE_STREAM };
	uint8_t head = fuzz_byte(input) & 0x7f, op = fuzz_byte(input);
	const struct vsock_connection *connection = choose_ports(fuzz_byte(input), &header);
	uint32_t bytes = sizes[fuzz_byte(input) & 15];
	uint8_t credit = fuzz_byte(input), odd = fuzz_byte(input), shape = fuzz_byte(input);
	uint64_t gpa = TX_BUFFER_GPA + head * BUFFER_STEP;

	header.op = op & 0x3f;
	header.len = odd & 1 ? sizes[odd >> 4] : bytes;
	header.flags = op >> 6;
	if (odd & 2)
		header.type = odd >> 4;
	if (odd & 4)
		header.src_cid = odd >> 4;
	if (odd & 8)
		header.dst_cid = odd >> 4;
	header.buf_alloc = credits[credit & 7];
	if (connection != NULL && !(credit & 0x80))
		header.fwd_cnt = connection->stream.sent;
	header.fwd_cnt += credit & 0x40 ? 0x7fffffff : credit >> 3 & 7;
	CHECK(guest_memory_write(&rig.memory, gpa, &header, sizeof(header)));
	hostile_offer(VSOCK_TX, head, gpa, VSOCK_HEADER_BYTES + bytes, parts[shape >> 5],
		      shape == 0x1f);
}

static void program(uint8_t operation, struct fuzz_input *input)
{
	unsigned i = fuzz_byte(input) % HOST_PROGRAMS;
	uint8_t kind = fuzz_byte(input);

	if (programs[i] < 0)
		return;
	if (operation == OP_GREET)
		program_greet(programs[i], kind);
	else if (operation == OP_WRITE)
		program_write(programs[i], kind);
	else if (operation == OP_READ)
		program_read(programs[i], kind);
	else if (operation == OP_SHUTDOWN)
		shutdown(programs[i], kind % 3);
	else if (operation == OP_CLOSE)
		program_close(i);
}

static void plan_faults(struct fuzz_input *input)
{
	faults = fuzz_byte(input);
	fault_error = fuzz_byte(input);
	faults_left = fault_error >> 4 << 1;
}

/* A target does not change while there is a driver. */
static void plan_launcher(uint8_t kind, bool has_queues)
{
	if (!has_queues)
		launcher_open(kind);
}

/* The event loop turns; OP_TIME before it: and time passes. */
static void run(uint8_t how)
{
	unsigned turns = how & 31, patience = (how & 0xe0) == RUN_PATIENTLY ? 8 : 0;

	pass_seconds(seconds_pass);
	for (; turns > 0; turns--) {
		if (faulty_turn())
			continue;
		if (patience-- == 0)
			break;
		pause_shortly();
	}
	pass_seconds(0);
	seconds_pass = 0;
}

/* The host is in order again. */
static void end_faults(void)
{
	faults_left = 0;
	vsock.listener.given_up = false;
	vsock_listener_accept(&vsock.listener);
}

#include "tests/fuzz/model/end.h"

static void do_operation(struct fuzz_input *input)
{
	uint8_t operation = fuzz_byte(input) % OPERATIONS;
	bool has_queues = rig.queues[0].desc != NULL;

	if (operation == OP_RUN)
		run(fuzz_byte(input));
	else if (operation < DRIVER_OPERATIONS)
		hostile_operation(operation, input);
	else if (operation == OP_RX_BUFFER && has_queues)
		rx_buffer(input);
	else if (operation == OP_PACKET && has_queues)
		packet(input);
	else if (operation == OP_CONNECT)
		program_connect();
	else if (operation == OP_ACCEPT)
		program_accept(fuzz_byte(input));
	else if (operation == OP_OLD_HOST)
		vsock.sockets.no_nowait = true;
	else if (operation == OP_SHRINK)
		shrink_socket(fuzz_byte(input));
	else if (operation == OP_FAULT)
		plan_faults(input);
	else if (operation == OP_TIME)
		seconds_pass = fuzz_byte(input);
	else if (operation == OP_LAUNCHER)
		plan_launcher(fuzz_byte(input), has_queues);
	else if (operation == OP_POLICY)
		host_set_policy(fuzz_byte(input));
	else if (operation > OP_ACCEPT)
		program(operation, input);
}

#include "tests/fuzz/model/begin.h"

/* The memory that the kernel was told to fill lies in guest RAM. Returns how many chains that are. */
static unsigned check_receives(void)
{
	unsigned chains = 0;

	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++) {
		const struct vsock_receive *receive = &vsock.rx.receives[i];
		if (receive->connection == NULL)
			continue;
		CHECK(receive->n_buffers <= VSOCK_RECEIVE_BUFFERS);
		CHECK(receive->data.n <= VSOCK_RECEIVE_PARTS);
		for (unsigned n = 0; n < receive->data.n; n++)
			CHECK(fuzz_in_memory(&rig.memory, receive->parts[n].iov_base,
					     receive->parts[n].iov_len));
		chains += receive->generation == vsock.device.generation ? receive->n_buffers : 0;
	}
	return chains;
}

static void check_invariants(void)
{
	unsigned receiving = check_receives(), sending = 0;

	CHECK(vsock.connections.table.n_replies <= VSOCK_MAX_REPLIES);
	for (unsigned i = 0; i < FEW_CONNECTIONS; i++) {
		const struct vsock_connection *connection = &vsock.connections.places[i];
		const struct vsock_stream *stream = &connection->stream;
		CHECK(stream->received - stream->forwarded <= VSOCK_BUFFER_BYTES);
		sending += connection->packet != NULL &&
			   connection->packet->generation == vsock.device.generation;
	}
	if (!virtio_device_is_live(&vsock.device))
		return;
	if (vsock.device.queues[VSOCK_RX].ready)
		CHECK_EQ(hostile_chains_held(VSOCK_RX), vsock.rx.pool.n_ready + receiving);
	if (vsock.device.queues[VSOCK_TX].ready)
		CHECK_EQ(hostile_chains_held(VSOCK_TX), sending);
}

/* A reset ends every connection but those that wait for their CONNECT line; those end with their
 * programs. */
static void check_connections_end(void)
{
	RIG_RUN_UNTIL(connections_in(VSOCK_REQUESTED, VSOCK_ENDING) == 0);
	programs_end();
	RIG_RUN_UNTIL(!programs_wait() && greetings() == 0 &&
		      connections_in(VSOCK_REQUESTED, VSOCK_ENDING) == 0);
	RIG_RUN_UNTIL(!vsock.listener.paused);
	CHECK(vsock.listener.place != NULL);
	for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++)
		CHECK(vsock.connections.table.by_port[i] == NULL);
	CHECK(vsock_list_first(&vsock.connections.table.to_send) == NULL &&
	      vsock_list_first(&vsock.connections.table.departed) == NULL &&
	      vsock_list_first(&vsock.listener.greetings) == NULL &&
	      vsock_list_first(&vsock.connections.backlogs) == NULL);
}

static void good_packet(uint16_t op, uint32_t host_port, const char *data)
{
	struct virtio_vsock_hdr header = {
		.src_cid = GUEST_CID,
		.dst_cid = VMADDR_CID_HOST,
		.src_port = 1234,
		.dst_port = host_port,
		.len = (uint32_t)strlen(data),
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? 3 : 0,
		.buf_alloc = 4096,
	};
	struct rig_part part = { TX_BUFFER_GPA, VSOCK_HEADER_BYTES + header.len, false };

	CHECK(guest_memory_write(&rig.memory, TX_BUFFER_GPA, &header, sizeof(header)));
	memcpy((uint8_t *)rig_at(TX_BUFFER_GPA) + sizeof(header), data, header.len);
	queues_offer(VSOCK_TX, 0, &part, 1);
	queues_kick(VSOCK_TX);
	RIG_RUN_UNTIL(queues_used(VSOCK_TX) == 1);
	queues_take(VSOCK_TX);
}

/* Waits for the packet `op` to the guest; returns its header. */
static const struct virtio_vsock_hdr *good_receive(uint16_t op)
{
	const struct virtio_vsock_hdr *header;

	RIG_RUN_UNTIL(queues_used(VSOCK_RX) > 0);
	header = rig_at(RX_BUFFER_GPA + queues_take(VSOCK_RX).id * BUFFER_STEP);
	CHECK_EQ(header->op, op);
	CHECK_EQ(header->dst_port, 1234);
	return header;
}

static void check_host_reads(int fd, const char *text)
{
	char got[64] = "";
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	RIG_RUN_UNTIL(poll(&ready, 1, 0) == 1);
	CHECK_EQ(recv(fd, got, sizeof(got) - 1, 0), strlen(text));
	CHECK_STRING(got, text);
}

static void check_good_driver_is_served(void)
{
	char line[32];
	int fd;

	queues_start(0, RIG_QUEUE_SIZE);
	for (uint16_t head = 0; head < 8; head++) {
		struct rig_part part = { RX_BUFFER_GPA + head * BUFFER_STEP, 4096, true };
		queues_offer(VSOCK_RX, head, &part, 1);
	}
	queues_kick(VSOCK_RX);
	fd = host_connect("");
	CHECK(fd >= 0);
	program_greet(fd, 0);
	uint32_t host_port = good_receive(VIRTIO_VSOCK_OP_REQUEST)->src_port;
	good_packet(VIRTIO_VSOCK_OP_RESPONSE, host_port, "");
	snprintf(line, sizeof(line), "OK %u\n", host_port);
	check_host_reads(fd, line);
	good_packet(VIRTIO_VSOCK_OP_RW, host_port, "from the guest");
	check_host_reads(fd, "from the guest");
	CHECK_EQ(send(fd, "from the host", 13, 0), 13);
	const struct virtio_vsock_hdr *header = good_receive(VIRTIO_VSOCK_OP_RW);
	CHECK_EQ(header->len, 13);
	CHECK_BYTES(header + 1, "from the host", 13);
	good_packet(VIRTIO_VSOCK_OP_SHUTDOWN, host_port, "");
	good_receive(VIRTIO_VSOCK_OP_RST);
	check_host_reads(fd, "");
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };

	memset(rig.queues, 0, sizeof(rig.queues));
	rig.indirect = false;
	vsock.sockets.no_nowait = false;
	vsock.listener.next_host_port = 0;
	host_set_policy(0);
	hostile_race(TX_BUFFER_GPA, data, bytes);
	for (unsigned i = 0; i < OPERATIONS_MAX && input.left > 0; i++) {
		do_operation(&input);
		if (!RACING)
			check_invariants();
	}
	race_end();
	end_faults();
	hostile_end();
	RIG_RUN_UNTIL(connections_in(VSOCK_CONNECTING, VSOCK_CONNECTING) == 0);
	launcher_close();
	check_connections_end();
	check_good_driver_is_served();
	hostile_end();
	check_connections_end();
	return 0;
}

#include "tests/fuzz/model/end.h"

/*
 * A vsock without KVM: the real device on the real ring, the host's programs are Unix sockets of this
 * process, and the guest's driver is the test. Packets to the guest are taken one by one, each
 * checked for what must hold of any.
 */
#ifndef TESTS_UNIT_VSOCK_RIG_H
#define TESTS_UNIT_VSOCK_RIG_H

#include <dirent.h>
#include <linux/vm_sockets.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/net_queues.h"
#include "virtio-mmio/vsock.h"

#define RX_BUFFER_GPA 0x400000u /* 128 KiB a head */
#define TX_BUFFER_GPA 0x2400000u
#define BUFFER_STEP   0x20000u
#define GUEST_CID     42u
#define FREE_HEAD     0xffu
#define ALL_RIGHT     0x40000u /* a guest's buf_alloc, if nothing else is said */
#define QUEUE_WORDS   (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define BOTH          (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

static struct vsock vsock;
static int listen_fd = -1;
static char rig_dir[32], rig_path[64];
/* How many bytes each receive head was offered with; 0: the driver has it. */
static uint32_t rx_offered[RIG_QUEUE_SIZE];
static bool tx_offered[RIG_QUEUE_SIZE];

/* The byte at a position of a stream: every 4 bytes are different, so that none can move. */
static inline uint8_t pattern(uint32_t stream, uint64_t position)
{
	uint64_t x = (position / 4 + 1) * 0x9e3779b97f4a7c15u + stream * 0x85ebca6bu;

	return (uint8_t)(x >> (24 + position % 4 * 8));
}

static inline void make_pattern(uint8_t *to, uint32_t stream, uint64_t position, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = pattern(stream, position + i);
}

static inline void check_pattern(const uint8_t *at, uint32_t stream, uint64_t position, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != pattern(stream, position + i))
			CHECK_EQ(position + i, 0xbadu); /* shows the place */
}

static inline struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	CHECK(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	return address;
}

/* A host program that listens at a path. */
static inline int listen_at(const char *path, int backlog)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fd, backlog) == 0);
	return fd;
}

/* What the guest's connections to `port` reach; non-blocking for accept(). */
static inline int listen_at_port(uint32_t port, int backlog)
{
	char path[96];

	snprintf(path, sizeof(path), "%s_%u", rig_path, port);
	unlink(path);
	int fd = listen_at(path, backlog);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

static inline void vsock_open_with(bool with_path)
{
	strcpy(rig_dir, "/tmp/vsock-XXXXXX");
	CHECK(mkdtemp(rig_dir) != NULL);
	snprintf(rig_path, sizeof(rig_path), "%s/v", rig_dir);
	listen_fd = listen_at(rig_path, 4096);
	memset(rx_offered, 0, sizeof(rx_offered));
	memset(tx_offered, 0, sizeof(tx_offered));
	queues_open();
	memset(&vsock, 0, sizeof(vsock));
	vsock_init(&vsock, GUEST_CID, listen_fd, with_path ? rig_path : NULL, &rig.memory,
		   &rig_ring);
	queues_attach(&vsock.device);
	vsock_start(&vsock);
}

static inline void vsock_open(void)
{
	vsock_open_with(true);
}

static inline void vsock_close(void)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	queues_close();
	close(listen_fd);
	munmap(vsock.buffers, (size_t)VSOCK_MAX_CONNECTIONS * VSOCK_BUFFER_BYTES);
	CHECK((dir = opendir(rig_dir)) != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", rig_dir, entry->d_name);
			unlink(path);
		}
	closedir(dir);
	CHECK(rmdir(rig_dir) == 0);
}

/* The driver comes up, after a reset if it was up before. */
static inline void guest_start(void)
{
	memset(rx_offered, 0, sizeof(rx_offered));
	memset(tx_offered, 0, sizeof(tx_offered));
	queues_start(QUEUE_WORDS, RIG_QUEUE_SIZE);
}

static inline void guest_reset(void)
{
	queues_reset();
	RIG_RUN_UNTIL(queues_status() == 0);
}

/* Offers up to n more receive buffers of one part; returns how many. */
static inline unsigned guest_offer(unsigned n, uint32_t bytes)
{
	unsigned offered = 0;

	for (uint16_t head = 0; head < RIG_QUEUE_SIZE && offered < n; head++) {
		if (rx_offered[head] != 0)
			continue;
		struct rig_part part = { RX_BUFFER_GPA + head * BUFFER_STEP, bytes, true };
		queues_offer(VSOCK_RX, head, &part, 1);
		rx_offered[head] = bytes;
		offered++;
	}
	if (offered > 0)
		queues_kick(VSOCK_RX);
	return offered;
}

static inline unsigned guest_rx_offered(void)
{
	unsigned n = 0;

	for (unsigned head = 0; head < RIG_QUEUE_SIZE; head++)
		n += rx_offered[head] != 0;
	return n;
}

/* Takes the next packet, if there is one. Its data, header->len bytes, stays until the buffer is
 * offered again. */
static inline bool guest_receive(struct virtio_vsock_hdr *header, const uint8_t **data)
{
	struct vring_used_elem used;

	if (queues_used(VSOCK_RX) == 0)
		return false;
	used = queues_take(VSOCK_RX);
	CHECK(used.id < RIG_QUEUE_SIZE && rx_offered[used.id] != 0);
	CHECK(used.len >= VSOCK_HEADER_BYTES && used.len <= rx_offered[used.id]);
	rx_offered[used.id] = 0;
	const uint8_t *packet = rig_at(RX_BUFFER_GPA + used.id * BUFFER_STEP);
	memcpy(header, packet, sizeof(*header));
	*data = packet + sizeof(*header);
	CHECK_EQ(header->src_cid, VMADDR_CID_HOST);
	CHECK_EQ(header->dst_cid, GUEST_CID);
	CHECK_EQ(header->len, used.len - VSOCK_HEADER_BYTES);
	CHECK(header->op == VIRTIO_VSOCK_OP_RW || header->len == 0);
	CHECK(header->op != VIRTIO_VSOCK_OP_RW || header->len > 0);
	if (header->op != VIRTIO_VSOCK_OP_RST) {
		CHECK_EQ(header->type, VIRTIO_VSOCK_TYPE_STREAM);
		CHECK_EQ(header->buf_alloc, VSOCK_BUFFER_BYTES);
	}
	return true;
}

/* The next packet must be this one. */
static inline struct virtio_vsock_hdr guest_expect(uint16_t op, uint32_t guest_port,
						   uint32_t host_port)
{
	struct virtio_vsock_hdr header;
	const uint8_t *data;

	RIG_RUN_UNTIL(queues_used(VSOCK_RX) > 0);
	CHECK(guest_receive(&header, &data));
	CHECK_EQ(header.op, op);
	CHECK_EQ(header.dst_port, guest_port);
	if (host_port != 0)
		CHECK_EQ(header.src_port, host_port);
	return header;
}

static inline void guest_take_tx(void)
{
	while (queues_used(VSOCK_TX) > 0) {
		struct vring_used_elem used = queues_take(VSOCK_TX);
		CHECK(used.id < RIG_QUEUE_SIZE && tx_offered[used.id]);
		CHECK_EQ(used.len, 0);
		tx_offered[used.id] = false;
	}
}

/* A transmit head of the driver's, waiting for one if need be. */
static inline uint16_t guest_tx_head(void)
{
	for (;;) {
		guest_take_tx();
		for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
			if (!tx_offered[head])
				return head;
		RIG_RUN_UNTIL(queues_used(VSOCK_TX) > 0);
	}
}

static inline struct virtio_vsock_hdr guest_header(uint16_t op, uint32_t guest_port,
						   uint32_t host_port, uint32_t length)
{
	return (struct virtio_vsock_hdr){
		.src_cid = GUEST_CID,
		.dst_cid = VMADDR_CID_HOST,
		.src_port = guest_port,
		.dst_port = host_port,
		.len = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ALL_RIGHT,
	};
}

/* Sends a packet, header and data in one part each. */
static inline void guest_send(const struct virtio_vsock_hdr *header, const uint8_t *data)
{
	uint16_t head = guest_tx_head();
	uint64_t gpa = TX_BUFFER_GPA + head * BUFFER_STEP;
	struct rig_part parts[] = { { gpa, sizeof(*header), false },
				    { gpa + sizeof(*header), header->len, false } };

	memcpy(rig_at(gpa), header, sizeof(*header));
	if (header->len > 0)
		memcpy(rig_at(gpa + sizeof(*header)), data, header->len);
	tx_offered[head] = true;
	queues_offer(VSOCK_TX, head, parts, header->len > 0 ? 2 : 1);
	queues_kick(VSOCK_TX);
}

static inline void guest_send_op(uint16_t op, uint32_t guest_port, uint32_t host_port,
				 uint32_t flags)
{
	struct virtio_vsock_hdr header = guest_header(op, guest_port, host_port, 0);

	header.flags = flags;
	guest_send(&header, NULL);
}

/* A host program connects to PATH; non-blocking. */
static inline int host_connect(void)
{
	struct sockaddr_un address = address_of(rig_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static inline void host_write(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* The socket's end comes, and nothing before it. */
static inline void host_expect_end(int fd)
{
	char byte;
	ssize_t n;

	RIG_RUN_UNTIL((n = recv(fd, &byte, 1, 0)) >= 0 || errno != EAGAIN);
	CHECK(n == 0 || (n < 0 && errno == ECONNRESET));
}

static inline void host_expect_text(int fd, const char *text)
{
	char got[64] = "";
	size_t length = strlen(text), have = 0;

	while (have < length) {
		ssize_t n;
		RIG_RUN_UNTIL((n = recv(fd, got + have, length - have, 0)) >= 0 || errno != EAGAIN);
		CHECK(n > 0);
		have += (size_t)n;
	}
	CHECK_STRING(got, text);
}

/* A connection of a host program to the guest's `port`, up to the OK line. Returns its socket. */
static inline int host_open(uint32_t port, uint32_t *host_port)
{
	char line[64];
	int fd = host_connect();

	snprintf(line, sizeof(line), "CONNECT %u\n", port);
	host_write(fd, line);
	*host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, port, 0).src_port;
	guest_send_op(VIRTIO_VSOCK_OP_RESPONSE, port, *host_port, 0);
	snprintf(line, sizeof(line), "OK %u\n", *host_port);
	host_expect_text(fd, line);
	return fd;
}

/* A connection of the guest to a listener of listen_at_port(). Returns the host's end. */
static inline int guest_open(uint32_t guest_port, uint32_t port, int listener)
{
	int fd;

	guest_send_op(VIRTIO_VSOCK_OP_REQUEST, guest_port, port, 0);
	guest_expect(VIRTIO_VSOCK_OP_RESPONSE, guest_port, port);
	RIG_RUN_UNTIL((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

/* How many files of the ring's table are sockets of connections, as the kernel tells. */
static inline unsigned ring_sockets(void)
{
	char path[64], line[256];
	unsigned n = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", rig_ring.uring.ring_fd);
	CHECK((info = fopen(path, "r")) != NULL);
	while (fgets(line, sizeof(line), info) != NULL) {
		int slot;
		char end;
		if (sscanf(line, "%d%c", &slot, &end) == 2 && end == ':' &&
		    slot >= vsock.first_slot && slot < vsock.first_slot + 2048 &&
		    strstr(line, "none") == NULL)
			n++;
	}
	fclose(info);
	return n;
}

static inline unsigned connections_in(enum vsock_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vsock.fresh_connections; i++)
		n += vsock.connections[i].stream.state == state;
	return n;
}

/* Connections that somebody has: not free and not waiting for the next host program. */
static inline unsigned connections_used(void)
{
	return vsock.fresh_connections - connections_in(VSOCK_FREE) -
	       connections_in(VSOCK_ACCEPTING);
}

/* Nothing is open: everything must be back where it came from. */
static inline void check_all_returned(void)
{
	unsigned n_free = 0, n_directs = 0, n_buffers = 0;

	RIG_RUN_UNTIL(connections_used() == 0 && vsock.device.in_flight == 0);
	for (struct vsock_connection *c = vsock.free_connections; c != NULL; c = c->next_free) {
		CHECK_EQ(c->stream.state, VSOCK_FREE);
		n_free++;
	}
	for (struct vsock_direct *d = vsock.free_directs; d != NULL; d = d->next_free)
		n_directs++;
	for (struct rx_buffer *b = vsock.pool.free; b != NULL; b = b->next)
		n_buffers++;
	CHECK_EQ(connections_in(VSOCK_ACCEPTING), vsock.accepting != NULL);
	CHECK_EQ(n_free + (vsock.accepting != NULL), vsock.fresh_connections);
	CHECK_EQ(n_directs, vsock.fresh_directs);
	CHECK_EQ(n_buffers + vsock.pool.n_ready, vsock.pool.fresh);
	CHECK(vsock.to_send == NULL && vsock.to_send_end == &vsock.to_send);
	for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++)
		CHECK(vsock.by_port[i] == NULL);
	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++)
		CHECK(vsock.receives[i].connection == NULL);
	RIG_RUN_UNTIL(ring_sockets() == 0);
}

#endif

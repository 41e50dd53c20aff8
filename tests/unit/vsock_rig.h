/* SPDX-License-Identifier: MIT */
/* A vsock without KVM: the real device on the real ring; the host's programs are Unix sockets of this
 * process, and vsock_guest.h is the driver. */
#ifndef TESTS_UNIT_VSOCK_RIG_H
#define TESTS_UNIT_VSOCK_RIG_H

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/vsock_guest.h"

static int listen_fd = -1;
static struct listen_socket rig_listener;
static char rig_dir[32], rig_path[64];

/* The most that sockets made from now on hold, if not 0; the device's, too. */
static int socket_bytes;

int socket(int domain, int type, int protocol)
{
	int fd = (int)syscall(SYS_socket, domain, type, protocol);

	if (fd >= 0 && socket_bytes > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &socket_bytes, sizeof(socket_bytes));
	return fd;
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

/* A listener for the guest's connections to `port`; non-blocking for accept(). */
static inline int listen_at_port(uint32_t port, int backlog)
{
	char path[96];

	snprintf(path, sizeof(path), "%s_%u", rig_path, port);
	unlink(path);
	int fd = listen_at(path, backlog);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

/* All but vsock_start(). */
static inline void vsock_rig_make(struct vsock_target target)
{
	strcpy(rig_dir, "/tmp/vsock-XXXXXX");
	CHECK(mkdtemp(rig_dir) != NULL);
	snprintf(rig_path, sizeof(rig_path), "%s/v", rig_dir);
	listen_fd = listen_at(rig_path, 4096);
	memset(rx_offered, 0, sizeof(rx_offered));
	memset(tx_offered, 0, sizeof(tx_offered));
	queues_open();
	memset(&vsock, 0, sizeof(vsock));
	rig_listener.fd = listen_fd;
	vsock_open(&vsock, GUEST_CID, &rig_listener, target, &rig.memory, &rig_ring);
	queues_attach(&vsock.device);
}

static inline void vsock_rig_open_at(struct vsock_target target)
{
	vsock_rig_make(target);
	vsock_start(&vsock);
}

static inline void vsock_rig_open(void)
{
	vsock_rig_open_at((struct vsock_target){ rig_path, -1 });
}

static inline void vsock_rig_close(void)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	queues_close();
	close(listen_fd);
	close(vsock.sockets.half_ended_fd);
	munmap(vsock.connections.buffers, (size_t)VSOCK_MAX_CONNECTIONS * VSOCK_BUFFER_BYTES);
	CHECK((dir = opendir(rig_dir)) != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", rig_dir, entry->d_name);
			unlink(path);
		}
	closedir(dir);
	CHECK(rmdir(rig_dir) == 0);
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

static inline unsigned connections_in(enum vsock_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vsock.connections.table.pool.fresh; i++)
		n += vsock.connections.places[i].stream.state == state;
	return n;
}

/* Host programs that have not said their line. */
static inline unsigned greetings(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vsock.connections.table.pool.fresh; i++)
		n += vsock.listener.pool[i].place != NULL && !vsock.listener.pool[i].over;
	return n;
}

static inline unsigned places_free(void)
{
	unsigned n = 0;

	for (struct vsock_entry *e = vsock.connections.table.pool.free; e; e = e->next_free) {
		CHECK_EQ(((struct vsock_connection *)e)->stream.state, VSOCK_FREE);
		n++;
	}
	return n;
}

/* Connections that somebody has: not free and not waiting for the next host program. */
static inline unsigned connections_used(void)
{
	return vsock.connections.table.pool.fresh - places_free() - (vsock.listener.place != NULL);
}

/* Nothing is open: everything must be back where it came from. */
static inline void check_all_returned(void)
{
	unsigned n_packets = 0, n_buffers = 0;

	RIG_RUN_UNTIL(connections_used() == 0 && vsock.device.in_flight == 0);
	for (struct vsock_packet *p = vsock.tx.pool.free; p != NULL; p = p->next_free)
		n_packets++;
	for (struct rx_buffer *b = vsock.rx.pool.free.free; b != NULL; b = b->next)
		n_buffers++;
	CHECK_EQ(connections_in(VSOCK_FREE), vsock.connections.table.pool.fresh);
	CHECK_EQ(n_packets, vsock.tx.pool.fresh);
	CHECK_EQ(n_buffers + vsock.rx.pool.n_ready, vsock.rx.pool.free.fresh);
	CHECK(vsock_list_first(&vsock.connections.table.to_send) == NULL);
	CHECK(vsock_list_first(&vsock.connections.table.departed) == NULL);
	CHECK(vsock_list_first(&vsock.connections.backlogs) == NULL);
	CHECK(vsock_list_first(&vsock.listener.greetings) == NULL);
	for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++)
		CHECK(vsock.connections.table.by_port[i] == NULL);
	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++)
		CHECK(vsock.rx.receives[i].connection == NULL);
	for (unsigned i = 0; i < vsock.connections.table.pool.fresh; i++) {
		CHECK_EQ(vsock.connections.places[i].socket.fd, -1);
		CHECK(vsock.listener.pool[i].place == NULL);
	}
}

static inline unsigned open_descriptors(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");

	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

#endif

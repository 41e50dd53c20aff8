/* SPDX-License-Identifier: MIT */
/*
 * The host's side of a vsock for its fuzzer: listeners of every kind for the guest's connections, and
 * programs that connect, greet, write, read, shut down and close, or do nothing.
 */
#ifndef TESTS_FUZZ_VSOCK_FUZZ_RIG_H
#define TESTS_FUZZ_VSOCK_FUZZ_RIG_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/fuzz/vsock_faults.h"

#include "tests/fuzz/hostile_driver.h"
#include "tests/unit/receive_descriptor.h"

#define RX_BUFFER_GPA 0x400000u /* 128 KiB a head */
#define TX_BUFFER_GPA 0x2400000u
#define BUFFER_STEP   0x20000u
#define GUEST_CID     3u
#define HOST_PROGRAMS 20u

/* The listeners at the host's ports. */
enum host_port {
	PORT_LISTENER,
	PORT_NOBODY,
	PORT_FULL,     /* a backlog with no room */
	PORT_FILE,     /* no socket */
	PORT_DATAGRAM, /* of another type */
	PORTS,
};

static char vsock_dir[64], vsock_path[80];
static int vsock_listener, port_listener, full_listener, full_client;
static int launcher = -1;           /* its end of the packets; -1: none */
static int programs[HOST_PROGRAMS]; /* the host's programs; -1: none */
static uint8_t host_bytes[256 << 10];

static inline struct sockaddr_un host_address(const char *suffix)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	CHECK((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", vsock_path,
			       suffix) < sizeof(address.sun_path));
	return address;
}

static inline int host_socket(int type)
{
#ifdef RACE
	return (int)syscall(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC, 0);
#else
	return model_socket(type);
#endif
}

static inline int host_bind(int type, const char *suffix, int backlog)
{
	struct sockaddr_un address = host_address(suffix);
	int fd = host_socket(type);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(type != SOCK_STREAM || listen(fd, backlog) == 0);
	return fd;
}

/* A connection to a listener; -1: it has no room. */
static inline int host_connect(const char *suffix)
{
	struct sockaddr_un address = host_address(suffix);
	int fd = host_socket(SOCK_STREAM | SOCK_NONBLOCK);

	CHECK(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	CHECK(errno == EAGAIN);
	close(fd);
	return -1;
}

static inline void host_remove_files(void)
{
	static const char *const suffixes[] = { "", "_0", "_2", "_3", "_4" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		unlink(host_address(suffixes[i]).sun_path);
	rmdir(vsock_dir);
}

static inline void host_open(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(vsock_dir, sizeof(vsock_dir), "%s/fuzz-vsock-XXXXXX", tmp ? tmp : "/tmp");
	CHECK(mkdtemp(vsock_dir) != NULL);
	snprintf(vsock_path, sizeof(vsock_path), "%s/v", vsock_dir);
	atexit(host_remove_files);
	vsock_listener = host_bind(SOCK_STREAM, "", 16);
	port_listener = host_bind(SOCK_STREAM, "_0", 16);
	CHECK(fcntl(port_listener, F_SETFL, O_NONBLOCK) == 0);
	full_listener = host_bind(SOCK_STREAM, "_2", 0);
	CHECK(fcntl(full_listener, F_SETFL, O_NONBLOCK) == 0);
	CHECK((full_client = host_connect("_2")) >= 0);
	host_name_file(host_address("_3").sun_path);
	host_bind(SOCK_DGRAM, "_4", 0);
	memset(programs, -1, sizeof(programs));
	memset(host_bytes, 'h', sizeof(host_bytes));
}

static inline int *free_program(void)
{
	for (unsigned i = 0; i < HOST_PROGRAMS; i++)
		if (programs[i] < 0)
			return &programs[i];
	return NULL;
}

/* A program connects to the vsock. */
static inline void program_connect(void)
{
	int *program = free_program();

	if (program != NULL)
		*program = host_connect("");
}

/* From now on the guest's connections go to a launcher, whose queue holds a few; kind: 1, it has gone. */
static inline void launcher_open(uint8_t kind)
{
	int ends[2], least = 0;

	if (launcher >= 0)
		return;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	launcher = ends[0];
	vsock.connections.target.launcher_fd = ends[1];
	if (kind & 1)
		shutdown(launcher, SHUT_RDWR);
}

/* It takes the next connection of the guest. -1: there is none. */
static inline int launcher_take(void)
{
	uint8_t port[8];
	int fd;

	if (launcher < 0)
		return -1;
	ssize_t n = receive_descriptor(launcher, port, sizeof(port), &fd);
	CHECK(n <= 0 ? fd < 0 : n == 4 && fd >= 0);
	if (fd >= 0)
		CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

/* After the driver: what it has not taken ends with it. */
static inline void launcher_close(void)
{
	if (launcher < 0)
		return;
	close(launcher);
	close(vsock.connections.target.launcher_fd);
	launcher = vsock.connections.target.launcher_fd = -1;
}

/* The listener at PORT_LISTENER takes a connection of the guest, or that at PORT_FULL the first one. */
static inline void program_accept(uint8_t kind)
{
	int *program = free_program();

	if (program != NULL && launcher >= 0)
		*program = launcher_take();
	else if (program != NULL)
		*program = accept4(kind & 1 ? full_listener : port_listener, NULL, NULL,
				   SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* The device's end of a connection takes little from now on. */
static inline void shrink_socket(uint8_t which)
{
	int fd = vsock.connections.places[which % FEW_CONNECTIONS].socket.fd, least = 0;

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
}

static inline void program_greet(int fd, uint8_t kind)
{
	static const char *const lines[] = {
		"CONNECT 1234\n",
		"CONNECT 1\n",
		"CONNECT 4294967294\nand data",
		"CONNECT 4294967295\n",
		"CONNECT 18446744073709551616\n",
		"CONNECT \n",
		"CONNECT 5 \n",
		"CONNECT 12",
		"\n",
		"connect 1234\n",
		"CONNECT 00000000000000000000000000000000000000000000001234\n",
		"C",
	};
	const char *line = lines[kind % (sizeof(lines) / sizeof(lines[0]))];

	send(fd, line, strlen(line), MSG_NOSIGNAL);
}

static inline void program_write(int fd, uint8_t kind)
{
	static const uint32_t sizes[] = { 1, 2, 100, 4096, 65536, 70000, 200000, 256 << 10 };

	send(fd, host_bytes, sizes[kind & 7], MSG_NOSIGNAL | (kind & 8 ? MSG_OOB : 0));
}

static inline void program_read(int fd, uint8_t kind)
{
	static uint8_t got[256 << 10];

	recv(fd, got, kind & 1 ? sizeof(got) : kind, 0);
}

static inline void program_close(unsigned i)
{
	if (programs[i] >= 0)
		close(programs[i]);
	programs[i] = -1;
}

/* Everybody goes, also who was never accepted. */
static inline void programs_end(void)
{
	for (int fd; (fd = accept4(port_listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 ||
		     (fd = accept4(full_listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
		close(fd);
	close(full_client);
	CHECK((full_client = host_connect("_2")) >= 0);
	for (unsigned i = 0; i < HOST_PROGRAMS; i++)
		program_close(i);
}

/* Whether programs have connected that the vsock has not accepted yet. */
static inline bool programs_wait(void)
{
	struct pollfd ready = { .fd = vsock_listener, .events = POLLIN };

	return poll(&ready, 1, 0) == 1;
}

static inline unsigned connections_in(enum vsock_state first, enum vsock_state last)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FEW_CONNECTIONS; i++)
		n += vsock.connections.places[i].stream.state >= first &&
		     vsock.connections.places[i].stream.state <= last;
	return n;
}

/* Of host programs that have not said their line, also those whose time is over. */
static inline unsigned greetings(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FEW_CONNECTIONS; i++)
		n += vsock.listener.pool[i].place != NULL;
	return n;
}

#endif

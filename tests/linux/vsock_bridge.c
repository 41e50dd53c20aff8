/* SPDX-License-Identifier: MIT */
/*
 * Linked into Linux's vsock_test with ld's --wrap, so that it runs, unchanged, against this monitor.
 *
 * Its control channel is TCP. In the guest (built with -DGUEST) TCP becomes AF_VSOCK, and AF_VSOCK stays
 * what it is: the driver under test. On the host both become Unix sockets in the monitor's dialect, below
 * the path in VSOCK_PATH; what AF_VSOCK promises and a Unix socket says differently is translated here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define MAX_FDS       1024
#define CONTROL_TRIES 600
#define TRY_PAUSE_US  100000

int __real_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t length);
int __real_connect(int fd, const struct sockaddr *address, socklen_t length);
int __real_accept(int fd, struct sockaddr *address, socklen_t *length);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_accept(int fd, struct sockaddr *address, socklen_t *length);

static unsigned port_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)address)->sin_port);
	return ((const struct sockaddr_vm *)address)->svm_port;
}

/* A vsock_test that waits for nobody must not wait for its control channel: each side may be first. */
static int try_control(int fd, const struct sockaddr *address, int (*attempt)(int, unsigned))
{
	bool control = address->sa_family == AF_INET;
	int result = -1;

	for (int i = 0; i < (control ? CONTROL_TRIES : 1) && result < 0; i++) {
		if (i > 0)
			usleep(TRY_PAUSE_US);
		result = attempt(fd, port_of(address));
	}
	return result;
}

#ifdef GUEST

static bool is_control[MAX_FDS];

int __wrap_socket(int domain, int type, int protocol)
{
	int fd = __real_socket(domain == AF_INET ? AF_VSOCK : domain, type,
			       domain == AF_INET ? 0 : protocol);
	if (fd >= 0 && fd < MAX_FDS)
		is_control[fd] = domain == AF_INET;
	return fd;
}

static struct sockaddr_vm vm_address(unsigned cid, unsigned port)
{
	return (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_vm vm = vm_address(VMADDR_CID_ANY, port_of(address));

	if (!is_control[fd])
		return __real_bind(fd, address, length);
	return __real_bind(fd, (struct sockaddr *)&vm, sizeof(vm));
}

static int connect_once(int fd, unsigned port)
{
	struct sockaddr_vm vm = vm_address(VMADDR_CID_HOST, port);

	return __real_connect(fd, (struct sockaddr *)&vm, sizeof(vm));
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (!is_control[fd])
		return __real_connect(fd, address, length);
	return try_control(fd, address, connect_once);
}

int __wrap_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	return __real_accept(fd, address, length);
}

#else

static struct sockaddr_un unix_address(unsigned port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("VSOCK_PATH");

	if (path == NULL)
		abort();
	if (port == 0)
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	else
		snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", path, port);
	return address;
}

int __wrap_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)protocol;
	return __real_socket(AF_UNIX, type, 0);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_un un = unix_address(port_of(address));

	(void)length;
	unlink(un.sun_path); /* a vsock port is free again when its socket is closed */
	return __real_bind(fd, (struct sockaddr *)&un, sizeof(un));
}

/* Reads "OK <number>\n" byte by byte: what follows is the stream. */
static bool read_ok(int fd)
{
	char line[32] = "";
	size_t length = 0;

	while (length < sizeof(line) - 1 && read(fd, line + length, 1) == 1)
		if (line[length++] == '\n')
			return strncmp(line, "OK ", 3) == 0;
	return false;
}

/* A Unix socket connects only once: each attempt is a new one in the place of the old. */
static int connect_once(int fd, unsigned port)
{
	struct sockaddr_un un = unix_address(0);
	int fresh = __real_socket(AF_UNIX, SOCK_STREAM, 0);

	dup2(fresh, fd);
	close(fresh);
	if (__real_connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return -1;
	dprintf(fd, "CONNECT %u\n", port);
	if (read_ok(fd))
		return 0;
	errno = ECONNRESET;
	return -1;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)length;
	return try_control(fd, address, connect_once);
}

int __wrap_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = 3 };
	int connection = __real_accept(fd, NULL, NULL);

	if (connection >= 0 && address != NULL) {
		if (*length < sizeof(vm))
			abort();
		memcpy(address, &vm, sizeof(vm));
		*length = sizeof(vm);
	}
	return connection;
}

#endif

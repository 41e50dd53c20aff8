/* SPDX-License-Identifier: MIT */
/* The order to go on, for a monitor that waits for one: the line "go" on a descriptor of its own, or a request to the socket of its
 * API. */
#ifndef BENCH_ORDER_H
#define BENCH_ORDER_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ORDER_FD       4 /* in the monitor */
#define ORDER_BYTES    4096
#define ORDER_TRIES    50000
#define ORDER_RETRY_NS 100000

/* Connects to the API as soon as it is there, and the process still is. -1 with errno: it is not. */
static inline int order_connect(const char *path, pid_t pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	for (int i = 0; i < ORDER_TRIES; i++) {
		char state[] = "/proc/4294967295/exe", link[2];
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		snprintf(state, sizeof(state), "/proc/%d/exe", pid);
		if (readlink(state, link, sizeof(link)) < 0)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = ORDER_RETRY_NS }, NULL);
	}
	close(fd);
	return -1;
}

/* The PUT request that asks a Firecracker to load a snapshot; the JSON object is the file's content. Returns its length, 0 with errno. */
static inline size_t order_read_request(char *request, const char *path)
{
	char body[ORDER_BYTES / 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, body, sizeof(body));

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	return (size_t)snprintf(request, ORDER_BYTES,
				"PUT /snapshot/load HTTP/1.1\r\nHost: localhost\r\n"
				"Accept: application/json\r\nContent-Type: application/json\r\n"
				"Content-Length: %zd\r\n\r\n%.*s",
				n, (int)n, body);
}

static inline bool order_send(int fd, const char *text, size_t length)
{
	return write(fd, text, length) == (ssize_t)length;
}

#endif

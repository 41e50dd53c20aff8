/* SPDX-License-Identifier: MIT */
/*
 * io_peer: the host's side of io.sh's network and vsock guests, and the same work by plain system calls.
 *
 *   io_peer flood INTERFACE BYTES SECONDS   sends frames to an interface, as other hosts of its network would
 *   io_peer tap-write TAP BYTES SECONDS     sends frames as the owner of a TAP, one write each
 *   io_peer tap-read TAP SECONDS            counts the frames that come to the owner of a TAP, one read each
 *   io_peer serve sink|source|echo PATH     serves one connection to a Unix socket at a time, for ever
 *   io_peer frames BYTES PATH               the same, sending frames of BYTES behind their lengths
 *   io_peer client send|receive|turn PATH SECONDS
 *                                           what the vsock guest does, from a program of the host
 *
 * All but flood, serve and frames print "begin", and "count 0xN" at the end, as the guests do: frames, packets of 4 KiB,
 * round trips. Exit status 1: something failed.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX    10240u
#define HEADER_BYTES 12u /* virtio-net's, in front of each frame of a TAP */
#define PACKET_BYTES 4096u
#define ETHERTYPE    0x88b5u /* IEEE 802, "local experimental" */

static volatile sig_atomic_t over;

static void alarm_rings(int signal)
{
	(void)signal;
	over = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "io_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(const char *what, int result)
{
	if (result < 0)
		die(what);
	return result;
}

/* Without SA_RESTART: a call that waits comes back. */
static void begin(const char *seconds)
{
	struct sigaction action = { .sa_handler = alarm_rings };

	sigaction(SIGALRM, &action, NULL);
	alarm((unsigned)strtoul(seconds, NULL, 10));
	printf("begin\n");
	fflush(stdout);
}

static int end(uint64_t count)
{
	printf("count 0x%llx\n", (unsigned long long)count);
	return 0;
}

static void fill_frame(uint8_t *frame)
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x02\0\0\0\0\1", 6);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
}

static int flood(const char *interface, size_t bytes, const char *seconds)
{
	static uint8_t frame[FRAME_MAX];
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface),
		.sll_halen = 6,
	};
	int fd = must("socket", socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));

	fill_frame(frame);
	memset(address.sll_addr, 0xff, 6);
	begin(seconds);
	while (!over)
		if (sendto(fd, frame, bytes, 0, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		    errno != ENOBUFS && errno != EINTR)
			die(interface);
	return 0;
}

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header_bytes = HEADER_BYTES;
	int fd = must("/dev/net/tun", open("/dev/net/tun", O_RDWR | O_CLOEXEC));

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	must(name, ioctl(fd, (int)TUNSETIFF, &request));
	must(name, ioctl(fd, (int)TUNSETVNETHDRSZ, &header_bytes));
	return fd;
}

static int tap_write(const char *name, size_t bytes, const char *seconds)
{
	static uint8_t frame[HEADER_BYTES + FRAME_MAX];
	int fd = open_tap(name);
	uint64_t count = 0;

	fill_frame(frame + HEADER_BYTES);
	begin(seconds);
	while (!over)
		if (write(fd, frame, HEADER_BYTES + bytes) > 0)
			count++;
		else if (errno != EINTR)
			die(name);
	return end(count);
}

static int tap_read(const char *name, const char *seconds)
{
	static uint8_t frame[HEADER_BYTES + FRAME_MAX];
	int fd = open_tap(name);
	uint64_t count = 0;

	begin(seconds);
	while (!over)
		if (read(fd, frame, sizeof(frame)) > 0)
			count++;
		else if (errno != EINTR)
			die(name);
	return end(count);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(address.sun_path, path);
	return address;
}

/* The frames of one write, as many as fit. */
static uint8_t frames[65536];
static size_t frames_bytes;

static void make_frames(uint32_t bytes)
{
	uint32_t length = htobe32(bytes);

	for (; frames_bytes + 4 + bytes <= sizeof(frames); frames_bytes += 4 + bytes) {
		memcpy(frames + frames_bytes, &length, 4);
		memset(frames + frames_bytes + 4, 0xff, bytes); /* to all */
	}
}

static void serve_one(int fd, const char *how)
{
	static uint8_t data[65536];
	ssize_t n;

	if (strcmp(how, "frames") == 0) {
		while (write(fd, frames, frames_bytes) == (ssize_t)frames_bytes)
			;
		return;
	}
	if (strcmp(how, "source") == 0) {
		while (write(fd, data, sizeof(data)) > 0)
			;
		return;
	}
	while ((n = read(fd, data, sizeof(data))) > 0)
		if (strcmp(how, "echo") == 0 && write(fd, data, (size_t)n) != n)
			return;
}

static _Noreturn void serve(const char *how, const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = must("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	signal(SIGPIPE, SIG_IGN);
	must(path, bind(fd, (struct sockaddr *)&address, sizeof(address)));
	must(path, listen(fd, 8));
	for (;;) {
		int connection = must(path, accept(fd, NULL, NULL));
		serve_one(connection, how);
		close(connection);
	}
}

static int client(const char *how, const char *path, const char *seconds)
{
	static uint8_t data[PACKET_BYTES];
	struct sockaddr_un address = address_of(path);
	int fd = must("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	uint64_t bytes = 0, turns = 0;
	bool turn = strcmp(how, "turn") == 0, sends = turn || strcmp(how, "send") == 0;

	must(path, connect(fd, (struct sockaddr *)&address, sizeof(address)));
	begin(seconds);
	while (!over) {
		ssize_t n = sends ? write(fd, data, turn ? 1 : sizeof(data))
				  : read(fd, data, sizeof(data));
		if (turn && n == 1)
			n = read(fd, data, 1);
		if (n <= 0 && errno != EINTR)
			die(path);
		if (n > 0)
			bytes += (uint64_t)n, turns++;
	}
	return end(turn ? turns : bytes / PACKET_BYTES);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "flood") == 0)
		return flood(argv[2], strtoul(argv[3], NULL, 10), argv[4]);
	if (argc == 5 && strcmp(argv[1], "tap-write") == 0)
		return tap_write(argv[2], strtoul(argv[3], NULL, 10), argv[4]);
	if (argc == 4 && strcmp(argv[1], "tap-read") == 0)
		return tap_read(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "frames") == 0) {
		make_frames((uint32_t)strtoul(argv[2], NULL, 10));
		serve("frames", argv[3]);
	}
	if (argc == 5 && strcmp(argv[1], "client") == 0)
		return client(argv[2], argv[3], argv[4]);
	fprintf(stderr,
		"usage: io_peer flood|tap-write|tap-read|serve|client ... (see its source)\n");
	return 1;
}

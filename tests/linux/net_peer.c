/* SPDX-License-Identifier: MIT */
/*
 * One end of a network test, for the host and for the guest:
 *
 *   net_peer ping ADDRESS TRIES SIZE...        IPv4 echo requests of SIZE data bytes, don't-fragment unless
 *                                              SIZE is over the MTU; each is sent up to TRIES times
 *   net_peer tcp ADDRESS PORT UP DOWN [N]      N connections at once, each sends UP bytes and receives DOWN
 *   net_peer tcp-serve PORT N                  serves N connections, then ends
 *   net_peer udp ADDRESS PORT N SIZE...        N datagrams of each size to an echo server, 8 under way
 *   net_peer udp-serve PORT                    the echo server
 *   net_peer flood ADDRESS PORT N SIZE         numbered datagrams, N of them or (0) until SIGTERM
 *   net_peer sink PORT N                       counts those, until number N - 1 or SIGTERM
 *
 * Every byte received is compared with what the other end must have sent there, so nothing that is lost,
 * repeated, out of order or damaged passes. Exit 0: all of it arrived. One line on stdout tells numbers.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "net_stream.h"

#define PING_WAIT_MS 1000
#define UDP_WINDOW   8u
#define UDP_WAIT_MS  5000
#define SINK_BYTES   (16 << 20) /* the receive buffer: a burst waits there, not in the NIC */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool readable(int fd, int64_t until_us)
{
	struct pollfd wait = { fd, POLLIN, 0 };
	int64_t left_us = until_us - now_us();

	return left_us > 0 && poll(&wait, 1, (int)(left_us / 1000) + 1) > 0;
}

static uint16_t icmp_checksum(const uint8_t *data, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Sends one echo request and waits for its answer; 0: none came. */
static int64_t ping_once(int fd, const struct peer_address *to, uint16_t number, size_t bytes)
{
	static uint8_t request[sizeof(struct icmphdr) + 65536], answer[65536 + 64];
	struct icmphdr *header = (struct icmphdr *)request;
	uint16_t id = (uint16_t)getpid();
	int64_t start = now_us();

	*header = (struct icmphdr){ .type = ICMP_ECHO };
	header->un.echo.id = id;
	header->un.echo.sequence = number;
	stream_fill(request + sizeof(*header), bytes, number, 0);
	header->checksum = icmp_checksum(request, sizeof(*header) + bytes);
	if (sendto(fd, request, sizeof(*header) + bytes, 0, &to->any, to->length) < 0)
		return 0; /* the queue is full, the interface is down: as a lost one */
	while (readable(fd, start + PING_WAIT_MS * 1000)) {
		ssize_t got = recv(fd, answer, sizeof(answer), 0);
		size_t ip_bytes = (answer[0] & 15u) * 4u;
		struct icmphdr *reply = (struct icmphdr *)(answer + ip_bytes);
		if (got < (ssize_t)(ip_bytes + sizeof(*reply)) || reply->type != ICMP_ECHOREPLY ||
		    reply->un.echo.id != id || reply->un.echo.sequence != number)
			continue;
		if ((size_t)got != ip_bytes + sizeof(*reply) + bytes ||
		    memcmp(reply + 1, request + sizeof(*header), bytes) != 0)
			errx(1, "the answer to an echo request of %zu bytes is not the same",
			     bytes);
		return now_us() - start + 1;
	}
	return 0;
}

static int ping(char **arguments)
{
	struct peer_address to = peer_address(arguments[0], 0);
	int tries = atoi(arguments[1]), fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	int64_t worst_us = 0, start = now_us();
	unsigned answered = 0, sent = 0;

	if (fd < 0)
		err(1, "socket");
	for (char **size = arguments + 2; *size != NULL; size++, answered++) {
		int64_t took = 0;
		for (int i = 0; i < tries && took == 0; i++)
			took = ping_once(fd, &to, (uint16_t)++sent, strtoul(*size, NULL, 10));
		if (took == 0)
			errx(1, "ping: no answer to %s bytes (%u answered)", *size, answered);
		if (took > worst_us)
			worst_us = took;
	}
	printf("answered %u of %u worst_us %lld total_ms %lld\n", answered, sent,
	       (long long)worst_us, (long long)(now_us() - start) / 1000);
	return 0;
}

static int udp_socket(const char *port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)atoi(port)) };
	struct timeval moment = { .tv_usec = 100000 }; /* a signal just before recv() is seen */
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), bytes = SINK_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		err(1, "UDP port %s", port);
	return fd;
}

static int udp_serve(char **arguments)
{
	static uint8_t data[65536];
	int fd = udp_socket(arguments[0]);

	while (!stop) {
		struct sockaddr_in6 from;
		socklen_t length = sizeof(from);
		ssize_t got =
			recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &length);
		if (got >= 0)
			sendto(fd, data, (size_t)got, 0, (struct sockaddr *)&from, length);
	}
	return 0;
}

static int udp_connect(const char *address, const char *port)
{
	struct peer_address to = peer_address(address, (uint16_t)atoi(port));
	int fd = socket(to.any.sa_family, SOCK_DGRAM, 0), room = SINK_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (fd < 0 || connect(fd, &to.any, to.length) < 0)
		err(1, "UDP to %s port %s", address, port);
	return fd;
}

/* A datagram is its number and a stream that depends on that. */
static void make_datagram(uint8_t *data, size_t bytes, uint32_t number)
{
	uint8_t head[4];

	memcpy(head, &number, 4);
	stream_fill(data, bytes, number, 0);
	memcpy(data, head, bytes < 4 ? bytes : 4);
}

static int udp(char **arguments)
{
	static uint8_t data[65536], expected[65536];
	int fd = udp_connect(arguments[0], arguments[1]);
	uint32_t n = (uint32_t)atoi(arguments[2]), total = 0;

	for (char **word = arguments + 3; *word != NULL; word++) {
		size_t bytes = strtoul(*word, NULL, 10);
		uint32_t sent = 0;
		for (uint32_t back = 0; back < n; back++, total++) {
			for (; sent < n && sent < back + UDP_WINDOW; sent++) {
				make_datagram(data, bytes, sent);
				if (send(fd, data, bytes, 0) < 0)
					err(1, "send of %zu bytes", bytes);
			}
			if (!readable(fd, now_us() + UDP_WAIT_MS * 1000))
				errx(1, "datagram %u of %zu bytes did not come back", back, bytes);
			ssize_t got = recv(fd, data, sizeof(data), 0);
			make_datagram(expected, bytes, back);
			if (got != (ssize_t)bytes || memcmp(data, expected, bytes) != 0)
				errx(1, "datagram %u of %zu bytes came back as %zd others", back,
				     bytes, got);
		}
	}
	printf("datagrams %u\n", total);
	return 0;
}

static int flood(char **arguments)
{
	static uint8_t data[65536];
	int fd = udp_connect(arguments[0], arguments[1]);
	uint32_t n = (uint32_t)strtoul(arguments[2], NULL, 10), sent = 0, refused = 0;
	size_t bytes = strtoul(arguments[3], NULL, 10);

	puts("flooding"); /* SIGTERM is taken from here on */
	fflush(stdout);
	while (!stop && (n == 0 || sent < n)) {
		make_datagram(data, bytes, sent);
		if (send(fd, data, bytes, 0) == (ssize_t)bytes)
			sent++;
		else if (n != 0)
			err(1, "datagram %u", sent);
		else
			refused++;
	}
	printf("sent %u refused %u\n", sent, refused);
	return 0;
}

static int sink(char **arguments)
{
	static uint8_t data[65536], expected[65536];
	int fd = udp_socket(arguments[0]);
	uint32_t n = (uint32_t)strtoul(arguments[1], NULL, 10), received = 0, next = 0, number = 0;

	while (!stop && (n == 0 || next < n)) {
		ssize_t got = recv(fd, data, sizeof(data), 0);
		if (got < 4)
			continue;
		memcpy(&number, data, 4);
		make_datagram(expected, (size_t)got, number);
		if (memcmp(data, expected, (size_t)got) != 0)
			errx(1, "datagram %u is damaged", number);
		if (number < next)
			errx(1, "datagram %u came after %u", number, next - 1);
		next = number + 1;
		received++;
	}
	printf("received %u last %u\n", received, number);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int min_words;
		int (*run)(char **arguments);
	} table[] = {
		{ "ping", 3, ping },
		{ "tcp", 4, stream_tcp },
		{ "tcp-serve", 2, stream_serve },
		{ "udp", 4, udp },
		{ "udp-serve", 1, udp_serve },
		{ "flood", 4, flood },
		{ "sink", 2, sink },
	};
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(argv[1], table[i].name) == 0 && argc >= table[i].min_words + 2)
			return table[i].run(argv + 2);
	errx(2, "see the head of tests/linux/net_peer.c");
}
